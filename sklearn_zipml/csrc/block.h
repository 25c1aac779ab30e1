/* A block of columns in an epoch: its share of the gradient of one batch and of the products of the next one. */
#ifndef ZML_BLOCK_H
#define ZML_BLOCK_H

#include "epoch.h"
#include "format/rng.h"

static inline size_t zml_column_bytes(const zml_epoch *e) {
  return (size_t)(ZML_TILE_ROWS / 8 * zml_bits_of(e->width));
}

static inline const uint8_t *zml_tile_of(const zml_epoch *e, size_t tile, size_t column) {
  return e->tiles + tile * zml_tile_bytes(e->columns, e->width) + column * zml_column_bytes(e);
}

static inline const uint8_t *zml_table_of(const zml_epoch *e, size_t column) {
  return e->table ? e->table + column * zml_table_codes(e->width) : NULL;
}

/* Whether codes become bytes before they are multiplied: they have known dither, and are decoded once for both the
 * products and the gradient of a batch. */
static inline int zml_is_widened(const zml_epoch *e) { return e->bytes != NULL; }

static inline size_t zml_buffers(const zml_epoch *e) { return e->n_targets > 1 ? 2 : 1; }

static inline uint8_t *zml_bytes_of(const zml_epoch *e, const zml_rows *rows, size_t column) {
  return e->bytes + (rows->buffer * e->columns + column) * ZML_TILE_ROWS;
}

/* The width of the codes that kernels are given. */
static inline int zml_given_width(const zml_epoch *e) { return zml_is_widened(e) ? 8 : e->width; }

static inline int zml_is_packed(const zml_epoch *e) { return e->width != ZML_FLOAT_WIDTH; }

/* A batch's samples in a block, with what is needed next. */
static inline zml_samples zml_samples_of(const zml_epoch *e, const zml_rows *rows, size_t column, size_t count,
                                         const uint8_t *ahead) {
  if (zml_is_widened(e))
    return (zml_samples){zml_bytes_of(e, rows, column), NULL, count, rows->first, rows->last, NULL, NULL};
  return (zml_samples){
      zml_tile_of(e, rows->tile, column), zml_table_of(e, column), count, rows->first, rows->last, ahead, NULL};
}

/* The same of its outliers. */
static inline zml_batch_outliers zml_batch_outliers_of(const zml_epoch *e, const zml_rows *rows, size_t column,
                                                       size_t count) {
  return (zml_batch_outliers){&e->outliers, rows->tile, column, count, rows->first, rows->last};
}

static inline int zml_has_outliers(const zml_epoch *e, const zml_rows *rows, size_t column, size_t count) {
  const zml_batch_outliers outliers = zml_batch_outliers_of(e, rows, column, count);
  return zml_are_there_outliers(&outliers);
}

/* A key for each batch, target and use: the model's rounding (0) or the gradient's (1). */
static inline uint64_t zml_key_of(const zml_epoch *e, uint32_t batch, size_t target, int use) {
  const uint64_t counter = (uint64_t)batch * e->n_targets + target + 1;
  return zml_mix64(e->seed + 2 * counter + (uint64_t)use);
}

/* How a step is taken in a block. */
static inline zml_step zml_step_of(const zml_epoch *e, size_t column, size_t count) {
  return (zml_step){count, e->keep + column, e->step + column, e->batch_weight, e->table_weight};
}

/* Whether grids last: where the model then can be rounded in the loop that makes it, and that was found to pay. */
int zml_grids_last(const zml_epoch *epoch);

/* What the grid of a block reached to when it was made. */
static inline float *zml_reach_of(const zml_member *m, size_t target, size_t column) {
  return &m->epoch->reaches[target * m->n_blocks + column / m->block];
}

/* The gradient of the last batch in a block, in room that the caller has for it. */
void zml_block_gradient(const zml_member *member, zml_changes *changes, size_t column, size_t count,
                        const uint8_t *ahead, int32_t sums[2][ZML_BLOCK], float *floats);

/* Makes bytes of a batch in a block, fetching what is needed next. */
void zml_widen_block(const zml_epoch *e, const zml_rows *rows, size_t column, size_t count, const uint8_t *ahead);

/* Adds a block's share of the products of a batch with the rounded model, whose largest magnitude is given. */
void zml_block_products(const zml_member *member, const zml_rows *rows, size_t target, size_t column, size_t count,
                        float largest, const uint8_t *ahead, double *products);

#endif
