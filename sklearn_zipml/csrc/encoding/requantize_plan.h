/* How the codes of a column become fewer: its new levels, and the tables of zml_requantization, out of the old ones and
 * of how often each code occurs. */
#ifndef ZML_NARROW_PLAN_H
#define ZML_NARROW_PLAN_H

#include "encoding/encode.h"

/* What all columns share: codes there are and will be, levels there will be; whether a code holds two draws, is rounded
 * to the nearest level, and whether levels are evenly spread rather than optimal; whether they may leave outliers out;
 * the search of optimal ones. */
typedef struct {
  int n_codes, n_new_codes, n_levels, pairs, nearest, uniform, outliers;
  zml_optimal_levels *search;
} zml_plan;

/* One column as it is. table: positions of its codes, NULL if they are positions themselves; levels: those in use, NULL
 * with a table or if they are all there can be. counts: rows of each code; carried: E[error² | code]. */
typedef struct {
  const uint8_t *table, *levels;
  int used;
  const uint64_t *counts;
  const double *carried;
  int has_outliers; /* the column keeps its first and last level */
} zml_old_column;

/* The same as it will be: n_levels levels, the last one repeated, and how many there are; the column's share of the
 * tables of zml_requantization; E[error² | new code], or NULL. */
typedef struct {
  uint8_t *levels;
  uint16_t *used;
  uint8_t *base, *rise[2], *threshold[2], *after, *far;
  double *noise;
  uint8_t *first, *last; /* positions of the first and last level; what is beyond them are outliers */
} zml_new_column;

void zml_plan_column(const zml_plan *plan, const zml_old_column *old, const zml_new_column *made);

/* Which positions of whole tiles of bytes, of rows below n_rows, are beyond first[column] or last[column]: writes each
 * as row << 40 | column << 8 | position, row 0 being that of the first tile, for tiles from *tile on as long as they
 * have room for all their values (`room`), and returns how many. */
typedef struct {
  const uint8_t *tiles, *first, *last;
  size_t n_tiles, padded_columns, n_rows;
} zml_ended_tiles;
size_t zml_find_beyond(const zml_ended_tiles *of, size_t *tile, uint64_t *found, size_t room);

#endif
