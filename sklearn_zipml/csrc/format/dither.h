/* Known dither: codes of which the decoder knows a part of the rounding.
 *
 * Codes of 2 bits:
 *
 * Every row has a seed s of 16 bits, the codes of the last ZML_SEED_COLUMNS columns of its tile, and every column an
 * odd multiplier m. The dither t = (s m modulo 2^16) / 2^14, 0 to 3, is uniform over the seeds. Code c of dither t
 * stands for position 4 c + t of the column's 16, which ascend but for those of older files. As a value rises, the
 * dithers flip from code c to c + 1 one after the other, the lowest first: state s, 0 to 12, is one of the positions s
 * to s + 3 for each of them, and its rung is their mean.
 *
 * The decode table of a group of 4 columns: positions [column][16], multipliers [column], 16 bits each;
 * ZML_DITHER_TABLE bytes a column.
 *
 * Codes of 3 bits, which live in 4, have room for their dither: the lowest bit of a code, so that the others are those
 * that tell of the value. A code is the number of one of 16 positions of its column, in ascending order, as it is
 * without dither. As a value rises the dithers flip from a position to the next but one in turn, so that state s, 0 to
 * 14, is position s for one of them and s + 1 for the other: its rung is their mean. */
#ifndef ZML_DITHER_H
#define ZML_DITHER_H

#include <string.h>

#include "format/tile.h"

/* Bytes of the table of a group, and of the seeds of a tile, its last ones; rungs of a column. */
enum {
  ZML_GROUP_TABLE = ZML_GROUP_COLUMNS * ZML_DITHER_TABLE,
  ZML_SEED_BYTES = 2 * ZML_LINE,
  ZML_RUNGS = 13,
  ZML_PARITY_RUNGS = 15
};

static inline unsigned zml_dither(uint32_t seed, uint16_t multiplier) { return (uint16_t)(seed * multiplier) >> 14; }

/* Which of a column's positions a code of 2 bits and its dither stand for. */
static inline unsigned zml_place_of(unsigned code, unsigned dither) { return 4 * code + dither; }

/* The code of 3 bits and dither of a state, the dither being the lowest of some bits. */
static inline unsigned zml_parity_code(unsigned state, unsigned bits) { return state + ((state ^ bits) & 1); }

/* The codes of a tile's seeds, two lines; NULL where it has none. */
static inline const uint8_t *zml_seeds_of(const uint8_t *tile, size_t padded_columns, int width) {
  return width == ZML_DITHERED ? tile + zml_tile_bytes(padded_columns, width) - ZML_SEED_BYTES : NULL;
}

/* Code k, 0 to 7, of a seed. */
static inline uint8_t zml_seed_code(uint16_t seed, size_t k) { return (uint8_t)(seed >> 2 * k & 3); }

/* The seeds of the rows of planes first..last-1, in either half of a word. */
static inline void zml_row_seeds(const uint8_t *codes, int first, int last, uint32_t seeds[ZML_TILE_ROWS]) {
  const uint32_t gather = 1u << 24 | 1u << 18 | 1u << 12 | 1u << 6; /* 2 bits of every byte to the highest one */
  for (int plane = first; plane < last; plane++) {
    uint32_t low[ZML_PLANE_ROWS], high[ZML_PLANE_ROWS];
    memcpy(low, codes, sizeof low);
    memcpy(high, codes + ZML_LINE, sizeof high);
    for (int i = 0; i < ZML_PLANE_ROWS; i++) {
      const uint32_t lower = (low[i] >> 2 * plane & 0x03030303u) * gather >> 24;
      const uint32_t upper = (high[i] >> 2 * plane & 0x03030303u) * gather >> 24;
      seeds[plane * ZML_PLANE_ROWS + i] = (lower | upper << 8) * 0x10001u;
    }
  }
}

static inline uint16_t zml_multiplier_of(const uint8_t *group_table, size_t c) {
  uint16_t multiplier;
  memcpy(&multiplier, group_table + 16 * ZML_GROUP_COLUMNS + 2 * c, sizeof multiplier);
  return multiplier;
}

/* The position of a code in a column of a group with this table. */
static inline uint8_t zml_dithered_position(const uint8_t *group_table, size_t c, unsigned code, uint32_t seed) {
  const unsigned t = zml_dither(seed, zml_multiplier_of(group_table, c));
  return group_table[16 * c + zml_place_of(code, t)];
}

/* Positions of a column group, [row][column of the group]. */
static inline void zml_dithered_group(const uint8_t *tile, const uint8_t *table, size_t group,
                                      const uint32_t seeds[ZML_TILE_ROWS],
                                      uint8_t positions[ZML_TILE_ROWS * ZML_GROUP_COLUMNS]) {
  zml_unpack_group(tile, group, ZML_DITHERED, positions);
  for (size_t k = 0; k < ZML_TILE_ROWS * ZML_GROUP_COLUMNS; k++)
    positions[k] = zml_dithered_position(table + group * ZML_GROUP_TABLE, k % ZML_GROUP_COLUMNS, positions[k],
                                         seeds[k / ZML_GROUP_COLUMNS]);
}

/* Positions of the rows of planes first..last-1 in some columns, a multiple of 4, as a tile of bytes has them. `tile`
 * and `table` begin with the first of the columns. */
typedef void zml_widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                       const uint32_t *seeds, uint8_t *out);

#endif
