/* Grid coordinates for AVX-512; part of avx512.c. See coordinates-inl.h. */

ZML_TARGET_INLINE __mmask16 first_of_16(size_t count) { return (__mmask16)(count >= 16 ? 0xffff : (1u << count) - 1); }

/* The map to the grid of 16 columns, or of one in all lanes. */
typedef struct {
  __m512 offset, scale, top;
} Map_f32;
typedef struct {
  __m512d offset[2], scale[2], top[2];
} Map_f64;

ZML_TARGET_INLINE Map_f32 map_across_f32(const zml_affine_f32 *a, size_t j) {
  return (Map_f32){_mm512_loadu_ps(a->offset + j), _mm512_loadu_ps(a->scale + j), _mm512_loadu_ps(a->top + j)};
}

ZML_TARGET_INLINE Map_f64 map_across_f64(const zml_affine_f64 *a, size_t j) {
  Map_f64 map;
  for (size_t k = 0; k < 2; k++) {
    map.offset[k] = _mm512_loadu_pd(a->offset + j + 8 * k);
    map.scale[k] = _mm512_loadu_pd(a->scale + j + 8 * k);
    map.top[k] = _mm512_loadu_pd(a->top + j + 8 * k);
  }
  return map;
}

ZML_TARGET_INLINE Map_f32 map_along_f32(const zml_affine_f32 *a, size_t j) {
  return (Map_f32){_mm512_set1_ps(a->offset[j]), _mm512_set1_ps(a->scale[j]), _mm512_set1_ps(a->top[j])};
}

ZML_TARGET_INLINE Map_f64 map_along_f64(const zml_affine_f64 *a, size_t j) {
  const __m512d offset = _mm512_set1_pd(a->offset[j]), scale = _mm512_set1_pd(a->scale[j]),
                top = _mm512_set1_pd(a->top[j]);
  return (Map_f64){{offset, offset}, {scale, scale}, {top, top}};
}

/* Coordinates of 16 values; 0 where there is no value. Numbers that are not negative compare as integers do, and of
 * integers a processor compares more at a time. */
ZML_TARGET_INLINE __m512i shorts_f32(const float *values, __mmask16 there, const Map_f32 *map) {
  const __m512 value = there == 0xffff ? _mm512_loadu_ps(values) : _mm512_maskz_loadu_ps(there, values);
  const __m512 t = _mm512_mul_ps(_mm512_sub_ps(value, map->offset), map->scale);
  const __m512i inside =
      _mm512_min_epi32(_mm512_max_epi32(_mm512_castps_si512(t), _mm512_setzero_si512()), _mm512_castps_si512(map->top));
  const __m512i shorts = _mm512_cvtps_epi32(_mm512_castsi512_ps(inside));
  return there == 0xffff ? shorts : _mm512_maskz_mov_epi32(there, shorts);
}

ZML_TARGET_INLINE __m512i shorts_f64(const double *values, __mmask16 there, const Map_f64 *map) {
  __m256i half[2];
  for (size_t k = 0; k < 2; k++) {
    const __m512d value = there == 0xffff ? _mm512_loadu_pd(values + 8 * k)
                                          : _mm512_maskz_loadu_pd((__mmask8)(there >> 8 * k), values + 8 * k);
    __m512d t = _mm512_mul_pd(_mm512_sub_pd(value, map->offset[k]), map->scale[k]);
    t = _mm512_min_pd(_mm512_max_pd(t, _mm512_setzero_pd()), map->top[k]);
    half[k] = _mm512_cvtpd_epi32(t);
  }
  const __m512i shorts = _mm512_inserti64x4(_mm512_castsi256_si512(half[0]), half[1], 1);
  return there == 0xffff ? shorts : _mm512_maskz_mov_epi32(there, shorts);
}

/* Which of the 16 pairs of 32 columns a word is of after two registers of 16 columns were packed. */
#define PAIR_OF_WORD(word) ((word) % 4 < 2 ? (word) / 4 * 2 + (word) % 2 : 8 + (word) / 4 * 2 + (word) % 2)

