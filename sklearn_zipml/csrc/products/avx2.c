/* Products with many vectors with AVX2: values of 16 bits, two terms at a time by vpmaddwd, which is exact where
 * vpmaddubsw saturates (255 * 127 twice). */
#include "format/compiler.h"

#if ZML_HAS_X86
#define ZML_TARGET __attribute__((target("avx2")))
#include "format/decode_avx2-inl.h"
#include "products/matmul.h"
enum { VALUE_BYTES = 2, UNIT = 2, SHIFT = 0 };
#include "products/vectors-inl.h"

/* 4 x 4 bytes of each 128-bit lane, [row][column], so that the two terms of a unit are neighbours and unpacking with
 * zeros makes them values: two rows of every column, or two columns of every row. */
ZML_TARGET_INLINE __m256i row_pairs(void) {
  return _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
}
ZML_TARGET_INLINE __m256i column_pairs(void) {
  return _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
}

ZML_TARGET_INLINE __m256i lower(__m256i bytes) { return _mm256_unpacklo_epi8(bytes, _mm256_setzero_si256()); }
ZML_TARGET_INLINE __m256i upper(__m256i bytes) { return _mm256_unpackhi_epi8(bytes, _mm256_setzero_si256()); }
ZML_TARGET_INLINE void store(uint8_t *to, __m256i values) { _mm256_storeu_si256((__m256i *)to, values); }

/* Two groups, 8 columns by 8 rows: four units of 8 columns. */
ZML_TARGET_INLINE void store_row_pairs(uint8_t *to, __m256i left, __m256i right) {
  left = _mm256_shuffle_epi8(left, row_pairs());
  right = _mm256_shuffle_epi8(right, row_pairs());
  store(to, _mm256_permute2x128_si256(lower(left), lower(right), 0x20));
  store(to + 64, _mm256_permute2x128_si256(upper(left), upper(right), 0x20));
  store(to + 128, _mm256_permute2x128_si256(lower(left), lower(right), 0x31));
  store(to + 192, _mm256_permute2x128_si256(upper(left), upper(right), 0x31));
}

ZML_TARGET_INLINE void panels_of_columns(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                         size_t stride, int width) {
  for (size_t pair = 0; pair < 2 * n_panels; pair++) {
    const Table left = table_of(table, 2 * pair, width), right = table_of(table, 2 * pair + 1, width);
    uint8_t *to = out + pair / 2 * stride + pair % 2 * 32;
    for (int plane = 0; plane < 4; plane++)
      for (int half = 0; half < 2; half++)
        store_row_pairs(to + 256 * (2 * plane + half), levels_of(tile, 2 * pair, plane, half, left, width),
                        levels_of(tile, 2 * pair + 1, plane, half, right, width));
  }
}

ZML_TARGET_INLINE void panels_of_rows(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                      size_t stride, int width) {
  for (size_t group = 0; group < 4 * n_panels; group++) {
    const Table levels = table_of(table, group, width);
    for (int plane = 0; plane < 4; plane++)
      for (int half = 0; half < 2; half++) {
        uint8_t *to = out + (size_t)plane * stride + 128 * group + 32 * half;
        const __m256i g = _mm256_shuffle_epi8(levels_of(tile, group, plane, half, levels, width), column_pairs());
        store(to, lower(g));
        store(to + 64, upper(g));
      }
  }
}

/* sum += two products. Written out, because compilers make all products first, for which registers do not suffice. */
ZML_TARGET_INLINE __m256i add_products(__m256i sum, __m256i values, __m256i factors) {
  const __m256i products = _mm256_madd_epi16(values, factors);
#ifdef ZML_EMULATED_AVX512 /* where registers are arrays */
  return _mm256_add_epi32(sum, products);
#else
  __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
  return sum;
#endif
}

ZML_TARGET_INLINE __m256i in_32_bits(__m256i sums) { return sums; }

#include "products/avx2_multiply-inl.h"
#include "products/widths-inl.h"

const zml_matmul zml_matmul_avx2 = {
    .depth = ZML_SHORT_DEPTH,
    .few = &zml_matmul_avx2_few,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
