/* Grid coordinates for AVX2; part of avx2.c. See coordinates-inl.h. */

/* The map to the grid of 16 columns from one on, or of one column in all lanes. */
typedef struct {
  __m256 offset[2], scale[2], top[2];
} Map_f32;
typedef struct {
  __m256d offset[4], scale[4], top[4];
} Map_f64;

#define DEFINE_MAPS(suffix, real, parts, load, set)                                                                    \
  ZML_TARGET_INLINE Map_##suffix map_across_##suffix(const zml_affine_##suffix *a, size_t j) {                         \
    Map_##suffix map;                                                                                                  \
    for (size_t k = 0; k < (parts); k++) {                                                                             \
      map.offset[k] = load(a->offset + j + 16 / (parts) * k);                                                          \
      map.scale[k] = load(a->scale + j + 16 / (parts) * k);                                                            \
      map.top[k] = load(a->top + j + 16 / (parts) * k);                                                                \
    }                                                                                                                  \
    return map;                                                                                                        \
  }                                                                                                                    \
  ZML_TARGET_INLINE Map_##suffix map_along_##suffix(const zml_affine_##suffix *a, size_t j) {                          \
    Map_##suffix map;                                                                                                  \
    for (size_t k = 0; k < (parts); k++) {                                                                             \
      map.offset[k] = set(a->offset[j]);                                                                               \
      map.scale[k] = set(a->scale[j]);                                                                                 \
      map.top[k] = set(a->top[j]);                                                                                     \
    }                                                                                                                  \
    return map;                                                                                                        \
  }
DEFINE_MAPS(f32, float, 2, _mm256_loadu_ps, _mm256_set1_ps)
DEFINE_MAPS(f64, double, 4, _mm256_loadu_pd, _mm256_set1_pd)

/* Coordinates of 8 values, those from 8 * k on. */
ZML_TARGET_INLINE __m256i eight_f32(const float *values, size_t k, const Map_f32 *map) {
  __m256 t = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(values + 8 * k), map->offset[k]), map->scale[k]);
  t = _mm256_min_ps(_mm256_max_ps(t, _mm256_setzero_ps()), map->top[k]);
  return _mm256_cvtps_epi32(t);
}

ZML_TARGET_INLINE __m256i eight_f64(const double *values, size_t k, const Map_f64 *map) {
  __m128i four[2];
  for (size_t l = 0; l < 2; l++) {
    const size_t part = 2 * k + l;
    __m256d t = _mm256_sub_pd(_mm256_loadu_pd(values + 4 * part), map->offset[part]);
    t = _mm256_mul_pd(t, map->scale[part]);
    t = _mm256_min_pd(_mm256_max_pd(t, _mm256_setzero_pd()), map->top[part]);
    four[l] = _mm256_cvtpd_epi32(t);
  }
  return _mm256_inserti128_si256(_mm256_castsi128_si256(four[0]), four[1], 1);
}

/* Which pair of 16 columns a word is of after two registers of 8 columns were packed. */
#define PAIR_OF_WORD(word) ((word) / 2 % 2 * 4 + (word) / 4 * 2 + (word) % 2)

/* Adds words of 8 rows of a pair, times the pair's multipliers, to the rows' content. */
ZML_TARGET_INLINE __m256i with_content(__m256i sum, __m256i words, uint32_t key) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi32((int)key)));
}

