/* What happens to a block of columns in the usual case, a model and residuals of one digit, with everything in
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
ZML_TARGET_INLINE float move_planes(const zml_samples *x, const int8_t *digits, const Move *m, int width, int count) {
  const int fetched = fetched_by_move(width, count);
  const size_t blocks = x->columns / LANES;
  const Residuals r = residuals_of_planes(digits, x->first, 1, count);
  __m512i parts[2], sums, top = _mm512_setzero_si512();
  fetch_lines(x->ahead, 0, fetched);
  parts_of_16(x, 0, &r, parts, NULL, width, 1, count);
  sums = sums_of(parts);
  if (blocks > 1) {
    fetch_lines(x->ahead, 1, fetched);
    parts_of_16(x, 1, &r, parts, NULL, width, 1, count);
    for (size_t block = 2; block < blocks; block++) {
      fetch_lines(x->ahead, block, fetched);
      const __m512i before = sums;
      sums = sums_of(parts);
      parts_of_16(x, block, &r, parts, NULL, width, 1, count);
      top = _mm512_max_epi32(top, magnitudes(step_of_16(m, LANES * (block - 2), before)));
    }
    top = _mm512_max_epi32(top, magnitudes(step_of_16(m, LANES * (blocks - 2), sums)));
    sums = sums_of(parts);
  }
  top = _mm512_max_epi32(top, magnitudes(step_of_16(m, LANES * (blocks - 1), sums)));
  return as_float(largest_lane(top));
}

/* 16 values on a grid, and the next draws. */
ZML_TARGET_INLINE __m512i to_grid(__m512 values, __m512 inverse, __m512i *random, __m512i step, int fraction) {
  const __m512i fixed = _mm512_cvttps_epi32(_mm512_mul_ps(values, inverse));
  const __m512i up = _mm512_srl_epi32(*random, _mm_cvtsi32_si128(32 - fraction));
  *random = _mm512_add_epi32(*random, step);
  return _mm512_sra_epi32(_mm512_add_epi32(fixed, up), _mm_cvtsi32_si128(fraction));
}

/* How values become digits of a grid, with the sum of their products with the centre in the lanes of `shift`. */
typedef struct {
  __m512i random, step;
  __m512 inverse, shift;
  int fraction;
} Rounder;

ZML_TARGET_INLINE Rounder rounder_of(const zml_rounding *rounding, Grid grid) {
  uint32_t random[LANES], step[LANES];
  first_draws(rounding->key, rounding->first, random, step);
  const Rounder r = {_mm512_loadu_si512(random), _mm512_loadu_si512(step), _mm512_set1_ps(grid.inverse),
                     _mm512_setzero_ps(), grid.fraction};
  return r;
}

