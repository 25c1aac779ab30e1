"""Every speed and memory figure of the project, as ratios measured side by side in one process.

python benchmarks/run.py [--small] [--results FILE] [--json FILE] [--rst FILE] [--plot FILE] [--repeats 3]

Peers: scikit-learn; snapml if it can be imported. Times are the best of the repeats. --small takes a few seconds and
only shows that everything runs. FILE of --rst becomes a results page, FILE of --plot (matplotlib) speed against bits;
--results takes what an earlier run wrote with --json instead of measuring.
"""

import argparse
import importlib.util
import json
import os
import platform
import time
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import shapes
import sklearn
from bench_epochs import random_tiles, seconds_of_epoch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import sklearn_zipml
from sklearn_zipml import DoubleSamplingQuantizer, RoundingWarning, ZipMLRegressor
from sklearn_zipml._kernels.dispatch import available_kernels, cpu_name, kernels

SIZES = {
    "full": {"values": 5e8, "columns": (128, 1024, 8192), "fit": (100_000, 1000), "sgd": 1e7},
    "small": {"values": 1e6, "columns": (128, 1024), "fit": (2000, 40), "sgd": 1e5},
}
SLOW = ("Ridge(svd)", "Ridge(sag)", "Ridge(saga)", "LinearRegression")
FITTED = 0.002  # of the best R²


def best_seconds(call, repeats):
    """Least time of several calls, and the last result."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def float32_rate(values, d, repeats, threads=1):
    """G values/s of dot and gradient over float32 rows in blocks that stay in cache: what memory allows SGD."""
    X = np.ones((int(values) // d, d), dtype=np.float32)
    x, rows = np.ones(d, dtype=np.float32), max(1, (1 << 16) // d)

    def sweep(first, last):
        gradient = np.zeros(d, dtype=np.float32)
        for start in range(first, last, rows):
            block = X[start : min(last, start + rows)]
            gradient += (block @ x) @ block
        return gradient

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        bounds = [len(X) * k // threads for k in range(threads + 1)]
        return X.size / best_seconds(lambda: list(pool.map(sweep, bounds[:-1], bounds[1:])), repeats)[0] / 1e9


def sgd_rate(values, d, repeats):
    """G values/s of one epoch of SGDRegressor."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(max(10, int(values) // d), d))
    model = SGDRegressor(max_iter=1, tol=None, eta0=1e-6)
    return X.size / best_seconds(lambda: model.fit(X, X[:, 0]), repeats)[0] / 1e9


def rates(size, repeats):
    """Rows of the table of pass rates."""
    rows = []
    for d in size["columns"]:
        memory, peer = float32_rate(size["values"], d, repeats), sgd_rate(size["sgd"], d, repeats)
        for bits in (2, 4, 8):
            tiles = random_tiles(size["values"], d, bits)
            n_values = 64 * tiles.n_tiles * d
            for batch in (64, 16):
                rate = n_values / seconds_of_epoch(tiles, batch, 8, repeats) / 1e9
                rows.append(
                    {"columns": d, "bits": bits, "batch": batch, "rate": rate, "float32": memory, "sgd": peer}
                    | {"per_float32": rate / memory, "per_sgd": rate / peer}
                )
    return rows


def thread_rates(size, repeats):
    """Rows of the table of two threads against one, batch 64, and against two threads of float32."""
    rows = []
    for d in (d for d in size["columns"] if d >= 1024):
        memory = float32_rate(size["values"], d, repeats, 2)
        for bits in (2, 4):
            tiles = random_tiles(size["values"], d, bits)
            one, two = (64 * tiles.n_tiles * d / seconds_of_epoch(tiles, 64, 8, repeats, k) / 1e9 for k in (1, 2))
            rows.append({"columns": d, "bits": bits, "one": one, "two": two, "per_float32": two / memory})
    return rows


