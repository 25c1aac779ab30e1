/* Positions of a column of 3 bits with known dither, see format/dither.h; part of levels-inl.h.
 *
 * A state is two neighbouring positions, y[i] and y[i + 1], one for either dither; its rung is their mean, and its mean
 * square e[i] = (y[i]^2 + y[i + 1]^2) / 2. Between two rungs the chance of the upper state is linear, and with it the
 * mean square: e[i] + (y[i] + y[i + 2]) (x - rung[i]). So what positions cost is a sum over the gaps between rungs,
 * each of three positions and of the number and sum of the values there. Positions move one at a time, by the least
 * there is, as long as that pays: from levels without dither, taken apart by a quarter of the gaps beside them.
 *
 * Positions are in steps from the first rung, and even, so that rungs are whole steps; y[0] = -y[1], and the last two
 * are as far from the last rung. */
enum { PARITY_STEPS = 208, PARITY_STEP = 2, PARITY_CODES = 16, PARITY_WIDEST = 254 };

/* What dither has to leave at most of the variance without it. */
#define PARITY_PAYS 0.9

/* The sum of mean squares of the values between rungs i and i + 1. */
ZML_TARGET_INLINE double between_rungs(const Histogram *h, const int *y, int i) {
  const int a = y[i], b = y[i + 1], c = y[i + 2], from = (a + b) / 2, to = (b + c) / 2;
  const double count = h->count[to] - h->count[from], sum = h->sum[to] - h->sum[from];
  return 0.5 * (b * b - a * b - a * c - b * c) * count + (a + c) * sum;
}

/* The part of all mean squares that a move of position k, and of the end that follows it, may change. */
ZML_TARGET_INLINE double around_position(const Histogram *h, const int *y, int k) {
  const int last = PARITY_CODES - 3, begin = k < 2 ? 0 : k - 2, end = k < last ? k : last;
  double found = 0;
  for (int i = begin; i <= end; i++)
    found += between_rungs(h, y, i);
  const double at_end = h->count[PARITY_STEPS + 1] - h->count[PARITY_STEPS];
  return found + 0.5 * (y[last + 1] * y[last + 1] + y[last + 2] * y[last + 2]) * at_end;
}

ZML_TARGET_INLINE void place_ends(int *y) {
  y[0] = -y[1];
  y[PARITY_CODES - 1] = 2 * PARITY_STEPS - y[PARITY_CODES - 2];
}

ZML_TARGET_INLINE int are_positions(const int *y) {
  for (int k = 1; k < PARITY_CODES; k++)
    if (y[k] < y[k - 1] + PARITY_STEP)
      return 0;
  return y[PARITY_CODES - 1] - y[0] <= PARITY_WIDEST;
}

/* Moves position k by `by`, if that pays; returns whether it did. */
ZML_TARGET_INLINE int move_position(const Histogram *h, int *y, int k, int by) {
  int moved[PARITY_CODES];
  memcpy(moved, y, sizeof moved);
  moved[k] += by;
  place_ends(moved);
  if (!are_positions(moved))
    return 0;
  const double before = around_position(h, y, k), after = around_position(h, moved, k);
  if (!(after < before - 1e-9 * (before < 0 ? -before : before)))
    return 0;
  memcpy(y, moved, sizeof moved);
  return 1;
}

/* Positions to begin with: levels, of which there are 8, on a grid of `top` steps, taken apart. */
ZML_TARGET_INLINE void first_positions(const uint8_t *levels, int top, int *y) {
  const double unit = (double)PARITY_STEPS / top / PARITY_STEP;
  for (int k = 0; k < PARITY_CODES / 2; k++) {
    const int below = levels[k ? k : 1] - levels[k ? k - 1 : 0],
              above = levels[k < 7 ? k + 1 : 7] - levels[k < 7 ? k : 6];
    y[2 * k] = PARITY_STEP * (int)((levels[k] - 0.25 * below) * unit + 0.5);
    y[2 * k + 1] = PARITY_STEP * (int)((levels[k] + 0.25 * above) * unit + 0.5);
  }
  y[1] = y[1] < PARITY_STEP ? PARITY_STEP : y[1];
  for (int k = 2; k < PARITY_CODES - 1; k++)
    y[k] = y[k] < y[k - 1] + PARITY_STEP ? y[k - 1] + PARITY_STEP : y[k];
  for (int k = PARITY_CODES - 2, most = PARITY_STEPS - PARITY_STEP; k > 0; k--, most -= PARITY_STEP)
    y[k] = y[k] < most ? y[k] : most;
  place_ends(y);
}

/* Summed variance in squared units of the column; values at the ends of a range that leaves some out are among them. */
ZML_TARGET static double best_positions(const Histogram *h, int *y) {
  enum { MOST_SWEEPS = 64 };
  for (int sweep = 0, moved = 1; moved && sweep < MOST_SWEEPS; sweep++) {
    moved = 0;
    for (int k = 1; k < PARITY_CODES - 1; k++)
      moved |= move_position(h, y, k, -PARITY_STEP) || move_position(h, y, k, PARITY_STEP);
  }
  double found = around_position(h, y, 0) - h->square;
  for (int i = 1; i < PARITY_CODES - 2; i++)
    found += between_rungs(h, y, i);
  const double step = h->range / PARITY_STEPS;
  return found * step * step;
}

/* The values of a sample within the range of a histogram, counted by PARITY_STEPS steps. */
ZML_TARGET static void values_inside(const zml_column_sample *sample, const Histogram *coarse, Histogram *h) {
  const double *values = sample->values;
  size_t n = sample->n;
  if (sample->spare) {
    n = 0;
    for (size_t i = 0; i < sample->n; i++) {
      sample->spare[n] = values[i];
      n += values[i] >= coarse->low && values[i] <= coarse->low + coarse->range;
    }
    values = sample->spare;
  }
  fill_histogram(values, n, coarse->low, coarse->range, PARITY_STEPS, h);
}

/* Writes 15 rungs and returns the distance of the first two positions, 0 if dither does not pay against a summed
 * variance in squared units, that of 8 levels. */
ZML_TARGET static int parity_of(const zml_column_sample *sample, const Histogram *coarse, double noise,
                                uint8_t *levels) {
  Histogram h;
  int y[PARITY_CODES];
  values_inside(sample, coarse, &h);
  first_positions(levels, coarse->steps, y);
  if (!are_positions(y) || !(best_positions(&h, y) <= PARITY_PAYS * noise))
    return 0;
  for (int k = 0; k < ZML_PARITY_RUNGS; k++)
    levels[k] = (uint8_t)((y[k] + y[k + 1]) / 2);
  return 2 * y[1];
}
