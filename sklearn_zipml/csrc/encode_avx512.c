/* The encoder for AVX-512: a column of 64 rows is one register, and so is a quarter of a table of 256 bytes. */
#include "compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "encode.h"
#include "levels.h"

#if defined(__clang__)
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))
#else
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,prefer-vector-width=512")))
#endif

ZML_INLINE ZML_TARGET __m512i found_in_256(const uint8_t *table, __m512i i) {
  const __m512i lower = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), i, _mm512_loadu_si512(table + 64));
  const __m512i upper = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), i, _mm512_loadu_si512(table + 192));
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(i), lower, upper);
}

#define lookup_256 lookup_256
ZML_INLINE ZML_TARGET void lookup_256(const uint8_t *table, const uint32_t *index, uint32_t *found) {
  _mm512_storeu_si512(found, found_in_256(table, _mm512_loadu_si512(index)));
}

#define lookup_16 lookup_16
ZML_INLINE ZML_TARGET void lookup_16(const uint8_t *table, const uint32_t *index, uint32_t *found) {
  const __m512i levels = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
  _mm512_storeu_si512(found, _mm512_shuffle_epi8(levels, _mm512_loadu_si512(index)));
}

#define transpose transpose
ZML_INLINE ZML_TARGET void transpose(const uint32_t (*from)[16], uint32_t *to, size_t stride) {
  __m512i a[16], b[16];
  for (int i = 0; i < 16; i++)
    a[i] = _mm512_loadu_si512(from[i]);
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
    _mm512_storeu_si512(to + (size_t)k * stride, _mm512_shuffle_i32x4(even, even2, 0x88));
    _mm512_storeu_si512(to + (size_t)(k + 4) * stride, _mm512_shuffle_i32x4(odd, odd2, 0x88));
    _mm512_storeu_si512(to + (size_t)(k + 8) * stride, _mm512_shuffle_i32x4(even, even2, 0xdd));
    _mm512_storeu_si512(to + (size_t)(k + 12) * stride, _mm512_shuffle_i32x4(odd, odd2, 0xdd));
  }
}

#define add_products add_products
ZML_INLINE ZML_TARGET void add_products(const uint32_t *coordinates, const uint32_t *keys, size_t n_columns,
                                        uint64_t *content) {
  __m512i even[4], odd[4]; /* rows 16 * p + 2 * i and the ones after them */
  for (int p = 0; p < 4; p++)
    even[p] = odd[p] = _mm512_setzero_si512();
  for (size_t j = 0; j < n_columns; j++) {
    const __m512i key = _mm512_set1_epi32((int)(keys[j] | 1));
    for (int p = 0; p < 4; p++) {
      const __m512i t = _mm512_loadu_si512(coordinates + 64 * j + 16 * p);
      even[p] = _mm512_add_epi64(even[p], _mm512_mul_epu32(t, key));
      odd[p] = _mm512_add_epi64(odd[p], _mm512_mul_epu32(_mm512_srli_epi64(t, 32), key));
    }
  }
  const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11),
                last = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
  for (int p = 0; p < 4; p++) {
    _mm512_storeu_si512(content + 16 * p, _mm512_permutex2var_epi64(even[p], first, odd[p]));
    _mm512_storeu_si512(content + 16 * p + 8, _mm512_permutex2var_epi64(even[p], last, odd[p]));
  }
}

ZML_INLINE ZML_TARGET __m512i set(uint32_t value) { return _mm512_set1_epi32((int)value); }

/* zml_mix32 from its first product on, with `more` mixed in after it. */
ZML_INLINE ZML_TARGET __m512i finish_mixing(__m512i x, __m512i more) {
  x = _mm512_xor_si512(_mm512_mullo_epi32(x, set(0x85ebca6bu)), more);
  x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 13)), set(0xc2b2ae35u));
  return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

#define draw_pair draw_pair
ZML_INLINE ZML_TARGET void draw_pair(const uint32_t *low, const uint32_t *high, uint32_t key, zml_sampling sampling,
                                     uint32_t *random, uint32_t *random2) {
  for (int p = 0; p < 4; p++) {
    __m512i x = _mm512_xor_si512(_mm512_loadu_si512(low + 16 * p), set(key));
    x = finish_mixing(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_loadu_si512(high + 16 * p));
    _mm512_storeu_si512(random + 16 * p, _mm512_or_si512(x, set(0x00010001)));
    if (sampling == ZML_DOUBLE) {
      x = _mm512_add_epi32(x, set(0x9e3779b9u));
      x = finish_mixing(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_setzero_si512());
      _mm512_storeu_si512(random2 + 16 * p, _mm512_or_si512(x, set(0x00010001)));
    }
  }
}

