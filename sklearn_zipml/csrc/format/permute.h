/* A keyed pseudo-random permutation of 0..n-1 that needs no memory: an alternating Feistel network on a grid of
 * side * side >= n points, walked until the image is below n. An index array would cost as much as the codes. */
#ifndef ZML_PERMUTE_H
#define ZML_PERMUTE_H

#include <math.h>
#include <stdint.h>

#include "format/rng.h"

enum { ZML_ROUNDS = 6 };

static inline uint64_t zml_grid_side(uint64_t n) {
  uint64_t side = (uint64_t)sqrt((double)n);
  while (side * side < n)
    side++;
  return side;
}

static inline uint64_t zml_round_shift(uint64_t seed, int round, uint64_t half, uint64_t side) {
  return (uint64_t)(zml_mix64(seed + (uint64_t)round * 0x632be59bd9b4e019ull + half) >> 32) * side >> 32;
}

/* x modulo side, x being less than twice that; no branch, for nothing could foretell it. */
static inline uint64_t zml_below_side(uint64_t x, uint64_t side) { return x - (side & (0 - (uint64_t)(x >= side))); }

static inline uint64_t zml_walk(uint64_t x, uint64_t seed, uint64_t side) {
  uint64_t left = x / side, right = x % side;
  for (int round = 0; round < ZML_ROUNDS; round++) {
    const uint64_t mixed = zml_below_side(left + zml_round_shift(seed, round, right, side), side);
    left = right;
    right = mixed;
  }
  return left * side + right;
}

static inline uint64_t zml_walk_back(uint64_t x, uint64_t seed, uint64_t side) {
  uint64_t left = x / side, right = x % side;
  for (int round = ZML_ROUNDS - 1; round >= 0; round--) {
    const uint64_t mixed = zml_below_side(right + side - zml_round_shift(seed, round, left, side), side);
    right = left;
    left = mixed;
  }
  return left * side + right;
}

static inline uint64_t zml_image_of(uint64_t x, uint64_t n, uint64_t seed, uint64_t side) {
  do
    x = zml_walk(x, seed, side);
  while (x >= n);
  return x;
}

#endif
