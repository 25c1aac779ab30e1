/* Positions of codes with known dither with AVX2; included after decode_avx2-inl.h. */
#ifndef ZML_WIDEN_AVX2_H
#define ZML_WIDEN_AVX2_H

#include <immintrin.h>

#include "format/compiler.h"
#include "format/decode_avx2-inl.h"
#include "format/dither.h"

/* Dithers of 8 rows, the column varying fastest. Either product is of the columns whose bytes are the lower, or the
 * upper, ones of 16 bits. */
ZML_TARGET_INLINE __m256i dithers_of(__m256i seeds, __m256i even, __m256i odd) {
  const __m256i lower = _mm256_srli_epi16(_mm256_mullo_epi16(seeds, even), 14);
  const __m256i upper = _mm256_srli_epi16(_mm256_mullo_epi16(seeds, odd), 14);
  return _mm256_or_si256(lower, _mm256_slli_epi16(upper, 8));
}

ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  const __m256i mask = _mm256_set1_epi8(3);
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++, table += ZML_GROUP_TABLE) {
    const Table levels = table_of(table, 0, 4);
    const __m256i both = _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(table + 64)));
    const __m256i even = _mm256_shuffle_epi8(both, _mm256_set1_epi32(0x05040100)); /* multipliers 0 2 0 2 ... */
    const __m256i odd = _mm256_shuffle_epi8(both, _mm256_set1_epi32(0x07060302));
    const __m256i codes[2] = {_mm256_loadu_si256((const __m256i *)(tile + ZML_LINE * group)),
                              _mm256_loadu_si256((const __m256i *)(tile + ZML_LINE * group + 32))};
    for (int plane = first; plane < last; plane++)
      for (int half = 0; half < 2; half++) {
        const __m256i own = _mm256_loadu_si256((const __m256i *)(seeds + ZML_PLANE_ROWS * plane + 8 * half));
        const __m256i shifted = _mm256_srl_epi16(codes[half], _mm_cvtsi32_si128(2 * plane));
        const __m256i code = _mm256_slli_epi16(_mm256_and_si256(shifted, mask), 2);
        const __m256i places = _mm256_or_si256(code, dithers_of(own, even, odd));
        const __m256i positions = levels_of_4_bits(levels, places);
        _mm256_storeu_si256((__m256i *)(out + ZML_LINE * (4 * group + (size_t)plane) + 32 * half), positions);
      }
  }
}

#endif
