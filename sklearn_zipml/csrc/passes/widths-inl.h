/* dot and gradient of one code width and one or two planes each, out of the instruction set's own `dot` and `gradient`,
 * in which both are constants; part of <isa>.c. */

#define DEFINE_WIDTH(width)                                                                                            \
  ZML_TARGET static void dot_##width(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,  \
                                     size_t plane_stride, int n_planes, int first, int last, int32_t *out) {           \
    if (n_planes == 1)                                                                                                 \
      dot(tile, table, columns, planes, plane_stride, first, last, out, width, 1);                                     \
    else                                                                                                               \
      dot(tile, table, columns, planes, plane_stride, first, last, out, width, 2);                                     \
  }                                                                                                                    \
  ZML_TARGET static void gradient_##width(const uint8_t *tile, const uint8_t *table, size_t columns,                   \
                                          const int8_t *planes, int n_planes, int first, int last, int32_t *out,       \
                                          size_t out_stride, const uint8_t *ahead) {                                   \
    if (n_planes == 1)                                                                                                 \
      gradient(tile, table, columns, planes, first, last, out, out_stride, ahead, width, 1);                           \
    else                                                                                                               \
      gradient(tile, table, columns, planes, first, last, out, out_stride, ahead, width, 2);                           \
  }
DEFINE_WIDTH(1)
DEFINE_WIDTH(2)
DEFINE_WIDTH(4)
DEFINE_WIDTH(8)

/* The two in a table of kernels. */
#define ZML_WIDTHS                                                                                                     \
  .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},                                                         \
  .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8}
