/* Products of the rows of tiles with each other: panels of rows act as vectors, too. */
#include "products/row_gram.h"

#include <string.h>

#include "products/panels.h"

typedef struct {
  uint8_t *rows, *others, *ones;
  int64_t (*sums)[ZML_PANEL], (*totals)[ZML_PANEL], (*other_totals)[ZML_PANEL];
  size_t bytes;
} RowWork;

static RowWork row_work(const zml_matmul *by, const zml_row_pair *pair, uint8_t *work) {
  const size_t n_panels = 4 * pair->n_tiles, n_others = 4 * pair->n_others;
  RowWork w;
  size_t at = 0;
  w.sums = (void *)(work + at), at += n_panels * n_others * ZML_PANEL * ZML_PANEL * sizeof(int64_t);
  w.totals = (void *)(work + at), at += n_panels * ZML_VECTORS_AT_ONCE * ZML_PANEL * sizeof(int64_t);
  w.other_totals = (void *)(work + at), at += n_others * ZML_VECTORS_AT_ONCE * ZML_PANEL * sizeof(int64_t);
  w.rows = work + at, at += n_panels * panel_bytes(by, by->depth);
  w.others = work + at, at += n_others * panel_bytes(by, by->depth);
  w.ones = work + at, at += panel_bytes(by, by->depth);
  w.bytes = on_lines(at);
  return w;
}

size_t zml_row_gram_bytes(const zml_matmul *by, const zml_row_pair *pair) { return row_work(by, pair, NULL).bytes; }

/* Panels of some columns of all rows of some tiles; positions of columns that are not there become zeros. */
static void decode_rows(const zml_matmul *by, const zml_tiled *x, const zml_row_pair *pair, size_t first,
                        size_t n_tiles, size_t column, size_t depth, uint8_t *out) {
  const size_t unit = (size_t)by->unit, value_bytes = (size_t)by->value_bytes;
  for (size_t t = 0; t < n_tiles; t++)
    decode_panels(by->panels_of_rows, x, first + t, column, depth / ZML_PANEL, out + 4 * t * panel_bytes(by, depth),
                  panel_bytes(by, depth), panel_bytes(by, ZML_PANEL));
  for (size_t term = pair->n_columns - column; term < depth; term++)
    for (size_t lane = 0; lane < 4 * n_tiles * ZML_PANEL; lane++)
      memset(out + lane / ZML_PANEL * panel_bytes(by, depth) +
                 value_bytes * ((term / unit * ZML_PANEL + lane % ZML_PANEL) * unit + term % unit),
             by->shift, value_bytes);
}

void zml_add_row_gram(const zml_matmul *by, const zml_tiled *x, const zml_row_pair *pair, size_t first, size_t last,
                      uint8_t *work) {
  const RowWork w = row_work(by, pair, work);
  const size_t n_panels = 4 * pair->n_tiles, n_others = 4 * pair->n_others;
  int32_t ones[ZML_MOST_DEPTH];
  for (size_t k = 0; k < ZML_MOST_DEPTH; k++)
    ones[k] = 1;
  for (size_t column = first; column < last; column += by->depth) {
    const size_t depth = least(by->depth, last - column);
    zml_pack_vectors(by, ones, 0, 1, depth, 1, w.ones);
    decode_rows(by, x, pair, pair->first, pair->n_tiles, column, depth, w.rows);
    decode_rows(by, x, pair, pair->other, pair->n_others, column, depth, w.others);
    multiply(by, &(zml_factors){w.rows, w.ones, n_panels, 1, depth}, 1, 0, w.totals);
    if (by->shift)
      multiply(by, &(zml_factors){w.others, w.ones, n_others, 1, depth}, 1, 0, w.other_totals);
    if (by->shift != by->own_shift)
      to_vectors(by, w.others, n_others * panel_bytes(by, depth), w.others);
    for (size_t p = 0; p < n_panels; p += ZML_PANELS_AT_ONCE) {
      const size_t needed = pair->first == pair->other ? p + ZML_PANELS_AT_ONCE : n_others;
      const zml_factors factors = {w.rows + p * panel_bytes(by, depth), w.others, ZML_PANELS_AT_ONCE,
                                   needed * ZML_PANEL, depth};
      const zml_panel_sums to = {w.sums + p * n_others * ZML_PANEL, n_others * ZML_PANEL, 0, 0};
      by->multiply(&factors, &to);
    }
  }
}

/* As in write_square: sum g h = sum (g - shift) (h - own_shift) + own_shift sum (g - shift) + shift sum h. */
void zml_write_row_gram(const zml_matmul *by, const zml_row_pair *pair, uint8_t *work, const zml_row_sums *to) {
  const RowWork w = row_work(by, pair, work);
  const size_t stride = 4 * pair->n_others * ZML_PANEL;
  const int64_t shift = by->shift, own_shift = by->own_shift, whole = (int64_t)pair->padded * shift;
  for (size_t i = 0; i < to->n_rows; i++) {
    const int64_t total = w.totals[i / ZML_PANEL * ZML_VECTORS_AT_ONCE][i % ZML_PANEL];
    const size_t end = pair->first == pair->other ? i + 1 : to->n_others;
    for (size_t k = 0; k < end; k++) {
      const int64_t other = w.other_totals[k / ZML_PANEL * ZML_VECTORS_AT_ONCE][k % ZML_PANEL];
      const int64_t sum = w.sums[i / ZML_PANEL * stride + k][i % ZML_PANEL] + own_shift * total;
      to->sums[i * to->stride + k] = (double)(sum + shift * (other + whole));
    }
  }
}
