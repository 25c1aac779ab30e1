/* Vectors on their way into and out of the products, in plain C that compilers vectorize; compiled once for each
 * instruction set, for values of VALUE_BYTES bytes in units of UNIT. Nothing here rounds but once. */
#include <string.h>

#include "products/matmul.h"

/* Bits of what is not finite are larger than those of all that is. */
ZML_TARGET static double magnitude_of(const double *values, size_t n) {
  int64_t top = 0;
  double largest;
  for (size_t k = 0; k < n; k++) {
    int64_t bits;
    memcpy(&bits, values + k, sizeof bits);
    bits &= INT64_MAX;
    top = bits > top ? bits : top;
  }
  memcpy(&largest, &top, sizeof largest);
  return largest;
}

/* 2^52 * 1.5 is where the last bit of a double is one: added and taken off again, it rounds. */
ZML_TARGET static void round_to_integers(const double *values, size_t n, double inverse, int32_t *out) {
  const double one = 0x1.8p52;
  for (size_t k = 0; k < n; k++)
    out[k] = (int32_t)(values[k] * inverse + one - one);
}

/* The lowest digit, which is signed; what is left has one digit less. */
ZML_TARGET_INLINE int32_t lowest_digit(int32_t number) {
  return VALUE_BYTES == 1 ? (int32_t)(int8_t)(uint8_t)number : (int32_t)(int16_t)(uint16_t)number;
}
ZML_TARGET_INLINE int32_t without_digit(int32_t number, int digits) {
  for (int p = 0; p < digits; p++)
    number = (number - lowest_digit(number)) >> (8 * VALUE_BYTES);
  return number;
}

/* One digit of a unit's numbers, side by side. */
ZML_TARGET_INLINE void pack_unit(const int32_t *numbers, int digit, uint8_t *out) {
  uint32_t word = 0;
  for (int k = 0; k < UNIT; k++) {
    const uint32_t value = (uint32_t)without_digit(numbers[k], digit) & (VALUE_BYTES == 1 ? 0xffu : 0xffffu);
    word |= value << (8 * VALUE_BYTES * k);
  }
  if (UNIT * VALUE_BYTES == 4) {
    memcpy(out, &word, 4);
  } else {
    const uint16_t half = (uint16_t)word;
    memcpy(out, &half, 2);
  }
}

/* One digit of up to 16 vectors; those that are not there are zeros. */
ZML_TARGET_INLINE void pack_panel(const int32_t *vectors, size_t stride, size_t count, size_t depth, int digit,
                                  uint8_t *out) {
  enum { BYTES = UNIT * VALUE_BYTES };
  if (count < ZML_PANEL)
    memset(out, 0, depth * ZML_PANEL * VALUE_BYTES);
  for (size_t v = 0; v < count; v++)
    for (size_t k = 0; k < depth / UNIT; k++)
      pack_unit(vectors + v * stride + UNIT * k, digit, out + BYTES * (ZML_PANEL * k + v));
}

ZML_TARGET static void pack(const int32_t *vectors, size_t stride, size_t n_vectors, size_t depth, int digit,
                            uint8_t *out) {
  for (size_t v = 0; v < n_vectors; v += ZML_PANEL, out += depth * ZML_PANEL * VALUE_BYTES) {
    const size_t count = n_vectors - v < ZML_PANEL ? n_vectors - v : ZML_PANEL;
    const int32_t *from = vectors + v * stride;
    if (digit == 0) /* known beforehand, digits cost nothing */
      pack_panel(from, stride, count, depth, 0, out);
    else if (digit == 1)
      pack_panel(from, stride, count, depth, 1, out);
    else
      pack_panel(from, stride, count, depth, digit, out);
  }
}

