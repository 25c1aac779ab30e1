#ifndef ZML_ENCODE_H
#define ZML_ENCODE_H

#include <stddef.h>
#include <stdint.h>

typedef enum { ZML_NAIVE = 0, ZML_NEAREST = 1, ZML_DOUBLE = 2, ZML_COMPENSATED = 3 } zml_sampling;

/* What the encoder knows about the columns. Per column: levels (n_levels of them used out of level_stride bytes,
 * grid positions), cell (256 bytes: the interval that holds the grid cell k, k+1), offset and scale, in units of
 * X, that make the fixed-point grid coordinate rint((x - offset) * scale), between 0 and top << ZML_GRID_SHIFT. */
typedef struct {
  size_t n_columns;
  size_t level_stride;
  const uint8_t *levels;
  const uint16_t *n_levels;
  const uint8_t *cell;
  const uint8_t *top;
  const double *offset;
  const double *scale;
  zml_sampling sampling;
  int width;
  uint64_t seed;
} zml_codebook;

/* What it learns. Per column, exact integers, so that the order of accumulation is free: sum and sum of squares of
 * the stored grid positions, and the summed squared rounding errors in 1/65536 of a squared step. noise[column][code]
 * and hits[column][code] (may be NULL) split errors and rows by code, width <= 4 only. */
typedef struct {
  uint64_t *sum;
  uint64_t *square;
  uint64_t *variance;
  uint64_t *noise;
  uint64_t *hits;
} zml_moments;

/* Smallest and largest value of each column of a block, [row][column]; returns 1 if a value is not finite. */
int zml_range_f32(const float *block, size_t n_rows, size_t n_columns, float *low, float *high);
int zml_range_f64(const double *block, size_t n_rows, size_t n_columns, double *low, double *high);

/* Grid coordinates of a block, [row][column]. */
void zml_coordinates_f32(const float *block, size_t n_rows, const zml_codebook *book, int32_t *coordinates);
void zml_coordinates_f64(const double *block, size_t n_rows, const zml_codebook *book, int32_t *coordinates);

/* Rounds up to 64 rows of grid coordinates to codes and packs them into one zeroed tile. other is a second
 * coordinate array for the second draw of ZML_DOUBLE (the same array unless a double store is narrowed); prior
 * (may be NULL) is the squared error that the coordinates carry already, in the units of zml_moments. ordinal
 * numbers the rows from there on and enters their keys; 0 leaves that to their content alone. */
void zml_encode_tile(const int32_t *coordinates, const int32_t *other, const uint32_t *prior, size_t n_rows,
                     uint64_t ordinal, const zml_codebook *book, uint8_t *tile, const zml_moments *moments);

/* Stored grid positions (the decode table applied) of the rows of one tile, [row][column]. */
void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                     size_t n_rows);

/* Codes of one row of a tile, one byte each, and back. */
void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes);
void zml_pack_tile(const uint8_t *codes, int width, size_t padded_columns, uint8_t *tile);

/* Keyed pseudo-random permutation of 0..n-1: writes images of first..first+count-1 (or of their inverse). */
void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image);
void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source);

#endif
