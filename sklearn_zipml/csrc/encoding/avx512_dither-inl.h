/* Rounding with known dither for AVX-512; part of avx512.c, as avx512_round-inl.h, whose words these are. */

/* Words of 1/128: how far the positions of codes, from the first rung on, are from the values. */
ZML_TARGET_INLINE void dithered_errors(const Places *p, __m512i position, __m512i base, __m512i *error) {
  const __m512i low_bytes = kept(0x00ff00ff);
  for (int odd = 0; odd < 2; odd++) {
    const __m512i to = odd ? _mm512_srli_epi16(position, 8) : _mm512_and_si512(position, low_bytes);
    const __m512i from = odd ? _mm512_srli_epi16(p->below, 8) : _mm512_and_si512(p->below, low_bytes);
    const __m512i steps = _mm512_sub_epi16(_mm512_sub_epi16(to, from), base);
    const __m512i above = _mm512_avg_epu16(p->above[odd], _mm512_setzero_si512());
    error[odd] = _mm512_sub_epi16(_mm512_slli_epi16(steps, 7), above);
  }
}

/* Takes codes, positions and errors from the rows of a tile that are not there. */
ZML_TARGET ZML_APART void clear_rows(size_t count, __m512i *code, __m512i *position, __m512i *error) {
  ZML_ALIGNED uint8_t is_there[ZML_TILE_ROWS] = {0};
  for (size_t i = 0; i < count; i++)
    is_there[CODE_PLACE(i)] = 1;
  const __mmask64 rows = _mm512_test_epi8_mask(_mm512_load_si512(is_there), kept(0x01010101));
  const __m512i all = _mm512_maskz_mov_epi8(rows, kept(0xffffffff));
  *code = _mm512_and_si512(*code, all);
  *position = _mm512_and_si512(*position, all);
  error[0] = _mm512_and_si512(error[0], _mm512_srai_epi16(_mm512_slli_epi16(all, 8), 8));
  error[1] = _mm512_and_si512(error[1], _mm512_srai_epi16(all, 8));
}

/* Bytes out of their lower halves, words of even and of odd ones. */
ZML_TARGET_INLINE __m512i bytes_of_words(const __m512i *words, const RoundWords *with) {
  return choose(with->upper_bytes, _mm512_slli_epi16(words[1], 8), words[0]);
}

/* How the states of a column become codes and positions. */
typedef struct {
  int has_seeds, rungs; /* whether rows have seeds, by which a code may be several states */
  __m512i positions, multiplier, base;
} DitherWords;

ZML_TARGET_INLINE DitherWords dither_words(const zml_codebook *book, size_t j, int has_seeds) {
  DitherWords of = {.has_seeds = has_seeds, .rungs = has_seeds && book->first_rung[j]};
  of.positions = four_times(book->positions + ZML_MAX_CODES * j);
  of.multiplier = _mm512_set1_epi16(has_seeds ? (short)book->multiplier[j] : 0);
  of.base = _mm512_set1_epi16((short)book->first_rung[j]);
  return of;
}

/* Codes of states, and where their positions are in the table. */
ZML_TARGET_INLINE __m512i codes_of_dither(const DitherWords *of, const Keys *keys, const __m512i *bits,
                                          const RoundWords *with, __m512i state, __m512i *at) {
  if (!of->has_seeds) { /* the lowest bits of draws: a code becomes odd or even as they are */
    const __m512i odd = _mm512_and_si512(_mm512_xor_si512(state, bytes_of_words(bits, with)), kept(0x01010101));
    return *at = _mm512_add_epi8(state, odd);
  }
  __m512i words[2];
  for (int odd = 0; odd < 2; odd++) {
    const __m512i seeds = _mm512_load_si512(keys->word[3] + 32 * odd);
    words[odd] = _mm512_srli_epi16(_mm512_mullo_epi16(seeds, of->multiplier), 14);
  }
  const __m512i dither = bytes_of_words(words, with), three = kept(0x03030303);
  const __m512i raised = _mm512_sub_epi8(_mm512_add_epi8(state, three), dither);
  const __m512i code = of->rungs ? _mm512_and_si512(_mm512_srli_epi16(raised, 2), three) : state;
  *at = _mm512_add_epi8(_mm512_slli_epi16(code, 2), dither); /* bytes up to 15 */
  return code;
}

