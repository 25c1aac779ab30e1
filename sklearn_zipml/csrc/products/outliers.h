/* What outliers add to products with many vectors, to sums over rows and to second moments: integers, the same for
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

/* Positions of the codes of columns first..first+count-1 of a tile, [row][column]; first is a multiple of 16. */
static inline void zml_code_positions(const zml_tiled *x, size_t tile, size_t first, size_t count, size_t n_rows,
                                      int32_t *positions) {
  const size_t codes_per_column = zml_table_codes(x->width);
  const uint8_t *codes = x->codes + tile * zml_tile_bytes(x->padded, x->width);
  const uint8_t *seed_codes = zml_seeds_of(codes, x->padded, x->width);
  uint32_t seeds[ZML_TILE_ROWS];
  if (seed_codes)
    zml_row_seeds(seed_codes, 0, 4, seeds);
  for (size_t column = 0; column < count; column += ZML_GROUP_COLUMNS) {
    uint8_t group[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    const size_t j = first + column;
    if (seed_codes)
      x->widen(codes + j * 2 * ZML_TILE_ROWS / 8, x->table + j * codes_per_column, ZML_GROUP_COLUMNS, 0, 4, seeds,
               group);
    else
      zml_unpack_group(codes, j / ZML_GROUP_COLUMNS, x->width, group);
    for (size_t i = 0; i < n_rows; i++)
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const uint8_t code = group[ZML_GROUP_COLUMNS * i + c];
        positions[i * count + column + c] =
            codes_per_column && !seed_codes ? x->table[(first + column + c) * codes_per_column + code] : code;
      }
  }
}

/* sums[j * n_others + k] += weight * difference(row, j) * (position(row, k) + code's position(row, k)) over the
 * outliers of a tile in columns first.., where both positions are given as a sum: half of what outliers add to products
 * of columns j and k, the other half being that of k and j. */
static inline void zml_add_outlier_moments(const zml_outliers *o, size_t tile, size_t first, size_t n_columns,
                                           const int32_t *others, size_t n_others, const int32_t *weights,
                                           int64_t *sums) {
  const size_t end = first + n_columns;
  for (size_t block = first / ZML_OUTLIER_COLUMNS; block < zml_outlier_blocks(end); block++) {
    const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);
    for (uint32_t e = span.first; e < span.last; e++) {
      const size_t j = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(o->entries[e]);
      const size_t row = zml_outlier_row(o->entries[e]);
      if (j < first || j >= end)
        continue;
      const int64_t factor = (int64_t)zml_outlier_difference(o->entries[e]) * (weights ? weights[row] : 1);
      const int32_t *of_row = others + row * n_others;
      int64_t *to = sums + (j - first) * n_others;
      for (size_t k = 0; k < n_others; k++)
        to[k] += factor * of_row[k];
    }
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

/* positions += differences of the outliers of a tile in columns first..first+count-1, [row][column]. */
static inline void zml_add_differences(const zml_outliers *o, size_t tile, size_t first, size_t count,
                                       int32_t *positions) {
  for (size_t block = first / ZML_OUTLIER_COLUMNS; block < zml_outlier_blocks(first + count); block++) {
    const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);
    for (uint32_t e = span.first; e < span.last; e++) {
      const size_t j = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(o->entries[e]);
      if (j >= first && j < first + count)
        positions[zml_outlier_row(o->entries[e]) * count + j - first] += zml_outlier_difference(o->entries[e]);
    }
  }
}

#endif
