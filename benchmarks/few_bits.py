"""Data that already have few bits: how fast they are packed, against copying and reading them, and what fits take.

Run: python benchmarks/few_bits.py [--rows 200000] [--columns 768] [--repeats 5] [--large]

What is compared takes turns, and the best time of each counts; CPU time tells more where other programs run. Bars: 0.4
of the speed of X.copy() for integers; for fields of 1 and 2 bits 0.5 of that of codes.max(); coefficients of genotypes
within 1e-6 of Ridge's in float64, in an eighth of its time; 1 G values/s of a .bed file, in no more memory than 1.3 of
its packed rows and 200 MB; R² of rows with missing values within .003 of imputed ones in float64, at 4 bits; 150 MB
above the codes for a fit. --large makes the .bed file 500 MB and the codes of that fit 1 GB, instead of a tenth of it.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from peak import Peak
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

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


def write_bed(base, n, d):
    """A .bed file of random genotypes, 2 % of them missing, with its .bim and .fam."""
    rng = np.random.default_rng(0)
    with base.with_suffix(".bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        for start in range(0, d, 500):
            shape = min(500, d - start), n
            frequency = rng.beta(0.6, 1.2, size=(shape[0], 1)).clip(0.01, 0.99)
            copies = sum((rng.random(shape, dtype=np.float32) < frequency).astype(np.uint8) for _ in range(2))
            fields = np.where(
                rng.random(shape, dtype=np.float32) < 0.02, 1, np.array([3, 2, 0], dtype=np.uint8)[copies]
            )
            fields = np.pad(fields.astype(np.uint8), ((0, 0), (0, -n % 4)))
            file.write(sum(fields[:, k::4] << 2 * k for k in range(4)).astype(np.uint8).tobytes())
    base.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 1 -9\n" for i in range(n)))
    base.with_suffix(".bim").write_text("".join(f"1\trs{j}\t0\t{j + 1}\tA\tG\n" for j in range(d)))


def bed_file(n, d, repeats):
    """Genotypes of a .bed file, whole and with what bed-reader takes for floats of a part of them."""
    from bed_reader import open_bed

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "genotypes"
        write_bed(base, n, d)
        path, part = base.with_suffix(".bed"), max(1, d // 20)
        settings = {"sample_bits": 2, "missing": "mean", "random_state": 0, "n_jobs": THREADS}
        with Peak() as peak:
            packed = PackedMatrix.from_chunks(path, **settings)
            packed.save(base.with_suffix(".zml"))
        size, above = packed.nbytes, peak.peak - peak.start
        del packed

        def read():
            with open_bed(path, num_threads=THREADS) as file:
                return file.read(np.s_[:, :part], dtype="int8")

        own, peer = best([lambda: PackedMatrix.from_chunks(path, **settings), read], repeats)
    wall, busy = n * d / own[0] / 1e9, THREADS * n * d / own[1] / 1e9
    print(f".bed, {n} x {d}: {wall:.2f} G values/s to packed rows, by CPU time on {THREADS} threads {busy:.2f};")
    print(f"  bed-reader to int8 {n * part / peer[0] / 1e9:.2f} and {THREADS * n * part / peer[1] / 1e9:.2f}")
    most = 1.3 * size / 1e6 + 200
    print(f"  memory {above / 1e6:.0f} MB until the file is written, {size / 1e6:.0f} MB of it packed (bar {most:.0f})")


def missing(n, d, repeats):
    """R² of new rows, 5 % of the training rows being missing, against SimpleImputer and Ridge in float64."""
    for bits in (2, 4, 8):
        losses = []
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)) / np.sqrt(d))
            y = X @ rng.normal(size=d) / np.sqrt(d) + 0.5 * rng.normal(size=n)
            X[rng.uniform(size=X.shape) < 0.05] = np.nan
            half = n // 2
            full = make_pipeline(SimpleImputer(), Ridge(alpha=half * 1e-3)).fit(X[:half], y[:half])
            quantizer = DoubleSamplingQuantizer(bits, missing="mean", random_state=seed)
            model = make_pipeline(quantizer, ZipMLRegressor(bits, alpha=1e-3, random_state=seed)).fit(
                X[:half], y[:half]
            )
            losses.append(full.score(X[half:], y[half:]) - model.score(X[half:], y[half:]))
        print(f"5 % missing, {bits} bits: R² less than of imputed float64 by {np.mean(losses):.4f}, {max(losses):.4f}")


def memory_of_fits(n_bytes):
    """Peak memory above codes of a fit to them, tall and wide."""
    rng = np.random.default_rng(0)
    for d, bits in ((1024, 8), (4096, 2), (16384, 2)):
        n = 8 * n_bytes // (d * bits)
        codes = rng.integers(0, 256, size=(n, d * bits // 8), dtype=np.uint8)
        packed = PackedMatrix.from_codes(codes, bits=None if bits == 8 else bits, n_jobs=THREADS, random_state=0)
        del codes
        y, model = rng.normal(size=n), ZipMLRegressor(bits, alpha=1e-3, n_jobs=THREADS, random_state=0)
        model.fit(packed[:1000], y[:1000])
        with Peak() as peak:
            model.fit(packed, y)
        above = (peak.peak - peak.start) / 1e6
        print(f"fit to codes of {packed.nbytes / 1e6:.0f} MB, {n} x {d}: {above:.0f} MB above them ({model.solver_})")


def main():
    """Measure all of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="genotypes of 500 MB, and codes of 1 GB")
    options = parser.parse_args()
    shape = options.rows, options.columns
    integers(*shape, options.repeats)
    fields(*shape, options.repeats)
    halves(*shape, options.repeats)
    bed_file(*((40_000, 50_000) if options.large else (20_000, 10_000)), min(3, options.repeats))
    missing(20_000, 50, min(5, options.repeats))
    memory_of_fits(1 << 30 if options.large else 100 << 20)
    genotypes(min(4000, options.rows // 50), min(20_000, options.rows // 10), min(2, options.repeats))


if __name__ == "__main__":
    main()
