/* Finds out which kernels run here; computes nothing. */
#include "dispatch.h"

#include <string.h>

#include "format/compiler.h"

#if ZML_HAS_NEON && defined(__linux__)
#include <sys/auxv.h>
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1 << 20)
#endif
#endif

#if ZML_HAS_AVX512
/* __builtin_cpu_supports also asks XCR0, that is whether the operating system saves the registers. */
static int runs_avx512(void) {
#ifdef ZML_EMULATED_AVX512
  return 1;
#else
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("gfni");
#endif
}
#endif

#if ZML_HAS_NEON
static int runs_dotprod(void) {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  return 1; /* every Apple silicon Mac has it */
#else
  return 0;
#endif
}
#endif

const zml_kernels *zml_available_kernels(int index) {
  const zml_kernels *found[4] = {NULL};
  int count = 0;
#if ZML_HAS_X86
  __builtin_cpu_init();
#if ZML_HAS_AVX512
  if (runs_avx512())
    found[count++] = &zml_avx512;
#endif
  if (__builtin_cpu_supports("avx2"))
    found[count++] = &zml_avx2;
#endif
#if ZML_HAS_NEON
  if (runs_dotprod())
    found[count++] = &zml_neon_dotprod;
  found[count++] = &zml_neon;
#endif
  found[count++] = &zml_portable;
  return index >= 0 && index < count ? found[index] : NULL;
}

const zml_kernels *zml_kernels_named(const char *name) {
  const zml_kernels *kernels;
  for (int k = 0; (kernels = zml_available_kernels(k)); k++)
    if (!strcmp(kernels->name, name))
      return kernels;
  return NULL;
}
