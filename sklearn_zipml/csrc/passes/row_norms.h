/* Squared norms of the rows of a tile. */
#ifndef ZML_ROW_NORMS_H
#define ZML_ROW_NORMS_H

#include <string.h>

#include "format/tile.h"

/* sums[row] += sum_j ((g_ij - centre_j) unit_j)² over the padded columns of a tile of bytes. Rows are independent, and
 * columns are added in order: compilers may use vectors of any length. */
static inline void zml_add_squares_of_bytes(const uint8_t *tile, size_t padded_columns, const float *centre,
                                            const float *unit, float sums[ZML_TILE_ROWS]) {
  for (size_t j = 0; j < padded_columns; j += ZML_GROUP_COLUMNS) {
    uint32_t words[ZML_TILE_ROWS]; /* four columns of a row each */
    memcpy(words, tile + j * ZML_TILE_ROWS, sizeof words);
    for (size_t k = 0; k < ZML_GROUP_COLUMNS; k++) {
      const float middle = centre[j + k], scale = unit[j + k];
      for (int row = 0; row < ZML_TILE_ROWS; row++) {
        const float distance = ((float)(int32_t)(words[row] >> 8 * k & 255) - middle) * scale;
        sums[row] += distance * distance;
      }
    }
  }
}

/* The same for a tile of floats. */
static inline void zml_add_squares_of_floats(const float *tile, size_t padded_columns, const float *centre,
                                             const float *unit, float sums[ZML_TILE_ROWS]) {
  for (size_t j = 0; j < padded_columns; j++) {
    for (int row = 0; row < ZML_TILE_ROWS; row++) {
      const float distance = (tile[j * ZML_TILE_ROWS + (size_t)row] - centre[j]) * unit[j];
      sums[row] += distance * distance;
    }
  }
}

#endif
