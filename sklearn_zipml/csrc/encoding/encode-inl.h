/* The encoder: values -> grid coordinates -> stochastically rounded codes -> packed rows (ZipML, section 2).
 *
 * Plain C that compilers vectorize; every <isa>.c includes this file and so compiles it for its own instruction set,
 * ZML_TARGET. For what compilers do not find it may bring hooks, functions of its own that it defines before, each with
 * a macro of the same name:
 *
 *   lookup_256, lookup_16, transpose       below: bytes out of tables, squares of words
 *   KEY_PLACE, CODE_PLACE                  keys-inl.h: where a row's key and code stand
 *   add_hits, sum_of_squares               rounding-inl.h: counts of codes, sums of errors
 *   round_column_as                        rounding-inl.h: all of a column's rounding (with KEY_PLACE, CODE_PLACE)
 *   round_dithered_column                  dither-inl.h: the same of 2 bits with known dither
 *   round_parity_column                    parity-inl.h: of 3 bits
 *   join_codes                             below: the words of rows out of codes (with CODE_PLACE)
 *   store_line (and lines_stored)          below: a whole line of a row to memory
 *   DEFINE_COORDINATES                     coordinates-inl.h: values to coordinates, the content of rows
 *   range_f32_of_rows                      range-inl.h: smallest and largest values
 *   best_before                            optimal-inl.h: a step of the search for levels
 *   swap_bytes, requantize_column, join_planes requantize-inl.h: codes to fewer codes
 *   find_hits                              outliers-inl.h: values at the ends of ranges
 *   count_group                            tiles-inl.h: how often each code occurs
 *   take_words                             take-inl.h: words of some rows
 *   join_fields                            integers-inl.h: codes to fields
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

#include "encoding/rounding-inl.h"
#include "encoding/parity-inl.h"
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
        for (size_t k = 0; k < whole; k++) /* a call takes longer */
          memcpy(rows[start + i] + 4 * (first + k), &by_row[i][k], 4);
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
  if (groups <= fields * WORDS / 2) /* short rows share lines, which have to be read first */
    for (size_t i = 0; i < n_rows; i++)
      ZML_PREFETCH_TO_WRITE(rows[i]);
  for (size_t group = 0; group < groups; group += fields) {
    const size_t count = groups - group < fields ? groups - group : fields;
    for (size_t c = 0; c < count * ZML_GROUP_COLUMNS; c++) {
      const size_t j = group * ZML_GROUP_COLUMNS + c;
      if (j < batch->book->n_columns)
        for (size_t k = 0; k < batch->ahead_bytes; k += ZML_LINE)
          ZML_PREFETCH_FAR(batch->ahead + (ptrdiff_t)j * batch->ahead_stride + k);
      if (batch->book->first_rung)
        dithered_column(batch, width, j, columns, codes[c]);
      else if (j < batch->book->n_columns)
        round_column(batch, j, codes[c]);
      else
        memset(codes[c], 0, batch->n_tiles * sizeof *codes[c]);
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
  .range_f32 = range_f32, .range_f64 = range_f64, .range_u8 = range_u8, .range_u16 = range_u16,                        \
  .optimal_levels = optimal_levels, .column_levels = column_levels, .gather_f32 = gather_f32,                          \
  .gather_f64 = gather_f64, .encode_f32 = encode_f32, .encode_f64 = encode_f64, .find_ends = find_ends,                \
  .contents_f32 = contents_f32, .contents_f64 = contents_f64, .requantize = requantize, .tile_of_rows = tile_of_rows,  \
  .rows_of_tile = rows_of_tile, .take_rows = take_rows, .take_columns = take_columns, .encode_u8 = encode_u8,          \
  .encode_pairs = encode_pairs, .encode_u16 = encode_u16, .fields_of_u8 = fields_of_u8,                                \
  .fields_of_u16 = fields_of_u16, .encode_fields = encode_fields, .widen_f16 = widen_f16, .count_tiles = count_tiles,  \
  .sum_bytes = sum_bytes, .tile_of_fields = tile_of_fields, .permute = permute, .permute_back = permute_back
