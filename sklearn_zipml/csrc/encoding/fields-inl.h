/* Tiles of rows whose codes are fields of bytes already, without codes in between. Part of encode-inl.h.
 *
 * Line number b of a tile holds what byte b of the rows does: 64 bytes of 8 bits either way. Byte c of its word l are
 * the fields c of the rows l, 16 + l, 32 + l and 48 + l. */

/* Fields back to front in every byte of a line's words, whose bytes are fields: they are bytes back to front then, and
 * half-bytes of 1-bit fields. */
ZML_TARGET_INLINE uint32_t line_reversed(uint32_t x, int width) {
  x = x >> 24 | (x >> 8 & 0xff00u) | (x & 0xff00u) << 8 | x << 24;
  return width == 1 ? (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4 : x;
}

/* Four bytes of 16 rows of each plane, by_plane[plane][row], to four lines. */
ZML_TARGET_INLINE void lines_of_fields(const uint32_t (*by_plane)[WORDS], int width, int high_first,
                                       uint32_t (*lines)[WORDS]) {
  if (width == 4) {
    const int low = high_first ? 4 : 0, high = 4 - low;
    for (int p = 0; p < PLANES; p += 2)
      for (int group = 0; group < 2; group++)
        ZML_WORDS(l) {
          const uint32_t a = by_plane[p][l] >> 16 * group, b = by_plane[p + 1][l] >> 16 * group;
          const uint32_t even = (a >> low & 0x0f0fu) | (b >> low & 0x0f0fu) << 4;
          const uint32_t odd = (a >> high & 0x0f0fu) | (b >> high & 0x0f0fu) << 4;
          lines[2 * group + p / 2][l] =
              (even & 0xffu) | (odd & 0xffu) << 8 | (even & 0xff00u) << 8 | (odd & 0xff00u) << 16;
        }
    return;
  }
  swap_bytes(by_plane, lines);
  for (int b = 0; b < 4; b++)
    ZML_WORDS(l) {
      uint32_t x = lines[b][l];
      x = width == 1 ? swap_bits(swap_bits(x, 7, 0x00aa00aau), 14, 0x0000ccccu)
                     : swap_bits(swap_bits(x, 6, 0x00cc00ccu), 12, 0x0000f0f0u);
      lines[b][l] = high_first ? line_reversed(x, width) : x;
    }
}

/* Up to 64 bytes of a row from `start` on, zero behind the last of `n_bytes`, of which `mask` is there. */
ZML_TARGET_INLINE void load_fields(const uint8_t *row, size_t start, size_t n_bytes, uint8_t mask, uint32_t *words) {
  if (row && start + ZML_LINE < n_bytes) {
    memcpy(words, row + start, ZML_LINE);
    return;
  }
  memset(words, 0, ZML_LINE);
  if (!row || start >= n_bytes)
    return;
  memcpy(words, row + start, n_bytes - start);
  ((uint8_t *)words)[n_bytes - start - 1] &= mask;
}

#ifndef tile_of_fields_as
ZML_TARGET_INLINE void tile_of_fields_as(const uint8_t *const *rows, const uint8_t *const *next, size_t n_columns,
                                         int width, int high_first, uint8_t *tile) {
  const size_t n_bytes = (n_columns * (size_t)width + 7) / 8;
  const size_t n_lines = zml_row_bytes(zml_padded_columns(n_columns), width);
  const uint8_t mask = mask_of_last(n_columns, width, high_first);
  for (size_t start = 0; start < n_lines; start += ZML_LINE) {
    ZML_ALIGNED uint32_t by_row[WORDS][WORDS], by_word[WORDS][PLANES][WORDS], lines[PLANES][WORDS];
    for (size_t plane = 0; plane < PLANES; plane++) {
      for (size_t i = 0; i < WORDS; i++) {
        const size_t row = WORDS * plane + i;
        load_fields(rows[row], start, n_bytes, mask, by_row[i]);
        if (next[row] && start < n_bytes) { /* a row begins and ends somewhere in a line */
          ZML_PREFETCH_FAR(next[row] + start);
          ZML_PREFETCH_FAR(next[row] + (n_bytes - start > ZML_LINE ? start : n_bytes - 1));
        }
      }
      transpose(by_row[0], WORDS, by_word[0][plane], PLANES * WORDS);
    }
    for (size_t k = 0; k < WORDS && start + 4 * k < n_lines; k++) {
      lines_of_fields((const uint32_t (*)[WORDS])by_word[k], width, high_first, lines);
      const size_t count = n_lines - start - 4 * k;
      for (size_t b = 0; b < 4 && b < count; b++)
        store_line(tile + ZML_LINE * (start + 4 * k + b), lines[b]);
    }
  }
}
#endif

ZML_TARGET static void tile_of_fields(const uint8_t *const *rows, const uint8_t *const *next, const zml_fields *fields,
                                      uint8_t *tile) {
#define WITH_ORDER(constant)                                                                                           \
  if (fields->high_first)                                                                                              \
    tile_of_fields_as(rows, next, fields->n_columns, constant, 1, tile);                                               \
  else                                                                                                                 \
    tile_of_fields_as(rows, next, fields->n_columns, constant, 0, tile);                                               \
  break;
  switch (fields->width) {
  case 1:
    WITH_ORDER(1)
  case 2:
    WITH_ORDER(2)
  default:
    WITH_ORDER(4)
  }
#undef WITH_ORDER
  lines_stored();
}
