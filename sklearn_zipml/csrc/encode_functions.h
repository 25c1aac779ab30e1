/* The encoder: values -> grid coordinates -> stochastically rounded codes -> packed rows (ZipML, section 2).
 *
 * Plain C that compilers vectorize; every encode_*.c includes this file and so compiles it for its own instruction set,
 * ZML_TARGET. It may bring its own lookup_256, lookup_16 and transpose (defined as macros of the same name), which
 * compilers do not find.
 *
 * 64 rows are taken at a time. A column of them is 16 words of 32 bits, byte p of word l being row 16 * p + l, as in a
 * tile; what does not fit a byte is 64 words in the order of rows. */
#include <string.h>

#include "compiler.h"
#include "encode.h"
#include "levels.h"
#include "rng.h"
#include "rows.h"
#include "tile.h"

#define STEP ZML_INLINE ZML_TARGET

enum { WORDS = 16, PLANES = 4 };

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

#ifndef lookup_256
STEP void lookup_256(const uint8_t *table, const uint32_t *index, uint32_t *found) {
  const uint8_t *from = (const uint8_t *)index;
  uint8_t *to = (uint8_t *)found;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    to[i] = table[from[i]];
}
#endif

/* Indices up to 15. */
#ifndef lookup_16
#define lookup_16 lookup_256
#endif

/* to[column * stride + row] = from[row][column] */
#ifndef transpose
STEP void transpose(const uint32_t (*from)[WORDS], uint32_t *to, size_t stride) {
  for (size_t j = 0; j < WORDS; j++)
    for (size_t i = 0; i < WORDS; i++)
      to[j * stride + i] = from[i][j];
}
#endif

/* Range */

