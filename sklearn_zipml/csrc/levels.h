#ifndef ZML_LEVELS_H
#define ZML_LEVELS_H

#include <stddef.h>
#include <stdint.h>

/* Fixed-point units of a grid step: grid coordinates are integers in 1/4096 of a step. */
enum { ZML_GRID_SHIFT = 12, ZML_GRID_FRACTION = 1 << ZML_GRID_SHIFT };

#endif
