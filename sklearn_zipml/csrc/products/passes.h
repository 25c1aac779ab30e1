/* Passes over tiles that multiply with many vectors at once; they call the products of one instruction set and know
 * nothing of it. All sums are exact, so that nothing depends on how tiles are shared out. */
#ifndef ZML_MATMUL_PASSES_H
#define ZML_MATMUL_PASSES_H

#include "format/dither.h"
#include "format/outliers.h"
#include "products/matmul.h"

/* The tiles of a matrix; see tile.h. `widen` is that of the kernels. */
typedef struct {
  const uint8_t *codes, *table; /* of width 1 to 8 */
  size_t n_rows, padded;        /* padded: columns */
  int width;
  zml_widen *widen;
  const zml_outliers *outliers; /* NULL where there are none */
} zml_tiled;

/* Columns of two blocks, multiples of 16: the same, or without any in common. */
typedef struct {
  size_t first, n_columns, other, n_others;
  int weighted, has_outliers;
} zml_block_pair;

/* Weights of rows are fixed-point numbers of 3 bytes: times 255, they have 4. */
enum { ZML_WEIGHT_BYTES = 3 };

/* Sums over rows of weight * position(row, column) * position(row, other), and of weight * position: begun, added to
 * for the rows of some tiles, and written; positions are those of codes and what outliers have beyond them. Weights are
 * NULL unless the pair is weighted; element 0 is that of the first row of tile `first`, and what lies beyond the last
 * row is not read. `work` has zml_gram_bytes and starts on a line.
 */
size_t zml_gram_bytes(const zml_matmul *by, const zml_block_pair *pair);
void zml_begin_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work);
void zml_add_gram(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                  const int32_t *weights, uint8_t *work);

/* Where sums go: sums[column * stride + other] of columns < n_columns, others < n_others, and of a block with itself
 * others <= column; they are added to what is there. totals[column]: sums of the positions. */
typedef struct {
  int64_t *sums, *totals;
  size_t stride, n_columns, n_others;
} zml_gram_sums;

/* total_weight: that of all rows, or their number. */
void zml_write_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work, int64_t total_weight,
                    const zml_gram_sums *to);

/* Fixed-point vectors: integers of `n_bytes` bytes, 1 to 4, at most zml_most_of(n_bytes) large. */
static inline int32_t zml_most_of(int n_bytes) { return (int32_t)127 << 8 * (n_bytes - 1); }

/* How many vectors have to be made room for. */
static inline size_t zml_padded_vectors(size_t n_vectors) {
  return (n_vectors + ZML_VECTORS_AT_ONCE - 1) / ZML_VECTORS_AT_ONCE * ZML_VECTORS_AT_ONCE;
}

/* Digits of vectors of `count` terms, a multiple of 16, as the products take them, in runs of by->depth terms; vectors
 * are `stride` apart. `packed` has zml_vector_bytes and starts on a line. */
size_t zml_vector_bytes(const zml_matmul *by, size_t n_vectors, size_t count, int n_bytes);
void zml_pack_vectors(const zml_matmul *by, const int32_t *vectors, size_t stride, size_t n_vectors, size_t count,
                      int n_bytes, uint8_t *packed);

/* out[vector * stride + row] = scale[vector] * sum over columns of position * vector, for all 64 rows of tiles
 * first..last-1, the first row of which is row 0. totals: the sums of the vectors. */
typedef struct {
  const uint8_t *packed;
  size_t n_vectors;
  int n_bytes;
  const int64_t *totals;
  const double *scale;
} zml_vectors;
size_t zml_dot_bytes(const zml_matmul *by, size_t n_vectors);
void zml_dot_many(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_vectors *vectors,
                  uint8_t *work, double *out, size_t stride);

/* Sums over the rows of tiles first..last-1 of position * vector, for all columns: zml_add_gradient adds them to
 * sums[panel][vector][lane], which has room for zml_padded_vectors, and the sums of the vectors to totals;
 * zml_write_gradient writes out[vector][column] in the end. Element 0 of a vector is that of the first row of tile
 * `first`; what lies beyond the last row is not read. inverse: what makes the fixed-point numbers out of values; zeros
 * if it is zero. */
typedef struct {
  const double *values;
  size_t stride, n_vectors;
  int n_bytes;
  const double *inverse;
} zml_rounded;
size_t zml_gradient_bytes(const zml_matmul *by, size_t n_vectors, int n_bytes);
void zml_add_gradient(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_rounded *rows,
                      uint8_t *work, int64_t (*sums)[ZML_PANEL], int64_t *totals);

void zml_write_gradient(const zml_matmul *by, size_t n_vectors, size_t n_columns, const int64_t (*sums)[ZML_PANEL],
                        const int64_t *totals, int64_t *out);

#endif
