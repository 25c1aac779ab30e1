/* Products of positions below ZML_FEW_POSITIONS with each other with AVX2: bytes, four terms at a time by vpmaddubsw,
 * whose sums of two products stay in 16 bits over a whole depth. Twice as many products a cycle as avx2.c has. */
#include "format/compiler.h"

#if ZML_HAS_X86
#define ZML_TARGET __attribute__((target("avx2")))
#include "format/decode_avx2-inl.h"
#include "products/matmul.h"
#include "products/avx2_sums-inl.h"
enum { VALUE_BYTES = 1, UNIT = 4, SHIFT = 0, DEPTH = ZML_SHORT_DEPTH };
#include "products/vectors-inl.h"

_Static_assert((ZML_FEW_POSITIONS - 1) * (ZML_FEW_POSITIONS - 1) * DEPTH / 2 <= INT16_MAX, "sums exceed 16 bits");

/* 4 x 4 bytes of each 128-bit lane, [row][column]: four rows of a column are neighbours. */
ZML_TARGET_INLINE void panels_of_columns(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                         size_t stride, int width) {
  const __m256i turn = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  for (size_t group = 0; group < 4 * n_panels; group++) {
    const Table levels = table_of(table, group, width);
    uint8_t *to = out + group / 4 * stride + group % 4 * 16;
    for (int plane = 0; plane < 4; plane++)
      for (int half = 0; half < 2; half++, to += 2 * 4 * ZML_PANEL) {
        const __m256i g = _mm256_shuffle_epi8(levels_of(tile, group, plane, half, levels, width), turn);
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(g));
        _mm_storeu_si128((__m128i *)(to + 4 * ZML_PANEL), _mm256_extracti128_si256(g, 1));
      }
  }
}

/* The four columns of a group are neighbours as they are. */
ZML_TARGET_INLINE void panels_of_rows(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                      size_t stride, int width) {
  for (size_t group = 0; group < 4 * n_panels; group++) {
    const Table levels = table_of(table, group, width);
    for (int plane = 0; plane < 4; plane++)
      for (int half = 0; half < 2; half++) {
        uint8_t *to = out + (size_t)plane * stride + 4 * ZML_PANEL * group + 32 * (size_t)half;
        _mm256_storeu_si256((__m256i *)to, levels_of(tile, group, plane, half, levels, width));
      }
  }
}

/* sum += four products in pairs. Written out, as in avx2.c. */
ZML_TARGET_INLINE __m256i add_products(__m256i sum, __m256i values, __m256i factors) {
  const __m256i products = _mm256_maddubs_epi16(values, factors);
#ifdef ZML_EMULATED_AVX512 /* where registers are arrays */
  return _mm256_add_epi16(sum, products);
#else
  __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(products));
  return sum;
#endif
}

/* Four vectors by one panel. */
ZML_TARGET_INLINE void multiply_four(const uint8_t *panel, const uint8_t *vectors, size_t depth, int scale, int fresh,
                                     int64_t (*sums)[ZML_PANEL]) {
  enum { BYTES = UNIT * ZML_PANEL, UNROLLED = 4 };
  __m256i left[ZML_VECTORS_AT_ONCE], right[ZML_VECTORS_AT_ONCE];
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    left[v] = right[v] = _mm256_setzero_si256();
  for (const uint8_t *end = panel + ZML_PANEL * depth; panel < end;) {
    for (int u = 0; u < UNROLLED; u++, panel += BYTES, vectors += BYTES) {
      const __m256i a = _mm256_loadu_si256((const __m256i *)panel);
      const __m256i b = _mm256_loadu_si256((const __m256i *)(panel + BYTES / 2));
      for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
        int32_t four;
        memcpy(&four, vectors + 4 * v, sizeof four);
        const __m256i factors = _mm256_set1_epi32(four);
        left[v] = add_products(left[v], a, factors);
        right[v] = add_products(right[v], b, factors);
      }
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
    add_eight(sums[v], _mm256_madd_epi16(left[v], ones), scale, fresh);
    add_eight(sums[v] + 8, _mm256_madd_epi16(right[v], ones), scale, fresh);
  }
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *to) {
  const zml_factors f = *factors;
  for (size_t v = 0; v < f.n_vectors; v += ZML_VECTORS_AT_ONCE)
    for (size_t p = 0; p < f.n_panels; p++)
      multiply_four(f.panels + p * ZML_PANEL * f.depth,
                    f.vectors + v / ZML_PANEL * ZML_PANEL * f.depth + 4 * (v % ZML_PANEL), f.depth, to->scale,
                    to->fresh, to->sums + p * to->stride + v);
}

#include "products/widths-inl.h"

const zml_matmul zml_matmul_avx2_few = {
    .depth = DEPTH,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