ZML_INLINE ZML_TARGET __mmask16 goes_up_mask(const uint32_t *random, int upper, __m512i gap, __m512i above) {
  const __m512i x = _mm512_loadu_si512(random);
  const __m512i bits = upper ? _mm512_srli_epi32(x, 16) : _mm512_and_si512(x, set(0xffff));
  return _mm512_cmplt_epu32_mask(_mm512_mullo_epi32(bits, gap), _mm512_slli_epi32(above, 16 - ZML_GRID_SHIFT));
}

ZML_INLINE ZML_TARGET void add_to(uint32_t *lanes, __m512i values) {
  _mm512_storeu_si512(lanes, _mm512_add_epi32(_mm512_loadu_si512(lanes), values));
}

#define round_column round_column
ZML_INLINE ZML_TARGET void round_column(const uint32_t *t, const uint32_t *random, const uint32_t *random2, int upper,
                                        const zml_codebook *book, size_t column, zml_sampling sampling, int few,
                                        uint32_t *codes, uint32_t *noise, zml_lanes *lanes) {
  const __m512i byte = set(0xff), zero = _mm512_setzero_si512();
  __m512i cell = zero, index = zero, below, gap, ups = zero;
  __m512i sum = zero, square = zero, low_noise = zero, high_noise = zero;
  for (int p = 0; p < 4; p++) {
    const __m512i k = _mm512_srli_epi32(_mm512_loadu_si512(t + 16 * p), ZML_GRID_SHIFT);
    cell = _mm512_or_si512(cell, _mm512_slli_epi32(k, 8 * p));
  }
  if (few) {
    const __m512i levels =
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(book->levels + ZML_MAX_CODES * column)));
    index = found_in_256(book->interval + 256 * column, cell);
    below = _mm512_shuffle_epi8(levels, index);
    gap = _mm512_sub_epi8(_mm512_shuffle_epi8(levels, _mm512_add_epi8(index, _mm512_set1_epi8(1))), below);
  } else {
    below = found_in_256(book->below + 256 * column, cell);
    gap = found_in_256(book->gap + 256 * column, cell);
  }
  for (int p = 0; p < 4; p++) {
    const __m512i low = _mm512_and_si512(_mm512_srli_epi32(below, 8 * p), byte);
    const __m512i g = _mm512_and_si512(_mm512_srli_epi32(gap, 8 * p), byte);
    const __m512i above = _mm512_sub_epi32(_mm512_loadu_si512(t + 16 * p), _mm512_slli_epi32(low, ZML_GRID_SHIFT));
    __m512i rise, error = zero;
    if (sampling == ZML_DOUBLE) {
      const __mmask16 up = goes_up_mask(random + 16 * p, upper, g, above);
      const __mmask16 up2 = goes_up_mask(random2 + 16 * p, upper, g, above);
      const __m512i half = _mm512_srli_epi32(g, 1);
      rise = _mm512_maskz_mov_epi32(up, half);
      rise = _mm512_mask_add_epi32(rise, up2, rise, half);
      error = _mm512_abs_epi32(_mm512_sub_epi32(_mm512_slli_epi32(rise, ZML_GRID_SHIFT), above));
      if (few) {
        ups = _mm512_mask_add_epi32(ups, up, ups, set(1u << 8 * p));
        ups = _mm512_mask_add_epi32(ups, up2, ups, set(1u << 8 * p));
      }
    } else {
      const __m512i size = _mm512_slli_epi32(g, ZML_GRID_SHIFT), twice = _mm512_add_epi32(above, above);
      const __mmask16 up = sampling == ZML_NEAREST
                               ? _mm512_mask_cmpge_epu32_mask(_mm512_test_epi32_mask(g, g), twice, size)
                               : goes_up_mask(random + 16 * p, upper, g, above);
      rise = _mm512_maskz_mov_epi32(up, g);
      if (sampling == ZML_COMPENSATED)
        error = _mm512_mask_sub_epi32(above, up, size, above);
      if (few)
        ups = _mm512_mask_add_epi32(ups, up, ups, set(1u << 8 * p));
    }
    if (sampling == ZML_COMPENSATED || sampling == ZML_DOUBLE) {
      error = _mm512_srli_epi32(_mm512_add_epi32(error, set(8)), ZML_GRID_SHIFT - 8);
      error = _mm512_mullo_epi32(error, error);
    }
    if (few) {
      _mm512_storeu_si512(noise + 16 * p, error);
      continue;
    }
    const __m512i position = _mm512_add_epi32(low, rise);
    ups = _mm512_or_si512(ups, _mm512_slli_epi32(position, 8 * p));
    sum = _mm512_add_epi32(sum, position);
    square = _mm512_add_epi32(square, _mm512_madd_epi16(position, position));
    low_noise = _mm512_add_epi32(low_noise, _mm512_and_si512(error, set(0xffff)));
    high_noise = _mm512_add_epi32(high_noise, _mm512_srli_epi32(error, 16));
  }
  if (few) {
    index = sampling == ZML_DOUBLE ? _mm512_add_epi8(index, index) : index;
    _mm512_storeu_si512(codes, _mm512_add_epi8(index, ups));
    return;
  }
  _mm512_storeu_si512(codes, ups);
  add_to(lanes->sum, sum);
  add_to(lanes->square, square);
  add_to(lanes->noise, low_noise);
  add_to(lanes->more_noise, high_noise);
}

