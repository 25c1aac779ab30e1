/* The functions on vectors and float tiles, in plain C that compilers vectorize. Every kernels_*.c includes this file
 * and so compiles it for its own instruction set, ZML_TARGET; since nothing here may be reordered or contracted, the
 * floats are the same bit for bit. */
#include <math.h>
#include <string.h>

#include "compiler.h"
#include "kernels.h"
#include "rng.h"
#include "tile.h"

enum { LANES = 16 };

/* Keeps compilers from unrolling a loop over lanes before they see that it is one vector. */
#if defined(__GNUC__)
#define ZML_LANES(i) _Pragma("GCC unroll 1") for (size_t i = 0; i < LANES; i++)
#else
#define ZML_LANES(i) for (size_t i = 0; i < LANES; i++)
#endif

/* Largest magnitudes are found among the bit patterns: integers, unlike floats, the compiler may compare in any order,
 * and what is not finite is larger than all that is. */
ZML_INLINE int32_t magnitude(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffff;
}

ZML_INLINE float as_float(int32_t largest_magnitude) {
  float value;
  memcpy(&value, &largest_magnitude, sizeof value);
  return value < INFINITY ? value : INFINITY;
}

/* The 16 lanes of a sum over columns, in the order in which halving vectors adds them. */
ZML_INLINE double sum_of_lanes(double *lane) {
  for (int half = LANES / 2; half; half /= 2)
    for (int i = 0; i < half; i++)
      lane[i] += lane[i + half];
  return lane[0];
}

ZML_TARGET static float largest(const float *values, size_t n) {
  int32_t top = 0;
  for (size_t j = 0; j < n; j++) {
    const int32_t m = magnitude(values[j]);
    top = m > top ? m : top;
  }
  return as_float(top);
}

typedef enum { TO_NEAREST, TWO_VALUED, STOCHASTIC } Rounding;

ZML_INLINE Rounding rounding_of(int bits) { return bits == 0 ? TO_NEAREST : bits == 1 ? TWO_VALUED : STOCHASTIC; }

/* Reciprocal of a step, 0 where the vector is zero, too small to divide by, or not finite. */
ZML_INLINE float inverse_of(float scale) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  return inverse < INFINITY ? inverse : 0;
}

/* Element j in units of the grid's steps: an integer not above `steps` in magnitude. */
ZML_INLINE float round_to_grid(float scaled, float steps, Rounding rounding, uint64_t key, uint32_t j) {
  if (rounding == TO_NEAREST)
    return (scaled + 0x1.8p23f) - 0x1.8p23f; /* the sum has no bits left for a fraction */
  const float random = (float)(int32_t)(zml_draw(key, j * 0x9e3779b9u) >> 8) * 0x1p-24f;
  if (rounding == TWO_VALUED)
    return random * 2 < scaled + 1 ? 1.0f : -1.0f;
  const float cut = (float)(int32_t)scaled, low = cut > scaled ? cut - 1 : cut;
  const float rounded = random < scaled - low ? low + 1 : low, capped = rounded > steps ? steps : rounded;
  return capped < -steps ? -steps : capped;
}

ZML_INLINE void quantize_as(const float *values, size_t n, float inverse, float steps, uint64_t key, int8_t *planes,
                            size_t plane_stride, const float *centre, double *centre_sum, Rounding rounding,
                            int n_planes) {
  double sum[LANES] = {0};
  for (size_t j = 0; j < n; j += LANES) {
    float q[LANES];
    ZML_LANES(i)
      q[i] = round_to_grid(values[j + i] * inverse, steps, rounding, key, (uint32_t)(j + i));
    if (n_planes == 1) {
      ZML_LANES(i)
        planes[j + i] = (int8_t)(int32_t)q[i];
    } else {
      ZML_LANES(i)
        planes[j + i] = (int8_t)(((int32_t)q[i] + 128) >> 8);
      ZML_LANES(i)
        planes[plane_stride + j + i] = (int8_t)((((int32_t)q[i] + 128) & 255) - 128);
    }
    if (centre)
      ZML_LANES(i)
        sum[i] += (double)centre[j + i] * (double)q[i];
  }
  if (centre)
    *centre_sum = sum_of_lanes(sum);
}

ZML_INLINE void quantize_centred(const float *values, size_t n, float inverse, float steps, uint64_t key,
                                 int8_t *planes, size_t plane_stride, const float *centre, double *centre_sum,
                                 int bits) {
  if (bits == 0)
    quantize_as(values, n, inverse, steps, key, planes, plane_stride, centre, centre_sum, TO_NEAREST, 2);
  else if (bits == 1)
    quantize_as(values, n, inverse, steps, key, planes, plane_stride, centre, centre_sum, TWO_VALUED, 1);
  else if (zml_grid_planes(bits) == 1)
    quantize_as(values, n, inverse, steps, key, planes, plane_stride, centre, centre_sum, STOCHASTIC, 1);
  else
    quantize_as(values, n, inverse, steps, key, planes, plane_stride, centre, centre_sum, STOCHASTIC, 2);
}

