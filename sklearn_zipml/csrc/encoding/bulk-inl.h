/* The range that levels reach to where they leave outliers out; part of levels-inl.h. */

/* Steps that a value may be beyond the levels: below the most that differences hold, for rounding. */
#define FARTHEST 32700.0

/* The shortest run of cells [a, b) that leaves at most `few` values out. */
ZML_TARGET_INLINE void shortest_run(const Histogram *h, double few, int *a, int *b) {
  const int end = h->steps;
  const double most = h->count[end + 1] - few;
  int best = end + 1;
  for (int first = 0, last = 1; first < end; first++) {
    while (last < end && (last <= first || h->count[last] - h->count[first] < most))
      last++;
    const double inside = h->count[last == end ? end + 1 : last] - h->count[first];
    if (inside < most)
      break;
    if (last - first < best)
      best = last - first, *a = first, *b = last;
  }
}

/* Smallest and largest of the values in a range. */
ZML_TARGET static void ends_between(const double *values, size_t n, double from, double to, double *least,
                                    double *most) {
  *least = INFINITY, *most = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    *least = values[i] >= from && values[i] < *least ? values[i] : *least;
    *most = values[i] <= to && values[i] > *most ? values[i] : *most;
  }
}

/* The shortest range, between values, that leaves out so few of them. */
ZML_TARGET static void bulk_range(const zml_column_sample *sample, const Histogram *whole, double few, double *low,
                                  double *high) {
  enum { FINE = 4, MOST_ZOOMS = 64 };
  Histogram zoomed;
  const Histogram *h = whole;
  const double *values = sample->values;
  size_t n = sample->n;
  for (int zoom = 0;; zoom++) {
    int a = 0, b = h->steps;
    shortest_run(h, few, &a, &b);
    const double step = h->range / h->steps, from = h->low + a * step, to = h->low + b * step;
    double least = (double)(float)from, most = (double)(float)to;
    /* single precision holds the ends of data that it holds; else these are values */
    if (!(fabs(least - from) + fabs(most - to) < step / 1024))
      ends_between(values, n, from, to, &least, &most);
    least = least > h->low ? least : h->low;
    most = most < h->low + h->range ? most : h->low + h->range;
    if (!(least <= most)) /* rounding */
      return;
    *low = least, *high = most;
    if (FINE * (b - a) > h->steps || !(most - least < h->range) || most - least < 1e-290 || zoom == MOST_ZOOMS)
      return;
    size_t inside = 0;
    for (size_t i = 0; i < n; i++) {
      const double value = values[i];
      sample->spare[inside] = value;
      inside += value >= least && value <= most;
    }
    few -= (double)(n - inside);
    if (few < 0)
      return;
    n = inside, values = sample->spare;
    fill_histogram(values, n, least, most - least, h->steps, &zoomed);
    h = &zoomed;
  }
}

/* Summed variance of rounding to about the best levels: few levels are searched for on some positions only, for it is
 * compared with another of the same. */
ZML_TARGET static double about_noise_of(const Histogram *h, int n_levels) {
  enum { FEW_LEVELS = 16, COARSE = 4 };
  uint8_t levels[MAX_POSITIONS];
  const int used = levels_of(h, n_levels, n_levels <= FEW_LEVELS ? COARSE : 1, levels);
  return noise_of(h, levels, used);
}

/* How many outliers there may be. */
ZML_TARGET_INLINE double most_outliers(const zml_column_sample *sample, int n_levels) {
  const double n = (double)sample->n;
  if (!sample->positions)
    return floor(n * ZML_OUTLIER_SHARE);
  if (n_levels == 8)
    return floor(n * ZML_PARITY_SHARE);
  const double many = n * ZML_MANY_ROWS_SHARE + 2, few = n * ZML_FEW_ROWS_SHARE;
  return floor(many < few ? many : few);
}

/* Whether it pays to leave outliers apart; then `bulk` is the histogram of a range that does, not so small that they
 * would be too many steps away. */
ZML_TARGET static int without_outliers(const zml_column_sample *sample, const Histogram *whole, int n_levels,
                                       Histogram *bulk) {
  const double few = most_outliers(sample, n_levels);
  double low = sample->low, high = sample->high;
  if (few < 1)
    return 0;
  bulk_range(sample, whole, few, &low, &high);
  const double above = sample->high - high, below = low - sample->low;
  const double least = (above > below ? above : below) / FARTHEST * whole->steps;
  if (high - low < least) {
    if (above > below)
      high = low + least < sample->high ? low + least : sample->high;
    else
      low = high - least > sample->low ? high - least : sample->low;
  }
  if (!(high - low < sample->high - sample->low) || high - low < 1e-290)
    return 0;
  fill_histogram(sample->values, sample->n, low, high - low, whole->steps, bulk);
  const double step = bulk->range / bulk->steps, n = (double)sample->n;
  const double deviation = step * deviation_of(n, bulk->sum[bulk->steps + 1], bulk->square);
  const double noise = about_noise_of(whole, n_levels);
  return noise >= ZML_LEAST_NOISE * n * deviation * deviation &&
         about_noise_of(bulk, n_levels) <= ZML_MOST_LEFT * noise;
}
