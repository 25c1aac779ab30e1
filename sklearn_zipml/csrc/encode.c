/* What the encoder's instruction sets share, and the way back from tiles to codes. */
#include "encode.h"

#include <string.h>

#include "tile.h"

static void fold_codes(const zml_codebook *book, uint64_t *tallies, const zml_moments *moments) {
  const size_t codes = zml_table_codes(book->width);
  for (size_t j = 0; j < book->n_columns; j++) {
    const uint8_t *positions = book->positions + ZML_MAX_CODES * j;
    for (size_t code = 0; code < codes; code++) {
      const uint64_t tally = tallies[j * ZML_MAX_CODES + code], hits = tally / ZML_HIT, noise = tally % ZML_HIT;
      moments->sum[j] += hits * positions[code];
      moments->square[j] += hits * positions[code] * positions[code];
      moments->variance[j] += noise;
      if (moments->noise) {
        moments->noise[j * codes + code] += noise;
        moments->hits[j * codes + code] += hits;
      }
    }
  }
  memset(tallies, 0, zml_padded_columns(book->n_columns) * ZML_MAX_CODES * sizeof *tallies);
}

static uint64_t sum_of(const uint32_t *lane) {
  uint64_t sum = 0;
  for (int l = 0; l < 16; l++)
    sum += lane[l];
  return sum;
}

void zml_add_tallies(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments) {
  if (book->width < 8) {
    fold_codes(book, work->tallies, moments);
    return;
  }
  zml_lanes *lanes = work->tallies;
  for (size_t j = 0; j < book->n_columns; j++) {
    moments->sum[j] += sum_of(lanes[j].sum);
    moments->square[j] += sum_of(lanes[j].square);
    moments->variance[j] += sum_of(lanes[j].noise) + (sum_of(lanes[j].more_noise) << 16);
  }
  memset(lanes, 0, zml_padded_columns(book->n_columns) * sizeof *lanes);
}

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
