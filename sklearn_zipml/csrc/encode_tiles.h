/* Tiles made of packed rows; part of encode_functions.h. */

STEP void distribute_words(const uint32_t *words, size_t word, size_t groups, int plane, int width, uint8_t *tile) {
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

STEP void tile_of_rows_as(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile) {
  const size_t groups = padded_columns / ZML_GROUP_COLUMNS, row_bytes = zml_row_bytes(padded_columns, width);
  const size_t n_words = row_bytes / 4;
  for (int plane = 0; plane < PLANES; plane++) {
    const uint8_t *first = rows + (size_t)(plane * ZML_PLANE_ROWS) * row_bytes;
    for (size_t word = 0; word < n_words; word += WORDS) {
      const size_t count = n_words - word < WORDS ? n_words - word : WORDS;
      ZML_ALIGNED uint32_t by_row[WORDS][WORDS], by_word[WORDS][WORDS];
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