ZML_TARGET static float quantize(const float *values, size_t n, float top, int bits, uint64_t key, int8_t *planes,
                                 size_t plane_stride, const float *centre, double *centre_sum) {
  const float steps = (float)zml_grid_steps(bits), scale = top / steps, inverse = inverse_of(scale);
  if (inverse == 0) {
    for (int plane = 0; plane < zml_grid_planes(bits); plane++)
      memset(planes + plane * plane_stride, 0, n);
    if (centre)
      *centre_sum = 0;
    return top < INFINITY ? 0 : NAN;
  }
  if (centre)
    quantize_centred(values, n, inverse, steps, key, planes, plane_stride, centre, centre_sum, bits);
  else
    quantize_centred(values, n, inverse, steps, key, planes, plane_stride, NULL, NULL, bits);
  return scale;
}

ZML_INLINE void round_as(float *values, const float *unit, size_t n, float inverse, float scale, float steps,
                         uint64_t key, Rounding rounding) {
  for (size_t j = 0; j < n; j++) {
    const float u = unit ? unit[j] : 1;
    const float rounded = round_to_grid(values[j] * u * inverse, steps, rounding, key, (uint32_t)j) * scale / u;
    values[j] = u > 0 ? rounded : 0;
  }
}

ZML_TARGET static void round_values(float *values, const float *unit, size_t n, int bits, uint64_t key) {
  int32_t largest_magnitude = 0;
  for (size_t j = 0; j < n; j++) {
    const int32_t m = magnitude(unit ? values[j] * unit[j] : values[j]);
    largest_magnitude = m > largest_magnitude ? m : largest_magnitude;
  }
  const float steps = (float)zml_grid_steps(bits), top = as_float(largest_magnitude), scale = top / steps;
  const float inverse = inverse_of(scale);
  if (top == INFINITY)
    return; /* the step that follows shows it */
  if (inverse == 0)
    memset(values, 0, n * sizeof *values);
  else if (bits == 0)
    round_as(values, unit, n, inverse, scale, steps, key, TO_NEAREST);
  else if (bits == 1)
    round_as(values, unit, n, inverse, scale, steps, key, TWO_VALUED);
  else
    round_as(values, unit, n, inverse, scale, steps, key, STOCHASTIC);
}

ZML_TARGET static void batch_gradient(const int32_t *sums, size_t sum_stride, int n_planes, const float *centre,
                                      size_t n, float scale, float total, float *gradient) {
  if (n_planes == 1)
    for (size_t j = 0; j < n; j++)
      gradient[j] = (float)sums[j] * scale - centre[j] * total;
  else
    for (size_t j = 0; j < n; j++)
      gradient[j] = (float)(256 * sums[j] + sums[sum_stride + j]) * scale - centre[j] * total;
}

ZML_TARGET static void batch_gradient_float(const double *sums, const float *centre, size_t n, float total,
                                            float *gradient) {
  for (size_t j = 0; j < n; j++)
    gradient[j] = (float)(sums[j] - (double)centre[j] * total);
}

ZML_TARGET static float saga_step(const zml_step *rule, const float *restrict gradient, const float *restrict mean,
                                  float *restrict drift, float *restrict model) {
  const float *restrict keep = rule->keep, *restrict step = rule->step;
  const float batch_weight = rule->batch_weight, table_weight = rule->table_weight;
  int32_t top = 0;
  for (size_t j = 0; j < rule->n; j++) {
    const float direction = batch_weight * gradient[j] + drift[j] + mean[j];
    const float value = keep[j] * model[j] - step[j] * direction;
    const int32_t m = magnitude(value);
    model[j] = value;
    drift[j] += table_weight * gradient[j];
    top = m > top ? m : top;
  }
  return as_float(top);
}

ZML_TARGET static float sgd_step(const zml_step *rule, const float *restrict gradient, float *restrict model,
                                 float *restrict total) {
  const float *restrict keep = rule->keep, *restrict step = rule->step;
  const float batch_weight = rule->batch_weight;
  int32_t top = 0;
  for (size_t j = 0; j < rule->n; j++) {
    const float value = keep[j] * model[j] - step[j] * (batch_weight * gradient[j]);
    const int32_t m = magnitude(value);
    model[j] = value;
    total[j] += value;
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

/* These functions' part of a table of kernels. */
#define ZML_VECTOR_FUNCTIONS                                                                                           \
  .dot_float = dot_float, .gradient_float = gradient_float, .largest = largest, .quantize = quantize,                  \
  .round = round_values, .batch_gradient = batch_gradient, .batch_gradient_float = batch_gradient_float,               \
  .saga_step = saga_step, .sgd_step = sgd_step
