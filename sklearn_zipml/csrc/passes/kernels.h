/* Contract of the kernels, the inner loops of every pass: one table of functions for each instruction set.
 *
 * Every implementation gives the same integers and the same floats, bit for bit: the order of operations is fixed
 * here, sums over columns have 16 lanes, and nothing is contracted. No kernel allocates, and none knows of Python. */
#ifndef ZML_KERNELS_H
#define ZML_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "format/dither.h"
#include "passes/vector.h"

/* Widest matrix that one call of dot takes: 255 * 128 * 65536 < 2^31. Wider ones are taken in column blocks. */
enum { ZML_DOT_COLUMNS = 65536 };

/* The rows of planes first..last-1 of a tile, in some of its columns, a multiple of 16: tile and table, the decode
 * table (NULL for width 8), begin with the first of them. Kernels that go over rows fetch as many bytes as they read of
 * the tile from `ahead`, what is needed next (NULL for nothing). seeds: those of the tile, see dither.h; NULL for codes
 * without dither. */
typedef struct {
  const uint8_t *tile, *table;
  size_t columns;
  int first, last;
  const uint8_t *ahead, *seeds;
} zml_samples;

/* dot[digit][row] = sum over columns of position(row, column) * digit(column); digits of a row are 64 apart. */
typedef void zml_dot(const zml_samples *x, const zml_digits *vector, int32_t *dot);

/* gradient[digit][column] = sum over the rows of position(row, column) * digit(row); digits of the rows are 64 apart.
 */
typedef void zml_gradient(const zml_samples *x, const int8_t *rows, int n_digits, int32_t *gradient,
                          size_t gradient_stride);

/* The same for float32 tiles, [column][row]: sums over columns in double, in column order; sums over rows in double. */
typedef void zml_dot_float(const float *tile, size_t columns, const float *model, int first, int last, double *dot);
typedef void zml_gradient_float(const float *tile, size_t columns, const float *residual, int first, int last,
                                double *gradient);

/* The functions on vectors, see vector.h. */
typedef float zml_largest(const float *values, size_t n);
typedef float zml_quantize(const float *values, size_t n, const zml_rounding *rounding, const zml_digits *to,
                           const float *centre, double *centre_sum);
typedef void zml_round(float *values, const float *unit, size_t n, size_t first, int bits, uint64_t key);
typedef void zml_add_products(const int32_t *sums, int n_digits, int first, int last, double scale, double shift,
                              double *product);
typedef void zml_add_sums(const int32_t *sums, size_t stride, int n_digits, size_t n, float scale, double *total);
typedef float zml_saga_rows(const zml_row_products *rows, const float *table_residual, int bits, uint64_t key,
                            int8_t *digits, float *left, float *total);
typedef float zml_sgd_rows(const zml_row_products *rows, const float *targets, int8_t *digits, float *total);
typedef void zml_batch_gradient(const zml_batch *batch, size_t n, float *gradient);
typedef void zml_batch_gradient_float(const double *sums, const float *centre, size_t n, float total, float *gradient);
typedef float zml_saga_step(const zml_step *rule, const zml_batch *batch, const float *mean, float *drift,
                            float *model);
typedef float zml_sgd_step(const zml_step *rule, const zml_batch *batch, float *model, float *total);
typedef void zml_fold(size_t n, const double *penalty_gradient, double *sum, float *moved, float *total);
typedef float zml_shrink(size_t n, const float *threshold, const float *anchor, float *offset);

/* The same in one go, where an instruction set gains by it (NULL elsewhere), for packed tiles, at most
 * ZML_FUSED_COLUMNS columns and one digit of 2 to 8 bits: gradient and saga_step; quantize, dot and add_products. They
 * share what is to be fetched from `ahead`, the same for both. */
enum { ZML_FUSED_COLUMNS = 1024 };
typedef float zml_move(const zml_samples *x, const int8_t *rows, const zml_step *rule, const zml_batch *batch,
                       const float *mean, float *drift, float *model);
typedef void zml_multiply(const zml_samples *x, const float *model, const zml_rounding *rounding, const float *centre,
                          double *product);

/* Both at once, step with one batch and products of the next one, for codes of 4 bits in batches of 16 rows and of 8
 * bits in batches of 64, and at least 64 columns. If the grid that the model is rounded to is not in use
 * (zml_is_in_reach of the model's largest magnitude, which is returned), there are no products. */
typedef struct {
  zml_samples x, next;
  const zml_step *rule;
  const zml_batch *batch;
  const float *mean;
  float *drift, *model;
  zml_rounding rounding;
  double *product;
} zml_block;
typedef float zml_sweep(const zml_block *block, const int8_t *rows);

struct zml_encoding;
struct zml_matmul;

typedef struct {
  const char *name;
  const struct zml_encoding *encoding; /* see encode.h */
  const struct zml_matmul *matmul;     /* see products/matmul.h */
  zml_widen *widen;
  zml_dot *dot[9]; /* by code width: 1, 2, ZML_DITHERED, 4, 8 */
  zml_gradient *gradient[9];
  zml_sweep *sweep[9];
  zml_move *move[9];
  zml_multiply *multiply[9];
  zml_dot_float *dot_float;
  zml_gradient_float *gradient_float;
  zml_largest *largest;
  zml_quantize *quantize;
  zml_round *round;
  zml_add_products *add_products;
  zml_add_sums *add_sums;
  zml_saga_rows *saga_rows;
  zml_sgd_rows *sgd_rows;
  zml_batch_gradient *batch_gradient;
  zml_batch_gradient_float *batch_gradient_float;
  zml_saga_step *saga_step;
  zml_sgd_step *sgd_step;
  zml_shrink *shrink;
  zml_fold *fold;
} zml_kernels;

#endif
