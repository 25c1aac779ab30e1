/* Taking rows in AVX-512: the words of 64 rows are four registers, any 16 of which are found with two look-ups. Part of
 * avx512.c. */

/* Which lanes of a register lie in first..last-1. */
ZML_TARGET_INLINE __mmask16 lanes_between(int first, int last) {
  const int low = first < 0 ? 0 : first > 16 ? 16 : first, high = last < 0 ? 0 : last > 16 ? 16 : last;
  return (__mmask16)((1u << high) - (1u << low));
}

#define take_words take_words
ZML_TARGET_INLINE void take_words(const uint32_t *words, const Taking *t, uint32_t *taken) {
  __m512i row[PLANES];
  ZML_PLANES(p)
  row[p] = _mm512_load_si512(words + WORDS * p);
  ZML_PLANES(p) {
    const __m512i from = _mm512_load_si512(t->from + WORDS * p);
    const __mmask16 here = lanes_between(t->at - 16 * p, t->end - 16 * p);
    const __mmask16 upper = _mm512_mask_test_epi32_mask(here, from, set(32));
    const __m512i low = _mm512_maskz_permutex2var_epi32((__mmask16)(here & ~upper), row[0], from, row[1]);
    const __m512i high = _mm512_maskz_permutex2var_epi32(upper, row[2], from, row[3]);
    _mm512_store_si512(taken + WORDS * p, _mm512_or_si512(low, high));
  }
}
