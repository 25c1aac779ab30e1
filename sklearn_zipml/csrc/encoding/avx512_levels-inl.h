/* One step of the search for levels in AVX-512; part of avx512.c. See optimal-inl.h. */

#define best_before best_before
ZML_TARGET_INLINE int best_before(const Layer *layer, int q, int first, int last) {
  const __m512d at = _mm512_loadu_pd(layer->position + q), sum = _mm512_loadu_pd(layer->sum + q);
  const __m512d slope = _mm512_sub_pd(sum, _mm512_mul_pd(at, _mm512_loadu_pd(layer->count + q)));
  const __m512i index = _mm512_add_epi64(_mm512_set1_epi64(q), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  __m512d best = _mm512_set1_pd(INFINITY);
  __m512i number = _mm512_set1_epi64(first), here = number;
  for (int p = first; p <= last; p++) {
    const __m512d partial = _mm512_mul_pd(_mm512_set1_pd(layer->position[p]), slope);
    const __m512d candidate = _mm512_add_pd(_mm512_add_pd(_mm512_set1_pd(layer->fixed[p]), partial),
                                            _mm512_mul_pd(at, _mm512_set1_pd(layer->tilt[p])));
    const __mmask8 below = p < q ? 0xff : _mm512_cmplt_epi64_mask(here, index);
    number = _mm512_mask_mov_epi64(number, _mm512_mask_cmp_pd_mask(below, candidate, best, _CMP_LT_OQ), here);
    best = _mm512_mask_min_pd(best, below, candidate, best);
    here = _mm512_add_epi64(here, _mm512_set1_epi64(1));
  }
  best = _mm512_sub_pd(_mm512_add_pd(best, _mm512_mul_pd(at, sum)), _mm512_loadu_pd(layer->square + q));
  _mm512_storeu_pd(layer->cost + q, best);
  _mm_storel_epi64((__m128i *)(layer->choice + q), _mm512_cvtepi64_epi8(number));
  return _mm_cvtsi128_si32(_mm512_castsi512_si128(number));
}
