/* Step 1 of 5: where the levels of one column go; part of encode-inl.h. Exact dynamic programme, ZipML section on
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
#ifdef LEVEL_VECTOR /* its bytes */
typedef double Doubles __attribute__((vector_size(LEVEL_VECTOR)));
typedef int64_t Masks __attribute__((vector_size(LEVEL_VECTOR)));

ZML_TARGET_INLINE Doubles doubles_at(const double *values) {
  Doubles found;
  memcpy(&found, values, sizeof found);
  return found;
}

ZML_TARGET_INLINE int best_before(const Layer *layer, int q, int first, int last) {
  enum { LANES_AT_ONCE = LEVEL_VECTOR / sizeof(double) };
  for (int lane = 0; lane < LEVEL_LANES; lane += LANES_AT_ONCE) {
    const Doubles at = doubles_at(layer->position + q + lane), sum = doubles_at(layer->sum + q + lane);
    const Doubles slope = sum - at * doubles_at(layer->count + q + lane);
    Doubles index, number, best;
    for (int l = 0; l < (int)LANES_AT_ONCE; l++) {
      index[l] = q + lane + l;
      number[l] = first;
      best[l] = INFINITY;
    }
    for (int p = first; p <= last; p++) {
      const Doubles candidate = layer->fixed[p] + layer->position[p] * slope + at * layer->tilt[p];
      const Doubles here = (double)p - (Doubles){0};
      const Masks better = (candidate < best) & (here < index);
      best = (Doubles)(((Masks)candidate & better) | ((Masks)best & ~better));
      number = (Doubles)(((Masks)here & better) | ((Masks)number & ~better));
    }
    best = best + at * sum - doubles_at(layer->square + q + lane);
    memcpy(layer->cost + q + lane, &best, sizeof best);
    for (int l = 0; l < (int)LANES_AT_ONCE; l++)
      layer->choice[q + lane + l] = (uint8_t)number[l];
  }
  return layer->choice[q];
}
#else
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

/* Whether a value is a whole number of steps above the minimum, up to the rounding of float32 data. A tolerance
 * relative to the range would call anything beside a huge outlier a lattice. inverse is 1 / range. */
ZML_TARGET_INLINE int on_lattice(double value, double low, double range, double inverse, int steps) {
  const double part = (value - low) * inverse, t = part * steps, most = 0x1p-13;
  const double size = fabs(value) + (1 - part) * fabs(low) + part * fabs(low + range);
  const double rounding = 0x1p-20 * size * inverse * steps;
  const double whole = (t + 0x1.8p52) - 0x1.8p52; /* rint(t), without a call */
  return fabs(t - whole) <= (rounding < most ? rounding : most);
}

/* The first of the values that is not on the lattice, or n; `at_once` are looked at before it is asked which. */
ZML_TARGET_INLINE size_t first_off_lattice(const double *values, size_t n, size_t at_once, double low, double range,
                                           double inverse, int steps) {
  for (size_t first = 0; first < n; first += at_once) {
    const size_t last = n - first < at_once ? n : first + at_once;
    int64_t off = 0;
    for (size_t i = first; i < last; i++)
      off += !on_lattice(values[i], low, range, inverse, steps);
    for (size_t i = first; off && i < last; i++)
      if (!on_lattice(values[i], low, range, inverse, steps))
        return i;
  }
  return n;
}

/* Fewest steps in which every value of the sample is on the lattice; 0 if more than max_steps. One-hot, integer,
 * standardized integer and many few-valued columns are found so and stored without loss. */
ZML_TARGET static int lattice_steps(const double *values, size_t n, double low, double range, int max_steps) {
  enum { MAX_PROBES = 64, FIRST = 8 }; /* most candidates are ruled out by the first few */
  double probes[MAX_PROBES];           /* values that ruled out an earlier candidate are tried first */
  size_t n_probes = 0;
  const double inverse = 1 / range;
  for (int steps = 1; steps <= max_steps; steps++) {
    if (first_off_lattice(probes, n_probes, FIRST, low, range, inverse, steps) < n_probes)
      continue;
    const size_t off = first_off_lattice(values, n, MAX_PROBES, low, range, inverse, steps);
    if (off == n)
      return steps;
    if (n_probes < MAX_PROBES)
      probes[n_probes++] = values[off];
  }
  return 0;
}

