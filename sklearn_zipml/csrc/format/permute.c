/* Packed rows brought into the order of a permutation, where they lie. */
#include "format/permute.h"

#include <string.h>

#include "format/compiler.h"
#include "format/rows.h"

/* The cycles of the permutation are followed AHEAD rows before they are moved, so that memory has time. */
enum { AHEAD = 16, POLL_BYTES = 1 << 23 };

static void prefetch_row(const uint8_t *row, size_t size) {
  for (size_t k = 0; k < size; k += 64)
    ZML_PREFETCH(row + k);
}

int zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare,
                     zml_poll *poll) {
  const uint64_t side = zml_grid_side(n), pause = POLL_BYTES / (size + 1) + 1;
  uint64_t left = pause;
  for (uint64_t start = 0; start < n; start++) {
    if (visited[start / 8] >> (start % 8) & 1)
      continue;
    uint64_t chain[AHEAD], slot = start;
    uint64_t last = start;
    for (int k = 0; k < AHEAD; k++) {
      chain[k] = last = zml_image_of(last, n, seed, side);
      prefetch_row(rows + last * size, size);
    }
    memcpy(spare, rows + start * size, size);
    for (int k = 0; chain[k] != start; k = (k + 1) % AHEAD) {
      if (--left == 0) {
        left = pause;
        if (poll() != 0)
          return -1;
      }
      const uint64_t row = chain[k];
      memcpy(rows + slot * size, rows + row * size, size);
      visited[row / 8] |= (uint8_t)(1u << (row % 8));
      slot = row;
      chain[k] = last = zml_image_of(last, n, seed, side);
      prefetch_row(rows + last * size, size);
    }
    memcpy(rows + slot * size, spare, size);
  }
  return 0;
}
