#include "block.h"

#include <string.h>

#include "rule.h"

enum { LASTING_BITS = 8 };

/* Whether so many bits are what the fused kernels take. */
static int is_one_plane(int bits) { return bits >= 2 && zml_grid_planes(bits) == 1; }

int zml_grids_last(const zml_epoch *e) {
  const int pays = e->width == 4 ? e->batch_size <= ZML_PLANE_ROWS
                                 : e->width == 8 && e->batch_size == ZML_TILE_ROWS && e->columns > ZML_MANY_COLUMNS;
  return pays && e->rule->sweep && e->model_bits == LASTING_BITS;
}

void zml_block_gradient(const zml_member *m, zml_changes *c, size_t column, size_t count, const uint8_t *ahead,
                        int32_t sums[2][ZML_BLOCK], float *floats) {
  const zml_epoch *e = m->epoch;
  const zml_rows *rows = &m->rows;
  const uint8_t *samples = zml_tile_of(e, rows->tile, column);
  c->batch.centre = e->centre + column;
  if (zml_is_packed(e)) {
    c->batch.sums = &sums[0][0];
    e->kernels->gradient[e->width](samples, zml_table_of(e, column), count, c->planes[0], c->batch.n_planes,
                                   rows->first, rows->last, &sums[0][0], ZML_BLOCK, ahead);
  } else {
    double double_sums[ZML_BLOCK];
    c->batch.gradient = floats;
    e->kernels->gradient_float((const float *)samples, count, c->values, rows->first, rows->last, double_sums);
    e->kernels->batch_gradient_float(double_sums, c->batch.centre, count, c->batch.total, floats);
  }
}

/* What the grid of a block reaches to: its largest magnitude, or, if it lasts, somewhat more than that once was. */
static float reach_for(const zml_member *m, size_t target, size_t column, float largest) {
  float *reach = zml_reach_of(m, target, column);
  if (!zml_grids_last(m->epoch))
    return largest;
  if (!zml_is_in_reach(largest, *reach))
    *reach = largest * ZML_ROOM;
  return *reach;
}

/* The same for tiles of floats. */
static void float_products(const zml_epoch *e, const zml_rows *rows, const float *model, size_t column, size_t count,
                           uint64_t key, double *products) {
  float values[ZML_BLOCK];
  double dots[ZML_TILE_ROWS], shift = 0;
  memcpy(values, model, count * sizeof *model);
  if (e->model_bits)
    e->kernels->round(values, NULL, count, column, e->model_bits, key);
  for (size_t j = 0; j < count; j++)
    shift += (double)e->centre[column + j] * values[j];
  e->kernels->dot_float((const float *)zml_tile_of(e, rows->tile, column), count, values, rows->first, rows->last,
                        dots);
  for (int i = rows->first * ZML_PLANE_ROWS; i < rows->last * ZML_PLANE_ROWS; i++)
    products[i] += dots[i] - shift;
}

void zml_block_products(const zml_member *m, const zml_rows *rows, size_t target, size_t column, size_t count,
                        float largest, const uint8_t *ahead, double *products) {
  const zml_epoch *e = m->epoch;
  const zml_kernels *kernels = e->kernels;
  const float *model = e->model + target * e->columns + column, *centre = e->centre + column;
  const uint8_t *samples = zml_tile_of(e, rows->tile, column);
  const uint64_t key = zml_key_of(e, m->batches, target, 0);
  largest = reach_for(m, target, column, largest);
  if (!zml_is_packed(e)) {
    float_products(e, rows, model, column, count, key, products);
  } else if (kernels->multiply[e->width] && is_one_plane(e->model_bits)) {
    kernels->multiply[e->width](model, count, column, largest, e->model_bits, key, centre, samples,
                                zml_table_of(e, column), rows->first, rows->last, ahead, products);
  } else {
    int8_t planes[2][ZML_BLOCK];
    int32_t dots[2][ZML_TILE_ROWS];
    double shift;
    const int n_planes = zml_grid_planes(e->model_bits);
    const float scale =
        kernels->quantize(model, count, column, largest, e->model_bits, key, planes[0], ZML_BLOCK, centre, &shift);
    kernels->dot[e->width](samples, zml_table_of(e, column), count, planes[0], ZML_BLOCK, n_planes, rows->first,
                           rows->last, &dots[0][0]);
    kernels->add_products(&dots[0][0], n_planes, rows->first, rows->last, scale, shift, products);
  }
}
