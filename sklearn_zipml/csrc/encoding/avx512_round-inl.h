/* Rounding for AVX-512; part of avx512.c. Arrays of two registers are words of even and of odd bytes. */

#define KEY_PLACE(i) ((i) / 16 % 2 * 32 + (i) % 16 * 2 + (i) / 32)
#define CODE_PLACE(i) ((i) % 16 * 4 + (i) / 32 * 2 + (i) / 16 % 2)

/* Upper and lower 16 bits of a column's draw key, repeated. */
typedef struct {
  __m512i low, high;
} DrawKey;

ZML_TARGET_INLINE DrawKey draw_key(const zml_codebook *book, int draw, size_t column) {
  const uint32_t key = book->draw_keys[draw][column];
  return (DrawKey){_mm512_set1_epi16((short)key), _mm512_set1_epi16((short)(key >> 16))};
}

/* zml_row_draw of 32 rows. */
ZML_TARGET_INLINE __m512i drawn(const Keys *keys, int odd, int draw, DrawKey key) {
  const __m512i a = _mm512_xor_si512(_mm512_load_si512(keys->word[0] + 32 * odd), key.low);
  const __m512i b = _mm512_xor_si512(_mm512_load_si512(keys->word[1] + 32 * odd), key.high);
  return _mm512_ternarylogic_epi32(_mm512_mullo_epi16(a, b), _mm512_mulhi_epu16(a, b),
                                   _mm512_load_si512(keys->word[2 + draw] + 32 * odd), 0x96);
}

/* Where values go up to the next level, as bits in the order of words: see goes_up in rounding-inl.h. */
ZML_TARGET_INLINE void goes_up_masks(const Keys *keys, int draw, DrawKey key, const __m512i *above, const __m512i *gap,
                                     __m512i ones, __mmask32 *up) {
  for (int odd = 0; odd < 2; odd++) {
    const __m512i bits = _mm512_or_si512(drawn(keys, odd, draw, key), ones);
    up[odd] = _mm512_cmplt_epu16_mask(_mm512_mulhi_epu16(bits, gap[odd]), above[odd]);
  }
}

/* Rows of codes 0..7 and of 8..15, in bytes: byte k of a lane of 8 counts those of its 8 rows whose bits are the ones
 * of k. A product with a matrix of bits, the codes, repeats bit b of these rows in all bytes; zeros has, for bit b,
 * ones in the bytes whose number lacks it. */
typedef struct {
  __m512i bit[3], of[4];
} Zeros;

ZML_TARGET_INLINE Zeros zeros_of_lanes(void) {
  Zeros zeros = {.bit = {_mm512_set1_epi64(0x00ff00ff00ff00ff), _mm512_set1_epi64(0x0000ffff0000ffff),
                         _mm512_set1_epi64(0x00000000ffffffff)}};
  for (int b = 0; b < 4; b++)
    zeros.of[b] = kept(0x01010101u << b);
  return zeros;
}

/* Adds to bytes that hold up to 31 calls. */
ZML_TARGET_INLINE void count_codes(__m512i code, int width, const Zeros *zeros, __m512i *counts) {
  __m512i like = _mm512_xor_si512(_mm512_gf2p8affine_epi64_epi8(zeros->of[0], code, 0), zeros->bit[0]);
  if (width > 1) /* a & (b ^ c) */
    like = _mm512_ternarylogic_epi64(like, _mm512_gf2p8affine_epi64_epi8(zeros->of[1], code, 0), zeros->bit[1], 0x60);
  if (width < 4) {
    counts[0] = _mm512_add_epi8(counts[0], _mm512_popcnt_epi8(like));
    return;
  }
  like = _mm512_ternarylogic_epi64(like, _mm512_gf2p8affine_epi64_epi8(zeros->of[2], code, 0), zeros->bit[2], 0x60);
  const __m512i high = _mm512_gf2p8affine_epi64_epi8(zeros->of[3], code, 0);
  counts[0] = _mm512_add_epi8(counts[0], _mm512_popcnt_epi8(_mm512_andnot_si512(high, like)));
  counts[1] = _mm512_add_epi8(counts[1], _mm512_popcnt_epi8(_mm512_and_si512(high, like)));
}

