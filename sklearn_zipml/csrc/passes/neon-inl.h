/* Kernels for AArch64 NEON, included twice: with the dot product instructions (NEON_DOTPROD 1) and without.
 *
 * A structure load takes a plane apart into its 4 columns of 16 rows, so that each column has a table of its own to
 * permute by and the rows are the lanes. */
#include <arm_neon.h>

#include "format/decode_neon-inl.h"
#include "format/widen_neon-inl.h"
#include "passes/vector-inl.h"

/* sum += levels of 16 rows * the model's byte of their column */
ZML_TARGET_INLINE void add_column(int32x4_t *sum, uint8x16_t levels, int16_t m) {
  const int16x8_t lower = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(levels)));
  const int16x8_t upper = vreinterpretq_s16_u16(vmovl_high_u8(levels));
  sum[0] = vmlal_n_s16(sum[0], vget_low_s16(lower), m);
  sum[1] = vmlal_high_n_s16(sum[1], lower, m);
  sum[2] = vmlal_n_s16(sum[2], vget_low_s16(upper), m);
  sum[3] = vmlal_high_n_s16(sum[3], upper, m);
}

/* Four partial sums of levels * residuals over the 16 rows of a plane, added to sum. With the dot product the levels
 * lose 128 to become signed; gradient() gives it back. */
ZML_TARGET_INLINE int32x4_t add_rows(int32x4_t sum, uint8x16_t levels, int8x16_t r) {
#if NEON_DOTPROD
  return vdotq_s32(sum, vreinterpretq_s8_u8(veorq_u8(levels, vdupq_n_u8(128))), r);
#else
  const int16x8_t lower = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(levels)));
  const int16x8_t upper = vreinterpretq_s16_u16(vmovl_high_u8(levels));
  const int16x8_t r_lower = vmovl_s8(vget_low_s8(r)), r_upper = vmovl_high_s8(r);
  sum = vmlal_s16(sum, vget_low_s16(lower), vget_low_s16(r_lower));
  sum = vmlal_high_s16(sum, lower, r_lower);
  sum = vmlal_s16(sum, vget_low_s16(upper), vget_low_s16(r_upper));
  return vmlal_high_s16(sum, upper, r_upper);
#endif
}

ZML_TARGET_INLINE void dot(const zml_samples *x, const int8_t *digits, size_t stride, int32_t *out, int width,
                           int n_digits) {
  for (int plane = x->first; plane < x->last; plane++) {
    int32x4_t high[4], low[4];
    for (int k = 0; k < 4; k++)
      high[k] = low[k] = vdupq_n_s32(0);
    for (size_t group = 0; group < x->columns / ZML_GROUP_COLUMNS; group++) {
      const uint8x16x4_t codes = vld4q_u8(x->tile + ZML_LINE * zml_line_of(group, plane, width));
      for (int c = 0; c < 4; c++) {
        const int8_t *m = digits + group * ZML_GROUP_COLUMNS + c;
        const uint8x16_t levels = levels_of(codes.val[c], x->table, group, plane, c, width);
        add_column(high, levels, m[0]);
        if (n_digits > 1)
          add_column(low, levels, m[stride]);
      }
    }
    for (int k = 0; k < 4; k++) {
      vst1q_s32(out + plane * ZML_PLANE_ROWS + 4 * k, high[k]);
      if (n_digits > 1)
        vst1q_s32(out + ZML_TILE_ROWS + plane * ZML_PLANE_ROWS + 4 * k, low[k]);
    }
  }
}

/* Sums of 4 columns out of their partial sums. */
ZML_TARGET_INLINE int32x4_t sums_of(const int32x4_t *part) {
  return vpaddq_s32(vpaddq_s32(part[0], part[1]), vpaddq_s32(part[2], part[3]));
}

ZML_TARGET_INLINE void gradient(const zml_samples *x, const int8_t *digits, int32_t *out, size_t out_stride, int width,
                                int n_digits) {
  int32_t lost[2] = {0, 0};
#if NEON_DOTPROD
  for (int k = 0; k < n_digits; k++)
    for (int i = x->first * ZML_PLANE_ROWS; i < x->last * ZML_PLANE_ROWS; i++)
      lost[k] += 128 * digits[k * ZML_TILE_ROWS + i];
#endif
  for (size_t group = 0; group < x->columns / ZML_GROUP_COLUMNS; group++) {
    if (group % 4 == 0)
      fetch_ahead(x->ahead, group / 4, width, x->last - x->first);
    int32x4_t high[4], low[4];
    for (int c = 0; c < 4; c++)
      high[c] = low[c] = vdupq_n_s32(0);
    for (int plane = x->first; plane < x->last; plane++) {
      const uint8x16x4_t codes = vld4q_u8(x->tile + ZML_LINE * zml_line_of(group, plane, width));
      const int8_t *row = digits + plane * ZML_PLANE_ROWS;
      for (int c = 0; c < 4; c++) {
        const uint8x16_t levels = levels_of(codes.val[c], x->table, group, plane, c, width);
        high[c] = add_rows(high[c], levels, vld1q_s8(row));
        if (n_digits > 1)
          low[c] = add_rows(low[c], levels, vld1q_s8(row + ZML_TILE_ROWS));
      }
    }
    vst1q_s32(out + group * ZML_GROUP_COLUMNS, vaddq_s32(sums_of(high), vdupq_n_s32(lost[0])));
    if (n_digits > 1)
      vst1q_s32(out + out_stride + group * ZML_GROUP_COLUMNS, vaddq_s32(sums_of(low), vdupq_n_s32(lost[1])));
  }
}

#include "passes/widths-inl.h"
