#!/usr/bin/env bash
# Check the AVX-512 kernels on a machine without AVX-512: build the compiled modules, apart from those in use, against
# SIMDe, which has the intrinsics in C, and run tests with these kernels. Emulated time says nothing about speed.
#
#     apt-get install -y libsimde-dev
#     tests/stress/avx512_check.sh                    # or with pytest's arguments in place of those below
#
# PYTHON chooses the interpreter.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-python}
((${#@})) || set -- tests/kernels/test_kernels.py tests/kernels/test_epochs.py tests/kernels/test_matmul.py \
  tests/quantization tests/storage

build=build/emulated
mkdir -p "$build/include"
echo '#include "emulated_avx512.h"' >"$build/include/immintrin.h"
# last, so that it counts: optimising emulated intrinsics further takes the compiler many minutes
printf '#!/bin/sh\nexec %s "$@" -O1\n' "${CC:-gcc}" >"$build/cc" && chmod +x "$build/cc"
# the attribute `target` would let the compiler use AVX-512 itself
CC=$build/cc CFLAGS="-w -Wno-psabi -DZML_EMULATED_AVX512 -Dtarget(x)=unused -I$PWD/$build/include -I$PWD/tests/stress/c" \
  "$python" setup.py -q build_py --build-lib "$build/lib" \
  build_ext --build-lib "$build/lib" --build-temp "$build/temp" >"$build/log" 2>&1 || { tail -n 50 "$build/log"; exit 1; }

SKLEARN_ZIPML_KERNELS=avx512 PYTHONPATH=$PWD/$build/lib "$python" -P -m pytest -q -p no:cacheprovider "$@"
