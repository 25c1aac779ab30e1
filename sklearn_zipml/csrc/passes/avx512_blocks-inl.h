/* What happens to a block of columns in the usual case, a model and residuals of one plane, with everything in
 * registers from one step to the next: `move` is gradient and saga_step, `multiply` is quantize, dot and add_products.
 * The shuffles of one half hide behind the arithmetic of the other. Part of avx512.c. */

/* The largest of 16 integers. */
ZML_TARGET_INLINE int32_t largest_lane(__m512i v) { return _mm512_reduce_max_epi32(v); }

ZML_TARGET_INLINE __m512i magnitudes(__m512 v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

/* Bytes that move fetches, for 16 columns; multiply fetches the rest of whole tiles, so that memory is asked evenly. */
ZML_TARGET_INLINE int fetched_by_move(int width, int count) {
  return zml_is_streamed(width, count) || count < 4 ? 32 * width * count : 16 * width * count;
}

/* What a step works with. */
typedef struct {
  __m512 scale, total, batch_weight, table_weight;
  const float *keep, *step, *centre, *mean;
  float *drift, *model;
} Move;

/* The step of 16 columns, whose sums are given. Returns the model. */
ZML_TARGET_INLINE __m512 step_of_16(const Move *m, size_t j, __m512i sums) {
  const __m512 gradient = _mm512_sub_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), m->scale),
                                        _mm512_mul_ps(_mm512_loadu_ps(m->centre + j), m->total));
  const __m512 moved = _mm512_castsi512_ps(read_once(_mm512_loadu_si512(m->drift + j)));
  const __m512 direction =
      _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(m->batch_weight, gradient), moved), _mm512_loadu_ps(m->mean + j));
  const __m512 value = _mm512_sub_ps(_mm512_mul_ps(_mm512_loadu_ps(m->keep + j), _mm512_loadu_ps(m->model + j)),
                                     _mm512_mul_ps(_mm512_loadu_ps(m->step + j), direction));
  _mm512_storeu_ps(m->model + j, value);
  _mm512_storeu_ps(m->drift + j, _mm512_add_ps(moved, _mm512_mul_ps(m->table_weight, gradient)));
  return value;
}

ZML_TARGET_INLINE Move move_of(const zml_step *rule, const zml_batch *batch, const float *mean, float *drift,
                               float *model) {
  const Move m = {_mm512_set1_ps(batch->scale),
                  _mm512_set1_ps(batch->total),
                  _mm512_set1_ps(rule->batch_weight),
                  _mm512_set1_ps(rule->table_weight),
                  rule->keep,
                  rule->step,
                  batch->centre,
                  mean,
                  drift,
                  model};
  return m;
}

/* Blocks of 16 columns go through three stages, of which every turn of the loop takes one of each of three blocks: so
 * their latencies overlap. */
ZML_TARGET_INLINE float move_planes(const uint8_t *tile, const uint8_t *table, const int8_t *planes, int first,
                                    const uint8_t *ahead, const zml_step *rule, const zml_batch *batch,
                                    const float *mean, float *drift, float *model, int width, int count) {
  const __m512i transpose[2] = {transposition(0), transposition(1)};
  const Move m = move_of(rule, batch, mean, drift, model);
  const int fetched = fetched_by_move(width, count);
  const size_t blocks = rule->n / LANES;
  Halves r[4];
  __m512i parts[2], sums, top = _mm512_setzero_si512();
  for (int p = 0; p < count; p++)
    r[p] = residuals_of(planes + (first + p) * ZML_PLANE_ROWS);
  fetch_lines(ahead, 0, fetched);
  parts_of_16(tile, table, 0, r, r, transpose, first, parts, NULL, width, 1, count);
  sums = sums_of(parts);
  if (blocks > 1) {
    fetch_lines(ahead, 1, fetched);
    parts_of_16(tile, table, 1, r, r, transpose, first, parts, NULL, width, 1, count);
    for (size_t block = 2; block < blocks; block++) {
      fetch_lines(ahead, block, fetched);
      const __m512i before = sums;
      sums = sums_of(parts);
      parts_of_16(tile, table, block, r, r, transpose, first, parts, NULL, width, 1, count);
      top = _mm512_max_epi32(top, magnitudes(step_of_16(&m, LANES * (block - 2), before)));
    }
    top = _mm512_max_epi32(top, magnitudes(step_of_16(&m, LANES * (blocks - 2), sums)));
    sums = sums_of(parts);
  }
  top = _mm512_max_epi32(top, magnitudes(step_of_16(&m, LANES * (blocks - 1), sums)));
  return as_float(largest_lane(top));
}