/* Adds these counts to numbers of 64 bits by code. */
ZML_TARGET_INLINE void add_counts(const __m512i *counts, int width, uint64_t *hits) {
  const __mmask8 there = (__mmask8)(width < 3 ? (1 << (1 << width)) - 1 : 0xff);
  const __m512i by_code = _mm512_add_epi8(_mm512_set1_epi64(0x3830282018100800),
                                          _mm512_setr_epi64(0, 0x0101010101010101, 0x0202020202020202,
                                                            0x0303030303030303, 0x0404040404040404, 0x0505050505050505,
                                                            0x0606060606060606, 0x0707070707070707));
  for (int half = 0; half < (width > 3 ? 2 : 1); half++) {
    const __m512i sums = _mm512_sad_epu8(_mm512_permutexvar_epi8(by_code, counts[half]), _mm512_setzero_si512());
    const __m512i before = _mm512_maskz_loadu_epi64(there, hits + 8 * half);
    _mm512_mask_storeu_epi64(hits + 8 * half, there, _mm512_add_epi64(before, sums));
  }
}

/* Rows and errors by code, four sums in turn: one would wait for itself. */
ZML_TARGET static void tally(const uint8_t *codes, const int16_t *errors, uint64_t *tallies) {
  uint64_t sums[4][ZML_MAX_CODES] = {{0}};
  for (int w = 0; w < 32; w += 2)
    for (int k = 0; k < 4; k++) { /* byte 2 * w + k is word w + k / 2 of register k % 2 */
      const int32_t error = errors[k % 2 * 32 + w + k / 2];
      sums[k][codes[2 * w + k]] += ZML_HIT + (uint32_t)(error * error);
    }
  for (int code = 0; code < ZML_MAX_CODES; code++)
    tallies[code] += sums[0][code] + sums[1][code] + sums[2][code] + sums[3][code];
}

/* The same of few codes, each in turn: words of even and of odd bytes that have it. */
ZML_TARGET ZML_APART void tally_few(const uint8_t *codes, const int16_t *errors, int n_codes, uint64_t *tallies) {
  const __m512i code = _mm512_loadu_si512(codes), error = _mm512_load_si512(errors);
  const __m512i even = _mm512_and_si512(code, set(0x00ff00ff)), odd = _mm512_srli_epi16(code, 8);
  const __m512i error2 = _mm512_load_si512(errors + 32);
  for (int k = 0; k < n_codes; k++) {
    const __m512i own = _mm512_set1_epi16((short)k);
    const __mmask32 there = _mm512_cmpeq_epi16_mask(even, own), there2 = _mm512_cmpeq_epi16_mask(odd, own);
    const __m512i a = _mm512_maskz_mov_epi16(there, error), b = _mm512_maskz_mov_epi16(there2, error2);
    const __m512i squares = _mm512_dpwssd_epi32(_mm512_madd_epi16(a, a), b, b); /* below 2^32 */
    const __m512i sums = _mm512_add_epi64(_mm512_srli_epi64(squares, 32), _mm512_maskz_mov_epi32(0x5555, squares));
    const int hits = __builtin_popcount(there) + __builtin_popcount(there2);
    tallies[k] += ZML_HIT * (uint64_t)hits + (uint64_t)_mm512_reduce_add_epi64(sums);
  }
}

/* What a column's table, lanes and, of every second one, coordinates take is fetched while the one before is rounded.
 */
