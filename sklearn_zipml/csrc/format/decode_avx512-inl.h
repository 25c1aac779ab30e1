/* Levels of a plane with AVX-512; included after ZML_TARGET is defined. */
#ifndef ZML_DECODE_AVX512_H
#define ZML_DECODE_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "format/tile.h"

/* Decode table of a column group, made so that (column << index_shift | code) finds the level. */
ZML_TARGET_INLINE __m512i table_of(const uint8_t *table, size_t group, int width) {
  if (width == 1) {
    int64_t levels;
    memcpy(&levels, table + 8 * group, sizeof levels);
    return _mm512_set1_epi64(levels);
  }
  if (width == 2)
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16 * group)));
  return width == 4 ? _mm512_loadu_si512(table + 64 * group) : _mm512_setzero_si512();
}

/* Bytes column << width, the column varying fastest. */
ZML_TARGET_INLINE __m512i column_bits(int width) {
  const int step = width == 4 ? 0x10 : 1 << width;
  return _mm512_set1_epi32(0x03020100 * step);
}

/* The line that holds a plane: zml_line_of and zml_shift_of with the plane's part taken out of loops over groups. */
ZML_TARGET_INLINE const uint8_t *line_of(const uint8_t *tile, size_t group, int plane, int width) {
  if (width == 1)
    return tile + ZML_LINE * (group / 2);
  return tile + (size_t)(32 * width) * group + ZML_LINE * (plane * width / 8);
}

/* Bits from where the codes of a plane begin in the line that holds it. */
ZML_TARGET_INLINE int shift_of(size_t group, int plane, int width) {
  return width == 1 ? (int)(group % 2) * 4 + plane : plane * width % 8;
}

/* Where to look up the codes of a plane: bytes column | code. */
ZML_TARGET_INLINE __m512i index_of(__m512i line, int shift, __m512i columns, int width) {
  const __m512i shifted = _mm512_srlv_epi16(line, _mm512_set1_epi16((short)shift));
  return _mm512_ternarylogic_epi32(shifted, _mm512_set1_epi8((char)((1 << width) - 1)), columns, 0xea); /* & then | */
}

/* Levels of a plane out of the line that holds it. */
ZML_TARGET_INLINE __m512i levels_of(__m512i line, size_t group, int plane, __m512i table, int width) {
  if (width == 8)
    return line;
  const __m512i index = index_of(line, shift_of(group, plane, width), column_bits(width), width);
  return width == 4 ? _mm512_permutexvar_epi8(index, table) : _mm512_shuffle_epi8(table, index);
}

#endif
