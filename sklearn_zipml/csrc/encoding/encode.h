/* Contract of the encoder: one table of functions for each instruction set, all giving the same bits. */
#ifndef ZML_ENCODE_H
#define ZML_ENCODE_H

#include <stddef.h>
#include <stdint.h>

/* ZML_DOUBLE is of two draws, ZML_DRAWS the same of more. */
typedef enum { ZML_NAIVE = 0, ZML_NEAREST = 1, ZML_DOUBLE = 2, ZML_COMPENSATED = 3, ZML_DRAWS = 4 } zml_sampling;

enum { ZML_MAX_CODES = 16 }; /* of a width below 8; bytes hold grid positions themselves */

/* What the encoder knows about the columns; arrays are padded to whole tiles' columns. Per pair of columns, 16 bits for
 * either, the first column's lower: two odd multipliers of the content hash. Per draw and column the key of it. Per
 * column with up to 4 bits 16 levels (the last repeated) and the gaps above them, for each of 256 grid cells the index
 * of its interval, and the position that each of 16 codes stands for; with 8 bits for each grid cell the position of
 * the level below and the gap to the next. Gaps are at least 1. every_position says that, with 8 bits, all positions up
 * to the last level are levels. With by_place draws are keyed by the number of a row, too, of which the first one in a
 * call is `place`. */
typedef struct {
  size_t n_columns;
  zml_sampling sampling;
  uint32_t n_draws; /* of ZML_DRAWS; gaps between levels are multiples of it */
  int width, every_position, by_place;
  uint64_t seed, place;
  const uint32_t *multipliers[2], *draw_keys[2];
  const uint8_t *levels, *gaps, *interval, *positions;
  const uint8_t *below, *gap;
  /* Known dither, see dither.h, of ZML_DITHERED and of 4 bits; else NULL. Levels are rungs where first_rung, the
   * first one's position, is not 0. With ZML_DITHERED positions are those of zml_place_of. */
  const uint8_t *first_rung;
  const uint16_t *multiplier; /* of ZML_DITHERED */
  const uint8_t *watched;     /* of columns whose values may lie beyond the last level, its position; else 0 */
} zml_codebook;

/* The fixed-point grid coordinate of a value is rint((x - offset) * scale), between 0 and top (in coordinates). */
typedef struct {
  const float *offset, *scale, *top;
} zml_affine_f32;
typedef struct {
  const double *offset, *scale, *top;
} zml_affine_f64;

/* What it learns. Per column, exact integers, so that the order of accumulation is free: sum and sum of squares of
 * the stored grid positions, and the summed squared rounding errors in 1/16384 of a squared step. hits[column][code]
 * are the rows of each code; noise and tallied the errors and numbers of the rows that are tallied by code, weighted
 * (all NULL where not needed, width <= 4 only). beyond and beyond_square are what outliers add to the first two. */
typedef struct {
  uint64_t *sum, *square, *variance, *hits, *noise, *tallied;
  int64_t *beyond, *beyond_square;
} zml_moments;

/* Sums over rows of one column, in lanes whose totals count, of at most ZML_FOLD_TILES tiles: grid positions p,
 * p * (p - 128), and squared errors in 1/16384 of a squared step; and how many rows have each code. Where codes are
 * counted, which is where errors are and the width is below 8, the first two are left out: they follow. */
typedef struct {
  int32_t sum[16], square[16];
  uint64_t noise[8];
  uint64_t hits[ZML_MAX_CODES];
} zml_lanes;

/* Room to work in. coordinates: [tile][pair of columns][64 rows], two words of 16 bits each. lanes: one for each padded
 * column. tallies: per padded column 16 numbers ZML_HIT * hits + error. zml_add_lanes adds them to the moments and
 * clears them; the tallies with a weight. contents: one for each row of a call, NULL where nobody asks. */
enum { ZML_FOLD_TILES = 64, ZML_BLOCK_TILES = 4 };
#define ZML_HIT (1ull << 44)
typedef struct {
  uint32_t *coordinates;
  zml_lanes *lanes;
  uint64_t *tallies;
  uint64_t *contents; /* what rows' draws are keyed by */
} zml_workspace;

