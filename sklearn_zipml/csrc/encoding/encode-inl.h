/* The encoder: values -> grid coordinates -> stochastically rounded codes -> packed rows (ZipML, section 2).
 *
 * Plain C that compilers vectorize; every <isa>.c includes this file and so compiles it for its own instruction set,
 * ZML_TARGET. For what compilers do not find it may bring hooks, functions of its own that it defines before, each with
 * a macro of the same name:
 *
 *   lookup_256, lookup_16, transpose       below: bytes out of tables, squares of words
 *   KEY_PLACE, CODE_PLACE                  keys-inl.h: where a row's key and code stand
 *   round_column_as                        below: all of a column's rounding (with KEY_PLACE, CODE_PLACE)
 *   join_codes                             below: the words of rows out of codes (with CODE_PLACE)
 *   store_line (and lines_stored)          below: a whole line of a row to memory
 *   DEFINE_COORDINATES                     coordinates-inl.h: values to coordinates, the content of rows
 *   range_f32_of_rows                      range-inl.h: smallest and largest values
 *   best_before, or LEVEL_VECTOR bytes     optimal-inl.h: a step of the search for levels
 *   swap_bytes, requantize_column, join_planes requantize-inl.h: codes to fewer codes
 *   count_group                            tiles-inl.h: how often each code occurs
 *   take_words                             take-inl.h: words of some rows
 *   tile_of_fields_as                      fields-inl.h: a tile of rows of fields */
#include "encoding/parts.h"

/* Apart, for compilers that see both sides of it build vectors of the bytes one by one. */
#ifndef lookup_256
ZML_TARGET ZML_APART void lookup_256(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    found[i] = table[index[i]];
}
#endif

/* Indices up to 15. */
#ifndef lookup_16
#define lookup_16 lookup_256
#endif

/* to[column * to_stride + row] = from[row * stride + column], 16 of each; apart, for its moves take long to compile */
#ifndef transpose
ZML_TARGET ZML_APART void transpose(const uint32_t *from, size_t stride, uint32_t *to, size_t to_stride) {
#pragma GCC unroll 16
  for (size_t j = 0; j < WORDS; j++)
#pragma GCC unroll 16
    for (size_t i = 0; i < WORDS; i++)
      to[j * to_stride + i] = from[i * stride + j];
}
#endif

#include "encoding/coordinates-inl.h"
#include "encoding/levels-inl.h"
#include "encoding/range-inl.h"
#include "encoding/keys-inl.h"

/* Rounding */

/* 1 with probability above / gap, decided by 16 random bits, the lowest one set, so that the probability is
 * rounded to nearest. */
ZML_TARGET_INLINE void goes_up(const Batch *batch, size_t tile, size_t column, uint32_t draw, const uint16_t *above,
                               const uint8_t *gap, uint8_t *up) {
  const Keys *keys = &batch->keys[tile];
  const uint32_t key = draw < 2 ? batch->book->draw_keys[draw][column] : zml_draw_key((uint32_t)column, draw);
  const uint16_t *words = keys->word[2 + draw % 2];
  uint16_t bits[ZML_TILE_ROWS], share[ZML_TILE_ROWS];
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    bits[i] = zml_row_draw(keys->word[0][KEY_PLACE(i)], keys->word[1][KEY_PLACE(i)], words[KEY_PLACE(i)], key) | 1;
  /* apart from the comparison: compilers make shorter vectors of both together */
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    share[i] = (uint16_t)((uint32_t)bits[i] * gap[i] >> 8);
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    up[i] = share[i] < above[i];
}

/* The level below each coordinate and the gap above it, of one column; `few` levels are up to 16 and have numbers. */
ZML_TARGET_INLINE void levels_below(const zml_codebook *book, size_t j, int few, const uint8_t *cell, uint8_t *index,
                                    uint8_t *below, uint8_t *gap) {
  if (few) {
    lookup_256(book->interval + 256 * j, cell, index);
    lookup_16(book->levels + ZML_MAX_CODES * j, index, below);
    lookup_16(book->gaps + ZML_MAX_CODES * j, index, gap);
  } else {
    lookup_256(book->below + 256 * j, cell, below);
    lookup_256(book->gap + 256 * j, cell, gap);
  }
}