#define DEFINE_COORDINATES(suffix, real)                                                                               \
  /* 16 rows and 32 columns; with `pairs_there` below 16, only so many pairs exist */                                  \
  ZML_TARGET_INLINE void square_##suffix(const real *block, ptrdiff_t stride, size_t n_rows, __mmask16 there,          \
                                         __mmask16 there2, size_t pairs_there, const zml_affine_##suffix *affine,      \
                                         size_t j, const uint32_t *keys, const uint32_t *keys2, uint32_t *pairs,       \
                                         uint32_t *sum, uint32_t *sum2) {                                              \
    const Map_##suffix map = map_across_##suffix(affine, j);                                                           \
    const Map_##suffix map2 = map_across_##suffix(affine, pairs_there > 8 ? j + 16 : j);                               \
    __m512i a[16];                                                                                                     \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < 16; i++) {                                                         \
      const real *row = block + (ptrdiff_t)i * stride + j;                                                             \
      a[i] = i < n_rows                                                                                                \
                 ? _mm512_packus_epi32(shorts_##suffix(row, there, &map), shorts_##suffix(row + 16, there2, &map2))    \
                 : _mm512_setzero_si512();                                                                             \
    }                                                                                                                  \
    transpose_registers(a);                                                                                            \
    __m512i s = _mm512_loadu_si512(sum), s2 = _mm512_loadu_si512(sum2);                                                \
    _Pragma("GCC unroll 16") for (size_t word = 0; word < 16; word++) {                                                \
      if (PAIR_OF_WORD(word) >= pairs_there)                                                                           \
        continue;                                                                                                      \
      _mm512_storeu_si512(pairs + PAIR_OF_WORD(word) * ZML_TILE_ROWS, a[word]);                                        \
      s = _mm512_dpwssd_epi32(s, a[word], set(keys[PAIR_OF_WORD(word)]));                                              \
      s2 = _mm512_dpwssd_epi32(s2, a[word], set(keys2[PAIR_OF_WORD(word)]));                                           \
    }                                                                                                                  \
    _mm512_storeu_si512(sum, s);                                                                                       \
    _mm512_storeu_si512(sum2, s2);                                                                                     \
  }                                                                                                                    \
  ZML_TARGET static void coordinates_of_rows_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,              \
                                                      const zml_codebook *book, const zml_affine_##suffix *affine,     \
                                                      uint32_t *pairs, Content *content) {                             \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 16)                                                         \
      for (size_t j = 0; j < padded; j += 32) {                                                                        \
        const real *rows = block + (ptrdiff_t)first * stride;                                                          \
        const size_t count = n_rows > first ? n_rows - first : 0;                                                      \
        const uint32_t *keys = book->multipliers[0] + j / 2, *keys2 = book->multipliers[1] + j / 2;                    \
        uint32_t *to = pairs + j / 2 * ZML_TILE_ROWS + first;                                                          \
        uint32_t *sum = content->sum[0] + first, *sum2 = content->sum[1] + first;                                      \
        if (count >= 16 && j + 32 <= n_columns)                                                                        \
          square_##suffix(rows, stride, 16, 0xffff, 0xffff, 16, affine, j, keys, keys2, to, sum, sum2);                \
        else                                                                                                           \
          square_##suffix(rows, stride, count, first_of_16(n_columns - j),                                             \
                          n_columns > j + 16 ? first_of_16(n_columns - j - 16) : 0, padded > j + 16 ? 16 : 8, affine,  \
                          j, keys, keys2, to, sum, sum2);                                                              \
      }                                                                                                                \
  }                                                                                                                    \
  ZML_TARGET static void coordinates_of_columns_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,           \
                                                         const zml_codebook *book, const zml_affine_##suffix *affine,  \
                                                         uint32_t *pairs, Content *content) {                          \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    __mmask16 there[4];                                                                                                \
    __m512i sum[4], sum2[4];                                                                                           \
    for (size_t plane = 0; plane < 4; plane++) {                                                                       \
      there[plane] = n_rows > 16 * plane ? first_of_16(n_rows - 16 * plane) : 0;                                       \
      sum[plane] = sum2[plane] = _mm512_setzero_si512();                                                               \
    }                                                                                                                  \
    for (size_t j = 0; j < padded; j += 2) {                                                                           \
      const real *column = block + (ptrdiff_t)j * stride;                                                              \
      const size_t next = j + 1 < n_columns ? j + 1 : j;                                                               \
      const Map_##suffix map = map_along_##suffix(affine, j), map2 = map_along_##suffix(affine, next);                 \
      const __m512i key = set(book->multipliers[0][j / 2]), key2 = set(book->multipliers[1][j / 2]);                   \
      for (size_t plane = 0; plane < 4; plane++) {                                                                     \
        __m512i pair = _mm512_setzero_si512();                                                                         \
        if (j < n_columns)                                                                                             \
          pair = shorts_##suffix(column + 16 * plane, there[plane], &map);                                             \
        if (j + 1 < n_columns)                                                                                         \
          pair = _mm512_or_si512(                                                                                      \
              pair, _mm512_slli_epi32(shorts_##suffix(column + stride + 16 * plane, there[plane], &map2), 16));        \
        _mm512_storeu_si512(pairs + j / 2 * ZML_TILE_ROWS + 16 * plane, pair);                                         \
        sum[plane] = _mm512_dpwssd_epi32(sum[plane], pair, key);                                                       \
        sum2[plane] = _mm512_dpwssd_epi32(sum2[plane], pair, key2);                                                    \
      }                                                                                                                \
    }                                                                                                                  \
    for (size_t plane = 0; plane < 4; plane++) {                                                                       \
      _mm512_storeu_si512(content->sum[0] + 16 * plane, sum[plane]);                                                   \
      _mm512_storeu_si512(content->sum[1] + 16 * plane, sum2[plane]);                                                  \
    }                                                                                                                  \
  }
DEFINE_COORDINATES(f32, float)
DEFINE_COORDINATES(f64, double)
