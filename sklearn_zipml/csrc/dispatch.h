/* The choice of kernels: probed once, best first; may be forced by name. */
#ifndef ZML_DISPATCH_H
#define ZML_DISPATCH_H

#include "passes/kernels.h"

extern const zml_kernels zml_avx512, zml_avx2, zml_neon_dotprod, zml_neon, zml_portable;

/* The tables that this CPU and operating system run, best first; NULL beyond the last one. */
const zml_kernels *zml_available_kernels(int index);

/* The table of that name among them, or NULL. */
const zml_kernels *zml_kernels_named(const char *name);

#endif
