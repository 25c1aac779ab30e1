/* Counter-based random bits: every draw is a pure function of its key, never of a position in a stream.
 *
 * The mixers are the finalizers of MurmurHash3 (32 bits) and of SplitMix64 (64 bits). */
#ifndef ZML_RNG_H
#define ZML_RNG_H

#include <stdint.h>

static inline uint32_t zml_mix32(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

static inline uint64_t zml_mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/* The 32 random bits of column key `column` under the 64-bit key `key`. */
static inline uint32_t zml_draw(uint64_t key, uint32_t column) {
  uint32_t x = (uint32_t)key ^ column;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= (uint32_t)(key >> 32);
  x ^= x >> 13;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16);
}

/* Rounding of samples: 16 random bits of 64 of a row and 32 of a column, one multiplication for both. The upper and
 * lower half of the product of 16-bit numbers, each masked by the column, are mixed, and a word of the row makes the
 * result uniform. Of two columns, or of two draws of one, it is independent as far as 2^28 rows show: covariances of
 * rounding up are below 6e-5 (1.5e-5 being the error of that measurement), whatever their probability. */
static inline uint16_t zml_row_draw(uint16_t a, uint16_t b, uint16_t c, uint32_t column) {
  const uint32_t product = (uint32_t)(uint16_t)(a ^ column) * (uint16_t)(b ^ column >> 16);
  return (uint16_t)(product ^ product >> 16 ^ c);
}

/* Requantizing: four random bytes of 64 bits of a row group, in halves, the second one odd, and 32 of a column. Of two
 * columns, or of two bytes, they are independent as far as 2^25 keys show (24 columns, two sets of them: correlations
 * of being below .16, .5 and .78 are 1.7e-4 in the mean, which is the error of that measurement). */
static inline uint32_t zml_byte_draw(uint32_t word, uint32_t multiplier, uint32_t column) {
  const uint32_t product = (word ^ column) * multiplier;
  return product ^ product >> 16;
}

/* Key of draw number `draw` of a column for both of these; all keys differ. */
static inline uint32_t zml_draw_key(uint32_t column, uint32_t draw) {
  return zml_mix32(column + (draw + 1) * 0x9e3779b9u);
}

/* Rounding of model-sized vectors, in the innermost loop: component j draws element j / 16 of the progression of its
 * lane j % 16, first + (j / 16) * step. The components of one vector are pairwise independent (step is odd and random,
 * so that elements up to 2^16 apart differ by what is uniform in the upper half), and so the rounding errors of a
 * product with it have the variance of independent ones; draws under different keys are independent altogether. */
static inline uint32_t zml_lane_first(uint64_t key, uint32_t lane) { return zml_draw(key, lane); }
static inline uint32_t zml_lane_step(uint64_t key, uint32_t lane) { return zml_draw(key, lane + 16) | 1; }

/* Key of a column; its two halves, made odd, multiply grid coordinates in the content hash of a row. */
static inline uint32_t zml_column_key(uint64_t column) { return (uint32_t)(zml_mix64(column) >> 32); }

#endif
