/* What the encoder's instruction sets share. */
#include "encoding/encode.h"

#include <string.h>

#include "format/rng.h"
#include "format/tile.h"

enum { TALLIED_BLOCKS = 8192 / (ZML_BLOCK_TILES * ZML_TILE_ROWS) };

uint64_t zml_tally_weight(uint64_t block) {
  uint64_t weight = 1;
  while (block >= weight * TALLIED_BLOCKS)
    weight *= 2;
  weight = weight > 1 ? 2 * weight : 1;
  return zml_mix64(block) % weight ? 0 : weight;
}

void zml_add_tallies(const zml_codebook *book, const zml_workspace *work, uint64_t weight, const zml_moments *moments) {
  const size_t codes = zml_table_codes(book->width);
  for (size_t j = 0; j < book->n_columns; j++)
    for (size_t code = 0; code < codes; code++) {
      const uint64_t tally = work->tallies[j * ZML_MAX_CODES + code];
      moments->noise[j * codes + code] += weight * (tally % ZML_HIT);
      moments->tallied[j * codes + code] += weight * (tally / ZML_HIT);
    }
  memset(work->tallies, 0, zml_padded_columns(book->n_columns) * ZML_MAX_CODES * sizeof *work->tallies);
}

void zml_add_lanes(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments) {
  const size_t codes = moments->hits ? zml_table_codes(book->width) : 0;
  for (size_t j = 0; j < book->n_columns; j++) {
    const zml_lanes *lanes = work->lanes + j;
    int64_t sum = 0, square = 0;
    for (int l = 0; l < 16; l++) {
      sum += lanes->sum[l];
      square += lanes->square[l];
    }
    moments->sum[j] += (uint64_t)sum;
    moments->square[j] += (uint64_t)(square + 128 * sum);
    for (int l = 0; l < 8; l++)
      moments->variance[j] += lanes->noise[l];
    for (size_t code = 0; code < codes; code++) {
      const uint64_t position = book->positions[j * ZML_MAX_CODES + code];
      moments->hits[j * codes + code] += lanes->hits[code];
      moments->sum[j] += position * lanes->hits[code];
      moments->square[j] += position * position * lanes->hits[code];
    }
  }
  memset(work->lanes, 0, zml_padded_columns(book->n_columns) * sizeof *work->lanes);
}