ZML_TARGET_INLINE void round_by_states(const Batch *batch, size_t j, int has_seeds, uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  zml_lanes *lanes = batch->work->lanes + j;
  const size_t next = zml_padded_columns(book->n_columns) / 2 * ZML_TILE_ROWS;
  const uint32_t *from = batch->work->coordinates + j / 2 * ZML_TILE_ROWS;
  const ColumnLevels levels = levels_of_column(book, j, 1);
  /* errors of states of two positions are below two gaps */
  const int width = has_seeds ? 2 : 4, far = has_seeds || _mm512_test_epi8_mask(levels.gaps, kept(0xc0c0c0c0));
  fetch_column(batch, j + 1, book->interval);
  const DrawKey key = draw_key(book, 0, j);
  const RoundWords with = round_words(j);
  const DitherWords of = dither_words(book, j, has_seeds);
  const __m512i one_bytes = kept(0x01010101), top_bits = kept(0x80808080);
  __m512i noise = _mm512_setzero_si512(), squares = noise, sum = noise, square = noise;
  ZML_ALIGNED int16_t errors[ZML_BLOCK_TILES][ZML_TILE_ROWS];
  for (size_t tile = 0; tile < batch->n_tiles; tile++, from += next) {
    const Places places = places_of(from, &levels, &with, 1);
    __m512i state = places.interval, bits[2], error[2], at;
    for (int odd = 0; odd < 2; odd++) {
      bits[odd] = drawn(&batch->keys[tile], odd, 0, key);
      const __m512i share = _mm512_mulhi_epu16(_mm512_or_si512(bits[odd], with.ones), places.gap[odd]);
      const __mmask32 up = _mm512_cmplt_epu16_mask(share, places.above[odd]);
      state = _mm512_mask_add_epi16(state, up, state, odd ? with.upper_ones : with.ones);
    }
    __m512i code = codes_of_dither(&of, &batch->keys[tile], bits, &with, state, &at);
    __m512i position = _mm512_shuffle_epi8(of.positions, at);
    dithered_errors(&places, position, of.base, error);
    if (batch->n_rows < (tile + 1) * ZML_TILE_ROWS)
      clear_rows(batch->n_rows - tile * ZML_TILE_ROWS, &code, &position, error);
    _mm512_storeu_si512(codes[tile], code);
    if (has_seeds) { /* else they follow from the hits */
      sum = _mm512_dpbusd_epi32(sum, position, one_bytes);
      square = _mm512_dpbusd_epi32(square, position, _mm512_xor_si512(position, top_bits));
    }
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
  _mm512_storeu_si512(lanes->sum, _mm512_add_epi32(_mm512_loadu_si512(lanes->sum), sum));
  _mm512_storeu_si512(lanes->square, _mm512_add_epi32(_mm512_loadu_si512(lanes->square), square));
  _mm512_storeu_si512(lanes->noise, _mm512_add_epi64(_mm512_loadu_si512(lanes->noise), add_words(noise, squares)));
  count_rows(batch, codes, width, lanes->hits);
  if (batch->tally)
    tally_rows(batch, codes, (const int16_t (*)[ZML_TILE_ROWS])errors, width, batch->work->tallies + ZML_MAX_CODES * j);
}

#define round_dithered_column round_dithered_column
ZML_TARGET static void round_dithered_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  round_by_states(batch, j, 1, codes);
}

#define round_parity_column round_parity_column
ZML_TARGET static void round_parity_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  round_by_states(batch, j, 0, codes);
}
