/* Tiles of rows of fields with AVX-512: 16 bytes of every row at a time, in registers. Part of avx512.c.
 *
 * Register r takes the 16 bytes of rows r, 16 + r, 32 + r and 48 + r, the four planes. Their bytes are brought
 * together, so that word b has byte b of each plane; their fields exchanged with the planes, so that it is word r of
 * line b; and the 16 registers transposed. */

/* Bytes [plane][16] to [16][plane]; planes back to front where fields are. Of 4-bit fields words 2 k and 2 k + 1 are
 * the lines of the first and the last two planes, [plane / 2][column / 2][plane % 2]. */
ZML_TARGET_INLINE __m512i plane_bytes(int width, int high_first) {
  ZML_ALIGNED uint8_t from[ZML_LINE];
  for (int k = 0; k < ZML_LINE; k++) {
    const int word = k / 4, byte = k % 4;
    const int column = width == 4 ? word / 2 * 2 + byte / 2 : word;
    const int plane = width == 4 ? word % 2 * 2 + (byte % 2 ^ high_first) : high_first ? 3 - byte : byte;
    from[k] = (uint8_t)(16 * plane + column);
  }
  return _mm512_load_si512(from);
}

/* Exchanges the bits of a mask with those `distance` above them, in words. */
ZML_TARGET_INLINE __m512i exchange(__m512i x, int distance, uint32_t mask) {
  const __m512i moved = _mm512_ternarylogic_epi32(_mm512_srli_epi32(x, (unsigned)distance), x, set(mask), 0x28);
  return _mm512_ternarylogic_epi32(x, moved, _mm512_slli_epi32(moved, (unsigned)distance), 0x96);
}

/* Fields of words with their planes. With high_first both are back to front, and so exchanged across the other
 * diagonal.
 */
ZML_TARGET_INLINE __m512i planes_to_fields(__m512i x, int width, int high_first) {
  if (width == 4)
    return high_first ? exchange(x, 12, 0x000f000fu) : exchange(x, 4, 0x00f000f0u);
  if (width == 2)
    return high_first ? exchange(exchange(x, 10, 0x00330033u), 20, 0x00000f0fu)
                      : exchange(exchange(x, 6, 0x00cc00ccu), 12, 0x0000f0f0u);
  x = high_first ? exchange(exchange(x, 9, 0x00550055u), 18, 0x00003333u)
                 : exchange(exchange(x, 7, 0x00aa00aau), 14, 0x0000ccccu);
  if (!high_first)
    return x;
  const __m512i half = set(0x0f0f0f0fu); /* and the groups, half-bytes */
  return choose(half, _mm512_srli_epi32(x, 4), _mm512_slli_epi32(x, 4));
}

ZML_TARGET_INLINE __m512i four_rows(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d) {
  __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));
  x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)b), 1);
  x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)c), 2);
  return _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)d), 3);
}

/* Lines start..start+15, of which there are `count`. */
ZML_TARGET_INLINE void store_fields(__m512i *a, int width, int high_first, uint8_t *lines, size_t count) {
  const __m512i order = plane_bytes(width, high_first);
  for (int r = 0; r < 16; r++)
    a[r] = planes_to_fields(_mm512_permutexvar_epi8(order, a[r]), width, high_first);
  transpose_registers(a);
  const int is_aligned = (uintptr_t)lines % ZML_LINE == 0;
  for (size_t b = 0; b < 16 && b < count; b++)
    if (is_aligned) /* past the caches: every line is whole, and not needed soon */
      _mm512_stream_si512((__m512i *)(lines + ZML_LINE * b), a[b]);
    else
      _mm512_storeu_si512(lines + ZML_LINE * b, a[b]);
}

#define tile_of_fields_as tile_of_fields_as
ZML_TARGET_INLINE void tile_of_fields_as(const uint8_t *const *rows, const uint8_t *const *next, size_t n_columns,
                                         int width, int high_first, uint8_t *tile) {
  enum { AT_ONCE = 16 };
  const size_t n_bytes = (n_columns * (size_t)width + 7) / 8;
  const size_t n_lines = zml_row_bytes(zml_padded_columns(n_columns), width);
  const size_t ends = rows[ZML_TILE_ROWS - 1] ? (n_columns * (size_t)width / 8) / AT_ONCE * AT_ONCE : 0;
  for (size_t start = 0; start < n_lines; start += AT_ONCE) {
    const size_t ahead = start + AT_ONCE < n_lines || n_bytes <= start ? start : n_bytes - 1;
    const int is_new = start % ZML_LINE == 0 || ahead > start; /* once a line, and the last one */
    __m512i a[16];
    if (start < ends)
      for (int r = 0; r < 16; r++) {
        a[r] = four_rows(rows[r] + start, rows[16 + r] + start, rows[32 + r] + start, rows[48 + r] + start);
        for (int p = 0; is_new && p < PLANES; p++)
          if (next[16 * p + r])
            ZML_PREFETCH_FAR(next[16 * p + r] + ahead);
      }
    else {
      ZML_ALIGNED uint8_t bytes[ZML_TILE_ROWS][AT_ONCE];
      copy_ends(rows, start, n_bytes, mask_of_last(n_columns, width, high_first), bytes);
      for (int r = 0; r < 16; r++)
        a[r] = four_rows(bytes[r], bytes[16 + r], bytes[32 + r], bytes[48 + r]);
    }
    store_fields(a, width, high_first, tile + ZML_LINE * start, n_lines - start);
  }
}
