"""Memory and time of packing, and of small fits.

Run: python benchmarks/memory.py [--rows 1000000] [--columns 200]

Writes a float32 memory map (rows * columns * 4 bytes) to a temporary file and samples RssAnon of this process while
DoubleSamplingQuantizer(2).fit_transform reads it (Linux only); prints nbytes of containers against n * d * bits / 8.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
from peak import Peak
from sklearn.datasets import load_diabetes

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor


def large_packing(rows, columns):
    """Pack a memory map and print peak memory above the start."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        shape, path = (rows, columns), pathlib.Path(folder) / "samples.f32"
        X = np.memmap(path, dtype=np.float32, mode="w+", shape=shape)
        for first in range(0, rows, 10000):
            X[first : first + 10000] = rng.standard_normal((min(10000, rows - first), columns), dtype=np.float32)
        X.flush()
        X = np.memmap(path, dtype=np.float32, mode="r", shape=shape)
        with Peak() as memory:
            start = time.perf_counter()
            packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
            seconds = time.perf_counter() - start
    print(f"{rows} x {columns} float32 memmap of {X.nbytes / 1e6:.0f} MB -> {packed}")
    print(f"  peak anonymous memory above the start {(memory.peak - memory.start) / 1e6:.0f} MB, {seconds:.2f} s")


def container_sizes():
    """Print nbytes against the bound."""
    for n, d in ((10000, 16), (10000, 512), (100000, 64)):
        X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
        for bits in (1, 2, 4, 8):
            size = DoubleSamplingQuantizer(bits, sampling="compensated", random_state=0).fit_transform(X).nbytes
            ideal = n * d * bits / 8
            bound = ideal * 1.02 + 65536
            print(f"{n} x {d} at {bits} bits: {size} bytes, {size / ideal:.3f} of ideal, within bound: {size <= bound}")


def small_fit():
    """Print the time of a default fit on diabetes."""
    X, y = load_diabetes(return_X_y=True)
    times = []
    for seed in range(21):
        start = time.perf_counter()
        ZipMLRegressor(random_state=seed).fit(X, y)
        times.append(time.perf_counter() - start)
    print(f"ZipMLRegressor().fit on diabetes: first {times[0] * 1e3:.1f} ms, median {np.median(times) * 1e3:.1f} ms")


def main():
    """Print all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=200)
    options = parser.parse_args()
    small_fit()
    container_sizes()
    large_packing(options.rows, options.columns)


if __name__ == "__main__":
    main()
