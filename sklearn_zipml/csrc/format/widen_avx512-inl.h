/* Positions of codes with known dither with AVX-512; included after decode_avx512-inl.h. */
#ifndef ZML_WIDEN_AVX512_H
#define ZML_WIDEN_AVX512_H

#include <immintrin.h>

#include "format/compiler.h"
#include "format/decode_avx512-inl.h"
#include "format/dither.h"

/* Codes and dithers together are codes of 4 bits. Either product is of the columns whose bytes are the lower, or the
 * upper, ones of 16 bits. */
ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  const __m512i three = _mm512_set1_epi8(3), upper_three = _mm512_set1_epi16(0x0300);
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++, table += ZML_GROUP_TABLE) {
    const __m512i levels = table_of(table, 0, 4), line = _mm512_loadu_si512(tile + ZML_LINE * group);
    int64_t multipliers;
    memcpy(&multipliers, table + 16 * ZML_GROUP_COLUMNS, sizeof multipliers);
    const __m512i both = _mm512_set1_epi64(multipliers);
    const __m512i even = _mm512_shuffle_epi8(both, _mm512_set1_epi32(0x05040100)); /* multipliers 0 2 0 2 ... */
    const __m512i odd = _mm512_shuffle_epi8(both, _mm512_set1_epi32(0x07060302));
    for (int plane = first; plane < last; plane++) {
      const __m512i own = _mm512_loadu_si512(seeds + ZML_PLANE_ROWS * plane);
      const __m512i lower = _mm512_srli_epi16(_mm512_mullo_epi16(own, even), 14);
      const __m512i upper = _mm512_srli_epi16(_mm512_mullo_epi16(own, odd), 6);
      const __m512i dither = _mm512_ternarylogic_epi32(upper, upper_three, lower, 0xea); /* & then | */
      const __m512i shifted = _mm512_srlv_epi16(line, _mm512_set1_epi16((short)(2 * plane)));
      const __m512i code = _mm512_slli_epi16(_mm512_and_si512(shifted, three), 2);
      const __m512i index = _mm512_ternarylogic_epi32(code, dither, column_bits(4), 0xfe); /* | then | */
      _mm512_storeu_si512(out + ZML_LINE * (4 * group + (size_t)plane), _mm512_permutexvar_epi8(index, levels));
    }
  }
}

#endif
