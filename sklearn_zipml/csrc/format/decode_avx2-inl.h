/* Levels of a plane with AVX2; included after ZML_TARGET is defined. */
#ifndef ZML_DECODE_AVX2_H
#define ZML_DECODE_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "format/tile.h"

/* Decode tables of the four columns of a group, both halves alike; with up to 2 bits they are one table. */
typedef struct {
  __m256i part[4];
} Table;

ZML_TARGET_INLINE Table table_of(const uint8_t *table, size_t group, int width) {
  Table t;
  for (int c = 0; c < 4; c++)
    t.part[c] = _mm256_setzero_si256();
  if (width == 1) {
    int64_t levels;
    memcpy(&levels, table + 8 * group, sizeof levels);
    t.part[0] = _mm256_set1_epi64x(levels);
  } else if (width == 2) {
    t.part[0] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * group)));
  } else if (width == 4) {
    for (int c = 0; c < 4; c++)
      t.part[c] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 64 * group + 16 * (size_t)c)));
  }
  return t;
}

/* Levels of codes of 4 bits, the column varying fastest. */
ZML_TARGET_INLINE __m256i levels_of_4_bits(Table table, __m256i codes) {
  /* a byte permute gives 0 where the index is negative: only even columns look into tables of even ones, and so on, and
   * words are of the first two columns or the last two in turn */
  const __m256i even = _mm256_or_si256(codes, _mm256_set1_epi16((short)0x8000));
  const __m256i odd = _mm256_or_si256(codes, _mm256_set1_epi16(0x0080));
  const __m256i a =
      _mm256_blend_epi16(_mm256_shuffle_epi8(table.part[0], even), _mm256_shuffle_epi8(table.part[2], even), 0xaa);
  const __m256i b =
      _mm256_blend_epi16(_mm256_shuffle_epi8(table.part[1], odd), _mm256_shuffle_epi8(table.part[3], odd), 0xaa);
  return _mm256_or_si256(a, b);
}

/* Levels of 8 rows (half 0 or 1 of a plane), the column varying fastest. */
ZML_TARGET_INLINE __m256i levels_of(const uint8_t *tile, size_t group, int plane, int half, Table table, int width) {
  const uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width) + 32 * half;
  const __m256i bytes = _mm256_loadu_si256((const __m256i *)line);
  if (width == 8)
    return bytes;
  const __m128i shift = _mm_cvtsi32_si128(zml_shift_of(group, plane, width));
  const __m256i codes = _mm256_and_si256(_mm256_srl_epi16(bytes, shift), _mm256_set1_epi8((1 << width) - 1));
  if (width <= 2) /* column << width selects the column's part of the table */
    return _mm256_shuffle_epi8(table.part[0], _mm256_or_si256(codes, _mm256_set1_epi32(0x03020100 << width)));
  return levels_of_4_bits(table, codes);
}

#endif
