/* Panels of one code width each, out of the instruction set's own `panels_of_columns` and `panels_of_rows`, in which it
 * is a constant; part of <isa>.c. */

#define DEFINE(width)                                                                                                  \
  ZML_TARGET static void panels_of_columns_##width(const uint8_t *tile, const uint8_t *table, size_t n_panels,         \
                                                   uint8_t *out, size_t stride) {                                      \
    panels_of_columns(tile, table, n_panels, out, stride, width);                                                      \
  }                                                                                                                    \
  ZML_TARGET static void panels_of_rows_##width(const uint8_t *tile, const uint8_t *table, size_t n_panels,            \
                                                uint8_t *out, size_t stride) {                                         \
    panels_of_rows(tile, table, n_panels, out, stride, width);                                                         \
  }
DEFINE(1)
DEFINE(2)
DEFINE(4)
DEFINE(8)

#define ZML_MATMUL_PANELS                                                                                              \
  .panels_of_columns = {[1] = panels_of_columns_1,                                                                     \
                        [2] = panels_of_columns_2,                                                                     \
                        [4] = panels_of_columns_4,                                                                     \
                        [8] = panels_of_columns_8},                                                                    \
  .panels_of_rows = {[1] = panels_of_rows_1, [2] = panels_of_rows_2, [4] = panels_of_rows_4, [8] = panels_of_rows_8},  \
  .multiply = multiply
