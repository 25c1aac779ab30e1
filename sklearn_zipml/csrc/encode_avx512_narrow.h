/* Narrowing for AVX-512; part of encode_avx512.c. */

/* zml_mix32 from its first product on, with `more` mixed in after it. */
STEP __m512i finish_mixing(__m512i x, __m512i more) {
  x = _mm512_xor_si512(_mm512_mullo_epi32(x, set(0x85ebca6bu)), more);
  x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_srli_epi32(x, 13)), set(0xc2b2ae35u));
  return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

STEP __m512i draw_bytes(const zml_lane_keys *keys, uint32_t key) {
  const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(keys->low), set(key));
  return finish_mixing(_mm512_xor_si512(x, _mm512_srli_epi32(x, 16)), _mm512_loadu_si512(keys->high));
}

STEP __m512i found_in(const uint8_t *table, __m512i codes, int bytes) {
  if (bytes)
    return found_in_256(table, codes);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), codes);
}

/* sum += the squares of bytes: vpdpbusd takes one of its factors as signed, so 128 is taken away and given back. */
STEP void add_squares(uint32_t *lanes, __m512i bytes) {
  const __m512i half = _mm512_set1_epi8(64), less = _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
  __m512i sum = _mm512_dpbusd_epi32(_mm512_loadu_si512(lanes), bytes, less);
  sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, bytes, half), bytes, half);
  _mm512_storeu_si512(lanes, sum);
}

#define narrow_column narrow_column
STEP void narrow_column(const zml_narrowing *plan, size_t j, const uint32_t *column_keys, const zml_lane_keys *keys,
                        const uint32_t *codes, int from, int to, int pairs, uint32_t *narrowed,
                        zml_narrowing_sums *sums) {
  const __m512i code = _mm512_loadu_si512(codes);
  __m512i fewer = found_in(plan->base + 256 * j, code, from);
  for (int draw = 0; draw <= pairs; draw++) {
    const uint8_t *odds = (draw ? plan->odds2 : plan->odds) + 512 * j;
    /* the lower half of a draw matters only where the upper one ties */
    const __m512i upper = draw_bytes(keys, column_keys[2 * draw]), high = found_in(odds, code, from);
    const __mmask64 tie = _mm512_cmpeq_epi8_mask(upper, high);
    __mmask64 up = _mm512_cmplt_epu8_mask(upper, high);
    if (tie) {
      const __m512i lower = draw_bytes(keys, column_keys[2 * draw + 1]), low = found_in(odds + 256, code, from);
      up |= _mm512_mask_cmplt_epu8_mask(tie, lower, low);
    }
    const __m512i rise = to ? found_in((draw ? plan->rise2 : plan->rise) + 256 * j, code, from) : _mm512_set1_epi8(1);
    fewer = _mm512_mask_add_epi8(fewer, up, fewer, rise);
  }
  _mm512_storeu_si512(narrowed, fewer);
  const __m512i before = from ? code : found_in(plan->before + 256 * j, code, 0);
  const __m512i after = to ? fewer : found_in(plan->after + ZML_MAX_CODES * j, fewer, 0);
  _mm512_storeu_si512(sums->sum, _mm512_dpbusd_epi32(_mm512_loadu_si512(sums->sum), after, _mm512_set1_epi8(1)));
  const __m512i square = _mm512_loadu_si512(sums->square);
  _mm512_storeu_si512(sums->square,
                      _mm512_dpbusd_epi32(square, after, _mm512_xor_si512(after, _mm512_set1_epi8((char)0x80))));
  add_squares(sums->error, _mm512_sub_epi8(_mm512_max_epu8(before, after), _mm512_min_epu8(before, after)));
}
