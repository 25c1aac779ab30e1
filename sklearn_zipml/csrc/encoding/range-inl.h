/* What levels are placed by: smallest and largest values of columns, columns of a sample of rows; part of
 * encode-inl.h. */

#define DEFINE_RANGE_OF_ROWS(name, real)                                                                               \
  ZML_TARGET static int name##_of_rows(const real *block, ptrdiff_t stride, size_t n_rows, size_t n_columns,           \
                                       real *restrict low, real *restrict high) {                                      \
    int bad = 0;                                                                                                       \
    for (size_t i = 0; i < n_rows; i++) {                                                                              \
      const real *row = block + (ptrdiff_t)i * stride;                                                                 \
      for (size_t j = 0; j < n_columns; j++) {                                                                         \
        const real value = row[j];                                                                                     \
        low[j] = value < low[j] ? value : low[j];                                                                      \
        high[j] = value > high[j] ? value : high[j];                                                                   \
        bad |= !(value - value == 0);                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
    return bad;                                                                                                        \
  }
#ifndef range_f32_of_rows
DEFINE_RANGE_OF_ROWS(range_f32, float)
#endif
DEFINE_RANGE_OF_ROWS(range_f64, double)

#define DEFINE_RANGE(name, real)                                                                                       \
  ZML_TARGET static int name##_of_column(const real *column, size_t n_rows, real *low, real *high) {                   \
    real least[WORDS], most[WORDS];                                                                                    \
    int bad[WORDS] = {0}, any = 0;                                                                                     \
    size_t i = 0;                                                                                                      \
    ZML_WORDS(l)                                                                                                       \
    least[l] = *low, most[l] = *high;                                                                                  \
    for (; i + WORDS <= n_rows; i += WORDS)                                                                            \
      ZML_WORDS(l) {                                                                                                   \
        const real value = column[i + l];                                                                              \
        least[l] = value < least[l] ? value : least[l];                                                                \
        most[l] = value > most[l] ? value : most[l];                                                                   \
        bad[l] |= !(value - value == 0);                                                                               \
      }                                                                                                                \
    for (; i < n_rows; i++) {                                                                                          \
      const real value = column[i];                                                                                    \
      least[0] = value < least[0] ? value : least[0];                                                                  \
      most[0] = value > most[0] ? value : most[0];                                                                     \
      any |= !(value - value == 0);                                                                                    \
    }                                                                                                                  \
    for (int l = 0; l < WORDS; l++) {                                                                                  \
      *low = least[l] < *low ? least[l] : *low;                                                                        \
      *high = most[l] > *high ? most[l] : *high;                                                                       \
      any |= bad[l];                                                                                                   \
    }                                                                                                                  \
    return any;                                                                                                        \
  }                                                                                                                    \
  ZML_TARGET static int name(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,          \
                             size_t n_columns, real *low, real *high) {                                                \
    if (column_stride == 1)                                                                                            \
      return name##_of_rows(block, row_stride, n_rows, n_columns, low, high);                                          \
    int bad = 0;                                                                                                       \
    for (size_t j = 0; j < n_columns; j++)                                                                             \
      bad |= name##_of_column(block + (ptrdiff_t)j * column_stride, n_rows, low + j, high + j);                        \
    return bad;                                                                                                        \
  }
DEFINE_RANGE(range_f32, float)
DEFINE_RANGE(range_f64, double)

#define DEFINE_GATHER(name, real)                                                                                      \
  ZML_TARGET_INLINE void name##_one_by_one(const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride,           \
                                           size_t first, size_t last, const int64_t *rows, size_t n_rows, real *out,   \
                                           size_t stride) {                                                            \
    for (size_t j = first; j < last; j++) {                                                                            \
      const real *column = block + (ptrdiff_t)j * column_stride;                                                       \
      for (size_t k = 0; k < n_rows; k++)                                                                              \
        out[j * stride + k] = column[rows[k] * row_stride];                                                            \
    }                                                                                                                  \
  }
DEFINE_GATHER(gather_f32, float)
DEFINE_GATHER(gather_f64, double)

ZML_TARGET static void gather_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                  const int64_t *rows, size_t n_rows, double *out, size_t stride) {
  enum { LINE_COLUMNS = 8 };
  if (column_stride != 1) {
    gather_f64_one_by_one(block, row_stride, column_stride, 0, n_columns, rows, n_rows, out, stride);
    return;
  }
  for (size_t j = 0; j < n_columns; j += LINE_COLUMNS) {
    const size_t end = n_columns - j < LINE_COLUMNS ? n_columns : j + LINE_COLUMNS;
    for (size_t k = 0; k < n_rows; k++)
      for (size_t c = j; c < end; c++)
        out[c * stride + k] = block[rows[k] * row_stride + (ptrdiff_t)c];
  }
}

/* Squares of 16 rows and columns, as words. */
ZML_TARGET static void gather_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                  const int64_t *rows, size_t n_rows, float *out, size_t stride) {
  const size_t squares = column_stride == 1 ? n_columns / WORDS * WORDS : 0;
  for (size_t k = 0; k < n_rows && squares; k += WORDS) {
    const size_t count = n_rows - k < WORDS ? n_rows - k : WORDS;
    for (size_t j = 0; j < squares; j += WORDS) {
      ZML_ALIGNED uint32_t by_row[WORDS][WORDS], by_column[WORDS][WORDS];
      for (size_t i = 0; i < WORDS && k + WORDS + i < n_rows; i++) /* rows stand anywhere: no processor expects them */
        ZML_PREFETCH(block + rows[k + WORDS + i] * row_stride + (ptrdiff_t)j);
      for (size_t i = 0; i < WORDS; i++)
        memcpy(by_row[i], block + rows[k + (i < count ? i : 0)] * row_stride + (ptrdiff_t)j, sizeof by_row[i]);
      transpose(by_row[0], WORDS, by_column[0], WORDS);
      for (size_t c = 0; c < WORDS; c++) {
        if (count == WORDS)
          memcpy(out + (j + c) * stride + k, by_column[c], sizeof by_column[c]);
        else
          memcpy(out + (j + c) * stride + k, by_column[c], count * sizeof(float));
      }
    }
  }
  gather_f32_one_by_one(block, row_stride, column_stride, squares, n_columns, rows, n_rows, out, stride);
}
