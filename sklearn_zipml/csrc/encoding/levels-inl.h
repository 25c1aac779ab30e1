/* Step 1 of 5: where the levels of one column go; part of encode-inl.h. */

#include "encoding/optimal-inl.h"
#include "encoding/histogram-inl.h"
#include "encoding/bulk-inl.h"
#include "encoding/positions-inl.h"

/* Rungs of known dither in place of 4 or 8 levels, of which so many are used and leave a summed variance; returns how
 * many, 0 where dither does not pay. */
ZML_TARGET static int rungs_of(const zml_column_sample *sample, const Histogram *h, int n_levels, int used,
                               uint8_t *levels, int *top) {
  memset(sample->positions, 0, POSITIONS);
  if (!sample->n || used < n_levels)
    return 0;
  const double noise = noise_of(h, levels, used);
  const int found = n_levels == POSITIONS / 2 ? rungs_of_dithers(sample, h, noise, 2, levels)
                                              : rungs_of_dithers(sample, h, noise, 4, levels);
  *top = found ? levels[found - 1] : *top;
  return found;
}

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
  const int rungs = sample->positions ? rungs_of(sample, h, n_levels, used, levels, top) : 0;
  if (rungs)
    return rungs;
  for (int k = 0; k < used; k++)
    levels[k] = (uint8_t)(levels[k] * stride);
  return used;
}
