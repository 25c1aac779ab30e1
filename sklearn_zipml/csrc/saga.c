/* Anchored SAGA for least squares: residuals are linear in the model, so that of a row changes by its product with the
 * offset from the anchor. A batch quantizes these changes, less those that the table of gradients has taken already,
 * and the table follows what was quantized. */
#include "block.h"
#include "rule.h"

#include <math.h>
#include <string.h>

enum { FEWEST_SWEPT = 64 };

static const float *row_state(const zml_epoch *e) { return e->table_residual; }

static int float_residuals(const zml_epoch *e, const zml_batch_rows *rows, zml_changes *c) {
  const float *table_residual = e->table_residual + rows->row;
  float *values = c->values + rows->start;
  double total = 0;
  for (int i = 0; i < rows->end; i++) {
    const float weight = i < rows->count && rows->weights ? rows->weights[i] : 1;
    values[i] = i < rows->count ? table_residual[i] + weight * (float)rows->products[i] : 0;
  }
  if (e->gradient_bits)
    e->kernels->round(values, NULL, (size_t)rows->end, 0, e->gradient_bits, rows->key);
  for (int i = rows->count; i < rows->end; i++) /* one bit knows no zero */
    values[i] = 0;
  for (int i = 0; i < rows->count; i++) {
    c->table_residual[i] = table_residual[i] - values[i];
    total += values[i];
  }
  c->batch.n_digits = 0;
  c->batch.total = (float)total;
  return isfinite(total);
}

static int residuals(const zml_epoch *e, const zml_batch_rows *rows, zml_changes *c) {
  if (!zml_is_packed(e))
    return float_residuals(e, rows, c);
  c->batch.n_digits = zml_grid_digits(e->gradient_bits);
  c->batch.stride = ZML_BLOCK;
  const zml_row_products products = zml_products_of(rows);
  c->batch.scale = e->kernels->saga_rows(&products, e->table_residual + rows->row, e->gradient_bits, rows->key,
                                         &c->digits[0][rows->start], c->table_residual, &c->batch.total);
  return isfinite(c->batch.scale);
}

static void keep(const zml_epoch *e, size_t row, int count, const zml_changes *c) {
  memcpy(e->table_residual + row, c->table_residual, (size_t)count * sizeof(float));
}

static void fold(const zml_epoch *e, size_t j, size_t count) {
  e->kernels->fold(count, e->penalty_gradient + j, e->sum + j, e->drift + j, e->total + j);
}

static float step(const zml_member *m, zml_changes *c, size_t target, size_t column, size_t count,
                  const uint8_t *ahead) {
  const zml_epoch *e = m->epoch;
  const size_t j = target * e->columns + column;
  const zml_step rule = zml_step_of(e, column, count);
  zml_move *move = zml_is_packed(e) && c->batch.n_digits == 1 ? e->kernels->move[zml_given_width(e)] : NULL;
  float largest;
  if (move && zml_has_outliers(e, &m->rows, column, count))
    move = NULL;
  if (move) {
    const zml_samples x = zml_samples_of(e, &m->rows, column, count, ahead);
    c->batch.centre = e->centre + column;
    largest = move(&x, c->digits[0], &rule, &c->batch, e->total + j, e->drift + j, e->model + j);
  } else {
    int32_t sums[2][ZML_BLOCK];
    float floats[ZML_BLOCK];
    zml_block_gradient(m, c, column, count, ahead, sums, floats);
    largest = e->kernels->saga_step(&rule, &c->batch, e->total + j, e->drift + j, e->model + j);
  }
  return e->threshold ? e->kernels->shrink(count, e->threshold + j, e->anchor + j, e->model + j) : largest;
}

static int sweep(zml_member *m, const zml_rows *next, size_t target, size_t column, size_t count, const uint8_t *ahead,
                 double *products) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  zml_changes *c = &m->changes[target];
  if (!m->batches || !zml_grids_last(e) || !e->kernels->sweep[e->width] || c->batch.n_digits != 1 || e->threshold ||
      count < FEWEST_SWEPT || zml_has_outliers(e, rows, column, count) || zml_has_outliers(e, next, column, count))
    return 0;
  const size_t j = target * e->columns + column;
  const zml_step rule = zml_step_of(e, column, count);
  if (rows->opens_fold)
    fold(e, j, count);
  c->batch.centre = e->centre + column;
  const zml_block block = {
      .x = zml_samples_of(e, rows, column, count, ahead),
      .next = zml_samples_of(e, next, column, count, NULL),
      .rule = &rule,
      .batch = &c->batch,
      .mean = e->total + j,
      .drift = e->drift + j,
      .model = e->model + j,
      .rounding = {*zml_reach_of(m, target, column), e->model_bits, column, zml_key_of(e, m->batches, target, 0)},
      .product = products};
  const float largest = e->kernels->sweep[e->width](&block, c->digits[0]);
  if (!zml_is_in_reach(largest, block.rounding.top))
    zml_block_products(m, next, target, column, count, largest, NULL, products);
  return 1;
}

const zml_rule zml_saga_least_squares = {
    .row_state = row_state, .residuals = residuals, .keep = keep, .fold = fold, .step = step, .sweep = sweep};
