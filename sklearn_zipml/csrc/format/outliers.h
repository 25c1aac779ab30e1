/* Outliers: values beyond the range of their column's levels. Their codes are those of the nearest levels, and the
 * position of a value is what its code stands for plus a difference, an integer, that is kept apart.
 *
 * Entries are sorted by tile, block of columns and place; a place is plane << 13 | column of the block << 4 | row of
 * the plane, so that the entries of a batch in a block of columns are together. */
#ifndef ZML_OUTLIERS_H
#define ZML_OUTLIERS_H

#include <stddef.h>
#include <stdint.h>

#include "format/tile.h"

enum { ZML_OUTLIER_COLUMNS = 512, ZML_OUTLIER_PLANE_SHIFT = 13, ZML_MOST_DIFFERENCE = 32767 };

/* Entries starts[tile * n_blocks + block] to the next of these belong to a block of a tile; each is place << 16 |
 * difference. starts is NULL where a matrix has none. */
typedef struct {
  const uint32_t *starts, *entries;
  size_t n_blocks;
} zml_outliers;

static inline size_t zml_outlier_column(uint32_t entry) { return entry >> 20 & (ZML_OUTLIER_COLUMNS - 1); }
static inline size_t zml_outlier_row(uint32_t entry) {
  return (size_t)(entry >> (16 + ZML_OUTLIER_PLANE_SHIFT) << 4 | (entry >> 16 & (ZML_PLANE_ROWS - 1)));
}
static inline int32_t zml_outlier_difference(uint32_t entry) { return (int16_t)(uint16_t)entry; }
static inline int zml_outlier_plane(uint32_t entry) { return (int)(entry >> (16 + ZML_OUTLIER_PLANE_SHIFT)); }

typedef struct {
  uint32_t first, last;
} zml_outlier_span;

/* The first of some entries that is not before a plane: rows being shuffled, it is near where it would be if all planes
 * had as many. */
static inline uint32_t zml_outlier_from(const uint32_t *entries, uint32_t first, uint32_t last, int plane) {
  uint32_t at = first + (last - first) * (uint32_t)plane / (ZML_TILE_ROWS / ZML_PLANE_ROWS);
  while (at > first && zml_outlier_plane(entries[at - 1]) >= plane)
    at--;
  while (at < last && zml_outlier_plane(entries[at]) < plane)
    at++;
  return at;
}

/* Those of planes first..last-1 of a tile in a block. */
static inline zml_outlier_span zml_outliers_in(const zml_outliers *o, size_t tile, size_t block, int first, int last) {
  const uint32_t *bounds = o->starts + tile * o->n_blocks + block;
  zml_outlier_span span = {bounds[0], bounds[1]};
  if (span.first == span.last)
    return span;
  if (first > 0)
    span.first = zml_outlier_from(o->entries, span.first, span.last, first);
  if (last < ZML_TILE_ROWS / ZML_PLANE_ROWS)
    span.last = zml_outlier_from(o->entries, span.first, span.last, last);
  return span;
}

static inline size_t zml_outlier_blocks(size_t columns) {
  return (columns + ZML_OUTLIER_COLUMNS - 1) / ZML_OUTLIER_COLUMNS;
}

#endif
