/* Finds the values that lie beyond the range of their column's levels; part of encode-inl.h. Their coordinates are those
 * of the ends of the range, which few other values have, and are looked through while they are in the cache. */

/* Coordinates are looked at so many at a time: 16 rows of a pair of columns. */
enum { WATCHED = 32 };

ZML_TARGET_INLINE int any_at_end(const uint16_t *coordinates, const uint16_t *least, const uint16_t *size) {
  uint16_t any = 0;
  for (int k = 0; k < WATCHED; k++)
    any |= (uint16_t)((uint16_t)(coordinates[k] - least[k]) > size[k] ? 1 : 0);
  return any;
}

ZML_TARGET static size_t find_ends(const zml_codebook *book, const zml_workspace *work, size_t n_rows, size_t *pair,
                                   uint64_t *found, size_t room) {
  const size_t pairs = zml_padded_columns(book->n_columns) / 2;
  size_t n = 0;
  for (; *pair < pairs && n + 2 * BLOCK_ROWS <= room; ++*pair) {
    uint16_t least[WATCHED], size[WATCHED];
    if (!book->watched[2 * *pair] && !book->watched[2 * *pair + 1])
      continue;
    for (int k = 0; k < WATCHED; k++) {
      const size_t j = 2 * *pair + (size_t)k % 2;
      least[k] = book->watched[j] ? 1 : 0;
      size[k] = book->watched[j] ? (uint16_t)(book->watched[j] * 256 - 2) : 65535;
    }
    for (size_t tile = 0; tile * ZML_TILE_ROWS < n_rows; tile++) {
      uint16_t coordinates[2 * ZML_TILE_ROWS];
      const uint32_t *words = work->coordinates + (tile * pairs + *pair) * ZML_TILE_ROWS;
      for (int i = 0; i < ZML_TILE_ROWS; i++) {
        coordinates[2 * i] = (uint16_t)words[i];
        coordinates[2 * i + 1] = (uint16_t)(words[i] >> 16);
      }
      for (size_t first = 0; first < 2 * ZML_TILE_ROWS; first += WATCHED) {
        if (!any_at_end(coordinates + first, least, size))
          continue;
        for (size_t k = 0; k < WATCHED; k++) {
          const size_t row = tile * ZML_TILE_ROWS + (first + k) / 2;
          const int at_end = (uint16_t)(coordinates[first + k] - least[k]) > size[k] && row < n_rows;
          found[n] = (2 * *pair + k % 2) << 8 | row;
          n += (size_t)at_end;
        }
      }
    }
  }
  return n;
}
