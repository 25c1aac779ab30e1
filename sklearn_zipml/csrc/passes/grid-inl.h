/* Rounding of vectors to grids of fixed-point numbers, part of vector-inl.h: quantize makes digits of them, and
 * round_values leaves what they stand for. */
#include <math.h>
#include <string.h>

#include "format/compiler.h"
#include "passes/kernels.h"
#include "format/rng.h"
#include "format/tile.h"

enum { LANES = 16 };

/* Keeps compilers from unrolling a loop over lanes before they see that it is one vector. */
#if defined(__GNUC__)
#define ZML_LANES(i) _Pragma("GCC unroll 1") for (size_t i = 0; i < LANES; i++)
#else
#define ZML_LANES(i) for (size_t i = 0; i < LANES; i++)
#endif

/* Largest magnitudes are found among the bit patterns: integers, unlike floats, the compiler may compare in any order,
 * and what is not finite is larger than all that is. */
ZML_TARGET_INLINE int32_t magnitude(float value) {
  int32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffff;
}

ZML_TARGET_INLINE float as_float(int32_t largest_magnitude) {
  float value;
  memcpy(&value, &largest_magnitude, sizeof value);
  return value < INFINITY ? value : INFINITY;
}

/* The 16 lanes of a sum over columns, in the order in which halving vectors adds them. */
ZML_TARGET_INLINE double sum_of_lanes(const double *lane) {
  double eight[8];
  for (int i = 0; i < 8; i++)
    eight[i] = lane[i] + lane[i + 8];
  for (int i = 0; i < 4; i++)
    eight[i] += eight[i + 4];
  return (eight[0] + eight[2]) + (eight[1] + eight[3]);
}

ZML_TARGET static float largest(const float *values, size_t n) {
  int32_t top = 0;
  for (size_t j = 0; j < n; j++) {
    const int32_t m = magnitude(values[j]);
    top = m > top ? m : top;
  }
  return as_float(top);
}

/* A grid of fixed-point numbers: value = scale * integer. */
typedef struct {
  float scale;
  float inverse; /* makes a value what round_to_grid takes; 0 if the vector is zero or too small to divide by */
  int fraction;  /* bits of the fraction that stochastic rounding sees, so that no 32-bit sum overflows */
} Grid;

typedef enum { TO_NEAREST, TWO_VALUED, STOCHASTIC } Mode;

ZML_TARGET_INLINE Grid grid_of(float top, int bits) {
  const float steps = (float)zml_grid_steps(bits);
  Grid grid = {top * (1 / steps), 0, bits <= 1 ? 29 : 31 - (bits < 16 ? bits : 16)};
  /* a hair less, or rounding could push the largest element beyond the grid */
  const float most = bits ? steps * (float)(1 << grid.fraction) * (1 - 0x1p-22f) : steps;
  if (grid.scale > 0 && top < INFINITY && most / top < INFINITY)
    grid.inverse = most / top;
  return grid;
}

/* The lanes' draws for components first..first+15, and their steps. */
ZML_TARGET_INLINE void first_draws(uint64_t key, size_t first, uint32_t *random, uint32_t *step) {
  const uint32_t turn = (uint32_t)(first / LANES);
  ZML_LANES(i)
  step[i] = zml_lane_step(key, (uint32_t)i);
  ZML_LANES(i)
  random[i] = zml_lane_first(key, (uint32_t)i) + turn * step[i];
}

/* A value as an integer number of grid steps. */
ZML_TARGET_INLINE int32_t round_to_grid(float scaled, int fraction, Mode mode, uint32_t random) {
  if (mode == TO_NEAREST)
    return (int32_t)((scaled + 0x1.8p23f) - 0x1.8p23f); /* the sum has no bits left for a fraction */
  const int32_t fixed = (int32_t)scaled;
  if (mode == TWO_VALUED)
    return (int32_t)(random >> 2) < fixed + (1 << 29) ? 1 : -1;
  return (fixed + (int32_t)(random >> (32 - fraction))) >> fraction; /* floor(value + uniform) */
}

/* Stores 16 integers as bytes; spelled out, for compilers narrow step by step what AVX-512 does at once. */
ZML_TARGET_INLINE void store_bytes(int8_t *bytes, const int32_t *values) {
#if defined(__GNUC__)
  typedef int32_t Integers __attribute__((vector_size(64)));
  typedef int8_t Bytes __attribute__((vector_size(16)));
  Integers wide;
  memcpy(&wide, values, sizeof wide);
  const Bytes narrow = __builtin_convertvector(wide, Bytes);
  memcpy(bytes, &narrow, sizeof narrow);
#else
  for (int i = 0; i < LANES; i++)
    bytes[i] = (int8_t)values[i];
#endif
}

/* The lanes' random numbers with their steps, and their sums of centre * fixed-point value. */
typedef struct {
  uint32_t random[LANES], step[LANES];
  double sum[LANES];
} Lanes;

/* One digit stands for a model inside an epoch: the sum with the centre is single precision there, and double from one
 * block of so many columns to the next. Two digits stand for an anchor: double throughout. */
enum { CENTRE_BLOCK = 1024 };

