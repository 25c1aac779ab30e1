#!/usr/bin/env bash
# Check the NEON kernels on a machine without NEON: cross-compile the checks of tests/stress/c for AArch64 and run them
# under qemu, once on a processor with the dot product instructions and once on one without.
#
#     apt-get install -y gcc-aarch64-linux-gnu qemu-user
#     tests/stress/neon_check.sh
#
# CC and RUN choose another compiler and another emulator; `CC=gcc RUN= tests/stress/neon_check.sh` checks the machine's
# own instruction sets. Emulated time says nothing about speed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compiler=${CC:-aarch64-linux-gnu-gcc}
emulator=${RUN-qemu-aarch64 -L /usr/aarch64-linux-gnu}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for check in kernels_check matmul_check; do
  "$compiler" -O3 -ffp-contract=off -fno-math-errno -Wall -Wextra -static -I sklearn_zipml/csrc -o "$folder/$check" \
    "tests/stress/c/$check.c" $(find sklearn_zipml/csrc -name '*.c') -lm
done

if [[ -z $emulator ]]; then
  "$folder/kernels_check"
  "$folder/matmul_check"
else
  for processor in max cortex-a72; do # cortex-a72 has no dot product
    echo "== $processor"
    $emulator -cpu "$processor" "$folder/kernels_check"
    $emulator -cpu "$processor" "$folder/matmul_check"
  done
fi
