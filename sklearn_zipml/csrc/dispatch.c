/* Picks a kernel table; computes nothing. */
#include "kernels.h"

const zml_kernels *zml_best_kernels(void) { return &zml_portable; }