/* Tiles that are encoded in one call: several share a look at the columns' tables, if the cache holds them all. */
static inline size_t zml_tiles_at_once(size_t n_columns) {
  return n_columns <= 512 ? ZML_BLOCK_TILES : n_columns <= 1024 ? 2 : 1;
}

/* Weight of the errors of block `block` of ZML_BLOCK_TILES tiles, 0 if they are not tallied by code: of the first 8192
 * rows all are, of those up to twice as many a quarter of the blocks, chosen at random, then an eighth, and so on. So
 * the choice does not depend on how many rows will come. */
uint64_t zml_tally_weight(uint64_t block);

/* Smallest and largest value of each column of a block whose elements (i, j) are at i * row_stride + j * column_stride,
 * one of the strides being 1; lowers low, raises high; returns 1 if a value is not finite. */
typedef int zml_range_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                          size_t n_columns, float *low, float *high);
typedef int zml_range_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                          size_t n_columns, double *low, double *high);

/* The same of integers whose rows are contiguous, as unsigned ones with the bits of `sign` turned around. */
typedef void zml_range_u8(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns, uint8_t sign,
                          uint8_t *low, uint8_t *high);
typedef void zml_range_u16(const uint16_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns, uint16_t sign,
                           uint16_t *low, uint16_t *high);

/* out[column * stride + k] = the value of row rows[k] of such a block. */
typedef void zml_gather_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                            const int64_t *rows, size_t n_rows, float *out, size_t stride);
typedef void zml_gather_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                            const int64_t *rows, size_t n_rows, double *out, size_t stride);

/* Rounds up to 64 * zml_tiles_at_once rows of such a block and writes each as a packed row. Errors are tallied by code
 * only if `tally` says so. */
typedef void zml_encode_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                            const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                            int tally, uint8_t *const *rows);
typedef void zml_encode_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                            const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                            int tally, uint8_t *const *rows);

/* After such a call: the values of its n_rows rows at the ends of the ranges of the columns that are watched, each
 * column << 8 | row, from a pair of columns on, which moves on; fewer than `room`, which is at least
 * ZML_FOUND_AT_ONCE. */
enum { ZML_FOUND_AT_ONCE = 2 * ZML_BLOCK_TILES * 64 };
typedef size_t zml_find_ends(const zml_codebook *book, const zml_workspace *work, size_t n_rows, size_t *pair,
                             uint64_t *found, size_t room);

/* What of the rows of such a block decides their draws: those that have the same one share them. */
typedef void zml_contents_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                              const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                              uint64_t *contents);
typedef void zml_contents_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                              const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                              uint64_t *contents);

/* Integers whose distance from the lowest one of their column, `stride` times, is their code. low and top, the largest
 * distance, are of the integers' type, unsigned: signed ones have their sign bit turned around. With has_missing the
 * integer `missing` takes the place missing_code, and places from after_missing on are one higher. encode_pairs takes
 * for an integer the two bits `pair`, 0 to 3, of its byte. */
typedef struct {
  size_t n_columns;
  int width, stride, is_signed, has_missing;
  const void *low, *top;
  uint32_t missing;
  const uint8_t *missing_code, *after_missing;
  int pair;
} zml_integers;

/* Writes each row of a block of such integers, or of fields of 1, 2 or 4 bits that are codes, as a packed row. */
typedef void zml_encode_u8(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map,
                           uint8_t *const *rows);
typedef void zml_encode_u16(const uint16_t *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map,
                            uint8_t *const *rows);

/* Codes of a row of integers as fields of the width, or bytes, the first column's in the lowest bits of a byte: a
 * multiple of ZML_FIELD_COLUMNS of them, zero behind the last column. */
enum { ZML_FIELD_COLUMNS = 128 };
typedef void zml_fields_of_u8(const uint8_t *row, const zml_integers *map, uint8_t *to);
typedef void zml_fields_of_u16(const uint16_t *row, const zml_integers *map, uint8_t *to);
typedef void zml_encode_fields(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns, int width,
                               int high_first, uint8_t *const *rows);

