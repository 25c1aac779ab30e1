/* Positions of codes with known dither in plain C; included after decode_portable-inl.h, or with ZML_TARGET defined. */
#ifndef ZML_WIDEN_PORTABLE_H
#define ZML_WIDEN_PORTABLE_H

#include "format/decode_portable-inl.h"
#include "format/dither.h"

/* One 32-bit word a row, a byte a column: codes and dithers together are codes of 4 bits. */
ZML_TARGET static void widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                             const uint32_t *seeds, uint8_t *out) {
  for (size_t group = 0; group < columns / ZML_GROUP_COLUMNS; group++, table += ZML_GROUP_TABLE) {
    const Levels levels = levels_of(table, 0, 4);
    uint32_t multiplier[ZML_GROUP_COLUMNS];
    for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
      multiplier[c] = zml_multiplier_of(table, c);
    for (int plane = first; plane < last; plane++) {
      uint32_t row[ZML_PLANE_ROWS], own[ZML_PLANE_ROWS];
      memcpy(row, tile + ZML_LINE * group, sizeof row);
      memcpy(own, seeds + ZML_PLANE_ROWS * plane, sizeof own);
      for (int i = 0; i < ZML_PLANE_ROWS; i++) {
        uint32_t places = (row[i] >> 2 * plane & 0x03030303u) << 2;
        for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
          places |= (own[i] * multiplier[c] >> 14 & 3) << 8 * c;
        row[i] = of_4_bits(levels.of, places, 0);
      }
      memcpy(out + ZML_LINE * (4 * group + (size_t)plane), row, sizeof row);
    }
  }
}

#endif
