/* Kernels for every AArch64 processor. */
#include "format/compiler.h"

#if ZML_HAS_NEON
#define NEON_DOTPROD 0
#define ZML_TARGET
#include "encoding/encode.h"
#include "passes/neon-inl.h"
#include "products/matmul.h"

const zml_kernels zml_neon = {
    .name = "neon",
    .encoding = &zml_encoding_neon,
    .matmul = &zml_matmul_portable,
    ZML_WIDTHS,
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
#endif
