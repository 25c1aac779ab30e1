/* Kernels for AArch64 processors with the dot product instructions (optional from ARMv8.2 on, required from 8.4). */
#include "format/compiler.h"

#if ZML_HAS_NEON
#define NEON_DOTPROD 1
#if defined(__clang__)
#define ZML_TARGET __attribute__((target("dotprod")))
#else
#define ZML_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#include "encoding/encode.h"
#include "passes/neon-inl.h"
#include "products/matmul.h"

const zml_kernels zml_neon_dotprod = {
    .name = "neon_dotprod",
    .encoding = &zml_encoding_neon,
    .matmul = &zml_matmul_neon_dotprod,
    ZML_WIDTHS,
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
#endif