/* The bits of float32 of those of float16. */
typedef void zml_widen_f16(const uint16_t *from, size_t n, uint32_t *to);

/* Levels that minimise the summed variance of stochastic rounding, the first and last position among them.
 * position: n_positions (<= 256) increasing; count, sum, square: moments of all values below each position.
 * Writes the indices of the chosen positions and returns how many (fewer than n_levels if there are fewer). */
typedef int zml_optimal_levels(const double *position, const double *count, const double *sum, const double *square,
                               int n_positions, int n_levels, uint8_t *chosen);

/* Levels of one column from a sample of its values, low < high being its full range; at most n_levels, on a grid of at
 * most max_steps * stride steps. stride 2 keeps to even grid positions, so that midpoints of levels are positions too.
 * Returns the number of levels written; top is the grid position of `high`; deviation the standard deviation in steps
 * (infinite where the column is a lattice and nothing is lost); range, low and high, what the levels reach to: with
 * room to find out, less than all where a few outliers are better kept apart. With `positions`, 16, codes may have
 * known dither: where that pays the levels are 13 rungs, of 8 levels 15, and positions those that codes and dithers
 * stand for, from the lowest one on; else 0. Values that are positions of another grid are a lattice all the same: then
 * only one of which every step is a level counts.
 */
typedef struct {
  const double *values;
  size_t n;
  double low, high;
  double *spare; /* room for as many values; NULL if levels have to reach to low and high */
  uint8_t *positions;
  int are_positions;
} zml_column_sample;
typedef int zml_column_levels(const zml_column_sample *sample, int n_levels, int max_steps, int stride, uint8_t *levels,
                              int *top, double *deviation, double *range);

/* Tiles that are requantized together. */
enum { ZML_REQUANTIZE_TILES = 16 };

/* How the codes of a column become fewer: code k goes to base[k], plus rise[k] if a 16-bit random number is below
 * threshold[k], plus rise2[k] if another one is below threshold2[k] (the second draw of ZML_DOUBLE; NULL if there is
 * none). before[k] and after[code] are the grid positions that codes stand for, NULL with 8 bits: codes are positions.
 * All are [padded column][256], but before and after, [padded column][16], and far, [padded column]: whether positions
 * may move by more than 127. Thresholds are two planes of bytes, the upper one first and below 255. */
typedef struct {
  size_t n_columns, padded;
  int from, to;
  uint64_t seed;
  const uint8_t *base, *rise, *rise2, *threshold, *threshold2, *before, *after, *far;
} zml_requantization;

/* Requantizes n_tiles whole tiles of `source` into `made`, tile_bytes of either width apart; the first one is number
 * `ordinal`. Adds up, of each column, the new positions, their squares and their squared distances from the old ones.
 */
typedef struct {
  const uint8_t *source;
  uint8_t *made;
  size_t n_tiles;
  uint64_t ordinal;
} zml_requantized_tiles;
typedef struct {
  uint64_t *sum, *square, *error;
} zml_requantized_sums;
typedef void zml_requantize(const zml_requantization *plan, const zml_requantized_tiles *tiles,
                            const zml_requantized_sums *sums);

/* A tile made of 64 packed rows; missing ones are zero. */
typedef void zml_tile_of_rows(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile);

/* The inverse: 64 packed rows of a tile. */
typedef void zml_rows_of_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *rows);

/* Rows at..at+count-1 of a tile whose bits are zero there get rows rows[0..count-1] of another tile. */
typedef void zml_take_rows(const uint8_t *tile, int width, size_t padded_columns, const uint8_t *rows, int count,
                           int at, uint8_t *out);

/* Columns at..at+count-1 of a tile whose bits are zero there get columns[0..count-1] of another tile, of any width. */
typedef void zml_take_columns(const uint8_t *tile, int width, const int64_t *columns, size_t count, size_t at,
                              uint8_t *out);