/* 16 values on a grid, and the next draws. */
ZML_TARGET_INLINE __m512i to_grid(__m512 values, __m512 inverse, __m512i *random, __m512i step, int fraction) {
  const __m512i fixed = _mm512_cvttps_epi32(_mm512_mul_ps(values, inverse));
  const __m512i up = _mm512_srl_epi32(*random, _mm_cvtsi32_si128(32 - fraction));
  *random = _mm512_add_epi32(*random, step);
  return _mm512_sra_epi32(_mm512_add_epi32(fixed, up), _mm_cvtsi32_si128(fraction));
}

/* 16 values as bytes of a plane; adds their products with the centre to the lanes of `shift`. */
ZML_TARGET_INLINE void round_16(__m512 values, __m512 inverse, __m512i *random, __m512i step, int fraction,
                                const float *centre, int8_t *plane, __m512 *shift) {
  const __m512i q = to_grid(values, inverse, random, step, fraction);
  _mm_storeu_si128((__m128i *)plane, _mm512_cvtepi32_epi8(q));
  *shift = _mm512_add_ps(*shift, _mm512_mul_ps(_mm512_loadu_ps(centre), _mm512_cvtepi32_ps(q)));
}

/* sum_of_lanes of single-precision lanes. */
ZML_TARGET_INLINE double sum_of_floats(__m512 lanes) {
  const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(lanes), 1));
  const __m512d eight = _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(lanes)), _mm512_cvtps_pd(upper));
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

ZML_TARGET_INLINE void add_scaled(__m256i sums, __m512d shift, __m512d scale, double *product) {
  const __m512d centred = _mm512_sub_pd(_mm512_cvtepi32_pd(sums), shift);
  _mm512_storeu_pd(product, _mm512_add_pd(_mm512_loadu_pd(product), _mm512_mul_pd(centred, scale)));
}

/* Adds the products of `count` planes of rows, whose dot products with the grid's integers are given. */
ZML_TARGET_INLINE void add_dots(const __m512i *dots, double shift, double scale, double *product, int count) {
  const __m512d shifts = _mm512_set1_pd(shift), scales = _mm512_set1_pd(scale);
  for (int p = 0; p < count; p++) {
    double *rows = product + p * ZML_PLANE_ROWS;
    add_scaled(_mm512_castsi512_si256(dots[p]), shifts, scales, rows);
    add_scaled(_mm512_extracti64x4_epi64(dots[p], 1), shifts, scales, rows + 8);
  }
}

ZML_TARGET_INLINE void multiply_planes(const float *model, size_t n, size_t column, Grid grid, uint64_t key,
                                       const float *centre, const uint8_t *tile, const uint8_t *table, int first,
                                       const uint8_t *ahead, double *product, int width, int count) {
  const int moved = fetched_by_move(width, count), fetched = 32 * width * count - moved;
  const uint8_t *rest = ahead && fetched ? ahead + n / LANES * (size_t)moved : NULL;
  const __m512 inverse = _mm512_set1_ps(grid.inverse);
  const int turns = turns_of(count);
  int8_t plane[ZML_FUSED_COLUMNS];
  uint32_t first_random[LANES], steps[LANES];
  first_draws(key, column, first_random, steps);
  __m512i random = _mm512_loadu_si512(first_random), step = _mm512_loadu_si512(steps), sums[4][4];
  __m512 part = _mm512_setzero_ps();
  for (int u = 0; u < turns; u++)
    for (int p = 0; p < count; p++)
      sums[u][p] = _mm512_setzero_si512();
  for (size_t j = 0; j < n; j += LANES) {
    fetch_lines(rest, j / LANES, fetched);
    round_16(_mm512_loadu_ps(model + j), inverse, &random, step, grid.fraction, centre + j, plane + j, &part);
    for (size_t u = 0; u < 4; u++)
      dot_group(tile, table, j / 4 + u, plane, 0, first, sums[u % (size_t)turns], NULL, count < 4 && width >= 4, width,
                1, count);
  }
  add_turns(sums, count);
  add_dots(sums[0], sum_of_floats(part), grid.scale, product + first * ZML_PLANE_ROWS, count);
}

/* What a sweep works with. */
typedef struct {
  const uint8_t *table, *ahead, *tile, *next;
  int first, next_first, fetched, fraction;
  __m512i transpose[2], parts[2], sums, top, random, random_step, dots[4];
  __m512 inverse, shift;
  Halves r[4];
  Move move;
  int8_t *plane;
} Sweep;

/* Its stages, each of which takes up in `block`, 16 columns, what the one before left there. */
ZML_TARGET_INLINE void sum_rows(Sweep *s, size_t block, int width, int count) {
  fetch_lines(s->ahead, block, s->fetched);
  parts_of_16(s->tile, s->table, block, s->r, s->r, s->transpose, s->first, s->parts, NULL, width, 1, count);
}

