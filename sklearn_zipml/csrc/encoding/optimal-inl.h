/* The levels of least variance among grid positions; part of levels-inl.h. Exact dynamic programme, ZipML section on
 * optimal quantization.
 *
 * Levels stand on grid positions 0..top of the column's range. The cost of an interval [p, q] of neighbouring levels
 * is the summed variance of stochastic rounding, sum (q - t)(t - p) over the values t inside. It is concave-Monge, so
 * the best last level before q never decreases with q or with the number of levels (QUIVER, arXiv:2402.03158): from the
 * last position to the first, few candidates are left between the choice with one level less and that of the position
 * after. Eight positions at a time share their candidates, for a search of each would guess its branches wrong. */

ZML_TARGET_INLINE void begin(Layer *layer, int n_positions) {
  for (int p = 0; p < n_positions; p++) {
    layer->fixed[p] = layer->cost[p] - layer->position[p] * layer->sum[p] + layer->square[p];
    layer->tilt[p] = layer->position[p] * layer->count[p] - layer->sum[p];
  }
}

/* The first cheapest level before each of the positions q..q + 7, among first..last and below it; returns that of q. */
#ifndef best_before
ZML_TARGET_INLINE int best_before(const Layer *layer, int q, int first, int last) {
  for (int l = q; l < q + LEVEL_LANES; l++) {
    const double at = layer->position[l], sum = layer->sum[l], slope = sum - at * layer->count[l];
    double best = INFINITY;
    int number = first;
    for (int p = first; p <= last && p < l; p++) {
      const double candidate = layer->fixed[p] + layer->position[p] * slope + at * layer->tilt[p];
      number = candidate < best ? p : number; /* no branch, for it would be guessed wrong */
      best = candidate < best ? candidate : best;
    }
    layer->choice[l] = (uint8_t)number;
    layer->cost[l] = best + at * sum - layer->square[l];
  }
  return layer->choice[q];
}
#endif

/* Level number `level` at the positions end - 7..end, those below `first` without meaning, whose choices are not below
 * `low` and not above `high`. Returns the choice of the lowest of these positions. */
ZML_TARGET_INLINE int solve_block(const Layer *layer, int level, int first, int end, int low, int high) {
  const int start = end - LEVEL_LANES + 1, lowest = layer->floor[start > first ? start : first];
  low = low > level - 1 ? low : level - 1;
  return best_before(layer, start, low > lowest ? low : lowest, high < end - 1 ? high : end - 1);
}

/* Level number `level` at the positions from first to last, the last one first; high is the choice of the position
 * after these, which theirs do not exceed. In the first layers choices with one level less bound them badly: one block
 * in STRIDE is solved before the others there, and bounds those above it. */
ZML_TARGET static void solve(const Layer *layer, int level, int first, int last, int high) {
  enum { STRIDE = 4, FIRST_LAYERS = 3 };
  if (level > FIRST_LAYERS) {
    for (int end = last; end >= first; end -= LEVEL_LANES)
      high = solve_block(layer, level, first, end, 0, high);
    return;
  }
  int bound = high;
  for (int end = last - (STRIDE - 1) * LEVEL_LANES; end >= first; end -= STRIDE * LEVEL_LANES)
    bound = solve_block(layer, level, first, end, 0, bound);
  for (int end = last, k = 1; end >= first; end -= LEVEL_LANES, k++) {
    const int below = end - (STRIDE - k % STRIDE) * LEVEL_LANES; /* solved already */
    if (k % STRIDE)
      high = solve_block(layer, level, first, end, below >= first ? layer->choice[below] : 0, high);
    else
      high = layer->choice[end - LEVEL_LANES + 1 > first ? end - LEVEL_LANES + 1 : first];
  }
}

ZML_TARGET static int optimal_levels(const double *position, const double *count, const double *sum,
                                     const double *square, int n_positions, int n_levels, uint8_t *chosen) {
  if (n_levels >= n_positions) {
    for (int k = 0; k < n_positions; k++)
      chosen[k] = (uint8_t)k;
    return n_positions;
  }
  enum { PADDED = LEVEL_LANES + MAX_POSITIONS }; /* blocks reach below position 0 */
  double padded[4][PADDED] = {{0}}, cost[PADDED] = {0};
  const double *given[4] = {position, count, sum, square};
  uint8_t choices[MAX_POSITIONS][PADDED]; /* choices[l][8 + q]: the level before q, when q is level l */
  for (int k = 0; k < 4; k++)
    memcpy(padded[k] + LEVEL_LANES, given[k], (size_t)n_positions * sizeof(double));
  Layer layer = {.position = padded[0] + LEVEL_LANES,
                 .count = padded[1] + LEVEL_LANES,
                 .sum = padded[2] + LEVEL_LANES,
                 .square = padded[3] + LEVEL_LANES,
                 .cost = cost + LEVEL_LANES};
  const int end = n_positions - 1;
  memset(choices[0], 0, sizeof choices[0]);
  for (int l = 1; l < n_levels; l++) {
    begin(&layer, n_positions);
    layer.floor = choices[l - 1] + LEVEL_LANES;
    layer.choice = choices[l] + LEVEL_LANES;
    /* the last layer is needed at the end only */
    solve(&layer, l, l < n_levels - 1 ? l : end, end, l == 1 ? 0 : end - 1);
  }
  int q = end;
  for (int l = n_levels - 1; l > 0; l--) {
    chosen[l] = (uint8_t)q;
    q = choices[l][LEVEL_LANES + q];
  }
  chosen[0] = (uint8_t)q;
  return n_levels;
}
