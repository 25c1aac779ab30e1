#include "products/moments.h"

#include <string.h>

/* Squares of so many elements are written beside their mirror images while both are in the cache. */
enum { SQUARE = 32 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void mirror_square(size_t n, size_t row, size_t column, int64_t *sums) {
  for (size_t j = row; j < least(n, row + SQUARE); j++)
    for (size_t k = column; k < least(j, column + SQUARE); k++)
      sums[k * n + j] = sums[j * n + k];
}

void zml_mirror(size_t n, int64_t *sums) {
  for (size_t row = 0; row < n; row += SQUARE)
    for (size_t column = 0; column <= row; column += SQUARE)
      mirror_square(n, row, column, sums);
}

static void centre_square(size_t n, size_t row, size_t column, const zml_centring *about, int64_t *sums) {
  for (size_t j = row; j < least(n, row + SQUARE); j++) {
    const int64_t total = about->totals[j], m = about->whole[j], all = about->weight;
    for (size_t k = column; k < least(j + 1, column + SQUARE); k++) {
      const int64_t sum = sums[j * n + k] - m * about->totals[k] - about->whole[k] * total + all * m * about->whole[k];
      const double cross = about->mean[j] * about->rest[k] + about->rest[j] * about->mean[k];
      const double value = (double)sum / (double)all + about->rest[j] * about->rest[k] - cross;
      memcpy(sums + j * n + k, &value, sizeof value);
    }
  }
}

void zml_centre_moments(size_t n, const zml_centring *about, int64_t *sums) {
  for (size_t row = 0; row < n; row += SQUARE)
    for (size_t column = 0; column <= row; column += SQUARE) {
      centre_square(n, row, column, about, sums);
      mirror_square(n, row, column, sums);
    }
}
