/* Panels are decoded where they stay in the caches until all vectors have gone by. */
#include "products/passes.h"

#include <string.h>

#include "products/outlier_moments.h"
#include "products/panels.h"

/* Panels of columns over the rows of some tiles; rows that are not there become zeros. */
static void decode_columns(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, size_t column,
                           size_t n_panels, uint8_t *out) {
  const size_t stride = panel_bytes(by, (last - first) * ZML_TILE_ROWS), value_bytes = (size_t)by->value_bytes;
  for (size_t t = first; t < last; t++)
    decode_panels(by->panels_of_columns, x, t, column, n_panels, out + panel_bytes(by, (t - first) * ZML_TILE_ROWS),
                  stride, stride);
  const size_t unit = (size_t)by->unit, end = (last - first) * ZML_TILE_ROWS;
  for (size_t row = rows_below(x, last) - first * ZML_TILE_ROWS; row < end; row++)
    for (size_t lane = 0; lane < n_panels * ZML_PANEL; lane++)
      memset(out + lane / ZML_PANEL * stride +
                 value_bytes * ((row / unit * ZML_PANEL + lane % ZML_PANEL) * unit + row % unit),
             0, value_bytes);
}

/* Vectors */

size_t zml_vector_bytes(const zml_matmul *by, size_t n_vectors, size_t count, int n_bytes) {
  return n_digits(by, n_bytes) * vector_panels(n_vectors) * panel_bytes(by, count);
}

void zml_pack_vectors(const zml_matmul *by, const int32_t *vectors, size_t stride, size_t n_vectors, size_t count,
                      int n_bytes, uint8_t *packed) {
  for (size_t start = 0; start < count; start += by->depth) {
    const size_t depth = least(by->depth, count - start);
    for (size_t p = 0; p < n_digits(by, n_bytes); p++) {
      by->pack(vectors + start, stride, n_vectors, depth, (int)p, packed);
      packed += vector_panels(n_vectors) * panel_bytes(by, depth);
    }
  }
}

/* Products of columns */

typedef struct {
  uint8_t *columns, *others, *vectors; /* panels of the columns; of the others; these as vectors */
  uint8_t *weights;                    /* the rows' weights as one vector */
  int64_t (*sums)[ZML_PANEL], (*totals)[ZML_PANEL], (*other_totals)[ZML_PANEL];
  zml_outlier_sums outliers, other_outliers; /* of the columns; of the others */
  uint32_t *by_row, *others_by_row;          /* those of a tile */
  size_t bytes;
} GramWork;

static zml_outlier_sums outlier_sums(uint8_t *work, size_t *at, size_t first, size_t n_columns, size_t n_others,
                                     int weighted) {
  const zml_outlier_sums sums = zml_outlier_sums_in(work + *at, first, n_columns, n_others, weighted);
  *at += on_lines(zml_outlier_sum_bytes(n_columns, n_others, weighted));
  return sums;
}

static GramWork gram_work(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work) {
  const int own = pair->first == pair->other, as_they_are = !pair->weighted && by->shift == by->own_shift;
  const size_t panels = panel_bytes(by, by->depth) * (pair->n_columns / ZML_PANEL);
  const size_t others = panel_bytes(by, by->depth) * (pair->n_others / ZML_PANEL);
  GramWork w;
  size_t at = 0;
  w.sums = (void *)(work + at), at += pair->n_columns * pair->n_others * sizeof(int64_t);
  w.totals = (void *)(work + at), at += ZML_VECTORS_AT_ONCE * pair->n_columns * sizeof(int64_t);
  w.other_totals = w.totals;
  if (!own)
    w.other_totals = (void *)(work + at), at += ZML_VECTORS_AT_ONCE * pair->n_others * sizeof(int64_t);
  if (pair->has_outliers) {
    w.outliers = outlier_sums(work, &at, pair->first, pair->n_columns, pair->n_others, pair->weighted);
    if (!own)
      w.other_outliers = outlier_sums(work, &at, pair->other, pair->n_others, pair->n_columns, pair->weighted);
  }
  w.columns = w.others = work + at, at += panels;
  if (!own)
    w.others = work + at, at += others;
  w.vectors = w.others;
  if (!as_they_are)
    w.vectors = work + at, at += others;
  w.weights = work + at, at += n_digits(by, ZML_WEIGHT_BYTES) * panel_bytes(by, by->depth);
  if (pair->has_outliers) {
    w.by_row = w.others_by_row = (void *)(work + at), at += ZML_TILE_ROWS * pair->n_columns * sizeof(uint32_t);
    if (!own)
      w.others_by_row = (void *)(work + at), at += ZML_TILE_ROWS * pair->n_others * sizeof(uint32_t);
  }
  w.bytes = on_lines(at);
  return w;
}

