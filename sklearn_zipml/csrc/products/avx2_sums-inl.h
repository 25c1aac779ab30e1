/* Sums of 32 bits to those of 64, with AVX2; part of avx2.c and avx2_few.c. */
#include <immintrin.h>

/* sums += 2^scale * 8 sums, or = if fresh */
ZML_TARGET_INLINE void add_eight(int64_t *sums, __m256i eight, int scale, int fresh) {
  const __m128i shift = _mm_cvtsi32_si128(scale);
  __m256i *to = (__m256i *)sums;
  const __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(eight));
  const __m256i high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(eight, 1));
  const __m256i none = _mm256_setzero_si256();
  _mm256_storeu_si256(to, _mm256_add_epi64(fresh ? none : _mm256_loadu_si256(to), _mm256_sll_epi64(low, shift)));
  _mm256_storeu_si256(to + 1,
                      _mm256_add_epi64(fresh ? none : _mm256_loadu_si256(to + 1), _mm256_sll_epi64(high, shift)));
}
