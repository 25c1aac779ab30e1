/* The portable kernels: plain C, the oracle of every other instruction set. */
#define ZML_TARGET
#include "vector_functions.h"

static inline uint8_t decode(const uint8_t *table, size_t column, uint8_t code, int width) {
  return width == 8 ? code : table[(column << width) + code];
}

static inline void dot(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                       size_t plane_stride, int n_planes, int first, int last, int32_t *out, int width) {
  const uint8_t mask = (uint8_t)((1u << width) - 1);
  for (int plane = first; plane < last; plane++) {
    int32_t high[ZML_PLANE_ROWS] = {0}, low[ZML_PLANE_ROWS] = {0};
    for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++) {
      const uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width);
      const int shift = zml_shift_of(group, plane, width);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const size_t column = group * ZML_GROUP_COLUMNS + c;
        const int32_t m = planes[column], m2 = n_planes > 1 ? planes[plane_stride + column] : 0;
        for (int i = 0; i < ZML_PLANE_ROWS; i++) {
          const int32_t g = decode(table, column, (uint8_t)(line[i * ZML_GROUP_COLUMNS + c] >> shift) & mask, width);
          high[i] += g * m;
          low[i] += g * m2;
        }
      }
    }
    memcpy(out + plane * ZML_PLANE_ROWS, high, sizeof high);
    if (n_planes > 1)
      memcpy(out + ZML_TILE_ROWS + plane * ZML_PLANE_ROWS, low, sizeof low);
  }
}

static inline void gradient(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                            int n_planes, int first, int last, int32_t *out, size_t out_stride, int width) {
  const uint8_t mask = (uint8_t)((1u << width) - 1);
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++) {
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
      const size_t column = group * ZML_GROUP_COLUMNS + c;
      int32_t high = 0, low = 0;
      for (int plane = first; plane < last; plane++) {
        const uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width);
        const int8_t *r = planes + plane * ZML_PLANE_ROWS;
        const int shift = zml_shift_of(group, plane, width);
        for (int i = 0; i < ZML_PLANE_ROWS; i++) {
          const int32_t g = decode(table, column, (uint8_t)(line[i * ZML_GROUP_COLUMNS + c] >> shift) & mask, width);
          high += g * r[i];
          if (n_planes > 1)
            low += g * r[ZML_TILE_ROWS + i];
        }
      }
      out[column] = high;
      if (n_planes > 1)
        out[out_stride + column] = low;
    }
  }
}

#define DEFINE(width)                                                                                                  \
  static void dot_##width(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,             \
                          size_t plane_stride, int n_planes, int first, int last, int32_t *out) {                      \
    dot(tile, table, columns, planes, plane_stride, n_planes, first, last, out, width);                                \
  }                                                                                                                    \
  static void gradient_##width(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,        \
                               int n_planes, int first, int last, int32_t *out, size_t out_stride) {                   \
    gradient(tile, table, columns, planes, n_planes, first, last, out, out_stride, width);                             \
  }
DEFINE(1)
DEFINE(2)
DEFINE(4)
DEFINE(8)

const zml_kernels zml_portable = {
    .name = "portable",
    .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},
    .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8},
    ZML_VECTOR_FUNCTIONS,
};
