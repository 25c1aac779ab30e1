/* Requantizing for AVX-512; part of avx512.c. See requantize-inl.h. */

ZML_TARGET_INLINE __m512i byte_draw(const ByteKeys *keys, __m512i column_key) {
  const __m512i product = _mm512_mullo_epi32(_mm512_xor_si512(_mm512_load_si512(keys->word), column_key),
                                             _mm512_load_si512(keys->multiplier));
  return _mm512_xor_si512(product, _mm512_srli_epi32(product, 16));
}

/* What a byte has to be below for a code to go up, in this block. */
ZML_TARGET_INLINE Table block_thresholds(const RequantizeBlock *block, const uint8_t *threshold, int draw, size_t j) {
  const __m512i key = set(zml_draw_key((uint32_t)j, 2 + (uint32_t)draw));
  Table table;
  for (int k = 0; k < 4; k++) {
    const __m512i high = _mm512_loadu_si512(threshold + 64 * k), low = _mm512_loadu_si512(threshold + 256 + 64 * k);
    const __mmask64 more = _mm512_cmplt_epu8_mask(byte_draw(&block->codes[k], key), low);
    table.quarter[k] = _mm512_mask_add_epi8(high, more, high, _mm512_set1_epi8(1));
  }
  return table;
}

/* Tables of 16 codes are in every quarter of the first register. */
ZML_TARGET_INLINE Table table_of_codes(const uint8_t *table, int bytes) {
  return bytes ? table_of(table) : (Table){{four_times(table)}};
}

ZML_TARGET_INLINE __m512i found_as(const Table *table, __m512i codes, int bytes) {
  return bytes ? found_in_table(table, codes) : _mm512_shuffle_epi8(table->quarter[0], codes);
}

/* sum + the squares of bytes: vpdpbusd takes one of its factors as signed, so of large ones 128 is taken away and given
 * back. */
ZML_TARGET_INLINE __m512i add_squares(__m512i sum, __m512i bytes, int large) {
  if (!large)
    return _mm512_dpbusd_epi32(sum, bytes, bytes);
  const __m512i half = _mm512_set1_epi8(64), less = _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
  return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, bytes, less), bytes, half), bytes, half);
}

#define requantize_column requantize_column
ZML_TARGET_INLINE void requantize_column(const zml_requantization *plan, size_t j, const RequantizeBlock *block,
                                         int from, int to, int pairs, uint32_t (*words)[ZML_GROUP_COLUMNS][WORDS],
                                         RequantizeSums *sums) {
  const Table base = table_of_codes(plan->base + 256 * j, from);
  const __m512i positions = to ? set(0) : four_times(plan->after + ZML_MAX_CODES * j);
  const __m512i old_positions = from ? set(0) : four_times(plan->before + ZML_MAX_CODES * j);
  const __m512i ones = kept(0x01010101), top_bits = kept(0x80808080);
  const int far = plan->far[j];
  __m512i keys[2];
  Table limit[2], rise[2];
  __m512i requantized[REQUANTIZE_TILES];
  for (int draw = 0; draw <= pairs; draw++) {
    keys[draw] = set(zml_draw_key((uint32_t)j, (uint32_t)draw));
    limit[draw] = block_thresholds(block, (draw ? plan->threshold2 : plan->threshold) + 512 * j, draw, j);
    if (!from)
      limit[draw].quarter[0] = _mm512_shuffle_i32x4(limit[draw].quarter[0], limit[draw].quarter[0], 0);
    if (to)
      rise[draw] = table_of_codes((draw ? plan->rise2 : plan->rise) + 256 * j, from);
  }
  for (size_t t = 0; t < block->n_tiles; t++) {
    const __m512i code = _mm512_load_si512(words[t][0]);
    __m512i fewer = found_as(&base, code, from);
    for (int draw = 0; draw <= pairs; draw++) {
      const __m512i bytes = byte_draw(&block->rows[t], keys[draw]);
      const __mmask64 up = _mm512_cmplt_epu8_mask(bytes, found_as(&limit[draw], code, from));
      fewer = _mm512_mask_add_epi8(fewer, up, fewer, to ? found_as(&rise[draw], code, from) : ones);
    }
    requantized[t] = fewer;
  }
  __m512i sum = _mm512_setzero_si512(), square = sum, error = sum;
  for (size_t t = 0; t < block->n_tiles; t++) { /* apart, for one loop would wait for its own results */
    const __m512i code = _mm512_load_si512(words[t][0]), fewer = requantized[t];
    const __m512i before = from ? code : _mm512_shuffle_epi8(old_positions, code);
    const __m512i after = to ? fewer : _mm512_shuffle_epi8(positions, fewer);
    _mm512_store_si512(words[t][0], fewer);
    sum = _mm512_dpbusd_epi32(sum, after, ones);
    square = _mm512_dpbusd_epi32(square, after, _mm512_xor_si512(after, top_bits)); /* p * (p - 128) */
    if (far)
      error = add_squares(error, _mm512_sub_epi8(_mm512_max_epu8(before, after), _mm512_min_epu8(before, after)), 1);
    else
      error = add_squares(error, _mm512_abs_epi8(_mm512_sub_epi8(after, before)), 0);
  }
  const int64_t total = _mm512_reduce_add_epi32(sum);
  sums->sum += (uint64_t)total;
  sums->square += (uint64_t)(_mm512_reduce_add_epi32(square) + 128 * total);
  sums->error += (uint64_t)(uint32_t)_mm512_reduce_add_epi32(error);
}

/* A line's bytes are sums of a column's codes times powers of two. */
#define join_planes join_planes
ZML_TARGET_INLINE void join_planes(const uint32_t (*codes)[WORDS], int width, uint32_t (*lines)[WORDS]) {
  __m512i of[4], swapped[4];
  for (int c = 0; c < 4; c++) {
    const __m512i code = _mm512_load_si512(codes[c]);
    if (width == 4)
      of[c] = _mm512_maddubs_epi16(code, set(0x10011001));
    else
      of[c] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), code, set(width == 2 ? 0x40100401 : 0x08040201));
  }
  swap_registers(of, swapped);
  _mm512_store_si512(lines[0], swapped[0]);
  _mm512_store_si512(lines[1], swapped[2]);
}
