/* The seam between epochs, solvers and losses. An epoch knows batches, blocks of columns and threads; what the products
 * of a batch with the model say of its rows, and what the gradient that follows does to the model, is a rule's.
 *
 * A solver's rule for another loss is the same but for the residual rule: `residuals`, and what it reads of the rows.
 */
#ifndef ZML_RULE_H
#define ZML_RULE_H

#include "epoch.h"

/* Rows of a batch of one target, those of whole planes: `count` of `end` exist. */
typedef struct {
  const double *products; /* with the model */
  const float *weights;   /* NULL if all are one */
  size_t row;             /* of the first of them, in what has (targets, slots) */
  int start, count, end;  /* the first of them in the tile */
  uint64_t key;           /* to round with */
} zml_batch_rows;

/* What the kernels take of them. */
static inline zml_row_products zml_products_of(const zml_batch_rows *rows) {
  return (zml_row_products){rows->products, rows->weights, rows->count, rows->end};
}

/* Blocks of columns are those from `column` on, `count` of them, with j the place of the first in model-sized vectors.
 */
struct zml_rule {
  /* The vector of rows, (targets, slots), that residuals are made of, to be fetched ahead. */
  const float *(*row_state)(const zml_epoch *epoch);

  /* The residual rule: makes the products of a batch's rows what the gradient sums up, quantized, in digits with scale
   * and total (or floats, of float tiles). 0 if they are not finite. */
  int (*residuals)(const zml_epoch *epoch, const zml_batch_rows *rows, zml_changes *changes);

  /* Keeps what `residuals` left of a batch's rows; NULL if there is nothing to keep. Called late, when all members have
   * taken it up. */
  void (*keep)(const zml_epoch *epoch, size_t row, int count, const zml_changes *changes);

  /* Folds single-precision sums of a block into double precision. */
  void (*fold)(const zml_epoch *epoch, size_t j, size_t count);

  /* The step of the last batch in a block, `ahead` being samples to be fetched meanwhile. Returns the largest magnitude
   * that the model has there. */
  float (*step)(const zml_member *member, zml_changes *changes, size_t target, size_t column, size_t count,
                const uint8_t *ahead);

  /* Where the model is to be before the next products; returns its largest magnitude. NULL if it is there. */
  float (*approach)(const zml_epoch *epoch, size_t j, size_t count);

  /* Step and the products of the next batch in one go; 0 if that is not possible. NULL if it never is. */
  int (*sweep)(zml_member *member, const zml_rows *next, size_t target, size_t column, size_t count,
               const uint8_t *ahead, double *products);
};

#endif
