/* Step 1 of 5: where the levels of one column go. Exact dynamic programme, ZipML section on optimal quantization.
 *
 * Levels stand on grid positions 0..top of the column's range. The cost of an interval [p, q] of neighbouring levels
 * is the summed variance of stochastic rounding, sum (q - t)(t - p) over the values t inside. It is concave-Monge, so
 * the best last level before q never decreases with q or with the number of levels (QUIVER, arXiv:2402.03158): divide
 * and conquer with both bounds takes O(positions log positions) a layer. */
#include "levels.h"

#include <math.h>
#include <string.h>

enum { MAX_POSITIONS = 256 };

/* With c, s, r the count, sum and sum of squares of the values below a position, the best cost of level q after level
 * p, before[p] + (p + q)(s[q] - s[p]) - p q (c[q] - c[p]) - (r[q] - r[p]), is fixed[p] + p * slope(q) + q * tilt[p] and
 * a constant of q. */
typedef struct {
  const double *position, *count, *sum, *square;
  double fixed[MAX_POSITIONS], tilt[MAX_POSITIONS];
  const uint8_t *floor; /* choices with one level less: a lower bound */
  double *cost;
  uint8_t *choice;
} Layer;

static void begin(Layer *layer, const double *before, int n_positions) {
  for (int p = 0; p < n_positions; p++) {
    layer->fixed[p] = before[p] - layer->position[p] * layer->sum[p] + layer->square[p];
    layer->tilt[p] = layer->position[p] * layer->count[p] - layer->sum[p];
  }
}

static int best_before(const Layer *layer, int q, int first, int last, double *cost) {
  const double at = layer->position[q], slope = layer->sum[q] - at * layer->count[q];
  double best = INFINITY;
  int chosen = first;
  for (int p = first; p <= last; p++) {
    const double candidate = layer->fixed[p] + layer->position[p] * slope + at * layer->tilt[p];
    if (candidate < best)
      best = candidate, chosen = p;
  }
  *cost = best + at * layer->sum[q] - layer->square[q];
  return chosen;
}

static void solve(const Layer *layer, int first, int last, int low, int high) {
  while (first <= last) {
    const int q = (first + last) / 2;
    const int start = layer->floor[q] > low ? layer->floor[q] : low, stop = high < q - 1 ? high : q - 1;
    const int chosen = best_before(layer, q, start, stop, &layer->cost[q]);
    layer->choice[q] = (uint8_t)chosen;
    solve(layer, first, q - 1, low, chosen);
    first = q + 1;
    low = chosen;
  }
}

int zml_optimal_levels(const double *position, const double *count, const double *sum, const double *square,
                       int n_positions, int n_levels, uint8_t *chosen) {
  if (n_levels >= n_positions) {
    for (int k = 0; k < n_positions; k++)
      chosen[k] = (uint8_t)k;
    return n_positions;
  }
  double cost[MAX_POSITIONS] = {0};
  uint8_t choices[MAX_POSITIONS][MAX_POSITIONS]; /* choices[l][q]: the level before q, when q is level l */
  Layer layer = {.position = position, .count = count, .sum = sum, .square = square, .cost = cost};
  const int end = n_positions - 1;
  memset(choices[1], 0, sizeof choices[1]);
  for (int p = 1; p <= end; p++)
    cost[p] = INFINITY;
  begin(&layer, cost, n_positions);
  for (int q = 1; q <= end; q++)
    best_before(&layer, q, 0, 0, &cost[q]);
  for (int l = 2; l < n_levels; l++) {
    begin(&layer, cost, n_positions);
    layer.floor = choices[l - 1];
    layer.choice = choices[l];
    memset(choices[l], 0, sizeof choices[l]);
    solve(&layer, l < n_levels - 1 ? l : end, end, l - 1, end - 1); /* the last layer is needed at the end only */
  }
  int q = end;
  for (int l = n_levels - 1; l > 0; l--) {
    chosen[l] = (uint8_t)q;
    q = choices[l][q];
  }
  chosen[0] = (uint8_t)q;
  return n_levels;
}

