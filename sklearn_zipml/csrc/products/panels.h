/* Panels out of tiles, and what is multiplied with them: what passes and products of rows share. */
#ifndef ZML_PANELS_H
#define ZML_PANELS_H

#include <string.h>

#include "products/passes.h"

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }

static inline size_t on_lines(size_t bytes) { return (bytes + ZML_LINE - 1) / ZML_LINE * ZML_LINE; }

static inline size_t panel_bytes(const zml_matmul *by, size_t depth) {
  return depth * ZML_PANEL * (size_t)by->value_bytes;
}

static inline const uint8_t *tile_of(const zml_tiled *x, size_t tile, size_t column) {
  return x->codes + tile * zml_tile_bytes(x->padded, x->width) +
         column * ZML_TILE_ROWS / 8 * (size_t)zml_bits_of(x->width);
}

static inline const uint8_t *table_of(const zml_tiled *x, size_t column) {
  return x->width < 8 ? x->table + column * zml_table_codes(x->width) : NULL;
}

static inline size_t rows_below(const zml_tiled *x, size_t tile) {
  const size_t rows = tile * ZML_TILE_ROWS;
  return least(rows, x->n_rows);
}

/* Bytes of 16 columns of a tile. */
enum { PANEL_TILE = ZML_PANEL * ZML_TILE_ROWS };

/* The panels of some columns of a tile: `panels` are the functions of every width that make them, and `apart` what is
 * between panels of neighbouring columns. Codes with known dither become bytes before, a panel at a time. */
static inline void decode_panels(zml_panels *const *panels, const zml_tiled *x, size_t tile, size_t column,
                                 size_t n_panels, uint8_t *out, size_t stride, size_t apart) {
  if (x->width != ZML_DITHERED) {
    panels[x->width](tile_of(x, tile, column), table_of(x, column), n_panels, out, stride);
    return;
  }
  uint32_t seeds[ZML_TILE_ROWS];
  zml_row_seeds(zml_seeds_of(tile_of(x, tile, 0), x->padded, x->width), 0, 4, seeds);
  for (size_t k = 0; k < n_panels; k++, column += ZML_PANEL) {
    uint8_t bytes[PANEL_TILE];
    x->widen(tile_of(x, tile, column), table_of(x, column), ZML_PANEL, 0, 4, seeds, bytes);
    panels[8](bytes, NULL, 1, out + k * apart, stride);
  }
}

static inline int digit_bits(const zml_matmul *by) { return 8 * by->value_bytes; }

static inline size_t n_digits(const zml_matmul *by, int n_bytes) {
  return ((size_t)n_bytes + (size_t)by->value_bytes - 1) / (size_t)by->value_bytes;
}

static inline size_t vector_panels(size_t n_vectors) { return (n_vectors + ZML_PANEL - 1) / ZML_PANEL; }

/* sums += panels times packed vectors of one run, of `n_bytes` bytes. */
static inline void multiply(const zml_matmul *by, const zml_factors *run, int n_bytes, int fresh,
                            int64_t (*sums)[ZML_PANEL]) {
  const size_t digit = vector_panels(run->n_vectors) * panel_bytes(by, run->depth);
  zml_factors factors = *run;
  factors.n_vectors = zml_padded_vectors(run->n_vectors);
  for (size_t p = 0; p < n_digits(by, n_bytes); p++, factors.vectors += digit) {
    const zml_panel_sums to = {sums, factors.n_vectors, (int)p * digit_bits(by), fresh && p == 0};
    by->multiply(&factors, &to);
  }
}

/* Bytes of the same panels as vectors. */
static inline void to_vectors(const zml_matmul *by, const uint8_t *panels, size_t n, uint8_t *out) {
  const uint8_t change = (uint8_t)(by->shift ^ by->own_shift);
  for (size_t k = 0; k < n; k++)
    out[k] = panels[k] ^ change;
}

#endif
