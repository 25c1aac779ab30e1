/* From coordinates and codes to rows in AVX2: values at the ends of ranges, and words out of codes; part of avx2.c. */

#define find_hits find_hits
ZML_TARGET_INLINE int find_hits(const uint32_t *words, const Ends *ends, uint64_t hits[2]) {
  const __m256i least = _mm256_load_si256((const __m256i *)ends->least), zero = _mm256_setzero_si256();
  const __m256i size = _mm256_load_si256((const __m256i *)ends->size);
  hits[0] = hits[1] = 0;
  for (size_t k = 0; k < HALVES / 32; k++) {
    __m256i inside[2];
#pragma GCC unroll 2
    for (size_t l = 0; l < 2; l++) {
      const __m256i halves = _mm256_sub_epi16(_mm256_loadu_si256((const __m256i *)words + 2 * k + l), least);
      inside[l] = _mm256_cmpeq_epi16(_mm256_subs_epu16(halves, size), zero);
    }
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(inside[0], inside[1]), 0xd8);
    hits[k / 2] |= (uint64_t)(uint32_t)~_mm256_movemask_epi8(bytes) << 32 * (k % 2);
  }
  return (hits[0] | hits[1]) != 0;
}

#define join_codes join_codes
ZML_TARGET_INLINE void join_codes(const uint8_t (*codes)[ZML_BLOCK_TILES][ZML_TILE_ROWS], size_t tile, size_t groups,
                                  int width, uint32_t *words) {
  for (size_t first = 0; first < ZML_TILE_ROWS; first += 32) {
    __m256i x[4];
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; c++) {
      x[c] = _mm256_loadu_si256((const __m256i *)(codes[c][tile] + first));
      for (size_t k = 1; k < groups; k++) {
        const __m256i code = _mm256_loadu_si256((const __m256i *)(codes[4 * k + c][tile] + first));
        x[c] = _mm256_or_si256(x[c], _mm256_slli_epi32(code, (int)k * width));
      }
    }
    const __m256i a = _mm256_unpacklo_epi8(x[0], x[1]), b = _mm256_unpackhi_epi8(x[0], x[1]);
    const __m256i c = _mm256_unpacklo_epi8(x[2], x[3]), d = _mm256_unpackhi_epi8(x[2], x[3]);
    /* four rows of either half */
    const __m256i fours[4] = {_mm256_unpacklo_epi16(a, c), _mm256_unpackhi_epi16(a, c), _mm256_unpacklo_epi16(b, d),
                              _mm256_unpackhi_epi16(b, d)};
    __m256i *to = (__m256i *)(words + first);
#pragma GCC unroll 2
    for (size_t k = 0; k < 2; k++) {
      _mm256_storeu_si256(to + k, _mm256_permute2x128_si256(fours[2 * k], fours[2 * k + 1], 0x20));
      _mm256_storeu_si256(to + 2 + k, _mm256_permute2x128_si256(fours[2 * k], fours[2 * k + 1], 0x31));
    }
  }
}