ZML_TARGET_INLINE void quantize_block(const float *values, size_t n, Grid grid, Lanes *lanes, const zml_digits *to,
                                      const float *centre, Mode mode, int n_digits) {
  float part[LANES] = {0};
  for (size_t j = 0; j < n; j += LANES) {
    int32_t first[LANES], second[LANES];
    ZML_LANES(i)
    second[i] = round_to_grid(values[j + i] * grid.inverse, grid.fraction, mode, lanes->random[i]);
    ZML_LANES(i)
    lanes->random[i] += lanes->step[i];
    if (n_digits == 1) {
      if (centre)
        ZML_LANES(i)
      part[i] += centre[j + i] * (float)second[i];
      store_bytes(to->digits + j, second);
    } else {
      if (centre)
        ZML_LANES(i)
      lanes->sum[i] += (double)centre[j + i] * second[i];
      ZML_LANES(i)
      first[i] = (second[i] + 128) >> 8; /* what is left, second - 256 * first, is the low byte of `second` itself */
      store_bytes(to->digits + j, first);
      store_bytes(to->digits + to->stride + j, second);
    }
  }
  if (n_digits == 1)
    ZML_LANES(i)
  lanes->sum[i] += (double)part[i];
}

/* Returns the sum with the centre. */
ZML_TARGET_INLINE double quantize_as(const float *values, size_t n, const zml_rounding *rounding, Grid grid,
                                     const zml_digits *to, const float *centre, Mode mode, int n_digits) {
  Lanes lanes = {{0}, {0}, {0}};
  if (mode != TO_NEAREST)
    first_draws(rounding->key, rounding->first, lanes.random, lanes.step);
  for (size_t start = 0; start < n; start += CENTRE_BLOCK) {
    const zml_digits block = {to->digits + start, to->stride, n_digits};
    quantize_block(values + start, n - start < CENTRE_BLOCK ? n - start : CENTRE_BLOCK, grid, &lanes, &block,
                   centre ? centre + start : NULL, mode, n_digits);
  }
  return sum_of_lanes(lanes.sum);
}

ZML_TARGET_INLINE double quantize_centred(const float *values, size_t n, const zml_rounding *rounding, Grid grid,
                                          const zml_digits *to, const float *centre) {
  if (rounding->bits == 0)
    return quantize_as(values, n, rounding, grid, to, centre, TO_NEAREST, 2);
  if (rounding->bits == 1)
    return quantize_as(values, n, rounding, grid, to, centre, TWO_VALUED, 1);
  if (zml_grid_digits(rounding->bits) == 1)
    return quantize_as(values, n, rounding, grid, to, centre, STOCHASTIC, 1);
  return quantize_as(values, n, rounding, grid, to, centre, STOCHASTIC, 2);
}

ZML_TARGET static float quantize(const float *values, size_t n, const zml_rounding *rounding, const zml_digits *to,
                                 const float *centre, double *centre_sum) {
  const zml_digits own = *to; /* which no compiler takes for something that stores could change */
  const Grid grid = grid_of(rounding->top, rounding->bits);
  if (grid.inverse == 0) {
    for (int digit = 0; digit < zml_grid_digits(rounding->bits); digit++)
      memset(own.digits + (size_t)digit * own.stride, 0, n);
    if (centre)
      *centre_sum = 0;
    return rounding->top < INFINITY ? 0 : NAN;
  }
  if (centre)
    *centre_sum = quantize_centred(values, n, rounding, grid, &own, centre);
  else
    quantize_centred(values, n, rounding, grid, &own, NULL);
  return grid.scale;
}

ZML_TARGET_INLINE void round_as(float *values, const float *unit, size_t n, size_t first, Grid grid, uint64_t key,
                                Mode mode) {
  uint32_t random[LANES] = {0}, step[LANES] = {0};
  if (mode != TO_NEAREST)
    first_draws(key, first, random, step);
  for (size_t start = 0; start < n; start += LANES) {
    ZML_LANES(i) {
      const size_t j = start + i;
      const float u = unit ? unit[j] : 1, scaled = values[j] * u * grid.inverse;
      const float rounded = (float)round_to_grid(scaled, grid.fraction, mode, random[i]) * grid.scale / u;
      values[j] = u > 0 ? rounded : 0;
    }
    ZML_LANES(i)
    random[i] += step[i];
  }
}

ZML_TARGET static void round_values(float *values, const float *unit, size_t n, size_t first, int bits, uint64_t key) {
  int32_t top = 0;
  for (size_t j = 0; j < n; j++) {
    const int32_t m = magnitude(unit ? values[j] * unit[j] : values[j]);
    top = m > top ? m : top;
  }
  const Grid grid = grid_of(as_float(top), bits);
  if (as_float(top) == INFINITY)
    return; /* the step that follows shows it */
  if (grid.inverse == 0)
    memset(values, 0, n * sizeof *values);
  else if (bits == 0)
    round_as(values, unit, n, first, grid, key, TO_NEAREST);
  else if (bits == 1)
    round_as(values, unit, n, first, grid, key, TWO_VALUED);
  else
    round_as(values, unit, n, first, grid, key, STOCHASTIC);
}
