/* Rows of a tile as scaled floats, for BLAS. */
#ifndef ZML_SCALED_ROWS_H
#define ZML_SCALED_ROWS_H

#include "format/tile.h"

/* out[row * stride + k] = (position - centre[k]) * unit[k] of columns k < count of a tile of codes; `tile` and `table`
 * begin with the first of these columns, a multiple of 16. */
#define ZML_DEFINE_SCALE_ROWS(suffix, real)                                                                            \
  static inline void zml_scale_rows_##suffix(const uint8_t *tile, const uint8_t *table, int width, size_t n_rows,      \
                                             size_t count, const real *centre, const real *unit, real *out,            \
                                             size_t stride) {                                                          \
    uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];                                                                  \
    for (size_t column = 0; column < count; column += ZML_GROUP_COLUMNS) {                                             \
      const size_t some = count - column < ZML_GROUP_COLUMNS ? count - column : ZML_GROUP_COLUMNS;                     \
      zml_unpack_group(tile, column / ZML_GROUP_COLUMNS, width, codes);                                                \
      for (size_t i = 0; i < n_rows; i++)                                                                              \
        for (size_t c = 0; c < some; c++) {                                                                            \
          const uint8_t code = codes[ZML_GROUP_COLUMNS * i + c];                                                       \
          const uint8_t position = width < 8 ? table[((column + c) << width) + code] : code;                           \
          out[i * stride + column + c] = ((real)position - centre[column + c]) * unit[column + c];                     \
        }                                                                                                              \
    }                                                                                                                  \
  }
ZML_DEFINE_SCALE_ROWS(f32, float)
ZML_DEFINE_SCALE_ROWS(f64, double)
#undef ZML_DEFINE_SCALE_ROWS

#endif
