/* Products with many vectors in plain C. */
#include "format/compiler.h"

#define ZML_TARGET
#include "products/plain-inl.h"
enum { VALUE_BYTES = 2, UNIT = 1, SHIFT = 0 };
#include "products/vectors-inl.h"

const zml_matmul zml_matmul_portable = {
    .depth = ZML_SHORT_DEPTH,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
