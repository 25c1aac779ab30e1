#include "epoch.h"

#include <string.h>

#include "block.h"
#include "format/compiler.h"
#include "rule.h"

/* Columns of a block: more where there are many, for every block has costs of its own. */
static size_t block_of(size_t columns) { return columns > ZML_MANY_COLUMNS ? ZML_BLOCK : ZML_BLOCK / 2; }

size_t zml_blocks(size_t columns) { return (columns + block_of(columns) - 1) / block_of(columns); }

int zml_parts(size_t columns) {
  const size_t blocks = zml_blocks(columns);
  return blocks < ZML_MOST_PARTS ? (int)blocks : ZML_MOST_PARTS;
}

/* Divisions that every batch would repeat. */
static void divide_columns(zml_member *m) {
  const size_t columns = m->epoch->columns, blocks = zml_blocks(columns);
  m->block = block_of(columns);
  m->n_blocks = blocks;
  m->n_parts = zml_parts(columns);
  for (int part = 0; part <= m->n_parts; part++) {
    const size_t column = m->n_parts ? blocks * (size_t)part / (size_t)m->n_parts * m->block : 0;
    m->starts[part] = column < columns ? column : columns;
  }
}

/* Give a member the parts first..last-1. */
static void own_parts(zml_member *m, int first, int last) {
  m->first_part = first;
  m->last_part = last;
  m->low = m->starts[first];
  m->high = m->starts[last];
}

static double *part_of(const zml_member *m, uint32_t batch, size_t target, int part) {
  const size_t row = (batch % 2 * m->epoch->n_targets + target) * ZML_MOST_PARTS + (size_t)part;
  return m->parts + row * ZML_TILE_ROWS;
}

/* The next batch; 0 if there is none. */
static int next_rows(zml_member *m, zml_rows *rows) {
  const zml_epoch *e = m->epoch;
  const int planes = e->batch_size / ZML_PLANE_ROWS;
  for (; m->position < e->n_order; m->position++, m->piece = 0) {
    const size_t tile = (size_t)e->order[m->position];
    const int first = m->piece * planes, start = first * ZML_PLANE_ROWS;
    const size_t slot = tile * ZML_TILE_ROWS + (size_t)start;
    if (first >= 4 || slot >= e->n_rows)
      continue;
    const size_t left = e->n_rows - slot, most = (size_t)(ZML_TILE_ROWS - start);
    const size_t here = left < most ? left : most;
    rows->position = m->position;
    rows->tile = tile;
    rows->slot = slot;
    rows->first = first;
    rows->last = first + planes < 4 ? first + planes : 4;
    rows->count = here < (size_t)e->batch_size ? (int)here : e->batch_size;
    rows->buffer = m->batches % zml_buffers(e);
    rows->opens_fold = m->piece == 0 && m->position % ZML_FOLD_AFTER == 0;
    m->piece++;
    return 1;
  }
  return 0;
}

/* Fetches the rows' state and the outliers of the tile after that of the last batch. */
static void fetch_rows(const zml_member *m) {
  const zml_epoch *e = m->epoch;
  if (m->rows.position + 1 >= e->n_order)
    return;
  const size_t slot = (size_t)e->order[m->rows.position + 1] * ZML_TILE_ROWS;
  const float *state = e->rule->row_state(e);
  for (size_t i = slot; i < slot + ZML_TILE_ROWS; i += 16) {
    for (size_t k = 0; k < e->n_targets; k++)
      ZML_PREFETCH(state + k * e->slots + i);
    if (e->weights)
      ZML_PREFETCH(e->weights + i);
  }
  if (!e->outliers.starts)
    return;
  const uint32_t *bounds = e->outliers.starts + slot / ZML_TILE_ROWS * e->outliers.n_blocks;
  for (uint32_t k = bounds[0]; k < bounds[e->outliers.n_blocks]; k += ZML_LINE / sizeof(uint32_t))
    ZML_PREFETCH(e->outliers.entries + k);
}

/* Samples needed soon, of which a gradient fetches as much as it reads itself: of whole tiles the block that follows in
 * the next one, or of tiles of bytes the same block; otherwise the batch's share of the next tile's columns
 * low..high-1. */
static const uint8_t *ahead_of(const zml_member *m, size_t column) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  const size_t planes = (size_t)(rows->last - rows->first), low = m->low, high = m->high;
  size_t position = rows->position + 1, at = column + m->block;
  if (zml_is_streamed(e->width, (int)planes))
    at = column;
  else if (planes < 4)
    at = 0;
  else if (at >= high)
    position++, at = low;
  if (position >= e->n_order)
    return NULL;
  const uint8_t *ahead = zml_tile_of(e, (size_t)e->order[position], at);
  if (planes == 4)
    return ahead;
  const size_t share = (size_t)rows->first * (high - low) + planes * (column - low);
  return ahead + (4 * low + share) * zml_column_bytes(e) / 4;
}

