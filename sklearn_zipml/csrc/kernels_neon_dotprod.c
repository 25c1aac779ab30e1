/* Kernels for AArch64 processors with the dot product instructions (optional from ARMv8.2 on, required from 8.4). */
#include "compiler.h"

#if ZML_HAS_NEON
#define NEON_DOTPROD 1
#if defined(__clang__)
#define ZML_TARGET __attribute__((target("dotprod")))
#else
#define ZML_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#include "encode.h"
#include "matmul.h"
#include "neon_functions.h"

const zml_kernels zml_neon_dotprod = {
    .name = "neon_dotprod",
    .encoding = &zml_encoding_neon,
    .matmul = &zml_matmul_neon_dotprod,
    .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},
    .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8},
    .saga_rows = saga_rows,
    ZML_VECTOR_FUNCTIONS,
};
#endif
