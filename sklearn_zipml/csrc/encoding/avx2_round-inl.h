/* Rounding for AVX2; part of avx2.c. 32 rows at a time are two registers of words, in the order of rows. Bytes packed
 * out of them stand with the two middle quarters swapped, which unpacking them to words undoes and in_order does. */

typedef struct {
  __m256i part[2];
} Words;

/* Both registers; compilers have to see that they are two, or keep them in memory. */
#if defined(__GNUC__)
#define BOTH(k) _Pragma("GCC unroll 2") for (size_t k = 0; k < 2; k++)
#define HALVINGS(step, first) _Pragma("GCC unroll 4") for (int step = first; step; step /= 2)
#else
#define BOTH(k) for (size_t k = 0; k < 2; k++)
#define HALVINGS(step, first) for (int step = first; step; step /= 2)
#endif

ZML_TARGET_INLINE __m256i in_order(__m256i bytes) { return _mm256_permute4x64_epi64(bytes, 0xd8); }

/* Bytes to the upper halves of words. */
ZML_TARGET_INLINE Words upper_halves(__m256i bytes) {
  const __m256i zero = _mm256_setzero_si256();
  return (Words){{_mm256_unpacklo_epi8(zero, bytes), _mm256_unpackhi_epi8(zero, bytes)}};
}

/* Upper and lower 16 bits of a column's draw key, repeated. */
typedef struct {
  __m256i low, high;
} DrawKey;

ZML_TARGET_INLINE DrawKey draw_key(const zml_codebook *book, int draw, size_t column) {
  const uint32_t key = book->draw_keys[draw][column];
  return (DrawKey){_mm256_set1_epi16((short)key), _mm256_set1_epi16((short)(key >> 16))};
}

ZML_TARGET_INLINE __m256i key_words(const Keys *keys, int k, size_t first) {
  return _mm256_loadu_si256((const __m256i *)(keys->word[k] + first));
}

/* zml_row_draw of 16 rows. */
ZML_TARGET_INLINE __m256i drawn(const Keys *keys, size_t first, int draw, DrawKey key) {
  const __m256i a = _mm256_xor_si256(key_words(keys, 0, first), key.low);
  const __m256i b = _mm256_xor_si256(key_words(keys, 1, first), key.high);
  const __m256i product = _mm256_xor_si256(_mm256_mullo_epi16(a, b), _mm256_mulhi_epu16(a, b));
  return _mm256_xor_si256(product, key_words(keys, 2 + draw, first));
}

/* Words of one column out of those of its pair. */
typedef struct {
  __m256i first, second;
} WordOrder;

ZML_TARGET_INLINE WordOrder order_of_column(size_t j) {
  const __m256i none = _mm256_set1_epi8(-1);
  const __m256i words = _mm256_set1_epi64x(j % 2 ? 0x0f0e0b0a07060302 : 0x0d0c090805040100);
  return (WordOrder){_mm256_unpacklo_epi64(words, none), _mm256_unpacklo_epi64(none, words)};
}

ZML_TARGET_INLINE Words take_column(const uint32_t *pair, WordOrder order) {
  Words words;
  BOTH(k) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)pair + 2 * k);
    const __m256i b = _mm256_loadu_si256((const __m256i *)pair + 2 * k + 1);
    words.part[k] =
        in_order(_mm256_or_si256(_mm256_shuffle_epi8(a, order.first), _mm256_shuffle_epi8(b, order.second)));
  }
  return words;
}

/* Up to 16 levels of a column and the gaps above them, by number; `last` is the last number that has a gap. */
typedef struct {
  __m256i level, gap, last;
} ColumnLevels;

ZML_TARGET_INLINE ColumnLevels levels_of_column(const zml_codebook *book, size_t j) {
  const uint8_t *levels = book->levels + ZML_MAX_CODES * j; /* the last one is repeated */
  ColumnLevels of = {.level = twice(levels), .gap = twice(book->gaps + ZML_MAX_CODES * j)};
  const __m256i is_last = _mm256_cmpeq_epi8(of.level, _mm256_set1_epi8((char)levels[ZML_MAX_CODES - 1]));
  const int top = __builtin_ctz((unsigned)_mm256_movemask_epi8(is_last));
  of.last = _mm256_set1_epi8((char)(top > 0 ? top - 1 : 0));
  return of;
}

