/* Kernels for every AArch64 processor. */
#include "compiler.h"

#if ZML_HAS_NEON
#define NEON_DOTPROD 0
#define ZML_TARGET
#include "encode.h"
#include "matmul.h"
#include "neon_functions.h"

const zml_kernels zml_neon = {
    .name = "neon",
    .encoding = &zml_encoding_neon,
    .matmul = &zml_matmul_portable,
    .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},
    .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8},
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
#endif
