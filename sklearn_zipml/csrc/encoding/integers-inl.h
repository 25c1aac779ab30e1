/* Data that are codes already, into packed rows: integers, and fields of a few bits; and halves made floats. Part of
 * encode-inl.h. */

enum { STRIP_COLUMNS = 512 }; /* of a row at a time: its codes stay in the nearest cache */

/* Joins pairs of words, the second one shifted. */
ZML_TARGET_INLINE void join_pairs(uint32_t *words, size_t n_pairs, int shift) {
  for (size_t k = 0; k < n_pairs; k++) {
    uint64_t pair;
    memcpy(&pair, words + 2 * k, sizeof pair);
    words[k] = (uint32_t)(pair | pair >> (32 - shift));
  }
}

/* Rows go to places that no processor expects. */
enum { AHEAD_ROWS = 4 };
ZML_TARGET_INLINE void fetch_ahead(uint8_t *const *rows, size_t i, size_t n_rows, size_t row_bytes) {
  if (i + AHEAD_ROWS < n_rows)
    for (size_t k = 0; k < row_bytes; k += ZML_LINE)
      ZML_PREFETCH_TO_WRITE(rows[i + AHEAD_ROWS] + k);
}

/* Codes of a strip, a byte each and zero behind the last one, to `n_words` words of a row; the last one may be half. */
ZML_TARGET_INLINE void store_codes(uint32_t *codes, int width, size_t n_words, int half, uint8_t *to) {
  size_t count = n_words * (8 / (size_t)width);
  for (int shift = width; shift < 8; shift *= 2) {
    count /= 2;
    join_pairs(codes, count, shift);
  }
  const size_t whole = half ? n_words - 1 : n_words;
  memcpy(to, codes, 4 * whole);
  if (half)
    zml_join_word((const uint8_t *)(codes + whole), to + 4 * whole);
}

/* Codes, a byte each, to fields, the first one's in the lowest bits of a byte; n is a multiple of ZML_FIELD_COLUMNS. */
#ifndef join_fields
ZML_TARGET_INLINE void join_fields(const uint8_t *codes, size_t n, int width, uint8_t *to) {
  const uint64_t pairs = 0x0001000100010001u * (((uint64_t)1 << 2 * width) - 1);
  const uint64_t fours = 0x0000000100000001u * (((uint64_t)1 << 4 * width) - 1);
  for (size_t k = 0; k < n; k += 8, to += width) {
    uint64_t x;
    memcpy(&x, codes + k, sizeof x);
    x = (x | x >> (8 - width)) & pairs;
    x = (x | x >> 2 * (8 - width)) & fours;
    x |= x >> 4 * (8 - width);
    memcpy(to, &x, (size_t)width);
  }
}
#endif

ZML_TARGET_INLINE size_t words_of(size_t n_columns, int width, int *half) {
  const size_t bytes = zml_row_bytes(zml_padded_columns(n_columns), width);
  *half = bytes % 4 != 0;
  return (bytes + 3) / 4;
}

/* PICK makes the integer of an element of the block. */
#define DEFINE_ENCODE_INTEGERS(name, integer, PICK)                                                                    \
  ZML_TARGET_INLINE void name##_strip(const integer *row, const zml_integers *map, size_t first, size_t n,             \
                                      uint8_t *codes) {                                                                \
    const integer *low = (const integer *)map->low + first, *top = (const integer *)map->top + first;                  \
    const integer sign = (integer)(map->is_signed << (8 * sizeof sign - 1)), absent = (integer)map->missing;           \
    const uint8_t *missing = map->missing_code + first, *after = map->after_missing + first;                           \
    const int stride = map->stride;                                                                                    \
    for (size_t j = 0; j < n; j++) {                                                                                   \
      const integer value = (integer)((integer)PICK(row[j]) ^ sign);                                                   \
      const integer above = (integer)((value > low[j] ? value : low[j]) - low[j]);                                     \
      codes[j] = (uint8_t)(above < top[j] ? above : top[j]);                                                           \
    }                                                                                                                  \
    if (map->has_missing)                                                                                              \
      for (size_t j = 0; j < n; j++) {                                                                                 \
        const uint8_t code = (uint8_t)(codes[j] + (codes[j] >= after[j])), own = missing[j];                           \
        codes[j] = (integer)PICK(row[j]) == absent ? own : code;                                                       \
      }                                                                                                                \
    if (stride > 1)                                                                                                    \
      for (size_t j = 0; j < n; j++)                                                                                   \
        codes[j] = (uint8_t)(codes[j] * stride);                                                                       \
  }                                                                                                                    \
  ZML_TARGET static void name(const integer *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map,      \
                              uint8_t *const *rows) {                                                                  \
    int half;                                                                                                          \
    const size_t n_words = words_of(map->n_columns, map->width, &half);                                                \
    const size_t at_once = STRIP_COLUMNS / 32 * (size_t)map->width, word_columns = 32 / (size_t)map->width;            \
    for (size_t i = 0; i < n_rows; i++) {                                                                              \
      fetch_ahead(rows, i, n_rows, 4 * n_words);                                                                       \
      for (size_t word = 0; word < n_words; word += at_once) {                                                         \
        ZML_ALIGNED uint32_t codes[STRIP_COLUMNS / 4];                                                                 \
        const size_t count = n_words - word < at_once ? n_words - word : at_once, first = word * word_columns;         \
        const size_t left = map->n_columns - first, n = left < STRIP_COLUMNS ? left : STRIP_COLUMNS;                   \
        if (n < STRIP_COLUMNS)                                                                                         \
          memset(codes, 0, sizeof codes);                                                                              \
        name##_strip(block + (ptrdiff_t)i * row_stride + first, map, first, n, (uint8_t *)codes);                      \
        store_codes(codes, map->width, count, half && word + count == n_words, rows[i] + 4 * word);                    \
      }                                                                                                                \
    }                                                                                                                  \
  }

