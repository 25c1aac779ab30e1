#include "epoch.h"

#include <math.h>
#include <string.h>

#include "format/compiler.h"
#include "format/rng.h"

enum { MANY_COLUMNS = 4096, LASTING_BITS = 8, FEWEST_SWEPT = 64 };

/* Columns of a block: more where there are many, for every block has costs of its own. */
static size_t block_of(size_t columns) { return columns > MANY_COLUMNS ? ZML_BLOCK : ZML_BLOCK / 2; }

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

static size_t column_bytes(const zml_epoch *e) { return (size_t)(ZML_TILE_ROWS / 8 * e->width); }

static const uint8_t *tile_of(const zml_epoch *e, size_t tile, size_t column) {
  return e->tiles + tile * zml_tile_bytes(e->columns, e->width) + column * column_bytes(e);
}

static const uint8_t *table_of(const zml_epoch *e, size_t column) {
  return e->table ? e->table + column * zml_table_codes(e->width) : NULL;
}

static int is_packed(const zml_epoch *e) { return e->width != ZML_FLOAT_WIDTH; }

/* Whether so many bits are what the fused kernels take. */
static int is_one_plane(int bits) { return bits >= 2 && zml_grid_planes(bits) == 1; }

/* A key for each batch, target and use: the model's rounding (0) or the gradient's (1). */
static uint64_t key_of(const zml_epoch *e, uint32_t batch, size_t target, int use) {
  const uint64_t counter = (uint64_t)batch * e->n_targets + target + 1;
  return zml_mix64(e->seed + 2 * counter + (uint64_t)use);
}

/* The next batch; 0 if there is none. */
static int next_rows(zml_member *m, zml_rows *rows) {
  const zml_epoch *e = m->epoch;
  const int planes = e->batch_rows / ZML_PLANE_ROWS;
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
    rows->count = here < (size_t)e->batch_rows ? (int)here : e->batch_rows;
    rows->opens_fold = m->piece == 0 && m->position % ZML_FOLD_AFTER == 0;
    m->piece++;
    return 1;
  }
  return 0;
}

/* Fetches the rows' state of the tile after that of the last batch. */
static void fetch_rows(const zml_member *m) {
  const zml_epoch *e = m->epoch;
  if (m->rows.position + 1 >= e->n_order)
    return;
  const size_t slot = (size_t)e->order[m->rows.position + 1] * ZML_TILE_ROWS;
  const float *state = e->lag ? e->lag : e->targets;
  for (size_t i = slot; i < slot + ZML_TILE_ROWS; i += 16) {
    for (size_t k = 0; k < e->n_targets; k++)
      ZML_PREFETCH(state + k * e->slots + i);
    if (e->weights)
      ZML_PREFETCH(e->weights + i);
  }
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
  const uint8_t *ahead = tile_of(e, (size_t)e->order[position], at);
  if (planes == 4)
    return ahead;
  const size_t share = (size_t)rows->first * (high - low) + planes * (column - low);
  return ahead + (4 * low + share) * column_bytes(e) / 4;
}

/* The gradient of the last batch in a block. */
static void gradient(const zml_member *m, zml_changes *c, size_t column, size_t count, const uint8_t *ahead,
                     int32_t sums[2][ZML_BLOCK], float *floats) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  const uint8_t *samples = tile_of(e, rows->tile, column);
  c->batch.centre = e->centre + column;
  if (is_packed(e)) {
    c->batch.sums = &sums[0][0];
    e->kernels->gradient[e->width](samples, table_of(e, column), count, c->planes[0], c->batch.n_planes, rows->first,
                                   rows->last, &sums[0][0], ZML_BLOCK, ahead);
  } else {
    double double_sums[ZML_BLOCK];
    c->batch.gradient = floats;
    e->kernels->gradient_float((const float *)samples, count, c->values, rows->first, rows->last, double_sums);
    e->kernels->batch_gradient_float(double_sums, c->batch.centre, count, c->batch.total, floats);
  }
}

/* The step of saga in a block, of whose vectors the first element is j; returns the model's largest magnitude. */
static float saga_step(const zml_member *m, zml_changes *c, const zml_step *rule, size_t column, size_t j,
                       const uint8_t *ahead) {
  const zml_epoch *e = m->epoch;
  zml_move *move = is_packed(e) && c->batch.n_planes == 1 ? e->kernels->move[e->width] : NULL;
  int32_t sums[2][ZML_BLOCK];
  float floats[ZML_BLOCK];
  if (move) {
    c->batch.centre = e->centre + column;
    return move(tile_of(e, m->rows.tile, column), table_of(e, column), c->planes[0], m->rows.first, m->rows.last, ahead,
                rule, &c->batch, e->total + j, e->drift + j, e->model + j);
  }
  gradient(m, c, column, rule->n, ahead, sums, floats);
  return e->kernels->saga_step(rule, &c->batch, e->total + j, e->drift + j, e->model + j);
}

/* How a step is taken in a block. */
static zml_step rule_of(const zml_epoch *e, size_t column, size_t count) {
  return (zml_step){count, e->keep + column, e->step + column, e->batch_weight, e->table_weight};
}

