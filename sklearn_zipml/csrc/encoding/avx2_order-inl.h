/* The rounds of the permutation of rows in AVX2, which has no products of 64 bits: a third of their steps is not
 * needed, for the last of them is asked for its upper half only. Part of avx2.c. */

/* The lower 64 bits of products with a constant. */
ZML_TARGET_INLINE __m256i times(__m256i x, uint64_t by) {
  const __m256i low = _mm256_set1_epi64x((long long)(by & 0xffffffffu)),
                high = _mm256_set1_epi64x((long long)(by >> 32));
  const __m256i crossed = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), low), _mm256_mul_epu32(x, high));
  return _mm256_add_epi64(_mm256_mul_epu32(x, low), _mm256_slli_epi64(crossed, 32));
}

/* zml_round_shift of four halves; `key` has the seed, the round's number and what zml_mix64 adds. */
ZML_TARGET_INLINE __m256i shift_of(__m256i half, __m256i key, __m256i side) {
  __m256i x = _mm256_add_epi64(half, key);
  x = times(_mm256_xor_si256(x, _mm256_srli_epi64(x, 30)), 0xbf58476d1ce4e5b9ull);
  x = times(_mm256_xor_si256(x, _mm256_srli_epi64(x, 27)), 0x94d049bb133111ebull);
  x = _mm256_srli_epi64(_mm256_xor_si256(x, _mm256_srli_epi64(x, 31)), 32);
  return _mm256_srli_epi64(_mm256_mul_epu32(x, side), 32);
}

ZML_TARGET_INLINE __m256i below_side(__m256i x, __m256i side) {
  return _mm256_sub_epi64(x, _mm256_andnot_si256(_mm256_cmpgt_epi64(side, x), side));
}

/* One round: `moved` gets the shifts of `half`, or loses them. */
ZML_TARGET_INLINE void move_points(const uint64_t *half, uint64_t seed, int round, uint64_t side, int back,
                                   uint64_t *moved) {
  const uint64_t added = seed + (uint64_t)round * 0x632be59bd9b4e019ull + 0x9e3779b97f4a7c15ull;
  const __m256i key = _mm256_set1_epi64x((long long)added), sides = _mm256_set1_epi64x((long long)side);
  for (size_t k = 0; k < ORDER_LANES; k += 4) {
    const __m256i shift = shift_of(_mm256_load_si256((const __m256i *)(half + k)), key, sides);
    __m256i x = _mm256_load_si256((const __m256i *)(moved + k));
    x = back ? _mm256_sub_epi64(_mm256_add_epi64(x, sides), shift) : _mm256_add_epi64(x, shift);
    _mm256_store_si256((__m256i *)(moved + k), below_side(x, sides));
  }
}

/* Halves change places after every round, of which the number is even. */
#define walk_points walk_points
ZML_TARGET_INLINE void walk_points(Points *p, uint64_t seed, uint64_t side) {
  for (int round = 0; round < ZML_ROUNDS; round += 2) {
    move_points(p->right, seed, round, side, 0, p->left);
    move_points(p->left, seed, round + 1, side, 0, p->right);
  }
}

ZML_TARGET_INLINE void walk_points_back(Points *p, uint64_t seed, uint64_t side) {
  for (int round = ZML_ROUNDS - 2; round >= 0; round -= 2) {
    move_points(p->left, seed, round + 1, side, 1, p->right);
    move_points(p->right, seed, round, side, 1, p->left);
  }
}