/* Whether a value is a whole number of steps above the minimum, up to the rounding of float32 data. A tolerance
 * relative to the range would call anything beside a huge outlier a lattice. */
static int on_lattice(double value, double low, double range, int steps) {
  const double part = (value - low) / range, t = part * steps, most = 0.5 / ZML_GRID_FRACTION;
  const double size = fabs(value) + (1 - part) * fabs(low) + part * fabs(low + range);
  const double rounding = 0x1p-20 * size / range * steps;
  return fabs(t - rint(t)) <= (rounding < most ? rounding : most);
}

/* Fewest steps in which every value of the sample is on the lattice; 0 if more than max_steps. One-hot, integer,
 * standardized integer and many few-valued columns are found so and stored without loss. */
static int lattice_steps(const double *values, size_t n, double low, double range, int max_steps) {
  enum { MAX_PROBES = 64 };
  double probes[MAX_PROBES]; /* values that ruled out an earlier candidate are tried first */
  int n_probes = 0;
  for (int steps = 1; steps <= max_steps; steps++) {
    int passed = 1;
    for (int k = 0; k < n_probes && passed; k++)
      passed = on_lattice(probes[k], low, range, steps);
    for (size_t i = 0; i < n && passed; i++) {
      if (on_lattice(values[i], low, range, steps))
        continue;
      passed = 0;
      if (n_probes < MAX_PROBES)
        probes[n_probes++] = values[i];
    }
    if (passed)
      return steps;
  }
  return 0;
}

static double deviation_of(double count, double sum, double square) {
  const double mean = count > 0 ? sum / count : 0, variance = count > 0 ? square / count - mean * mean : 0;
  /* what cancellation leaves of a constant is no deviation */
  return variance > 1e-13 * (1 + mean * mean) ? sqrt(variance) : 0;
}

/* Standard deviation in steps. If all but a few of the values share one grid cell, the distance of their mean from the
 * nearer edge of it stands in: an outlier inflates the deviation of all, but not that. */
static double bulk_deviation(const double *count, const double *sum, const double *square, int n_cells) {
  const double n = count[n_cells], all = deviation_of(n, sum[n_cells], square[n_cells]);
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

int zml_column_levels(const double *values, size_t n, double low, double high, int n_levels, int max_steps, int stride,
                      uint8_t *levels, int *top, double *deviation) {
  const double range = high - low;
  const int lattice = lattice_steps(values, n, low, range, max_steps), steps = lattice ? lattice : max_steps;
  const double scale = steps / range;
  double position[MAX_POSITIONS], count[MAX_POSITIONS + 1] = {0}, sum[MAX_POSITIONS + 1] = {0},
                                                        square[MAX_POSITIONS + 1] = {0};
  double bin[MAX_POSITIONS][4] = {{0}}; /* count, sum and sum of squares, side by side */
  for (size_t i = 0; i < n; i++) {
    const double t = (values[i] - low) * scale;
    double *to = bin[t >= steps ? steps : t > 0 ? (int)t : 0];
    to[0] += 1;
    to[1] += t;
    to[2] += t * t;
  }
  for (int k = 0; k <= steps; k++) {
    count[k + 1] = bin[k][0];
    sum[k + 1] = bin[k][1];
    square[k + 1] = bin[k][2];
  }
  for (int k = 0; k <= steps; k++) {
    position[k] = k;
    count[k + 1] += count[k];
    sum[k + 1] += sum[k];
    square[k + 1] += square[k];
  }
  *deviation = lattice ? INFINITY : bulk_deviation(count, sum, square, steps + 1); /* a lattice loses nothing */
  *top = steps * stride;
  const int used = zml_optimal_levels(position, count, sum, square, steps + 1, n_levels, levels);
  for (int k = 0; k < used; k++)
    levels[k] = (uint8_t)(levels[k] * stride);
  return used;
}
