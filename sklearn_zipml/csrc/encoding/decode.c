/* The way back from tiles to codes and positions. */
#include <string.h>

#include "encoding/encode.h"
#include "format/dither.h"

void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                     size_t n_rows) {
  const size_t codes_per_column = width == ZML_DITHERED ? 0 : zml_table_codes(width);
  const uint8_t *seed_codes = zml_seeds_of(tile, zml_tile_columns(n_columns, width), width);
  uint32_t seeds[ZML_TILE_ROWS];
  if (seed_codes)
    zml_row_seeds(seed_codes, 0, 4, seeds);
  for (size_t group = 0; group * ZML_GROUP_COLUMNS < n_columns; group++) {
    uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    if (seed_codes)
      zml_dithered_group(tile, table, group, seeds, codes);
    else
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
