/* Panels times vectors with AVX2; part of avx2.c and avx2_few.c, which bring add_products, of units of 4 bytes, and
 * in_32_bits, which makes 8 sums of what that adds up. */

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

/* Four vectors by one panel. What limits is 4 vector operations a cycle: each product takes an addition. 8 sums, 2
 * registers of the panel, one of factors and one for a product. */
ZML_TARGET_INLINE void multiply_four(const uint8_t *panel, const uint8_t *vectors, size_t depth, int scale, int fresh,
                                     int64_t (*sums)[ZML_PANEL]) {
  enum { BYTES = UNIT * VALUE_BYTES * ZML_PANEL, UNROLLED = 4 };
  __m256i left[ZML_VECTORS_AT_ONCE], right[ZML_VECTORS_AT_ONCE];
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    left[v] = right[v] = _mm256_setzero_si256();
  for (const uint8_t *end = panel + VALUE_BYTES * ZML_PANEL * depth; panel < end;) {
    for (int u = 0; u < UNROLLED; u++, panel += BYTES, vectors += BYTES) {
      const __m256i a = _mm256_loadu_si256((const __m256i *)panel);
      const __m256i b = _mm256_loadu_si256((const __m256i *)(panel + BYTES / 2));
      for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
        int32_t unit;
        memcpy(&unit, vectors + 4 * v, sizeof unit);
        const __m256i factors = _mm256_set1_epi32(unit);
        left[v] = add_products(left[v], a, factors);
        right[v] = add_products(right[v], b, factors);
      }
    }
  }
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++) {
    add_eight(sums[v], in_32_bits(left[v]), scale, fresh);
    add_eight(sums[v] + 8, in_32_bits(right[v]), scale, fresh);
  }
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *to) {
  const zml_factors f = *factors;
  const size_t panel_bytes = VALUE_BYTES * ZML_PANEL * f.depth;
  for (size_t v = 0; v < f.n_vectors; v += ZML_VECTORS_AT_ONCE)
    for (size_t p = 0; p < f.n_panels; p++)
      multiply_four(f.panels + p * panel_bytes, f.vectors + v / ZML_PANEL * panel_bytes + 4 * (v % ZML_PANEL), f.depth,
                    to->scale, to->fresh, to->sums + p * to->stride + v);
}
