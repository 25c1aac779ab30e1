/* What outliers add to second moments of two blocks of columns, from panels that are decoded for these.
 *
 * A product of positions is (c + s)(c' + s') with codes' positions c and differences s: s c', s' c and s s' are added
 * to c c'. Outliers being few, s c' is a row of panels times a number, and what a row has of s s' is added one by one.
 */
#ifndef ZML_OUTLIER_MOMENTS_H
#define ZML_OUTLIER_MOMENTS_H

#include <stdlib.h>
#include <string.h>

#include "format/outliers.h"
#include "products/matmul.h"

/* Sums s c' of outliers in some columns with the codes of others, [column][other]: 32 bits without weights, emptied
 * into those of 64 bits before they overflow, and 64 bits with weights. most[column]: what the former may be. */
typedef struct {
  size_t first, n_columns, n_others;
  int weighted;
  void *sums;
  int64_t *most, *totals; /* totals: sums s of the columns */
} zml_outlier_sums;

static inline size_t zml_outlier_sum_bytes(size_t n_columns, size_t n_others, int weighted) {
  return n_columns * (n_others * (weighted ? sizeof(int64_t) : sizeof(int32_t)) + 2 * sizeof(int64_t));
}

/* In memory of zml_outlier_sum_bytes, on a line and zero. */
static inline zml_outlier_sums zml_outlier_sums_in(uint8_t *work, size_t first, size_t n_columns, size_t n_others,
                                                   int weighted) {
  zml_outlier_sums o = {first, n_columns, n_others, weighted, NULL, (void *)work, NULL};
  o.totals = o.most + n_columns;
  o.sums = o.totals + n_columns;
  return o;
}

/* Where sums of 64 bits of two blocks are: sums[column / 16 * n_others + other][column % 16]; of a block with itself
 * those of other <= column. */
typedef struct {
  int64_t (*sums)[ZML_PANEL];
  size_t n_others;
  int own;
} zml_square_sums;

static inline void zml_add_to_square(const zml_square_sums *to, size_t column, size_t other, int64_t value) {
  to->sums[column / ZML_PANEL * to->n_others + other][column % ZML_PANEL] += value;
}

/* A sum s c': in a block with itself it belongs to (column, other) and to (other, column). */
static inline void zml_add_outlier_sum(const zml_square_sums *to, size_t column, size_t other, int turned,
                                       int64_t value) {
  if (value == 0)
    return;
  if (turned ? 1 : to->own && other >= column)
    zml_add_to_square(to, other, column, value);
  if (!turned && (!to->own || other <= column))
    zml_add_to_square(to, column, other, value);
}

/* Add the sums of a column to those of two blocks, and empty them. turned: the outliers are in the second block. */
static inline void zml_empty_outlier_sums(const zml_outlier_sums *o, size_t column, int turned,
                                          const zml_square_sums *to) {
  if (o->weighted) {
    int64_t *sums = (int64_t *)o->sums + column * o->n_others;
    for (size_t k = 0; k < o->n_others; k++)
      zml_add_outlier_sum(to, column, k, turned, sums[k]);
    memset(sums, 0, o->n_others * sizeof *sums);
    return;
  }
  int32_t *sums = (int32_t *)o->sums + column * o->n_others;
  for (size_t k = 0; k < o->n_others; k++)
    zml_add_outlier_sum(to, column, k, turned, sums[k]);
  memset(sums, 0, o->n_others * sizeof *sums);
  o->most[column] = 0;
}

/* Panels of the others' codes over the rows of a run of tiles, and the weights of these, or NULL. */
typedef struct {
  const uint8_t *panels;
  size_t n_panels, depth;
  const int32_t *weights;
} zml_run_codes;

/* Add the outliers that a tile, whose rows start at `start` of the run, has in the columns. */
static inline void zml_add_outlier_rows(const zml_matmul *by, const zml_outliers *x, size_t tile, size_t start,
                                        const zml_run_codes *run, const zml_outlier_sums *o, int turned,
                                        const zml_square_sums *to) {
  const size_t end = o->first + o->n_columns;
  for (size_t block = o->first / ZML_OUTLIER_COLUMNS; block < zml_outlier_blocks(end); block++) {
    const zml_outlier_span span = zml_outliers_in(x, tile, block, 0, 4);
    for (uint32_t e = span.first; e < span.last; e++) {
      const size_t column = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(x->entries[e]), j = column - o->first;
      if (column < o->first || column >= end)
        continue;
      const size_t row = start + zml_outlier_row(x->entries[e]);
      const int32_t difference = zml_outlier_difference(x->entries[e]);
      if (o->weighted) {
        const int64_t factor = (int64_t)difference * run->weights[row];
        o->totals[j] += factor;
        by->add_wide(run->panels, run->n_panels, run->depth, row, factor, (int64_t *)o->sums + j * o->n_others);
        continue;
      }
      const int32_t most = 255 * abs(difference);
      if (o->most[j] + most > INT32_MAX)
        zml_empty_outlier_sums(o, j, turned, to);
      o->most[j] += most;
      o->totals[j] += difference;
      by->add_narrow(run->panels, run->n_panels, run->depth, row, difference, (int32_t *)o->sums + j * o->n_others);
    }
  }
}

/* The outliers of a tile in columns first..first+count-1 by row: starts[row] to the next of these in `entries`, each
 * column << 16 | difference, of which there is room for ZML_TILE_ROWS * count. */
static inline void zml_outliers_by_row(const zml_outliers *x, size_t tile, size_t first, size_t count,
                                       uint32_t starts[ZML_TILE_ROWS + 1], uint32_t *entries) {
  const size_t end = first + count;
  uint32_t sizes[ZML_TILE_ROWS] = {0};
  for (int pass = 0; pass < 2; pass++) {
    for (size_t block = first / ZML_OUTLIER_COLUMNS; block < zml_outlier_blocks(end); block++) {
      const zml_outlier_span span = zml_outliers_in(x, tile, block, 0, 4);
      for (uint32_t e = span.first; e < span.last; e++) {
        const size_t column = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(x->entries[e]);
        const size_t row = zml_outlier_row(x->entries[e]);
        if (column < first || column >= end)
          continue;
        if (pass == 1)
          entries[starts[row] + sizes[row]] = (uint32_t)(column - first) << 16 | (x->entries[e] & 0xffffu);
        sizes[row]++;
      }
    }
    starts[0] = 0;
    for (size_t row = 0; row < ZML_TILE_ROWS; row++) {
      starts[row + 1] = starts[row] + sizes[row];
      sizes[row] = 0;
    }
  }
}

/* Products s s' of the outliers that a row has in both blocks. */
static inline void zml_add_outlier_pairs(const uint32_t *first, const uint32_t *first_end, const uint32_t *second,
                                         const uint32_t *second_end, int32_t weight, const zml_square_sums *to) {
  for (const uint32_t *a = first; a < first_end; a++)
    for (const uint32_t *b = second; b < second_end; b++)
      if (!to->own || *b >> 16 <= *a >> 16)
        zml_add_to_square(to, *a >> 16, *b >> 16,
                          (int64_t)weight * zml_outlier_difference(*a) * zml_outlier_difference(*b));
}

#endif