/* Adds the positions of a tile's codes and their squares to the sums of a column. */
ZML_TARGET_INLINE void add_positions(const zml_codebook *book, size_t j, int few, const uint8_t *code,
                                     zml_lanes *lanes) {
  ZML_ALIGNED uint8_t position[ZML_TILE_ROWS];
  if (few)
    lookup_16(book->positions + ZML_MAX_CODES * j, code, position);
  else
    memcpy(position, code, sizeof position);
  int32_t sum = 0, square = 0;
  for (int i = 0; i < ZML_TILE_ROWS; i++) {
    sum += position[i];
    square += position[i] * (position[i] - 128);
  }
  lanes->sum[0] += sum;
  lanes->square[0] += square;
}

/* Adds the squared errors of a tile to those of a column, and counts few codes. */
ZML_TARGET_INLINE void add_errors(const Batch *batch, size_t j, int few, const uint8_t *code, const int16_t *error,
                                  uint32_t (*hits)[ZML_MAX_CODES]) {
  uint64_t noise = 0;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    noise += (uint32_t)(error[i] * error[i]);
  batch->work->lanes[j].noise[0] += noise;
  if (few) /* four counts in turn: one would wait for itself */
#pragma GCC unroll 16
    for (int i = 0; i < ZML_TILE_ROWS; i += 4) {
      hits[0][code[i]]++;
      hits[1][code[i + 1]]++;
      hits[2][code[i + 2]]++;
      hits[3][code[i + 3]]++;
    }
  if (few && batch->tally)
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      batch->work->tallies[ZML_MAX_CODES * j + code[i]] += ZML_HIT + (uint32_t)(error[i] * error[i]);
}

/* Codes of one column of all tiles of a batch, and what is learnt from them; `few` levels are up to 16. */
ZML_TARGET_INLINE void round_any_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                                           uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  const int n_draws = sampling == ZML_DRAWS ? (int)book->n_draws : sampling == ZML_DOUBLE ? 2 : 1;
  zml_lanes *lanes = batch->work->lanes + j;
  uint32_t hits[4][ZML_MAX_CODES] = {{0}};
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
    ZML_ALIGNED uint8_t cell[ZML_TILE_ROWS], index[ZML_TILE_ROWS], below[ZML_TILE_ROWS], gap[ZML_TILE_ROWS],
        up[ZML_TILE_ROWS], up2[ZML_TILE_ROWS], code[ZML_TILE_ROWS];
    uint16_t above[ZML_TILE_ROWS];
    int16_t error[ZML_TILE_ROWS];
    const int shift = j % 2 ? 16 : 0;
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      cell[i] = (uint8_t)(pair[i] >> (shift + 8));
    levels_below(book, j, few, cell, index, below, gap);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      above[i] = (uint16_t)((pair[i] >> shift) - ((uint32_t)below[i] << 8));
    if (sampling == ZML_NEAREST)
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        up[i] = above[i] >= gap[i] << 7;
    else
      goes_up(batch, tile, j, 0, above, gap, up);
    for (int draw = 1; draw < n_draws; draw++) {
      goes_up(batch, tile, j, (uint32_t)draw, above, gap, up2);
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        up[i] += up2[i];
    }
    /* levels of several draws are a multiple of their number apart */
    for (int i = 0; i < ZML_TILE_ROWS; i++) {
      const int rise = up[i] * gap[i] / n_draws;
      error[i] = (int16_t)(rise * 128 - ((above[i] + 1) >> 1));
      code[i] = (uint8_t)(few ? n_draws * index[i] + up[i] : below[i] + rise);
    }
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      codes[tile][CODE_PLACE(i)] = code[i];
    const int noisy = sampling != ZML_NAIVE && sampling != ZML_NEAREST;
    if (!few || !noisy) /* else they follow from the hits */
      add_positions(book, j, few, code, lanes);
    if (noisy)
      add_errors(batch, j, few, code, error, hits);
  }
  for (int k = 0; few && k < ZML_MAX_CODES; k++)
    lanes->hits[k] += hits[0][k] + hits[1][k] + hits[2][k] + hits[3][k];
}
#ifndef round_column_as
#define round_column_as round_any_column_as
#endif

