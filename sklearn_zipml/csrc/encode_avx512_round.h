/* Rounding for AVX-512; part of encode_avx512.c. Arrays of two registers are words of even and of odd bytes. */

#define KEY_PLACE(i) ((i) / 16 % 2 * 32 + (i) % 16 * 2 + (i) / 32)
#define CODE_PLACE(i) ((i) % 16 * 4 + (i) / 32 * 2 + (i) / 16 % 2)

/* Upper and lower 16 bits of a column's draw key, repeated. */
typedef struct {
  __m512i low, high;
} DrawKey;

STEP DrawKey draw_key(const zml_codebook *book, int draw, size_t column) {
  const uint32_t key = book->draw_keys[draw][column];
  return (DrawKey){_mm512_set1_epi16((short)key), _mm512_set1_epi16((short)(key >> 16))};
}

/* zml_row_draw of 32 rows, the lowest bit set. */
STEP __m512i drawn(const Keys *keys, int odd, int draw, DrawKey key, __m512i ones) {
  const __m512i a = _mm512_xor_si512(_mm512_load_si512(keys->word[0] + 32 * odd), key.low);
  const __m512i b = _mm512_xor_si512(_mm512_load_si512(keys->word[1] + 32 * odd), key.high);
  const __m512i mixed = _mm512_ternarylogic_epi32(_mm512_mullo_epi16(a, b), _mm512_mulhi_epu16(a, b),
                                                  _mm512_load_si512(keys->word[2 + draw] + 32 * odd), 0x96);
  return _mm512_or_si512(mixed, ones);
}

/* Which of the rows of `tie`, where the kept bits of a coordinate do not decide, go up. */
ZML_TARGET ZML_APART __mmask32 settle(const Batch *batch, size_t tile, size_t column, int odd, __m512i bits,
                                      __m512i gap, __mmask32 tie) {
  ZML_ALIGNED uint16_t rest[32];
  __mmask32 up = 0;
  _mm512_store_si512(rest, _mm512_srli_epi16(_mm512_mullo_epi16(bits, gap), 8));
  for (uint32_t left = tie; left; left &= left - 1) {
    const int word = __builtin_ctz(left);
    const size_t row = tile * ZML_TILE_ROWS + (size_t)(16 * odd + word / 2 + word % 2 * 32);
    const uint32_t fine = whole_coordinate(&batch->source, row, column) << SHORT_SHIFT & 255;
    up |= (__mmask32)(rest[word] < fine) << word;
  }
  return up;
}

/* Where values go up to the next level, as bits in the order of words: see goes_up in encode_functions.h. */
STEP void goes_up_masks(const Batch *batch, size_t tile, size_t column, int draw, DrawKey key, const __m512i *above,
                        const __m512i *gap, __m512i ones, __mmask32 *up) {
  const __m512i bits = drawn(&batch->keys[tile], 0, draw, key, ones),
                bits2 = drawn(&batch->keys[tile], 1, draw, key, ones);
  const __m512i share = _mm512_mulhi_epu16(bits, gap[0]), share2 = _mm512_mulhi_epu16(bits2, gap[1]);
  const __mmask32 tie = _mm512_cmpeq_epi16_mask(share, above[0]), tie2 = _mm512_cmpeq_epi16_mask(share2, above[1]);
  up[0] = _mm512_cmplt_epu16_mask(share, above[0]);
  up[1] = _mm512_cmplt_epu16_mask(share2, above[1]);
  if (__builtin_expect(_kortestz_mask32_u8(tie, tie2), 1))
    return;
  up[0] |= settle(batch, tile, column, 0, bits, gap[0], tie);
  up[1] |= settle(batch, tile, column, 1, bits2, gap[1], tie2);
}

/* Rows of codes 0..7 and of 8..15, in bytes: byte k of a lane of 8 counts those of its 8 rows whose bits are the ones
 * of k. A product with a matrix of bits, the codes, repeats bit b of these rows in all bytes; zeros has, for bit b,
 * ones in the bytes whose number lacks it. */
typedef struct {
  __m512i bit[3], of[4];
} Zeros;

STEP Zeros zeros_of_lanes(void) {
  Zeros zeros = {.bit = {_mm512_set1_epi64(0x00ff00ff00ff00ff), _mm512_set1_epi64(0x0000ffff0000ffff),
                         _mm512_set1_epi64(0x00000000ffffffff)}};
  for (int b = 0; b < 4; b++)
    zeros.of[b] = kept(0x01010101u << b);
  return zeros;
}

