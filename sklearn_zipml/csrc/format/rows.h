/* Packed rows: a row's codes in contiguous bytes. 64 of them take the bytes of one tile, so rows that arrive in any
 * order are collected, shuffled and made into tiles in the same memory. */
#ifndef ZML_ROWS_H
#define ZML_ROWS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format/tile.h"

/* Bytes of one packed row. */
static inline size_t zml_row_bytes(size_t padded_columns, int width) {
  return padded_columns * (size_t)zml_bits_of(width) / 8;
}

/* With 1-bit codes the last word of a row may have four column groups only: its low half-bytes are joined to half a
 * word. */
static inline void zml_join_word(const uint8_t *word, uint8_t *row) {
  row[0] = (uint8_t)(word[0] | word[2] << 4);
  row[1] = (uint8_t)(word[1] | word[3] << 4);
}

static inline uint32_t zml_split_word(const uint8_t *row) {
  return (row[0] & 15u) | (row[1] & 15u) << 8 | (uint32_t)(row[0] >> 4) << 16 | (uint32_t)(row[1] >> 4) << 24;
}

/* Sets a word of a row. */
static inline void zml_store_word(uint8_t *row, size_t index, uint32_t word, int whole) {
  if (whole)
    memcpy(row + 4 * index, &word, sizeof word);
  else
    zml_join_word((const uint8_t *)&word, row + 4 * index);
}

/* The first n_rows rows of a tile. */
void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows);

/* Called every few milliseconds; what it returns is 0, or work should end. */
typedef int zml_poll(void);

/* Moves n rows of `size` bytes in place so that slot s holds row image(s) of zml_permute. visited has a zeroed bit for
 * each row; spare has room for one row. Returns -1, with the rows in no order, if poll ended it. */
int zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare,
                     zml_poll *poll);

#endif
