#ifndef ZML_LEVELS_H
#define ZML_LEVELS_H

#include <stddef.h>
#include <stdint.h>

/* Fixed-point units of a grid step: grid coordinates are integers in 1/4096 of a step. */
enum { ZML_GRID_SHIFT = 12, ZML_GRID_FRACTION = 1 << ZML_GRID_SHIFT };

/* Levels that minimise the summed variance of stochastic rounding, the first and last position among them.
 * position: n_positions (<= 256) increasing; count, sum, square: moments of all values below each position.
 * Writes the indices of the chosen positions and returns how many (fewer than n_levels if there are fewer). */
int zml_optimal_levels(const double *position, const double *count, const double *sum, const double *square,
                       int n_positions, int n_levels, uint8_t *chosen);

/* Levels of one column from a sample of its values, low < high being its full range.
 * stride 2 keeps to even grid positions, so that midpoints of levels are positions too. Returns the number of
 * levels written; top is the grid position of `high`; deviation the standard deviation in steps (infinite where
 * the column is a lattice and nothing is lost). */
int zml_column_levels(const double *values, size_t n, double low, double high, int n_levels, int max_steps, int stride,
                      uint8_t *levels, int *top, double *deviation);

#endif
