/* Tiles made of packed rows and back, and counted; part of encode-inl.h. */

/* Codes of 8 bits are words of rows as they are; an instruction set's own transpose takes them from memory to memory.
 */
#ifdef transpose
enum { TURNS_BYTES = 1 };
#else
enum { TURNS_BYTES = 0 };
#endif

ZML_TARGET_INLINE void distribute_words(const uint32_t *words, size_t word, size_t groups, int plane, int width,
                                        uint8_t *tile) {
  const size_t fields = 8 / (size_t)width, first = word * fields;
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  for (size_t k = 0; k < fields && first + k < groups; k++) {
    const int shift = zml_shift_of(first + k, plane, width);
    uint8_t *line = tile + ZML_LINE * zml_line_of(first + k, plane, width);
    ZML_ALIGNED uint32_t lanes[WORDS];
    memcpy(lanes, line, sizeof lanes);
    ZML_WORDS(l)
    lanes[l] = (shift ? lanes[l] : 0) | (words[l] >> (k * (size_t)width) & mask) << shift;
    memcpy(line, lanes, sizeof lanes);
  }
}

ZML_TARGET_INLINE void tile_of_rows_as(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile) {
  const size_t groups = padded_columns / ZML_GROUP_COLUMNS, row_bytes = zml_row_bytes(padded_columns, width);
  const size_t n_words = row_bytes / 4;
  const uint8_t *ahead = tile + ZML_TILE_ROWS * row_bytes; /* the next tile's, which come after */
  for (int plane = 0; plane < PLANES; plane++) {
    const uint8_t *first = rows + (size_t)(plane * ZML_PLANE_ROWS) * row_bytes;
    for (size_t word = 0; word < n_words; word += WORDS) {
      const size_t count = n_words - word < WORDS ? n_words - word : WORDS;
      ZML_ALIGNED uint32_t by_row[WORDS][WORDS], by_word[WORDS][WORDS];
      for (size_t k = 0; k < WORDS; k++, ahead += ZML_LINE)
        ZML_PREFETCH_FAR(ahead);
      if (TURNS_BYTES && width == 8 && count == WORDS) {
        uint8_t *lines = tile + ZML_LINE * zml_line_of(word, plane, width);
        transpose((const uint32_t *)(first + 4 * word), row_bytes / 4, (uint32_t *)lines, PLANES * WORDS);
        continue;
      }
      for (size_t i = 0; i < WORDS; i++) {
        if (count == WORDS)
          memcpy(by_row[i], first + i * row_bytes + 4 * word, sizeof by_row[i]);
        else
          memcpy(by_row[i], first + i * row_bytes + 4 * word, 4 * count);
      }
      transpose(by_row[0], WORDS, by_word[0], WORDS);
      for (size_t k = 0; k < count; k++)
        distribute_words(by_word[k], word + k, groups, plane, width, tile);
    }
    if (row_bytes % 4) {
      uint32_t half[WORDS];
      for (size_t i = 0; i < WORDS; i++)
        half[i] = zml_split_word(first + i * row_bytes + 4 * n_words);
      distribute_words(half, n_words, groups, plane, width, tile);
    }
  }
}

ZML_TARGET static void tile_of_rows(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile) {
  switch (width) {
  case 1:
    tile_of_rows_as(rows, 1, padded_columns, tile);
    break;
  case 2:
    tile_of_rows_as(rows, 2, padded_columns, tile);
    break;
  case 4:
    tile_of_rows_as(rows, 4, padded_columns, tile);
    break;
  default:
    tile_of_rows_as(rows, 8, padded_columns, tile);
  }
}

/* Word `word` of the rows of one plane. */
ZML_TARGET_INLINE void collect_words(const uint8_t *tile, size_t word, size_t groups, int plane, int width,
                                     uint32_t *words) {
  const size_t fields = 8 / (size_t)width, first = word * fields;
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  memset(words, 0, ZML_LINE);
  for (size_t k = 0; k < fields && first + k < groups; k++) {
    const int shift = zml_shift_of(first + k, plane, width);
    ZML_ALIGNED uint32_t lanes[WORDS];
    memcpy(lanes, tile + ZML_LINE * zml_line_of(first + k, plane, width), sizeof lanes);
    ZML_WORDS(l)
    words[l] |= (lanes[l] >> shift & mask) << (k * (size_t)width);
  }
}

