/* The functions on vectors and float tiles, in plain C that compilers vectorize. Every <isa>.c includes this file
 * and so compiles it for its own instruction set, ZML_TARGET; since nothing here may be reordered or contracted, the
 * floats are the same bit for bit.
 *
 * What else an <isa>.c has: `dot` and `gradient`, of which widths-inl.h makes the kernels of every width, and in its
 * table saga_rows, this file's or its own, and sweep, move and multiply (kernels.h), where it gains by them. */
#include <math.h>
#include <string.h>

#include "format/compiler.h"
#include "passes/kernels.h"
#include "passes/grid-inl.h"
#include "format/tile.h"

/* Fetches the share of what comes next of a block of 16 columns, so many bytes. */
ZML_TARGET_INLINE void fetch_lines(const uint8_t *ahead, size_t block, int bytes) {
  if (ahead)
    for (int k = 0; k < bytes; k += ZML_LINE)
      ZML_PREFETCH_FAR(ahead + block * (size_t)bytes + k);
}

/* As many bytes as `count` planes of the block have. */
ZML_TARGET_INLINE void fetch_ahead(const uint8_t *ahead, size_t block, int width, int count) {
  fetch_lines(ahead, block, 32 * width * count);
}

/* The fixed-point number of component j out of its digits' sums. */
ZML_TARGET_INLINE int32_t joined(const int32_t *sums, size_t stride, int n_digits, size_t j) {
  return n_digits == 1 ? sums[j] : 256 * sums[j] + sums[stride + j];
}

ZML_TARGET static void add_products(const int32_t *sums, int n_digits, int first, int last, double scale, double shift,
                                    double *product) {
  for (size_t start = (size_t)first * ZML_PLANE_ROWS; start < (size_t)last * ZML_PLANE_ROWS; start += LANES)
    if (n_digits == 1)
      ZML_LANES(i)
  product[start + i] += (sums[start + i] - shift) * scale;
  else ZML_LANES(i) product[start + i] +=
      (256 * (double)sums[start + i] + sums[ZML_TILE_ROWS + start + i] - shift) * scale;
}

ZML_TARGET static void add_sums(const int32_t *sums, size_t stride, int n_digits, size_t n, float scale,
                                double *total) {
  if (n_digits == 1)
    for (size_t j = 0; j < n; j++)
      total[j] += scale * (double)sums[j];
  else
    for (size_t j = 0; j < n; j++)
      total[j] += scale * (double)joined(sums, stride, 2, j);
}

/* Quantizes a batch's `value`, of rows below `count`, and leaves there what the digits stand for. */
ZML_TARGET_INLINE float quantize_rows(float *value, int count, int end, int bits, uint64_t key, int8_t *digits,
                                      float *total) {
  int32_t sum = 0;
  for (int i = count; i < end; i++)
    value[i] = 0;
  const zml_rounding rounding = {largest(value, (size_t)end), bits, 0, key};
  const zml_digits to = {digits, ZML_TILE_ROWS, zml_grid_digits(bits)};
  const float scale = quantize(value, (size_t)end, &rounding, &to, NULL, NULL);
  for (int i = count; i < end; i++) /* one bit knows no zero */
    digits[i] = 0;
  for (int i = 0; i < end; i++) {
    const int32_t q = to.n_digits == 2 ? 256 * digits[i] + digits[ZML_TILE_ROWS + i] : digits[i];
    sum += q;
    value[i] = scale * (float)q;
  }
  *total = scale * (float)sum;
  return scale;
}

ZML_TARGET static float saga_rows(const zml_row_products *rows, const float *table_residual, int bits, uint64_t key,
                                  int8_t *digits, float *left, float *total) {
  const zml_row_products r = *rows;
  float value[ZML_TILE_ROWS];
  for (int i = 0; i < r.end; i++)
    value[i] = table_residual[i] + (r.weights ? r.weights[i] * (float)r.products[i] : (float)r.products[i]);
  const float scale = quantize_rows(value, r.count, r.end, bits, key, digits, total);
  for (int i = 0; i < r.end; i++)
    left[i] = table_residual[i] - value[i];
  return scale;
}

ZML_TARGET static float sgd_rows(const zml_row_products *rows, const float *targets, int8_t *digits, float *total) {
  const zml_row_products r = *rows;
  float value[ZML_TILE_ROWS];
  for (int i = 0; i < r.end; i++) {
    const float residual = (float)(r.products[i] - targets[i]);
    value[i] = r.weights ? r.weights[i] * residual : residual;
  }
  return quantize_rows(value, r.count, r.end, 0, 0, digits, total);
}

/* Centred gradient of column j; the number of digits is a constant to the loops, 0 if the gradient is given. */
ZML_TARGET_INLINE float gradient_at(const zml_batch *batch, int n_digits, size_t j) {
  if (n_digits == 0)
    return batch->gradient[j];
  return (float)joined(batch->sums, batch->stride, n_digits, j) * batch->scale - batch->centre[j] * batch->total;
}

ZML_TARGET static void batch_gradient(const zml_batch *batch, size_t n, float *gradient) {
  const zml_batch b = *batch;
  if (b.n_digits == 1)
    for (size_t j = 0; j < n; j++)
      gradient[j] = gradient_at(&b, 1, j);
  else
    for (size_t j = 0; j < n; j++)
      gradient[j] = gradient_at(&b, 2, j);
}