#define DEFINE_RANGE(name, real)                                                                                       \
  ZML_TARGET static int name##_of_rows(const real *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,           \
                                       real *restrict low, real *restrict high) {                                      \
    int bad = 0;                                                                                                       \
    for (size_t i = 0; i < n_rows; i++) {                                                                              \
      const real *row = block + (ptrdiff_t)i * stride;                                                                 \
      for (size_t j = 0; j < n_columns; j++) {                                                                         \
        const real value = row[j];                                                                                     \
        low[j] = value < low[j] ? value : low[j];                                                                      \
        high[j] = value > high[j] ? value : high[j];                                                                   \
        bad |= !(value - value == 0);                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    return bad;                                                                                                        \
  }                                                                                                                    \
  ZML_TARGET static int name##_of_column(const real *column, size_t n_rows, real *low, real *high) {                   \
    real least[WORDS], most[WORDS];                                                                                    \
    int bad[WORDS] = {0}, any = 0;                                                                                     \
    size_t i = 0;                                                                                                      \
    ZML_WORDS(l)                                                                                                       \
    least[l] = *low, most[l] = *high;                                                                                  \
    for (; i + WORDS <= n_rows; i += WORDS)                                                                            \
      ZML_WORDS(l) {                                                                                                   \
        const real value = column[i + l];                                                                              \
        least[l] = value < least[l] ? value : least[l];                                                                \
        most[l] = value > most[l] ? value : most[l];                                                                   \
        bad[l] |= !(value - value == 0);                                                                               \
      }                                                                                                                \
    for (; i < n_rows; i++) {                                                                                          \
      const real value = column[i];                                                                                    \
      least[0] = value < least[0] ? value : least[0];                                                                  \
      most[0] = value > most[0] ? value : most[0];                                                                     \
      any |= !(value - value == 0);                                                                                    \
    }                                                                                                                  \
    for (int l = 0; l < WORDS; l++) {                                                                                  \
      *low = least[l] < *low ? least[l] : *low;                                                                        \
      *high = most[l] > *high ? most[l] : *high;                                                                       \
      any |= bad[l];                                                                                                   \
    }                                                                                                                  \
    return any;                                                                                                        \
  }                                                                                                                    \
  ZML_TARGET static int name(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,          \
                             size_t n_columns, real *low, real *high) {                                                \
    if (column_stride == 1)                                                                                            \
      return name##_of_rows(block, row_stride, n_rows, n_columns, low, high);                                          \
    int bad = 0;                                                                                                       \
    for (size_t j = 0; j < n_columns; j++)                                                                             \
      bad |= name##_of_column(block + (ptrdiff_t)j * column_stride, n_rows, low + j, high + j);                        \
    return bad;                                                                                                        \
  }
DEFINE_RANGE(range_f32, float)
DEFINE_RANGE(range_f64, double)

/* Grid coordinates, [column][64], of missing rows 0. The arithmetic is the block's own, so float32 rows cost float32
 * work; adding and taking away `magic`, which leaves no bits for a fraction, rounds to nearest, ties to even. */

#define DEFINE_COORDINATES(suffix, real, magic)                                                                        \
  STEP uint32_t coordinate_##suffix(real value, real offset, real scale, real top) {                                   \
    real t = (value - offset) * scale;                                                                                 \
    t = t > 0 ? t : 0;                                                                                                 \
    t = t < top ? t : top;                                                                                             \
    return (uint32_t)(int32_t)((t + magic) - magic);                                                                   \
  }                                                                                                                    \
  STEP void coordinates_of_rows_##suffix(const real *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,         \
                                         const zml_affine_##suffix *affine, uint32_t *coordinates) {                   \
    /* the rows of the next tile are fetched one after the other, as memory likes it */                                \
    const size_t blocks = (n_columns + WORDS - 1) / WORDS;                                                             \
    const real *ahead = block + ZML_TILE_ROWS * stride;                                                                \
    size_t fetched = 0;                                                                                                \
    for (size_t j = 0; j < n_columns; j += WORDS) {                                                                    \
      const size_t columns = n_columns - j < WORDS ? n_columns - j : WORDS;                                            \
      const real *offset = affine->offset + j, *scale = affine->scale + j, *top = affine->top + j;                     \
      for (size_t first = 0; first < ZML_TILE_ROWS; first += WORDS) {                                                  \
        ZML_ALIGNED uint32_t square[WORDS][WORDS];                                                                     \
        for (size_t i = 0; i < WORDS; i++) {                                                                           \
          const real *row = block + (ptrdiff_t)(first + i) * stride + j;                                               \
          real padded[WORDS] = {0};                                                                                    \
          if (first + i >= n_rows) {                                                                                   \
            memset(square[i], 0, sizeof square[i]);                                                                    \
            continue;                                                                                                  \
          }                                                                                                            \
          ZML_PREFETCH(ahead + WORDS * fetched);                                                                       \
          if (sizeof(real) > 4)                                                                                        \
            ZML_PREFETCH(ahead + WORDS * fetched + WORDS / 2);                                                         \
          if (++fetched == blocks) {                                                                                   \
            fetched = 0;                                                                                               \
            ahead += stride;                                                                                           \
          }                                                                                                            \
          if (columns < WORDS) {                                                                                       \
            memcpy(padded, row, columns * sizeof *row);                                                                \
            row = padded;                                                                                              \
          }                                                                                                            \
          ZML_WORDS(l)                                                                                                 \
          square[i][l] = coordinate_##suffix(row[l], offset[l], scale[l], top[l]);                                     \
        }                                                                                                              \
        transpose(square, coordinates + j * ZML_TILE_ROWS + first, ZML_TILE_ROWS);                                     \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  STEP void coordinates_of_columns_##suffix(const real *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,      \
                                            const zml_affine_##suffix *affine, uint32_t *coordinates) {                \
    for (size_t j = 0; j < n_columns; j++) {                                                                           \
      const real *column = block + (ptrdiff_t)j * stride, offset = affine->offset[j], scale = affine->scale[j];        \
      const real top = affine->top[j];                                                                                 \
      uint32_t *to = coordinates + j * ZML_TILE_ROWS;                                                                  \
      size_t i = 0;                                                                                                    \
      for (; i + WORDS <= n_rows; i += WORDS) {                                                                        \
        ZML_PREFETCH(column + i + ZML_TILE_ROWS);                                                                      \
        ZML_WORDS(l)                                                                                                   \
        to[i + l] = coordinate_##suffix(column[i + l], offset, scale, top);                                            \
      }                                                                                                                \
      for (; i < n_rows; i++)                                                                                          \
        to[i] = coordinate_##suffix(column[i], offset, scale, top);                                                    \
      for (; i < ZML_TILE_ROWS; i++)                                                                                   \
        to[i] = 0;                                                                                                     \
    }                                                                                                                  \
  }
DEFINE_COORDINATES(f32, float, 0x1.8p23f)
DEFINE_COORDINATES(f64, double, 0x1.8p52)

/* Keys */

/* content[row] = sum over columns of coordinate * (key | 1) */
#ifndef add_products
STEP void add_products(const uint32_t *coordinates, const uint32_t *keys, size_t n_columns, uint64_t *content) {
  memset(content, 0, ZML_TILE_ROWS * sizeof *content);
  for (size_t j = 0; j < n_columns; j++)
    for (size_t i = 0; i < ZML_TILE_ROWS; i++)
      content[i] += (uint64_t)coordinates[j * ZML_TILE_ROWS + i] * (keys[j] | 1);
}
#endif

/* Keys of 64 rows, as halves: a row's draws are keyed by its content, so that it gets the same codes wherever it
 * stands. The hash is a sum over columns. */
ZML_TARGET static void keys_of_rows(const uint32_t *coordinates, const zml_codebook *book, uint32_t *low,
                                    uint32_t *high) {
  uint64_t content[ZML_TILE_ROWS];
  add_products(coordinates, book->keys, book->n_columns, content);
  const uint64_t seed = zml_mix64(book->seed);
  for (size_t i = 0; i < ZML_TILE_ROWS; i++) {
    const uint64_t key = zml_mix64(content[i] ^ seed);
    low[i] = (uint32_t)key;
    high[i] = (uint32_t)(key >> 32);
  }
}

/* Rounding */

/* One draw is enough for the two columns of a pair: each takes 16 bits of it, the lowest one set, so that the odds of
 * going up are rounded to nearest. random2 is the second draw of ZML_DOUBLE. */
#ifndef draw_pair
STEP void draw_pair(const uint32_t *low, const uint32_t *high, uint32_t key, zml_sampling sampling, uint32_t *random,
                    uint32_t *random2) {
  for (size_t i = 0; i < ZML_TILE_ROWS; i++) {
    const uint32_t bits = zml_draw((uint64_t)high[i] << 32 | low[i], key);
    random[i] = bits | 0x00010001;
    if (sampling == ZML_DOUBLE)
      random2[i] = zml_redraw(bits) | 0x00010001;
  }
}
#endif

/* 1 with probability above / gap; both products fit 32 bits. */
STEP uint32_t goes_up(uint32_t random, int upper, uint32_t gap, uint32_t above) {
  return (upper ? random >> 16 : random & 0xffff) * gap < above << (16 - ZML_GRID_SHIFT);
}

/* In 1/65536 of a squared step. Its mean is the rounding variance; the noise that was really drawn is subtracted rather
 * than its expectation, because then the fluctuation of the diagonal goes too. */
STEP uint32_t squared(int32_t error) {
  const uint32_t size = ((uint32_t)(error < 0 ? -error : error) + 8) >> (ZML_GRID_SHIFT - 8);
  return size * size;
}

/* How many of book->n_draws draws of every row go up; the bits of a draw make those of the next one. */
STEP void count_ups(const uint32_t *t, const uint32_t *first, int upper, const zml_codebook *book,
                    const uint32_t *below, const uint32_t *gap, uint32_t *ups) {
  ZML_ALIGNED uint32_t bits[WORDS], g[WORDS], above[WORDS];
  for (int p = 0; p < PLANES; p++) {
    uint32_t *up = ups + WORDS * p;
    ZML_WORDS(l) {
      bits[l] = first[WORDS * p + l];
      g[l] = gap[l] >> 8 * p & 255;
      above[l] = t[WORDS * p + l] - ((below[l] >> 8 * p & 255) << ZML_GRID_SHIFT);
      up[l] = 0;
    }
    for (uint32_t draw = 0; draw < book->n_draws; draw++)
      ZML_WORDS(l) {
        up[l] += goes_up(bits[l] | 0x00010001, upper, g[l], above[l]);
        bits[l] = zml_redraw(bits[l]);
      }
  }
}

/* Codes of 64 rows of one column. With few levels (up to 16), noise is each row's own; with more the sums go to
 * `lanes`, the error in two halves. */
STEP void round_any_column(const uint32_t *t, const uint32_t *random, const uint32_t *random2, int upper,
                           const zml_codebook *book, size_t column, zml_sampling sampling, int few, uint32_t *codes,
                           uint32_t *noise, zml_lanes *lanes) {
  ZML_ALIGNED uint32_t cell[WORDS], index[WORDS], below[WORDS], gap[WORDS], ups[WORDS], drawn[ZML_TILE_ROWS];
  const uint32_t n_draws = sampling == ZML_DRAWS ? book->n_draws : sampling == ZML_DOUBLE ? 2 : 1;
  const uint32_t share = (65535 + n_draws) / n_draws; /* gap * share >> 16 is gap / n_draws, gaps being multiples */
  ZML_WORDS(l)
  cell[l] = t[l] >> 12 | (t[WORDS + l] >> 12) << 8 | (t[2 * WORDS + l] >> 12) << 16 | (t[3 * WORDS + l] >> 12) << 24;
  if (few) {
    const uint8_t *levels = book->levels + ZML_MAX_CODES * column;
    lookup_256(book->interval + 256 * column, cell, index);
    ZML_WORDS(l)
    ups[l] = index[l] + 0x01010101;
    lookup_16(levels, index, below);
    lookup_16(levels, ups, gap);
    ZML_WORDS(l)
    gap[l] -= below[l];
  } else {
    lookup_256(book->below + 256 * column, cell, below);
    lookup_256(book->gap + 256 * column, cell, gap);
  }
  if (sampling == ZML_DRAWS)
    count_ups(t, random, upper, book, below, gap, drawn);
  ZML_WORDS(l)
  ups[l] = 0;
  ZML_PLANES(p)
  ZML_WORDS(l) {
    const size_t i = (size_t)(WORDS * p) + l;
    const uint32_t low = below[l] >> 8 * p & 255, g = gap[l] >> 8 * p & 255, above = t[i] - (low << ZML_GRID_SHIFT);
    uint32_t up =
        sampling == ZML_NEAREST ? (2 * above >= g << ZML_GRID_SHIFT) & (g > 0) : goes_up(random[i], upper, g, above);
    if (sampling == ZML_DOUBLE)
      up += goes_up(random2[i], upper, g, above);
    if (sampling == ZML_DRAWS)
      up = drawn[i];
    const uint32_t rise = up * (g * share >> 16);
    const uint32_t error = sampling == ZML_COMPENSATED || sampling == ZML_DOUBLE || sampling == ZML_DRAWS
                               ? squared((int32_t)(rise << ZML_GRID_SHIFT) - (int32_t)above)
                               : 0;
    if (few) {
      ups[l] |= up << 8 * p;
      noise[i] = error;
    } else {
      const uint32_t position = low + rise;
      ups[l] |= position << 8 * p;
      lanes->sum[l] += position;
      lanes->square[l] += position * position;
      lanes->noise[l] += error & 0xffff;
      lanes->more_noise[l] += error >> 16;
    }
  }
  ZML_WORDS(l)
  codes[l] = few ? n_draws * index[l] + ups[l] : ups[l];
}
#ifndef round_column
#define round_column round_any_column
#endif

/* Bytes [column][plane] of four columns' words to [plane][column], or back. */
STEP void swap_bytes(const uint32_t (*from)[WORDS], uint32_t (*to)[WORDS]) {
  ZML_WORDS(l) {
    const uint32_t even = (from[0][l] & 0x00ff00ff) | (from[1][l] & 0x00ff00ff) << 8;
    const uint32_t odd = (from[0][l] >> 8 & 0x00ff00ff) | (from[1][l] & 0xff00ff00);
    const uint32_t even2 = (from[2][l] & 0x00ff00ff) | (from[3][l] & 0x00ff00ff) << 8;
    const uint32_t odd2 = (from[2][l] >> 8 & 0x00ff00ff) | (from[3][l] & 0xff00ff00);
    to[0][l] = (even & 0xffff) | even2 << 16;
    to[1][l] = (odd & 0xffff) | odd2 << 16;
    to[2][l] = even >> 16 | (even2 & 0xffff0000);
    to[3][l] = odd >> 16 | (odd2 & 0xffff0000);
  }
}

/* Counts rows and errors by code, four columns in turn: one would wait for its own sums. */
STEP void tally(const uint32_t (*codes)[WORDS], const uint32_t (*noise)[ZML_TILE_ROWS], uint64_t *tallies) {
  const uint8_t *code = (const uint8_t *)codes;
  for (size_t l = 0; l < WORDS; l++)
    for (size_t p = 0; p < PLANES; p++)
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
        tallies[c * ZML_MAX_CODES + code[c * ZML_TILE_ROWS + 4 * l + p]] += ZML_HIT + noise[c][WORDS * p + l];
}

typedef struct {
  ZML_ALIGNED uint32_t low[ZML_TILE_ROWS];
  ZML_ALIGNED uint32_t high[ZML_TILE_ROWS];
} Keys;

/* Codes of a column group as words of rows, [plane][row of the plane]. */
STEP void round_group(size_t group, const Keys *keys, const zml_codebook *book, const zml_workspace *work,
                      zml_sampling sampling, int few, uint32_t (*words)[WORDS]) {
  ZML_ALIGNED uint32_t codes[ZML_GROUP_COLUMNS][WORDS], noise[ZML_GROUP_COLUMNS][ZML_TILE_ROWS];
  ZML_ALIGNED uint32_t random[ZML_TILE_ROWS], random2[ZML_TILE_ROWS];
  for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
    const size_t j = group * ZML_GROUP_COLUMNS + c;
    if (sampling == ZML_DRAWS) {
      if (c % 2 == 0)
        for (size_t i = 0; i < ZML_TILE_ROWS; i++)
          random[i] = zml_draw((uint64_t)keys->high[i] << 32 | keys->low[i], book->keys[j / 2]);
      round_any_column(work->coordinates + j * ZML_TILE_ROWS, random, random, c % 2, book, j, sampling, few, codes[c],
                       noise[c], (zml_lanes *)work->tallies + j);
      continue;
    }
    if (sampling != ZML_NEAREST && c % 2 == 0)
      draw_pair(keys->low, keys->high, book->keys[j / 2], sampling, random, random2);
    round_column(work->coordinates + j * ZML_TILE_ROWS, random, random2, c % 2, book, j, sampling, few, codes[c],
                 noise[c], (zml_lanes *)work->tallies + j);
  }
  if (few)
    tally(codes, noise, (uint64_t *)work->tallies + group * ZML_GROUP_COLUMNS * ZML_MAX_CODES);
  swap_bytes(codes, words);
}