/* Folds single-precision sums of a block, of whose vectors the first element is j, into double precision. */
static void open_fold(const zml_epoch *e, size_t j, size_t count) {
  e->kernels->fold(count, e->pull ? e->pull + j : NULL, e->sum + j, (e->lag ? e->drift : e->total) + j,
                   e->lag ? e->total + j : NULL);
}

/* The step of the last batch in a block; returns the model's largest magnitude there. */
static float step(const zml_member *m, zml_changes *c, size_t target, size_t column, size_t count,
                  const uint8_t *ahead) {
  const zml_epoch *e = m->epoch;
  const zml_kernels *kernels = e->kernels;
  const size_t j = target * e->columns + column;
  const zml_step rule = rule_of(e, column, count);
  int32_t sums[2][ZML_BLOCK];
  float floats[ZML_BLOCK];
  if (m->rows.opens_fold)
    open_fold(e, j, count);
  if (e->lag) {
    const float largest = saga_step(m, c, &rule, column, j, ahead);
    return e->threshold ? kernels->shrink(count, e->threshold + j, e->anchor + j, e->model + j) : largest;
  }
  gradient(m, c, column, count, ahead, sums, floats);
  if (!e->gradient_bits)
    return kernels->sgd_step(&rule, &c->batch, e->model + j, e->total + j);
  zml_batch rounded = c->batch;
  if (is_packed(e))
    kernels->batch_gradient(&c->batch, count, floats);
  kernels->round(floats, e->unit + column, count, column, e->gradient_bits, key_of(e, m->batches - 1, target, 1));
  rounded.n_planes = 0, rounded.gradient = floats;
  return kernels->sgd_step(&rule, &rounded, e->model + j, e->total + j);
}

/* Whether grids last: where the model then can be rounded in the loop that makes it, and that was found to pay. */
static int grids_last(const zml_epoch *e) {
  const int pays = e->width == 4 ? e->batch_rows <= ZML_PLANE_ROWS
                                 : e->width == 8 && e->batch_rows == ZML_TILE_ROWS && e->columns > MANY_COLUMNS;
  return pays && e->lag && e->model_bits == LASTING_BITS;
}

static float *reach_of(const zml_member *m, size_t target, size_t column) {
  return &m->epoch->reaches[target * m->n_blocks + column / m->block];
}

/* What the grid of a block reaches to: its largest magnitude, or, if it lasts, somewhat more than that once was. */
static float reach_for(const zml_member *m, size_t target, size_t column, float largest) {
  float *reach = reach_of(m, target, column);
  if (!grids_last(m->epoch))
    return largest;
  if (!zml_is_in_reach(largest, *reach))
    *reach = largest * ZML_ROOM;
  return *reach;
}

/* Adds a block's share of the products of a batch with the rounded model, whose largest magnitude is given. */
static void multiply(const zml_member *m, const zml_rows *rows, size_t target, size_t column, size_t count,
                     float largest, const uint8_t *ahead, double *products) {
  const zml_epoch *e = m->epoch;
  const zml_kernels *kernels = e->kernels;
  const float *model = e->model + target * e->columns + column, *centre = e->centre + column;
  const uint8_t *samples = tile_of(e, rows->tile, column);
  const uint64_t key = key_of(e, m->batches, target, 0);
  double shift;
  largest = reach_for(m, target, column, largest);
  if (is_packed(e) && e->kernels->multiply[e->width] && is_one_plane(e->model_bits)) {
    kernels->multiply[e->width](model, count, column, largest, e->model_bits, key, centre, samples, table_of(e, column),
                                rows->first, rows->last, ahead, products);
  } else if (is_packed(e)) {
    int8_t planes[2][ZML_BLOCK];
    int32_t dots[2][ZML_TILE_ROWS];
    const int n_planes = zml_grid_planes(e->model_bits);
    const float scale =
        kernels->quantize(model, count, column, largest, e->model_bits, key, planes[0], ZML_BLOCK, centre, &shift);
    kernels->dot[e->width](samples, table_of(e, column), count, planes[0], ZML_BLOCK, n_planes, rows->first, rows->last,
                           &dots[0][0]);
    kernels->add_products(&dots[0][0], n_planes, rows->first, rows->last, scale, shift, products);
  } else {
    float values[ZML_BLOCK];
    double dots[ZML_TILE_ROWS];
    memcpy(values, model, count * sizeof *model);
    if (e->model_bits)
      kernels->round(values, NULL, count, column, e->model_bits, key);
    shift = 0;
    for (size_t j = 0; j < count; j++)
      shift += (double)centre[j] * values[j];
    kernels->dot_float((const float *)samples, count, values, rows->first, rows->last, dots);
    for (int i = rows->first * ZML_PLANE_ROWS; i < rows->last * ZML_PLANE_ROWS; i++)
      products[i] += dots[i] - shift;
  }
}