def kernel_rates(size, repeats):
    """G values/s of 4 bits, batch 64, by instruction set."""
    d = size["columns"][-1]
    tiles = random_tiles(size["values"] / 10, d, 4)
    out = {}
    for name in available_kernels():
        with kernels(name):
            out[name] = 64 * tiles.n_tiles * d / seconds_of_epoch(tiles, 64, 8, repeats) / 1e9
    return out


def mixed_columns(n, d):
    """float32 samples of a decaying spectrum, heavy tails and one-hot columns, and a target."""
    rng = np.random.default_rng(0)
    half, tails = d // 2, d // 4
    mixing = rng.normal(size=(half, half)).astype(np.float32) / np.sqrt(half) / np.sqrt(np.arange(1, half + 1))[:, None]
    X = np.zeros((n, d), dtype=np.float32)
    X[:, :half] = rng.standard_normal((n, half), dtype=np.float32) @ mixing.astype(np.float32)
    X[:, half : half + tails] = rng.standard_t(4, size=(n, tails))
    hot = half + tails + rng.integers(0, d - half - tails, n)
    X[np.arange(n), hot] = 1
    y = X / (X.std(axis=0) + 1e-9) @ rng.normal(size=d) / np.sqrt(d) + 0.5 * rng.normal(size=n)
    return X, y


def peers():
    """Name and estimator of everything a whole fit is compared with."""
    yield "LinearRegression", LinearRegression()
    for solver in ("cholesky", "lsqr", "sparse_cg", "svd", "sag", "saga"):
        yield f"Ridge({solver})", Ridge(alpha=1, solver=solver, max_iter=20 if solver in ("sag", "saga") else None)
    yield "SGDRegressor", SGDRegressor()
    if importlib.util.find_spec("snapml"):
        from snapml import LinearRegression as SnapRegression

        yield "snapml.LinearRegression", SnapRegression()


