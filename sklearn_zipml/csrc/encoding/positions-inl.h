/* Positions of a column whose codes have known dither, one of K = 4 (2 bits) or 2 (3 bits), see format/dither.h; part
 * of levels-inl.h.
 *
 * A state is K neighbouring positions, y[i] to y[i + K - 1], one for each dither; its rung is their mean, and e[i] the
 * mean of their squares. Between two rungs the chance of the upper state is linear, and with it the mean square:
 * e[i] + (y[i] + y[i + K]) (x - rung[i]). So what positions cost is a sum over the gaps between rungs, each of K + 1
 * positions and of the number and sum of the values there. Positions move one at a time, by the least there is, as long
 * as that pays: from levels without dither, taken apart by parts of the gaps beside them.
 *
 * Positions are in steps from the first rung, and multiples of K, so that rungs are whole steps; y[0] and the last one
 * follow from those that share their rung. Four dithers reach far beyond the ends where values are few, so that the
 * steps between the rungs at the ends are fewer. */
enum { POSITIONS = 16, MOST_RUNGS = 15, WIDEST = 254 };

/* What dither has to leave at most of the variance without it. */
#define DITHER_PAYS 0.9

/* Positions and what the gaps between their rungs cost, the values at the last rung being one more. The number of
 * dithers is a constant to all functions that they are inlined in. */
typedef struct {
  int y[POSITIONS];
  double cost[MOST_RUNGS];
  Histogram values;
} Placing;

/* Steps between the first rung and the last, and between neighbouring positions at least. */
ZML_TARGET_INLINE int steps_of(int dithers) { return dithers == 2 ? 208 : 128; }
ZML_TARGET_INLINE int least_of(int dithers) { return dithers == 2 ? 2 : 0; }

/* The sum of mean squares of the values between rungs i and i + 1, or of those at the last one. */
ZML_TARGET_INLINE double cost_of_gap(const Histogram *h, const int *y, int i, int dithers) {
  int sum = 0, squares = 0;
  for (int k = i; k < i + dithers; k++)
    sum += y[k], squares += y[k] * y[k];
  const double square = squares * (1.0 / dithers);
  if (i + dithers == POSITIONS)
    return square * (h->count[h->steps + 1] - h->count[h->steps]);
  const int next = y[i + dithers], from = sum / dithers, to = from + (next - y[i]) / dithers;
  const double count = h->count[to] - h->count[from], above = h->sum[to] - h->sum[from] - from * count;
  return square * count + (y[i] + next) * above;
}

ZML_TARGET_INLINE void place_ends(int *y, int dithers) {
  int first = 0, last = dithers * steps_of(dithers);
  for (int k = 1; k < dithers; k++)
    first -= y[k], last -= y[POSITIONS - 1 - k];
  y[0] = first;
  y[POSITIONS - 1] = last;
}

ZML_TARGET_INLINE int are_positions(const int *y, int dithers) {
  int wrong = y[POSITIONS - 1] - y[0] > WIDEST || y[0] == y[dithers - 1];
  for (int k = 1; k < POSITIONS; k++)
    wrong |= y[k] < y[k - 1] + least_of(dithers);
  for (int k = dithers; k < POSITIONS; k++)
    wrong |= y[k] < y[k - dithers] + dithers;
  return !wrong;
}

/* Moves position k by `by`, if that pays; returns whether it did. */
ZML_TARGET_INLINE int move_position(Placing *p, int k, int by, int dithers) {
  const int last = POSITIONS - dithers;
  int y[POSITIONS];
  memcpy(y, p->y, sizeof y);
  y[k] += by;
  place_ends(y, dithers);
  if (!are_positions(y, dithers))
    return 0;
  const int begin = k < dithers ? 0 : k - dithers, end = k < last ? k : last;
  double cost[MOST_RUNGS], before = 0, after = 0;
  for (int i = begin; i <= end; i++) {
    cost[i] = cost_of_gap(&p->values, y, i, dithers);
    before += p->cost[i], after += cost[i];
  }
  if (!(after < before - 1e-9 * fabs(before)))
    return 0;
  memcpy(p->y, y, sizeof y);
  for (int i = begin; i <= end; i++)
    p->cost[i] = cost[i];
  return 1;
}

/* The least and the most that position k may be, as those below it, or above it, are. */
ZML_TARGET_INLINE int lowest_of(const int *y, int k, int dithers) {
  const int neighbour = k > 1 ? y[k - 1] + least_of(dithers) : -WIDEST;
  const int rung = k > dithers ? y[k - dithers] + dithers : k == dithers - 1 ? dithers : -WIDEST;
  return neighbour > rung ? neighbour : rung;
}

