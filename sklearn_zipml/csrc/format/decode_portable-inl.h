/* Levels of a plane in plain C. */
#ifndef ZML_DECODE_PORTABLE_H
#define ZML_DECODE_PORTABLE_H

#include <string.h>

#include "format/compiler.h"
#include "format/tile.h"

enum { PLANE = ZML_PLANE_ROWS * ZML_GROUP_COLUMNS };

/* a where the bytes of mask are 0, b where they are 255: four columns at a time. */
ZML_TARGET_INLINE uint32_t choose(uint32_t a, uint32_t b, uint32_t mask) { return a ^ ((a ^ b) & mask); }

/* 255 in every byte whose bit `shift` is set. */
ZML_TARGET_INLINE uint32_t bit_mask(uint32_t bytes, int shift) {
  const uint32_t ones = bytes >> shift & 0x01010101u;
  return (ones << 8) - ones;
}

/* Levels of a column group by code, a byte for each of its four columns. */
typedef struct {
  uint32_t of[16];
} Levels;

ZML_TARGET_INLINE Levels levels_of(const uint8_t *table, size_t group, int width) {
  const uint8_t *of_group = table + (group * ZML_GROUP_COLUMNS << width);
  Levels levels;
  for (int code = 0; width < 8 && code < 1 << width; code++) {
    uint8_t columns[ZML_GROUP_COLUMNS];
    for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
      columns[c] = of_group[(c << width) + code];
    memcpy(&levels.of[code], columns, sizeof columns);
  }
  return levels;
}

/* The levels of four codes, chosen by one bit after the other. */
ZML_TARGET_INLINE uint32_t of_1_bit(const uint32_t *level, uint32_t codes, int shift) {
  return choose(level[0], level[1], bit_mask(codes, shift));
}
ZML_TARGET_INLINE uint32_t of_2_bits(const uint32_t *level, uint32_t codes, int shift) {
  return choose(of_1_bit(level, codes, shift), of_1_bit(level + 2, codes, shift), bit_mask(codes, shift + 1));
}
ZML_TARGET_INLINE uint32_t of_3_bits(const uint32_t *level, uint32_t codes, int shift) {
  return choose(of_2_bits(level, codes, shift), of_2_bits(level + 4, codes, shift), bit_mask(codes, shift + 2));
}
ZML_TARGET_INLINE uint32_t of_4_bits(const uint32_t *level, uint32_t codes, int shift) {
  return choose(of_3_bits(level, codes, shift), of_3_bits(level + 8, codes, shift), bit_mask(codes, shift + 3));
}

/* Levels of a plane, the column varying fastest: rather than look each one up, choose among the group's levels with
 * masks made of the bits, one 32-bit word a row. */
ZML_TARGET_INLINE void decode(const uint8_t *tile, const Levels *table, size_t group, int plane, int width,
                              uint8_t *levels) {
  const uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width);
  const int shift = zml_shift_of(group, plane, width);
  uint32_t row[ZML_PLANE_ROWS];
  if (width == 8) { /* by way of words the compiler would not see bytes that it can widen */
    memcpy(levels, line, PLANE);
    return;
  }
  memcpy(row, line, sizeof row);
  for (int i = 0; i < ZML_PLANE_ROWS; i++)
    row[i] = width == 1   ? of_1_bit(table->of, row[i], shift)
             : width == 2 ? of_2_bits(table->of, row[i], shift)
                          : of_4_bits(table->of, row[i], shift);
  memcpy(levels, row, sizeof row);
}

#endif