/* Words of packed rows out of those of column groups: group k of a word goes to bit field k. */
STEP void encode_groups(const Keys *keys, const zml_codebook *book, const zml_workspace *work, size_t n_rows,
                        uint8_t *const *rows, zml_sampling sampling, int width) {
  const size_t groups = zml_padded_columns(book->n_columns) / ZML_GROUP_COLUMNS, fields = 8 / (size_t)width;
  for (size_t group = 0; group < groups; group += fields) {
    ZML_ALIGNED uint32_t packed[PLANES][WORDS], words[PLANES][WORDS];
    const size_t count = groups - group < fields ? groups - group : fields;
    for (size_t k = 0; k < count; k++) {
      round_group(group + k, keys, book, work, sampling, width < 8, words);
      ZML_PLANES(p)
      ZML_WORDS(l)
      packed[p][l] = (k ? packed[p][l] : 0) | words[p][l] << (k * (size_t)width);
    }
    const uint32_t *word = packed[0];
    for (size_t i = 0; i < n_rows; i++)
      zml_store_word(rows[i], group / fields, word[i], count == fields);
  }
}

#define ENCODE_AS(sampling)                                                                                            \
  switch (book->width) {                                                                                               \
  case 1:                                                                                                              \
    encode_groups(&keys, book, work, n_rows, rows, sampling, 1);                                                       \
    break;                                                                                                             \
  case 2:                                                                                                              \
    encode_groups(&keys, book, work, n_rows, rows, sampling, 2);                                                       \
    break;                                                                                                             \
  case 4:                                                                                                              \
    encode_groups(&keys, book, work, n_rows, rows, sampling, 4);                                                       \
    break;                                                                                                             \
  default:                                                                                                             \
    encode_groups(&keys, book, work, n_rows, rows, sampling, 8);                                                       \
  }