/* 16 values as bytes. */
ZML_TARGET_INLINE void round_16(Rounder *r, __m512 values, const float *centre, int8_t *digits) {
  const __m512i q = to_grid(values, r->inverse, &r->random, r->step, r->fraction);
  _mm_storeu_si128((__m128i *)digits, _mm512_cvtepi32_epi8(q));
  r->shift = _mm512_add_ps(r->shift, _mm512_mul_ps(_mm512_loadu_ps(centre), _mm512_cvtepi32_ps(q)));
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

ZML_TARGET_INLINE void multiply_planes(const zml_samples *x, const float *model, Rounder *rounder, const float *centre,
                                       float scale, double *product, int width, int count) {
  const int moved = fetched_by_move(width, count), fetched = 32 * width * count - moved;
  const uint8_t *rest = x->ahead && fetched ? x->ahead + x->columns / LANES * (size_t)moved : NULL;
  const int turns = turns_of(count);
  int8_t digits[ZML_FUSED_COLUMNS];
  const zml_digits vector = {digits, 0, 1};
  __m512i sums[4][4];
  for (int u = 0; u < turns; u++)
    for (int p = 0; p < count; p++)
      sums[u][p] = _mm512_setzero_si512();
  for (size_t j = 0; j < x->columns; j += LANES) {
    fetch_lines(rest, j / LANES, fetched);
    round_16(rounder, _mm512_loadu_ps(model + j), centre + j, digits + j);
    for (size_t u = 0; u < 4; u++)
      dot_group(x, j / 4 + u, &vector, sums[u % (size_t)turns], NULL, count < 4 && width >= 4, width, count);
  }
  add_turns(sums, count);
  add_dots(sums[0], sum_of_floats(rounder->shift), scale, product + x->first * ZML_PLANE_ROWS, count);
}

/* What a sweep works with. */
typedef struct {
  zml_samples x, next;
  int8_t *digits;
  Residuals r;
  Move move;
  Rounder rounder;
  __m512i parts[2], sums, top, dots[4];
  int fetched;
} Sweep;

/* Its stages, each of which takes up in `block`, 16 columns, what the one before left there. */
ZML_TARGET_INLINE void sum_rows(Sweep *s, size_t block, int width, int count) {
  fetch_lines(s->x.ahead, block, s->fetched);
  parts_of_16(&s->x, block, &s->r, s->parts, NULL, width, 1, count);
}

ZML_TARGET_INLINE void step_and_round(Sweep *s, size_t block) {
  const size_t j = 16 * block;
  const __m512 value = step_of_16(&s->move, j, s->sums);
  s->top = _mm512_max_epi32(s->top, magnitudes(value));
  round_16(&s->rounder, value, s->move.centre + j, s->digits + j);
}

ZML_TARGET_INLINE void sum_columns(Sweep *s, size_t block, int width, int count) {
  const zml_digits vector = {s->digits, 0, 1};
  for (size_t u = 0; u < 4; u++)
    dot_group(&s->next, 4 * block + u, &vector, s->dots, NULL, 0, width, count);
}

/* Every turn of the loop takes four blocks of 16 columns one stage further, so that their latencies overlap. */
ZML_TARGET_INLINE float sweep_planes(const zml_block *b, const int8_t *rows, int width, int count) {
  const Grid grid = grid_of(b->rounding.top, b->rounding.bits);
  const size_t n = b->x.columns / LANES;
  int8_t digits[ZML_FUSED_COLUMNS];
  Sweep s = {.x = b->x,
             .next = b->next,
             .digits = digits,
             .r = residuals_of_planes(rows, b->x.first, 1, count),
             .move = move_of(b->rule, b->batch, b->mean, b->drift, b->model),
             .rounder = rounder_of(&b->rounding, grid),
             .top = _mm512_setzero_si512(),
             .fetched = 32 * width * count};
  for (int p = 0; p < count; p++)
    s.dots[p] = _mm512_setzero_si512();
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
  if (zml_is_in_reach(largest_value, b->rounding.top) && grid.inverse > 0)
    add_dots(s.dots, sum_of_floats(s.rounder.shift), grid.scale, b->product + b->next.first * ZML_PLANE_ROWS, count);
  return largest_value;
}

/* saga_rows of one digit of 2 to 8 bits. */
ZML_TARGET_INLINE float rows_planes(const zml_row_products *rows, const float *table_residual, int bits, uint64_t key,
                                    int8_t *digits, float *left, float *total, int count) {
  uint32_t first_random[LANES], steps[LANES];
  first_draws(key, 0, first_random, steps);
  __m512i random = _mm512_loadu_si512(first_random), step = _mm512_loadu_si512(steps);
  __m512 value[4];
  __m512i top = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
  for (int p = 0; p < count; p++) {
    const int rest = rows->count - 16 * p;
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(rows->products + 16 * p));
    const __m256 high = _mm512_cvtpd_ps(_mm512_loadu_pd(rows->products + 16 * p + 8));
    value[p] =
        _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(low)), _mm256_castps_pd(high), 1));
    if (rows->weights)
      value[p] = _mm512_mul_ps(_mm512_loadu_ps(rows->weights + 16 * p), value[p]);
    const __mmask16 here = rest >= 16 ? 0xffff : rest > 0 ? (__mmask16)((1 << rest) - 1) : 0;
    value[p] = _mm512_maskz_add_ps(here, _mm512_loadu_ps(table_residual + 16 * p), value[p]);
    top = _mm512_max_epi32(top, magnitudes(value[p]));
  }
  const float largest_value = as_float(largest_lane(top));
  const Grid grid = grid_of(largest_value, bits);
  const float scale = grid.inverse > 0 ? grid.scale : largest_value < INFINITY ? 0 : NAN;
  const __m512 inverse = _mm512_set1_ps(grid.inverse), scales = _mm512_set1_ps(scale);
  for (int p = 0; p < count; p++) {
    __m512i q = to_grid(value[p], inverse, &random, step, grid.fraction);
    if (grid.inverse == 0)
      q = _mm512_setzero_si512();
    _mm_storeu_si128((__m128i *)(digits + 16 * p), _mm512_cvtepi32_epi8(q));
    sum = _mm512_add_epi32(sum, q);
    const __m512 kept = _mm512_mul_ps(scales, _mm512_cvtepi32_ps(q));
    _mm512_storeu_ps(left + 16 * p, _mm512_sub_ps(_mm512_loadu_ps(table_residual + 16 * p), kept));
  }
  *total = scale * (float)_mm512_reduce_add_epi32(sum);
  return scale;
}

