/* Positions of codes with known dither in plain C; included after decode_portable-inl.h, or with ZML_TARGET defined. */
#ifndef ZML_WIDEN_PORTABLE_H
#define ZML_WIDEN_PORTABLE_H

#include "format/decode_portable-inl.h"
#include "format/dither.h"

ZML_TARGET_INLINE Levels four_of_columns(const uint8_t *of_group) {
  Levels levels;
  for (size_t k = 0; k < 4; k++) {
    const uint8_t columns[ZML_GROUP_COLUMNS] = {of_group[k], of_group[4 + k], of_group[8 + k], of_group[12 + k]};
    memcpy(&levels.of[k], columns, sizeof columns);
  }
  return levels;
}

/* One 32-bit word a row, a byte a column: a sum of bytes is below 256, so nothing is carried to the next one. */
ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++, table += ZML_GROUP_TABLE) {
    const Levels levels = four_of_columns(table), offsets = four_of_columns(table + 16);
    uint32_t multiplier[ZML_GROUP_COLUMNS];
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
      multiplier[c] = zml_multiplier_of(table, c);
    for (int plane = first; plane < last; plane++) {
      uint32_t row[ZML_PLANE_ROWS], own[ZML_PLANE_ROWS];
      memcpy(row, tile + ZML_LINE * group, sizeof row);
      memcpy(own, seeds + ZML_PLANE_ROWS * plane, sizeof own);
      for (int i = 0; i < ZML_PLANE_ROWS; i++) {
        uint32_t dithers = 0;
        for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
          dithers |= (own[i] * multiplier[c] >> 14 & 3) << 8 * c;
        row[i] = of_2_bits(levels.of, row[i], 2 * plane) + of_2_bits(offsets.of, dithers, 0);
      }
      memcpy(out + ZML_LINE * (4 * group + (size_t)plane), row, sizeof row);
    }
  }
}

#endif
