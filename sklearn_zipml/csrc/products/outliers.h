/* What outliers add to products with many vectors, and to sums over rows: integers, the same for
 * every instruction set. */
#ifndef ZML_PRODUCTS_OUTLIERS_H
#define ZML_PRODUCTS_OUTLIERS_H

#include <string.h>

#include "format/outliers.h"
#include "products/passes.h"

/* out[vector * stride + row] += scale[vector] * sum over columns of difference * integer(vector, column) for the rows
 * of a tile; integers of a vector are `padded` apart. */
static inline void zml_add_outlier_dots(const zml_outliers *o, size_t tile, const int32_t *integers, size_t padded,
                                        size_t n_vectors, const double *scale, double *out, size_t stride) {
  for (size_t block = 0; block < o->n_blocks; block++) {
    const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);
    for (size_t v = 0; span.first < span.last && v < n_vectors; v++) {
      const int32_t *of_columns = integers + v * padded + block * ZML_OUTLIER_COLUMNS;
      int64_t sums[ZML_TILE_ROWS] = {0}; /* 2^15 * 2^31 * 512 < 2^63 */
      for (uint32_t e = span.first; e < span.last; e++)
        sums[zml_outlier_row(o->entries[e])] +=
            (int64_t)zml_outlier_difference(o->entries[e]) * of_columns[zml_outlier_column(o->entries[e])];
      for (size_t i = 0; i < ZML_TILE_ROWS; i++)
        out[v * stride + i] += scale[v] * (double)sums[i];
    }
  }
}

/* sums[column] += sum over the rows of a tile of difference * integer(row). */
static inline void zml_add_outlier_gradient(const zml_outliers *o, size_t tile, const int32_t *of_rows, int64_t *sums) {
  for (size_t block = 0; block < o->n_blocks; block++) {
    const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);
    for (uint32_t e = span.first; e < span.last; e++)
      sums[block * ZML_OUTLIER_COLUMNS + zml_outlier_column(o->entries[e])] +=
          (int64_t)zml_outlier_difference(o->entries[e]) * of_rows[zml_outlier_row(o->entries[e])];
  }
}

/* out[row * stride + k] += difference * unit[k] of the outliers of a tile in columns first + k, k < count. */
#define ZML_DEFINE_SCALE_OUTLIERS(suffix, real)                                                                        \
  static inline void zml_scale_outliers_##suffix(const zml_outliers *o, size_t tile, size_t first, size_t count,       \
                                                 const real *unit, real *out, size_t stride) {                         \
    const size_t end = o->starts ? zml_outlier_blocks(first + count) : 0;                                              \
    for (size_t block = first / ZML_OUTLIER_COLUMNS; block < end; block++) {                                           \
      const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);                                             \
      for (uint32_t e = span.first; e < span.last; e++) {                                                              \
        const size_t j = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(o->entries[e]);                              \
        if (j >= first && j < first + count)                                                                           \
          out[zml_outlier_row(o->entries[e]) * stride + j - first] +=                                                  \
              (real)zml_outlier_difference(o->entries[e]) * unit[j - first];                                           \
      }                                                                                                                \
    }                                                                                                                  \
  }
ZML_DEFINE_SCALE_OUTLIERS(f32, float)
ZML_DEFINE_SCALE_OUTLIERS(f64, double)
#undef ZML_DEFINE_SCALE_OUTLIERS

#endif