/* A row of integers as fields, the first column's in the lowest bits; `strip` makes codes of some of its columns. */
#define DEFINE_FIELDS_OF_INTEGERS(name, integer, strip)                                                                \
  ZML_TARGET static void name(const integer *row, const zml_integers *map, uint8_t *to) {                              \
    for (size_t first = 0; first < map->n_columns; first += STRIP_COLUMNS) {                                           \
      ZML_ALIGNED uint8_t codes[STRIP_COLUMNS];                                                                        \
      const size_t left = map->n_columns - first, n = left < STRIP_COLUMNS ? left : STRIP_COLUMNS;                     \
      strip(row + first, map, first, n, codes);                                                                        \
      const size_t whole = (n + ZML_FIELD_COLUMNS - 1) / ZML_FIELD_COLUMNS * ZML_FIELD_COLUMNS;                        \
      memset(codes + n, 0, whole - n);                                                                                 \
      uint8_t *place = to + first * (size_t)map->width / 8;                                                            \
      switch (map->width) { /* a constant of each */                                                                   \
      case 1:                                                                                                          \
        join_fields(codes, whole, 1, place);                                                                           \
        break;                                                                                                         \
      case 2:                                                                                                          \
        join_fields(codes, whole, 2, place);                                                                           \
        break;                                                                                                         \
      case 4:                                                                                                          \
        join_fields(codes, whole, 4, place);                                                                           \
        break;                                                                                                         \
      default:                                                                                                         \
        memcpy(place, codes, whole);                                                                                   \
      }                                                                                                                \
    }                                                                                                                  \
  }
#define ITSELF(x) (x)
#define PAIR_0(x) ((x) & 3)
#define PAIR_1(x) ((x) >> 2 & 3)
#define PAIR_2(x) ((x) >> 4 & 3)
#define PAIR_3(x) ((x) >> 6)
DEFINE_ENCODE_INTEGERS(encode_u8, uint8_t, ITSELF)
DEFINE_ENCODE_INTEGERS(encode_u16, uint16_t, ITSELF)
DEFINE_FIELDS_OF_INTEGERS(fields_of_u8, uint8_t, encode_u8_strip)
DEFINE_FIELDS_OF_INTEGERS(fields_of_u16, uint16_t, encode_u16_strip)
DEFINE_ENCODE_INTEGERS(encode_pair_0, uint8_t, PAIR_0)
DEFINE_ENCODE_INTEGERS(encode_pair_1, uint8_t, PAIR_1)
DEFINE_ENCODE_INTEGERS(encode_pair_2, uint8_t, PAIR_2)
DEFINE_ENCODE_INTEGERS(encode_pair_3, uint8_t, PAIR_3)

ZML_TARGET static void encode_pairs(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map,
                                    uint8_t *const *rows) {
  zml_encode_u8 *const encode[4] = {encode_pair_0, encode_pair_1, encode_pair_2, encode_pair_3};
  encode[map->pair](block, row_stride, n_rows, map, rows);
}

/* Four rows at a time, for every one would read and write the ranges; behind the last one comes the first again. */
#define DEFINE_RANGE_OF_INTEGERS(name, integer)                                                                        \
  ZML_TARGET static void name(const integer *block, ptrdiff_t stride, size_t n_rows, size_t n_columns, integer sign,   \
                              integer *restrict low, integer *restrict high) {                                         \
    for (size_t i = 0; i < n_rows; i += 4) {                                                                           \
      const integer *a = block + (ptrdiff_t)i * stride, *b = i + 1 < n_rows ? a + stride : a;                          \
      const integer *c = i + 2 < n_rows ? b + stride : a, *d = i + 3 < n_rows ? c + stride : a;                        \
      for (size_t j = 0; j < n_columns; j++) {                                                                         \
        const integer p = a[j] ^ sign, q = b[j] ^ sign, r = c[j] ^ sign, s = d[j] ^ sign;                              \
        const integer least_p = p < q ? p : q, least_r = r < s ? r : s, most_p = p > q ? p : q,                        \
                      most_r = r > s ? r : s;                                                                          \
        const integer least = least_p < least_r ? least_p : least_r, most = most_p > most_r ? most_p : most_r;         \
        low[j] = least < low[j] ? least : low[j];                                                                      \
        high[j] = most > high[j] ? most : high[j];                                                                     \
      }                                                                                                                \
    }                                                                                                                  \
  }
