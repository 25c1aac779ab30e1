"""Pack, train and train again on data that are never in memory as floats.

Run: python benchmarks/larger_than_memory.py [--rows 4000000] [--columns 500] [--bits 4 2] [--folder DIR]

Writes a float32 .npy file of rows * columns * 4 bytes in chunks (8 GB by default; deleted at the end), takes the exact
normal equations of its rows chunk by chunk as the reference, and then, each in a process of its own (Linux only, for
RssAnon): packs the file and trains; trains from the saved file, memory-mapped. Prints peak anonymous memory, in all and
above what the process had after its imports, seconds, and R² on 50,000 further rows. scikit-learn imports
some optional packages where they are installed; they are hidden, as where this package is installed alone.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from peak import Peak, anonymous_bytes

OPTIONAL = ("matplotlib", "pandas", "polars", "pyarrow")
CHUNK = 20_000
TEST_ROWS = 50_000


def chunk_of(start, rows, columns):
    """Rows start.. of a correlated Gaussian with a few heavy-tailed columns, and their target."""
    shape = np.random.default_rng(1)
    weights = shape.standard_normal(columns) / np.sqrt(columns)
    rng = np.random.default_rng([2, start])
    X = rng.standard_normal((rows, columns), dtype=np.float32)
    X[:, 1:] += 0.5 * X[:, :-1]
    X[:, ::10] *= np.abs(X[:, ::10])
    return X, X @ weights + 0.5 * rng.standard_normal(rows)


def write_source(folder, rows, columns):
    """The .npy files, and the coefficients of the exact normal equations of all rows."""
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (rows, columns))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float64, (rows,))
    gram, cross = np.zeros((columns + 1, columns + 1)), np.zeros(columns + 1)
    for start in range(0, rows, CHUNK):
        block, target = chunk_of(start, min(CHUNK, rows - start), columns)
        X[start : start + len(block)], y[start : start + len(block)] = block, target
        with_one = np.hstack([block, np.ones((len(block), 1), dtype=np.float32)]).astype(np.float64)
        gram += with_one.T @ with_one
        cross += with_one.T @ target
    X.flush()
    y.flush()
    return np.linalg.solve(gram, cross)


def reading_seconds(path):
    """Best time of three to read the file through its map, page cache warm, one thread: the maximum of every block."""
    X, times = np.load(path, mmap_mode="r"), []
    for _ in range(3):
        start = time.perf_counter()
        for first in range(0, len(X), CHUNK):
            X[first : first + CHUNK].max()
        times.append(time.perf_counter() - start)
    return min(times)


def in_process(step, folder, bits):
    """Run a step in a fresh process; what it measured."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--bits", str(bits)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_step(step, folder, bits):
    """One step, in this process."""
    sys.modules.update(dict.fromkeys(OPTIONAL))  # import of None is an ImportError
    from sklearn_zipml import PackedMatrix, ZipMLRegressor

    base, result = anonymous_bytes(), {}
    with Peak() as memory:
        start = time.perf_counter()
        if step == "pack":
            y = np.load(folder / "y.npy", mmap_mode="r")
            packed = PackedMatrix.from_chunks(folder / "X.npy", y, sample_bits=bits, random_state=0, n_jobs=2)
            result["packing"] = time.perf_counter() - start
            packed.save(folder / f"{bits}.zq")
            result["saving"] = time.perf_counter() - start - result["packing"]
        else:
            packed = PackedMatrix.load(folder / f"{bits}.zq")
        between = time.perf_counter()
        model = ZipMLRegressor(bits, random_state=0).fit(packed)
        result["fitting"] = time.perf_counter() - between
    result |= {"base": base, "peak": memory.peak, "epochs": model.n_iter_}
    result["coef"], result["intercept"] = model.coef_.astype(float).tolist(), float(model.intercept_)
    print(json.dumps(result))


def test_score(coef, intercept):
    """R² on rows that no model has seen."""
    X, y = chunk_of(10**9, TEST_ROWS, len(coef))
    return 1 - np.mean((y - X @ coef - intercept) ** 2) / np.var(y)


def report(folder, rows, columns, all_bits):
    """Print all measurements."""
    start = time.perf_counter()
    exact = write_source(folder, rows, columns)
    size = rows * columns * 4
    print(f"{rows} x {columns} float32, {size / 1e9:.1f} GB, written in {time.perf_counter() - start:.0f} s")
    exact_score = test_score(exact[:-1], exact[-1])
    reading = reading_seconds(folder / "X.npy")
    print(f"exact normal equations: R² {exact_score:.5f}; reading: {rows * columns / reading / 1e9:.2f} G values/s")
    for bits in all_bits:
        for step in ("pack", "mapped"):
            result = in_process(step, folder, bits)
            score = test_score(np.array(result["coef"]), result["intercept"])
            seconds = ", ".join(
                f"{name} {result[name]:.1f} s" for name in ("packing", "saving", "fitting") if name in result
            )
            above = (result["peak"] - result["base"]) / 1e6
            print(
                f"{bits} bits, {step}: peak {result['peak'] / 1e6:.0f} MB, {above:.0f} above imports; {seconds}, "
                f"{result['epochs']} epochs; R² {score:.5f}, {score - exact_score:+.5f}"
            )
            if step == "pack":
                rate = rows * columns / result["packing"] / 1e9
                share = reading / result["packing"]
                print(f"  packing {rate:.2f} G values/s on 2 threads, {share:.0%} of the speed of reading on one")


def main():
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 2])
    parser.add_argument("--folder", type=pathlib.Path, help="where the files go (default: a temporary folder)")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(options.step, options.folder, options.bits[0])
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report(pathlib.Path(folder), options.rows, options.columns, options.bits)


if __name__ == "__main__":
    main()
