/* The encoder for AVX2. */
#include "format/compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>
#include <stdint.h>

#include "format/tile.h"

#define ZML_TARGET __attribute__((target("avx2")))

/* A table of 16 bytes in both halves. */
ZML_TARGET_INLINE __m256i twice(const uint8_t *table) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

#define lookup_16 lookup_16
ZML_TARGET_INLINE void lookup_16(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  const __m256i levels = twice(table);
  for (int half = 0; half < 2; half++) {
    const __m256i i = _mm256_loadu_si256((const __m256i *)index + half);
    _mm256_storeu_si256((__m256i *)found + half, _mm256_shuffle_epi8(levels, i));
  }
}

ZML_TARGET_INLINE uint64_t sum_of_four(__m256i numbers) {
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(numbers), _mm256_extracti128_si256(numbers, 1));
  return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}

/* Rows that have a code, in four sums. */
ZML_TARGET_INLINE __m256i rows_with(const uint8_t (*codes)[ZML_TILE_ROWS], size_t n_tiles, int code) {
  const __m256i own = _mm256_set1_epi8((char)code);
  __m256i hits = _mm256_setzero_si256(); /* in bytes, fewer than 256 */
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const __m256i *of = (const __m256i *)codes[tile];
    hits = _mm256_sub_epi8(hits, _mm256_cmpeq_epi8(_mm256_loadu_si256(of), own));
    hits = _mm256_sub_epi8(hits, _mm256_cmpeq_epi8(_mm256_loadu_si256(of + 1), own));
  }
  return _mm256_sad_epu8(hits, _mm256_setzero_si256());
}

ZML_TARGET_INLINE __m256i sums_of_pairs(__m256i a, __m256i b) {
  return _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

#define add_hits add_hits
ZML_TARGET_INLINE void add_hits(const uint8_t (*codes)[ZML_TILE_ROWS], size_t n_tiles, int end, uint64_t *to) {
  for (int k = 0; k < end; k += 4) { /* no code is beyond the end */
    const __m256i a = sums_of_pairs(rows_with(codes, n_tiles, k), rows_with(codes, n_tiles, k + 1));
    const __m256i b = sums_of_pairs(rows_with(codes, n_tiles, k + 2), rows_with(codes, n_tiles, k + 3));
    const __m256i sums = _mm256_add_epi64(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_storeu_si256((__m256i *)(to + k), _mm256_add_epi64(_mm256_loadu_si256((const __m256i *)(to + k)), sums));
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

/* 8 x 8 words: afterwards register k holds words k of all. Loops unroll, or compilers keep registers in memory. */
ZML_TARGET_INLINE void transpose_registers(__m256i *a) {
  __m256i b[8], c[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) { /* now register i + k holds columns k and k + 4 of rows i..i+3 */
    c[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
    c[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
    c[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
    c[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++) {
    a[k] = _mm256_permute2x128_si256(c[k], c[4 + k], 0x20);
    a[k + 4] = _mm256_permute2x128_si256(c[k], c[4 + k], 0x31);
  }
}

ZML_TARGET_INLINE void transpose_eight(const uint32_t *from, size_t stride, uint32_t *to, size_t to_stride) {
  __m256i a[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    a[i] = _mm256_loadu_si256((const __m256i *)(from + (size_t)i * stride));
  transpose_registers(a);
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    _mm256_storeu_si256((__m256i *)(to + (size_t)i * to_stride), a[i]);
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
#include "encoding/avx2_coordinates-inl.h"
#include "encoding/avx2_round-inl.h"
#include "encoding/avx2_dither-inl.h"
#include "encoding/avx2_words-inl.h"
#include "encoding/avx2_lines-inl.h"
#include "encoding/avx2_order-inl.h"
#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_avx2 = {ZML_ENCODING};
#endif