#define ROUND_AS(sampling)                                                                                             \
  if (batch->book->width < 8)                                                                                          \
    round_column_as(batch, j, sampling, 1, codes);                                                                     \
  else                                                                                                                 \
    round_column_as(batch, j, sampling, 0, codes);                                                                     \
  break;

ZML_TARGET static void round_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  switch (batch->book->sampling) {
  case ZML_NAIVE:
    ROUND_AS(ZML_NAIVE)
  case ZML_NEAREST:
    ROUND_AS(ZML_NEAREST)
  case ZML_DOUBLE:
    ROUND_AS(ZML_DOUBLE)
  case ZML_COMPENSATED:
    ROUND_AS(ZML_COMPENSATED)
  case ZML_DRAWS:
    if (batch->book->width < 8)
      round_any_column_as(batch, j, ZML_DRAWS, 1, codes);
    else
      round_any_column_as(batch, j, ZML_DRAWS, 0, codes);
    break;
  }
}

#include "encoding/dither-inl.h"

/* Packed rows */

/* Codes of the columns that share a word: of each group of four, column c in byte c, group k in bit field k. */
typedef uint8_t Codes[8 * ZML_GROUP_COLUMNS][ZML_BLOCK_TILES][ZML_TILE_ROWS];

/* Words of the rows of one tile. */
#ifndef join_codes
ZML_TARGET_INLINE void join_codes(const uint8_t (*codes)[ZML_BLOCK_TILES][ZML_TILE_ROWS], size_t tile, size_t groups,
                                  int width, uint32_t *words) {
  memset(words, 0, ZML_TILE_ROWS * sizeof *words);
  for (size_t k = 0; k < groups; k++) {
    const uint8_t (*of)[ZML_BLOCK_TILES][ZML_TILE_ROWS] = codes + k * ZML_GROUP_COLUMNS;
    const uint8_t *a = of[0][tile], *b = of[1][tile], *c = of[2][tile], *d = of[3][tile];
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      words[i] |= (a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24) << (k * (size_t)width);
  }
}
#endif

#ifndef store_line
ZML_TARGET_INLINE void store_line(uint8_t *to, const uint32_t *words) { memcpy(to, words, ZML_LINE); }
ZML_TARGET_INLINE void lines_stored(void) {}
#endif

/* Writes `count` words of every row from word `first` on; the last one may be half a word. */
ZML_TARGET_INLINE void store_words(const uint32_t (*words)[BLOCK_ROWS], size_t first, size_t count, int half,
                                   size_t n_rows, uint8_t *const *rows) {
  const size_t whole = half ? count - 1 : count;
  for (size_t start = 0; start < n_rows; start += WORDS) {
    ZML_ALIGNED uint32_t by_row[WORDS][WORDS];
    const size_t end = n_rows - start < WORDS ? n_rows - start : WORDS;
    transpose(words[0] + start, BLOCK_ROWS, by_row[0], WORDS);
    for (size_t i = 0; i < end; i++) {
      if (whole == WORDS)
        store_line(rows[start + i] + 4 * first, by_row[i]);
      else
        memcpy(rows[start + i] + 4 * first, by_row[i], 4 * whole);
      if (half)
        zml_join_word((const uint8_t *)&by_row[i][whole], rows[start + i] + 4 * (first + whole));
    }
  }
}

