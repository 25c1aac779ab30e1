/* Matrices of second moments out of exact sums. */
#ifndef ZML_MOMENTS_H
#define ZML_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Make a matrix of its lower triangle symmetric. */
void zml_mirror(size_t n, int64_t *sums);

/* What sums of products, the lower triangle, are to become. */
typedef struct {
  int64_t weight;        /* of all rows: their number, or the sum of their weights */
  const int64_t *totals; /* sums of the positions of each column */
  const int64_t *whole;  /* the integer next to its centre */
  const double *rest;    /* its centre, less that */
  const double *mean;    /* the mean of its positions, less that */
} zml_centring;

/* Mean products of positions less their centres, as doubles in the same memory. */
void zml_centre_moments(size_t n, const zml_centring *about, int64_t *sums);

#endif