/* The step of the last batch in a block of a target, if there was one; what the model's largest magnitude is there. */
static float move_block(zml_member *m, size_t target, size_t column, size_t count, const uint8_t *ahead, int more) {
  const zml_epoch *e = m->epoch;
  const size_t j = target * e->columns + column;
  float largest = m->batches ? step(m, &m->changes[target], target, column, count, ahead)
                             : e->kernels->largest(e->model + j, count);
  if (more && e->threshold && !e->lag) /* sgd steps from where the proximal step leads */
    largest = e->kernels->shrink(count, e->threshold + j, e->anchor + j, e->model + j);
  return largest;
}

/* Both in one go: the step of the last batch, and the products of the next one. 0 if that is not possible. */
static int sweep(zml_member *m, const zml_rows *next, size_t target, size_t column, size_t count, const uint8_t *ahead,
                 double *products) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  zml_changes *c = &m->changes[target];
  if (!m->batches || !grids_last(e) || !e->kernels->sweep[e->width] || c->batch.n_planes != 1 || e->threshold ||
      count < FEWEST_SWEPT)
    return 0;
  const size_t j = target * e->columns + column;
  const zml_step rule = rule_of(e, column, count);
  if (rows->opens_fold)
    open_fold(e, j, count);
  c->batch.centre = e->centre + column;
  const zml_block block = {.tile = tile_of(e, rows->tile, column),
                           .next = tile_of(e, next->tile, column),
                           .table = table_of(e, column),
                           .ahead = ahead,
                           .first = rows->first,
                           .next_first = next->first,
                           .rule = &rule,
                           .batch = &c->batch,
                           .mean = e->total + j,
                           .drift = e->drift + j,
                           .model = e->model + j,
                           .column = column,
                           .reach = *reach_of(m, target, column),
                           .bits = e->model_bits,
                           .key = key_of(e, m->batches, target, 0),
                           .product = products};
  const float largest = e->kernels->sweep[e->width](&block, c->planes[0]);
  if (!zml_is_in_reach(largest, block.reach))
    multiply(m, next, target, column, count, largest, NULL, products);
  return 1;
}

/* A block: the step of the last batch, and the products of the next one, if there is one. */
static void take_block(zml_member *m, const zml_rows *next, int part, size_t column, size_t count) {
  const zml_epoch *e = m->epoch;
  for (size_t k = 0; k < e->n_targets; k++) {
    const uint8_t *ahead = m->batches && next && k == 0 && is_packed(e) ? ahead_of(m, column) : NULL;
    if (next && sweep(m, next, k, column, count, ahead, part_of(m, m->batches, k, part)))
      continue;
    const float largest = move_block(m, k, column, count, ahead, next != NULL);
    if (next)
      multiply(m, next, k, column, count, largest, ahead, part_of(m, m->batches, k, part));
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
  zml_changes *c = &m->changes[target];
  const zml_rows *rows = &m->rows;
  const int start = rows->first * ZML_PLANE_ROWS, end = rows->last * ZML_PLANE_ROWS, count = rows->count;
  const float *weights = e->weights ? e->weights + rows->slot : NULL;
  const size_t row = target * e->slots + rows->slot;
  const uint64_t key = key_of(e, m->batches, target, 1);
  double sum[ZML_TILE_ROWS];
  const double *products = sum_of_parts(m, target, start, end, sum);
  if (is_packed(e)) {
    c->batch.n_planes = e->lag ? zml_grid_planes(e->gradient_bits) : 2;
    c->batch.stride = ZML_BLOCK;
    c->batch.scale = e->lag
                         ? e->kernels->saga_rows(products, weights, e->lag + row, count, end - start, e->gradient_bits,
                                                 key, &c->planes[0][start], c->lag, &c->batch.total)
                         : e->kernels->sgd_rows(products, weights, e->targets + row, count, end - start,
                                                &c->planes[0][start], &c->batch.total);
    return isfinite(c->batch.scale);
  }
  float *values = c->values + start;
  double total = 0;
  for (int i = 0; i < end - start; i++) {
    const float weight = i < count && weights ? weights[i] : 1;
    const float product = e->lag ? (float)products[i] : (float)(products[i] - e->targets[row + (size_t)i]);
    values[i] = i < count ? (e->lag ? e->lag[row + (size_t)i] : 0) + weight * product : 0;
  }
  if (e->lag && e->gradient_bits)
    e->kernels->round(values, NULL, (size_t)(end - start), 0, e->gradient_bits, key);
  for (int i = count; i < end - start; i++) /* one bit knows no zero */
    values[i] = 0;
  for (int i = 0; i < count; i++) {
    if (e->lag)
      c->lag[i] = e->lag[row + (size_t)i] - values[i];
    total += values[i];
  }
  c->batch.n_planes = 0;
  c->batch.total = (float)total;
  return isfinite(total);
}

/* Keeps the lag of the last batch. Late, when all members have taken it up; one of them does it for all. */
static void keep_lag(const zml_member *m) {
  const zml_epoch *e = m->epoch;
  if (m->member == 0 && e->lag && m->batches)
    for (size_t k = 0; k < e->n_targets; k++)
      memcpy(e->lag + k * e->slots + m->rows.slot, m->changes[k].lag, (size_t)m->rows.count * sizeof(float));
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
    keep_lag(m);
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
