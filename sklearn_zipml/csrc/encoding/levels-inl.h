/* Step 1 of 5: where the levels of one column go; part of encode-inl.h. */

#include "encoding/optimal-inl.h"
#include "encoding/histogram-inl.h"
#include "encoding/bulk-inl.h"
#include "encoding/ladder-inl.h"

ZML_TARGET static int column_levels(const zml_column_sample *sample, int n_levels, int max_steps, int stride,
                                    uint8_t *levels, int *top, double *deviation, double *range) {
  const double low = sample->low, whole_range = sample->high - low;
  const int lattice = lattice_steps(sample->values, sample->n, low, whole_range, max_steps);
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