ZML_TARGET_INLINE double deviation_of(double count, double sum, double square) {
  const double mean = count > 0 ? sum / count : 0, variance = count > 0 ? square / count - mean * mean : 0;
  /* what cancellation leaves of a constant is no deviation */
  return variance > 1e-13 * (1 + mean * mean) ? sqrt(variance) : 0;
}

/* Standard deviation in steps. If all but a few of the values share one grid cell, the distance of their mean from the
 * nearer edge of it stands in: an outlier inflates the deviation of all, but not that. */
ZML_TARGET static double bulk_deviation(const double *count, const double *sum, double square, int n_cells) {
  const double n = count[n_cells], all = deviation_of(n, sum[n_cells], square);
  const double few = n >= 2000 ? n / 1000 : n >= 8 ? 2 : 0;
  for (int k = 0; k < n_cells && few > 0; k++) {
    const double inside = count[k + 1] - count[k];
    if (n - inside > few)
      continue;
    const double above = (sum[k + 1] - sum[k]) / inside - k, below = 1 - above;
    if (above > 0 && above < 0.5)
      return above < all ? above : all;
    return below > 1e-12 && below < all ? below : all; /* below the rounding of the sum it is a constant */
  }
  return all;
}

/* Numbers and sums of values by grid cell, and the sum of all squares. A cell's number and the sum of what its values
 * exceed it by, in parts of 2^-FRACTION_BITS, share a word, and four sets of words take the values in turn: one would
 * wait for its own sums. */
enum { BIN_CHUNK = 256, FRACTION_BITS = 36, NUMBER_SHIFT = 50, BIN_SETS = 4 };

ZML_TARGET_INLINE void empty_bins(uint64_t (*bins)[MAX_POSITIONS], int steps, double *count, double *sum) {
  for (int k = 0; k <= steps; k++) {
    uint64_t word = 0;
    for (int s = 0; s < BIN_SETS; s++) {
      word += bins[s][k];
      bins[s][k] = 0;
    }
    const double number = (double)(int32_t)(word >> NUMBER_SHIFT);
    count[k] += number;
    sum[k] += number * k + (double)(int64_t)(word & ((1ull << NUMBER_SHIFT) - 1)) * (1.0 / (1ull << FRACTION_BITS));
  }
}

ZML_TARGET static double bin_values(const double *values, size_t n, double low, double scale, int steps, double *count,
                                    double *sum) {
  uint64_t bins[BIN_SETS][MAX_POSITIONS] = {{0}};
  const size_t most = (size_t)1 << (64 - NUMBER_SHIFT - 1); /* that the words of a cell count */
  const double ruler = 0x1p52 / (1ull << FRACTION_BITS);    /* a fraction is the last bits of a sum with it */
  uint64_t of_ruler;
  memcpy(&of_ruler, &ruler, sizeof of_ruler);
  double squares[8] = {0};
  for (size_t first = 0; first < n; first += BIN_CHUNK) {
    double t[BIN_CHUNK];
    int32_t cell[BIN_CHUNK];
    uint64_t word[BIN_CHUNK];
    const size_t length = n - first < BIN_CHUNK ? n - first : BIN_CHUNK;
    for (size_t i = 0; i < length; i++) {
      double at = (values[first + i] - low) * scale;
      at = at > 0 ? at : 0;
      t[i] = at < steps ? at : steps;
    }
    for (size_t i = length; i < BIN_CHUNK; i++)
      t[i] = 0;
    for (size_t i = 0; i < BIN_CHUNK; i++)
      cell[i] = (int32_t)t[i];
    for (size_t i = 0; i < BIN_CHUNK; i++) {
      const double fraction = t[i] - cell[i] + ruler;
      memcpy(&word[i], &fraction, sizeof fraction);
      word[i] += (1ull << NUMBER_SHIFT) - of_ruler;
    }
    for (size_t i = 0; i < BIN_CHUNK; i += 8)
      for (size_t l = 0; l < 8; l++)
        squares[l] += t[i + l] * t[i + l];
    size_t i = 0;
    for (; i + BIN_SETS <= length; i += BIN_SETS) {
      bins[0][cell[i]] += word[i];
      bins[1][cell[i + 1]] += word[i + 1];
      bins[2][cell[i + 2]] += word[i + 2];
      bins[3][cell[i + 3]] += word[i + 3];
    }
    for (; i < length; i++)
      bins[0][cell[i]] += word[i];
    if ((first + BIN_CHUNK) % most == 0)
      empty_bins(bins, steps, count, sum);
  }
  empty_bins(bins, steps, count, sum);
  double square = 0;
  for (int l = 0; l < 8; l++)
    square += squares[l];
  return square;
}

