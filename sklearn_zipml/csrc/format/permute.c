/* A pseudo-random permutation of 0..n-1 that needs no memory: an alternating Feistel network on a grid of
 * side * side >= n points, walked until the image is below n. An index array would cost as much as the codes. */
#include <math.h>
#include <string.h>

#include "format/compiler.h"
#include "encoding/encode.h"
#include "format/rng.h"
#include "format/rows.h"

enum { ROUNDS = 6 };

static uint64_t grid_side(uint64_t n) {
  uint64_t side = (uint64_t)sqrt((double)n);
  while (side * side < n)
    side++;
  return side;
}

static uint64_t shift(uint64_t seed, int round, uint64_t half, uint64_t side) {
  return (uint64_t)(zml_mix64(seed + (uint64_t)round * 0x632be59bd9b4e019ull + half) >> 32) * side >> 32;
}

/* x modulo side, x being less than twice that; no branch, for nothing could foretell it. */
static uint64_t below(uint64_t x, uint64_t side) { return x - (side & (0 - (uint64_t)(x >= side))); }

static uint64_t forward(uint64_t x, uint64_t seed, uint64_t side) {
  uint64_t left = x / side, right = x % side;
  for (int round = 0; round < ROUNDS; round++) {
    const uint64_t mixed = below(left + shift(seed, round, right, side), side);
    left = right;
    right = mixed;
  }
  return left * side + right;
}

/* Of LANES points at a time, since each waits for its own products. */
enum { LANES = 8 };
static void backward(uint64_t *x, uint64_t seed, uint64_t side) {
  uint64_t left[LANES], right[LANES];
  for (int k = 0; k < LANES; k++) {
    left[k] = x[k] / side;
    right[k] = x[k] % side;
  }
  for (int round = ROUNDS - 1; round >= 0; round--)
    for (int k = 0; k < LANES; k++) {
      const uint64_t mixed = below(right[k] + side - shift(seed, round, left[k], side), side);
      right[k] = left[k];
      left[k] = mixed;
    }
  for (int k = 0; k < LANES; k++)
    x[k] = left[k] * side + right[k];
}

static uint64_t image_of(uint64_t x, uint64_t n, uint64_t seed, uint64_t side) {
  do
    x = forward(x, seed, side);
  while (x >= n);
  return x;
}

void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image) {
  const uint64_t side = grid_side(n);
  for (size_t k = 0; k < count; k++)
    image[k] = (int64_t)image_of(first + k, n, seed, side);
}

void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source) {
  const uint64_t side = grid_side(n);
  for (size_t first = 0; first < count; first += LANES) {
    const size_t length = count - first < LANES ? count - first : LANES;
    uint64_t x[LANES] = {0};
    for (size_t k = 0; k < length; k++)
      x[k] = (uint64_t)image[first + k];
    backward(x, seed, side);
    for (size_t k = 0; k < length; k++) {
      while (x[k] >= n) { /* few are outside */
        uint64_t again[LANES] = {x[k]};
        backward(again, seed, side);
        x[k] = again[0];
      }
      source[first + k] = (int64_t)x[k];
    }
  }
}

/* The cycles of the permutation are followed AHEAD rows before they are moved, so that memory has time. */
enum { AHEAD = 16, POLL_BYTES = 1 << 23 };

static void prefetch_row(const uint8_t *row, size_t size) {
  for (size_t k = 0; k < size; k += 64)
    ZML_PREFETCH(row + k);
}

int zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare,
                     zml_poll *poll) {
  const uint64_t side = grid_side(n), pause = POLL_BYTES / (size + 1) + 1;
  uint64_t left = pause;
  for (uint64_t start = 0; start < n; start++) {
    if (visited[start / 8] >> (start % 8) & 1)
      continue;
    uint64_t chain[AHEAD], slot = start;
    uint64_t last = start;
    for (int k = 0; k < AHEAD; k++) {
      chain[k] = last = image_of(last, n, seed, side);
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
      chain[k] = last = image_of(last, n, seed, side);
      prefetch_row(rows + last * size, size);
    }
    memcpy(rows + slot * size, spare, size);
  }
  return 0;
}
