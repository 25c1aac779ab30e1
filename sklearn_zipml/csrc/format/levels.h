#ifndef ZML_LEVELS_H
#define ZML_LEVELS_H

#include <stddef.h>
#include <stdint.h>

/* Fixed-point units of a grid step: grid coordinates are integers in 1/256 of a step, 16 bits. */
enum { ZML_GRID_SHIFT = 8, ZML_GRID_FRACTION = 1 << ZML_GRID_SHIFT };

#endif
