/* The values of one column between grid positions, counted: whether these are a lattice of theirs, the levels that suit
 * them, and the variance that those leave; part of levels-inl.h. */

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
