/* The encoder for AVX-512: a column of 64 rows is one register of bytes, and so is a quarter of a table of 256 bytes.
 *
 * Byte p of word l of a column is row 16 * p + l, as in a tile. Words of 16 bits are two registers, of its even bytes
 * (rows l and 32 + l) and of its odd ones (rows 16 + l and 48 + l). */
#include "format/compiler.h"

#if ZML_HAS_AVX512
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define ZML_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx512bitalg,gfni"
#if defined(__clang__)
#define ZML_TARGET __attribute__((target(ZML_FEATURES)))
#else
#define ZML_TARGET __attribute__((target(ZML_FEATURES ",prefer-vector-width=512")))
#endif

#include "encoding/parts.h"

ZML_TARGET_INLINE __m512i set(uint32_t value) { return _mm512_set1_epi32((int)value); }

/* A constant that stays in a register: compilers would make it anew, from a general register, wherever it is used. */
ZML_TARGET_INLINE __m512i kept(uint32_t value) {
  __m512i x = set(value);
  ZML_KEEP(x);
  return x;
}

/* Bits of a where the mask has ones, else of b. */
ZML_TARGET_INLINE __m512i choose(__m512i mask, __m512i a, __m512i b) {
  return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

typedef struct {
  __m512i quarter[4];
} Table;

ZML_TARGET_INLINE Table table_of(const uint8_t *table) {
  Table t;
  for (int k = 0; k < 4; k++)
    t.quarter[k] = _mm512_loadu_si512(table + 64 * k);
  return t;
}

ZML_TARGET_INLINE __m512i found_in_table(const Table *t, __m512i i) {
  const __m512i lower = _mm512_permutex2var_epi8(t->quarter[0], i, t->quarter[1]);
  const __m512i upper = _mm512_permutex2var_epi8(t->quarter[2], i, t->quarter[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(i), lower, upper);
}

ZML_TARGET_INLINE __m512i found_in_256(const uint8_t *table, __m512i i) {
  const Table t = table_of(table);
  return found_in_table(&t, i);
}

/* A table of 16 bytes in every quarter. */
ZML_TARGET_INLINE __m512i four_times(const uint8_t *table) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
}

#define lookup_256 lookup_256
ZML_TARGET_INLINE void lookup_256(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  _mm512_storeu_si512(found, found_in_256(table, _mm512_loadu_si512(index)));
}

#define lookup_16 lookup_16
ZML_TARGET_INLINE void lookup_16(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  _mm512_storeu_si512(found, _mm512_shuffle_epi8(four_times(table), _mm512_loadu_si512(index)));
}

/* Columns of 16 rows of 16 words, in place. */
ZML_TARGET_INLINE void transpose_registers(__m512i *a) {
  __m512i b[16];
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) { /* now register i + k holds columns k, k + 4, k + 8, k + 12 of rows i..i+3 */
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (int k = 0; k < 4; k++) { /* a transpose of 4 x 4 quarters */
    const __m512i even = _mm512_shuffle_i32x4(a[k], a[4 + k], 0x88), odd = _mm512_shuffle_i32x4(a[k], a[4 + k], 0xdd);
    const __m512i even2 = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0x88);
    const __m512i odd2 = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0xdd);
    b[k] = _mm512_shuffle_i32x4(even, even2, 0x88);
    b[k + 4] = _mm512_shuffle_i32x4(odd, odd2, 0x88);
    b[k + 8] = _mm512_shuffle_i32x4(even, even2, 0xdd);
    b[k + 12] = _mm512_shuffle_i32x4(odd, odd2, 0xdd);
  }
  for (int k = 0; k < 16; k++)
    a[k] = b[k];
}

/* Bytes [column][plane] of four columns' words to [plane][column], or back. */
ZML_TARGET_INLINE void swap_registers(const __m512i *from, __m512i *to) {
  const __m512i words = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  /* bytes 0 and 1, or 2 and 3, of words of two registers in turn: byte 4 l + k of the second one is number 64 + 4 l + k
   */
  const __m512i lower = _mm512_add_epi32(_mm512_mullo_epi32(words, set(0x02020202)), set(0x41014000));
  const __m512i upper = _mm512_add_epi32(lower, set(0x02020202));
  const __m512i low_halves = _mm512_add_epi32(_mm512_mullo_epi32(words, set(0x00010001)), set(0x00200000));
  const __m512i high_halves = _mm512_add_epi32(low_halves, set(0x00010001));
  const __m512i even = _mm512_permutex2var_epi8(from[0], lower, from[1]);
  const __m512i odd = _mm512_permutex2var_epi8(from[0], upper, from[1]);
  const __m512i even2 = _mm512_permutex2var_epi8(from[2], lower, from[3]);
  const __m512i odd2 = _mm512_permutex2var_epi8(from[2], upper, from[3]);
  to[0] = _mm512_permutex2var_epi16(even, low_halves, even2);
  to[1] = _mm512_permutex2var_epi16(even, high_halves, even2);
  to[2] = _mm512_permutex2var_epi16(odd, low_halves, odd2);
  to[3] = _mm512_permutex2var_epi16(odd, high_halves, odd2);
}

#define swap_bytes swap_bytes
ZML_TARGET_INLINE void swap_bytes(const uint32_t (*from)[WORDS], uint32_t (*to)[WORDS]) {
  __m512i given[4], swapped[4];
  for (int k = 0; k < 4; k++)
    given[k] = _mm512_load_si512(from[k]);
  swap_registers(given, swapped);
  for (int k = 0; k < 4; k++)
    _mm512_store_si512(to[k], swapped[k]);
}

#define transpose transpose
ZML_TARGET_INLINE void transpose(const uint32_t *from, size_t stride, uint32_t *to, size_t to_stride) {
  __m512i a[16];
  for (int i = 0; i < 16; i++)
    a[i] = _mm512_loadu_si512(from + (size_t)i * stride);
  transpose_registers(a);
  for (int i = 0; i < 16; i++)
    _mm512_storeu_si512(to + (size_t)i * to_stride, a[i]);
}

#include "encoding/avx512_coordinates-inl.h"
#include "encoding/avx512_range-inl.h"
#include "encoding/avx512_round-inl.h"
#include "encoding/avx512_dither-inl.h"
#include "encoding/avx2_fields-inl.h"
#include "encoding/avx512_levels-inl.h"
#include "encoding/avx512_requantize-inl.h"
#include "encoding/avx512_take-inl.h"
#include "encoding/avx512_fields-inl.h"

#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_avx512 = {ZML_ENCODING};
#endif