/* counts[column][code] += how many rows of whole tiles have the code, 2^width codes, for the columns of some groups. */
typedef void zml_count_tiles(const uint8_t *const *tiles, size_t n_tiles, int width, size_t first_group,
                             size_t last_group, uint64_t *counts);

/* Adds up the codes of every column of whole tiles of 8 bits, and their squares. */
typedef void zml_sum_bytes(const uint8_t *tiles, size_t n_tiles, size_t padded_columns, uint64_t *sum,
                           uint64_t *square);

/* A tile whose 64 rows are fields of 1, 2 or 4 bits that are codes; NULL stands for rows that are missing. `next` are
 * rows of the next tile, which are fetched meanwhile. */
typedef struct {
  size_t n_columns;
  int width, high_first;
} zml_fields;
typedef void zml_tile_of_fields(const uint8_t *const *rows, const uint8_t *const *next, const zml_fields *fields,
                                uint8_t *tile);

/* Keyed pseudo-random permutation of 0..n-1: images of first..first+count-1, and what others are images of. */
typedef void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image);
typedef void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source);

typedef struct zml_encoding {
  zml_range_f32 *range_f32;
  zml_range_f64 *range_f64;
  zml_range_u8 *range_u8;
  zml_range_u16 *range_u16;
  zml_optimal_levels *optimal_levels;
  zml_column_levels *column_levels;
  zml_gather_f32 *gather_f32;
  zml_gather_f64 *gather_f64;
  zml_encode_f32 *encode_f32;
  zml_encode_f64 *encode_f64;
  zml_find_ends *find_ends;
  zml_contents_f32 *contents_f32;
  zml_contents_f64 *contents_f64;
  zml_requantize *requantize;
  zml_tile_of_rows *tile_of_rows;
  zml_rows_of_tile *rows_of_tile;
  zml_take_rows *take_rows;
  zml_take_columns *take_columns;
  zml_encode_u8 *encode_u8, *encode_pairs;
  zml_encode_u16 *encode_u16;
  zml_fields_of_u8 *fields_of_u8;
  zml_fields_of_u16 *fields_of_u16;
  zml_encode_fields *encode_fields;
  zml_widen_f16 *widen_f16;
  zml_count_tiles *count_tiles;
  zml_sum_bytes *sum_bytes;
  zml_tile_of_fields *tile_of_fields;
  zml_permute *permute;
  zml_permute_back *permute_back;
} zml_encoding;

extern const zml_encoding zml_encoding_avx512, zml_encoding_avx2, zml_encoding_neon, zml_encoding_portable;

/* What of the values that zml_find_ends found lies beyond the levels: entries (tile * n_blocks + block) << 32 |
 * place << 16 | difference, see format/outliers.h; row i has the slot slots[i]. A difference is a whole number of
 * steps, stochastically rounded, unbiased unless it is more than ZML_MOST_DIFFERENCE; the squared errors are added to
 * those of the column and, with the weight of a tally, of the code. */
typedef struct {
  const double *offset, *inverse; /* of a step */
  const uint8_t *top;
  const uint16_t *used; /* levels */
  uint64_t seed;
  size_t n_blocks;
  int width;
  const zml_codebook *dithered; /* some of whose columns have known dither; else NULL */
} zml_outlier_map;
typedef struct {
  const uint64_t *found;
  size_t n;
  const uint64_t *contents;
  const int64_t *slots;
} zml_found;
size_t zml_outliers_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, const zml_outlier_map *map,
                        const zml_found *values, const zml_moments *moments, uint64_t weight, uint64_t *entries);
size_t zml_outliers_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, const zml_outlier_map *map,
                        const zml_found *values, const zml_moments *moments, uint64_t weight, uint64_t *entries);

void zml_add_lanes(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments);
void zml_add_tallies(const zml_codebook *book, const zml_workspace *work, uint64_t weight, const zml_moments *moments);

/* Stored grid positions (the decode table applied) of the rows of one tile, [row][column]. */
void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                     size_t n_rows);

/* Codes of one tile, one byte each, [row][column]. */
void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes);

#endif