ZML_TARGET_INLINE void fetch_column(const Batch *batch, size_t j, const uint8_t *table) {
  const char *lanes = (const char *)(batch->work->lanes + j);
  for (size_t k = 0; table && k < 256; k += ZML_LINE)
    ZML_PREFETCH(table + 256 * j + k);
  for (size_t k = 0; k < sizeof *batch->work->lanes; k += ZML_LINE)
    ZML_PREFETCH(lanes + k);
  for (size_t tile = 0; j % 2 == 0 && tile < batch->n_tiles; tile++) {
    const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
    ZML_PREFETCH(pair);
    ZML_PREFETCH(pair + 16);
    ZML_PREFETCH(pair + 32);
    ZML_PREFETCH(pair + 48);
  }
}

/* Words of a column out of those of its pair; order is one of the two of `orders`. */
ZML_TARGET_INLINE void take_column(const uint32_t *pair, __m512i order, __m512i *value) {
  for (int odd = 0; odd < 2; odd++) /* planes odd and odd + 2 */
    value[odd] =
        _mm512_permutex2var_epi16(_mm512_loadu_si512(pair + 16 * odd), order, _mm512_loadu_si512(pair + 32 + 16 * odd));
}

ZML_TARGET_INLINE __m512i order_of_column(size_t j) {
  const __m512i words = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_add_epi32(_mm512_mullo_epi32(words, set(0x00010001)), set(j % 2 ? 0x00210001 : 0x00200000));
}

/* Adds words without sign to numbers of 64 bits. */
ZML_TARGET_INLINE __m512i add_words(__m512i sums, __m512i words) {
  return _mm512_add_epi64(_mm512_add_epi64(sums, _mm512_srli_epi64(words, 32)), _mm512_maskz_mov_epi32(0x5555, words));
}

/* Where every position is a level, a code is the coordinate and a random fraction, less its own fraction. */
ZML_TARGET_INLINE void round_to_steps(const Batch *batch, size_t j, int noisy, uint8_t (*codes)[ZML_TILE_ROWS]) {
  zml_lanes *lanes = batch->work->lanes + j;
  const size_t next = zml_padded_columns(batch->book->n_columns) / 2 * ZML_TILE_ROWS;
  const uint32_t *from = batch->work->coordinates + j / 2 * ZML_TILE_ROWS;
  const DrawKey key = draw_key(batch->book, 0, j);
  const __m512i order = order_of_column(j), upper_bytes = kept(0xff00ff00);
  const __m512i one_bytes = kept(0x01010101), top_bits = kept(0x80808080), all = kept(0xffffffff);
  __m512i sum = _mm512_loadu_si512(lanes->sum), square = _mm512_loadu_si512(lanes->square);
  __m512i squares = _mm512_setzero_si512();
  fetch_column(batch, j + 1, NULL);
  for (size_t tile = 0; tile < batch->n_tiles; tile++, from += next) {
    __m512i value[2], raised[2];
    take_column(from, order, value);
    /* added is 255 less the upper byte of the draw: it goes up if that is below the fraction */
    for (int odd = 0; odd < 2; odd++) {
      const __m512i bits = _mm512_xor_si512(drawn(&batch->keys[tile], odd, 0, key), all);
      raised[odd] = _mm512_add_epi16(value[odd], _mm512_srli_epi16(bits, 8));
      const __m512i error = _mm512_sub_epi16(_mm512_and_si512(raised[odd], upper_bytes), value[odd]);
      const __m512i half = _mm512_srai_epi16(error, 1);
      squares = _mm512_dpwssd_epi32(squares, half, half);
    }
    const __m512i code = choose(upper_bytes, raised[1], _mm512_srli_epi16(raised[0], 8));
    _mm512_storeu_si512(codes[tile], code);
    sum = _mm512_dpbusd_epi32(sum, code, one_bytes);
    square = _mm512_dpbusd_epi32(square, code, _mm512_xor_si512(code, top_bits));
  }
  _mm512_storeu_si512(lanes->sum, sum);
  _mm512_storeu_si512(lanes->square, square);
  if (noisy)
    _mm512_storeu_si512(lanes->noise, add_words(_mm512_loadu_si512(lanes->noise), squares));
}

