/* What a pass does to model-sized and batch-sized vectors: fixed-point rounding and the steps of the solvers.
 * Element by element in float32, in one fixed order, without contraction. */
#ifndef ZML_VECTOR_H
#define ZML_VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* Magnitudes of a signed fixed-point grid of `bits` bits: 0 stands for deterministic rounding to the two planes' full
 * 16 bits; 1 bit is the two-valued grid of plus and minus the largest magnitude. */
int32_t zml_grid_steps(int bits);
int zml_grid_planes(int bits);

/* Rounds n floats to a symmetric grid scaled by their largest magnitude (ZipML's Q3 and Q4): stochastically and
 * unbiased with bits of `key`, or to nearest if bits is 0. Writes the planes, plane_stride apart, and returns the
 * scale: value = scale * (256 * first + second), or scale * first with one plane. NaN if a value is not finite. */
float zml_quantize(const float *values, size_t n, int bits, uint64_t key, int8_t *planes, size_t plane_stride);

/* The same in place, for vectors that no integer kernel reads; unit (may be NULL) scales every component first. */
void zml_round(float *values, const float *unit, size_t n, int bits, uint64_t key);

/* sum over columns of centre * fixed-point value, in 8 interleaved double sums */
double zml_centre_sum(const int8_t *planes, size_t plane_stride, int n_planes, const float *centre, size_t n);

typedef struct {
  size_t n;            /* padded columns */
  const float *keep;   /* (1 + step * tau * noise) / (1 + step * ridge) */
  const float *step;   /* step / (1 + step * ridge) */
  const float *centre; /* column centre, in grid steps */
  float batch_weight;  /* turns the sum over a batch into the estimate of the mean */
  float table_weight;  /* turns it into the change of the mean over all rows */
} zml_step;

/* Centred gradient of a batch out of the kernels' integers: scale * (256 * first + second) - centre * total. */
void zml_batch_gradient(const int32_t *sums, size_t sum_stride, int n_planes, const float *centre, size_t n,
                        float scale, float total, float *gradient);
void zml_batch_gradient_float(const double *sums, const float *centre, size_t n, float total, float *gradient);

/* model = keep * model - step * (batch_weight * gradient + drift + mean); drift += table_weight * gradient */
void zml_saga_step(const zml_step *rule, const float *gradient, const float *mean, float *drift, float *model);

/* model = keep * model - step * batch_weight * gradient; total += model */
void zml_sgd_step(const zml_step *rule, const float *gradient, float *model, float *total);

#endif
