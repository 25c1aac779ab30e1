/* Positions of codes with known dither with NEON; included after ZML_TARGET is defined. */
#ifndef ZML_WIDEN_NEON_H
#define ZML_WIDEN_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "format/compiler.h"
#include "format/dither.h"

/* Dithers of a column in 16 rows, whose seeds are in halves of 8. */
ZML_TARGET_INLINE uint8x16_t dithers_of(const uint16x8_t *seeds, uint16_t multiplier) {
  const uint16x8_t lower = vshrq_n_u16(vmulq_n_u16(seeds[0], multiplier), 14);
  const uint16x8_t upper = vshrq_n_u16(vmulq_n_u16(seeds[1], multiplier), 14);
  return vcombine_u8(vmovn_u16(lower), vmovn_u16(upper));
}

ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  for (int plane = first; plane < last; plane++) {
    const uint32_t *words = seeds + ZML_PLANE_ROWS * plane;
    const uint16x8_t own[2] = {vcombine_u16(vmovn_u32(vld1q_u32(words)), vmovn_u32(vld1q_u32(words + 4))),
                               vcombine_u16(vmovn_u32(vld1q_u32(words + 8)), vmovn_u32(vld1q_u32(words + 12)))};
    const int8x16_t shift = vdupq_n_s8((int8_t)(-2 * plane));
    for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++) {
      const uint8_t *of_group = table + group * ZML_GROUP_TABLE;
      uint8x16x4_t values = vld4q_u8(tile + ZML_LINE * group);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const uint8x16_t codes = vandq_u8(vshlq_u8(values.val[c], shift), vdupq_n_u8(3));
        const uint8x16_t dithers = dithers_of(own, zml_multiplier_of(of_group, c));
        values.val[c] = vqtbl1q_u8(vld1q_u8(of_group + 16 * c), vsliq_n_u8(dithers, codes, 2)); /* 4 codes + dithers */
      }
      vst4q_u8(out + ZML_LINE * (4 * group + (size_t)plane), values);
    }
  }
}

#endif
