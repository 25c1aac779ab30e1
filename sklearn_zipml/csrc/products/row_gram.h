/* Products of the rows of tiles with each other, exact. */
#ifndef ZML_ROW_GRAM_H
#define ZML_ROW_GRAM_H

#include <stddef.h>
#include <stdint.h>

#include "products/matmul.h"
#include "products/passes.h"

/* Sums over columns of position(row, column) * position(other, column), for the rows of n_tiles tiles from `first` on
 * and of n_others others, the same or without any in common. Of the `padded` columns those from n_columns on count for
 * nothing. */
typedef struct {
  size_t first, n_tiles, other, n_others, n_columns, padded;
} zml_row_pair;

/* Adds what columns first..last-1, multiples of 16, contribute to what is in `work`: zml_row_gram_bytes on a line, zero
 * at first. */
size_t zml_row_gram_bytes(const zml_matmul *by, const zml_row_pair *pair);
void zml_add_row_gram(const zml_matmul *by, const zml_tiled *x, const zml_row_pair *pair, size_t first, size_t last,
                      uint8_t *work);

/* Once all columns were added: sums[row * stride + other] of rows < n_rows, others < n_others, and of tiles with
 * themselves others <= row, each rounded to a double. */
typedef struct {
  double *sums;
  size_t stride, n_rows, n_others;
} zml_row_sums;
void zml_write_row_gram(const zml_matmul *by, const zml_row_pair *pair, uint8_t *work, const zml_row_sums *to);

#endif