/* What is learnt from the codes of a column, apart from the loop that makes them: that needs its registers. */
ZML_TARGET_INLINE void count_rows(const Batch *batch, const uint8_t (*codes)[ZML_TILE_ROWS], int width,
                                  uint64_t *hits) {
  const Zeros zeros = zeros_of_lanes();
  __m512i counts[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  if (width == 4) {
    for (size_t tile = 0; tile < batch->n_tiles; tile++)
      count_codes(_mm512_load_si512(codes[tile]), 4, &zeros, counts);
    add_counts(counts, 4, hits);
  } else {
    for (size_t tile = 0; tile < batch->n_tiles; tile++)
      count_codes(_mm512_load_si512(codes[tile]), width, &zeros, counts);
    add_counts(counts, width, hits);
  }
}

ZML_TARGET ZML_APART void tally_rows(const Batch *batch, const uint8_t (*codes)[ZML_TILE_ROWS],
                                     const int16_t (*errors)[ZML_TILE_ROWS], int width, uint64_t *tallies) {
  for (size_t tile = 0; tile < batch->n_tiles; tile++)
    if (width < 4)
      tally_few(codes[tile], errors[tile], 1 << width, tallies);
    else
      tally(codes[tile], errors[tile], tallies);
}

ZML_TARGET_INLINE void sum_rows(const Batch *batch, const uint8_t (*codes)[ZML_TILE_ROWS], __m512i positions, int few,
                                zml_lanes *lanes) {
  const __m512i one_bytes = kept(0x01010101), top_bits = kept(0x80808080);
  __m512i sum = _mm512_loadu_si512(lanes->sum), square = _mm512_loadu_si512(lanes->square);
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    const __m512i code = _mm512_load_si512(codes[tile]);
    const __m512i position = few ? _mm512_shuffle_epi8(positions, code) : code;
    sum = _mm512_dpbusd_epi32(sum, position, one_bytes);
    square = _mm512_dpbusd_epi32(square, position, _mm512_xor_si512(position, top_bits));
  }
  _mm512_storeu_si512(lanes->sum, sum);
  _mm512_storeu_si512(lanes->square, square);
}

/* The levels of a column: by grid cell the number of the interval, where there are few, or the level below, and the gap
 * above it. `far` says whether a gap is 128 or more: errors of shorter ones add up to less than 2^32 in four tiles. */
typedef struct {
  Table cells, gap_cells;
  __m512i levels, gaps; /* by interval, if there are few */
  int far;
} ColumnLevels;

ZML_TARGET_INLINE ColumnLevels levels_of_column(const zml_codebook *book, size_t j, int few) {
  ColumnLevels of;
  of.cells = table_of((few ? book->interval : book->below) + 256 * j);
  of.gap_cells = few ? (Table){{set(0)}} : table_of(book->gap + 256 * j);
  of.levels = few ? four_times(book->levels + ZML_MAX_CODES * j) : set(0);
  of.gaps = few ? four_times(book->gaps + ZML_MAX_CODES * j) : set(0);
  const __m512i *gap = of.gap_cells.quarter;
  if (few)
    of.far = _mm_movemask_epi8(_mm512_castsi512_si128(of.gaps)) != 0;
  else
    of.far =
        _mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(gap[0], gap[1]), _mm512_or_si512(gap[2], gap[3]))) != 0;
  return of;
}

/* What the columns of all tiles are rounded with. */
typedef struct {
  __m512i order, to_cells, upper_bytes, ones, upper_ones;
} RoundWords;

ZML_TARGET_INLINE RoundWords round_words(size_t j) {
  const __m512i words = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const RoundWords with = {.order = order_of_column(j),
                           .to_cells =
                               _mm512_add_epi32(_mm512_mullo_epi32(words, set(0x04040404)),
                                                set(0x43034101)), /* upper bytes of words of two registers in turn */
                           .upper_bytes = kept(0xff00ff00),
                           .ones = kept(0x00010001),
                           .upper_ones = kept(0x01000100)};
  return with;
}