ZML_TARGET static void encode_coordinates(size_t n_rows, const zml_codebook *book, const zml_workspace *work,
                                          uint8_t *const *rows) {
  Keys keys;
  const size_t row_bytes = zml_row_bytes(zml_padded_columns(book->n_columns), book->width);
  for (size_t i = 0; i < n_rows; i++)
    for (size_t k = 0; k < row_bytes; k += ZML_LINE)
      ZML_PREFETCH_TO_WRITE(rows[i] + k);
  keys_of_rows(work->coordinates, book, keys.low, keys.high);
  switch (book->sampling) {
  case ZML_NAIVE:
    ENCODE_AS(ZML_NAIVE)
    break;
  case ZML_NEAREST:
    ENCODE_AS(ZML_NEAREST)
    break;
  case ZML_DOUBLE:
    ENCODE_AS(ZML_DOUBLE)
    break;
  case ZML_COMPENSATED:
    ENCODE_AS(ZML_COMPENSATED)
    break;
  case ZML_DRAWS:
    ENCODE_AS(ZML_DRAWS)
    break;
  }
  /* missing rows are at the first level, position 0, without error: only the hits count them */
  if (book->width < 8)
    for (size_t j = 0; j < book->n_columns; j++)
      ((uint64_t *)work->tallies)[j * ZML_MAX_CODES] -= ZML_HIT * (ZML_TILE_ROWS - n_rows);
}

