/* Products with many vectors with AVX2: values of 16 bits, two terms at a time by vpmaddwd, which is exact where
 * vpmaddubsw saturates (255 * 127 twice). */
#include "format/compiler.h"

#if ZML_HAS_X86
#define ZML_TARGET __attribute__((target("avx2")))
#include "format/decode_avx2-inl.h"
#include "products/matmul.h"
#include "products/avx2_sums-inl.h"
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

/* Four vectors by one panel. What limits is 4 vector operations a cycle: each product takes an addition. 8 sums, 2
 * registers of the panel, one of factors and one for a product. */
ZML_TARGET_INLINE void multiply_four(const uint8_t *panel, const uint8_t *vectors, size_t depth, int scale, int fresh,
                                     int64_t (*sums)[ZML_PANEL]) {
  enum { BYTES = 2 * 2 * ZML_PANEL, UNROLLED = 4 };
  __m256i left[ZML_VECTORS_AT_ONCE], right[ZML_VECTORS_AT_ONCE];
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    left[v] = right[v] = _mm256_setzero_si256();
  for (const uint8_t *end = panel + 2 * ZML_PANEL * depth; panel < end;) {
    for (int u = 0; u < UNROLLED; u++, panel += BYTES, vectors += BYTES) {
      const __m256i a = _mm256_loadu_si256((const __m256i *)panel);
      const __m256i b = _mm256_loadu_si256((const __m256i *)(panel + BYTES / 2));
      for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
        int32_t two;
        memcpy(&two, vectors + 4 * v, sizeof two);
        const __m256i factors = _mm256_set1_epi32(two);
        left[v] = add_products(left[v], a, factors);
        right[v] = add_products(right[v], b, factors);
      }
    }
  }
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
    add_eight(sums[v], left[v], scale, fresh);
    add_eight(sums[v] + 8, right[v], scale, fresh);
  }
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *to) {
  const zml_factors f = *factors;
  for (size_t v = 0; v < f.n_vectors; v += ZML_VECTORS_AT_ONCE)
    for (size_t p = 0; p < f.n_panels; p++)
      multiply_four(f.panels + p * 32 * f.depth, f.vectors + v / ZML_PANEL * 32 * f.depth + 4 * (v % ZML_PANEL),
                    f.depth, to->scale, to->fresh, to->sums + p * to->stride + v);
}

#include "products/widths-inl.h"

const zml_matmul zml_matmul_avx2 = {
    .depth = ZML_SHORT_DEPTH,
    .few = &zml_matmul_avx2_few,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