size_t zml_gram_bytes(const zml_matmul *by, const zml_block_pair *pair) { return gram_work(by, pair, NULL).bytes; }

void zml_begin_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work) {
  const GramWork w = gram_work(by, pair, work);
  memset(w.sums, 0, (size_t)(w.columns - (uint8_t *)w.sums)); /* and totals and outliers, which follow */
}

/* The rows' weights, or ones, as a vector; zeros for rows that are not there. */
static void pack_weights(const zml_matmul *by, const int32_t *weights, size_t n_rows, size_t depth, int n_bytes,
                         int32_t *padded, uint8_t *packed) {
  for (size_t k = 0; k < depth; k++)
    padded[k] = k >= n_rows ? 0 : weights ? weights[k] : 1;
  zml_pack_vectors(by, padded, 0, 1, depth, n_bytes, packed);
}

/* Sums of the columns with the others, of which `vectors` has one digit. */
static void multiply_blocks(const zml_matmul *by, const zml_block_pair *pair, const GramWork *w, size_t depth,
                            int scale) {
  const size_t n_panels = pair->n_columns / ZML_PANEL, n_others = pair->n_others / ZML_PANEL;
  for (size_t p = 0; p < n_panels; p += ZML_PANELS_AT_ONCE) {
    const size_t count = least(ZML_PANELS_AT_ONCE, n_panels - p);
    const size_t needed = pair->first == pair->other ? p + count : n_others;
    const zml_factors factors = {w->columns + p * panel_bytes(by, depth), w->vectors, count, needed * ZML_PANEL, depth};
    const zml_panel_sums to = {w->sums + p * pair->n_others, pair->n_others, scale, 0};
    by->multiply(&factors, &to);
  }
}

static zml_square_sums square_sums(const zml_block_pair *pair, const GramWork *w) {
  return (zml_square_sums){w->sums, pair->n_others, pair->first == pair->other};
}

/* What outliers of the tiles of one run add. */
static void add_outliers(const zml_matmul *by, const zml_outliers *x, size_t first, size_t last,
                         const zml_block_pair *pair, const int32_t *weights, const GramWork *w) {
  const zml_square_sums to = square_sums(pair, w);
  const size_t depth = (last - first) * ZML_TILE_ROWS;
  const zml_run_codes codes = {w->columns, pair->n_columns / ZML_PANEL, depth, weights};
  const zml_run_codes others = {w->others, pair->n_others / ZML_PANEL, depth, weights};
  for (size_t t = first; t < last; t++) {
    const size_t start = (t - first) * ZML_TILE_ROWS;
    uint32_t starts[ZML_TILE_ROWS + 1], other_starts[ZML_TILE_ROWS + 1];
    zml_add_outlier_rows(by, x, t, start, &others, &w->outliers, 0, &to);
    if (!to.own)
      zml_add_outlier_rows(by, x, t, start, &codes, &w->other_outliers, 1, &to);
    zml_outliers_by_row(x, t, pair->first, pair->n_columns, starts, w->by_row);
    zml_outliers_by_row(x, t, pair->other, pair->n_others, other_starts, w->others_by_row);
    for (size_t row = 0; row < ZML_TILE_ROWS; row++)
      zml_add_outlier_pairs(w->by_row + starts[row], w->by_row + starts[row + 1], w->others_by_row + other_starts[row],
                            w->others_by_row + other_starts[row + 1], weights ? weights[start + row] : 1, &to);
  }
}

/* What the tiles of one run add to the sums. */
static void add_run(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                    const int32_t *weights, const GramWork *w) {
  const size_t depth = (last - first) * ZML_TILE_ROWS, n_rows = rows_below(x, last) - rows_below(x, first);
  const size_t n_panels = pair->n_columns / ZML_PANEL, n_others = pair->n_others / ZML_PANEL;
  const int own = pair->first == pair->other, n_bytes = weights ? ZML_WEIGHT_BYTES : 1;
  int32_t padded[ZML_MOST_DEPTH];
  pack_weights(by, weights, n_rows, depth, n_bytes, padded, w->weights);
  decode_columns(by, x, first, last, pair->first, n_panels, w->columns);
  multiply(by, &(zml_factors){w->columns, w->weights, n_panels, 1, depth}, n_bytes, 0, w->totals);
  if (!own)
    decode_columns(by, x, first, last, pair->other, n_others, w->others);
  if (!own && by->shift)
    multiply(by, &(zml_factors){w->others, w->weights, n_others, 1, depth}, n_bytes, 0, w->other_totals);
  if (pair->has_outliers)
    add_outliers(by, x->outliers, first, last, pair, weights, w);
  if (weights) {
    for (size_t p = 0; p < n_digits(by, ZML_WEIGHT_BYTES + 1); p++) {
      by->weigh(w->others, n_others, depth, padded, (int)p, w->vectors);
      multiply_blocks(by, pair, w, depth, (int)p * digit_bits(by));
    }
    return;
  }
  if (by->shift != by->own_shift)
    to_vectors(by, w->others, n_others * panel_bytes(by, depth), w->vectors);
  multiply_blocks(by, pair, w, depth, 0);
}