#define DEFINE_ENCODE(suffix, real)                                                                                    \
  ZML_TARGET static void encode_##suffix(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,             \
                                         size_t n_rows, const zml_codebook *book, const zml_affine_##suffix *affine,   \
                                         const zml_workspace *work, uint8_t *const *rows) {                            \
    if (column_stride == 1)                                                                                            \
      coordinates_of_rows_##suffix(block, row_stride, n_rows, book->n_columns, affine, work->coordinates);             \
    else                                                                                                               \
      coordinates_of_columns_##suffix(block, column_stride, n_rows, book->n_columns, affine, work->coordinates);       \
    encode_coordinates(n_rows, book, work, rows);                                                                      \
  }
DEFINE_ENCODE(f32, float)
DEFINE_ENCODE(f64, double)

/* Narrowing */

enum { BLOCK_TILES = 8 }; /* tiles that a column's tables are used for in a row */

/* Rows of a container have a number each, which their draws are keyed by: few codes make many equal rows, and keyed by
 * content those would share their noise. */
STEP void draw_lanes(const zml_lane_keys *keys, uint32_t key, uint32_t *random) {
  ZML_WORDS(l)
  random[l] = zml_draw((uint64_t)keys->high[l] << 32 | keys->low[l], key);
}

STEP void lookup(const uint8_t *table, const uint32_t *codes, int bytes, uint32_t *found) {
  if (bytes)
    lookup_256(table, codes, found);
  else
    lookup_16(table, codes, found);
}