/* Whether a gap has one of these bits: errors up to 16256 add up to less than 2^32 in a tile. */
ZML_TARGET_INLINE int gaps_have(const ColumnLevels *of, int bits) {
  return !_mm256_testz_si256(of->gap, _mm256_set1_epi8((char)bits));
}

/* Where rows are: coordinate and number of the level below it, in bytes; in words of 1/256 how far above it, and the
 * gap to the next one. */
typedef struct {
  __m256i interval;
  Words value, above, gap;
} Places;

/* The level below is found by halves: of levels in order, the last one that is not above. */
ZML_TARGET_INLINE Places places_of(const uint32_t *pair, WordOrder order, const ColumnLevels *of, int first_step) {
  const Words value = take_column(pair, order);
  const __m256i cell = _mm256_packus_epi16(_mm256_srli_epi16(value.part[0], 8), _mm256_srli_epi16(value.part[1], 8));
  __m256i at = _mm256_setzero_si256();
  HALVINGS(step, first_step) {
    const __m256i next = _mm256_add_epi8(at, _mm256_set1_epi8((char)step));
    const __m256i reached = _mm256_cmpeq_epi8(_mm256_max_epu8(cell, _mm256_shuffle_epi8(of->level, next)), cell);
    at = _mm256_blendv_epi8(at, next, reached);
  }
  Places p = {.interval = _mm256_min_epu8(at, of->last), .value = value};
  p.gap = upper_halves(_mm256_shuffle_epi8(of->gap, p.interval));
  const Words below = upper_halves(_mm256_shuffle_epi8(of->level, p.interval));
  BOTH(k)
  p.above.part[k] = _mm256_sub_epi16(value.part[k], below.part[k]);
  return p;
}

/* Where 16 values stay at the level below, as words of ones: see goes_up in rounding-inl.h. */
ZML_TARGET_INLINE __m256i stays(__m256i bits, __m256i above, __m256i gap) {
  const __m256i share = _mm256_mulhi_epu16(_mm256_or_si256(bits, _mm256_set1_epi16(1)), gap);
  return _mm256_cmpeq_epi16(_mm256_subs_epu16(above, share), _mm256_setzero_si256());
}

/* Adds squares of words to sums of 32 bits, or where they may be `far` to those of 64. */
typedef struct {
  __m256i noise, squares;
} Errors;

ZML_TARGET_INLINE __m256i add_words(__m256i sums, __m256i words) {
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi64x(0xffffffff));
  return _mm256_add_epi64(sums, _mm256_add_epi64(low, _mm256_srli_epi64(words, 32)));
}

ZML_TARGET_INLINE void add_squares(Errors *sums, __m256i error, int far) {
  const __m256i squares = _mm256_madd_epi16(error, error);
  if (far)
    sums->noise = add_words(sums->noise, squares);
  else
    sums->squares = _mm256_add_epi32(sums->squares, squares);
}

ZML_TARGET_INLINE void end_tile(Errors *sums, int far) {
  if (!far) {
    sums->noise = add_words(sums->noise, sums->squares);
    sums->squares = _mm256_setzero_si256();
  }
}

ZML_TARGET_INLINE void add_to_lanes(uint64_t *lanes, __m256i sums) {
  _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)lanes), sums));
}

ZML_TARGET_INLINE void add_to_words(int32_t *lanes, __m256i sums) {
  _mm256_storeu_si256((__m256i *)lanes, _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)lanes), sums));
}

