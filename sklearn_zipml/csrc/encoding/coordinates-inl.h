/* Grid coordinates and the content of rows; part of encode-inl.h.
 *
 * A coordinate is a fixed-point number of 16 bits, 8 of them fraction. The workspace holds words of two columns,
 * [pair][row], the first column's lower; missing rows and columns are 0. The arithmetic is the block's own, so float32
 * rows cost float32 work; adding and taking away `magic`, which leaves no bits for a fraction, rounds to nearest, ties
 * to even. */

#ifndef DEFINE_COORDINATES
/* content += coordinates of one pair of columns times their multipliers */
ZML_TARGET_INLINE void add_content(const uint32_t *pair, const zml_codebook *book, size_t index, Content *content) {
  for (int k = 0; k < 2; k++) {
    const uint32_t key = book->multipliers[k][index];
    const int32_t first = (int16_t)key, second = (int16_t)(key >> 16);
    for (size_t i = 0; i < ZML_TILE_ROWS; i++)
      content->sum[k][i] += (uint32_t)((int16_t)pair[i] * first) + (uint32_t)((int16_t)(pair[i] >> 16) * second);
  }
}

/* Of one tile; the words of rows go through a square of 16 rows and 16 pairs. */
#define DEFINE_COORDINATES(suffix, real)                                                                               \
  ZML_TARGET static void coordinates_of_rows_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,              \
                                                      const zml_codebook *book, const zml_affine_##suffix *affine,     \
                                                      uint32_t *pairs, Content *content) {                             \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    for (size_t j = 0; j < padded; j += 2 * WORDS) {                                                                   \
      const size_t width = padded - j < 2 * WORDS ? WORDS : 2 * WORDS;                                                 \
      const size_t columns = n_columns - j < width ? n_columns - j : width;                                            \
      const real *offset = affine->offset + j, *scale = affine->scale + j, *top = affine->top + j;                     \
      for (size_t first = 0; first < ZML_TILE_ROWS; first += WORDS) {                                                  \
        ZML_ALIGNED uint32_t square[WORDS][WORDS];                                                                     \
        for (size_t i = 0; i < WORDS; i++) {                                                                           \
          const real *row = block + (ptrdiff_t)(first + i) * stride + j;                                               \
          real full[2 * WORDS];                                                                                        \
          uint16_t shorts[2 * WORDS] = {0};                                                                            \
          if (first + i >= n_rows) {                                                                                   \
            memset(square[i], 0, sizeof square[i]);                                                                    \
            continue;                                                                                                  \
          }                                                                                                            \
          ZML_PREFETCH(row + 2 * WORDS); /* more rows than processors follow */                                        \
          ZML_PREFETCH(row + 3 * WORDS);                                                                               \
          if (columns < 2 * WORDS) {                                                                                   \
            memset(full, 0, sizeof full); /* not of every row: that takes long */                                      \
            memcpy(full, row, columns * sizeof *row);                                                                  \
            row = full;                                                                                                \
          }                                                                                                            \
          for (size_t half = 0; half < width; half += WORDS)                                                           \
            ZML_WORDS(l)                                                                                               \
          shorts[half + l] =                                                                                           \
              (uint16_t)coordinate_##suffix(row[half + l], offset[half + l], scale[half + l], top[half + l]);          \
          memcpy(square[i], shorts, sizeof shorts);                                                                    \
        }                                                                                                              \
        ZML_ALIGNED uint32_t turned[WORDS][WORDS];                                                                     \
        transpose(square[0], WORDS, turned[0], WORDS);                                                                 \
        for (size_t k = 0; k < width / 2; k++)                                                                         \
          memcpy(pairs + (j / 2 + k) * ZML_TILE_ROWS + first, turned[k], sizeof turned[k]);                            \
      }                                                                                                                \
      for (size_t k = 0; k < width / 2; k++)                                                                           \
        add_content(pairs + (j / 2 + k) * ZML_TILE_ROWS, book, j / 2 + k, content);                                    \
    }                                                                                                                  \
  }                                                                                                                    \
  ZML_TARGET static void coordinates_of_columns_##suffix(const real *block, ptrdiff_t stride, size_t n_rows,           \
                                                         const zml_codebook *book, const zml_affine_##suffix *affine,  \
                                                         uint32_t *pairs, Content *content) {                          \
    const size_t n_columns = book->n_columns, padded = zml_padded_columns(n_columns);                                  \
    for (size_t j = 0; j < padded; j += 2) {                                                                           \
      uint32_t *to = pairs + j / 2 * ZML_TILE_ROWS;                                                                    \
      memset(to, 0, ZML_TILE_ROWS * sizeof *to);                                                                       \
      for (size_t k = 0; k < 2 && j + k < n_columns; k++) {                                                            \
        const real *column = block + (ptrdiff_t)(j + k) * stride;                                                      \
        const real offset = affine->offset[j + k], scale = affine->scale[j + k], top = affine->top[j + k];             \
        for (size_t i = 0; i < n_rows; i++)                                                                            \
          to[i] |= coordinate_##suffix(column[i], offset, scale, top) << (16 * k);                                     \
      }                                                                                                                \
      add_content(to, book, j / 2, content);                                                                           \
    }                                                                                                                  \
  }
DEFINE_COORDINATES(f32, float)
DEFINE_COORDINATES(f64, double)
#endif
