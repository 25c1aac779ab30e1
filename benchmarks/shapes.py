"""Whole default fits against Ridge and RidgeClassifier, shape by shape, in one run.

python benchmarks/shapes.py [--repeats 2] [--only TEXT] [--seconds 3] [--cpu] [--stages]

Both sides take float32 arrays and the same threads, in turns, and the best time of each counts; --seconds is how long a
shape is repeated at least. Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, with which NumPy's BLAS runs the kernels of
another processor. Scores are of the training rows: of Ridge, and at 4 bits.
--stages tells instead where the time of our fit goes, beside that of reading the samples once.
"""

import argparse
import cProfile
import inspect
import os
import pstats
import time

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge, RidgeClassifier
from threadpoolctl import threadpool_info

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators.standardized_targets import standardized_targets
from sklearn_zipml._estimators.validation import check_training_rows
from sklearn_zipml._quantization.encoder import RowEncoder
from sklearn_zipml._quantization.levels import block_ranges, place_levels
from sklearn_zipml._solvers.gram import second_moments
from sklearn_zipml._solvers.rounding_loss import rounding_loss
from sklearn_zipml._solvers.solver import objective_of, solve
from sklearn_zipml._storage.packed_rows import rows_of

ALPHA = 1e-4
ENOUGH = 0.002  # a solver of the peer counts if its score is that near to the best


def blas_kernels():
    """Of which processor the kernels of NumPy's BLAS are."""
    return ", ".join(
        sorted({str(info.get("architecture")) for info in threadpool_info() if info["user_api"] == "blas"})
    )


def gaussian(n, d, targets=1, seed=0):
    """Columns that share some of their variance, and noisy targets."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    X += 0.5 * rng.standard_normal((n, 1), dtype=np.float32)
    y = X @ (rng.standard_normal((d, targets)) / np.sqrt(d)).astype(np.float32)
    y += rng.standard_normal(y.shape, dtype=np.float32)
    return X, y[:, 0] if targets == 1 else y


def hard(n, d, seed=0):
    """Columns of decaying scale, heavy tails and indicators, a third of each."""
    X, y = gaussian(n, d, seed=seed)
    third = d // 3
    X[:, :third] *= np.geomspace(1, 1e-3, third, dtype=np.float32)
    X[:, third : 2 * third] = np.sinh(1.5 * X[:, third : 2 * third])
    X[:, 2 * third :] = X[:, 2 * third :] > 1.5
    return X, y


def classes(n, d, count, seed=0):
    """Clouds around as many centres as there are classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(count, size=n)
    X = rng.standard_normal((n, d), dtype=np.float32)
    X += rng.standard_normal((count, d), dtype=np.float32)[y] * np.float32(0.25)
    return X, y


def diabetes():
    """The one of scikit-learn."""
    X, y = load_diabetes(return_X_y=True)
    return X.astype(np.float32), y.astype(np.float32)


# name: (data, ratio of times to reach)
SHAPES = {
    "442 x 10": (diabetes, 0.25),
    "20,000 x 50": (lambda: gaussian(20_000, 50), 0.5),
    "1,000,000 x 4": (lambda: gaussian(1_000_000, 4), 0.5),
    "1,000,000 x 20": (lambda: gaussian(1_000_000, 20), 1),
    "1,000,000 x 100": (lambda: gaussian(1_000_000, 100), 2.5),
    "80,000 x 1000, hard columns": (lambda: hard(80_000, 1000), 4),
    "50,000 x 4000": (lambda: gaussian(50_000, 4000), 7),
    "100,000 x 500 x 10": (lambda: gaussian(100_000, 500, 10), 1.5),
    "100,000 x 500 x 100": (lambda: gaussian(100_000, 500, 100), 1.5),
    "20,000 x 500 x 1000": (lambda: gaussian(20_000, 500, 1000), 1.2),
    "30,000 x 768, 100 classes": (lambda: classes(30_000, 768, 100), 1.5),
    "5000 x 2000": (lambda: gaussian(5000, 2000), 2.5),
    "2000 x 10,000": (lambda: gaussian(2000, 10_000), 0.9),
    "500 x 10,000, 20 classes": (lambda: classes(500, 10_000, 20), 0.4),
}


def best_of(calls, repeats, seconds, clock):
    """Least time of each of several calls, made in turns."""
    best, begun, turn = [np.inf] * len(calls), time.perf_counter(), 0
    while turn < repeats or time.perf_counter() - begun < seconds:
        for k, call in enumerate(calls):
            start = clock()
            call()
            best[k] = min(best[k], clock() - start)
        turn += 1
    return best


def model_of(name, n):
    """Our estimator for a shape of n rows, with the penalty of its peer."""
    if "classes" in name:
        return ZipMLLSSVC(C=1 / (2 * ALPHA * n), random_state=0)
    return ZipMLRegressor(alpha=ALPHA, random_state=0)


