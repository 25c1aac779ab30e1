/* Contract of the products of a tile with many vectors at once: integer matrix products, one table for each instruction
 * set.
 *
 * A tile is decoded into panels of 16 lanes: 16 columns, where sums go over rows (gradient_many, gram), or 16 rows,
 * where they go over columns (dot_many). `unit` terms of a sum lie side by side, as the instruction set's products take
 * them. Vectors are panels of 16 in the same order. Both are multiplied in registers:
 *
 *   panel     [term / unit][lane][term % unit]          positions, less `shift`
 *   vectors   [term / unit][vector % 16][term % unit]   digits of fixed-point numbers
 *
 * Values have 8 bits (unsigned positions by signed digits, or signed by signed if shift is 128) or 16 bits. A sum over
 * up to `depth` terms is made in 32 bits and added to one of 64 bits, so that every sum is exact; sums of 64 bits hold
 * 2^31 terms of 4 bytes' digits: 255 * 2^31 * 2^23 < 2^63 / 2^1. */
#ifndef ZML_MATMUL_H
#define ZML_MATMUL_H

#include <stddef.h>
#include <stdint.h>

#include "format/tile.h"

enum {
  ZML_PANEL = 16,          /* lanes of a panel, vectors of one */
  ZML_VECTORS_AT_ONCE = 4, /* vectors come in multiples of so many */
  ZML_PANELS_AT_ONCE = 2,  /* panels that had better come together */
  ZML_BYTE_DEPTH = 512,    /* 512 * 255 * 128 < 2^31, and two panels stay in the first-level cache */
  ZML_SHORT_DEPTH = 256,   /* 256 * 255 * 32768 < 2^31 */
  ZML_MOST_DEPTH = 512,
  ZML_FEW_POSITIONS = 16, /* of codes of up to 4 bits that are positions, of integers, genotypes, indicators */
};

/* Panels of the columns of a tile, decoded: those of `n_panels` times 16 columns, to `out` and every `stride` bytes
 * further on. */
typedef void zml_panels(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out, size_t stride);

/* Largest magnitude of doubles; what is not finite if any of them is not. */
typedef double zml_magnitude(const double *values, size_t n);

/* The integers next to values * inverse, which have to be below 2^31, ties to even. */
typedef void zml_round_values(const double *values, size_t n, double inverse, int32_t *out);

/* Panels of one digit, the lowest being 0, of fixed-point vectors that are `stride` apart; signed digits of the bytes
 * that values have. What fills the last panel up is zero. */
typedef void zml_pack_digit(const int32_t *vectors, size_t stride, size_t n_vectors, size_t depth, int digit,
                            uint8_t *out);

/* Panels of one digit, the lowest being 0, of weight[term] * (panel's value + shift), which has to be below 2^31. */
typedef void zml_weigh_panels(const uint8_t *panels, size_t n_panels, size_t depth, const int32_t *weights, int digit,
                              uint8_t *out);

/* out[lane] = scale * (sums[lane] + shift) */
typedef void zml_scale_sums(const int64_t *sums, int64_t shift, double scale, double *out);

/* sums[panel * stride + vector][lane] += 2^scale * sum over `depth` terms of panel's value * vector's value; = instead
 * of += if `fresh`. depth is a multiple of 16, n_vectors one of ZML_VECTORS_AT_ONCE. */
typedef struct {
  const uint8_t *panels, *vectors;
  size_t n_panels, n_vectors, depth;
} zml_factors;
typedef struct {
  int64_t (*sums)[ZML_PANEL];
  size_t stride;
  int scale, fresh;
} zml_panel_sums;
typedef void zml_multiply_panels(const zml_factors *factors, const zml_panel_sums *to);

/* sums[lane of all panels] += factor * position, for one row of panels of columns over `depth` rows; narrow factors are
 * below 2^16. */
typedef void zml_add_narrow(const uint8_t *panels, size_t n_panels, size_t depth, size_t row, int32_t factor,
                            int32_t *sums);
typedef void zml_add_wide(const uint8_t *panels, size_t n_panels, size_t depth, size_t row, int64_t factor,
                          int64_t *sums);

typedef struct zml_matmul {
  int value_bytes; /* 1 or 2 */
  int unit;        /* 1, 2 or 4 */
  int shift;       /* positions in panels are less by so much: 0 or 128 */
  int own_shift;   /* positions as vectors are: 0 or 128 */
  size_t depth;
  const struct zml_matmul
      *few; /* products of positions below ZML_FEW_POSITIONS with each other and with ones; or NULL */
  zml_panels *panels_of_columns[9]; /* by code width: 64 rows */
  zml_panels *panels_of_rows[9];    /* the 4 panels of 16 rows, each with 16 * n_panels columns */
  zml_multiply_panels *multiply;
  zml_magnitude *magnitude;
  zml_round_values *round;
  zml_pack_digit *pack;
  zml_weigh_panels *weigh;
  zml_add_narrow *add_narrow;
  zml_add_wide *add_wide;
  zml_scale_sums *scale;
} zml_matmul;

extern const zml_matmul zml_matmul_avx512, zml_matmul_avx2, zml_matmul_avx2_few, zml_matmul_neon_dotprod,
    zml_matmul_portable;

#endif