ZML_INLINE ZML_TARGET __m512i draw_bytes(const zml_lane_keys *keys, uint32_t key) {
  const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(keys->low), set(key));
  return finish_mixing(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_loadu_si512(keys->high));
}

ZML_INLINE ZML_TARGET __m512i found_in(const uint8_t *table, __m512i codes, int bytes) {
  if (bytes)
    return found_in_256(table, codes);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), codes);
}

/* sum += the squares of bytes: vpdpbusd takes one of its factors as signed, so 128 is taken away and given back. */
ZML_INLINE ZML_TARGET void add_squares(uint32_t *lanes, __m512i bytes) {
  const __m512i half = _mm512_set1_epi8(64), less = _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
  __m512i sum = _mm512_dpbusd_epi32(_mm512_loadu_si512(lanes), bytes, less);
  sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, bytes, half), bytes, half);
  _mm512_storeu_si512(lanes, sum);
}

#define narrow_column narrow_column
ZML_INLINE ZML_TARGET void narrow_column(const zml_narrowing *plan, size_t j, const uint32_t *column_keys,
                                         const zml_lane_keys *keys, const uint32_t *codes, int from, int to, int pairs,
                                         uint32_t *narrowed, zml_narrowing_sums *sums) {
  const __m512i code = _mm512_loadu_si512(codes);
  __m512i fewer = found_in(plan->base + 256 * j, code, from);
  for (int draw = 0; draw <= pairs; draw++) {
    const uint8_t *odds = (draw ? plan->odds2 : plan->odds) + 512 * j;
    const __m512i upper = draw_bytes(keys, column_keys[2 * draw]), lower = draw_bytes(keys, column_keys[2 * draw + 1]);
    const __m512i high = found_in(odds, code, from), low = found_in(odds + 256, code, from);
    const __mmask64 tie = _mm512_mask_cmplt_epu8_mask(_mm512_cmpeq_epi8_mask(upper, high), lower, low);
    const __mmask64 up = _mm512_cmplt_epu8_mask(upper, high) | tie;
    const __m512i rise = to ? found_in((draw ? plan->rise2 : plan->rise) + 256 * j, code, from) : _mm512_set1_epi8(1);
    fewer = _mm512_mask_add_epi8(fewer, up, fewer, rise);
  }
  _mm512_storeu_si512(narrowed, fewer);
  const __m512i before = from ? code : found_in(plan->before + 256 * j, code, 0);
  const __m512i after = to ? fewer : found_in(plan->after + ZML_MAX_CODES * j, fewer, 0);
  _mm512_storeu_si512(sums->sum, _mm512_dpbusd_epi32(_mm512_loadu_si512(sums->sum), after, _mm512_set1_epi8(1)));
  add_squares(sums->square, after);
  add_squares(sums->error, _mm512_sub_epi8(_mm512_max_epu8(before, after), _mm512_min_epu8(before, after)));
}

#include "encode_functions.h"

const zml_encoding zml_encoding_avx512 = {ZML_ENCODING};
#endif