ZML_TARGET_INLINE void rows_of_tile_as(const uint8_t *tile, int width, size_t padded_columns, uint8_t *rows) {
  const size_t groups = padded_columns / ZML_GROUP_COLUMNS, row_bytes = zml_row_bytes(padded_columns, width);
  const size_t n_words = row_bytes / 4;
  for (int plane = 0; plane < PLANES; plane++) {
    uint8_t *first = rows + (size_t)(plane * ZML_PLANE_ROWS) * row_bytes;
    for (size_t word = 0; word < n_words; word += WORDS) {
      const size_t count = n_words - word < WORDS ? n_words - word : WORDS;
      if (TURNS_BYTES && width == 8 && count == WORDS) {
        const uint8_t *lines = tile + ZML_LINE * zml_line_of(word, plane, width);
        transpose((const uint32_t *)lines, PLANES * WORDS, (uint32_t *)(first + 4 * word), row_bytes / 4);
        continue;
      }
      ZML_ALIGNED uint32_t by_word[WORDS][WORDS] = {{0}}, by_row[WORDS][WORDS];
      for (size_t k = 0; k < count; k++)
        collect_words(tile, word + k, groups, plane, width, by_word[k]);
      transpose(by_word[0], WORDS, by_row[0], WORDS);
      for (size_t i = 0; i < WORDS; i++) {
        if (count == WORDS)
          memcpy(first + i * row_bytes + 4 * word, by_row[i], sizeof by_row[i]);
        else
          memcpy(first + i * row_bytes + 4 * word, by_row[i], 4 * count);
      }
    }
    if (row_bytes % 4) {
      ZML_ALIGNED uint32_t half[WORDS];
      collect_words(tile, n_words, groups, plane, width, half);
      for (size_t i = 0; i < WORDS; i++)
        zml_join_word((const uint8_t *)&half[i], first + i * row_bytes + 4 * n_words);
    }
  }
}

/* The width is made a constant, so that loops unroll. */
ZML_TARGET static void rows_of_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *rows) {
  switch (width) {
  case 1:
    rows_of_tile_as(tile, 1, padded_columns, rows);
    break;
  case 2:
    rows_of_tile_as(tile, 2, padded_columns, rows);
    break;
  case 4:
    rows_of_tile_as(tile, 4, padded_columns, rows);
    break;
  default:
    rows_of_tile_as(tile, 8, padded_columns, rows);
  }
}

/* Adds up the codes of 64 rows of four columns. */
#ifndef count_group
ZML_TARGET_INLINE void count_group(const uint32_t (*codes)[WORDS], int width, uint64_t *counts) {
  const uint8_t *of = (const uint8_t *)codes;
  const size_t stride = (size_t)1 << width;
  for (size_t i = 0; i < ZML_TILE_ROWS; i++)
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
      counts[c * stride + of[c * ZML_TILE_ROWS + i]]++;
}
#endif

/* The same of bytes, of one group of several tiles. Columns and rows take turns, for a count that follows itself waits,
 * and so does one whose address is a multiple of 4096 away. */
ZML_TARGET_INLINE void count_bytes(const uint8_t *const *tiles, size_t n_tiles, size_t group, uint64_t *counts) {
  enum { TURNS = 2, APART = 256 + 32 };
  uint16_t sums[TURNS * ZML_GROUP_COLUMNS][APART] = {{0}};
  for (size_t t = 0; t < n_tiles; t++) {
    const uint8_t *bytes = tiles[t] + ZML_LINE * zml_line_of(group, 0, 8);
    for (size_t i = 0; i < ZML_TILE_ROWS * ZML_GROUP_COLUMNS; i += TURNS * ZML_GROUP_COLUMNS)
      for (size_t k = 0; k < TURNS * ZML_GROUP_COLUMNS; k++)
        sums[k][bytes[i + k]]++;
  }
  for (size_t k = 0; k < TURNS * ZML_GROUP_COLUMNS; k++)
    for (size_t code = 0; code < 256; code++)
      counts[256 * (k % ZML_GROUP_COLUMNS) + code] += sums[k][code];
}

