/* Finds the values that lie beyond the range of their column's levels; part of encode-inl.h. Their coordinates are
 * those of the ends of the range, which few other values have, and are looked through while they are in the cache. */

/* Words of a tile's rows hold the coordinates of a pair of columns; halves are looked at in the order of memory. */
enum { HALVES = 2 * ZML_TILE_ROWS };
typedef struct {
  ZML_ALIGNED uint16_t least[WORDS * 2], size[WORDS * 2];
} Ends;

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

/* hits[half]: whether a coordinate is at an end. */
ZML_TARGET_INLINE int find_hits(const uint32_t *words, const Ends *ends, uint8_t *hits) {
  ZML_ALIGNED uint16_t halves[HALVES], at_end[HALVES];
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
  for (size_t k = 0; all && k < HALVES; k++)
    hits[k] = (uint8_t)at_end[k];
  return all != 0;
}

ZML_TARGET static size_t find_ends(const zml_codebook *book, const zml_workspace *work, size_t n_rows, size_t *pair,
                                   uint64_t *found, size_t room) {
  const size_t pairs = zml_padded_columns(book->n_columns) / 2;
  size_t n = 0;
  for (; *pair < pairs && n + 2 * BLOCK_ROWS <= room; ++*pair) {
    if (!book->watched[2 * *pair] && !book->watched[2 * *pair + 1])
      continue;
    const Ends ends = ends_of_pair(book->watched + 2 * *pair);
    for (size_t first = 0; first < n_rows; first += ZML_TILE_ROWS) {
      ZML_ALIGNED uint8_t hits[HALVES];
      const uint32_t *words = work->coordinates + (first / ZML_TILE_ROWS * pairs + *pair) * ZML_TILE_ROWS;
      if (!find_hits(words, &ends, hits))
        continue;
      for (size_t k = 0; k < HALVES; k += 8) {
        uint64_t eight;
        memcpy(&eight, hits + k, sizeof eight);
        for (size_t l = k; eight && l < k + 8; l += 2) /* both halves of a word */
          for (size_t c = 0; c < 2; c++) {
            const size_t row = first + l / 2;
            const uint16_t half = (uint16_t)(words[l / 2] >> 16 * c);
            const int at_end = book->watched[2 * *pair + c] && (half == 0 || half >= book->watched[2 * *pair + c] << 8);
            found[n] = (2 * *pair + c) << 8 | row;
            n += at_end && row < n_rows;
          }
      }
    }
  }
  return n;
}