/* Values of a column by grid cell: moments of those below each position 0..steps; values outside are at its ends. */
typedef struct {
  int steps;
  double low, range, count[MAX_POSITIONS + 1], sum[MAX_POSITIONS + 1], square;
} Histogram;

ZML_TARGET static void fill_histogram(const double *values, size_t n, double low, double range, int steps,
                                      Histogram *h) {
  memset(h, 0, sizeof *h);
  h->steps = steps, h->low = low, h->range = range;
  h->square = bin_values(values, n, low, steps / range, steps, h->count + 1, h->sum + 1);
  for (int k = 0; k <= steps; k++) {
    h->count[k + 1] += h->count[k];
    h->sum[k + 1] += h->sum[k];
  }
}

/* Levels on every `stride`-th grid position and the last one. */
ZML_TARGET static int levels_of(const Histogram *h, int n_levels, int stride, uint8_t *levels) {
  /* squares add up to the same whatever the levels, so they are left out */
  double position[MAX_POSITIONS], count[MAX_POSITIONS], sum[MAX_POSITIONS];
  const double none[MAX_POSITIONS] = {0};
  int n = 0;
  for (int k = 0; n == 0 || position[n - 1] < h->steps; k += stride, n++) {
    const int at = k < h->steps ? k : h->steps;
    position[n] = at, count[n] = h->count[at], sum[n] = h->sum[at];
  }
  const int used = optimal_levels(position, count, sum, none, n, n_levels, levels);
  for (int k = 0; k < used; k++)
    levels[k] = (uint8_t)position[levels[k]];
  return used;
}

/* Summed variance of rounding to levels, in squared units of the column. */
ZML_TARGET static double noise_of(const Histogram *h, const uint8_t *levels, int used) {
  const int end = h->steps;
  double noise = -(h->square - (h->count[end + 1] - h->count[end]) * end * end);
  for (int k = 1; k < used; k++) {
    const double p = levels[k - 1], q = levels[k];
    noise +=
        (p + q) * (h->sum[levels[k]] - h->sum[levels[k - 1]]) - p * q * (h->count[levels[k]] - h->count[levels[k - 1]]);
  }
  const double step = h->range / h->steps;
  return noise * step * step;
}

#include "encoding/bulk-inl.h"
#include "encoding/ladder-inl.h"

ZML_TARGET static int column_levels(const zml_column_sample *sample, int n_levels, int max_steps, int stride,
                                    uint8_t *levels, int *top, double *deviation, double *range) {
  const double low = sample->low, whole_range = sample->high - low;
  const int most_steps = sample->are_positions ? n_levels - 1 : max_steps;
  const int lattice = lattice_steps(sample->values, sample->n, low, whole_range, most_steps);
  const int steps = lattice ? lattice : max_steps;
  Histogram whole, bulk;
  const Histogram *h = &whole;
  fill_histogram(sample->values, sample->n, low, whole_range, steps, &whole);
  if (sample->spare && !lattice && sample->n && without_outliers(sample, &whole, n_levels, &bulk))
    h = &bulk;
  const int used = levels_of(h, n_levels, 1, levels);
  range[0] = h->low, range[1] = h == &whole ? sample->high : h->low + h->range;
  /* a lattice loses nothing */
  *deviation = lattice ? INFINITY : bulk_deviation(h->count, h->sum, h->square, steps + 1);
  *top = steps * stride;
  if (sample->spread) {
    *sample->spread =
        sample->n ? (uint8_t)ladder_of(h, sample->values, sample->n, noise_of(h, levels, used), levels) : 0;
    if (*sample->spread) {
      *top = LADDER_STEPS;
      return ZML_RUNGS;
    }
  }
  for (int k = 0; k < used; k++)
    levels[k] = (uint8_t)(levels[k] * stride);
  return used;
}