ZML_TARGET_INLINE void step_and_round(Sweep *s, size_t block) {
  const size_t j = 16 * block;
  const __m512 value = step_of_16(&s->move, j, s->sums);
  s->top = _mm512_max_epi32(s->top, magnitudes(value));
  round_16(value, s->inverse, &s->random, s->random_step, s->fraction, s->move.centre + j, s->plane + j, &s->shift);
}

ZML_TARGET_INLINE void sum_columns(Sweep *s, size_t block, int width, int count) {
  for (size_t u = 0; u < 4; u++)
    dot_group(s->next, s->table, 4 * block + u, s->plane, 0, s->next_first, s->dots, NULL, 0, width, 1, count);
}

/* Every turn of the loop takes four blocks of 16 columns one stage further, so that their latencies overlap. */
ZML_TARGET_INLINE float sweep_planes(const zml_block *b, const int8_t *planes, int width, int count) {
  const Grid grid = grid_of(b->reach, b->bits);
  const size_t n = b->rule->n / LANES;
  uint32_t first_random[LANES], steps[LANES];
  int8_t plane[ZML_FUSED_COLUMNS];
  first_draws(b->key, b->column, first_random, steps);
  Sweep s = {.table = b->table,
             .ahead = b->ahead,
             .tile = b->tile,
             .next = b->next,
             .first = b->first,
             .next_first = b->next_first,
             .fetched = 32 * width * count,
             .fraction = grid.fraction,
             .transpose = {transposition(0), transposition(1)},
             .top = _mm512_setzero_si512(),
             .random = _mm512_loadu_si512(first_random),
             .random_step = _mm512_loadu_si512(steps),
             .inverse = _mm512_set1_ps(grid.inverse),
             .shift = _mm512_setzero_ps(),
             .move = move_of(b->rule, b->batch, b->mean, b->drift, b->model),
             .plane = plane};
  for (int p = 0; p < count; p++) {
    s.r[p] = residuals_of(planes + (b->first + p) * ZML_PLANE_ROWS);
    s.dots[p] = _mm512_setzero_si512();
  }
  sum_rows(&s, 0, width, count);
  s.sums = sums_of(s.parts);
  sum_rows(&s, 1, width, count);
  step_and_round(&s, 0);
  s.sums = sums_of(s.parts);
  sum_rows(&s, 2, width, count);
  for (size_t block = 3; block < n; block++) {
    sum_columns(&s, block - 3, width, count);
    step_and_round(&s, block - 2);
    s.sums = sums_of(s.parts);
    sum_rows(&s, block, width, count);
  }
  sum_columns(&s, n - 3, width, count);
  step_and_round(&s, n - 2);
  s.sums = sums_of(s.parts);
  sum_columns(&s, n - 2, width, count);
  step_and_round(&s, n - 1);
  sum_columns(&s, n - 1, width, count);
  const float largest_value = as_float(largest_lane(s.top));
  if (zml_is_in_reach(largest_value, b->reach) && grid.inverse > 0)
    add_dots(s.dots, sum_of_floats(s.shift), grid.scale, b->product + b->next_first * ZML_PLANE_ROWS, count);
  return largest_value;
}

/* saga_rows of one plane of 2 to 8 bits. */
ZML_TARGET_INLINE float rows_planes(const double *product, const float *weights, const float *table_residual, int count,
                                    int bits, uint64_t key, int8_t *planes, float *left, float *total, int n_planes) {
  uint32_t first_random[LANES], steps[LANES];
  first_draws(key, 0, first_random, steps);
  __m512i random = _mm512_loadu_si512(first_random), step = _mm512_loadu_si512(steps);
  __m512 value[4];
  __m512i top = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
  for (int p = 0; p < n_planes; p++) {
    const int rest = count - 16 * p;
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(product + 16 * p));
    const __m256 high = _mm512_cvtpd_ps(_mm512_loadu_pd(product + 16 * p + 8));
    value[p] =
        _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(low)), _mm256_castps_pd(high), 1));
    if (weights)
      value[p] = _mm512_mul_ps(_mm512_loadu_ps(weights + 16 * p), value[p]);
    const __mmask16 here = rest >= 16 ? 0xffff : rest > 0 ? (__mmask16)((1 << rest) - 1) : 0;
    value[p] = _mm512_maskz_add_ps(here, _mm512_loadu_ps(table_residual + 16 * p), value[p]);
    top = _mm512_max_epi32(top, magnitudes(value[p]));
  }
  const float largest_value = as_float(largest_lane(top));
  const Grid grid = grid_of(largest_value, bits);
  const float scale = grid.inverse > 0 ? grid.scale : largest_value < INFINITY ? 0 : NAN;
  const __m512 inverse = _mm512_set1_ps(grid.inverse), scales = _mm512_set1_ps(scale);
  for (int p = 0; p < n_planes; p++) {
    __m512i q = to_grid(value[p], inverse, &random, step, grid.fraction);
    if (grid.inverse == 0)
      q = _mm512_setzero_si512();
    _mm_storeu_si128((__m128i *)(planes + 16 * p), _mm512_cvtepi32_epi8(q));
    sum = _mm512_add_epi32(sum, q);
    const __m512 kept = _mm512_mul_ps(scales, _mm512_cvtepi32_ps(q));
    _mm512_storeu_ps(left + 16 * p, _mm512_sub_ps(_mm512_loadu_ps(table_residual + 16 * p), kept));
  }
  *total = scale * (float)_mm512_reduce_add_epi32(sum);
  return scale;
}

