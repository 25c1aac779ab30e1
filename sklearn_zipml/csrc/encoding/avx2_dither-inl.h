/* Rounding with known dither for AVX2; part of avx2.c, as avx2_round-inl.h, whose words these are. */

/* Bytes out of words below 256. */
ZML_TARGET_INLINE __m256i bytes_of_words(const __m256i *words) { return _mm256_packus_epi16(words[0], words[1]); }

/* How the states of a column become codes and positions. */
typedef struct {
  int has_seeds, rungs; /* whether rows have seeds, by which a code may be several states */
  __m256i positions, multiplier, base;
} DitherWords;

ZML_TARGET_INLINE DitherWords dither_words(const zml_codebook *book, size_t j, int has_seeds) {
  DitherWords of = {.has_seeds = has_seeds, .rungs = has_seeds && book->first_rung[j]};
  of.positions = twice(book->positions + ZML_MAX_CODES * j);
  of.multiplier = _mm256_set1_epi16(has_seeds ? (short)book->multiplier[j] : 0);
  of.base = _mm256_set1_epi16((short)(book->first_rung[j] << 7));
  return of;
}

/* Codes of states, and where their positions are in the table. */
ZML_TARGET_INLINE __m256i codes_of_dither(const DitherWords *of, const Keys *keys, size_t first, const __m256i *bits,
                                          __m256i state, __m256i *at) {
  __m256i words[2];
  if (!of->has_seeds) { /* the lowest bits of draws: a code becomes odd or even as they are */
    BOTH(k)
    words[k] = _mm256_and_si256(bits[k], _mm256_set1_epi16(1));
    const __m256i odd = _mm256_and_si256(_mm256_xor_si256(state, bytes_of_words(words)), _mm256_set1_epi8(1));
    return *at = _mm256_add_epi8(state, odd);
  }
  BOTH(k)
  words[k] = _mm256_srli_epi16(_mm256_mullo_epi16(key_words(keys, 3, first + 16 * k), of->multiplier), 14);
  const __m256i dither = bytes_of_words(words), three = _mm256_set1_epi8(3);
  const __m256i raised = _mm256_sub_epi8(_mm256_add_epi8(state, three), dither);
  const __m256i code = of->rungs ? _mm256_and_si256(_mm256_srli_epi16(raised, 2), three) : state;
  *at = _mm256_add_epi8(_mm256_slli_epi16(code, 2), dither); /* bytes up to 15 */
  return code;
}

/* Ones in the bytes of rows first..first+31 that are there. */
ZML_TARGET_INLINE __m256i rows_there(size_t first, size_t n_rows) {
  ZML_ALIGNED uint8_t is_there[32];
  for (size_t i = 0; i < 32; i++)
    is_there[i] = first + i < n_rows ? 255 : 0;
  return in_order(_mm256_load_si256((const __m256i *)is_there));
}

ZML_TARGET_INLINE void round_by_states(const Batch *batch, size_t j, int has_seeds, uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  zml_lanes *lanes = batch->work->lanes + j;
  const ColumnLevels levels = levels_of_column(book, j);
  /* errors of states of two positions are below two gaps */
  const int far = has_seeds || gaps_have(&levels, 0xc0);
  const WordOrder order = order_of_column(j);
  const DrawKey key = draw_key(book, 0, j);
  const DitherWords of = dither_words(book, j, has_seeds);
  const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi8(1), half_top = _mm256_set1_epi16(128);
  Errors sums = {zero, zero};
  __m256i sum = zero, square = zero;
  ZML_ALIGNED int16_t errors[ZML_BLOCK_TILES][ZML_TILE_ROWS];
  fetch_column(batch, j + 1);
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 32) {
      const Places p = places_of(pair + first, order, &levels, 8);
      const size_t row = tile * ZML_TILE_ROWS + first;
      const __m256i there = row + 32 <= batch->n_rows ? _mm256_set1_epi8(-1) : rows_there(row, batch->n_rows);
      __m256i bits[2], stay[2], at;
      BOTH(k) {
        bits[k] = drawn(&batch->keys[tile], first + 16 * k, 0, key);
        stay[k] = stays(bits[k], p.above.part[k], p.gap.part[k]);
      }
      const __m256i state = _mm256_add_epi8(p.interval, _mm256_add_epi8(one, _mm256_packs_epi16(stay[0], stay[1])));
      const __m256i code = codes_of_dither(&of, &batch->keys[tile], first, bits, state, &at);
      const __m256i position = _mm256_and_si256(_mm256_shuffle_epi8(of.positions, at), there);
      _mm256_storeu_si256((__m256i *)(codes[tile] + first), in_order(_mm256_and_si256(code, there)));
      const Words to = upper_halves(position), rows = upper_halves(there);
      sum = _mm256_add_epi32(sum, _mm256_sad_epu8(position, zero));
      BOTH(k) {
        const __m256i steps = _mm256_sub_epi16(_mm256_srli_epi16(to.part[k], 1), of.base);
        __m256i error = _mm256_sub_epi16(steps, _mm256_avg_epu16(p.value.part[k], zero));
        error = _mm256_and_si256(error, _mm256_srai_epi16(rows.part[k], 8));
        add_squares(&sums, error, far);
        const __m256i words = _mm256_srli_epi16(to.part[k], 8);
        if (has_seeds) /* else sums follow from the hits */
          square = _mm256_add_epi32(square, _mm256_madd_epi16(words, _mm256_sub_epi16(words, half_top)));
        if (batch->tally)
          _mm256_store_si256((__m256i *)(errors[tile] + first) + k, error);
      }
    }
    end_tile(&sums, far);
  }
  if (has_seeds) {
    add_to_words(lanes->sum, sum);
    add_to_words(lanes->square, square);
  }
  add_to_lanes(lanes->noise, sums.noise);
  add_hits((const uint8_t (*)[ZML_TILE_ROWS])codes, batch->n_tiles, has_seeds ? 4 : ZML_MAX_CODES, lanes->hits);
  if (batch->tally)
    tally_rows(batch->n_tiles, (const uint8_t (*)[ZML_TILE_ROWS])codes, (const int16_t (*)[ZML_TILE_ROWS])errors,
               batch->work->tallies + ZML_MAX_CODES * j);
}

#define round_dithered_column round_dithered_column
ZML_TARGET static void round_dithered_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  round_by_states(batch, j, 1, codes);
}

#define round_parity_column round_parity_column
ZML_TARGET static void round_parity_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  round_by_states(batch, j, 0, codes);
}