ZML_TARGET static float rows(const zml_row_products *products, const float *table_residual, int bits, uint64_t key,
                             int8_t *digits, float *left, float *total) {
  const zml_row_products r = *products;
  if (bits < 2 || zml_grid_digits(bits) == 2)
    return saga_rows(products, table_residual, bits, key, digits, left, total);
  switch (r.end / ZML_PLANE_ROWS) {
  case 1:
    return rows_planes(&r, table_residual, bits, key, digits, left, total, 1);
  case 2:
    return rows_planes(&r, table_residual, bits, key, digits, left, total, 2);
  case 3:
    return rows_planes(&r, table_residual, bits, key, digits, left, total, 3);
  default:
    return rows_planes(&r, table_residual, bits, key, digits, left, total, 4);
  }
}

ZML_TARGET_INLINE float move(const zml_samples *x, const int8_t *digits, const Move *m, int width) {
  const zml_samples all = whole(x);
  switch (x->last - x->first) {
  case 1:
    return move_planes(x, digits, m, width, 1);
  case 2:
    return move_planes(x, digits, m, width, 2);
  case 3:
    return move_planes(x, digits, m, width, 3);
  default:
    return move_planes(&all, digits, m, width, 4);
  }
}

ZML_TARGET_INLINE void multiply(const zml_samples *x, const float *model, const zml_rounding *rounding,
                                const float *centre, double *product, int width) {
  const Grid grid = grid_of(rounding->top, rounding->bits);
  if (grid.inverse == 0) { /* all zero, or not finite */
    for (int i = x->first * ZML_PLANE_ROWS; rounding->top == INFINITY && i < x->last * ZML_PLANE_ROWS; i++)
      product[i] = NAN;
    return;
  }
  Rounder rounder = rounder_of(rounding, grid);
  const zml_samples all = whole(x);
  switch (x->last - x->first) {
  case 1:
    multiply_planes(x, model, &rounder, centre, grid.scale, product, width, 1);
    break;
  case 2:
    multiply_planes(x, model, &rounder, centre, grid.scale, product, width, 2);
    break;
  case 3:
    multiply_planes(x, model, &rounder, centre, grid.scale, product, width, 3);
    break;
  default:
    multiply_planes(&all, model, &rounder, centre, grid.scale, product, width, 4);
  }
}

ZML_TARGET static float sweep_4(const zml_block *block, const int8_t *rows) { return sweep_planes(block, rows, 4, 1); }

ZML_TARGET static float sweep_8(const zml_block *block, const int8_t *rows) { return sweep_planes(block, rows, 8, 4); }

#define DEFINE_BLOCKS(width)                                                                                           \
  ZML_TARGET static float move_##width(const zml_samples *samples, const int8_t *rows, const zml_step *rule,           \
                                       const zml_batch *batch, const float *mean, float *drift, float *model) {        \
    const zml_samples x = *samples;                                                                                    \
    const Move m = move_of(rule, batch, mean, drift, model);                                                           \
    return move(&x, rows, &m, width);                                                                                  \
  }                                                                                                                    \
  ZML_TARGET static void multiply_##width(const zml_samples *samples, const float *model,                              \
                                          const zml_rounding *rounding, const float *centre, double *product) {        \
    const zml_samples x = *samples;                                                                                    \
    multiply(&x, model, rounding, centre, product, width);                                                             \
  }
DEFINE_BLOCKS(1)
DEFINE_BLOCKS(2)
DEFINE_BLOCKS(4)
DEFINE_BLOCKS(8)
