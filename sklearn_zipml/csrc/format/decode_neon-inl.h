/* Levels of a plane with NEON; included after ZML_TARGET is defined. */
#ifndef ZML_DECODE_NEON_H
#define ZML_DECODE_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "format/tile.h"

/* Levels of column c of a plane, 16 rows. */
ZML_TARGET_INLINE uint8x16_t levels_of(uint8x16_t codes, const uint8_t *table, size_t group, int plane, int c,
                                       int width) {
  if (width == 8)
    return codes;
  const int8x16_t shift = vdupq_n_s8((int8_t)-zml_shift_of(group, plane, width));
  const uint8x16_t index = vandq_u8(vshlq_u8(codes, shift), vdupq_n_u8((uint8_t)((1 << width) - 1)));
  const size_t column = group * ZML_GROUP_COLUMNS + (size_t)c;
  uint8x16_t levels = vdupq_n_u8(0);
  if (width == 4) {
    levels = vld1q_u8(table + 16 * column);
  } else if (width == 2) {
    uint32_t four;
    memcpy(&four, table + 4 * column, sizeof four);
    levels = vreinterpretq_u8_u32(vdupq_n_u32(four));
  } else {
    uint16_t two;
    memcpy(&two, table + 2 * column, sizeof two);
    levels = vreinterpretq_u8_u16(vdupq_n_u16(two));
  }
  return vqtbl1q_u8(levels, index);
}

#endif