void zml_add_gram(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                  const int32_t *weights, uint8_t *work) {
  const GramWork w = gram_work(by, pair, work);
  const size_t n_tiles = by->depth / ZML_TILE_ROWS;
  for (size_t t = first; t < last; t += n_tiles)
    add_run(by, x, t, least(t + n_tiles, last), pair, weights ? weights + (t - first) * ZML_TILE_ROWS : NULL, &w);
}

/* A panel of columns with 16 others. Panels hold positions less `shift`, vectors less `own_shift`, and weighted ones as
 * they are:  sum w g h = sum w (g - shift) (h - own_shift) + own_shift sum w (g - shift) + shift sum w h. */
static void write_square(const zml_matmul *by, const zml_block_pair *pair, const GramWork *w, int64_t total_weight,
                         size_t column, size_t other, const zml_gram_sums *to) {
  const int64_t shift = by->shift, own_shift = pair->weighted ? 0 : by->own_shift;
  const int64_t *totals = w->totals[column / ZML_PANEL * ZML_VECTORS_AT_ONCE];
  const int64_t *others = w->other_totals[other / ZML_PANEL * ZML_VECTORS_AT_ONCE];
  const int64_t (*sums)[ZML_PANEL] =
      (const int64_t (*)[ZML_PANEL])w->sums + column / ZML_PANEL * pair->n_others + other;
  for (size_t j = 0; j < least(ZML_PANEL, to->n_columns - column); j++) {
    size_t end = least(ZML_PANEL, to->n_others - other);
    if (pair->first == pair->other && column == other)
      end = least(end, j + 1);
    for (size_t k = 0; k < end; k++)
      to->sums[(column + j) * to->stride + other + k] +=
          sums[k][j] + own_shift * totals[j] + shift * (others[k] + total_weight * shift);
  }
}

static void write_outliers(const zml_block_pair *pair, const GramWork *w, const zml_gram_sums *to) {
  const zml_square_sums square = square_sums(pair, w);
  for (size_t column = 0; column < pair->n_columns; column++)
    zml_empty_outlier_sums(&w->outliers, column, 0, &square);
  for (size_t column = 0; column < pair->n_others && !square.own; column++)
    zml_empty_outlier_sums(&w->other_outliers, column, 1, &square);
  for (size_t column = 0; column < to->n_columns; column++)
    to->totals[column] += w->outliers.totals[column];
}

void zml_write_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work, int64_t total_weight,
                    const zml_gram_sums *to) {
  const GramWork w = gram_work(by, pair, work);
  const int own = pair->first == pair->other;
  if (pair->has_outliers)
    write_outliers(pair, &w, to);
  for (size_t column = 0; column < to->n_columns; column++)
    to->totals[column] +=
        w.totals[column / ZML_PANEL * ZML_VECTORS_AT_ONCE][column % ZML_PANEL] + total_weight * by->shift;
  for (size_t column = 0; column < to->n_columns; column += ZML_PANEL)
    for (size_t other = 0; other < (own ? column + 1 : to->n_others); other += ZML_PANEL)
      write_square(by, pair, &w, total_weight, column, other, to);
}

/* Products of rows */

size_t zml_dot_bytes(const zml_matmul *by, size_t n_vectors) {
  return on_lines(4 * panel_bytes(by, by->depth)) + 4 * zml_padded_vectors(n_vectors) * ZML_PANEL * sizeof(int64_t);
}

