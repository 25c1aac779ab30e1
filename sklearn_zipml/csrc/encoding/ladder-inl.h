/* Levels of a column whose codes have known dither; part of levels-inl.h.
 *
 * Code c of dither t stands for L[c] + d (t - 3/2) in steps from the smallest value: L[0] = 0 and L[3] = LADDER_STEPS.
 * The mean over t is a ladder whose rungs divide every gap in four; between two rungs one dither flips, and the mean
 * square is linear. Rung k of a gap [p, q] has it (k q^2 + (4 - k) p^2) / 4 - (q - p) d a[k] / 2 + 5/4 d^2, with a = 0,
 * 3/2, 2, 3/2, 0 the sums of the highest of the offsets in units of d. So the summed variance is that of rounding to L,
 * plus d times what follows from the rungs alone, plus 5/4 d^2 for every value: for each L the best d is known, and
 * both sums are additive over the gaps. All L are tried whose gaps are multiples of four. */
enum { LADDER_STEPS = 192, LADDER_PLACES = LADDER_STEPS / 4, MOST_SPREAD = 20, RUNGS = 13 };

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

/* Writes rungs and the distance of offsets, 0 if dither does not pay against a summed variance in squared units. */
ZML_TARGET static int ladder_of(const Histogram *coarse, const double *values, size_t n, double noise, uint8_t *rungs) {
  Histogram h;
  Gaps gaps;
  fill_histogram(values, n, coarse->low, coarse->range, LADDER_STEPS, &h);
  const double all = h.count[LADDER_STEPS + 1], at_end = all - h.count[LADDER_STEPS];
  for (int p = 0; p < LADDER_PLACES; p++)
    for (int q = p + 1; q <= LADDER_PLACES; q++)
      gap_sums(&h, 4 * p, 4 * q, &gaps.plain[p][q], &gaps.tilt[p][q]);
  double best = INFINITY, best_tilt = 0;
  int first = 1, second = 2;
  for (int a = 1; a < LADDER_PLACES - 1; a++)
    for (int b = a + 1; b < LADDER_PLACES; b++) {
      const double plain = gaps.plain[0][a] + gaps.plain[a][b] + gaps.plain[b][LADDER_PLACES];
      const double tilt = gaps.tilt[0][a] + gaps.tilt[a][b] + gaps.tilt[b][LADDER_PLACES];
      const double cost = plain - tilt * tilt / (5 * all);
      if (cost < best)
        best = cost, best_tilt = tilt, first = a, second = b;
    }
  int spread = 2 * (int)(-best_tilt / (2.5 * all) / 2 + 0.5);
  spread = spread < 2 ? 2 : spread > MOST_SPREAD ? MOST_SPREAD : spread;
  const double plain = best + best_tilt * best_tilt / (5 * all) + at_end * LADDER_STEPS * LADDER_STEPS - h.square;
  const double left = plain + spread * best_tilt + 1.25 * spread * spread * all, step = h.range / LADDER_STEPS;
  if (!(left * step * step <= LADDER_PAYS * noise))
    return 0;
  const int levels[4] = {0, 4 * first, 4 * second, LADDER_STEPS};
  for (int k = 0; k < RUNGS; k++)
    rungs[k] = (uint8_t)(k < 12 ? levels[k / 4] + k % 4 * (levels[k / 4 + 1] - levels[k / 4]) / 4 : LADDER_STEPS);
  return spread;
}
