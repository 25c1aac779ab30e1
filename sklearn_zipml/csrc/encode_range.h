/* Smallest and largest values of columns; part of encode_functions.h. */

#define DEFINE_RANGE(name, real)                                                                                       \
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
  }                                                                                                                    \
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
