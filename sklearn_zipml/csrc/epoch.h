/* One epoch of a solver over tiles: for every batch of rows a product with the model, a gradient and a step.
 *
 * Columns are taken in blocks. A block's share of everything stays in the first-level cache while the gradient of one
 * batch is made, the step is taken, the model is rounded and multiplied with the rows of the next batch; so every
 * vector passes by once a batch. Every block is rounded on a grid of its own.
 *
 * The members of a team own ranges of columns and meet once a batch, when they have their parts of its products. These
 * are summed in an order that does not depend on the size of the team. */
#ifndef ZML_EPOCH_H
#define ZML_EPOCH_H

#include <stddef.h>
#include <stdint.h>

#include "passes/kernels.h"
#include "passes/outliers.h"
#include "team.h"
#include "format/tile.h"

enum {
  ZML_BLOCK = 1024,        /* columns that a block has at most: half as many in up to ... */
  ZML_MANY_COLUMNS = 4096, /* ... so many columns */
  ZML_FOLD_AFTER = 16,     /* float32 sums are folded into double ones every so many tiles */
  ZML_MOST_PARTS = 8       /* parts that a sum over columns has at most, and so members of a team */
};

/* What a solver makes of a loss, see rule.h. */
typedef struct zml_rule zml_rule;
extern const zml_rule zml_saga_least_squares, zml_sgd_least_squares;

typedef struct {
  const zml_kernels *kernels;
  const zml_rule *rule;
  /* Samples */
  const uint8_t *tiles, *table; /* table is NULL for widths 8 and 32 */
  zml_outliers outliers;
  int width;
  uint8_t
      *bytes; /* positions of the last two batches, or of one with one target: of codes with known dither, else NULL */
  size_t columns, n_rows; /* columns are padded */
  const int64_t *order;   /* of the tiles */
  size_t n_order;
  int batch_size;
  const float *centre;
  /* Rows, in slot order; those of the targets one after the other, `slots` apart */
  size_t n_targets, slots;
  const float *weights;  /* NULL if all are one */
  const float *targets;  /* of sgd */
  float *table_residual; /* of saga: residual at the anchor less what the table of gradients holds */
  /* Model-sized vectors, (targets, columns). saga: offset from the anchor, drift, mean gradient and gradient of the
   * penalty with their single-precision sum `total`. sgd: model, and the sum of its iterates in `total` and, folded, in
   * `sum`. */
  float *model, *drift, *total;
  double *sum;
  const double *penalty_gradient;
  const float *threshold, *anchor; /* l1 penalty; NULL for none */
  /* Factors of every column */
  const float *keep, *step, *unit;
  float batch_weight, table_weight;
  float *reaches; /* of the grids, (targets, blocks); zero before an epoch */
  int model_bits, gradient_bits;
  uint64_t seed;
} zml_epoch;

/* Rows of one batch. */
typedef struct {
  size_t position, tile, slot; /* position in the order */
  size_t buffer;               /* of zml_epoch.bytes */
  int first, last, count;      /* planes, and rows from the first plane on */
  int opens_fold;
} zml_rows;

/* What a batch does to a target: its quantized changes (or residuals) and the table residuals that they leave. */
typedef struct {
  zml_batch batch;
  int8_t digits[2][ZML_TILE_ROWS];
  float values[ZML_TILE_ROWS]; /* of float tiles */
  float table_residual[ZML_TILE_ROWS];
} zml_changes;

/* A member's place in an epoch. */
typedef struct {
  const zml_epoch *epoch;
  zml_team *team;
  int member;
  double *parts;          /* of the products, shared: (2, targets, ZML_MOST_PARTS, 64) */
  zml_changes *changes;   /* the member's own, (targets,) */
  size_t block, n_blocks; /* columns of a block, and blocks */
  int n_parts;            /* of the columns; part p begins at starts[p] */
  size_t starts[ZML_MOST_PARTS + 1];
  int first_part, last_part; /* it owns first_part..last_part-1 */
  size_t low, high;          /* which are columns low..high-1 */
  int alone;                 /* without a team, or after it */
  size_t position;           /* in the order, of the next batch */
  int piece;                 /* of that tile */
  uint32_t batches;          /* taken so far */
  zml_rows rows;             /* of the last one */
} zml_member;

typedef enum { ZML_GOES_ON, ZML_FINISHED, ZML_NOT_FINITE, ZML_STOPPED } zml_progress;

/* Parts into which a sum over so many columns is divided. */
int zml_parts(size_t columns);

/* Blocks of so many columns. */
size_t zml_blocks(size_t columns);

/* Put a member, whose pointers and number are set, at the beginning. */
void zml_join(zml_member *member);

/* Take at most so many batches. Every member has to call it until it returns something else than ZML_GOES_ON. */
zml_progress zml_advance(zml_member *member, size_t batches);

#endif
