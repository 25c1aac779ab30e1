/* The way back from tiles to codes and positions. */
#include <string.h>

#include "encoding/encode.h"
#include "format/tile.h"

void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                     size_t n_rows) {
  const size_t codes_per_column = zml_table_codes(width);
  for (size_t group = 0; group * ZML_GROUP_COLUMNS < n_columns; group++) {
    uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    zml_unpack_group(tile, group, width, codes);
    for (size_t c = 0; c < ZML_GROUP_COLUMNS && group * ZML_GROUP_COLUMNS + c < n_columns; c++) {
      const size_t j = group * ZML_GROUP_COLUMNS + c;
      for (size_t i = 0; i < n_rows; i++) {
        const uint8_t code = codes[i * ZML_GROUP_COLUMNS + c];
        positions[i * n_columns + j] = codes_per_column ? table[j * codes_per_column + code] : code;
      }
    }
  }
}

void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes) {
  for (size_t group = 0; group < padded_columns / ZML_GROUP_COLUMNS; group++) {
    uint8_t block[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    zml_unpack_group(tile, group, width, block);
    for (size_t i = 0; i < ZML_TILE_ROWS; i++)
      memcpy(codes + i * padded_columns + group * ZML_GROUP_COLUMNS, block + i * ZML_GROUP_COLUMNS, ZML_GROUP_COLUMNS);
  }
}
