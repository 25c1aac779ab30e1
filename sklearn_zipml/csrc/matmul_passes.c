/* Panels are decoded where they stay in the caches until all vectors have gone by. */
#include "matmul_passes.h"

#include <string.h>

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t on_lines(size_t bytes) { return (bytes + ZML_LINE - 1) / ZML_LINE * ZML_LINE; }

static size_t panel_bytes(const zml_matmul *by, size_t depth) { return depth * ZML_PANEL * (size_t)by->value_bytes; }

static const uint8_t *tile_of(const zml_tiled *x, size_t tile, size_t column) {
  return x->codes + tile * zml_tile_bytes(x->padded, x->width) + column * ZML_TILE_ROWS / 8 * (size_t)x->width;
}

static const uint8_t *table_of(const zml_tiled *x, size_t column) {
  return x->width < 8 ? x->table + column * zml_table_codes(x->width) : NULL;
}

static size_t rows_below(const zml_tiled *x, size_t tile) {
  const size_t rows = tile * ZML_TILE_ROWS;
  return least(rows, x->n_rows);
}

/* Panels of columns over the rows of some tiles; rows that are not there become zeros. */
static void decode_columns(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, size_t column,
                           size_t n_panels, uint8_t *out) {
  const size_t stride = panel_bytes(by, (last - first) * ZML_TILE_ROWS), value_bytes = (size_t)by->value_bytes;
  for (size_t t = first; t < last; t++)
    by->panels_of_columns[x->width](tile_of(x, t, column), table_of(x, column), n_panels,
                                    out + panel_bytes(by, (t - first) * ZML_TILE_ROWS), stride);
  const size_t unit = (size_t)by->unit, end = (last - first) * ZML_TILE_ROWS;
  for (size_t row = rows_below(x, last) - first * ZML_TILE_ROWS; row < end; row++)
    for (size_t lane = 0; lane < n_panels * ZML_PANEL; lane++)
      memset(out + lane / ZML_PANEL * stride +
                 value_bytes * ((row / unit * ZML_PANEL + lane % ZML_PANEL) * unit + row % unit),
             0, value_bytes);
}

/* Vectors */

static int digit_bits(const zml_matmul *by) { return 8 * by->value_bytes; }

static size_t n_digits(const zml_matmul *by, int n_bytes) {
  return ((size_t)n_bytes + (size_t)by->value_bytes - 1) / (size_t)by->value_bytes;
}

static size_t vector_panels(size_t n_vectors) { return (n_vectors + ZML_PANEL - 1) / ZML_PANEL; }

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

/* sums += panels times packed vectors of one run. */
static void multiply(const zml_matmul *by, const uint8_t *panels, size_t n_panels, const uint8_t *packed,
                     size_t n_vectors, int n_bytes, size_t depth, int fresh, int64_t (*sums)[ZML_PANEL]) {
  const size_t digit = vector_panels(n_vectors) * panel_bytes(by, depth), padded = zml_padded_vectors(n_vectors);
  for (size_t p = 0; p < n_digits(by, n_bytes); p++)
    by->multiply(panels, n_panels, packed + p * digit, padded, depth, (int)p * digit_bits(by), fresh && p == 0, sums,
                 padded);
}

/* Products of columns */

typedef struct {
  uint8_t *columns, *others, *one;
  int64_t (*sums)[ZML_PANEL], (*totals)[ZML_PANEL], (*other_totals)[ZML_PANEL];
  size_t bytes;
} GramWork;

static GramWork gram_work(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work) {
  GramWork w;
  size_t at = 0;
  w.sums = (void *)(work + at), at += pair->n_columns * pair->n_others * sizeof(int64_t);
  w.totals = (void *)(work + at), at += ZML_VECTORS_AT_ONCE * pair->n_columns * sizeof(int64_t);
  w.other_totals = (void *)(work + at), at += ZML_VECTORS_AT_ONCE * pair->n_others * sizeof(int64_t);
  w.columns = work + at, at += panel_bytes(by, by->depth) * (pair->n_columns / ZML_PANEL);
  w.others = work + at, at += panel_bytes(by, by->depth) * (pair->n_others / ZML_PANEL);
  w.one = work + at, at += panel_bytes(by, by->depth);
  w.bytes = on_lines(at);
  return w;
}

size_t zml_gram_bytes(const zml_matmul *by, const zml_block_pair *pair) { return gram_work(by, pair, NULL).bytes; }