ZML_TARGET_INLINE void encode_columns(const Batch *batch, int width, size_t n_rows, uint8_t *const *rows) {
  const size_t columns = zml_tile_columns(batch->book->n_columns, width), groups = columns / ZML_GROUP_COLUMNS;
  const int bits = zml_bits_of(width);
  const size_t fields = 8 / (size_t)bits;
  ZML_ALIGNED uint32_t words[WORDS][BLOCK_ROWS];
  ZML_ALIGNED Codes codes;
  size_t filled = 0;
  memset(words, 0, sizeof words);
  for (size_t group = 0; group < groups; group += fields) {
    const size_t count = groups - group < fields ? groups - group : fields;
    for (size_t c = 0; c < count * ZML_GROUP_COLUMNS; c++) {
      const size_t j = group * ZML_GROUP_COLUMNS + c;
      if (j < batch->book->n_columns)
        for (size_t k = 0; k < batch->ahead_bytes; k += ZML_LINE)
          ZML_PREFETCH_FAR(batch->ahead + (ptrdiff_t)j * batch->ahead_stride + k);
      if (width == ZML_DITHERED)
        dithered_column(batch, j, columns, codes[c]);
      else
        round_column(batch, j, codes[c]);
    }
    for (size_t tile = 0; tile < batch->n_tiles; tile++)
      join_codes((const uint8_t (*)[ZML_BLOCK_TILES][ZML_TILE_ROWS])codes, tile, count, bits,
                 words[filled] + tile * ZML_TILE_ROWS);
    if (++filled == WORDS || group + fields >= groups) {
      store_words((const uint32_t (*)[BLOCK_ROWS])words, group / fields + 1 - filled, filled, count < fields, n_rows,
                  rows);
      filled = 0;
    }
  }
  lines_stored();
}

/* The rest, once the coordinates are there. */
ZML_TARGET static void encode_coordinates(const Batch *batch, size_t n_rows, uint8_t *const *rows) {
  const zml_codebook *book = batch->book;
  switch (book->width) {
  case 1:
    encode_columns(batch, 1, n_rows, rows);
    break;
  case 2:
    encode_columns(batch, 2, n_rows, rows);
    break;
  case ZML_DITHERED:
    encode_columns(batch, ZML_DITHERED, n_rows, rows);
    break;
  case 4:
    encode_columns(batch, 4, n_rows, rows);
    break;
  default:
    encode_columns(batch, 8, n_rows, rows);
  }
  /* missing rows have code 0, are counted at position 0 and without error: only the hits count them */
  const size_t missing = batch->n_tiles * ZML_TILE_ROWS - n_rows;
  for (size_t j = 0; missing && j < book->n_columns; j++) {
    batch->work->lanes[j].hits[0] -= missing;
    if (batch->tally)
      batch->work->tallies[j * ZML_MAX_CODES] -= ZML_HIT * missing;
  }
}

