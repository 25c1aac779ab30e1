/* Mini-batch SGD for least squares: residuals are taken from the model itself, to nearest, and the gradient's vector is
 * what `gradient_bits` round. */
#include "block.h"
#include "rule.h"

#include <math.h>

static const float *row_state(const zml_epoch *e) { return e->targets; }

static int float_residuals(const zml_epoch *e, const zml_batch_rows *rows, zml_changes *c) {
  const float *targets = e->targets + rows->row;
  float *values = c->values + rows->start;
  double total = 0;
  for (int i = 0; i < rows->end; i++) {
    const float weight = i < rows->count && rows->weights ? rows->weights[i] : 1;
    values[i] = i < rows->count ? weight * (float)(rows->products[i] - targets[i]) : 0;
    total += values[i];
  }
  c->batch.n_digits = 0;
  c->batch.total = (float)total;
  return isfinite(total);
}

static int residuals(const zml_epoch *e, const zml_batch_rows *rows, zml_changes *c) {
  if (!zml_is_packed(e))
    return float_residuals(e, rows, c);
  c->batch.n_digits = 2;
  c->batch.stride = ZML_BLOCK;
  const zml_row_products products = zml_products_of(rows);
  c->batch.scale = e->kernels->sgd_rows(&products, e->targets + rows->row, &c->digits[0][rows->start], &c->batch.total);
  return isfinite(c->batch.scale);
}

static void fold(const zml_epoch *e, size_t j, size_t count) {
  e->kernels->fold(count, NULL, e->sum + j, e->total + j, NULL);
}

static float step(const zml_member *m, zml_changes *c, size_t target, size_t column, size_t count,
                  const uint8_t *ahead) {
  const zml_epoch *e = m->epoch;
  const zml_kernels *kernels = e->kernels;
  const size_t j = target * e->columns + column;
  const zml_step rule = zml_step_of(e, column, count);
  int32_t sums[2][ZML_BLOCK];
  float floats[ZML_BLOCK];
  zml_block_gradient(m, c, column, count, ahead, sums, floats);
  if (!e->gradient_bits)
    return kernels->sgd_step(&rule, &c->batch, e->model + j, e->total + j);
  zml_batch rounded = c->batch;
  if (zml_is_packed(e))
    kernels->batch_gradient(&c->batch, count, floats);
  kernels->round(floats, e->unit + column, count, column, e->gradient_bits, zml_key_of(e, m->batches - 1, target, 1));
  rounded.n_digits = 0, rounded.gradient = floats;
  return kernels->sgd_step(&rule, &rounded, e->model + j, e->total + j);
}

/* sgd steps from where the proximal step leads */
static float approach(const zml_epoch *e, size_t j, size_t count) {
  return e->kernels->shrink(count, e->threshold + j, e->anchor + j, e->model + j);
}

const zml_rule zml_sgd_least_squares = {
    .row_state = row_state, .residuals = residuals, .fold = fold, .step = step, .approach = approach};
