/* What the parts of the encoder share: an <isa>.c includes it first, then defines what it has of its own, then
 * includes encode-inl.h. ZML_TARGET is the instruction set. */
#ifndef ZML_ENCODE_PARTS_H
#define ZML_ENCODE_PARTS_H

#include <math.h>
#include <string.h>

#include "format/compiler.h"
#include "encoding/encode.h"
#include "format/dither.h"
#include "format/levels.h"
#include "format/permute.h"
#include "format/rng.h"
#include "format/rows.h"
#include "format/tile.h"

enum { WORDS = 16, PLANES = 4, BLOCK_ROWS = ZML_BLOCK_TILES * ZML_TILE_ROWS };

/* Keeps compilers from unrolling a loop over words before they see that it is one vector. */
#if defined(__GNUC__)
#define ZML_WORDS(l) _Pragma("GCC unroll 1") for (size_t l = 0; l < WORDS; l++)
#define ZML_PLANES(p) _Pragma("GCC unroll 4") for (int p = 0; p < PLANES; p++)
#define ZML_ALIGNED __attribute__((aligned(64)))
#else
#define ZML_WORDS(l) for (size_t l = 0; l < WORDS; l++)
#define ZML_PLANES(p) for (int p = 0; p < PLANES; p++)
#define ZML_ALIGNED
#endif

/* One layer of the search for levels, see optimal-inl.h. With c, s, r the count, sum and sum of squares of the values
 * below a position, the best cost of level q after level p, before[p] + (p + q)(s[q] - s[p]) - p q (c[q] - c[p]) -
 * (r[q] - r[p]), is fixed[p] + p * slope(q) + q * tilt[p] and a constant of q. */
enum { MAX_POSITIONS = 256, LEVEL_LANES = 8 };
typedef struct {
  const double *position, *count, *sum, *square;
  double fixed[MAX_POSITIONS], tilt[MAX_POSITIONS];
  const uint8_t *floor; /* choices with one level less: a lower bound */
  double *cost;
  uint8_t *choice;
} Layer;

/* Sums of a row's coordinates times the multipliers of the columns, signed 16-bit numbers, modulo 2^32. */
typedef struct {
  ZML_ALIGNED uint32_t sum[2][ZML_TILE_ROWS];
} Content;

#define DEFINE_COORDINATE(suffix, real, magic)                                                                         \
  ZML_TARGET_INLINE uint32_t coordinate_##suffix(real value, real offset, real scale, real top) {                      \
    real t = (value - offset) * scale;                                                                                 \
    t = t > 0 ? t : 0;                                                                                                 \
    t = t < top ? t : top;                                                                                             \
    return (uint32_t)(int32_t)((t + magic) - magic);                                                                   \
  }
DEFINE_COORDINATE(f32, float, 0x1.8p23f)
DEFINE_COORDINATE(f64, double, 0x1.8p52)

/* Four words of a row's key, what its draws come from; in the order of rows, unless an instruction set has its own. */
typedef struct {
  ZML_ALIGNED uint16_t word[4][ZML_TILE_ROWS];
} Keys;

/* Requantizing: keys of 64 random bytes in every column, four to a draw. The multipliers are odd. */
typedef struct {
  ZML_ALIGNED uint32_t word[WORDS], multiplier[WORDS];
} ByteKeys;

/* Tiles that are requantized together, the numbers of the first ones being multiples of REQUANTIZE_TILES, with the keys
 * of their rows and of the 256 codes. AHEAD_GROUPS column groups are fetched ahead. */
enum { REQUANTIZE_TILES = ZML_REQUANTIZE_TILES, AHEAD_GROUPS = 2 };
typedef struct {
  size_t n_tiles;
  ByteKeys rows[REQUANTIZE_TILES], codes[4];
} RequantizeBlock;

/* Sums of new positions, of their squares and of their squared distances from the old ones. */
typedef struct {
  uint64_t sum, square, error;
} RequantizeSums;

/* Which of the 64 rows of a tile become rows at..end-1 of another one: row i is row from[i]. */
typedef struct {
  ZML_ALIGNED uint32_t from[ZML_TILE_ROWS];
  int at, end;
} Taking;

/* Up to ZML_BLOCK_TILES tiles on their way to codes. While their columns are rounded the values of the next ones are
 * fetched: a share of them with every column. */
typedef struct {
  const zml_codebook *book;
  const zml_workspace *work;
  size_t n_tiles, n_rows;
  int tally;
  const char *ahead;
  ptrdiff_t ahead_stride; /* from one column's share to the next one's */
  size_t ahead_bytes;
  Keys keys[ZML_BLOCK_TILES];
} Batch;

/* Outliers: words of a tile's rows hold the coordinates of a pair of columns; halves are looked at in the order of
 * memory. Those at an end are not among the `size` + 1 from `least` on. */
enum { HALVES = 2 * ZML_TILE_ROWS };
typedef struct {
  ZML_ALIGNED uint16_t least[WORDS * 2], size[WORDS * 2];
} Ends;

/* The bits of a row's last byte that are fields. */
ZML_TARGET_INLINE uint8_t mask_of_last(size_t n_columns, int width, int high_first) {
  const int free = (int)(8 - n_columns * (size_t)width % 8) % 8;
  return (uint8_t)(high_first ? 255 << free : 255 >> free);
}

/* Rows on the grid that the permutation of rows is on. */
enum { ORDER_LANES = 32 };

typedef struct {
  ZML_ALIGNED uint64_t left[ORDER_LANES], right[ORDER_LANES];
} Points;

/* Coordinates of a tile's pairs of columns. */
ZML_TARGET_INLINE uint32_t *pairs_of(const Batch *batch, size_t tile) {
  return batch->work->coordinates + tile * zml_padded_columns(batch->book->n_columns) / 2 * ZML_TILE_ROWS;
}

#endif
