/* Step 1 of 5: where the levels of one column go; part of encode-inl.h. */

#include "encoding/optimal-inl.h"
#include "encoding/histogram-inl.h"
#include "encoding/bulk-inl.h"
#include "encoding/ladder-inl.h"
#include "encoding/parity_levels-inl.h"

/* Rungs of known dither in place of 4 or 8 levels, of which so many are used and leave a summed variance; returns how
 * many, 0 where dither does not pay. */
ZML_TARGET static int rungs_of(const zml_column_sample *sample, const Histogram *h, int n_levels, int used,
                               uint8_t *levels, int *top) {
  const double noise = noise_of(h, levels, used);
  const int is_parity = n_levels == PARITY_CODES / 2;
  *sample->spread = 0;
  if (!sample->n || (is_parity && used < n_levels))
    return 0;
  *sample->spread = (uint8_t)(is_parity ? parity_of(sample, h, noise, levels)
                                        : ladder_of(h, sample->values, sample->n, noise, levels));
  *top = !*sample->spread ? *top : is_parity ? PARITY_STEPS : LADDER_STEPS;
  return !*sample->spread ? 0 : is_parity ? ZML_PARITY_RUNGS : ZML_RUNGS;
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
  const int rungs = sample->spread ? rungs_of(sample, h, n_levels, used, levels, top) : 0;
  if (rungs)
    return rungs;
  for (int k = 0; k < used; k++)
    levels[k] = (uint8_t)(levels[k] * stride);
  return used;
}
