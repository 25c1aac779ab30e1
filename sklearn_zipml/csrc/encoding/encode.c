/* What the encoder's instruction sets share. */
#include "encoding/encode.h"

#include <math.h>
#include <string.h>

#include "format/dither.h"
#include "format/outliers.h"
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
  const size_t codes = zml_noise_codes(book->width);
  for (size_t j = 0; j < book->n_columns; j++)
    for (size_t code = 0; code < codes; code++) {
      const uint64_t tally = work->tallies[j * ZML_MAX_CODES + code];
      moments->noise[j * codes + code] += weight * (tally % ZML_HIT);
      moments->tallied[j * codes + code] += weight * (tally / ZML_HIT);
    }
  memset(work->tallies, 0, zml_padded_columns(book->n_columns) * ZML_MAX_CODES * sizeof *work->tallies);
}

void zml_add_lanes(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments) {
  const size_t codes = moments->hits ? zml_noise_codes(book->width) : 0;
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
      /* with known dither a code has several positions, and lanes have their sums */
      const uint64_t position = book->width == ZML_DITHERED ? 0 : book->positions[j * ZML_MAX_CODES + code];
      moments->hits[j * codes + code] += lanes->hits[code];
      moments->sum[j] += position * lanes->hits[code];
      moments->square[j] += position * position * lanes->hits[code];
    }
  }
  memset(work->lanes, 0, zml_padded_columns(book->n_columns) * sizeof *work->lanes);
}

/* Outliers */

/* Steps that the ends of a range may seem to be beyond it: with dither they would be told apart from what their code
 * stands for. */
#define END_ROUNDING 0x1p-36

static int32_t whole_steps(double steps) {
  const double most = ZML_MOST_DIFFERENCE;
  return (int32_t)(steps > most ? most : steps < -most ? -most : steps);
}

/* The entry of a value `beyond` steps above the last level, or below the first if it is negative. */
static uint64_t outlier_entry(const zml_outlier_map *map, size_t j, size_t slot, int32_t difference) {
  const size_t row = slot % ZML_TILE_ROWS;
  const uint64_t block = slot / ZML_TILE_ROWS * map->n_blocks + j / ZML_OUTLIER_COLUMNS;
  const uint64_t place =
      row / ZML_PLANE_ROWS << ZML_OUTLIER_PLANE_SHIFT | j % ZML_OUTLIER_COLUMNS << 4 | row % ZML_PLANE_ROWS;
  return block << 32 | place << 16 | (uint16_t)(int16_t)difference;
}

/* What the code of a value beyond the levels stands for, in steps from the first one, or rung, with the code; as an
 * error of it the distance from the end has been counted. */
typedef struct {
  int32_t position, base, counted;
  unsigned code;
} EndCode;

static EndCode end_code(const zml_outlier_map *map, size_t j, int above, uint64_t content) {
  const zml_codebook *book = map->dithered;
  const int32_t top = map->top[j];
  if (!book || !book->first_rung[j])
    return (EndCode){above ? top : 0, 0, 0, above ? map->used[j] - 1u : 0};
  const uint64_t key = zml_mix64(content ^ zml_mix64(book->seed));
  const int32_t base = book->first_rung[j];
  unsigned code = above ? 3 : 0, place;
  if (book->width == ZML_DITHERED) {
    place = zml_place_of(code, zml_dither((uint16_t)(key >> 48), book->multiplier[j]));
  } else {
    const uint16_t bits =
        zml_row_draw((uint16_t)key, (uint16_t)(key >> 16), (uint16_t)(key >> 32), book->draw_keys[0][j]);
    place = code = zml_parity_code(above ? ZML_PARITY_RUNGS - 1 : 0, bits);
  }
  const int32_t position = book->positions[j * ZML_MAX_CODES + place] - base;
  return (EndCode){position, base, 128 * (position - (above ? top : 0)), code};
}

#define DEFINE_OUTLIERS(suffix, real)                                                                                  \
  size_t zml_outliers_##suffix(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,                       \
                               const zml_outlier_map *map, const zml_found *values, const zml_moments *moments,        \
                               uint64_t weight, uint64_t *entries) {                                                   \
    size_t n = 0;                                                                                                      \
    for (size_t k = 0; k < values->n; k++) {                                                                           \
      const size_t j = (size_t)(values->found[k] >> 8), row = values->found[k] & 255;                                  \
      const double x = (double)block[(ptrdiff_t)row * row_stride + (ptrdiff_t)j * column_stride];                      \
      const double steps = (x - map->offset[j]) * map->inverse[j], top = map->top[j];                                  \
      if (steps >= -END_ROUNDING && steps <= top + END_ROUNDING)                                                       \
        continue;                                                                                                      \
      const EndCode end = end_code(map, j, steps > 0, values->contents[row]);                                          \
      const double beyond = steps - end.position;                                                                      \
      const uint64_t bits = zml_mix64(values->contents[row] ^ map->seed ^ (j + 1) * 0x9e3779b97f4a7c15ull);            \
      const int32_t difference = whole_steps(floor(beyond + (double)(bits >> 11) * 0x1p-53));                          \
      const double error = fabs((double)difference - beyond);                                                          \
      const uint64_t units = (uint64_t)(error < 1 ? error * 128 + 0.5 : 128);                                          \
      const uint64_t more = units * units - (uint64_t)((int64_t)end.counted * end.counted);                            \
      moments->beyond[j] += difference;                                                                                \
      moments->beyond_square[j] += difference * (2 * (int64_t)(end.position + end.base) + difference);                 \
      moments->variance[j] += more;                                                                                    \
      if (moments->noise && weight)                                                                                    \
        moments->noise[j * zml_noise_codes(map->width) + end.code] += weight * more;                                   \
      entries[n] = outlier_entry(map, j, (size_t)values->slots[row], difference);                                      \
      n += difference != 0;                                                                                            \
    }                                                                                                                  \
    return n;                                                                                                          \
  }
DEFINE_OUTLIERS(f32, float)
DEFINE_OUTLIERS(f64, double)
