/* Step 2 of 5: values -> grid coordinates -> stochastically rounded codes -> packed tile (ZipML, section 2). */
#include "encode.h"

#include <math.h>
#include <string.h>

#include "levels.h"
#include "rng.h"
#include "tile.h"

#define DEFINE_RANGE(name, real)                                                                                       \
  int name(const real *block, size_t n_rows, size_t n_columns, real *low, real *high) {                                \
    int bad = 0;                                                                                                       \
    for (size_t i = 0; i < n_rows; i++) {                                                                              \
      const real *row = block + i * n_columns;                                                                         \
      for (size_t j = 0; j < n_columns; j++) {                                                                         \
        const real value = row[j];                                                                                     \
        low[j] = value < low[j] ? value : low[j];                                                                      \
        high[j] = value > high[j] ? value : high[j];                                                                   \
        bad |= !(value - value == 0);                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    return bad;                                                                                                        \
  }
DEFINE_RANGE(zml_range_f32, float)
DEFINE_RANGE(zml_range_f64, double)

/* The arithmetic is the block's own, so float32 rows cost float32 work. The rounding is to nearest, ties to even. */
#define DEFINE_COORDINATES(name, real, round)                                                                          \
  void name(const real *block, size_t n_rows, const zml_codebook *book, int32_t *coordinates) {                        \
    const size_t d = book->n_columns;                                                                                  \
    for (size_t j = 0; j < d; j++) {                                                                                   \
      const real offset = (real)book->offset[j], scale = (real)book->scale[j];                                         \
      const real top = (real)(book->top[j] << ZML_GRID_SHIFT);                                                         \
      for (size_t i = 0; i < n_rows; i++) {                                                                            \
        real t = (block[i * d + j] - offset) * scale;                                                                  \
        t = t > 0 ? t : 0;                                                                                             \
        t = t < top ? t : top;                                                                                         \
        coordinates[i * d + j] = (int32_t)round(t);                                                                    \
      }                                                                                                                \
    }                                                                                                                  \
  }
DEFINE_COORDINATES(zml_coordinates_f32, float, rintf)
DEFINE_COORDINATES(zml_coordinates_f64, double, rint)

typedef struct {
  uint32_t gap, above; /* width of the interval in steps, position inside it in fixed point */
  uint8_t index;       /* of the lower level */
} Cell;

static Cell locate(int32_t t, const uint8_t *cells, const uint8_t *levels) {
  const uint8_t k = cells[t >> ZML_GRID_SHIFT];
  const Cell cell = {(uint32_t)(levels[k + 1] - levels[k]), (uint32_t)t - ((uint32_t)levels[k] << ZML_GRID_SHIFT), k};
  return cell;
}

/* 1 with probability above / gap: 24 random bits against a fixed-point fraction; both products fit 32 bits. */
static uint8_t goes_up(Cell cell, uint32_t random) {
  return (random >> 8) * cell.gap < cell.above << (24 - ZML_GRID_SHIFT);
}

/* (position - t)² in 1/65536 of a squared step. Its mean is the rounding variance; the noise that was really drawn is
 * subtracted rather than its expectation, because then the fluctuation of the diagonal goes too. */
static uint32_t squared_error(uint32_t position, int32_t t) {
  const int32_t error = (int32_t)(position << ZML_GRID_SHIFT) - t;
  const uint32_t size = ((uint32_t)(error < 0 ? -error : error) + 8) >> (ZML_GRID_SHIFT - 8);
  return size * size;
}

void zml_encode_tile(const int32_t *coordinates, const int32_t *other, const uint32_t *prior, size_t n_rows,
                     uint64_t ordinal, const zml_codebook *book, uint8_t *tile, const zml_moments *moments) {
  const size_t d = book->n_columns, padded = zml_padded_columns(d), codes_per_column = zml_table_codes(book->width);
  uint32_t column_keys[ZML_TILE_ROWS];
  uint64_t keys[ZML_TILE_ROWS] = {0};
  /* A row's draws are keyed by its content, so that it gets the same codes wherever it stands. The hash is a sum over
   * columns, taken in short blocks. */
  for (size_t first = 0; first < d; first += ZML_TILE_ROWS) {
    const size_t count = d - first < ZML_TILE_ROWS ? d - first : ZML_TILE_ROWS;
    for (size_t j = 0; j < count; j++)
      column_keys[j] = zml_column_key(first + j) | 1u;
    for (size_t i = 0; i < n_rows; i++) {
      const int32_t *row = coordinates + i * d + first;
      uint64_t content = 0;
      for (size_t j = 0; j < count; j++)
        content += (uint64_t)(uint32_t)row[j] * column_keys[j];
      keys[i] += content;
    }
  }
  for (size_t i = 0; i < n_rows; i++)
    keys[i] = zml_mix64(keys[i] ^ zml_mix64(book->seed) ^ (ordinal ? zml_mix64(ordinal + i) : 0));

  for (size_t group = 0; group < padded / ZML_GROUP_COLUMNS; group++) {
    uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    memset(codes, 0, sizeof codes);
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
      const size_t j = group * ZML_GROUP_COLUMNS + c;
      if (j >= d || book->n_levels[j] < 2)
        continue;
      const uint8_t *levels = book->levels + j * book->level_stride, *cells = book->cell + j * 256;
      const uint32_t column_key = zml_column_key(j);
      uint64_t sum = 0, square = 0, variance = 0;
      for (size_t i = 0; i < n_rows; i++) {
        const int32_t t = coordinates[i * d + j];
        const Cell cell = locate(t, cells, levels);
        uint32_t noise = 0, code, position;
        if (book->sampling == ZML_NEAREST) {
          code = cell.index + (2 * cell.above >= cell.gap << ZML_GRID_SHIFT);
          position = levels[code];
        } else {
          const uint32_t random = zml_draw(keys[i], column_key);
          code = cell.index + goes_up(cell, random);
          position = levels[code];
          if (book->sampling == ZML_DOUBLE) {
            /* neighbours always: a narrowed pair never straddles a coarser level, but may touch it from both sides */
            const int32_t t2 = other[i * d + j];
            const Cell second = t2 == t ? cell : locate(t2, cells, levels);
            const uint32_t pair = second.index + goes_up(second, zml_redraw(random));
            position = (position + levels[pair]) / 2;
            code += pair;
            noise = squared_error(position, (t + t2) / 2);
          } else if (book->sampling == ZML_COMPENSATED) {
            noise = squared_error(position, t);
          }
          noise += prior ? prior[i * d + j] : 0;
        }
        codes[i * ZML_GROUP_COLUMNS + c] = (uint8_t)(book->width == 8 ? position : code);
        sum += position;
        square += (uint64_t)position * position;
        variance += noise;
        if (moments->noise) {
          moments->noise[j * codes_per_column + code] += noise;
          moments->hits[j * codes_per_column + code] += 1;
        }
      }
      moments->sum[j] += sum;
      moments->square[j] += square;
      moments->variance[j] += variance;
    }
    zml_pack_group(tile, group, book->width, codes);
  }
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

void zml_pack_tile(const uint8_t *codes, int width, size_t padded_columns, uint8_t *tile) {
  for (size_t group = 0; group < padded_columns / ZML_GROUP_COLUMNS; group++) {
    uint8_t block[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
    for (size_t i = 0; i < ZML_TILE_ROWS; i++)
      memcpy(block + i * ZML_GROUP_COLUMNS, codes + i * padded_columns + group * ZML_GROUP_COLUMNS, ZML_GROUP_COLUMNS);
    zml_pack_group(tile, group, width, block);
  }
}