DEFINE_RANGE_OF_INTEGERS(range_u8, uint8_t)
DEFINE_RANGE_OF_INTEGERS(range_u16, uint16_t)

/* Exchanges the bits of a mask with those `distance` above them. */
ZML_TARGET_INLINE uint32_t swap_bits(uint32_t x, int distance, uint32_t mask) {
  const uint32_t moved = (x >> distance ^ x) & mask;
  return x ^ moved ^ moved << distance;
}

/* Fields of four bytes, the first column's in the lowest or, with `high_first`, the highest bits of the first one, to a
 * word of a row: column 4 k + c to field k of byte c. Numbers of bits have their own bits permuted, a pair at a time.
 */
ZML_TARGET_INLINE uint32_t word_of_fields(uint32_t x, int width, int high_first) {
  if (high_first) { /* the fields of every byte back to front */
    if (width == 1)
      x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    if (width <= 2)
      x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  }
  if (width == 4)
    return swap_bits(swap_bits(x, 4, 0x00f000f0u), 12, 0x0000f0f0u);
  if (width == 1)
    x = swap_bits(swap_bits(x, 1, 0x22222222u), 3, 0x0a0a0a0au);
  return swap_bits(swap_bits(x, 6, 0x00cc00ccu), 12, 0x0000f0f0u);
}

ZML_TARGET_INLINE void fields_of_row(const uint8_t *row, size_t n_columns, int width, int high_first, uint8_t *to) {
  enum { AT_ONCE = 64 };
  int half;
  const size_t n_words = words_of(n_columns, width, &half), n_bytes = (n_columns * (size_t)width + 7) / 8;
  const size_t last = (n_columns * (size_t)width - 1) / 32; /* the word of the last column */
  const uint32_t there = (uint32_t)(((uint64_t)1 << (n_columns * (size_t)width - 32 * last)) - 1);
  for (size_t word = 0; word < n_words; word += AT_ONCE) {
    ZML_ALIGNED uint32_t words[AT_ONCE];
    const size_t count = n_words - word < AT_ONCE ? n_words - word : AT_ONCE;
    const size_t left = n_bytes > 4 * word ? n_bytes - 4 * word : 0;
    if (left < sizeof words)
      memset(words, 0, sizeof words);
    memcpy(words, row + 4 * word, left < sizeof words ? left : sizeof words);
    for (size_t l = 0; l < AT_ONCE; l++)
      words[l] = word_of_fields(words[l], width, high_first);
    if (last - word < AT_ONCE)
      words[last - word] &= word_of_fields(there, width, 0);
    const size_t whole = half && word + count == n_words ? count - 1 : count;
    memcpy(to + 4 * word, words, 4 * whole);
    if (whole < count)
      zml_join_word((const uint8_t *)(words + whole), to + 4 * (word + whole));
  }
}

ZML_TARGET static void encode_fields(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns,
                                     int width, int high_first, uint8_t *const *rows) {
#define WITH_ORDER(constant)                                                                                           \
  if (high_first)                                                                                                      \
    fields_of_row(row, n_columns, constant, 1, rows[i]);                                                               \
  else                                                                                                                 \
    fields_of_row(row, n_columns, constant, 0, rows[i]);                                                               \
  break;
  const size_t row_bytes = zml_row_bytes(zml_padded_columns(n_columns), width);
  for (size_t i = 0; i < n_rows; i++) {
    const uint8_t *row = block + (ptrdiff_t)i * row_stride;
    fetch_ahead(rows, i, n_rows, row_bytes);
    switch (width) {
    case 1:
      WITH_ORDER(1)
    case 2:
      WITH_ORDER(2)
    default:
      WITH_ORDER(4)
    }
  }
#undef WITH_ORDER
}

/* float32 of float16, both as their bits. */
ZML_TARGET_INLINE void widen_words(const uint16_t *from, uint32_t *to) {
  uint32_t size[WORDS], tiny_bits[WORDS];
  float tiny[WORDS];
  ZML_WORDS(l)
  size[l] = from[l] & 0x7fffu;
  ZML_WORDS(l)
  tiny[l] = (float)(int32_t)size[l] * 0x1p-24f;
  memcpy(tiny_bits, tiny, sizeof tiny);
  ZML_WORDS(l) {
    const uint32_t exponent = size[l] >= 0x7c00u ? 224u << 23 : 112u << 23; /* infinity and NaN keep the largest one */
    const uint32_t bits = size[l] < 0x400u ? tiny_bits[l] : (size[l] << 13) + exponent;
    to[l] = bits | (from[l] & 0x8000u) << 16;
  }
}

ZML_TARGET static void widen_f16(const uint16_t *from, size_t n, uint32_t *to) {
  size_t i = 0;
  for (; i + WORDS <= n; i += WORDS)
    widen_words(from + i, to + i);
  if (i < n) {
    uint16_t last[WORDS] = {0};
    uint32_t words[WORDS];
    memcpy(last, from + i, (n - i) * sizeof *from);
    widen_words(last, words);
    memcpy(to + i, words, (n - i) * sizeof *to);
  }
}
