/* Outliers: values beyond the range of their column's levels. Their codes are those of the nearest levels, and the
 * position of a value is what its code stands for plus a difference, an integer, that is kept apart.
 *
 * Entries are sorted by tile, block of columns and place; a place is plane << 13 | column of the block << 4 | row of the
 * plane, so that the entries of a batch in a block of columns are together. */
#ifndef ZML_OUTLIERS_H
#define ZML_OUTLIERS_H

#include <stddef.h>
#include <stdint.h>

#include "format/tile.h"

enum { ZML_OUTLIER_COLUMNS = 512, ZML_OUTLIER_PLANE_SHIFT = 13, ZML_MOST_DIFFERENCE = 32767 };

/* Entries starts[tile * n_blocks + block] to the next of these belong to a block of a tile. starts is NULL where a matrix
 * has none. */
typedef struct {
  const uint32_t *starts;
  const uint16_t *places;
  const int16_t *differences;
  size_t n_blocks;
} zml_outliers;

static inline size_t zml_outlier_column(uint16_t place) { return place >> 4 & (ZML_OUTLIER_COLUMNS - 1); }
static inline size_t zml_outlier_row(uint16_t place) {
  return (size_t)(place >> ZML_OUTLIER_PLANE_SHIFT) * ZML_PLANE_ROWS + place % ZML_PLANE_ROWS;
}

typedef struct {
  uint32_t first, last;
} zml_outlier_span;

/* The first of some entries that is not before a plane. */
static inline uint32_t zml_outlier_from(const uint16_t *places, uint32_t first, uint32_t last, int plane) {
  while (first < last) {
    const uint32_t middle = first + (last - first) / 2;
    const int before = places[middle] >> ZML_OUTLIER_PLANE_SHIFT < plane;
    first = before ? middle + 1 : first;
    last = before ? last : middle;
  }
  return first;
}

/* Those of planes first..last-1 of a tile in a block. */
static inline zml_outlier_span zml_outliers_in(const zml_outliers *o, size_t tile, size_t block, int first, int last) {
  const uint32_t *bounds = o->starts + tile * o->n_blocks + block;
  zml_outlier_span span = {bounds[0], bounds[1]};
  if (span.first == span.last)
    return span;
  if (first > 0)
    span.first = zml_outlier_from(o->places, span.first, span.last, first);
  if (last < ZML_TILE_ROWS / ZML_PLANE_ROWS)
    span.last = zml_outlier_from(o->places, span.first, span.last, last);
  return span;
}

static inline size_t zml_outlier_blocks(size_t columns) {
  return (columns + ZML_OUTLIER_COLUMNS - 1) / ZML_OUTLIER_COLUMNS;
}

#endif
