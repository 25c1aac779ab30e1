#include "vector.h"

#include <math.h>

#include "kernels.h"
#include "rng.h"

int32_t zml_grid_steps(int bits) {
  if (bits == 0)
    return ZML_TWO_PLANES;
  if (bits == 1)
    return 1;
  const int32_t steps = (1 << (bits - 1)) - 1;
  return steps < ZML_TWO_PLANES ? steps : ZML_TWO_PLANES;
}

int zml_grid_planes(int bits) { return bits >= 1 && bits <= 8 ? 1 : 2; }

/* Largest magnitude; infinite if any value is not finite. */
static float largest(const float *values, const float *unit, size_t n) {
  float top = 0;
  int bad = 0;
  for (size_t j = 0; j < n; j++) {
    const float magnitude = fabsf(unit ? values[j] * unit[j] : values[j]);
    bad |= !(magnitude < INFINITY);
    top = magnitude > top ? magnitude : top;
  }
  return bad ? INFINITY : top;
}

/* Reciprocal of a step, 0 where the vector is zero, too small to divide by, or not finite. */
static float inverse_of(float scale) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  return inverse < INFINITY ? inverse : 0;
}

/* One value in units of the largest magnitude's steps. */
static int32_t round_to_grid(float scaled, int32_t steps, int bits, uint64_t key, size_t j) {
  if (bits == 0)
    return (int32_t)rintf(scaled);
  const float random = (float)(zml_draw(key, zml_column_key(j)) >> 8) * 0x1p-24f;
  if (bits == 1)
    return random * 2 < scaled + 1 ? 1 : -1;
  const float low = floorf(scaled);
  const int32_t rounded = (int32_t)low + (random < scaled - low);
  return rounded > steps ? steps : rounded < -steps ? -steps : rounded;
}

float zml_quantize(const float *values, size_t n, int bits, uint64_t key, int8_t *planes, size_t plane_stride) {
  const int32_t steps = zml_grid_steps(bits);
  const int n_planes = zml_grid_planes(bits);
  const float top = largest(values, NULL, n);
  const float scale = top / (float)steps, inverse = inverse_of(scale);
  for (size_t j = 0; j < n; j++) {
    const int32_t q = inverse > 0 ? round_to_grid(values[j] * inverse, steps, bits, key, j) : 0;
    if (n_planes == 1) {
      planes[j] = (int8_t)q;
    } else {
      const int32_t high = (q + 128) >> 8;
      planes[j] = (int8_t)high;
      planes[plane_stride + j] = (int8_t)(q - 256 * high);
    }
  }
  if (top == INFINITY)
    return NAN;
  return inverse > 0 ? scale : 0;
}

void zml_round(float *values, const float *unit, size_t n, int bits, uint64_t key) {
  const int32_t steps = zml_grid_steps(bits);
  const float top = largest(values, unit, n), scale = top / (float)steps, inverse = inverse_of(scale);
  if (top == INFINITY)
    return; /* the step that follows shows it */
  for (size_t j = 0; j < n; j++) {
    const float u = unit ? unit[j] : 1, scaled = values[j] * u * inverse;
    values[j] = inverse > 0 && u > 0 ? (float)round_to_grid(scaled, steps, bits, key, j) * scale / u : 0;
  }
}

double zml_centre_sum(const int8_t *planes, size_t plane_stride, int n_planes, const float *centre, size_t n) {
  enum { LANES = 8 };
  double sum[LANES] = {0};
  for (size_t j = 0; j < n; j += LANES)
    for (size_t lane = 0; lane < LANES; lane++) {
      const int32_t high = planes[j + lane];
      const int32_t q = n_planes == 1 ? high : 256 * high + planes[plane_stride + j + lane];
      sum[lane] += (double)centre[j + lane] * q;
    }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

void zml_batch_gradient(const int32_t *sums, size_t sum_stride, int n_planes, const float *centre, size_t n,
                        float scale, float total, float *gradient) {
  if (n_planes == 1)
    for (size_t j = 0; j < n; j++)
      gradient[j] = (float)sums[j] * scale - centre[j] * total;
  else
    for (size_t j = 0; j < n; j++)
      gradient[j] = (float)(256 * sums[j] + sums[sum_stride + j]) * scale - centre[j] * total;
}

void zml_batch_gradient_float(const double *sums, const float *centre, size_t n, float total, float *gradient) {
  for (size_t j = 0; j < n; j++)
    gradient[j] = (float)(sums[j] - (double)centre[j] * total);
}

void zml_saga_step(const zml_step *rule, const float *gradient, const float *mean, float *drift, float *model) {
  for (size_t j = 0; j < rule->n; j++) {
    const float direction = rule->batch_weight * gradient[j] + drift[j] + mean[j];
    model[j] = rule->keep[j] * model[j] - rule->step[j] * direction;
    drift[j] += rule->table_weight * gradient[j];
  }
}

void zml_sgd_step(const zml_step *rule, const float *gradient, float *model, float *total) {
  for (size_t j = 0; j < rule->n; j++) {
    model[j] = rule->keep[j] * model[j] - rule->step[j] * (rule->batch_weight * gradient[j]);
    total[j] += model[j];
  }
}
