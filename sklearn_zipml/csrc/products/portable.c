/* Products with many vectors in plain C. */
#include "format/compiler.h"

#define ZML_TARGET
#include "products/plain-inl.h"
enum { VALUE_BYTES = 2, UNIT = 1, SHIFT = 0 };
#include "products/vectors-inl.h"

const zml_matmul zml_matmul_portable = {
    .depth = ZML_SHORT_DEPTH,
    .panels_of_columns = {[1] = panels_of_columns_1,
                          [2] = panels_of_columns_2,
                          [4] = panels_of_columns_4,
                          [8] = panels_of_columns_8},
    .panels_of_rows = {[1] = panels_of_rows_1, [2] = panels_of_rows_2, [4] = panels_of_rows_4, [8] = panels_of_rows_8},
    .multiply = multiply,
    ZML_MATMUL_VECTORS,
};
