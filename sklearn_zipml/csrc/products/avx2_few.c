/* Products of positions below ZML_FEW_POSITIONS with each other with AVX2: bytes, four terms at a time by vpmaddubsw,
 * whose sums of two products stay in 16 bits over a whole depth. Twice as many products a cycle as avx2.c has. */
#include "format/compiler.h"

#if ZML_HAS_X86
#define ZML_TARGET __attribute__((target("avx2")))
#include "format/decode_avx2-inl.h"
#include "products/matmul.h"
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

ZML_TARGET_INLINE __m256i in_32_bits(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

#include "products/avx2_multiply-inl.h"
#include "products/widths-inl.h"

const zml_matmul zml_matmul_avx2_few = {
    .depth = DEPTH,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
