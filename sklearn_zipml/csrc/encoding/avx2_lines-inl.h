/* Tiles of rows of fields with AVX2: 16 bytes of every row at a time, in registers. Part of avx2.c.
 *
 * Fields are exchanged with planes while a register is 16 bytes of two rows of one plane: of two planes at once, which
 * takes half of the steps that it takes inside of words. Then the bytes of planes are brought together, and words
 * transposed. Planes of fields that are back to front come out in the opposite order, and change places for nothing. */

enum { LINES_AT_ONCE = 16, HALF_LINE = 32 };

ZML_TARGET_INLINE __m256i two_rows(const uint8_t *a, const uint8_t *b) {
  const __m256i x = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a));
  return _mm256_inserti128_si256(x, _mm_loadu_si128((const __m128i *)b), 1);
}

/* Exchanges the fields of `low` that are `distance` above those of a mask with the latter of `high`. */
ZML_TARGET_INLINE void exchange_fields(__m256i *low, __m256i *high, int distance, int mask) {
  const __m256i moved =
      _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(*low, distance), *high), _mm256_set1_epi8((char)mask));
  *high = _mm256_xor_si256(*high, moved);
  *low = _mm256_xor_si256(*low, _mm256_slli_epi16(moved, distance));
}

ZML_TARGET_INLINE __m256i swap_half_bytes(__m256i x) {
  const __m256i half = _mm256_set1_epi8(15);
  return _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(x, 4), half),
                         _mm256_slli_epi16(_mm256_and_si256(x, half), 4));
}

/* Four planes of 16 bytes of two rows to the words of these rows, four lines in each register: 0 to 3, 4 to 7, 8 to 11
 * and 12 to 15; of 4-bit fields, whose lines have two planes, 0, 2, 4, 6; 1, 3, 5, 7; 8, 10, ... and 9, 11, ... */
ZML_TARGET_INLINE void words_of_planes(__m256i *p, int width, int high_first, __m256i *to) {
  if (width == 4) {
    exchange_fields(&p[0], &p[1], 4, 0x0f);
    exchange_fields(&p[2], &p[3], 4, 0x0f);
    for (int k = 0; k < 2; k++) {
      const __m256i even = p[2 * k + high_first], odd = p[2 * k + !high_first];
      to[k] = _mm256_unpacklo_epi8(even, odd);
      to[2 + k] = _mm256_unpackhi_epi8(even, odd);
    }
    return;
  }
  const int one = width == 1 ? 0x55 : 0x33, two = width == 1 ? 0x33 : 0x0f;
  exchange_fields(&p[0], &p[1], width, one);
  exchange_fields(&p[2], &p[3], width, one);
  exchange_fields(&p[0], &p[2], 2 * width, two);
  exchange_fields(&p[1], &p[3], 2 * width, two);
  if (width == 1 && high_first) /* groups of columns are half-bytes */
    ZML_PLANES(k)
  p[k] = swap_half_bytes(p[k]);
  const __m256i a = p[high_first ? 3 : 0], b = p[high_first ? 2 : 1], c = p[high_first ? 1 : 2],
                d = p[high_first ? 0 : 3];
  const __m256i low_pairs = _mm256_unpacklo_epi8(a, b), low_rest = _mm256_unpacklo_epi8(c, d);
  const __m256i high_pairs = _mm256_unpackhi_epi8(a, b), high_rest = _mm256_unpackhi_epi8(c, d);
  to[0] = _mm256_unpacklo_epi16(low_pairs, low_rest);
  to[1] = _mm256_unpackhi_epi16(low_pairs, low_rest);
  to[2] = _mm256_unpacklo_epi16(high_pairs, high_rest);
  to[3] = _mm256_unpackhi_epi16(high_pairs, high_rest);
}

/* What is fetched while other bytes are turned: of 64 rows, a few at a time, the lines that bytes first..last are in.
 */
typedef struct {
  const uint8_t *const *rows;
  size_t first, last, row;
} Fetching;

ZML_TARGET_INLINE void fetch_rows(Fetching *ahead, size_t count) {
  for (; count && ahead->row < ZML_TILE_ROWS; count--, ahead->row++) {
    const uint8_t *row = ahead->rows[ahead->row];
    if (!row)
      continue;
    if (!ahead->first) /* else its line is that of the byte before */
      ZML_PREFETCH(row);
    ZML_PREFETCH(row + ahead->last);
  }
}

