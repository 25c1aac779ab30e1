/* What a pass does to model-sized and batch-sized vectors: fixed-point rounding and the steps of the solvers.
 *
 * Element by element in float32, in one fixed order, without contraction. The number of elements is always a multiple
 * of 16, the padding being zero; zml_step's n may be a block of the columns.
 *
 * largest     magnitude of the largest element; infinite if any is not finite.
 * quantize    rounds floats to a symmetric grid (ZipML's Q3 and Q4). Writes the digits, as many as the grid has, and
 *             returns the scale: value = scale * (256 * first + second), or scale * first with one digit; NaN if the
 *             grid's top is not finite. centre_sum (unless centre is NULL) becomes the sum of centre * fixed-point
 *             value in double.
 * round       the same in place, for vectors that no integer kernel reads; unit (may be NULL) scales every component
 *             first.
 * add_products
 *             product[row] += (dot - shift) * scale for the rows of planes first..last-1, out of what dot gives.
 * add_sums    total[column] += scale * sum, out of what gradient gives.
 * saga_rows   what a batch does to its rows: quantizes table_residual + weight * product; `left` becomes the
 *             table_residual without what the digits, ZML_TILE_ROWS apart, stand for. Returns their scale, NaN if a
 *             value was not finite; total becomes the sum of the quantized values.
 * sgd_rows    the same for weight * (product - target), to nearest.
 * batch_gradient, batch_gradient_float
 *             centred gradient of a batch out of its sums: scale * (256 * first + second) - centre * total.
 * saga_step   model = keep * model - step * (batch_weight * gradient + drift + mean); drift += table_weight * gradient
 * sgd_step    model = keep * model - step * batch_weight * gradient; total += model
 *             Both return the model's largest magnitude, as `largest` does.
 * shrink      anchor + offset moves towards zero by threshold, and becomes zero (offset = -anchor) within it: the
 *             proximal step of the l1 penalty. Returns the largest magnitude of offset.
 * fold        sum += moved, in double, and moved = 0; if total is not NULL it becomes sum + penalty_gradient. */
#ifndef ZML_VECTOR_H
#define ZML_VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* Fixed-point vectors are one or two digits, signed bytes, of every element, [digit][element]; two digits mean 256 *
 * first + second. */
typedef struct {
  int8_t *digits;
  size_t stride; /* from one digit to the next */
  int n_digits;
} zml_digits;
enum { ZML_ONE_DIGIT = 127, ZML_TWO_DIGITS = 32512 }; /* largest magnitude */

/* How a vector is rounded: to a grid of `bits` bits that reaches to `top`, its largest magnitude, stochastically and
 * unbiased with bits of `key`, or to nearest if bits is 0. The elements are those from `first` on, a multiple of 16, of
 * what the key is for. */
typedef struct {
  float top;
  int bits;
  size_t first;
  uint64_t key;
} zml_rounding;

/* Products of a batch's rows with the model: of `count` rows, and room for zeros up to `end`, a multiple of 16. */
typedef struct {
  const double *products;
  const float *weights; /* NULL if all are one */
  int count, end;
} zml_row_products;

/* Magnitudes of a signed fixed-point grid of `bits` bits: 0 stands for deterministic rounding to the two digits' full
 * 16 bits; 1 bit is the two-valued grid of plus and minus the largest magnitude. */
static inline int32_t zml_grid_steps(int bits) {
  if (bits == 0)
    return ZML_TWO_DIGITS;
  if (bits == 1)
    return 1;
  const int32_t steps = (1 << (bits - 1)) - 1;
  return steps < ZML_TWO_DIGITS ? steps : ZML_TWO_DIGITS;
}

static inline int zml_grid_digits(int bits) { return bits >= 1 && bits <= 8 ? 1 : 2; }

/* Grids that last reach beyond the largest magnitude when they are made, and are used as long as it is below that and
 * not much smaller. */
#define ZML_ROOM 1.125f
#define ZML_LEAST_USE 0.75f
static inline int zml_is_in_reach(float largest, float reach) {
  return largest <= reach && largest >= ZML_LEAST_USE * reach;
}

typedef struct {
  size_t n;           /* columns, padded */
  const float *keep;  /* (1 + step * tau * noise) / (1 + step * ridge) */
  const float *step;  /* step / (1 + step * ridge) */
  float batch_weight; /* turns the sum over a batch into the estimate of the mean */
  float table_weight; /* turns it into the change of the mean over all rows */
} zml_step;

/* The gradient of a batch: integer sums of one or two digits with what makes them a centred gradient, or, with
 * n_digits 0, the gradient itself. */
typedef struct {
  const int32_t *sums; /* those of the digits are `stride` apart */
  size_t stride;
  int n_digits;
  float scale;
  float total; /* sum of the quantized rows */
  const float *centre;
  const float *gradient;
} zml_batch;

#endif
