/* Positions of codes with known dither, for AVX2 and what includes it; included after ZML_TARGET is defined. */
#ifndef ZML_WIDEN_AVX2_H
#define ZML_WIDEN_AVX2_H

#include <immintrin.h>

#include "format/compiler.h"
#include "format/dither.h"

/* Dithers of 8 rows, the column varying fastest, each with its column above it: where to look for its offset. Either
 * product is of the columns whose bytes are the lower, or the upper, ones of 16 bits. */
ZML_TARGET_INLINE __m256i dithers_of(__m256i seeds, __m256i even, __m256i odd, __m256i columns) {
  const __m256i lower = _mm256_srli_epi16(_mm256_mullo_epi16(seeds, even), 14);
  const __m256i upper = _mm256_srli_epi16(_mm256_mullo_epi16(seeds, odd), 14);
  return _mm256_or_si256(_mm256_or_si256(lower, columns), _mm256_slli_epi16(upper, 8));
}

ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  const __m256i mask = _mm256_set1_epi8(3), column = _mm256_set1_epi32(0x0c080400);
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++, table += ZML_GROUP_TABLE) {
    const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    const __m256i offsets = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16)));
    const __m256i both = _mm256_broadcastq_epi64(_mm_loadl_epi64((const __m128i *)(table + 32)));
    const __m256i even = _mm256_shuffle_epi8(both, _mm256_set1_epi32(0x05040100)); /* multipliers 0 2 0 2 ... */
    const __m256i odd = _mm256_shuffle_epi8(both, _mm256_set1_epi32(0x07060302));
    const __m256i codes[2] = {_mm256_loadu_si256((const __m256i *)(tile + ZML_LINE * group)),
                              _mm256_loadu_si256((const __m256i *)(tile + ZML_LINE * group + 32))};
    for (int plane = first; plane < last; plane++)
      for (int half = 0; half < 2; half++) {
        const __m256i own = _mm256_loadu_si256((const __m256i *)(seeds + ZML_PLANE_ROWS * plane + 8 * half));
        const __m256i shifted = _mm256_srl_epi16(codes[half], _mm_cvtsi32_si128(2 * plane));
        const __m256i code = _mm256_or_si256(_mm256_and_si256(shifted, mask), column);
        const __m256i positions = _mm256_add_epi8(_mm256_shuffle_epi8(levels, code),
                                                  _mm256_shuffle_epi8(offsets, dithers_of(own, even, odd, column)));
        _mm256_storeu_si256((__m256i *)(out + ZML_LINE * (4 * group + (size_t)plane) + 32 * half), positions);
      }
  }
}

#endif
