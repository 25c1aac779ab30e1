/* The bit format of a tile, defined once: 64 rows, columns in groups of 4, codes of `width` bits.
 *
 * A column group has four planes, one for each 16 rows. A plane is 64 codes, the column varying fastest. The
 * 8 / width consecutive planes that share one 64-byte line are its bit fields, the first plane lowest. With 1-bit
 * codes two column groups share a line, which is why columns are padded to a multiple of 16. */
#ifndef ZML_TILE_H
#define ZML_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { ZML_TILE_ROWS = 64, ZML_PLANE_ROWS = 16, ZML_GROUP_COLUMNS = 4, ZML_LINE = 64, ZML_COLUMN_PAD = 16 };

/* The width that stands for float32 values, in the order [column][row]; and the one that stands for codes of 2 bits
 * with known dither, see dither.h. */
enum { ZML_FLOAT_WIDTH = 32, ZML_DITHERED = 3 };

/* Bits of a code. */
static inline int zml_bits_of(int width) { return width == ZML_DITHERED ? 2 : width; }

static inline size_t zml_padded_columns(size_t n_columns) {
  return (n_columns + ZML_COLUMN_PAD - 1) / ZML_COLUMN_PAD * ZML_COLUMN_PAD;
}

/* Columns of codes beyond the matrix's own, the last ones of a tile: with known dither, those of the rows' seeds. */
enum { ZML_SEED_COLUMNS = 8 };

/* Columns of a tile. */
static inline size_t zml_tile_columns(size_t n_columns, int width) {
  return zml_padded_columns(width == ZML_DITHERED ? n_columns + ZML_SEED_COLUMNS : n_columns);
}

/* Bytes of a tile. */
static inline size_t zml_tile_bytes(size_t padded_columns, int width) {
  return padded_columns * ZML_TILE_ROWS / 8 * (size_t)zml_bits_of(width);
}

/* Whether so many planes of a tile are all of it, and so many bytes that memory limits a pass: then every line is
 * fetched once, shortly before it is read and in order, which processors notice and read on. */
static inline int zml_is_streamed(int width, int n_planes) { return width == 8 && n_planes == 4; }

/* Codes that errors are told apart by: none of bytes. */
static inline size_t zml_noise_codes(int width) { return width >= 8 ? 0 : (size_t)1 << zml_bits_of(width); }

/* Bytes a decode table has for each column: a position for each code. Bytes hold grid positions themselves and need
 * none; for known dither see dither.h. */
enum { ZML_DITHER_TABLE = 18 };
static inline size_t zml_table_codes(int width) {
  return width == ZML_DITHERED ? (size_t)ZML_DITHER_TABLE : zml_noise_codes(width);
}

static inline size_t zml_line_of(size_t group, int plane, int width) {
  return (group * 4 + (size_t)plane) / (8 / (size_t)zml_bits_of(width));
}
static inline int zml_shift_of(size_t group, int plane, int width) {
  const int bits = zml_bits_of(width);
  return (int)((group * 4 + (size_t)plane) % (8 / (size_t)bits)) * bits;
}

/* Codes of one column group, [row][column of the group], out of a tile. */
static inline void zml_unpack_group(const uint8_t *tile, size_t group, int width,
                                    uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS]) {
  const uint8_t mask = (uint8_t)((1u << zml_bits_of(width)) - 1);
  for (int plane = 0; plane < 4; plane++) {
    const uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width);
    const int shift = zml_shift_of(group, plane, width);
    for (int k = 0; k < ZML_LINE; k++)
      codes[ZML_LINE * plane + k] = (uint8_t)(line[k] >> shift) & mask;
  }
}

/* The inverse; the bits of the tile must be zero before. */
static inline void zml_pack_group(uint8_t *tile, size_t group, int width,
                                  const uint8_t codes[ZML_TILE_ROWS * ZML_GROUP_COLUMNS]) {
  for (int plane = 0; plane < 4; plane++) {
    uint8_t *line = tile + ZML_LINE * zml_line_of(group, plane, width);
    const int shift = zml_shift_of(group, plane, width);
    for (int k = 0; k < ZML_LINE; k++)
      line[k] |= (uint8_t)(codes[ZML_LINE * plane + k] << shift);
  }
}

#endif
