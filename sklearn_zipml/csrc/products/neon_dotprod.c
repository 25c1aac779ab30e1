/* Products with many vectors with NEON's dot product: bytes, four terms at a time, signed by signed, so that positions
 * lose 128. AArch64 without it runs the plain C, whose products of 16 bits are instructions of NEON's. */
#include "format/compiler.h"

#if ZML_HAS_NEON
#if defined(__clang__)
#define ZML_TARGET __attribute__((target("dotprod")))
#else
#define ZML_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#include "format/decode_neon-inl.h"
#include "products/matmul.h"
enum { VALUE_BYTES = 1, UNIT = 4, SHIFT = 128 };
#include "products/vectors-inl.h"

/* Positions, less SHIFT, of a plane's 4 columns, 16 rows each. */
ZML_TARGET_INLINE uint8x16x4_t columns_of(const uint8_t *tile, const uint8_t *table, size_t group, int plane,
                                          int width) {
  uint8x16x4_t columns = vld4q_u8(tile + ZML_LINE * zml_line_of(group, plane, width));
  for (int c = 0; c < 4; c++)
    columns.val[c] = veorq_u8(levels_of(columns.val[c], table, group, plane, c, width), vdupq_n_u8(SHIFT));
  return columns;
}

ZML_TARGET_INLINE void panels_of_rows(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                      size_t stride, int width) {
  for (size_t group = 0; group < 4 * n_panels; group++)
    for (int plane = 0; plane < 4; plane++)
      vst4q_u8(out + (size_t)plane * stride + 64 * group, columns_of(tile, table, group, plane, width));
}

ZML_TARGET_INLINE uint32x4_t words(uint8x16_t bytes) { return vreinterpretq_u32_u8(bytes); }

/* Word k, 4 rows, of four columns side by side. */
ZML_TARGET_INLINE void store_units(uint8_t *out, uint8x16x4_t columns) {
  const uint32x4_t low_02 = vzip1q_u32(words(columns.val[0]), words(columns.val[2]));
  const uint32x4_t low_13 = vzip1q_u32(words(columns.val[1]), words(columns.val[3]));
  const uint32x4_t high_02 = vzip2q_u32(words(columns.val[0]), words(columns.val[2]));
  const uint32x4_t high_13 = vzip2q_u32(words(columns.val[1]), words(columns.val[3]));
  vst1q_u8(out, vreinterpretq_u8_u32(vzip1q_u32(low_02, low_13)));
  vst1q_u8(out + 64, vreinterpretq_u8_u32(vzip2q_u32(low_02, low_13)));
  vst1q_u8(out + 128, vreinterpretq_u8_u32(vzip1q_u32(high_02, high_13)));
  vst1q_u8(out + 192, vreinterpretq_u8_u32(vzip2q_u32(high_02, high_13)));
}

ZML_TARGET_INLINE void panels_of_columns(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                         size_t stride, int width) {
  for (size_t group = 0; group < 4 * n_panels; group++)
    for (int plane = 0; plane < 4; plane++)
      store_units(out + group / 4 * stride + 256 * plane + 16 * (group % 4),
                  columns_of(tile, table, group, plane, width));
}

/* sums += 2^scale * 4 sums, or = if fresh */
ZML_TARGET_INLINE void add_four(int64_t *sums, int32x4_t four, int scale, int fresh) {
  const int64x2_t shift = vdupq_n_s64(scale), none = vdupq_n_s64(0);
  const int64x2_t low = vshlq_s64(vmovl_s32(vget_low_s32(four)), shift);
  const int64x2_t high = vshlq_s64(vmovl_high_s32(four), shift);
  vst1q_s64(sums, vaddq_s64(fresh ? none : vld1q_s64(sums), low));
  vst1q_s64(sums + 2, vaddq_s64(fresh ? none : vld1q_s64(sums + 2), high));
}

/* Four vectors by one panel: 16 sums, 4 registers of the panel and one of the vectors, out of 32. */
ZML_TARGET_INLINE void multiply_four(const uint8_t *panel, const uint8_t *vectors, size_t depth, int scale, int fresh,
                                     int64_t (*sums)[ZML_PANEL]) {
  int32x4_t sum[ZML_VECTORS_AT_ONCE][4];
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    for (int k = 0; k < 4; k++)
      sum[v][k] = vdupq_n_s32(0);
  for (size_t term = 0; term < depth; term += UNIT, panel += 64, vectors += 64) {
    const int8x16_t factors = vreinterpretq_s8_u8(vld1q_u8(vectors));
    for (int k = 0; k < 4; k++) {
      const int8x16_t g = vreinterpretq_s8_u8(vld1q_u8(panel + 16 * k));
      sum[0][k] = vdotq_laneq_s32(sum[0][k], g, factors, 0);
      sum[1][k] = vdotq_laneq_s32(sum[1][k], g, factors, 1);
      sum[2][k] = vdotq_laneq_s32(sum[2][k], g, factors, 2);
      sum[3][k] = vdotq_laneq_s32(sum[3][k], g, factors, 3);
    }
  }
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    for (int k = 0; k < 4; k++)
      add_four(sums[v] + 4 * k, sum[v][k], scale, fresh);
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *to) {
  const zml_factors f = *factors;
  for (size_t v = 0; v < f.n_vectors; v += ZML_VECTORS_AT_ONCE)
    for (size_t p = 0; p < f.n_panels; p++)
      multiply_four(f.panels + p * ZML_PANEL * f.depth,
                    f.vectors + v / ZML_PANEL * ZML_PANEL * f.depth + UNIT * (v % ZML_PANEL), f.depth, to->scale,
                    to->fresh, to->sums + p * to->stride + v);
}

#include "products/widths-inl.h"

const zml_matmul zml_matmul_neon_dotprod = {
    .own_shift = SHIFT,
    .depth = ZML_BYTE_DEPTH,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