/* The bytes of a line after those from `start` on, or the first ones of the next rows. */
ZML_TARGET_INLINE Fetching after_line(const uint8_t *const *rows, const uint8_t *const *next, size_t start,
                                      size_t n_bytes) {
  const size_t first = start + ZML_LINE < n_bytes ? start + ZML_LINE : 0;
  const size_t last = n_bytes - first < ZML_LINE ? n_bytes - 1 : first + ZML_LINE - 1;
  const Fetching ahead = {first ? rows : next, first, last, 0};
  return ahead;
}

/* Halves of 16 lines, of rows half * 8 + 0..7 of each plane, from byte `start` of the rows on. */
ZML_TARGET_INLINE void half_lines(const uint8_t *const *rows, size_t start, int width, int high_first, Fetching *ahead,
                                  size_t count, __m256i *lines) {
  __m256i words[4][4]; /* [row][lines] */
#pragma GCC unroll 4
  for (int r = 0; r < 4; r++) {
    __m256i planes[PLANES];
    fetch_rows(ahead, count);
    ZML_PLANES(p)
    planes[p] = two_rows(rows[16 * p + r] + start, rows[16 * p + 4 + r] + start);
    words_of_planes(planes, width, high_first, words[r]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) {
    const __m256i a = _mm256_unpacklo_epi32(words[0][k], words[1][k]),
                  b = _mm256_unpackhi_epi32(words[0][k], words[1][k]);
    const __m256i c = _mm256_unpacklo_epi32(words[2][k], words[3][k]),
                  d = _mm256_unpackhi_epi32(words[2][k], words[3][k]);
    __m256i *to = lines + (width == 4 ? k / 2 * 8 + k % 2 : 4 * k);
    const int step = width == 4 ? 2 : 1;
    to[0] = _mm256_unpacklo_epi64(a, c);
    to[step] = _mm256_unpackhi_epi64(a, c);
    to[2 * step] = _mm256_unpacklo_epi64(b, d);
    to[3 * step] = _mm256_unpackhi_epi64(b, d);
  }
}

/* `count` of 16 lines, past the caches where they are lines of memory: each is whole, and not needed soon. */
ZML_TARGET_INLINE void store_halves(const __m256i *first, const __m256i *second, uint8_t *to, size_t count) {
  const int is_aligned = (uintptr_t)to % ZML_LINE == 0;
  for (size_t b = 0; b < LINES_AT_ONCE && b < count; b++, to += ZML_LINE)
    if (is_aligned) {
      _mm256_stream_si256((__m256i *)to, first[b]);
      _mm256_stream_si256((__m256i *)(to + HALF_LINE), second[b]);
    } else {
      _mm256_storeu_si256((__m256i *)to, first[b]);
      _mm256_storeu_si256((__m256i *)(to + HALF_LINE), second[b]);
    }
}

#define tile_of_fields_as tile_of_fields_as
ZML_TARGET_INLINE void tile_of_fields_as(const uint8_t *const *rows, const uint8_t *const *next, size_t n_columns,
                                         int width, int high_first, uint8_t *tile) {
  const size_t n_bytes = (n_columns * (size_t)width + 7) / 8;
  const size_t n_lines = zml_row_bytes(zml_padded_columns(n_columns), width);
  const size_t whole = rows[ZML_TILE_ROWS - 1] ? (n_columns * (size_t)width / 8) / LINES_AT_ONCE * LINES_AT_ONCE : 0;
  Fetching ahead = {next, 0, 0, 0};
  size_t count = 0; /* of rows that are fetched in each of 8 steps */
  for (size_t start = 0; start < n_lines; start += LINES_AT_ONCE) {
    const uint8_t *const *from = rows;
    size_t byte = start;
    if (start % ZML_LINE == 0) {
      const size_t steps =
          n_lines - start < ZML_LINE ? 8 * ((n_lines - start + LINES_AT_ONCE - 1) / LINES_AT_ONCE) : 32;
      ahead = after_line(rows, next, start, n_bytes);
      count = (ZML_TILE_ROWS + steps - 1) / steps;
    }
    uint8_t bytes[ZML_TILE_ROWS][LINES_AT_ONCE];
    const uint8_t *ends[ZML_TILE_ROWS];
    if (start >= whole) {
      copy_ends(rows, start, n_bytes, mask_of_last(n_columns, width, high_first), bytes);
      for (size_t i = 0; i < ZML_TILE_ROWS; i++)
        ends[i] = bytes[i];
      from = ends;
      byte = 0;
    }
    __m256i lines[2][LINES_AT_ONCE];
    for (size_t half = 0; half < 2; half++)
      half_lines(from + 8 * half, byte, width, high_first, &ahead, count, lines[half]);
    store_halves(lines[0], lines[1], tile + ZML_LINE * start, n_lines - start);
  }
}