ZML_TARGET_INLINE int highest_of(const int *y, int k, int dithers) {
  const int last = POSITIONS - 1, above = k + dithers, most = 2 * WIDEST;
  const int neighbour = k < last - 1 ? y[k + 1] - least_of(dithers) : most;
  const int rung = above < last ? y[above] - dithers : above == POSITIONS ? steps_of(dithers) - dithers : most;
  return neighbour < rung ? neighbour : rung;
}

/* Positions to begin with: levels on a grid of `top` steps, taken apart. */
ZML_TARGET_INLINE void first_positions(int *y, const uint8_t *levels, int top, int dithers) {
  const int last = POSITIONS / dithers - 1, steps = steps_of(dithers);
  const double unit = (double)steps / top, widest = (double)(WIDEST - steps) * dithers / (dithers - 1);
  for (int k = 0; k < POSITIONS; k++) {
    const int c = k / dithers;
    const double part = (k % dithers + 0.5) / dithers - 0.5;
    const int at = part < 0 ? (c ? c : 1) : (c < last ? c + 1 : last); /* the level above the gap */
    const double gap = (levels[at] - levels[at - 1]) * unit;
    y[k] = dithers * (int)floor((levels[c] * unit + part * (gap < widest ? gap : widest)) / dithers + 0.5);
  }
  for (int k = POSITIONS - 2; k > 0; k--)
    y[k] = y[k] < highest_of(y, k, dithers) ? y[k] : highest_of(y, k, dithers);
  for (int k = 1; k < POSITIONS - 1; k++)
    y[k] = y[k] > lowest_of(y, k, dithers) ? y[k] : lowest_of(y, k, dithers);
  place_ends(y, dithers);
}

/* Summed variance in squared units of the column; values at the ends of a range that leaves some out are among them. */
ZML_TARGET_INLINE double best_positions(Placing *p, int dithers) {
  enum { MOST_SWEEPS = 64 };
  const int n_rungs = POSITIONS - dithers + 1;
  for (int i = 0; i < n_rungs; i++)
    p->cost[i] = cost_of_gap(&p->values, p->y, i, dithers);
  for (int sweep = 0, moved = 1; moved && sweep < MOST_SWEEPS; sweep++) {
    moved = 0;
    for (int k = 1; k < POSITIONS - 1; k++)
      moved |= move_position(p, k, -dithers, dithers) || move_position(p, k, dithers, dithers);
  }
  double found = -p->values.square;
  for (int i = 0; i < n_rungs; i++)
    found += p->cost[i];
  const double step = p->values.range / p->values.steps;
  return found * step * step;
}

/* The values of a sample within the range of a histogram, counted by so many steps: without those beyond its ends. */
ZML_TARGET static void values_inside(const zml_column_sample *sample, const Histogram *coarse, int steps,
                                     Histogram *h) {
  const double low = coarse->low, high = coarse->low + coarse->range;
  int64_t below = 0, above = 0;
  fill_histogram(sample->values, sample->n, low, coarse->range, steps, h);
  for (size_t i = 0; i < sample->n; i++)
    below += sample->values[i]<low, above += sample->values[i]> high;
  for (int k = 1; k <= steps + 1; k++)
    h->count[k] -= (double)below;
  h->count[steps + 1] -= (double)above;
  h->sum[steps + 1] -= (double)above * steps;
  h->square -= (double)above * steps * steps;
}

/* Rungs in place of 16 / dithers levels, and the sample's positions, from the lowest one on; returns how many there
 * are, 0 if dither does not pay against a summed variance in squared units, that of the levels. */
ZML_TARGET_INLINE int rungs_of_dithers(const zml_column_sample *sample, const Histogram *coarse, double noise,
                                       int dithers, uint8_t *levels) {
  const int n_rungs = POSITIONS - dithers + 1;
  Placing p;
  values_inside(sample, coarse, steps_of(dithers), &p.values);
  first_positions(p.y, levels, coarse->steps, dithers);
  if (!are_positions(p.y, dithers) || !(best_positions(&p, dithers) <= DITHER_PAYS * noise))
    return 0;
  for (int i = 0; i < n_rungs; i++) {
    int sum = 0;
    for (int k = i; k < i + dithers; k++)
      sum += p.y[k];
    levels[i] = (uint8_t)(sum / dithers);
  }
  for (int k = 0; k < POSITIONS; k++)
    sample->positions[k] = (uint8_t)(p.y[k] - p.y[0]);
  return n_rungs;
}