/* Where the rows of a tile are: interval (if levels are few) and level below, in bytes; in words of 1/256 how far above
 * it, and the gap to the next one. */
typedef struct {
  __m512i interval, below, above[2], gap[2];
} Places;

ZML_TARGET_INLINE Places places_of(const uint32_t *pair, const ColumnLevels *of, const RoundWords *with, int few) {
  Places p;
  __m512i value[2];
  take_column(pair, with->order, value);
  const __m512i cell = _mm512_permutex2var_epi8(value[0], with->to_cells, value[1]);
  p.interval = found_in_table(&of->cells, cell);
  p.below = few ? _mm512_shuffle_epi8(of->levels, p.interval) : p.interval;
  const __m512i step = few ? _mm512_shuffle_epi8(of->gaps, p.interval) : found_in_table(&of->gap_cells, cell);
  p.above[0] = _mm512_sub_epi16(value[0], _mm512_slli_epi16(p.below, 8));
  p.above[1] = _mm512_sub_epi16(value[1], _mm512_and_si512(p.below, with->upper_bytes));
  p.gap[0] = _mm512_slli_epi16(step, 8);
  p.gap[1] = _mm512_and_si512(step, with->upper_bytes);
  return p;
}

/* Codes of rows that go up or do not, in each of two draws if there are pairs. */
ZML_TARGET_INLINE __m512i codes_of(const Places *p, const __mmask32 (*up)[2], const RoundWords *with, int few,
                                   int pairs) {
  __m512i code = few && pairs ? _mm512_add_epi8(p->interval, p->interval) : few ? p->interval : p->below;
  for (int odd = 0; odd < 2; odd++) {
    /* levels of pairs are an even number of steps apart */
    const __m512i part = pairs ? _mm512_srli_epi16(p->gap[odd], 1) : p->gap[odd];
    const __m512i rise = few   ? (odd ? with->upper_ones : with->ones)
                         : odd ? _mm512_and_si512(part, with->upper_bytes)
                               : _mm512_srli_epi16(part, 8);
    code = _mm512_mask_add_epi16(code, up[0][odd], code, rise);
    if (pairs)
      code = _mm512_mask_add_epi16(code, up[1][odd], code, rise);
  }
  return code;
}

/* Their rounding errors, in 1/128, but for the sign. */
ZML_TARGET_INLINE __m512i errors_of(const Places *p, const __mmask32 (*up)[2], int odd, int pairs) {
  const __m512i near = _mm512_avg_epu16(p->above[odd], _mm512_setzero_si512());
  const __m512i step_up = _mm512_srli_epi16(p->gap[odd], pairs ? 2 : 1);
  if (!pairs)
    return _mm512_mask_sub_epi16(near, up[0][odd], step_up, near);
  const __m512i risen = _mm512_maskz_mov_epi16(up[0][odd], step_up);
  return _mm512_sub_epi16(_mm512_mask_add_epi16(risen, up[1][odd], risen, step_up), near);
}

