/* Kernels for AVX2: a plane of a column group is two registers of 8 rows by 4 columns.
 *
 * vpmaddubsw would saturate (255 * 127 twice), so bytes are widened to 16 bits and multiplied by vpmaddwd, exactly. */
#include "format/compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>

#define ZML_TARGET __attribute__((target("avx2")))
#include "encoding/encode.h"
#include "format/decode_avx2-inl.h"
#include "format/widen_avx2-inl.h"
#include "passes/vector-inl.h"
#include "products/matmul.h"

/* A tile is taken in blocks of columns that stay in the first-level cache while its planes go by, one after the other.
 */
enum { BLOCK_GROUPS = 128, AHEAD_BYTES = 4096 };

/* Four signed bytes as 16-bit numbers, in every quarter. */
ZML_TARGET_INLINE __m256i four_of(const int8_t *bytes) {
  int32_t four;
  memcpy(&four, bytes, sizeof four);
  return _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

/* Pairs of products, summed: of the lower (0) or upper (1) 8 bytes of each 128-bit lane. */
ZML_TARGET_INLINE __m256i products_of(__m256i bytes, __m256i factors, int upper) {
  const __m256i zero = _mm256_setzero_si256();
  return _mm256_madd_epi16(upper ? _mm256_unpackhi_epi8(bytes, zero) : _mm256_unpacklo_epi8(bytes, zero), factors);
}

/* Rows of 4 accumulators, each two partial sums of 4 rows, in order. */
ZML_TARGET_INLINE void add_rows(const __m256i *sum, int32_t *out) {
  for (int half = 0; half < 2; half++) {
    /* lanes: rows 0 1 2 3 | 4 5 6 7 */
    const __m256i rows = _mm256_hadd_epi32(sum[2 * half], sum[2 * half + 1]);
    __m256i *to = (__m256i *)(out + 8 * half);
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), rows));
  }
}

ZML_TARGET_INLINE void dot(const zml_samples *x, const int8_t *digits, size_t stride, int32_t *out, int width,
                           int n_digits) {
  const size_t groups = x->columns / ZML_GROUP_COLUMNS;
  const int whole = x->last - x->first == ZML_TILE_ROWS / ZML_PLANE_ROWS;
  for (int k = 0; k < n_digits; k++)
    memset(out + k * ZML_TILE_ROWS + x->first * ZML_PLANE_ROWS, 0,
           sizeof *out * (size_t)((x->last - x->first) * ZML_PLANE_ROWS));
  for (size_t start = 0; start < groups; start += BLOCK_GROUPS) {
    const size_t stop = groups - start < BLOCK_GROUPS ? groups : start + BLOCK_GROUPS;
    for (int plane = x->first; plane < x->last; plane++) {
      __m256i high[4], low[4];
      for (int k = 0; k < 4; k++)
        high[k] = low[k] = _mm256_setzero_si256();
      for (size_t group = start; group < stop; group++) {
        if (whole && plane == 0)
          fetch_lines(x->tile + AHEAD_BYTES, group, 32 * width);
        const Table levels = table_of(x->table, group, width);
        const __m256i m = four_of(digits + group * ZML_GROUP_COLUMNS);
        const __m256i m2 = n_digits > 1 ? four_of(digits + stride + group * ZML_GROUP_COLUMNS) : m;
        for (int half = 0; half < 2; half++) {
          const __m256i g = levels_of(x->tile, group, plane, half, levels, width);
          for (int upper = 0; upper < 2; upper++) {
            high[2 * half + upper] = _mm256_add_epi32(high[2 * half + upper], products_of(g, m, upper));
            if (n_digits > 1)
              low[2 * half + upper] = _mm256_add_epi32(low[2 * half + upper], products_of(g, m2, upper));
          }
        }
      }
      add_rows(high, out + plane * ZML_PLANE_ROWS);
      if (n_digits > 1)
        add_rows(low, out + ZML_TILE_ROWS + plane * ZML_PLANE_ROWS);
    }
  }
}

/* Sums of 4 columns out of the partial sums of columns 0, 1 (lower) and 2, 3 (upper), two in each 128-bit lane. */
ZML_TARGET_INLINE void store_columns(__m256i lower, __m256i upper, int32_t *out) {
  const __m256i sums = _mm256_hadd_epi32(lower, upper); /* columns 0 1 2 3 | 0 1 2 3 */
  _mm_storeu_si128((__m128i *)out, _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
}

ZML_TARGET_INLINE void gradient(const zml_samples *x, const int8_t *digits, int32_t *out, size_t out_stride, int width,
                                int n_digits) {
  const __m256i transpose = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)); /* 4 x 4 in each lane */
  __m256i r[2][4][2]; /* the residuals of the 4 rows of each lane, twice */
  for (int plane = x->first; plane < x->last; plane++)
    for (int half = 0; half < 2; half++)
      for (int k = 0; k < n_digits; k++) {
        const int8_t *row = digits + k * ZML_TILE_ROWS + plane * ZML_PLANE_ROWS + 8 * half;
        r[k][plane][half] = _mm256_permute2x128_si256(four_of(row), four_of(row + 4), 0x20);
      }
  for (size_t group = 0; group < x->columns / ZML_GROUP_COLUMNS; group++) {
    if (group % 4 == 0)
      fetch_ahead(x->ahead, group / 4, width, x->last - x->first);
    const Table levels = table_of(x->table, group, width);
    __m256i high[2], low[2];
    for (int upper = 0; upper < 2; upper++)
      high[upper] = low[upper] = _mm256_setzero_si256();
    for (int plane = x->first; plane < x->last; plane++)
      for (int half = 0; half < 2; half++) {
        const __m256i g = _mm256_shuffle_epi8(levels_of(x->tile, group, plane, half, levels, width), transpose);
        for (int upper = 0; upper < 2; upper++) {
          high[upper] = _mm256_add_epi32(high[upper], products_of(g, r[0][plane][half], upper));
          if (n_digits > 1)
            low[upper] = _mm256_add_epi32(low[upper], products_of(g, r[1][plane][half], upper));
        }
      }
    store_columns(high[0], high[1], out + group * ZML_GROUP_COLUMNS);
    if (n_digits > 1)
      store_columns(low[0], low[1], out + out_stride + group * ZML_GROUP_COLUMNS);
  }
}

#include "passes/widths-inl.h"

const zml_kernels zml_avx2 = {
    .name = "avx2",
    .encoding = &zml_encoding_avx2,
    .matmul = &zml_matmul_avx2,
    ZML_WIDTHS,
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
#endif
