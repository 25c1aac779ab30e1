/* Rows of a tile taken in their order, as rows of another one, and columns; part of encode-inl.h. */

/* taken[row] = words[from[row]], rows that are not taken zero. */
#ifndef take_words
ZML_TARGET_INLINE void take_words(const uint32_t *words, const Taking *t, uint32_t *taken) {
  memset(taken, 0, sizeof *taken * ZML_TILE_ROWS);
  for (int i = t->at; i < t->end; i++)
    taken[i] = words[t->from[i]];
}
#endif

/* Four codes of a row, those of a column group, are a word. */
ZML_TARGET_INLINE void take_rows_as(const uint8_t *tile, int width, size_t padded_columns, const Taking *t,
                                    uint8_t *out) {
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  const int first = t->at / ZML_PLANE_ROWS, last = (t->end - 1) / ZML_PLANE_ROWS;
  for (size_t group = 0; group < padded_columns / ZML_GROUP_COLUMNS; group++) {
    ZML_ALIGNED uint32_t words[PLANES][WORDS], taken[PLANES][WORDS];
    ZML_PLANES(p) {
      const int shift = zml_shift_of(group, p, width);
      memcpy(words[p], tile + ZML_LINE * zml_line_of(group, p, width), ZML_LINE);
      ZML_WORDS(l)
      words[p][l] = words[p][l] >> shift & mask;
    }
    take_words(words[0], t, taken[0]);
    for (int p = first; p <= last; p++) {
      const int shift = zml_shift_of(group, p, width);
      uint8_t *line = out + ZML_LINE * zml_line_of(group, p, width);
      ZML_ALIGNED uint32_t lanes[WORDS];
      memcpy(lanes, line, sizeof lanes);
      ZML_WORDS(l)
      lanes[l] |= taken[p][l] << shift;
      memcpy(line, lanes, sizeof lanes);
    }
  }
}

/* The width is made a constant, so that loops unroll. */
ZML_TARGET static void take_rows(const uint8_t *tile, int width, size_t padded_columns, const uint8_t *rows, int count,
                                 int at, uint8_t *out) {
  Taking t = {.from = {0}, .at = at, .end = at + count};
  for (int i = 0; i < count; i++)
    t.from[at + i] = rows[i];
  switch (width) {
  case 1:
    take_rows_as(tile, 1, padded_columns, &t, out);
    break;
  case 2:
    take_rows_as(tile, 2, padded_columns, &t, out);
    break;
  case 4:
    take_rows_as(tile, 4, padded_columns, &t, out);
    break;
  default:
    take_rows_as(tile, 8, padded_columns, &t, out);
  }
}

/* A column is one byte of the words of its group's lines; with 1 bit, where two groups share a line, half of it. */
ZML_TARGET_INLINE void take_columns_as(const uint8_t *tile, int width, const int64_t *columns, size_t count, size_t at,
                                       uint8_t *out) {
  const size_t lines = width > 2 ? (size_t)width / 2 : 1;
  const uint32_t mask = width == 1 ? 15 : 255;
  for (size_t k = 0; k < count; k++) {
    const size_t from = (size_t)columns[k], to = at + k;
    const size_t group = from / ZML_GROUP_COLUMNS, to_group = to / ZML_GROUP_COLUMNS;
    const int down = zml_shift_of(group, 0, width) + 8 * (int)(from % ZML_GROUP_COLUMNS);
    const int up = zml_shift_of(to_group, 0, width) + 8 * (int)(to % ZML_GROUP_COLUMNS);
    const uint8_t *source = tile + ZML_LINE * zml_line_of(group, 0, width);
    uint8_t *line = out + ZML_LINE * zml_line_of(to_group, 0, width);
    for (size_t q = 0; q < lines; q++, source += ZML_LINE, line += ZML_LINE) {
      ZML_ALIGNED uint32_t words[WORDS], lanes[WORDS];
      memcpy(words, source, sizeof words);
      memcpy(lanes, line, sizeof lanes);
      ZML_WORDS(l)
      lanes[l] |= (words[l] >> down & mask) << up;
      memcpy(line, lanes, sizeof lanes);
    }
  }
}

ZML_TARGET static void take_columns(const uint8_t *tile, int width, const int64_t *columns, size_t count, size_t at,
                                    uint8_t *out) {
  switch (width) {
  case 1:
    take_columns_as(tile, 1, columns, count, at, out);
    break;
  case 2:
    take_columns_as(tile, 2, columns, count, at, out);
    break;
  case 4:
    take_columns_as(tile, 4, columns, count, at, out);
    break;
  default:
    take_columns_as(tile, 8, columns, count, at, out);
  }
}