#define round_column_as round_column_as
ZML_TARGET_INLINE void round_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                                       uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  const int pairs = sampling == ZML_DOUBLE, noisy = pairs || sampling == ZML_COMPENSATED;
  if (!few && book->every_position && (sampling == ZML_COMPENSATED || sampling == ZML_NAIVE)) {
    round_to_steps(batch, j, noisy, codes);
    return;
  }
  zml_lanes *lanes = batch->work->lanes + j;
  const size_t next = zml_padded_columns(book->n_columns) / 2 * ZML_TILE_ROWS;
  const uint32_t *from = batch->work->coordinates + j / 2 * ZML_TILE_ROWS;
  const ColumnLevels levels = levels_of_column(book, j, few);
  fetch_column(batch, j + 1, few ? book->interval : book->below);
  const DrawKey key = draw_key(book, 0, j), key2 = draw_key(book, 1, j);
  const RoundWords with = round_words(j);
  __m512i noise = _mm512_setzero_si512(), squares = noise;
  ZML_ALIGNED int16_t errors[ZML_BLOCK_TILES][ZML_TILE_ROWS];
  for (size_t tile = 0; tile < batch->n_tiles; tile++, from += next) {
    const Places places = places_of(from, &levels, &with, few);
    __mmask32 up[2][2] = {{0}};
    if (sampling == ZML_NEAREST)
      for (int odd = 0; odd < 2; odd++)
        up[0][odd] = _mm512_cmpge_epu16_mask(places.above[odd], _mm512_srli_epi16(places.gap[odd], 1));
    else
      goes_up_masks(&batch->keys[tile], 0, key, places.above, places.gap, with.ones, up[0]);
    if (pairs)
      goes_up_masks(&batch->keys[tile], 1, key2, places.above, places.gap, with.ones, up[1]);
    _mm512_storeu_si512(codes[tile], codes_of(&places, (const __mmask32(*)[2])up, &with, few, pairs));
    if (!noisy)
      continue;
    for (int odd = 0; odd < 2; odd++) {
      const __m512i error = errors_of(&places, (const __mmask32(*)[2])up, odd, pairs);
      squares = _mm512_dpwssd_epi32(squares, error, error);
      if (few && batch->tally)
        _mm512_store_si512(errors[tile] + 32 * odd, error);
    }
    if (levels.far) {
      noise = add_words(noise, squares);
      squares = _mm512_setzero_si512();
    }
  }
  if (noisy)
    _mm512_storeu_si512(lanes->noise, _mm512_add_epi64(_mm512_loadu_si512(lanes->noise), add_words(noise, squares)));
  if (few && noisy) { /* sums follow from the hits */
    count_rows(batch, codes, book->width, lanes->hits);
    if (batch->tally)
      tally_rows(batch, codes, (const int16_t (*)[ZML_TILE_ROWS])errors, book->width,
                 batch->work->tallies + ZML_MAX_CODES * j);
  } else
    sum_rows(batch, codes, few ? four_times(book->positions + ZML_MAX_CODES * j) : set(0), few, lanes);
}

#define join_codes join_codes
ZML_TARGET_INLINE void join_codes(const uint8_t (*codes)[ZML_BLOCK_TILES][ZML_TILE_ROWS], size_t tile, size_t groups,
                                  int width, uint32_t *words) {
  __m512i joined[4], swapped[4];
  for (size_t c = 0; c < 4; c++) {
    joined[c] = _mm512_load_si512(codes[c][tile]);
    for (size_t k = 1; k < groups; k++)
      joined[c] = _mm512_or_si512(
          joined[c], _mm512_slli_epi32(_mm512_load_si512(codes[4 * k + c][tile]), (unsigned)(k * (size_t)width)));
  }
  swap_registers(joined, swapped);
  for (int plane = 0; plane < 4; plane++)
    _mm512_storeu_si512(words + 16 * plane, swapped[plane]);
}

/* Past the caches: the rows of a block are far apart, and are not needed until all are there. */
#define store_line store_line
ZML_TARGET_INLINE void store_line(uint8_t *to, const uint32_t *words) {
  if ((uintptr_t)to % ZML_LINE)
    _mm512_storeu_si512(to, _mm512_loadu_si512(words));
  else
    _mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(words));
}

ZML_TARGET_INLINE void lines_stored(void) { _mm_sfence(); }

#define count_group count_group
ZML_TARGET_INLINE void count_group(const uint32_t (*codes)[16], int width, uint64_t *counts) {
  const Zeros zeros = zeros_of_lanes();
  for (size_t c = 0; c < 4; c++) {
    uint64_t *to = counts + (c << width);
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    count_codes(_mm512_load_si512(codes[c]), width, &zeros, sums);
    add_counts(sums, width, to);
  }
}
