/* Finds the values that lie beyond the range of their column's levels; part of encode-inl.h. Their coordinates are
 * those of the ends of the range, which few other values have, and are looked through while they are in the cache. */

ZML_TARGET_INLINE Ends ends_of_pair(const uint8_t *top) {
  uint32_t least = 0, size = 0;
  for (int k = 0; k < 2; k++) {
    least |= (uint32_t)(top[k] ? 1 : 0) << 16 * k;
    size |= (uint32_t)(uint16_t)(top[k] ? top[k] * ZML_GRID_FRACTION - 2 : 65535) << 16 * k;
  }
  Ends ends;
  for (size_t i = 0; i < WORDS; i++) {
    memcpy(ends.least + 2 * i, &least, sizeof least);
    memcpy(ends.size + 2 * i, &size, sizeof size);
  }
  return ends;
}

#ifndef find_hits
/* Bits of halves that are at an end, and whether any is. */
ZML_TARGET_INLINE int find_hits(const uint32_t *words, const Ends *ends, uint64_t hits[2]) {
  ZML_ALIGNED uint16_t halves[HALVES], at_end[HALVES];
  ZML_ALIGNED uint8_t bytes[HALVES];
  uint16_t any[2 * WORDS] = {0};
  memcpy(halves, words, sizeof halves);
#pragma GCC unroll 16
  for (size_t first = 0; first < HALVES; first += 2 * WORDS)
    for (size_t k = 0; k < 2 * WORDS; k++) {
      const uint16_t inside = (uint16_t)(halves[first + k] - ends->least[k]);
      at_end[first + k] = inside > ends->size[k] ? 1 : 0;
      any[k] |= at_end[first + k];
    }
  uint64_t found[sizeof any / 8], all = 0;
  memcpy(found, any, sizeof any);
#pragma GCC unroll 16
  for (size_t k = 0; k < sizeof any / 8; k++)
    all |= found[k];
  if (!all)
    return 0;
  for (size_t k = 0; k < HALVES; k++)
    bytes[k] = (uint8_t)at_end[k];
  hits[0] = hits[1] = 0;
  for (size_t k = 0; k < HALVES; k += 8)
    for (size_t l = 0; l < 8; l++)
      hits[k / 64] |= (uint64_t)bytes[k + l] << (k + l) % 64;
  return 1;
}
#endif

ZML_TARGET static size_t find_ends(const zml_codebook *book, const zml_workspace *work, size_t n_rows, size_t *pair,
                                   uint64_t *found, size_t room) {
  const size_t pairs = zml_padded_columns(book->n_columns) / 2;
  size_t n = 0;
  for (; *pair < pairs && n + 2 * BLOCK_ROWS <= room; ++*pair) {
    if (!book->watched[2 * *pair] && !book->watched[2 * *pair + 1])
      continue;
    const Ends ends = ends_of_pair(book->watched + 2 * *pair);
    for (size_t first = 0; first < n_rows; first += ZML_TILE_ROWS) {
      uint64_t hits[2];
      const uint32_t *words = work->coordinates + (first / ZML_TILE_ROWS * pairs + *pair) * ZML_TILE_ROWS;
      if (!find_hits(words, &ends, hits))
        continue;
      for (size_t part = 0; part < 2; part++)
        for (uint64_t left = hits[part]; left; left &= left - 1) {
          const size_t half = 64 * part + ZML_LOWEST_BIT(left), row = first + half / 2;
          found[n] = (2 * *pair + half % 2) << 8 | row;
          n += row < n_rows;
        }
    }
  }
  return n;
}
