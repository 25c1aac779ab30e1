/* Step 3 of 5, when rows come as a stream: tiles -> packed rows -> tiles.
 *
 * The four codes of a row in a column group are four bytes of a line of the tile, each a bit field. A word of a packed
 * row takes as many column groups as a byte has fields: group k goes to field k. The 16 words of a plane make a line
 * again, so the fields move in whole lines. */
#include "format/rows.h"

#include <string.h>

#include "format/tile.h"

enum { WORD = 4, PARTS = ZML_LINE / 8 };

typedef struct {
  uint64_t part[PARTS];
} Line;

static inline uint64_t fields_mask(int width) { return ((1u << width) - 1) * 0x0101010101010101ull; }

static inline const uint8_t *line_at(const uint8_t *tile, size_t group, int plane, int width) {
  return tile + ZML_LINE * zml_line_of(group, plane, width);
}

/* Words of the rows of one plane, from `count` column groups on. */
static inline Line collect(const uint8_t *tile, size_t group, size_t count, int plane, int width) {
  const uint64_t mask = fields_mask(width);
  Line words = {{0}};
  for (size_t k = 0; k < count; k++) {
    const int shift = zml_shift_of(group + k, plane, width);
    Line line;
    memcpy(&line, line_at(tile, group + k, plane, width), sizeof line);
    for (int p = 0; p < PARTS; p++)
      words.part[p] |= (line.part[p] >> shift & mask) << (k * (size_t)width);
  }
  return words;
}

static inline void plane_to_rows(const uint8_t *tile, int width, size_t groups, int plane, int n_rows, size_t row_bytes,
                                 uint8_t *rows) {
  const size_t fields = 8 / (size_t)width;
  for (size_t group = 0; group < groups; group += fields) {
    const size_t count = groups - group < fields ? groups - group : fields;
    const Line line = collect(tile, group, count, plane, width);
    const uint8_t *words = (const uint8_t *)&line;
    uint8_t *row = rows + group / fields * WORD;
    for (int i = 0; i < n_rows; i++, row += row_bytes) {
      if (count == fields)
        memcpy(row, words + (size_t)i * WORD, WORD);
      else
        zml_join_word(words + (size_t)i * WORD, row);
    }
  }
}

/* The width is made a constant, so that shifts and loops unroll. */
#define WITH_WIDTH(call)                                                                                               \
  switch (width) {                                                                                                     \
  case 1:                                                                                                              \
    call(1);                                                                                                           \
    break;                                                                                                             \
  case 2:                                                                                                              \
    call(2);                                                                                                           \
    break;                                                                                                             \
  case 4:                                                                                                              \
    call(4);                                                                                                           \
    break;                                                                                                             \
  default:                                                                                                             \
    call(8);                                                                                                           \
  }

void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows) {
  const size_t groups = padded_columns / ZML_GROUP_COLUMNS, row_bytes = zml_row_bytes(padded_columns, width);
  for (int plane = 0; plane * ZML_PLANE_ROWS < (int)n_rows; plane++) {
    const int left = (int)n_rows - plane * ZML_PLANE_ROWS, count = left < ZML_PLANE_ROWS ? left : ZML_PLANE_ROWS;
    uint8_t *first = rows + (size_t)plane * ZML_PLANE_ROWS * row_bytes;
#define TO_ROWS(constant) plane_to_rows(tile, constant, groups, plane, count, row_bytes, first)
    WITH_WIDTH(TO_ROWS)
  }
}