ZML_TARGET_INLINE void count_tiles_as(const uint8_t *const *tiles, size_t n_tiles, int width, size_t first_group,
                                      size_t last_group, uint64_t *counts) {
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  for (size_t first = 0; first < n_tiles; first += REQUANTIZE_TILES) {
    const size_t last = n_tiles - first < REQUANTIZE_TILES ? n_tiles : first + REQUANTIZE_TILES;
    for (size_t group = first_group; group < last_group; group++) {
      uint64_t *of_group = counts + ((size_t)ZML_GROUP_COLUMNS << width) * (group - first_group);
      if (width == 8)
        count_bytes(tiles + first, last - first, group, of_group);
      for (size_t t = first; width < 8 && t < last; t++) {
        ZML_ALIGNED uint32_t planes[PLANES][WORDS], codes[ZML_GROUP_COLUMNS][WORDS];
        ZML_PLANES(p) {
          const int shift = zml_shift_of(group, p, width);
          memcpy(planes[p], tiles[t] + ZML_LINE * zml_line_of(group, p, width), ZML_LINE);
          ZML_WORDS(l)
          planes[p][l] = planes[p][l] >> shift & mask;
        }
        swap_bytes(planes, codes);
        count_group(codes, width, of_group);
      }
    }
  }
}

ZML_TARGET static void count_tiles(const uint8_t *const *tiles, size_t n_tiles, int width, size_t first_group,
                                   size_t last_group, uint64_t *counts) {
  switch (width) {
  case 1:
    count_tiles_as(tiles, n_tiles, 1, first_group, last_group, counts);
    break;
  case 2:
    count_tiles_as(tiles, n_tiles, 2, first_group, last_group, counts);
    break;
  case 4:
    count_tiles_as(tiles, n_tiles, 4, first_group, last_group, counts);
    break;
  default:
    count_tiles_as(tiles, n_tiles, 8, first_group, last_group, counts);
  }
}

/* Sums of the codes of tiles of bytes, by blocks of columns so narrow that their lanes stay in the cache, and of no
 * more tiles at a time than lanes can hold. */
enum { SUMMED_COLUMNS = 128, SUMMED_TILES = 1 << 12 };
typedef struct {
  ZML_ALIGNED uint32_t sum[SUMMED_COLUMNS][WORDS], square[SUMMED_COLUMNS][WORDS];
} SumLanes;

ZML_TARGET_INLINE void add_tile(const uint8_t *block, size_t n_columns, SumLanes *lanes) {
  for (size_t first = 0; first < n_columns; first += ZML_GROUP_COLUMNS) {
    ZML_ALIGNED uint32_t words[PLANES][WORDS];
    memcpy(words, block + first * ZML_TILE_ROWS, sizeof words);
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
      ZML_WORDS(l) {
        uint32_t sum = lanes->sum[first + c][l], square = lanes->square[first + c][l];
        ZML_PLANES(p) {
          const uint32_t code = words[p][l] >> 8 * c & 255;
          sum += code;
          square += code * code;
        }
        lanes->sum[first + c][l] = sum;
        lanes->square[first + c][l] = square;
      }
    }
  }
}

ZML_TARGET static void sum_bytes(const uint8_t *tiles, size_t n_tiles, size_t padded_columns, uint64_t *sum,
                                 uint64_t *square) {
  const size_t size = zml_tile_bytes(padded_columns, 8);
  for (size_t start = 0; start < n_tiles; start += SUMMED_TILES) {
    const size_t end = n_tiles - start < SUMMED_TILES ? n_tiles : start + SUMMED_TILES;
    for (size_t first = 0; first < padded_columns; first += SUMMED_COLUMNS) {
      const size_t left = padded_columns - first, count = left < SUMMED_COLUMNS ? left : SUMMED_COLUMNS;
      SumLanes lanes = {0};
      for (size_t t = start; t < end; t++)
        add_tile(tiles + t * size + first * ZML_TILE_ROWS, count, &lanes);
      for (size_t j = 0; j < count; j++)
        for (size_t l = 0; l < WORDS; l++) {
          sum[first + j] += lanes.sum[j][l];
          square[first + j] += lanes.square[j][l];
        }
    }
  }
}
