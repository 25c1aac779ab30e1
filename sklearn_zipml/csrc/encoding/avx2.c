/* The encoder for AVX2. */
#include "format/compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>
#include <stdint.h>

#define ZML_TARGET __attribute__((target("avx2")))

#define lookup_16 lookup_16
ZML_TARGET_INLINE void lookup_16(const uint8_t *table, const uint8_t *index, uint8_t *found) {
  const __m256i levels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
  for (int half = 0; half < 2; half++) {
    const __m256i i = _mm256_loadu_si256((const __m256i *)index + half);
    _mm256_storeu_si256((__m256i *)found + half, _mm256_shuffle_epi8(levels, i));
  }
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

#define LEVEL_VECTOR 32
#include "encoding/encode-inl.h"

const zml_encoding zml_encoding_avx2 = {ZML_ENCODING};
#endif