ZML_TARGET static float rows(const double *product, const float *weights, const float *table_residual, int count,
                             int end, int bits, uint64_t key, int8_t *planes, float *left, float *total) {
  if (bits < 2 || zml_grid_planes(bits) == 2)
    return saga_rows(product, weights, table_residual, count, end, bits, key, planes, left, total);
  switch (end / ZML_PLANE_ROWS) {
  case 1:
    return rows_planes(product, weights, table_residual, count, bits, key, planes, left, total, 1);
  case 2:
    return rows_planes(product, weights, table_residual, count, bits, key, planes, left, total, 2);
  case 3:
    return rows_planes(product, weights, table_residual, count, bits, key, planes, left, total, 3);
  default:
    return rows_planes(product, weights, table_residual, count, bits, key, planes, left, total, 4);
  }
}

ZML_TARGET_INLINE float move(const uint8_t *tile, const uint8_t *table, const int8_t *planes, int first, int last,
                             const uint8_t *ahead, const zml_step *rule, const zml_batch *batch, const float *mean,
                             float *drift, float *model, int width) {
  switch (last - first) {
  case 1:
    return move_planes(tile, table, planes, first, ahead, rule, batch, mean, drift, model, width, 1);
  case 2:
    return move_planes(tile, table, planes, first, ahead, rule, batch, mean, drift, model, width, 2);
  case 3:
    return move_planes(tile, table, planes, first, ahead, rule, batch, mean, drift, model, width, 3);
  default:
    return move_planes(tile, table, planes, 0, ahead, rule, batch, mean, drift, model, width, 4);
  }
}

ZML_TARGET_INLINE void multiply(const float *model, size_t n, size_t column, float top, int bits, uint64_t key,
                                const float *centre, const uint8_t *tile, const uint8_t *table, int first, int last,
                                const uint8_t *ahead, double *product, int width) {
  const Grid grid = grid_of(top, bits);
  if (grid.inverse == 0) { /* all zero, or not finite */
    for (int i = first * ZML_PLANE_ROWS; top == INFINITY && i < last * ZML_PLANE_ROWS; i++)
      product[i] = NAN;
    return;
  }
  switch (last - first) {
  case 1:
    multiply_planes(model, n, column, grid, key, centre, tile, table, first, ahead, product, width, 1);
    break;
  case 2:
    multiply_planes(model, n, column, grid, key, centre, tile, table, first, ahead, product, width, 2);
    break;
  case 3:
    multiply_planes(model, n, column, grid, key, centre, tile, table, first, ahead, product, width, 3);
    break;
  default:
    multiply_planes(model, n, column, grid, key, centre, tile, table, 0, ahead, product, width, 4);
  }
}

ZML_TARGET static float sweep_4(const zml_block *block, const int8_t *planes) {
  return sweep_planes(block, planes, 4, 1);
}

ZML_TARGET static float sweep_8(const zml_block *block, const int8_t *planes) {
  return sweep_planes(block, planes, 8, 4);
}

#define DEFINE_BLOCKS(width)                                                                                           \
  ZML_TARGET static float move_##width(const uint8_t *tile, const uint8_t *table, const int8_t *planes, int first,     \
                                       int last, const uint8_t *ahead, const zml_step *rule, const zml_batch *batch,   \
                                       const float *mean, float *drift, float *model) {                                \
    return move(tile, table, planes, first, last, ahead, rule, batch, mean, drift, model, width);                      \
  }                                                                                                                    \
  ZML_TARGET static void multiply_##width(                                                                             \
      const float *model, size_t n, size_t column, float top, int bits, uint64_t key, const float *centre,             \
      const uint8_t *tile, const uint8_t *table, int first, int last, const uint8_t *ahead, double *product) {         \
    multiply(model, n, column, top, bits, key, centre, tile, table, first, last, ahead, product, width);               \
  }
DEFINE_BLOCKS(1)
DEFINE_BLOCKS(2)
DEFINE_BLOCKS(4)
DEFINE_BLOCKS(8)
