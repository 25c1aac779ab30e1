/* Packed rows: a row's codes in contiguous bytes. 64 of them take the bytes of one tile, so rows that arrive in any
 * order are collected, shuffled and made into tiles in the same memory. */
#ifndef ZML_ROWS_H
#define ZML_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of one packed row. */
size_t zml_row_bytes(size_t padded_columns, int width);

/* The first n_rows rows of a tile, and a tile made of 64 rows (padding rows are zero). */
void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows);
void zml_rows_to_tile(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile);

/* Moves n rows of `size` bytes in place so that slot s holds row image(s) of zml_permute. visited has a zeroed bit for
 * each row; spare has room for one row. */
void zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare);

#endif
