/* The portable kernels: plain C, the oracle of every other instruction set. */
#define ZML_TARGET
#include "encoding/encode.h"
#include "format/decode_portable-inl.h"
#include "format/widen_portable-inl.h"
#include "passes/vector-inl.h"
#include "products/matmul.h"

/* Products fit 16 bits: 255 * -128 > -2^15. */
ZML_TARGET_INLINE int16_t product(uint8_t level, int16_t factor) { return (int16_t)(level * factor); }

ZML_TARGET_INLINE void dot_planes(const zml_samples *x, const int8_t *digits, size_t stride, int32_t *out, int width,
                                  int n_digits) {
  int32_t sum[4][2][PLANE] = {{{0}}}; /* column by column of a group, added up in the end */
  for (size_t group = 0; group < x->columns / ZML_GROUP_COLUMNS; group++) {
    const Levels of_group = levels_of(x->table, group, width);
    int16_t m[2][16]; /* four times the four columns' factors */
    for (int n = 0; n < n_digits; n++)
      for (int k = 0; k < 16; k++)
        m[n][k] = digits[(size_t)n * stride + group * ZML_GROUP_COLUMNS + (size_t)(k % ZML_GROUP_COLUMNS)];
    for (int plane = x->first; plane < x->last; plane++) {
      uint8_t levels[PLANE];
      decode(x->tile, &of_group, group, plane, width, levels);
      for (int n = 0; n < n_digits; n++)
        for (int start = 0; start < PLANE; start += 16)
          for (int k = 0; k < 16; k++)
            sum[plane - x->first][n][start + k] += product(levels[start + k], m[n][k]);
    }
  }
  for (int plane = x->first; plane < x->last; plane++)
    for (int n = 0; n < n_digits; n++)
      for (int i = 0; i < ZML_PLANE_ROWS; i++) {
        const int32_t *row = sum[plane - x->first][n] + i * ZML_GROUP_COLUMNS;
        out[n * ZML_TILE_ROWS + plane * ZML_PLANE_ROWS + i] = (row[0] + row[1]) + (row[2] + row[3]);
      }
}

/* Planes share the levels of a group; where there are none, one plane's sums at a time stay nearer. */
ZML_TARGET_INLINE void dot(const zml_samples *x, const int8_t *digits, size_t stride, int32_t *out, int width,
                           int n_digits) {
  if (width < 8)
    dot_planes(x, digits, stride, out, width, n_digits);
  else
    for (int plane = x->first; plane < x->last; plane++) {
      const zml_samples one = {x->tile, x->table, x->columns, plane, plane + 1, NULL, NULL};
      dot_planes(&one, digits, stride, out, width, n_digits);
    }
}

ZML_TARGET_INLINE void gradient(const zml_samples *x, const int8_t *digits, int32_t *out, size_t out_stride, int width,
                                int n_digits) {
  int16_t r[2][4][PLANE]; /* every residual four times, for the four columns of a group */
  for (int n = 0; n < n_digits; n++)
    for (int plane = x->first; plane < x->last; plane++)
      for (int k = 0; k < PLANE; k++)
        r[n][plane][k] = digits[n * ZML_TILE_ROWS + plane * ZML_PLANE_ROWS + k / ZML_GROUP_COLUMNS];
  for (size_t group = 0; group < x->columns / ZML_GROUP_COLUMNS; group++) {
    if (group % 4 == 0)
      fetch_ahead(x->ahead, group / 4, width, x->last - x->first);
    const Levels of_group = levels_of(x->table, group, width);
    int32_t sum[2][ZML_GROUP_COLUMNS] = {{0}};
    for (int plane = x->first; plane < x->last; plane++) {
      uint8_t levels[PLANE];
      decode(x->tile, &of_group, group, plane, width, levels);
      for (int n = 0; n < n_digits; n++)
        for (int k = 0; k < PLANE; k += ZML_GROUP_COLUMNS)
          for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
            sum[n][c] += product(levels[k + c], r[n][plane][k + c]);
    }
    for (int n = 0; n < n_digits; n++)
      memcpy(out + (size_t)n * out_stride + group * ZML_GROUP_COLUMNS, sum[n], sizeof sum[n]);
  }
}

#include "passes/widths-inl.h"

const zml_kernels zml_portable = {
    .name = "portable",
    .encoding = &zml_encoding_portable,
    .matmul = &zml_matmul_portable,
    ZML_WIDTHS,
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