/* Bytes that are 1 where a 16-bit random number, given by its bytes, is below the odds of a code. */
STEP void below_odds(const uint32_t *codes, const uint8_t *odds, const uint32_t *upper, const uint32_t *lower, int from,
                     uint32_t *up) {
  ZML_ALIGNED uint32_t high[WORDS], low[WORDS];
  lookup(odds, codes, from, high);
  lookup(odds + 256, codes, from, low);
  const uint8_t *h = (const uint8_t *)high, *w = (const uint8_t *)low, *u = (const uint8_t *)upper,
                *v = (const uint8_t *)lower;
  uint8_t *out = (uint8_t *)up;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    out[i] = (u[i] < h[i]) | ((u[i] == h[i]) & (v[i] < w[i]));
}

STEP uint64_t sum_of(const uint32_t *lane) {
  uint64_t sum = 0;
  for (int l = 0; l < WORDS; l++)
    sum += lane[l];
  return sum;
}

STEP void add_moments(const uint32_t *before, const uint32_t *after, zml_narrowing_sums *sums) {
  ZML_PLANES(p)
  ZML_WORDS(l) {
    const uint32_t now = after[l] >> 8 * p & 255, difference = now - (before[l] >> 8 * p & 255);
    sums->sum[l] += now;
    sums->square[l] += now * now;
    sums->error[l] += difference * difference;
  }
}