ZML_TARGET static void batch_gradient_float(const double *sums, const float *centre, size_t n, float total,
                                            float *gradient) {
  for (size_t j = 0; j < n; j++)
    gradient[j] = (float)(sums[j] - (double)centre[j] * total);
}

ZML_TARGET_INLINE float saga_step_as(const zml_step *rule, zml_batch batch, int n_digits, const float *restrict mean,
                                     float *restrict drift, float *restrict model) {
  const float *restrict keep = rule->keep, *restrict step = rule->step;
  const float batch_weight = rule->batch_weight, table_weight = rule->table_weight;
  int32_t top = 0;
  for (size_t j = 0; j < rule->n; j++) {
    const float gradient = gradient_at(&batch, n_digits, j);
    const float direction = batch_weight * gradient + drift[j] + mean[j];
    const float value = keep[j] * model[j] - step[j] * direction;
    const int32_t m = magnitude(value);
    model[j] = value;
    drift[j] += table_weight * gradient;
    top = m > top ? m : top;
  }
  return as_float(top);
}

ZML_TARGET static float saga_step(const zml_step *rule, const zml_batch *batch, const float *mean, float *drift,
                                  float *model) {
  switch (batch->n_digits) {
  case 1:
    return saga_step_as(rule, *batch, 1, mean, drift, model);
  case 2:
    return saga_step_as(rule, *batch, 2, mean, drift, model);
  default:
    return saga_step_as(rule, *batch, 0, mean, drift, model);
  }
}

ZML_TARGET_INLINE float sgd_step_as(const zml_step *rule, zml_batch batch, int n_digits, float *restrict model,
                                    float *restrict total) {
  const float *restrict keep = rule->keep, *restrict step = rule->step;
  const float batch_weight = rule->batch_weight;
  int32_t top = 0;
  for (size_t j = 0; j < rule->n; j++) {
    const float value = keep[j] * model[j] - step[j] * (batch_weight * gradient_at(&batch, n_digits, j));
    const int32_t m = magnitude(value);
    model[j] = value;
    total[j] += value;
    top = m > top ? m : top;
  }
  return as_float(top);
}

ZML_TARGET static float sgd_step(const zml_step *rule, const zml_batch *batch, float *model, float *total) {
  switch (batch->n_digits) {
  case 1:
    return sgd_step_as(rule, *batch, 1, model, total);
  case 2:
    return sgd_step_as(rule, *batch, 2, model, total);
  default:
    return sgd_step_as(rule, *batch, 0, model, total);
  }
}

ZML_TARGET static void fold(size_t n, const double *penalty_gradient, double *mean, float *moved, float *total) {
  for (size_t j = 0; j < n; j++) {
    mean[j] += moved[j];
    moved[j] = 0;
    if (total)
      total[j] = (float)(mean[j] + penalty_gradient[j]);
  }
}

ZML_TARGET static float shrink(size_t n, const float *restrict threshold, const float *restrict anchor,
                               float *restrict offset) {
  int32_t top = 0;
  for (size_t j = 0; j < n; j++) {
    const float value = anchor[j] + offset[j], limit = threshold[j];
    const float inside = value > limit ? offset[j] - limit : value < -limit ? offset[j] + limit : -anchor[j];
    const float moved = value == value ? inside : value; /* a NaN has to show */
    const int32_t m = magnitude(moved);
    offset[j] = moved;
    top = m > top ? m : top;
  }
  return as_float(top);
}

ZML_TARGET static void dot_float(const float *tile, size_t columns, const float *model, int first, int last,
                                 double *dot) {
  for (int plane = first; plane < last; plane++) {
    double sum[ZML_PLANE_ROWS] = {0};
    for (size_t j = 0; j < columns; j++) {
      const float *column = tile + j * ZML_TILE_ROWS + plane * ZML_PLANE_ROWS;
      const double m = model[j];
      for (int i = 0; i < ZML_PLANE_ROWS; i++)
        sum[i] += column[i] * m;
    }
    memcpy(dot + plane * ZML_PLANE_ROWS, sum, sizeof sum);
  }
}

ZML_TARGET static void gradient_float(const float *tile, size_t columns, const float *residual, int first, int last,
                                      double *gradient) {
  for (size_t j = 0; j < columns; j++) {
    const float *column = tile + j * ZML_TILE_ROWS;
    double sum[LANES] = {0};
    for (int plane = first; plane < last; plane++)
      for (int i = 0; i < LANES; i++)
        sum[i] += (double)column[plane * ZML_PLANE_ROWS + i] * residual[plane * ZML_PLANE_ROWS + i];
    gradient[j] = sum_of_lanes(sum);
  }
}

/* These functions' part of a table of kernels; saga_rows is named there, for one instruction set has its own. */
#define ZML_VECTOR_FUNCTIONS                                                                                           \
  .dot_float = dot_float, .gradient_float = gradient_float, .largest = largest, .quantize = quantize,                  \
  .round = round_values, .add_products = add_products, .add_sums = add_sums, .sgd_rows = sgd_rows,                     \
  .batch_gradient = batch_gradient, .batch_gradient_float = batch_gradient_float, .saga_step = saga_step,              \
  .sgd_step = sgd_step, .shrink = shrink, .fold = fold
