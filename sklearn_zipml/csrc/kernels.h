/* Contract of the kernels that touch packed tiles: one table of functions for each instruction set and code width.
 *
 * Every implementation gives the same integers and, where floats are written, the same bits: the order of
 * operations is fixed here and nothing is contracted. No kernel allocates, and none knows of Python. */
#ifndef ZML_KERNELS_H
#define ZML_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Widest matrix that one call of dot takes: 255 * 128 * 65536 < 2^31. Wider ones are taken in column blocks. */
enum { ZML_DOT_COLUMNS = 65536 };

/* Fixed-point vectors are one or two planes of signed bytes, [plane][index]; two planes mean 256 * first + second. */
enum { ZML_ONE_PLANE = 127, ZML_TWO_PLANES = 32512 }; /* largest magnitude */

/* dot[plane][row] = sum over columns of position(row, column) * plane(column), for the rows of planes first..last-1 of
 * the tile. columns is a multiple of 16; table is the decode table of these columns (NULL for width 8). */
typedef void zml_dot(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                     size_t plane_stride, int n_planes, int first, int last, int32_t *dot);

/* gradient[plane][column] = sum over those rows of position(row, column) * plane(row); residual planes are 64 apart. */
typedef void zml_gradient(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes, int n_planes,
                          int first, int last, int32_t *gradient, size_t gradient_stride);

/* The same for float32 tiles, [column][row]: sums over columns in double, in column order; sums over rows in double. */
typedef void zml_dot_float(const float *tile, size_t columns, const float *model, int first, int last, double *dot);
typedef void zml_gradient_float(const float *tile, size_t columns, const float *residual, int first, int last,
                                double *gradient);

typedef struct {
  const char *name;
  zml_dot *dot[9]; /* by code width: 1, 2, 4, 8 */
  zml_gradient *gradient[9];
  zml_dot_float *dot_float;
  zml_gradient_float *gradient_float;
} zml_kernels;

extern const zml_kernels zml_portable;

/* The best table this CPU and operating system run. */
const zml_kernels *zml_best_kernels(void);

#endif