#ifndef narrow_column
/* One column of a tile; from and to are whether codes are bytes, pairs whether there is a second draw. */
STEP void narrow_column(const zml_narrowing *plan, size_t j, const uint32_t *column_keys, const zml_lane_keys *keys,
                        const uint32_t *codes, int from, int to, int pairs, uint32_t *narrowed,
                        zml_narrowing_sums *sums) {
  ZML_ALIGNED uint32_t upper[WORDS], lower[WORDS], up[WORDS], rise[WORDS], before[WORDS], after[WORDS];
  lookup(plan->base + 256 * j, codes, from, narrowed);
  for (int draw = 0; draw <= pairs; draw++) {
    draw_lanes(keys, column_keys[2 * draw], upper);
    draw_lanes(keys, column_keys[2 * draw + 1], lower);
    below_odds(codes, (draw ? plan->odds2 : plan->odds) + 512 * j, upper, lower, from, up);
    if (to) {
      uint8_t *bytes = (uint8_t *)up;
      const uint8_t *steps = (const uint8_t *)rise;
      lookup((draw ? plan->rise2 : plan->rise) + 256 * j, codes, from, rise);
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        bytes[i] = (uint8_t)(bytes[i] * steps[i]);
    }
    ZML_WORDS(l)
    narrowed[l] += up[l];
  }
  if (!from)
    lookup_16(plan->before + 256 * j, codes, before);
  if (!to)
    lookup_16(plan->after + ZML_MAX_CODES * j, narrowed, after);
  add_moments(from ? codes : before, to ? narrowed : after, sums);
}
#endif

STEP void narrow_group(const uint8_t *source, uint8_t *tile, size_t group, const zml_narrowing *plan,
                       const uint32_t (*column_keys)[4], const zml_lane_keys *keys, int from, int to, int pairs,
                       zml_narrowing_sums *sums) {
  ZML_ALIGNED uint32_t planes[PLANES][WORDS], codes[ZML_GROUP_COLUMNS][WORDS], narrowed[ZML_GROUP_COLUMNS][WORDS];
  const uint32_t mask = 0x01010101u * ((1u << plan->from) - 1);
  ZML_PLANES(p) {
    const int shift = zml_shift_of(group, p, plan->from);
    memcpy(planes[p], source + ZML_LINE * zml_line_of(group, p, plan->from), ZML_LINE);
    ZML_WORDS(l)
    planes[p][l] = planes[p][l] >> shift & mask;
  }
  swap_bytes(planes, codes);
  for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
    narrow_column(plan, group * ZML_GROUP_COLUMNS + c, column_keys[c], keys, codes[c], from, to, pairs, narrowed[c],
                  sums + c);
  swap_bytes(narrowed, planes);
  ZML_PLANES(p) {
    const int shift = zml_shift_of(group, p, plan->to);
    uint8_t *line = tile + ZML_LINE * zml_line_of(group, p, plan->to);
    if (shift) {
      memcpy(narrowed, line, ZML_LINE);
      ZML_WORDS(l)
      planes[p][l] = planes[p][l] << shift | narrowed[0][l];
    }
    memcpy(line, planes[p], ZML_LINE);
  }
}

STEP void narrow_as(const uint8_t *source, uint8_t *tiles, size_t n_tiles, uint64_t ordinal, const zml_narrowing *plan,
                    uint64_t *sum, uint64_t *square, uint64_t *error, int from, int to, int pairs) {
  const size_t size = zml_tile_bytes(plan->padded, plan->from), new_size = zml_tile_bytes(plan->padded, plan->to);
  zml_lane_keys keys[BLOCK_TILES];
  for (size_t first = 0; first < n_tiles; first += BLOCK_TILES) {
    const size_t count = n_tiles - first < BLOCK_TILES ? n_tiles - first : BLOCK_TILES;
    for (size_t t = 0; t < count; t++)
      for (uint64_t l = 0; l < WORDS; l++) {
        const uint64_t key = zml_mix64(zml_mix64(plan->seed) ^ zml_mix64((ordinal + first + t) * WORDS + l));
        keys[t].low[l] = (uint32_t)key;
        keys[t].high[l] = (uint32_t)(key >> 32);
      }
    for (size_t group = 0; group < plan->padded / ZML_GROUP_COLUMNS; group++) {
      uint32_t column_keys[ZML_GROUP_COLUMNS][4];
      zml_narrowing_sums sums[ZML_GROUP_COLUMNS];
      memset(sums, 0, sizeof sums);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
        for (size_t k = 0; k < 4; k++)
          column_keys[c][k] = zml_column_key(4 * (group * ZML_GROUP_COLUMNS + c) + k);
      for (size_t t = first; t < first + count; t++)
        narrow_group(source + t * size, tiles + t * new_size, group, plan, column_keys, &keys[t - first], from, to,
                     pairs, sums);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const size_t j = group * ZML_GROUP_COLUMNS + c;
        if (j >= plan->n_columns)
          break;
        sum[j] += sum_of(sums[c].sum);
        square[j] += sum_of(sums[c].square);
        error[j] += sum_of(sums[c].error);
      }
    }
  }
}

