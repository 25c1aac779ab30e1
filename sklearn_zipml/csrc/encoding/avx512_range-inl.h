/* Smallest and largest values of columns in AVX-512; part of avx512.c. See range-inl.h. */

/* 16 columns of some rows. Returns `none`, which stays 0 as long as values are finite: zero times a value is added. */
ZML_TARGET_INLINE __m512 range_of_16(const float *rows, ptrdiff_t stride, size_t n_rows, __mmask16 there, float *low,
                                     float *high, __m512 none) {
  __m512 least = _mm512_maskz_loadu_ps(there, low), most = _mm512_maskz_loadu_ps(there, high);
  for (size_t i = 0; i < n_rows; i++) {
    const __m512 value = _mm512_maskz_loadu_ps(there, rows + (ptrdiff_t)i * stride);
    least = _mm512_min_ps(value, least);
    most = _mm512_max_ps(value, most);
    none = _mm512_fmadd_ps(value, _mm512_setzero_ps(), none);
  }
  _mm512_mask_storeu_ps(low, there, least);
  _mm512_mask_storeu_ps(high, there, most);
  return none;
}

/* Four rows at a time, so that a column's range is loaded and stored once for them. Processors follow one row better
 * than four, so what lies AHEAD bytes further on is fetched. */
#define range_f32_of_rows range_f32_of_rows
ZML_TARGET static int range_f32_of_rows(const float *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,
                                        float *low, float *high) {
  enum { ROWS = 4, AHEAD = 8192 };
  __m512 none = _mm512_setzero_ps();
  for (size_t first = 0, count; first < n_rows; first += count) {
    const float *rows = block + (ptrdiff_t)first * stride;
    size_t j = 0;
    count = n_rows - first < ROWS ? 1 : ROWS;
    for (; count == ROWS && j + 16 <= n_columns; j += 16) {
      for (size_t k = 0; k < ROWS; k++)
        ZML_PREFETCH((const char *)(rows + ROWS * j) + AHEAD + k * ZML_LINE);
      none = range_of_16(rows + j, stride, ROWS, 0xffff, low + j, high + j, none);
    }
    for (; j < n_columns; j += 16)
      none = range_of_16(rows + j, stride, count, first_of_16(n_columns - j), low + j, high + j, none);
  }
  return _mm512_cmp_ps_mask(none, _mm512_setzero_ps(), _CMP_NEQ_UQ) != 0;
}
