#include "block.h"

#include <string.h>

#include "format/compiler.h"
#include "rule.h"

enum { LASTING_BITS = 8 };

/* Whether so many bits are what the fused kernels take. */
static int is_one_digit(int bits) { return bits >= 2 && zml_grid_digits(bits) == 1; }

int zml_grids_last(const zml_epoch *e) {
  const int pays = e->width == 4 ? e->batch_size <= ZML_PLANE_ROWS
                                 : e->width == 8 && e->batch_size == ZML_TILE_ROWS && e->columns > ZML_MANY_COLUMNS;
  return pays && e->rule->sweep && e->model_bits == LASTING_BITS;
}

void zml_widen_block(const zml_epoch *e, const zml_rows *rows, size_t column, size_t count, const uint8_t *ahead) {
  enum { AT_ONCE = 2 * ZML_COLUMN_PAD };
  const size_t lines = (size_t)(rows->last - rows->first) * AT_ONCE / ZML_COLUMN_PAD;
  uint32_t seeds[ZML_TILE_ROWS];
  zml_row_seeds(zml_seeds_of(zml_tile_of(e, rows->tile, 0), e->columns, e->width), rows->first, rows->last, seeds);
  for (size_t first = column; first < column + count; first += AT_ONCE) {
    const size_t left = column + count - first;
    for (size_t k = 0; ahead && k < lines; k++, ahead += ZML_LINE)
      ZML_PREFETCH(ahead);
    e->kernels->widen(zml_tile_of(e, rows->tile, first), zml_table_of(e, first), left < AT_ONCE ? left : AT_ONCE,
                      rows->first, rows->last, seeds, zml_bytes_of(e, rows, first));
  }
}

void zml_block_gradient(const zml_member *m, zml_changes *c, size_t column, size_t count, const uint8_t *ahead,
                        int32_t sums[2][ZML_BLOCK], float *floats) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  const zml_samples x = zml_samples_of(e, rows, column, count, ahead);
  c->batch.centre = e->centre + column;
  if (zml_is_packed(e)) {
    c->batch.sums = &sums[0][0];
    e->kernels->gradient[zml_given_width(e)](&x, c->digits[0], c->batch.n_digits, &sums[0][0], ZML_BLOCK);
    if (e->outliers.starts) {
      const zml_batch_outliers outliers = zml_batch_outliers_of(e, rows, column, count);
      zml_add_outlier_sums(&outliers, c->digits[0], c->batch.n_digits, &sums[0][0], ZML_BLOCK);
    }
  } else {
    double double_sums[ZML_BLOCK];
    c->batch.gradient = floats;
    e->kernels->gradient_float((const float *)x.tile, count, c->values, rows->first, rows->last, double_sums);
    e->kernels->batch_gradient_float(double_sums, c->batch.centre, count, c->batch.total, floats);
  }
}

/* What the grid of a block reaches to: its largest magnitude, or, if it lasts, somewhat more than that once was. */
static float reach_for(const zml_member *m, size_t target, size_t column, float largest) {
  float *reach = zml_reach_of(m, target, column);
  if (!zml_grids_last(m->epoch))
    return largest;
  if (!zml_is_in_reach(largest, *reach))
    *reach = largest * ZML_ROOM;
  return *reach;
}

/* The same for tiles of floats. */
static void float_products(const zml_epoch *e, const zml_rows *rows, const float *model, size_t column, size_t count,
                           uint64_t key, double *products) {
  float values[ZML_BLOCK];
  double dots[ZML_TILE_ROWS], shift = 0;
  memcpy(values, model, count * sizeof *model);
  if (e->model_bits)
    e->kernels->round(values, NULL, count, column, e->model_bits, key);
  for (size_t j = 0; j < count; j++)
    shift += (double)e->centre[column + j] * values[j];
  e->kernels->dot_float((const float *)zml_tile_of(e, rows->tile, column), count, values, rows->first, rows->last,
                        dots);
  for (int i = rows->first * ZML_PLANE_ROWS; i < rows->last * ZML_PLANE_ROWS; i++)
    products[i] += dots[i] - shift;
}

void zml_block_products(const zml_member *m, const zml_rows *rows, size_t target, size_t column, size_t count,
                        float largest, const uint8_t *ahead, double *products) {
  const zml_epoch *e = m->epoch;
  const zml_kernels *kernels = e->kernels;
  const float *model = e->model + target * e->columns + column, *centre = e->centre + column;
  const zml_samples x = zml_samples_of(e, rows, column, count, ahead);
  const zml_rounding rounding = {reach_for(m, target, column, largest), e->model_bits, column,
                                 zml_key_of(e, m->batches, target, 0)};
  if (!zml_is_packed(e)) {
    float_products(e, rows, model, column, count, rounding.key, products);
  } else if (kernels->multiply[zml_given_width(e)] && is_one_digit(e->model_bits) &&
             !zml_has_outliers(e, rows, column, count)) {
    kernels->multiply[zml_given_width(e)](&x, model, &rounding, centre, products);
  } else {
    int8_t digits[2][ZML_BLOCK];
    int32_t dots[2][ZML_TILE_ROWS];
    double shift;
    const zml_digits rounded = {digits[0], ZML_BLOCK, zml_grid_digits(e->model_bits)};
    const float scale = kernels->quantize(model, count, &rounding, &rounded, centre, &shift);
    kernels->dot[zml_given_width(e)](&x, &rounded, &dots[0][0]);
    kernels->add_products(&dots[0][0], rounded.n_digits, rows->first, rows->last, scale, shift, products);
    if (e->outliers.starts) {
      const zml_batch_outliers outliers = zml_batch_outliers_of(e, rows, column, count);
      zml_add_outlier_products(&outliers, &rounded, scale, products);
    }
  }
}
