"""Products with many vectors at once on packed tiles, against float32 BLAS on the unpacked rows, interleaved.

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python benchmarks/bench_matmul.py [--rows 16384] [--columns 1000]

Ratios are BLAS's time over ours, the best of --repeats runs each. Codes are random, of --bits bits; --cpu takes the
processor time of one thread, which other processes disturb less. BLAS's `X.T @ X` uses the symmetry as well.
"""

import argparse
import time
from functools import partial

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_zipml._kernels import active as active_kernels
from sklearn_zipml._kernels import passes
from sklearn_zipml._kernels import tiles as bindings
from sklearn_zipml._kernels.dispatch import kernels
from sklearn_zipml._kernels.products import gradients_many, products_many
from sklearn_zipml._solvers import gram
from sklearn_zipml._storage.tiles import aligned_tiles


def random_tiles(n_rows, d, bits):
    """Tiles of random bytes with random sorted levels."""
    rng = np.random.default_rng(0)
    codes = aligned_tiles(n_rows, d, bits)
    codes[...] = rng.integers(0, 256, codes.shape, dtype=np.uint8)
    size = (bindings.padded_columns(d), 1 << bits if bits < 8 else 0)
    table = np.sort(rng.integers(0, 256, size, dtype=np.uint8), axis=1).reshape(-1)
    return bindings.Tiles(codes, table, n_rows, d, bits)


def best_times(runs, repeats, clock):
    """Best time of every function, run in turn."""
    best = [np.inf] * len(runs)
    for _ in range(repeats):
        for k, run in enumerate(runs):
            start = clock()
            run()
            best[k] = min(best[k], clock() - start)
    return best


def report(name, multiplications, ours, theirs):
    print(
        f"{name:48s} {multiplications / ours / 1e9:7.1f} G/s   BLAS {multiplications / theirs / 1e9:7.1f} G/s"
        f"   ratio {theirs / ours:5.2f}",
        flush=True,
    )


def compare_gram(tiles, rows, options, clock):
    """Second moments."""
    centre, (n, d) = rows.mean(axis=0, dtype=np.float64), rows.shape
    runs = (partial(gram.second_moments, tiles, tiles.n_tiles, centre, options.threads), lambda: rows.T @ rows)
    report(f"gram, {tiles.width} bits, {n} x {d}", n * d * d / 2, *best_times(runs, options.repeats, clock))


def compare_row_gram(tiles, rows, options, clock):
    """The matrix of rows, in double and in single precision."""
    centre, (n, d) = rows.mean(axis=0, dtype=np.float64), rows.shape
    for dtype in (np.float64, np.float32):
        runs = (
            partial(gram.row_gram, tiles, centre, np.ones(d), dtype, options.threads),
            lambda: rows @ rows.T,
        )
        name = f"row gram, {dtype.__name__}, {tiles.width} bits, {n} x {d}"
        report(name, n * n * d / 2, *best_times(runs, options.repeats, clock))


def compare_vectors(tiles, rows, k, options, clock):
    """Products with k vectors and sums with k weights of every row."""
    n, d = rows.shape
    rng = np.random.default_rng(1)
    z, r = rng.normal(size=(k, d)), rng.normal(size=(k, n))
    z32, r32 = z.astype(np.float32), r.astype(np.float32)
    for n_bytes in map(int, options.bytes.split(",")):
        size = {"n_bytes": n_bytes, "threads": options.threads}
        name = f"{k} of {n_bytes} bytes, {tiles.width} bits, {n} x {d}"
        runs = (partial(products_many, tiles, z, **size), lambda: z32 @ rows.T)
        report(f"products, {name}", n * d * k, *best_times(runs, options.repeats, clock))
        runs = (partial(gradients_many, tiles, r, **size), lambda: r32 @ rows)
        report(f"gradients, {name}", n * d * k, *best_times(runs, options.repeats, clock))
    if options.single:
        runs = (
            lambda: [passes.products(tiles, row, 0, tiles.n_tiles, 1) for row in z],
            lambda: [passes.row_sums(tiles, row, 0, tiles.n_tiles, 1) for row in r],
        )
        times = best_times(runs, options.repeats, clock)
        for what, seconds in zip(("products", "gradients"), times, strict=True):
            print(f"  {what}, one vector at a time, 2 bytes {n * d * k / seconds / 1e9:20.1f} G/s")


def compare(tiles, options, clock):
    """One line a product."""
    rows = tiles.positions(0, tiles.n_tiles).astype(np.float32)
    compare_gram(tiles, rows, options, clock)
    if len(rows) <= rows.shape[1]:
        compare_row_gram(tiles, rows, options, clock)
    for k in map(int, filter(None, options.vectors.split(","))):
        compare_vectors(tiles, rows, k, options, clock)


def main():
    """Print one line a product, width and number of columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--columns", default="1000")
    parser.add_argument("--bits", default="1,2,4,8")
    parser.add_argument("--kernels", default=active_kernels.kernel_name())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--vectors", default="10,100")
    parser.add_argument("--bytes", default="1,2,4")
    parser.add_argument("--single", action="store_true", help="also passes of one vector at a time")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of time")
    options = parser.parse_args()
    blas = [library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"]
    print(f"kernels {options.kernels}, BLAS kernels {', '.join(blas)}, {options.threads} threads")
    clock = time.process_time if options.cpu else time.perf_counter
    with threadpool_limits(options.threads, user_api="blas"), kernels(options.kernels):
        for d in map(int, options.columns.split(",")):
            for bits in map(int, options.bits.split(",")):
                compare(random_tiles(options.rows, d, bits), options, clock)


if __name__ == "__main__":
    main()