def whole_fits(size, repeats):
    """Seconds and R² of complete fits from float32; SGDRegressor gets standardized columns."""
    X, y = mixed_columns(*size["fit"])
    scaled = StandardScaler().fit_transform(X)
    rows = []
    for name, model in [
        *peers(),
        *((f"sklearn_zipml, {b} bits", ZipMLRegressor(b, random_state=0)) for b in (2, 4, 8)),
    ]:
        data = scaled if name == "SGDRegressor" else X
        seconds, model = best_seconds(
            lambda model=model, data=data: model.fit(data, y), 1 if "svd" in name else repeats
        )
        rows.append({"name": name, "seconds": seconds, "score": float(model.score(data, y))})
    best = max(row["score"] for row in rows)
    for row in rows:
        row["gets_there"] = row["score"] >= best - FITTED
    tracemalloc.start()
    ZipMLRegressor(4, random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    memory = {"peak_mb": peak / 1e6, "packed_mb": packed.nbytes / 1e6}
    return rows, memory, [searches(X, y, repeats), searches(*mixed_columns(len(y), 3 * X.shape[1] // 10), repeats)]


def shapes_beside_ridge(small, repeats):
    """Rows of shapes.compare; of the small size, the smallest shape only."""
    chosen = list(shapes.SHAPES.items())[: 1 if small else None]
    return [shapes.compare(name, data, repeats, 0 if small else 1, time.perf_counter) for name, (data, _) in chosen]


def searches(X, y, repeats):
    """Seconds of searches: over six widths from one PackedMatrix, over six alphas of Ridge; of 30 Ridge(cholesky)."""

    def of_widths():
        packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
        grid = {"sample_bits": [1, 2, 3, 4, 6, 8]}
        GridSearchCV(ZipMLRegressor(random_state=0), grid, cv=5, refit=False).fit(packed, y)

    def of_alphas():
        GridSearchCV(Ridge(), {"alpha": [0.01, 0.1, 1, 10, 100, 1000]}, cv=5, refit=False).fit(X, y)

    rows = len(y) * 4 // 5
    cholesky = Ridge(solver="cholesky")
    calls = {"widths": of_widths, "alphas": of_alphas, "fits": lambda: cholesky.fit(X[:rows], y[:rows])}
    seconds = {name: best_seconds(call, repeats)[0] for name, call in calls.items()}
    return {"columns": X.shape[1], **seconds, "fits": 30 * seconds["fits"]}


def machine():
    """What the figures depend on."""
    versions = {"sklearn_zipml": sklearn_zipml.__version__, "scikit-learn": sklearn.__version__}
    own = {"cpu": cpu_name(), "kernels": available_kernels()[0], "BLAS kernels": shapes.blas_kernels()}
    return own | {"python": platform.python_version()} | versions


def table(header, rows):
    """A reST list table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
    return "\n".join([*lines, ""])


def page(results, image=""):
    """The results as reST: what a user feels first, kernels and the image of their speed last."""
    n, d = results["shape"]
    parts = [
        INTRO,
        "Measured on " + ", ".join(f"{k} {v}" for k, v in results["machine"].items()) + ".\n",
        *whole_fits_page(results, f"{n:,} x {d:,}"),
        *searches_page(results, f"{n:,}"),
        *passes_page(results, image),
    ]
    return "\n".join(parts)


def titled(text):
    """A title of a section."""
    return f"{text}\n{'-' * len(text)}\n"


def whole_fits_page(results, shape):
    """Sections on whole fits: of all estimators on one set, and beside Ridge on many shapes."""
    fits = results["fits"]
    peer = min(r["seconds"] for r in fits if r["gets_there"] and not r["name"].startswith("sklearn_zipml"))
    rows = [
        [r["name"], f"{r['seconds']:.2f}", f"{peer / r['seconds']:.1f}", f"{r['score']:.4f}",
         "yes" if r["gets_there"] else "no"]
        for r in fits
    ]  # fmt: skip
    shapes = [
        [r["shape"], f"{r['peer']:.3f} ({r['peer_solver']})", f"{r['seconds']:.3f} ({r['solver']})",
         f"{r['peer'] / r['seconds']:.2f}", f"{r['default'] / r['seconds']:.2f}", f"{r['peer_score']:.4f}",
         f"{r['score']:.4f}"]
        for r in results["shapes"]
    ]  # fmt: skip
    measured_on = f" Measured on {results['shapes_on']}." if "shapes_on" in results else ""
    return [
        titled(f"Whole fits, {shape} float32"),
        f"Packing included. Speed is that of the fastest of scikit-learn that comes within {FITTED} of the best R².\n",
        table(["estimator", "seconds", "times as fast", "R²", f"within {FITTED} of the best"], rows),
        f"Peak memory of a 4-bit fit above X: {results['memory']['peak_mb']:.0f} MB.\n",
        titled("Whole fits beside Ridge, by shape"),
        "Rows x columns [x targets], default fits at 4 bits from float32; Ridge, or RidgeClassifier, by the faster of "
        f"its default solver and ``lsqr``, if that gets there. Below 1, Ridge is faster.{measured_on}\n",
        table(
            [
                "shape",
                "Ridge, seconds",
                "here, seconds",
                "times as fast",
                "times its default solver",
                "Ridge, score",
                "here, score",
            ],
            shapes,
        ),
    ]


def searches_page(results, rows):
    """The section on searches."""
    table_rows = []
    for s in results["searches"]:
        times = s["widths"], s["alphas"], s["fits"]
        ratios = s["fits"] / s["widths"], s["alphas"] / s["widths"]
        table_rows.append([s["columns"], *(f"{x:.1f}" for x in times), *(f"{x:.1f}" for x in ratios)])
    return [
        titled(f"Searches, {rows} rows, seconds"),
        "GridSearchCV of six widths and five folds from one PackedMatrix, packing included; of six alphas of Ridge; 30 "
        "fits of Ridge(cholesky) on four fifths of the rows. The estimators that search in one pass are measured by "
        "``python benchmarks/searches.py``.\n",
        table(
            ["columns", "widths", "alphas of Ridge", "30 fits", "times as fast as 30 fits", "as Ridge's search"],
            table_rows,
        ),
    ]


def passes_page(results, image):
    """Sections on the kernels."""
    rates_rows = [
        [r["columns"], r["bits"], r["batch"], f"{r['rate']:.1f}", f"{r['per_float32']:.1f}", f"{r['per_sgd']:.0f}"]
        for r in results["rates"]
    ]
    threads = [
        [r["columns"], r["bits"], *(f"{x:.1f}" for x in (r["one"], r["two"], r["two"] / r["one"], r["per_float32"]))]
        for r in results["threads"]
    ]
    kernels = ", ".join(f"{k} {v:.2f}" for k, v in results["kernels"].items())
    return [
        titled("Pass rates of saga, one thread"),
        PASSES + image,
        table(["columns", "bits", "batch", "G values/s", "x float32", "x SGDRegressor"], rates_rows),
        f"4 bits, batch 64, by instruction set: {kernels} G values/s.\n",
        titled("Two threads, batch 64"),
        table(["columns", "bits", "one thread", "two", "ratio", "x float32 on two"], threads),
    ]


def draw(results, path):
    """Speed against bits, batch 64, with the rate at which memory delivers floats, and codes of so many bits."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    rows = [row for row in results["rates"] if row["batch"] == 64]
    bits = np.array([2, 4, 8])
    for d in sorted({row["columns"] for row in rows}):
        axes.plot(bits, [row["rate"] for row in rows if row["columns"] == d], "o-", label=f"{d} columns")
    memory = max(row["float32"] for row in rows)
    axes.axhline(memory, color="black", linestyle=":", label="float32 in NumPy")
    axes.plot(bits, 32 * memory / bits, color="gray", linestyle="--", label="as many bytes of fewer bits")
    axes.set(xscale="log", yscale="log", xlabel="bits a value", ylabel="G values/s")
    axes.set_xticks(bits, bits, minor=False)
    axes.set_yticks([4, 8, 16, 32, 64], [4, 8, 16, 32, 64], minor=False)
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, bbox_inches="tight")


INTRO = """Speed and memory
================

Whole fits and searches take as many threads as the machine has, as the peers' BLAS does. Numbers are made by ``python
benchmarks/run.py``, and kept in ``doc/benchmarks/results.json``.
"""
PASSES = """A pass is one epoch of anchored SAGA with 8 bits for model and gradient: dot products, gradient and step.
The float32 rate is that of dot product and gradient in NumPy, one BLAS thread, on blocks that stay in cache between the
two; a loop in C that only waits for memory makes up to twice that. What limits a pass is told in :doc:`internals`.
"""


def measured(small, repeats):
    """All results."""
    size = SIZES["small" if small else "full"]
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", RoundingWarning)  # what it costs is in the tables
    results = {"machine": machine(), "shape": size["fit"], "rates": rates(size, repeats)}
    results["kernels"], results["threads"] = kernel_rates(size, repeats), thread_rates(size, repeats)
    results["fits"], results["memory"], results["searches"] = whole_fits(size, repeats)
    results["shapes"] = shapes_beside_ridge(small, repeats)
    return results


def main():
    """Run everything and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--results")
    parser.add_argument("--json")
    parser.add_argument("--rst")
    parser.add_argument("--plot")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.results:
        with open(options.results, encoding="utf-8") as file:
            results = json.load(file)
    else:
        results = measured(options.small, 1 if options.small else options.repeats)
    image = ""
    if options.plot and options.rst:
        image = f"\n.. image:: {os.path.relpath(options.plot, os.path.dirname(options.rst) or '.')}\n"
    text = page(results, image)
    print(text)
    for path, content in ((options.json, json.dumps(results, indent=1)), (options.rst, text.rstrip())):
        if path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content + "\n")
    if options.plot:
        draw(results, options.plot)


if __name__ == "__main__":
    main()