/* Rows and errors by code, four sums in turn: one would wait for itself. */
ZML_TARGET ZML_APART void tally_rows(size_t n_tiles, const uint8_t (*codes)[ZML_TILE_ROWS],
                                     const int16_t (*errors)[ZML_TILE_ROWS], uint64_t *tallies) {
  uint64_t sums[4][ZML_MAX_CODES] = {{0}};
  for (size_t tile = 0; tile < n_tiles; tile++)
    for (int i = 0; i < ZML_TILE_ROWS; i += 4)
      _Pragma("GCC unroll 4") for (int k = 0; k < 4; k++) {
        const int32_t error = errors[tile][i + k];
        sums[k][codes[tile][i + k]] += ZML_HIT + (uint32_t)(error * error);
      }
  for (int code = 0; code < ZML_MAX_CODES; code++)
    tallies[code] += sums[0][code] + sums[1][code] + sums[2][code] + sums[3][code];
}

/* Positions of codes and their squares. */
ZML_TARGET_INLINE void sum_positions(size_t n_tiles, const uint8_t (*codes)[ZML_TILE_ROWS], __m256i positions,
                                     zml_lanes *lanes) {
  const __m256i zero = _mm256_setzero_si256(), half_top = _mm256_set1_epi16(128);
  __m256i sum = zero, square = zero;
  for (size_t tile = 0; tile < n_tiles; tile++)
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 32) {
      const __m256i position =
          _mm256_shuffle_epi8(positions, _mm256_loadu_si256((const __m256i *)(codes[tile] + first)));
      const Words words = upper_halves(position);
      sum = _mm256_add_epi32(sum, _mm256_sad_epu8(position, zero));
      BOTH(k) {
        const __m256i x = _mm256_srli_epi16(words.part[k], 8);
        square = _mm256_add_epi32(square, _mm256_madd_epi16(x, _mm256_sub_epi16(x, half_top)));
      }
    }
  add_to_words(lanes->sum, sum);
  add_to_words(lanes->square, square);
}

/* What is fetched while the column before is rounded. */
ZML_TARGET_INLINE void fetch_column(const Batch *batch, size_t j) {
  const char *lanes = (const char *)(batch->work->lanes + j);
  for (size_t k = 0; k < sizeof *batch->work->lanes; k += ZML_LINE)
    ZML_PREFETCH(lanes + k);
  for (size_t tile = 0; j % 2 == 0 && tile < batch->n_tiles; tile++)
    for (size_t k = 0; k < ZML_TILE_ROWS; k += 16)
      ZML_PREFETCH(pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS + k);
}

/* Up to 16 levels, of which 2^k are searched from a first step of half as many. */
ZML_TARGET_INLINE void round_to_few(const Batch *batch, size_t j, zml_sampling sampling, int first_step,
                                    uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  const int pairs = sampling == ZML_DOUBLE, noisy = pairs || sampling == ZML_COMPENSATED;
  zml_lanes *lanes = batch->work->lanes + j;
  const ColumnLevels levels = levels_of_column(book, j);
  const int far = gaps_have(&levels, 0x80);
  const WordOrder order = order_of_column(j);
  const DrawKey key[2] = {draw_key(book, 0, j), draw_key(book, 1, j)};
  const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi8(1);
  Errors sums = {zero, zero};
  ZML_ALIGNED int16_t errors[ZML_BLOCK_TILES][ZML_TILE_ROWS];
  fetch_column(batch, j + 1);
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 32) {
      const Places p = places_of(pair + first, order, &levels, first_step);
      __m256i code = pairs ? _mm256_add_epi8(p.interval, p.interval) : p.interval, risen[2] = {zero, zero};
      for (int draw = 0; draw < (pairs ? 2 : 1); draw++) {
        __m256i stay[2];
        BOTH(k) {
          /* levels of pairs are an even number of steps apart */
          const __m256i step = _mm256_srli_epi16(p.gap.part[k], pairs ? 2 : 1);
          if (sampling == ZML_NEAREST)
            stay[k] = _mm256_cmpeq_epi16(
                _mm256_subs_epu16(_mm256_add_epi16(p.above.part[k], _mm256_set1_epi16(1)), step), zero);
          else
            stay[k] = stays(drawn(&batch->keys[tile], first + 16 * k, draw, key[draw]), p.above.part[k], p.gap.part[k]);
          risen[k] = _mm256_add_epi16(risen[k], _mm256_andnot_si256(stay[k], step));
        }
        code = _mm256_add_epi8(code, _mm256_add_epi8(one, _mm256_packs_epi16(stay[0], stay[1])));
      }
      _mm256_storeu_si256((__m256i *)(codes[tile] + first), in_order(code));
      if (!noisy)
        continue;
      BOTH(k) {
        const __m256i error = _mm256_sub_epi16(risen[k], _mm256_avg_epu16(p.above.part[k], zero));
        add_squares(&sums, error, far);
        _mm256_store_si256((__m256i *)(errors[tile] + first) + k, error);
      }
    }
    end_tile(&sums, far);
  }
  if (!noisy) /* else sums follow from the hits */
    sum_positions(batch->n_tiles, (const uint8_t (*)[ZML_TILE_ROWS])codes, twice(book->positions + ZML_MAX_CODES * j),
                  lanes);
  add_to_lanes(lanes->noise, sums.noise);
  add_hits((const uint8_t (*)[ZML_TILE_ROWS])codes, batch->n_tiles, 1 << book->width, lanes->hits);
  if (noisy && batch->tally)
    tally_rows(batch->n_tiles, (const uint8_t (*)[ZML_TILE_ROWS])codes, (const int16_t (*)[ZML_TILE_ROWS])errors,
               batch->work->tallies + ZML_MAX_CODES * j);
}