#define DEFINE_ENCODE(suffix, real)                                                                                    \
  /* Coordinates and content of the `count` rows of a tile */                                                          \
  ZML_TARGET_INLINE void read_tile_##suffix(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,          \
                                            size_t count, const zml_codebook *book, const zml_affine_##suffix *affine, \
                                            uint32_t *pairs, Content *content) {                                       \
    memset(content, 0, sizeof *content);                                                                               \
    if (column_stride == 1)                                                                                            \
      coordinates_of_rows_##suffix(block, row_stride, count, book, affine, pairs, content);                            \
    else                                                                                                               \
      coordinates_of_columns_##suffix(block, column_stride, count, book, affine, pairs, content);                      \
  }                                                                                                                    \
  ZML_TARGET static void contents_##suffix(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,           \
                                           size_t n_rows, const zml_codebook *book, const zml_affine_##suffix *affine, \
                                           const zml_workspace *work, uint64_t *contents) {                            \
    for (size_t first = 0; first < n_rows; first += ZML_TILE_ROWS) {                                                   \
      const size_t count = n_rows - first < ZML_TILE_ROWS ? n_rows - first : ZML_TILE_ROWS;                            \
      Content content;                                                                                                 \
      read_tile_##suffix(block + (ptrdiff_t)first * row_stride, row_stride, column_stride, count, book, affine,        \
                         work->coordinates, &content);                                                                 \
      for (size_t i = 0; i < count; i++)                                                                               \
        contents[first + i] = whole_content(&content, i);                                                              \
    }                                                                                                                  \
  }                                                                                                                    \
  ZML_TARGET static void encode_##suffix(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,             \
                                         size_t n_rows, const zml_codebook *book, const zml_affine_##suffix *affine,   \
                                         const zml_workspace *work, int tally, uint8_t *const *rows) {                 \
    Batch batch = {.book = book, .work = work, .tally = tally, .n_rows = n_rows};                                      \
    batch.n_tiles = (n_rows + ZML_TILE_ROWS - 1) / ZML_TILE_ROWS;                                                      \
    if (column_stride == 1) {                                                                                          \
      batch.ahead = (const char *)(block + (ptrdiff_t)n_rows * row_stride);                                            \
      batch.ahead_bytes = n_rows * (size_t)(row_stride < 0 ? 0 : row_stride) * sizeof(real) / book->n_columns;         \
      batch.ahead_bytes = (batch.ahead_bytes + ZML_LINE - 1) / ZML_LINE * ZML_LINE;                                    \
      batch.ahead_stride = (ptrdiff_t)batch.ahead_bytes;                                                               \
    } else {                                                                                                           \
      batch.ahead = (const char *)(block + n_rows);                                                                    \
      batch.ahead_bytes = n_rows * sizeof(real);                                                                       \
      batch.ahead_stride = column_stride * (ptrdiff_t)sizeof(real);                                                    \
    }                                                                                                                  \
    for (size_t tile = 0; tile < batch.n_tiles; tile++) {                                                              \
      const size_t first = tile * ZML_TILE_ROWS;                                                                       \
      const size_t count = n_rows - first < ZML_TILE_ROWS ? n_rows - first : ZML_TILE_ROWS;                            \
      Content content;                                                                                                 \
      read_tile_##suffix(block + (ptrdiff_t)first * row_stride, row_stride, column_stride, count, book, affine,        \
                         pairs_of(&batch, tile), &content);                                                            \
      if (book->by_place)                                                                                              \
        add_places(book->place + first, &content);                                                                     \
      keys_of_rows(&content, book->seed, &batch.keys[tile]);                                                           \
      for (size_t i = 0; work->contents && i < count; i++)                                                             \
        work->contents[first + i] = whole_content(&content, i);                                                        \
    }                                                                                                                  \
    encode_coordinates(&batch, n_rows, rows);                                                                          \
  }
DEFINE_ENCODE(f32, float)
DEFINE_ENCODE(f64, double)

#include "encoding/integers-inl.h"
#include "encoding/order-inl.h"
#include "encoding/outliers-inl.h"
#include "encoding/requantize-inl.h"
#include "encoding/tiles-inl.h"
#include "encoding/fields-inl.h"
#include "encoding/take-inl.h"

/* A table of these functions. */
#define ZML_ENCODING                                                                                                   \
  .range_f32 = range_f32, .range_f64 = range_f64, .optimal_levels = optimal_levels, .column_levels = column_levels,    \
  .gather_f32 = gather_f32, .gather_f64 = gather_f64, .encode_f32 = encode_f32, .encode_f64 = encode_f64,              \
  .find_ends = find_ends, .contents_f32 = contents_f32, .contents_f64 = contents_f64, .requantize = requantize,        \
  .tile_of_rows = tile_of_rows, .rows_of_tile = rows_of_tile, .take_rows = take_rows, .take_columns = take_columns,    \
  .encode_u8 = encode_u8, .encode_pairs = encode_pairs, .encode_u16 = encode_u16, .encode_fields = encode_fields,      \
  .widen_f16 = widen_f16, .count_tiles = count_tiles, .sum_bytes = sum_bytes, .tile_of_fields = tile_of_fields,        \
  .permute = permute, .permute_back = permute_back
