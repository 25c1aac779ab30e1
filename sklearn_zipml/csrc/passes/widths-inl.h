/* dot and gradient of one code width and one or two digits each, out of the instruction set's own `dot` and `gradient`,
 * in which both are constants; part of <isa>.c. What they are given is copied, so that compilers see that nothing
 * changes it. */

#define DEFINE_WIDTH(width)                                                                                            \
  ZML_TARGET static void dot_##width(const zml_samples *samples, const zml_digits *vector, int32_t *out) {             \
    const zml_samples x = *samples;                                                                                    \
    if (vector->n_digits == 1)                                                                                         \
      dot(&x, vector->digits, vector->stride, out, width, 1);                                                          \
    else                                                                                                               \
      dot(&x, vector->digits, vector->stride, out, width, 2);                                                          \
  }                                                                                                                    \
  ZML_TARGET static void gradient_##width(const zml_samples *samples, const int8_t *rows, int n_digits, int32_t *out,  \
                                          size_t out_stride) {                                                         \
    const zml_samples x = *samples;                                                                                    \
    if (n_digits == 1)                                                                                                 \
      gradient(&x, rows, out, out_stride, width, 1);                                                                   \
    else                                                                                                               \
      gradient(&x, rows, out, out_stride, width, 2);                                                                   \
  }
DEFINE_WIDTH(1)
DEFINE_WIDTH(2)
DEFINE_WIDTH(4)
DEFINE_WIDTH(8)

/* With known dither codes become bytes first, in `widen`, a function of the instruction set's own: blocks of columns
 * that stay in the first-level cache. */
enum { WIDENED_COLUMNS = 256 };
typedef struct {
  uint8_t bytes[ZML_TILE_ROWS * WIDENED_COLUMNS];
} Widened;

ZML_TARGET_INLINE zml_samples widened_block(const zml_samples *x, size_t first, const uint32_t *seeds,
                                            Widened *widened) {
  const size_t left = x->columns - first, columns = left < WIDENED_COLUMNS ? left : WIDENED_COLUMNS;
  widen(x->tile + first * (2 * ZML_TILE_ROWS / 8), x->table + first * ZML_DITHER_TABLE, columns, x->first, x->last,
        seeds, widened->bytes);
  return (zml_samples){.tile = widened->bytes, .columns = columns, .first = x->first, .last = x->last};
}

ZML_TARGET static void dot_dithered(const zml_samples *samples, const zml_digits *vector, int32_t *out) {
  const zml_samples x = *samples;
  const int first = x.first * ZML_PLANE_ROWS, last = x.last * ZML_PLANE_ROWS;
  uint32_t seeds[ZML_TILE_ROWS];
  Widened widened;
  zml_row_seeds(x.seeds, x.first, x.last, seeds);
  for (int k = 0; k < vector->n_digits; k++)
    memset(out + k * ZML_TILE_ROWS + first, 0, sizeof *out * (size_t)(last - first));
  for (size_t start = 0; start < x.columns; start += WIDENED_COLUMNS) {
    const zml_samples block = widened_block(&x, start, seeds, &widened);
    const zml_digits digits = {vector->digits + start, vector->stride, vector->n_digits};
    int32_t sums[2 * ZML_TILE_ROWS];
    dot_8(&block, &digits, sums);
    for (int k = 0; k < vector->n_digits; k++)
      for (int i = first; i < last; i++)
        out[k * ZML_TILE_ROWS + i] += sums[k * ZML_TILE_ROWS + i];
  }
}

ZML_TARGET static void gradient_dithered(const zml_samples *samples, const int8_t *rows, int n_digits, int32_t *out,
                                         size_t out_stride) {
  const zml_samples x = *samples;
  uint32_t seeds[ZML_TILE_ROWS];
  Widened widened;
  zml_row_seeds(x.seeds, x.first, x.last, seeds);
  for (size_t start = 0; start < x.columns; start += WIDENED_COLUMNS) {
    const zml_samples block = widened_block(&x, start, seeds, &widened);
    for (size_t column = 0; column < block.columns; column += ZML_COLUMN_PAD)
      fetch_ahead(x.ahead, (start + column) / ZML_COLUMN_PAD, 2, x.last - x.first);
    gradient_8(&block, rows, n_digits, out + start, out_stride);
  }
}

/* The two in a table of kernels. */
#define ZML_WIDTHS                                                                                                     \
  .dot = {[1] = dot_1, [2] = dot_2, [ZML_DITHERED] = dot_dithered, [4] = dot_4, [8] = dot_8}, .widen = widen,          \
  .gradient = {                                                                                                        \
      [1] = gradient_1, [2] = gradient_2, [ZML_DITHERED] = gradient_dithered, [4] = gradient_4, [8] = gradient_8}
