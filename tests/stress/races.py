"""Pack, fit, requantize, take, predict and read in threads, at every width, with every solver, for the sanitizer.

Run: tests/stress/sanitize thread [tests/stress/races.py [--rounds 2]]

The sanitizer ends the run at the first race between threads. What two threads make has to be what one makes, bit by
bit, and what one container gives to several threads at once has to be what it gives to one.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from threading import Thread

import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._solvers import batches


def data(n, d, seed):
    """Rows and a target."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    return X, X[:, : min(d, 5)].sum(axis=1) + rng.standard_normal(n, dtype=np.float32)


def works(seed, folder):
    """Names and functions of n_jobs whose results must not depend on it."""
    X, y = data(20000, 130, seed)
    wide, wide_y = data(700, 1500, seed)
    path = Path(folder, f"{seed}.zq")
    packed = PackedMatrix.from_chunks(X, y, sample_bits=8, random_state=seed)
    packed.save(path)
    mapped = PackedMatrix.load(path)
    for bits in (1, 2, 3, 4, 8):
        for sampling in ("compensated", "double")[:bits]:  # two draws need two bits
            quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=seed)
            yield (
                f"pack, {bits} bits, {sampling}",
                lambda n_jobs, q=quantizer: np.asarray(q.set_params(n_jobs=n_jobs).fit_transform(X)),
            )
    for solver in ("saga", "sgd", "auto"):
        for bits in (None, 1, 4, 8):
            model = ZipMLRegressor(bits, solver=solver, max_iter=4, tol=0, random_state=seed)
            yield f"fit, {bits} bits, {solver}", lambda n_jobs, m=model: m.set_params(n_jobs=n_jobs).fit(X, y).coef_
    model = ZipMLRegressor(4, max_iter=4, random_state=seed)
    classifier = ZipMLLSSVC(2, model_bits=8, gradient_bits=8, max_iter=4, random_state=seed)
    yield "fit, wide", lambda n_jobs: model.set_params(n_jobs=n_jobs).fit(wide, wide_y).coef_
    yield "fit, classes", lambda n_jobs: classifier.set_params(n_jobs=n_jobs).fit(X, (y // 1).clip(-1, 1)).coef_
    yield "fit, mapped", lambda n_jobs: ZipMLRegressor(8, n_jobs=n_jobs, random_state=seed).fit(mapped, y).coef_
    yield (
        "from_chunks",
        lambda n_jobs: np.asarray(
            PackedMatrix.from_chunks(lambda: np.array_split(X, 5), y, random_state=seed, n_jobs=n_jobs)
        ),
    )
    yield (
        "read by several",
        lambda n_jobs: several(n_jobs, lambda: np.asarray(packed[::3].requantize(2, random_state=0))),
    )
    yield "statistics by several", lambda n_jobs: several(n_jobs, statistics_of(PackedMatrix.load(path)))
    yield (
        "fits by several",
        lambda n_jobs: several(n_jobs, lambda: ZipMLRegressor(8, random_state=0).fit(packed, y).coef_),
    )


def statistics_of(packed):
    """What is worked out when it is first asked for, of a container that others ask, too."""
    return lambda: np.concatenate([packed.rounding_variance, packed[5:50] @ np.ones((packed.shape[1], 1)).ravel()])


def several(count, work):
    """The same work in as many threads at once; all have to get the same."""
    results = [None] * count

    def do(member):
        results[member] = work()

    threads = [Thread(target=do, args=(member,)) for member in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if not np.array_equal(results[0], result):
            raise AssertionError("threads that did the same got different results")
    return results[0]


def main():
    """Do everything with one thread and with two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    batches.THREADED_VALUES = 0  # teams for epochs that are too small for them, or the sanitizer would take hours
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.rounds):
            for name, work in works(seed, folder):
                same = np.array_equal(work(1), work(2))
                print(f"{name}: {'the same with one thread and two' if same else 'DIFFERS'}", flush=True)
                failed += not same
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