def compare(name, data, repeats, seconds, clock):
    """A row of the table."""
    X, y = data()
    ours = model_of(name, len(X))
    if "classes" in name:
        peers = {"auto": RidgeClassifier(alpha=ALPHA * len(X))}
    else:
        peers = {solver: Ridge(alpha=ALPHA * len(X), solver=solver) for solver in ("auto", "lsqr")}
    score = ours.fit(X, y).score(X, y)
    scores = {solver: peer.fit(X, y).score(X, y) for solver, peer in peers.items()}
    near = [solver for solver in peers if scores[solver] > max(scores.values()) - ENOUGH]
    calls = [lambda: ours.fit(X, y), *(lambda peer=peers[solver]: peer.fit(X, y) for solver in near)]
    took, *others = best_of(calls, repeats, seconds, clock)
    fastest = int(np.argmin(others))
    return {
        "shape": name,
        "peer": others[fastest],
        "default": others[near.index("auto")] if "auto" in near else float("nan"),
        "peer_solver": near[fastest],
        "peer_score": float(scores[near[fastest]]),
        "seconds": took,
        "solver": ours.solver_,
        "score": float(score),
    }


def shown(row):
    """A row in one line."""
    return (
        f"{row['shape']:<28} {row['peer']:8.4f} s ({row['peer_solver']:<4})  here {row['seconds']:8.4f} s "
        f"({row['solver']})  ratio {row['peer'] / row['seconds']:5.2f}, "
        f"default solver {row['default'] / row['seconds']:5.2f}  "
        f"score {row['peer_score']:.4f} / {row['score']:.4f}"
    )


# name: the function in which all of a stage happens
STAGES = {
    "checks": check_training_rows,
    "ranges": block_ranges,
    "levels": place_levels,
    "codes": RowEncoder.encode,
    "targets": standardized_targets,
    "problem": objective_of,
    "solver": solve,
    "rounding loss": rounding_loss,
}


def stages(name, data, repeats):
    """Where the time of a fit goes: milliseconds of its stages, of the fastest of some fits, in one line."""
    X, y = data()
    ours = model_of(name, len(X))
    ours.fit(X, y)
    fastest, found = np.inf, {}
    for _ in range(repeats):
        profile = cProfile.Profile()
        start = time.perf_counter()
        profile.runcall(ours.fit, X, y)
        took = time.perf_counter() - start
        if took < fastest:
            fastest, found = took, pstats.Stats(profile).stats
    spent = {}
    for stage, function in STAGES.items():
        code = inspect.unwrap(function).__code__
        timed = found.get((code.co_filename, code.co_firstlineno, code.co_name))
        spent[stage] = timed[3] if timed else 0.0
    spent["rest"] = fastest - sum(spent.values())
    (largest,) = best_of([X.max], 3, 0, time.perf_counter)
    parts = ", ".join(f"{stage} {1e3 * seconds:.3g}" for stage, seconds in spent.items())
    return f"{name}: fit {1e3 * fastest:.4g} ms ({ours.solver_}), X.max() {1e3 * largest:.3g}; {parts}"


def rates(options, clock):
    """Print how fast second moments and a whole fit are beside what NumPy does with the same numbers."""
    X, y = gaussian(80_000, 1000)
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    tiles, centre, threads = rows_of(packed).tiles, np.zeros(X.shape[1]), os.cpu_count()
    calls = [lambda: second_moments(tiles, tiles.n_tiles, centre, threads), lambda: X.T @ X]
    ours, blas = best_of(calls, options.repeats, options.seconds, clock)
    print(f"second moments of 80,000 x 1000 at 4 bits {ours:.3f} s, X.T @ X {blas:.3f} s, ratio {blas / ours:.2f}")
    model = ZipMLRegressor(random_state=0)
    took, largest = best_of([lambda: model.fit(X, y), X.max], options.repeats, options.seconds, clock)
    print(f"fit of 80,000 x 1000 {took:.3f} s, X.max() {largest:.3f} s: {took / largest:.1f} of them")


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", default="", help="shapes whose name has this in it")
    parser.add_argument("--cpu", action="store_true", help="processor time, where others use the machine")
    parser.add_argument("--stages", action="store_true", help="where the time goes, without peers")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    print(
        f"BLAS kernels: {blas_kernels()}, {os.cpu_count()} processors, {'processor' if options.cpu else 'elapsed'} time"
    )
    for name, (data, least) in SHAPES.items():
        if options.only in name and options.stages:
            print(stages(name, data, options.repeats), flush=True)
        elif options.only in name:
            row = compare(name, data, options.repeats, options.seconds, clock)
            print(f"{shown(row)}  (goal {least:g})", flush=True)
    if options.only in "rates" and not options.stages:
        rates(options, clock)


if __name__ == "__main__":
    main()