/* Adds to bytes that hold up to 31 calls. */
STEP void count_codes(__m512i code, int width, const Zeros *zeros, __m512i *counts) {
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
STEP void add_counts(const __m512i *counts, int width, uint64_t *hits) {
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

#define round_column_as round_column_as
STEP void round_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                          uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  const int pairs = sampling == ZML_DOUBLE, noisy = pairs || sampling == ZML_COMPENSATED;
  zml_lanes *lanes = batch->work->lanes + j;
  const size_t next = zml_padded_columns(book->n_columns) / 2 * ZML_TILE_ROWS;
  const uint32_t *from = batch->work->coordinates + j / 2 * ZML_TILE_ROWS;
  const Table table = table_of((few ? book->interval : book->below) + 256 * j);
  const Table gap_table = table_of((few ? book->interval : book->gap) + 256 * j);
  const __m512i levels = few ? four_times(book->levels + ZML_MAX_CODES * j) : set(0);
  const __m512i gaps = few ? four_times(book->gaps + ZML_MAX_CODES * j) : set(0);
  const __m512i positions = few ? four_times(book->positions + ZML_MAX_CODES * j) : set(0);
  for (size_t k = 0; k < 256; k += ZML_LINE) /* the next column's */
    ZML_PREFETCH((few ? book->interval : book->below) + 256 * (j + 1) + k);
  for (size_t k = 0; k < sizeof *lanes; k += ZML_LINE)
    ZML_PREFETCH((const char *)(lanes + 1) + k);
  if (j % 2)
    for (size_t k = 0; k < 4 * batch->n_tiles; k++)
      ZML_PREFETCH(from + k / 4 * next + ZML_TILE_ROWS + 16 * (k % 4));
  const DrawKey key = draw_key(book, 0, j), key2 = draw_key(book, 1, j);
  const __m512i low_half = kept(0xffff), upper_bytes = kept(0xff00ff00), ones = kept(0x00010001);
  const __m512i one_bytes = kept(0x01010101), top_bits = kept(0x80808080), zero = _mm512_setzero_si512();
  __m512i sum = _mm512_loadu_si512(lanes->sum), square = _mm512_loadu_si512(lanes->square);
  __m512i noise = _mm512_loadu_si512(lanes->noise);
  __m512i counts[2] = {zero, zero}, squares = zero;
  /* errors of shorter gaps than 128 add up to less than 2^32 in four tiles */
  const int far =
      few ? _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(book->gaps + ZML_MAX_CODES * j))) != 0
          : _mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(gap_table.quarter[0], gap_table.quarter[1]),
                                                _mm512_or_si512(gap_table.quarter[2], gap_table.quarter[3]))) != 0;
  const Zeros zeros = zeros_of_lanes();
  for (size_t tile = 0; tile < batch->n_tiles; tile++, from += next) {
    __m512i value[2], above[2], gap[2], error[2];
    for (int odd = 0; odd < 2; odd++) { /* planes odd and odd + 2 */
      const __m512i a = _mm512_loadu_si512(from + 16 * odd), b = _mm512_loadu_si512(from + 32 + 16 * odd);
      value[odd] =
          j % 2 ? choose(low_half, _mm512_srli_epi32(a, 16), b) : choose(low_half, a, _mm512_slli_epi32(b, 16));
    }
    const __m512i cell = choose(upper_bytes, value[1], _mm512_srli_epi16(value[0], 8));
    const __m512i index = found_in_table(&table, cell);
    const __m512i below = few ? _mm512_shuffle_epi8(levels, index) : index;
    const __m512i step = few ? _mm512_shuffle_epi8(gaps, index) : found_in_table(&gap_table, cell);
    above[0] = _mm512_sub_epi16(value[0], _mm512_slli_epi16(below, 8));
    above[1] = _mm512_sub_epi16(value[1], _mm512_and_si512(below, upper_bytes));
    gap[0] = _mm512_slli_epi16(step, 8); /* in 1/256 */
    gap[1] = _mm512_and_si512(step, upper_bytes);
    __mmask32 up[2], up2[2] = {0, 0};
    if (sampling == ZML_NEAREST)
      for (int odd = 0; odd < 2; odd++)
        up[odd] = _mm512_cmpge_epu16_mask(above[odd], _mm512_srli_epi16(gap[odd], 1));
    else
      goes_up_masks(batch, tile, j, 0, key, above, gap, ones, up);
    if (pairs)
      goes_up_masks(batch, tile, j, 1, key2, above, gap, ones, up2);
    __m512i code = few && pairs ? _mm512_add_epi8(index, index) : few ? index : below;
    for (int odd = 0; odd < 2; odd++) {
      /* levels of pairs are an even number of steps apart */
      const __m512i whole = odd ? step : _mm512_slli_epi16(step, 8), half = _mm512_srli_epi16(whole, 1);
      const __m512i rise = few   ? (odd ? _mm512_and_si512(one_bytes, upper_bytes) : ones)
                           : odd ? _mm512_and_si512(pairs ? half : whole, upper_bytes)
                                 : _mm512_srli_epi16(pairs ? half : whole, 8);
      code = _mm512_mask_add_epi16(code, up[odd], code, rise);
      if (pairs)
        code = _mm512_mask_add_epi16(code, up2[odd], code, rise);
      const __m512i near = _mm512_avg_epu16(above[odd], zero); /* in 1/128 */
      const __m512i step_up = _mm512_srli_epi16(gap[odd], pairs ? 2 : 1);
      if (pairs) {
        const __m512i risen = _mm512_maskz_mov_epi16(up[odd], step_up);
        error[odd] = _mm512_sub_epi16(_mm512_mask_add_epi16(risen, up2[odd], risen, step_up), near);
      } else
        error[odd] = _mm512_mask_sub_epi16(near, up[odd], step_up, near);
    }
    _mm512_storeu_si512(codes[tile], code);
    if (!few || !noisy) { /* else they follow from the hits */
      const __m512i position = few ? _mm512_shuffle_epi8(positions, code) : code;
      sum = _mm512_dpbusd_epi32(sum, position, one_bytes);
      square = _mm512_dpbusd_epi32(square, position, _mm512_xor_si512(position, top_bits));
    }
    if (!noisy)
      continue;
    squares = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(squares, error[0], error[0]), error[1], error[1]);
    if (far || tile + 1 == batch->n_tiles) {
      noise = _mm512_add_epi64(noise, _mm512_srli_epi64(squares, 32));
      noise = _mm512_add_epi64(noise, _mm512_maskz_mov_epi32(0x5555, squares));
      squares = zero;
    }
    if (few && book->width == 4)
      count_codes(code, 4, &zeros, counts);
    else if (few)
      count_codes(code, book->width, &zeros, counts);
    if (few && batch->tally) {
      ZML_ALIGNED int16_t errors[ZML_TILE_ROWS];
      _mm512_store_si512(errors, error[0]);
      _mm512_store_si512(errors + 32, error[1]);
      if (book->width < 4)
        tally_few(codes[tile], errors, 1 << book->width, batch->work->tallies + ZML_MAX_CODES * j);
      else
        tally(codes[tile], errors, batch->work->tallies + ZML_MAX_CODES * j);
    }
  }
  _mm512_storeu_si512(lanes->sum, sum);
  _mm512_storeu_si512(lanes->square, square);
  _mm512_storeu_si512(lanes->noise, noise);
  if (few && noisy)
    add_counts(counts, book->width, lanes->hits);
}

#define join_codes join_codes
STEP void join_codes(const uint8_t (*codes)[ZML_BLOCK_TILES][ZML_TILE_ROWS], size_t tile, size_t groups, int width,
                     uint32_t *words) {
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
STEP void store_line(uint8_t *to, const uint32_t *words) {
  if ((uintptr_t)to % ZML_LINE)
    _mm512_storeu_si512(to, _mm512_loadu_si512(words));
  else
    _mm512_stream_si512((__m512i *)to, _mm512_loadu_si512(words));
}

STEP void lines_stored(void) { _mm_sfence(); }

#define count_group count_group
STEP void count_group(const uint32_t (*codes)[16], int width, uint64_t *counts) {
  const Zeros zeros = zeros_of_lanes();
  for (size_t c = 0; c < 4; c++) {
    uint64_t *to = counts + (c << width);
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    count_codes(_mm512_load_si512(codes[c]), width, &zeros, sums);
    add_counts(sums, width, to);
  }
}