/* The same panels as vectors. */
static void to_vectors(const zml_matmul *by, const uint8_t *panels, size_t n_panels, size_t depth, uint8_t *out) {
  const size_t n = n_panels * panel_bytes(by, depth);
  const uint8_t change = (uint8_t)(by->shift ^ by->own_shift);
  for (size_t k = 0; k < n; k++)
    out[k] = panels[k] ^ change;
}

/* What the tiles of one run add to the sums. */
static void add_run(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                    const GramWork *w) {
  const size_t depth = (last - first) * ZML_TILE_ROWS, size = panel_bytes(by, depth);
  const size_t n_panels = pair->n_columns / ZML_PANEL, n_others = pair->n_others / ZML_PANEL;
  const int own = pair->first == pair->other;
  const uint8_t *vectors = w->others;
  decode_columns(by, x, first, last, pair->first, n_panels, w->columns);
  by->multiply(w->columns, n_panels, w->one, ZML_VECTORS_AT_ONCE, depth, 0, 0, w->totals, ZML_VECTORS_AT_ONCE);
  if (!own)
    decode_columns(by, x, first, last, pair->other, n_others, w->others);
  if (!own && by->shift)
    by->multiply(w->others, n_others, w->one, ZML_VECTORS_AT_ONCE, depth, 0, 0, w->other_totals, ZML_VECTORS_AT_ONCE);
  if (by->shift != by->own_shift)
    to_vectors(by, own ? w->columns : w->others, n_others, depth, w->others);
  else if (own)
    vectors = w->columns;
  for (size_t p = 0; p < n_panels; p += ZML_PANELS_AT_ONCE) {
    const size_t count = least(ZML_PANELS_AT_ONCE, n_panels - p), needed = own ? p + count : n_others;
    by->multiply(w->columns + p * size, count, vectors, needed * ZML_PANEL, depth, 0, 0, w->sums + p * pair->n_others,
                 pair->n_others);
  }
}

void zml_begin_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work) {
  const GramWork w = gram_work(by, pair, work);
  int32_t ones[ZML_MOST_DEPTH];
  for (size_t k = 0; k < by->depth; k++)
    ones[k] = 1;
  zml_pack_vectors(by, ones, 0, 1, by->depth, 1, w.one);
  memset(w.sums, 0, pair->n_columns * pair->n_others * sizeof(int64_t));
  memset(w.totals, 0, ZML_VECTORS_AT_ONCE * (pair->n_columns + pair->n_others) * sizeof(int64_t));
}

void zml_add_gram(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                  uint8_t *work) {
  const GramWork w = gram_work(by, pair, work);
  const size_t n_tiles = by->depth / ZML_TILE_ROWS;
  for (size_t t = first; t < last; t += n_tiles)
    add_run(by, x, t, least(t + n_tiles, last), pair, &w);
}

/* Positions are what panels and vectors hold plus the shifts. */
void zml_write_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work, int64_t n_rows, int64_t *sums,
                    int64_t *totals) {
  const GramWork w = gram_work(by, pair, work);
  const size_t stride = ZML_VECTORS_AT_ONCE;
  const int64_t shift = by->shift, own_shift = by->own_shift;
  int64_t (*others)[ZML_PANEL] = pair->first == pair->other ? w.totals : w.other_totals;
  for (size_t column = 0; column < pair->n_columns; column++) {
    const size_t panel = column / ZML_PANEL, lane = column % ZML_PANEL;
    const int64_t total = w.totals[panel * stride][lane];
    totals[column] = total + n_rows * shift;
    for (size_t k = 0; k < pair->n_others; k++)
      sums[column * pair->n_others + k] = w.sums[panel * pair->n_others + k][lane] + own_shift * total +
                                          shift * (others[k / ZML_PANEL * stride][k % ZML_PANEL] + n_rows * own_shift);
  }
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
    by->panels_of_rows[x->width](tile_of(x, tile, column), table_of(x, column), depth / ZML_PANEL, panels,
                                 panel_bytes(by, depth));
    multiply(by, panels, 4, packed, vectors->n_vectors, vectors->n_bytes, depth, column == 0, sums);
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
      multiply(by, w.panels, n_panels, w.packed, rows->n_vectors, rows->n_bytes, depth, 0,
               sums + column / ZML_PANEL * padded);
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
