/* Levels of a column whose codes have known dither; part of levels-inl.h.
 *
 * Code c of dither t stands for L[c] + d (t - 3/2) in steps from the smallest value: L[0] = 0 and L[3] = LADDER_STEPS.
 * The mean over t is a ladder whose rungs divide every gap in four; between two rungs one dither flips, and the mean
 * square is linear. Rung k of a gap [p, q] has it (k q^2 + (4 - k) p^2) / 4 - (q - p) d a[k] / 2 + 5/4 d^2, with a = 0,
 * 3/2, 2, 3/2, 0 the sums of the highest of the offsets in units of d. So the summed variance is that of rounding to L,
 * plus d times what follows from the rungs alone, plus 5/4 d^2 for every value: for each L the best d is known, and
 * both sums are additive over the gaps. Gaps are multiples of four. */
enum { LADDER_STEPS = 192, LADDER_PLACES = LADDER_STEPS / 4, MOST_SPREAD = 20 };

/* What dither has to leave at most of the variance without it. */
#define LADDER_PAYS 0.9

/* The part of the summed variance in a gap without dither, and what is proportional to d. */
typedef struct {
  double plain[LADDER_PLACES + 1][LADDER_PLACES + 1], tilt[LADDER_PLACES + 1][LADDER_PLACES + 1];
} Gaps;

ZML_TARGET_INLINE void gap_sums(const Histogram *h, int p, int q, double *plain, double *tilt) {
  const double a[5] = {0, 1.5, 2, 1.5, 0};
  const int width = (q - p) / 4;
  const double count = h->count[q] - h->count[p], sum = h->sum[q] - h->sum[p];
  double found = 0;
  for (int k = 0; k < 4; k++) {
    const int m = p + k * width;
    const double n = h->count[m + width] - h->count[m], above = h->sum[m + width] - h->sum[m] - m * n;
    found -= 2 * width * a[k] * n + 2 * (a[k + 1] - a[k]) * above;
  }
  *plain = (double)(p + q) * sum - (double)p * q * count;
  *tilt = found;
}

/* Two inner levels, in quarters of positions, with what they cost at the best distance of offsets. */
typedef struct {
  int first, second;
  double cost, tilt;
} Ladder;

ZML_TARGET_INLINE void try_ladder(const Gaps *gaps, int a, int b, double all, Ladder *best) {
  const double tilt = gaps->tilt[0][a] + gaps->tilt[a][b] + gaps->tilt[b][LADDER_PLACES];
  const double plain = gaps->plain[0][a] + gaps->plain[a][b] + gaps->plain[b][LADDER_PLACES];
  const double cost = plain - tilt * tilt / (5 * all);
  if (cost < best->cost)
    *best = (Ladder){a, b, cost, tilt};
}

ZML_TARGET_INLINE void fill_gap(const Histogram *h, int p, int q, Gaps *gaps) {
  gap_sums(h, 4 * p, 4 * q, &gaps->plain[p][q], &gaps->tilt[p][q]);
}

/* Levels on every second place, then on those next to the best ones. */
ZML_TARGET static Ladder best_ladder(const Histogram *h, double all) {
  enum { STRIDE = 2 };
  Gaps gaps;
  Ladder best = {STRIDE, 2 * STRIDE, INFINITY, 0};
  for (int p = 0; p < LADDER_PLACES; p += STRIDE)
    for (int q = p + STRIDE; q <= LADDER_PLACES; q += STRIDE)
      fill_gap(h, p, q, &gaps);
  for (int a = STRIDE; a < LADDER_PLACES - STRIDE; a += STRIDE)
    for (int b = a + STRIDE; b < LADDER_PLACES; b += STRIDE)
      try_ladder(&gaps, a, b, all, &best);
  const Ladder found = best;
  for (int a = found.first - 1; a <= found.first + 1; a++)
    for (int b = found.second - 1; b <= found.second + 1; b++)
      if (a < b) {
        fill_gap(h, 0, a, &gaps);
        fill_gap(h, a, b, &gaps);
        fill_gap(h, b, LADDER_PLACES, &gaps);
        try_ladder(&gaps, a, b, all, &best);
      }
  return best;
}

/* Writes rungs and returns the distance of offsets, 0 if dither does not pay against a summed variance in squared
 * units. */
ZML_TARGET static int ladder_of(const Histogram *coarse, const double *values, size_t n, double noise, uint8_t *rungs) {
  Histogram h;
  fill_histogram(values, n, coarse->low, coarse->range, LADDER_STEPS, &h);
  const double all = h.count[LADDER_STEPS + 1], at_end = all - h.count[LADDER_STEPS];
  const Ladder best = best_ladder(&h, all);
  int spread = 2 * (int)(-best.tilt / (2.5 * all) / 2 + 0.5);
  spread = spread < 2 ? 2 : spread > MOST_SPREAD ? MOST_SPREAD : spread;
  const double plain = best.cost + best.tilt * best.tilt / (5 * all) + at_end * LADDER_STEPS * LADDER_STEPS - h.square;
  const double left = plain + spread * best.tilt + 1.25 * spread * spread * all, step = h.range / LADDER_STEPS;
  if (!(left * step * step <= LADDER_PAYS * noise))
    return 0;
  const int levels[4] = {0, 4 * best.first, 4 * best.second, LADDER_STEPS};
  for (int k = 0; k < ZML_RUNGS; k++)
    rungs[k] = (uint8_t)(k < 12 ? levels[k / 4] + k % 4 * (levels[k / 4 + 1] - levels[k / 4]) / 4 : LADDER_STEPS);
  return spread;
}
