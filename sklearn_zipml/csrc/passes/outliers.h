/* What outliers add to products with rows and to sums over rows: integers, the same for every instruction set. */
#ifndef ZML_PASSES_OUTLIERS_H
#define ZML_PASSES_OUTLIERS_H

#include "format/outliers.h"
#include "passes/vector.h"

/* A batch's outliers in columns first_column.. of a tile, a multiple of ZML_OUTLIER_COLUMNS, `columns` of them. */
typedef struct {
  const zml_outliers *outliers;
  size_t tile, first_column, columns;
  int first, last; /* planes */
} zml_batch_outliers;

static inline zml_outlier_span zml_outliers_of_block(const zml_batch_outliers *b, size_t k) {
  return zml_outliers_in(b->outliers, b->tile, b->first_column / ZML_OUTLIER_COLUMNS + k, b->first, b->last);
}

/* Whether there are any. */
static inline int zml_are_there_outliers(const zml_batch_outliers *b) {
  if (!b->outliers->starts)
    return 0;
  for (size_t k = 0; k < zml_outlier_blocks(b->columns); k++) {
    const zml_outlier_span span = zml_outliers_of_block(b, k);
    if (span.first < span.last)
      return 1;
  }
  return 0;
}

/* products[row] += scale * sum over columns of difference * digits(column); the vector begins with the first column. */
static inline void zml_add_outlier_products(const zml_batch_outliers *b, const zml_digits *vector, double scale,
                                            double *products) {
  const uint32_t *entries = b->outliers->entries;
  for (size_t k = 0; k < zml_outlier_blocks(b->columns); k++) {
    const zml_outlier_span span = zml_outliers_of_block(b, k);
    const int8_t *high = vector->digits + k * ZML_OUTLIER_COLUMNS, *low = high + vector->stride;
    int32_t sums[2][ZML_TILE_ROWS] = {{0}}; /* 512 * 32767 * 128 < 2^31 */
    if (span.first == span.last)
      continue;
    for (uint32_t e = span.first; e < span.last; e++)
      sums[0][zml_outlier_row(entries[e])] += zml_outlier_difference(entries[e]) * high[zml_outlier_column(entries[e])];
    for (uint32_t e = span.first; vector->n_digits > 1 && e < span.last; e++)
      sums[1][zml_outlier_row(entries[e])] += zml_outlier_difference(entries[e]) * low[zml_outlier_column(entries[e])];
    const double unit = vector->n_digits > 1 ? 256 * scale : scale;
    for (int i = b->first * ZML_PLANE_ROWS; i < b->last * ZML_PLANE_ROWS; i++)
      products[i] += unit * sums[0][i];
    for (int i = b->first * ZML_PLANE_ROWS; vector->n_digits > 1 && i < b->last * ZML_PLANE_ROWS; i++)
      products[i] += scale * sums[1][i];
  }
}

/* sums[column] += sum over the rows of a tile of difference * weight. */
static inline void zml_add_outlier_row_sums(const zml_outliers *o, size_t tile, const double *weights, double *sums) {
  for (size_t block = 0; block < o->n_blocks; block++) {
    const zml_outlier_span span = zml_outliers_in(o, tile, block, 0, 4);
    double *to = sums + block * ZML_OUTLIER_COLUMNS;
    for (uint32_t e = span.first; e < span.last; e++)
      to[zml_outlier_column(o->entries[e])] +=
          zml_outlier_difference(o->entries[e]) * weights[zml_outlier_row(o->entries[e])];
  }
}

/* sums[digit][column] += sum over rows of difference * digit(row), digits of the rows being 64 apart. With those of the
 * codes they hold: 64 rows of at most 32767 + 255 by 128 are below 2^31. */
static inline void zml_add_outlier_sums(const zml_batch_outliers *b, const int8_t *rows, int n_digits, int32_t *sums,
                                        size_t stride) {
  const uint32_t *entries = b->outliers->entries;
  for (size_t k = 0; k < zml_outlier_blocks(b->columns); k++) {
    const zml_outlier_span span = zml_outliers_of_block(b, k);
    for (int digit = 0; digit < n_digits; digit++) {
      const int8_t *of_rows = rows + digit * ZML_TILE_ROWS;
      int32_t *to = sums + (size_t)digit * stride + k * ZML_OUTLIER_COLUMNS;
      for (uint32_t e = span.first; e < span.last; e++)
        to[zml_outlier_column(entries[e])] += zml_outlier_difference(entries[e]) * of_rows[zml_outlier_row(entries[e])];
    }
  }
}

#endif