/* The step of the last batch in a block of a target, if there was one; what the model's largest magnitude is there. */
static float move_block(zml_member *m, size_t target, size_t column, size_t count, const uint8_t *ahead, int more) {
  const zml_epoch *e = m->epoch;
  const size_t j = target * e->columns + column;
  float largest;
  if (m->batches) {
    if (m->rows.opens_fold)
      e->rule->fold(e, j, count);
    largest = e->rule->step(m, &m->changes[target], target, column, count, ahead);
  } else {
    largest = e->kernels->largest(e->model + j, count);
  }
  return more && e->threshold && e->rule->approach ? e->rule->approach(e, j, count) : largest;
}

/* A block: the step of the last batch, and the products of the next one, if there is one. */
static void take_block(zml_member *m, const zml_rows *next, int part, size_t column, size_t count) {
  const zml_epoch *e = m->epoch;
  for (size_t k = 0; k < e->n_targets; k++) {
    const uint8_t *ahead = m->batches && next && k == 0 && zml_is_packed(e) ? ahead_of(m, column) : NULL;
    double *products = part_of(m, m->batches, k, part);
    if (next && e->rule->sweep && e->rule->sweep(m, next, k, column, count, ahead, products))
      continue;
    const float largest = move_block(m, k, column, count, ahead, next != NULL);
    if (next && k == 0 && zml_is_widened(e))
      zml_widen_block(e, next, column, count, ahead);
    if (next)
      zml_block_products(m, next, k, column, count, largest, ahead, products);
  }
}

/* All the member's columns. */
static void take_blocks(zml_member *m, const zml_rows *next) {
  const zml_epoch *e = m->epoch;
  for (size_t k = 0; next && k < e->n_targets; k++)
    for (int part = m->first_part; part < m->last_part; part++)
      memset(part_of(m, m->batches, k, part) + next->first * ZML_PLANE_ROWS, 0,
             (size_t)(next->last - next->first) * ZML_PLANE_ROWS * sizeof(double));
  for (int part = m->first_part; part < m->last_part; part++) {
    const size_t high = m->starts[part + 1];
    for (size_t column = m->starts[part]; column < high; column += m->block)
      take_block(m, next, part, column, high - column < m->block ? high - column : m->block);
  }
}

/* Products of rows start..end-1 of the batch, from the first of them on. */
static const double *sum_of_parts(const zml_member *m, size_t target, int start, int end, double *sum) {
  const double *first = part_of(m, m->batches, target, 0) + start;
  if (m->n_parts == 1)
    return first;
  memcpy(sum, first, (size_t)(end - start) * sizeof *sum);
  for (int part = 1; part < m->n_parts; part++) {
    const double *p = part_of(m, m->batches, target, part) + start;
    for (int i = 0; i < end - start; i++)
      sum[i] += p[i];
  }
  return sum;
}

/* What the products of the batch make of its rows; 0 if they are not finite. Every member does the same. */
static int change_rows(zml_member *m, size_t target) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  const int start = rows->first * ZML_PLANE_ROWS, end = rows->last * ZML_PLANE_ROWS;
  double sum[ZML_TILE_ROWS];
  const zml_batch_rows batch = {.products = sum_of_parts(m, target, start, end, sum),
                                .weights = e->weights ? e->weights + rows->slot : NULL,
                                .row = target * e->slots + rows->slot,
                                .start = start,
                                .count = rows->count,
                                .end = end - start,
                                .key = zml_key_of(e, m->batches, target, 1)};
  return e->rule->residuals(e, &batch, &m->changes[target]);
}

/* Keeps what the last batch left of its rows. Late, when all members have taken it up; one of them does it for all. */
static void keep_rows(const zml_member *m) {
  const zml_epoch *e = m->epoch;
  if (m->member == 0 && m->batches && e->rule->keep)
    for (size_t k = 0; k < e->n_targets; k++)
      e->rule->keep(e, k * e->slots + m->rows.slot, m->rows.count, &m->changes[k]);
}

void zml_join(zml_member *m) {
  const int size = m->team->size;
  divide_columns(m);
  own_parts(m, m->n_parts * m->member / size, m->n_parts * (m->member + 1) / size);
  m->alone = size == 1;
  m->position = 0;
  m->piece = 0;
  m->batches = 0;
}

zml_progress zml_advance(zml_member *m, size_t batches) {
  const zml_epoch *e = m->epoch;
  for (; batches; batches--) {
    zml_rows next;
    const int more = next_rows(m, &next);
    take_blocks(m, more ? &next : NULL);
    if (!m->alone && !zml_meet(m->team, m->member, m->batches + 1))
      return ZML_STOPPED;
    if (!m->alone && m->team->last_round == m->batches + 1) {
      if (m->member > 0)
        return ZML_FINISHED;
      own_parts(m, 0, m->n_parts);
      m->alone = 1;
    }
    keep_rows(m);
    if (!more)
      return ZML_FINISHED;
    m->rows = next;
    if (next.first == 0)
      fetch_rows(m);
    for (size_t k = 0; k < e->n_targets; k++)
      if (!change_rows(m, k))
        return ZML_NOT_FINITE;
    m->batches++;
  }
  return ZML_GOES_ON;
}
