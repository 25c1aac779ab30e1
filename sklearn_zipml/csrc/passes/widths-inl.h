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

/* The two in a table of kernels. */
#define ZML_WIDTHS                                                                                                     \
  .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},                                                         \
  .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8}