#define DEFINE_COORDINATES(suffix, real)                                                                               \
  /* 8 rows, of which so many exist, and 16 columns */                                                                 \
  ZML_TARGET_INLINE void square_##suffix(const real *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,         \
                                         const Map_##suffix *map, const uint32_t *keys, const uint32_t *keys2,         \
                                         uint32_t *pairs, uint32_t *sum, uint32_t *sum2) {                             \
    __m256i a[8];                                                                                                      \
    _Pragma("GCC unroll 8") for (size_t i = 0; i < 8; i++) {                                                           \
      const real *row = block + (ptrdiff_t)i * stride;                                                                 \
      real full[16];                                                                                                   \
      if (i >= n_rows) {                                                                                               \
        a[i] = _mm256_setzero_si256();                                                                                 \
        continue;                                                                                                      \
      }                                                                                                                \
      if (n_columns < 16) {                                                                                            \
        memset(full, 0, sizeof full);                                                                                  \
        memcpy(full, row, n_columns * sizeof *row);                                                                    \
        row = full;                                                                                                    \
      }                                                                                                                \
      a[i] = _mm256_packus_epi32(eight_##suffix(row, 0, map), eight_##suffix(row, 1, map));                            \
    }                                                                                                                  \
    transpose_registers(a);                                                                                            \
    __m256i s = _mm256_loadu_si256((const __m256i *)sum), s2 = _mm256_loadu_si256((const __m256i *)sum2);              \
    _Pragma("GCC unroll 8") for (size_t word = 0; word < 8; word++) {                                                  \
      _mm256_storeu_si256((__m256i *)(pairs + PAIR_OF_WORD(word) * ZML_TILE_ROWS), a[word]);                           \
      s = with_content(s, a[word], keys[PAIR_OF_WORD(word)]);                                                          \
      s2 = with_content(s2, a[word], keys2[PAIR_OF_WORD(word)]);                                                       \
    }                                                                                                                  \
    _mm256_storeu_si256((__m256i *)sum, s);                                                                            \
    _mm256_storeu_si256((__m256i *)sum2, s2);                                                                          \
  }                                                                                                                    \
  ZML_TARGET static void coordinates_of_rows_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,              \
                                                      const zml_codebook *book, const zml_affine_##suffix *affine,     \
                                                      uint32_t *pairs, Content *content) {                             \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 16) /* a line of words of each pair */                      \
      for (size_t j = 0; j < padded; j += 16) {                                                                        \
        const Map_##suffix map = map_across_##suffix(affine, j);                                                       \
        const uint32_t *keys = book->multipliers[0] + j / 2, *keys2 = book->multipliers[1] + j / 2;                    \
        for (size_t i = first; i < first + 16; i += 8) {                                                               \
          const real *rows = block + (ptrdiff_t)i * stride + j;                                                        \
          uint32_t *to = pairs + j / 2 * ZML_TILE_ROWS + i, *sum = content->sum[0] + i, *sum2 = content->sum[1] + i;   \
          if (n_rows >= i + 8 && j + 16 <= n_columns)                                                                  \
            square_##suffix(rows, stride, 8, 16, &map, keys, keys2, to, sum, sum2);                                    \
          else                                                                                                         \
            square_##suffix(rows, stride, n_rows > i ? n_rows - i : 0, j < n_columns ? n_columns - j : 0, &map, keys,  \
                            keys2, to, sum, sum2);                                                                     \
        }                                                                                                              \
      }                                                                                                                \
  }                                                                                                                    \
  /* Coordinates of 16 rows of a column in words, of which so many exist */                                            \
  ZML_TARGET_INLINE void sixteen_##suffix(const real *column, size_t n_rows, const Map_##suffix *map,                  \
                                          __m256i *words) {                                                            \
    real full[16];                                                                                                     \
    ZML_ALIGNED uint32_t there[16];                                                                                    \
    if (n_rows < 16) {                                                                                                 \
      memset(full, 0, sizeof full);                                                                                    \
      memcpy(full, column, n_rows * sizeof *column);                                                                   \
      column = full;                                                                                                   \
    }                                                                                                                  \
    for (size_t k = 0; k < 2; k++)                                                                                     \
      words[k] = eight_##suffix(column, k, map);                                                                       \
    if (n_rows < 16) {                                                                                                 \
      for (size_t i = 0; i < 16; i++)                                                                                  \
        there[i] = i < n_rows ? 0xffffffffu : 0;                                                                       \
      for (size_t k = 0; k < 2; k++)                                                                                   \
        words[k] = _mm256_and_si256(words[k], _mm256_load_si256((const __m256i *)there + k));                          \
    }                                                                                                                  \
  }                                                                                                                    \
  ZML_TARGET static void coordinates_of_columns_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,           \
                                                         const zml_codebook *book, const zml_affine_##suffix *affine,  \
                                                         uint32_t *pairs, Content *content) {                          \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    for (size_t j = 0; j < padded; j += 2) {                                                                           \
      const real *column = block + (ptrdiff_t)j * stride;                                                              \
      const size_t next = j + 1 < n_columns ? j + 1 : j;                                                               \
      const Map_##suffix map = map_along_##suffix(affine, j), map2 = map_along_##suffix(affine, next);                 \
      for (size_t first = 0; first < ZML_TILE_ROWS; first += 16) {                                                     \
        const size_t count = n_rows <= first ? 0 : n_rows - first < 16 ? n_rows - first : 16;                          \
        __m256i a[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, b[2] = {a[0], a[0]};                          \
        if (j < n_columns && count)                                                                                    \
          sixteen_##suffix(column + first, count, &map, a);                                                            \
        if (j + 1 < n_columns && count)                                                                                \
          sixteen_##suffix(column + stride + first, count, &map2, b);                                                  \
        for (size_t k = 0; k < 2; k++) {                                                                               \
          const __m256i words = _mm256_or_si256(a[k], _mm256_slli_epi32(b[k], 16));                                    \
          __m256i *sum = (__m256i *)(content->sum[0] + first) + k, *sum2 = (__m256i *)(content->sum[1] + first) + k;   \
          _mm256_storeu_si256((__m256i *)(pairs + j / 2 * ZML_TILE_ROWS + first) + k, words);                          \
          _mm256_storeu_si256(sum, with_content(_mm256_loadu_si256(sum), words, book->multipliers[0][j / 2]));         \
          _mm256_storeu_si256(sum2, with_content(_mm256_loadu_si256(sum2), words, book->multipliers[1][j / 2]));       \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
DEFINE_COORDINATES(f32, float)
DEFINE_COORDINATES(f64, double)
