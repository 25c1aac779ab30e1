#ifndef ZML_LEVELS_H
#define ZML_LEVELS_H

#include <stddef.h>
#include <stdint.h>

/* Fixed-point units of a grid step: grid coordinates are integers in 1/256 of a step, 16 bits. */
enum { ZML_GRID_SHIFT = 8, ZML_GRID_FRACTION = 1 << ZML_GRID_SHIFT };

/* Outliers: at most this share of the values, with known dither of 3 bits the other one, kept apart where that leaves
 * at most MOST_LEFT of the noise, and that is at least LEAST_NOISE of the variance of the values that are not. With
 * known dither of 2 bits it is one in MANY_ROWS and two more, which cost less than the tables of a column, but one in
 * FEW_ROWS at most: of 8192 rows as many, and of 500 three, where a share would leave one. */
#define ZML_OUTLIER_SHARE (1.0 / 288)
#define ZML_PARITY_SHARE (1.0 / 256)
#define ZML_MANY_ROWS_SHARE (1.0 / 310)
#define ZML_FEW_ROWS_SHARE (1.0 / 144)
#define ZML_MOST_LEFT 0.85
#define ZML_LEAST_NOISE 0.002

#endif
