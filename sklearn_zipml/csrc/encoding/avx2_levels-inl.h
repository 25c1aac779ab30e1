/* One step of the search for levels in AVX2; part of avx2.c. See optimal-inl.h. */

/* Four positions: what is theirs, the best cost so far, and the level before that it comes from. */
typedef struct {
  __m256d at, sum, slope, index, best, number;
} Four;

ZML_TARGET_INLINE Four four_at(const Layer *layer, int q, int first) {
  const __m256d at = _mm256_loadu_pd(layer->position + q), sum = _mm256_loadu_pd(layer->sum + q);
  return (Four){.at = at,
                .sum = sum,
                .slope = _mm256_sub_pd(sum, _mm256_mul_pd(at, _mm256_loadu_pd(layer->count + q))),
                .index = _mm256_add_pd(_mm256_set1_pd(q), _mm256_setr_pd(0, 1, 2, 3)),
                .best = _mm256_set1_pd(INFINITY),
                .number = _mm256_set1_pd(first)};
}

/* Tries level p before each of the positions, or before those above it only. */
ZML_TARGET_INLINE Four with_level(Four f, const Layer *layer, int p, __m256d here, int above) {
  const __m256d partial = _mm256_mul_pd(_mm256_broadcast_sd(layer->position + p), f.slope);
  const __m256d candidate = _mm256_add_pd(_mm256_add_pd(_mm256_broadcast_sd(layer->fixed + p), partial),
                                          _mm256_mul_pd(f.at, _mm256_broadcast_sd(layer->tilt + p)));
  __m256d better = _mm256_cmp_pd(candidate, f.best, _CMP_LT_OQ);
  if (above)
    better = _mm256_and_pd(better, _mm256_cmp_pd(here, f.index, _CMP_LT_OQ));
  f.best = _mm256_blendv_pd(f.best, candidate, better);
  f.number = _mm256_blendv_pd(f.number, here, better);
  return f;
}

/* Stores the costs; returns the four numbers. */
ZML_TARGET_INLINE __m128i store_four(Four f, const Layer *layer, int q) {
  const __m256d best = _mm256_add_pd(f.best, _mm256_mul_pd(f.at, f.sum));
  _mm256_storeu_pd(layer->cost + q, _mm256_sub_pd(best, _mm256_loadu_pd(layer->square + q)));
  return _mm256_cvttpd_epi32(f.number);
}

#define best_before best_before
ZML_TARGET_INLINE int best_before(const Layer *layer, int q, int first, int last) {
  const __m256d one = _mm256_set1_pd(1);
  Four low = four_at(layer, q, first), high = four_at(layer, q + 4, first);
  __m256d here = _mm256_set1_pd(first);
  int p = first;
  for (; p <= last && p < q; p++, here = _mm256_add_pd(here, one)) {
    low = with_level(low, layer, p, here, 0);
    high = with_level(high, layer, p, here, 0);
  }
  for (; p <= last; p++, here = _mm256_add_pd(here, one)) {
    low = with_level(low, layer, p, here, 1);
    high = with_level(high, layer, p, here, 1);
  }
  const __m128i numbers = _mm_packs_epi32(store_four(low, layer, q), store_four(high, layer, q + 4));
  _mm_storel_epi64((__m128i *)(layer->choice + q), _mm_packus_epi16(numbers, numbers));
  return layer->choice[q];
}
