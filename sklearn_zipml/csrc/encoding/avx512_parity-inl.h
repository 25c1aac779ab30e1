/* Rounding to 3 bits with known dither for AVX-512; part of avx512.c, as avx512_round-inl.h, whose words these are. */

/* Words of 1/128: how far the positions of codes, from the first rung on, are from the values. */
ZML_TARGET_INLINE void parity_errors(const Places *p, __m512i position, __m512i base, __m512i *error) {
  const __m512i low_bytes = kept(0x00ff00ff);
  for (int odd = 0; odd < 2; odd++) {
    const __m512i to = odd ? _mm512_srli_epi16(position, 8) : _mm512_and_si512(position, low_bytes);
    const __m512i from = odd ? _mm512_srli_epi16(p->below, 8) : _mm512_and_si512(p->below, low_bytes);
    const __m512i steps = _mm512_sub_epi16(_mm512_sub_epi16(to, from), base);
    const __m512i above = _mm512_avg_epu16(p->above[odd], _mm512_setzero_si512());
    error[odd] = _mm512_sub_epi16(_mm512_slli_epi16(steps, 7), above);
  }
}

/* Takes codes and errors from the rows of a tile that are not there. */
ZML_TARGET ZML_APART void clear_rows(size_t count, __m512i *code, __m512i *error) {
  ZML_ALIGNED uint8_t is_there[ZML_TILE_ROWS] = {0};
  for (size_t i = 0; i < count; i++)
    is_there[CODE_PLACE(i)] = 1;
  const __mmask64 rows = _mm512_test_epi8_mask(_mm512_load_si512(is_there), kept(0x01010101));
  const __m512i all = _mm512_maskz_mov_epi8(rows, kept(0xffffffff));
  *code = _mm512_and_si512(*code, all);
  error[0] = _mm512_and_si512(error[0], _mm512_srai_epi16(_mm512_slli_epi16(all, 8), 8));
  error[1] = _mm512_and_si512(error[1], _mm512_srai_epi16(all, 8));
}

#define round_parity_column round_parity_column
ZML_TARGET static void round_parity_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  zml_lanes *lanes = batch->work->lanes + j;
  const size_t next = zml_padded_columns(book->n_columns) / 2 * ZML_TILE_ROWS;
  const uint32_t *from = batch->work->coordinates + j / 2 * ZML_TILE_ROWS;
  const ColumnLevels levels = levels_of_column(book, j, 1);
  /* errors are below two gaps */
  const int far = _mm512_test_epi8_mask(levels.gaps, kept(0xc0c0c0c0)) != 0;
  fetch_column(batch, j + 1, book->interval);
  const DrawKey key = draw_key(book, 0, j);
  const RoundWords with = round_words(j);
  const __m512i positions = four_times(book->positions + ZML_MAX_CODES * j), one_bytes = kept(0x01010101);
  const __m512i base = _mm512_set1_epi16(book->spread[j] / 2);
  __m512i noise = _mm512_setzero_si512(), squares = noise;
  ZML_ALIGNED int16_t errors[ZML_BLOCK_TILES][ZML_TILE_ROWS];
  for (size_t tile = 0; tile < batch->n_tiles; tile++, from += next) {
    const Places places = places_of(from, &levels, &with, 1);
    __m512i code = places.interval, bits[2], error[2];
    for (int odd = 0; odd < 2; odd++) {
      bits[odd] = drawn(&batch->keys[tile], odd, 0, key);
      const __m512i share = _mm512_mulhi_epu16(_mm512_or_si512(bits[odd], with.ones), places.gap[odd]);
      const __mmask32 up = _mm512_cmplt_epu16_mask(share, places.above[odd]);
      code = _mm512_mask_add_epi16(code, up, code, odd ? with.upper_ones : with.ones);
    }
    /* the lowest bits of draws, as bytes: a code becomes odd or even as they are */
    const __m512i dither = choose(with.upper_bytes, _mm512_slli_epi16(bits[1], 8), bits[0]);
    code = _mm512_add_epi8(code, _mm512_and_si512(_mm512_xor_si512(code, dither), one_bytes));
    parity_errors(&places, _mm512_shuffle_epi8(positions, code), base, error);
    if (batch->n_rows < (tile + 1) * ZML_TILE_ROWS)
      clear_rows(batch->n_rows - tile * ZML_TILE_ROWS, &code, error);
    _mm512_storeu_si512(codes[tile], code);
    for (int odd = 0; odd < 2; odd++) {
      squares = _mm512_dpwssd_epi32(squares, error[odd], error[odd]);
      if (batch->tally)
        _mm512_store_si512(errors[tile] + 32 * odd, error[odd]);
    }
    if (far) {
      noise = add_words(noise, squares);
      squares = _mm512_setzero_si512();
    }
  }
  _mm512_storeu_si512(lanes->noise, _mm512_add_epi64(_mm512_loadu_si512(lanes->noise), add_words(noise, squares)));
  count_rows(batch, codes, 4, lanes->hits);
  if (batch->tally)
    tally_rows(batch, codes, (const int16_t (*)[ZML_TILE_ROWS])errors, 4, batch->work->tallies + ZML_MAX_CODES * j);
}
