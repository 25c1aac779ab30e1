/* The encoder for AVX2. */
#include "format/compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>
#include <stdint.h>

#include "format/tile.h"

#define ZML_TARGET __attribute__((target("avx2")))

#define lookup_16 lookup_16
ZML_TARGET_INLINE void lookup_16(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
  for (int half = 0; half < 2; half++) {
    const __m256i i = _mm256_loadu_si256((const __m256i *)index + half);
    _mm256_storeu_si256((__m256i *)found + half, _mm256_shuffle_epi8(levels, i));
  }
}

/* By halves: of levels in order, the last one that is not above; from the last level on it is the last interval. */
#define intervals_of intervals_of
ZML_TARGET_INLINE void intervals_of(const uint8_t *levels, const uint8_t *interval, const uint8_t *cell,
                                    uint8_t *index) {
  const __m256i level = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)levels));
  const __m256i last = _mm256_set1_epi8((char)interval[255]);
  for (int half = 0; half < 2; half++) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)cell + half);
    __m256i at = _mm256_setzero_si256();
    for (char step = 8; step; step /= 2) {
      const __m256i next = _mm256_add_epi8(at, _mm256_set1_epi8(step));
      const __m256i reached = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_shuffle_epi8(level, next)), x);
      at = _mm256_blendv_epi8(at, next, reached);
    }
    _mm256_storeu_si256((__m256i *)index + half, _mm256_min_epu8(at, last));
  }
}

ZML_TARGET_INLINE uint64_t sum_of_four(__m256i numbers) {
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1));
  return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

#define add_hits add_hits
ZML_TARGET_INLINE void add_hits(const uint8_t (*codes)[ZML_TILE_ROWS], size_t n_tiles, int end, uint64_t *to) {
  for (int k = 0; k < end; k++) {
    __m256i hits = _mm256_setzero_si256(); /* in bytes, fewer than 256 */
    for (size_t tile = 0; tile < n_tiles; tile++)
      for (int half = 0; half < 2; half++) {
        const __m256i code = _mm256_loadu_si256((const __m256i *)codes[tile] + half);
        hits = _mm256_sub_epi8(hits, _mm256_cmpeq_epi8(code, _mm256_set1_epi8((char)k)));
      }
    to[k] += sum_of_four(_mm256_sad_epu8(hits, _mm256_setzero_si256()));
  }
}

/* Two squares make less than 2^32. */
#define sum_of_squares sum_of_squares
ZML_TARGET_INLINE uint64_t sum_of_squares(const int16_t *error) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i sums = _mm256_setzero_si256();
  for (int k = 0; k < ZML_TILE_ROWS / 16; k++) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)error + k), pairs = _mm256_madd_epi16(x, x);
    sums = _mm256_add_epi64(sums, _mm256_add_epi64(_mm256_and_si256(pairs, low), _mm256_srli_epi64(pairs, 32)));
  }
  return sum_of_four(sums);
}

/* Past the caches, as in avx512_round-inl.h. */
#define store_line store_line
ZML_TARGET_INLINE void store_line(uint8_t *to, const uint32_t *words) {
  for (int half = 0; half < 2; half++) {
    const __m256i x = _mm256_loadu_si256((const __m256i *)words + half);
    if ((uintptr_t)to % 64)
      _mm256_storeu_si256((__m256i *)to + half, x);
    else
      _mm256_stream_si256((__m256i *)to + half, x);
  }
}

ZML_TARGET_INLINE void lines_stored(void) { _mm_sfence(); }

/* 8 x 8 words. */
ZML_TARGET_INLINE void transpose_eight(const uint32_t *from, size_t stride, uint32_t *to, size_t to_stride) {
  __m256i a[8], b[8];
  for (int i = 0; i < 8; i++)
    a[i] = _mm256_loadu_si256((const __m256i *)(from + (size_t)i * stride));
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) { /* now register i + k holds columns k and k + 4 of rows i..i+3 */
    a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (int k = 0; k < 4; k++) {
    const __m256i low = _mm256_permute2x128_si256(a[k], a[4 + k], 0x20);
    const __m256i high = _mm256_permute2x128_si256(a[k], a[4 + k], 0x31);
    _mm256_storeu_si256((__m256i *)(to + (size_t)k * to_stride), low);
    _mm256_storeu_si256((__m256i *)(to + (size_t)(k + 4) * to_stride), high);
  }
}

#define transpose transpose
ZML_TARGET_INLINE void transpose(const uint32_t *from, size_t stride, uint32_t *to, size_t to_stride) {
  for (size_t i = 0; i < 16; i += 8)
    for (size_t j = 0; j < 16; j += 8)
      transpose_eight(from + i * stride + j, stride, to + j * to_stride + i, to_stride);
}

#include "encoding/parts.h"
#include "encoding/avx2_fields-inl.h"
#include "encoding/avx2_levels-inl.h"
#include "encoding/avx2_lines-inl.h"
#include "encoding/avx2_order-inl.h"
#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_avx2 = {ZML_ENCODING};
#endif
