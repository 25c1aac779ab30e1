"""Data that already have few bits: how fast they are packed, against copying and reading them, and genotypes in a fit.

Run: python benchmarks/few_bits.py [--rows 200000] [--columns 768] [--repeats 5]

What is compared takes turns, and the best time of each counts; CPU time tells more where other programs run. Bars: 0.4
of the speed of X.copy() for integers; for fields of 1 and 2 bits 0.5 of that of codes.max(); coefficients of genotypes
within 1e-6 of Ridge's in float64, in an eighth of its time.
"""

import argparse
import time

import numpy as np
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor

THREADS = 2


def best(calls, repeats):
    """(seconds, CPU seconds) of each call, the best of several that take turns."""
    found = [(np.inf, np.inf)] * len(calls)
    for _ in range(repeats):
        for k, call in enumerate(calls):
            start, used = time.perf_counter(), time.process_time()
            call()
            spent = time.perf_counter() - start, time.process_time() - used
            found[k] = tuple(map(min, found[k], spent))
    return found


def report(name, values, peer, own):
    """One line: values a second of a peer and of packing, and how they compare."""
    rates = f"peer {values / peer[0] / 1e9:6.2f}  packing {values / own[0] / 1e9:6.2f} G values/s"
    print(f"{name:18} {rates}  ratio {peer[0] / own[0]:.2f}, of CPU time on {THREADS} {THREADS * peer[1] / own[1]:.2f}")


def integers(n, d, repeats):
    """Arrays of integers and booleans, against X.copy()."""
    rng = np.random.default_rng(0)
    kinds = [("uint8", 8, 0, 256), ("int8", 8, -128, 128), ("bool", 1, 0, 2), ("int8", 2, 0, 3), ("int8", 4, 0, 16)]
    for dtype, bits, low, high in kinds:
        X = rng.integers(low, high, size=(n, d), dtype=np.int16).astype(dtype)
        quantizer = DoubleSamplingQuantizer(bits, n_jobs=THREADS, random_state=0)
        if not np.array_equal(quantizer.fit_transform(X[:1000]), X[:1000]):
            raise AssertionError(f"{dtype} at {bits} bits is not stored without loss")
        copied, packed = best([X.copy, lambda X=X, quantizer=quantizer: quantizer.fit_transform(X)], repeats)
        report(f"{dtype}, {bits} bits", X.size, copied, packed)


def fields(n, d, repeats):
    """Bytes that hold several codes, against reading them."""
    rng = np.random.default_rng(0)
    for bits in (1, 2, 4):
        codes = rng.integers(0, 256, size=(n, d * bits // 8), dtype=np.uint8)

        def pack(codes=codes, bits=bits):
            return PackedMatrix.from_codes(codes, bits=bits, n_jobs=THREADS, random_state=0)

        read, packed = best([codes.max, pack], repeats)
        report(f"fields of {bits} bits", n * d, read, packed)


def halves(n, d, repeats):
    """float16, against float32."""
    X = np.random.default_rng(0).normal(size=(n // 4, d)).astype(np.float16)
    wide, quantizer = X.astype(np.float32), DoubleSamplingQuantizer(4, n_jobs=THREADS, random_state=0)
    float32, float16 = best([lambda: quantizer.fit_transform(wide), lambda: quantizer.fit_transform(X)], repeats)
    report("float16, 4 bits", X.size, float32, float16)


def genotypes(n, d, repeats):
    """Ridge regression of genotypes, against Ridge in float64."""
    rng = np.random.default_rng(0)
    X = rng.binomial(2, rng.beta(0.6, 1.2, d).clip(0.01, 0.99), size=(n, d)).astype(np.int8)
    y = X @ rng.normal(size=d) / np.sqrt(d) + rng.normal(size=n)
    packed = PackedMatrix.from_codes(X, random_state=0)
    alpha = 0.01
    ridge, model = Ridge(alpha=n * alpha), ZipMLRegressor(2, alpha=alpha, tol=1e-10, n_jobs=THREADS, random_state=0)
    plain, own = best([lambda: ridge.fit(X.astype(np.float64), y), lambda: model.fit(packed, y)], repeats)
    error = np.linalg.norm(model.coef_ - ridge.coef_) / np.linalg.norm(ridge.coef_)
    print(f"genotypes {n} x {d}: Ridge {plain[0]:.2f} s, packed {own[0]:.2f} s, {plain[0] / own[0]:.1f} times as fast")
    print(f"  coefficients differ by {error:.1e}; {8 * X.size / packed.nbytes:.1f} times less memory than float64")


def main():
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    shape = options.rows, options.columns
    integers(*shape, options.repeats)
    fields(*shape, options.repeats)
    halves(*shape, options.repeats)
    genotypes(min(4000, options.rows // 50), min(20_000, options.rows // 10), min(2, options.repeats))


if __name__ == "__main__":
    main()