#define NARROW_AS(from, to, pairs) narrow_as(source, tiles, n_tiles, ordinal, plan, sum, square, error, from, to, pairs)

ZML_TARGET static void narrow(const uint8_t *source, uint8_t *tiles, size_t n_tiles, uint64_t ordinal,
                              const zml_narrowing *plan, uint64_t *sum, uint64_t *square, uint64_t *error) {
  if (plan->odds2) {
    if (plan->from < 8)
      NARROW_AS(0, 0, 1);
    else if (plan->to < 8)
      NARROW_AS(1, 0, 1);
    else
      NARROW_AS(1, 1, 1);
  } else {
    if (plan->from < 8)
      NARROW_AS(0, 0, 0);
    else if (plan->to < 8)
      NARROW_AS(1, 0, 0);
    else
      NARROW_AS(1, 1, 0);
  }
}

/* Tiles */

STEP void distribute_words(const uint32_t *words, size_t word, size_t groups, int plane, int width, uint8_t *tile) {
  const size_t fields = 8 / (size_t)width, first = word * fields;
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  for (size_t k = 0; k < fields && first + k < groups; k++) {
    const int shift = zml_shift_of(first + k, plane, width);
    uint8_t *line = tile + ZML_LINE * zml_line_of(first + k, plane, width);
    ZML_ALIGNED uint32_t lanes[WORDS];
    memcpy(lanes, line, sizeof lanes);
    ZML_WORDS(l)
    lanes[l] = (shift ? lanes[l] : 0) | (words[l] >> (k * (size_t)width) & mask) << shift;
    memcpy(line, lanes, sizeof lanes);
  }
}

STEP void tile_of_rows_as(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile) {
  const size_t groups = padded_columns / ZML_GROUP_COLUMNS, row_bytes = zml_row_bytes(padded_columns, width);
  const size_t n_words = row_bytes / 4;
  for (int plane = 0; plane < PLANES; plane++) {
    const uint8_t *first = rows + (size_t)(plane * ZML_PLANE_ROWS) * row_bytes;
    for (size_t word = 0; word < n_words; word += WORDS) {
      const size_t count = n_words - word < WORDS ? n_words - word : WORDS;
      ZML_ALIGNED uint32_t by_row[WORDS][WORDS], by_word[WORDS][WORDS];
      for (size_t i = 0; i < WORDS; i++) {
        if (count == WORDS)
          memcpy(by_row[i], first + i * row_bytes + 4 * word, sizeof by_row[i]);
        else
          memcpy(by_row[i], first + i * row_bytes + 4 * word, 4 * count);
      }
      transpose(by_row, by_word[0], WORDS);
      for (size_t k = 0; k < count; k++)
        distribute_words(by_word[k], word + k, groups, plane, width, tile);
    }
    if (row_bytes % 4) {
      uint32_t half[WORDS];
      for (size_t i = 0; i < WORDS; i++)
        half[i] = zml_split_word(first + i * row_bytes + 4 * n_words);
      distribute_words(half, n_words, groups, plane, width, tile);
    }
  }
}

ZML_TARGET static void tile_of_rows(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile) {
  switch (width) {
  case 1:
    tile_of_rows_as(rows, 1, padded_columns, tile);
    break;
  case 2:
    tile_of_rows_as(rows, 2, padded_columns, tile);
    break;
  case 4:
    tile_of_rows_as(rows, 4, padded_columns, tile);
    break;
  default:
    tile_of_rows_as(rows, 8, padded_columns, tile);
  }
}

/* A table of these functions. */
#define ZML_ENCODING                                                                                                   \
  .range_f32 = range_f32, .range_f64 = range_f64, .encode_f32 = encode_f32, .encode_f64 = encode_f64,                  \
  .narrow = narrow, .tile_of_rows = tile_of_rows