/* The products of a tile: sums[plane][vector][row of the plane]. */
static void dot_tile(const zml_matmul *by, const zml_tiled *x, size_t tile, const zml_vectors *vectors, uint8_t *panels,
                     int64_t (*sums)[ZML_PANEL]) {
  const uint8_t *packed = vectors->packed;
  for (size_t column = 0; column < x->padded; column += by->depth) {
    const size_t depth = least(by->depth, x->padded - column);
    decode_panels(by->panels_of_rows, x, tile, column, depth / ZML_PANEL, panels, panel_bytes(by, depth),
                  panel_bytes(by, ZML_PANEL));
    const zml_factors factors = {panels, packed, 4, vectors->n_vectors, depth};
    multiply(by, &factors, vectors->n_bytes, column == 0, sums);
    packed += zml_vector_bytes(by, vectors->n_vectors, depth, vectors->n_bytes);
  }
}

void zml_dot_many(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_vectors *vectors,
                  uint8_t *work, double *out, size_t stride) {
  int64_t (*sums)[ZML_PANEL] = (void *)(work + on_lines(4 * panel_bytes(by, by->depth)));
  const size_t padded = zml_padded_vectors(vectors->n_vectors);
  for (size_t t = first; t < last; t++, out += ZML_TILE_ROWS) {
    dot_tile(by, x, t, vectors, work, sums);
    for (size_t v = 0; v < vectors->n_vectors; v++)
      for (size_t plane = 0; plane < 4; plane++)
        by->scale(sums[plane * padded + v], by->shift * vectors->totals[v], vectors->scale[v],
                  out + v * stride + plane * ZML_PANEL);
  }
}

/* Sums over rows */

typedef struct {
  int32_t *rounded;
  uint8_t *packed, *panels;
  size_t bytes;
} GradientWork;

static GradientWork gradient_work(const zml_matmul *by, size_t n_vectors, int n_bytes, uint8_t *work) {
  GradientWork w;
  size_t at = 0;
  w.rounded = (void *)(work + at), at += n_vectors * by->depth * sizeof(int32_t);
  w.packed = work + at, at += on_lines(zml_vector_bytes(by, n_vectors, by->depth, n_bytes));
  w.panels = work + at, at += ZML_PANELS_AT_ONCE * panel_bytes(by, by->depth);
  w.bytes = on_lines(at);
  return w;
}

size_t zml_gradient_bytes(const zml_matmul *by, size_t n_vectors, int n_bytes) {
  return gradient_work(by, n_vectors, n_bytes, NULL).bytes;
}

/* The vectors' part for some rows, of which `count` are there, as the products take it. */
static void load_rows(const zml_matmul *by, const zml_rounded *rows, size_t start, size_t count, size_t depth,
                      const GradientWork *w, int64_t *totals) {
  for (size_t v = 0; v < rows->n_vectors; v++) {
    int32_t *to = w->rounded + v * depth;
    memset(to, 0, depth * sizeof *to);
    if (rows->inverse[v] > 0)
      by->round(rows->values + v * rows->stride + start, count, rows->inverse[v], to);
    for (size_t k = 0; k < count; k++)
      totals[v] += to[k];
  }
  zml_pack_vectors(by, w->rounded, depth, rows->n_vectors, depth, rows->n_bytes, w->packed);
}

void zml_add_gradient(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_rounded *rows,
                      uint8_t *work, int64_t (*sums)[ZML_PANEL], int64_t *totals) {
  const GradientWork w = gradient_work(by, rows->n_vectors, rows->n_bytes, work);
  const size_t n_tiles = by->depth / ZML_TILE_ROWS, step = ZML_PANELS_AT_ONCE * ZML_PANEL;
  const size_t padded = zml_padded_vectors(rows->n_vectors);
  for (size_t t = first; t < last; t += n_tiles) {
    const size_t end = least(t + n_tiles, last), depth = (end - t) * ZML_TILE_ROWS;
    load_rows(by, rows, (t - first) * ZML_TILE_ROWS, rows_below(x, end) - rows_below(x, t), depth, &w, totals);
    for (size_t column = 0; column < x->padded; column += step) {
      const size_t n_panels = least(step, x->padded - column) / ZML_PANEL;
      decode_columns(by, x, t, end, column, n_panels, w.panels);
      const zml_factors factors = {w.panels, w.packed, n_panels, rows->n_vectors, depth};
      multiply(by, &factors, rows->n_bytes, 0, sums + column / ZML_PANEL * padded);
    }
  }
}

void zml_write_gradient(const zml_matmul *by, size_t n_vectors, size_t n_columns, const int64_t (*sums)[ZML_PANEL],
                        const int64_t *totals, int64_t *out) {
  const size_t padded = zml_padded_vectors(n_vectors);
  for (size_t v = 0; v < n_vectors; v++)
    for (size_t j = 0; j < n_columns; j++)
      out[v * n_columns + j] = sums[j / ZML_PANEL * padded + v][j % ZML_PANEL] + by->shift * totals[v];
}