ZML_TARGET_INLINE void weigh_panels(const uint8_t *panels, size_t units, const int32_t *weights, size_t n_units,
                                    int digit, uint8_t *out) {
  enum { UNIT_VALUES = ZML_PANEL * UNIT };
  for (size_t unit = 0; unit < units; unit++, panels += UNIT_VALUES * VALUE_BYTES, out += UNIT_VALUES * VALUE_BYTES) {
    const int32_t *weight = weights + unit % n_units * UNIT;
    for (int k = 0; k < UNIT_VALUES; k++) {
      int32_t value;
      if (VALUE_BYTES == 1) {
        value = panels[k] ^ SHIFT;
      } else {
        int16_t two;
        memcpy(&two, panels + 2 * k, 2);
        value = two;
      }
      const int32_t rest = without_digit(value * weight[k % UNIT], digit);
      memcpy(out + VALUE_BYTES * k, &rest, VALUE_BYTES); /* its lowest bytes */
    }
  }
}

ZML_TARGET static void weigh(const uint8_t *panels, size_t n_panels, size_t depth, const int32_t *weights, int digit,
                             uint8_t *out) {
  const size_t n_units = depth / UNIT, units = n_panels * n_units;
  if (digit == 0)
    weigh_panels(panels, units, weights, n_units, 0, out);
  else if (digit == 1)
    weigh_panels(panels, units, weights, n_units, 1, out);
  else
    weigh_panels(panels, units, weights, n_units, digit, out);
}

/* The position of one lane out of units of a panel. */
ZML_TARGET_INLINE int32_t position_of(const uint8_t *units, int lane, int shift) {
  uint32_t word;
  if (UNIT * VALUE_BYTES == 4) {
    memcpy(&word, units + 4 * lane, 4);
  } else {
    uint16_t half;
    memcpy(&half, units + 2 * lane, 2);
    word = half;
  }
  return (int32_t)((word >> shift ^ SHIFT) & 0xff);
}

#define DEFINE_ADD(name, integer)                                                                                      \
  ZML_TARGET static void name(const uint8_t *panels, size_t n_panels, size_t depth, size_t row, integer factor,        \
                              integer *sums) {                                                                         \
    const uint8_t *units = panels + row / UNIT * ZML_PANEL * UNIT * VALUE_BYTES;                                       \
    const int shift = 8 * VALUE_BYTES * (int)(row % UNIT);                                                             \
    for (size_t p = 0; p < n_panels; p++, units += depth * ZML_PANEL * VALUE_BYTES, sums += ZML_PANEL)                 \
      for (int lane = 0; lane < ZML_PANEL; lane++)                                                                     \
        sums[lane] += factor * position_of(units, lane, shift);                                                        \
  }
DEFINE_ADD(add_narrow, int32_t)
DEFINE_ADD(add_wide, int64_t)
#undef DEFINE_ADD

/* A double out of its upper and its lower half, each put into the mantissa of a double: AVX2 has no conversion. */
ZML_TARGET_INLINE double double_of(int64_t number) {
  const uint64_t low = ((uint64_t)number & 0xffffffffu) | 0x4330000000000000u;        /* 2^52 + low */
  const uint64_t high = ((uint64_t)number >> 32 ^ 0x80000000u) | 0x4530000000000000u; /* 2^84 + 2^63 + 2^32 high */
  double lower, upper;
  memcpy(&lower, &low, sizeof lower);
  memcpy(&upper, &high, sizeof upper);
  return upper - (0x1p84 + 0x1p63 + 0x1p52) + lower;
}

ZML_TARGET static void scale_sums(const int64_t *sums, int64_t shift, double scale, double *out) {
  for (int lane = 0; lane < ZML_PANEL; lane++)
    out[lane] = scale * double_of(sums[lane] + shift);
}

#define ZML_MATMUL_VECTORS                                                                                             \
  .value_bytes = VALUE_BYTES, .unit = UNIT, .shift = SHIFT, .weigh = weigh, .magnitude = magnitude_of,                 \
  .round = round_to_integers, .pack = pack, .scale = scale_sums, .add_narrow = add_narrow, .add_wide = add_wide