/* Where every position is a level, a code is the coordinate and a random fraction, less its own fraction. */
ZML_TARGET_INLINE void round_to_steps(const Batch *batch, size_t j, int noisy, uint8_t (*codes)[ZML_TILE_ROWS]) {
  zml_lanes *lanes = batch->work->lanes + j;
  const WordOrder order = order_of_column(j);
  const DrawKey key = draw_key(batch->book, 0, j);
  const __m256i zero = _mm256_setzero_si256(), ones = _mm256_set1_epi8(-1), half_top = _mm256_set1_epi16(128);
  __m256i sum = zero, square = zero, squares = zero;
  fetch_column(batch, j + 1);
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
    for (size_t first = 0; first < ZML_TILE_ROWS; first += 32) {
      const Words value = take_column(pair + first, order);
      __m256i code[2];
      /* added is 255 less the upper byte of the draw: it goes up if that is below the fraction */
      BOTH(k) {
        const __m256i bits = _mm256_xor_si256(drawn(&batch->keys[tile], first + 16 * k, 0, key), ones);
        code[k] = _mm256_srli_epi16(_mm256_add_epi16(value.part[k], _mm256_srli_epi16(bits, 8)), 8);
        const __m256i error = _mm256_sub_epi16(_mm256_slli_epi16(code[k], 8), value.part[k]);
        const __m256i half = _mm256_srai_epi16(error, 1);
        squares = _mm256_add_epi32(squares, _mm256_madd_epi16(half, half));
        square = _mm256_add_epi32(square, _mm256_madd_epi16(code[k], _mm256_sub_epi16(code[k], half_top)));
      }
      const __m256i bytes = _mm256_packus_epi16(code[0], code[1]);
      sum = _mm256_add_epi32(sum, _mm256_sad_epu8(bytes, zero));
      _mm256_storeu_si256((__m256i *)(codes[tile] + first), in_order(bytes));
    }
  }
  add_to_words(lanes->sum, sum);
  add_to_words(lanes->square, square);
  if (noisy)
    add_to_lanes(lanes->noise, add_words(zero, squares));
}

ZML_TARGET_INLINE void round_any_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                                           uint8_t (*codes)[ZML_TILE_ROWS]); /* rounding-inl.h */

#define round_column_as round_column_as
ZML_TARGET_INLINE void round_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                                       uint8_t (*codes)[ZML_TILE_ROWS]) {
  if (few && batch->book->width == 4)
    round_to_few(batch, j, sampling, 8, codes);
  else if (few)
    round_to_few(batch, j, sampling, 2, codes);
  else if (batch->book->every_position && (sampling == ZML_COMPENSATED || sampling == ZML_NAIVE))
    round_to_steps(batch, j, sampling == ZML_COMPENSATED, codes);
  else
    round_any_column_as(batch, j, sampling, few, codes);
}
