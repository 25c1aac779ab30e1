/* The permutation of rows, many points at a time: each waits for its own products otherwise. Part of encode-inl.h. */

#ifndef walk_points
ZML_TARGET_INLINE void walk_points(Points *p, uint64_t seed, uint64_t side) {
  for (int round = 0; round < ZML_ROUNDS; round++)
    for (int k = 0; k < ORDER_LANES; k++) {
      const uint64_t mixed = zml_below_side(p->left[k] + zml_round_shift(seed, round, p->right[k], side), side);
      p->left[k] = p->right[k];
      p->right[k] = mixed;
    }
}

ZML_TARGET_INLINE void walk_points_back(Points *p, uint64_t seed, uint64_t side) {
  for (int round = ZML_ROUNDS - 1; round >= 0; round--)
    for (int k = 0; k < ORDER_LANES; k++) {
      const uint64_t shift = zml_round_shift(seed, round, p->left[k], side);
      const uint64_t mixed = zml_below_side(p->right[k] + side - shift, side);
      p->right[k] = p->left[k];
      p->left[k] = mixed;
    }
}
#endif

/* Points from (left, right) on. */
ZML_TARGET_INLINE void place_points(Points *p, uint64_t left, uint64_t right, uint64_t side) {
  if (side < ORDER_LANES) {
    for (int k = 0; k < ORDER_LANES; k++) {
      p->left[k] = left + (right + (uint64_t)k) / side;
      p->right[k] = (right + (uint64_t)k) % side;
    }
    return;
  }
  for (int k = 0; k < ORDER_LANES; k++) { /* one row of the grid ends among them, at most */
    const uint64_t x = right + (uint64_t)k, is_next = x >= side;
    p->left[k] = left + is_next;
    p->right[k] = x - (side & (0 - is_next));
  }
}

ZML_TARGET static void permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image) {
  const uint64_t side = zml_grid_side(n);
  uint64_t left = n ? first / side : 0, right = n ? first % side : 0;
  for (size_t start = 0; start < count; start += ORDER_LANES) {
    const size_t length = count - start < ORDER_LANES ? count - start : ORDER_LANES;
    Points p;
    place_points(&p, left, right, side);
    right += ORDER_LANES;
    for (; right >= side; right -= side)
      left++;
    walk_points(&p, seed, side);
    for (size_t k = 0; k < length; k++) {
      const uint64_t x = p.left[k] * side + p.right[k];
      image[start + k] = (int64_t)(x < n ? x : zml_image_of(x, n, seed, side)); /* few are outside */
    }
  }
}

ZML_TARGET static void permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source) {
  const uint64_t side = zml_grid_side(n);
  for (size_t start = 0; start < count; start += ORDER_LANES) {
    const size_t length = count - start < ORDER_LANES ? count - start : ORDER_LANES;
    Points p = {{0}, {0}};
    for (size_t k = 0; k < length; k++) {
      p.left[k] = (uint64_t)image[start + k] / side;
      p.right[k] = (uint64_t)image[start + k] % side;
    }
    walk_points_back(&p, seed, side);
    for (size_t k = 0; k < length; k++) {
      uint64_t x = p.left[k] * side + p.right[k];
      while (x >= n)
        x = zml_walk_back(x, seed, side);
      source[start + k] = (int64_t)x;
    }
  }
}
