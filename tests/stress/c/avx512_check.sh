#!/usr/bin/env bash
# Check the AVX-512 products with many vectors on a machine without AVX-512: compile them against SIMDe, which has the
# intrinsics in C, and compare them with sums in plain C. Emulated time says nothing about speed.
#
#     apt-get install -y libsimde-dev
#     tests/stress/c/avx512_check.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# SIMDe in the place of the compiler's header; the attribute `target`, which would let the compiler use AVX-512, goes
mkdir "$folder/include"
cat >"$folder/include/immintrin.h" <<'END'
#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#ifndef _mm512_cvtepi32_epi64 /* not in every version */
static inline __m512i _mm512_cvtepi32_epi64(__m256i from) {
  simde__m256i_private in = simde__m256i_to_private(from);
  simde__m512i_private out;
  for (int k = 0; k < 8; k++)
    out.i64[k] = in.i32[k];
  return simde__m512i_from_private(out);
}
#endif
END
"${CC:-gcc}" -O2 -w -Wno-psabi -DEMULATED_AVX512 '-Dtarget(x)=unused' -I "$folder/include" -I sklearn_zipml/csrc \
  -o "$folder/check" tests/stress/c/matmul_check.c \
  sklearn_zipml/csrc/products/{passes,avx512}.c
"$folder/check"
