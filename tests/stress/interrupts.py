"""Interrupt packing, fits and predictions at random moments: each ends within a second, and nothing is left behind.

Run: python tests/stress/interrupts.py [--moments 100] [--rows 400000] [--seed 0] [--only NAME]

A real signal comes at a moment drawn from the time that the work takes. Afterwards the work has to be undone: models
have the attributes they had, no thread burns, BLAS has the threads it had, and the same work done to its end gives the
same bits. The exit code is 1 if any of this does not hold.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

MOST_SECONDS = 1.0
MOST_BURNT, LONGEST_IN_VAIN = 0.05, 20


def data(n, d, seed):
    """Rows and a target."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    return X, X[:, : min(d, 5)].sum(axis=1) + rng.standard_normal(n, dtype=np.float32)


def works(rows, folder, seed):
    """Name, what is done, and what of its outcome is compared; all with two threads."""
    X, y = data(rows, 100, seed)
    wide, wide_y = data(max(200, rows // 100), 4000, seed)
    square, square_y = data(max(200, rows // 20), 1000, seed)
    kind = {"n_jobs": 2, "random_state": 0}
    path = Path(folder, "data.zq")
    packed = PackedMatrix.from_chunks(X, y, sample_bits=8, random_state=0)
    packed.save(path)
    mapped = PackedMatrix.load(path)
    quantizer, fresh = DoubleSamplingQuantizer(4, **kind).fit(X), DoubleSamplingQuantizer(2, **kind)
    model = ZipMLRegressor(4, **kind)
    linear = {
        "fit": (ZipMLRegressor(4, **kind), X, y),
        "fit, saga": (ZipMLRegressor(4, solver="saga", tol=1e-6, **kind), X, y),
        "fit, sgd": (ZipMLRegressor(4, solver="sgd", max_iter=10, tol=0, **kind), X, y),
        "fit, mapped": (ZipMLRegressor(8, **kind), mapped, y),
        "fit, wide": (ZipMLRegressor(2, **kind), wide, wide_y),
        "fit, square": (ZipMLRegressor(2, **kind), square, square_y),
        "fit, floats": (ZipMLRegressor(None, **kind), square, square_y),
        "fit, classes": (ZipMLLSSVC(4, **kind), X, (y > 0).astype(int)),
    }

    def fit(estimator, X, y):
        return lambda: estimator.fit(X, y), lambda result: result.coef_, estimator

    codes = np.asarray
    yield "pack", lambda: quantizer.fit_transform(X), lambda result: codes(result[::97]), quantizer
    yield "pack, columns", lambda: fresh.fit_transform(np.asfortranarray(wide)), codes, fresh
    yield (
        "from_chunks",
        lambda: PackedMatrix.from_chunks(lambda: np.array_split(X, 7), y, **kind),
        lambda result: codes(result[::97]),
        None,
    )
    yield (
        "from_chunks, once",
        lambda: PackedMatrix.from_chunks(iter(np.array_split(X, 7)), quantizer=quantizer, n_jobs=2),
        lambda result: codes(result[::97]),
        None,
    )
    yield "append", lambda: len(PackedMatrix.append(copied(path), X, y, **kind)), lambda result: np.array(result), None
    yield "requantize", lambda: packed.requantize(2, random_state=0), lambda result: codes(result[::97]), None
    yield "take", lambda: packed[::2].requantize(4, random_state=0), lambda result: codes(result[::97]), None
    yield "load", lambda: PackedMatrix.load(path, mmap=False), lambda result: codes(result[::97]), None
    for name, task in linear.items():
        yield name, *fit(*task)
    model.fit(X, y)
    yield "predict", lambda: model.predict(X), codes, model
    yield "predict, packed", lambda: model.predict(mapped), codes, model
    yield "partial_fit", lambda: ZipMLRegressor(4, **kind).partial_fit(square, square_y).coef_, codes, None


def copied(path):
    """A copy of a file, that may be appended to."""
    other = path.with_name("copy.zq")
    other.write_bytes(path.read_bytes())
    return other


def blas_threads():
    """Of every library."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def burnt():
    """Seconds of processor time that pass while nothing is done for a tenth of one."""
    for _ in range(LONGEST_IN_VAIN):  # seconds, in which a factorization that was abandoned comes to its end
        time.sleep(0.9)
        start = time.process_time()
        time.sleep(0.1)
        seconds = time.process_time() - start
        if seconds <= MOST_BURNT:
            break
    return seconds


def attributes(estimator):
    """Those it has, as they can be compared."""
    return {} if estimator is None else {name: id(value) for name, value in vars(estimator).items()}


def attack(name, work, outcome, estimator, moments, rng):
    """The longest wait for an interrupt, how many there were, and what went wrong."""
    expected, wrong = outcome(work()), []
    start, threads = time.perf_counter(), blas_threads()
    work()
    seconds, longest, count = time.perf_counter() - start, 0.0, 0
    for _ in range(moments):
        before, moment = attributes(estimator), max(1e-5, rng.uniform(0, seconds))
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, moment)
        try:
            try:
                work()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            late = time.perf_counter() - start - moment
            longest, count = max(longest, late), count + 1
            if late > MOST_SECONDS:
                wrong.append(f"an interrupt after {moment:.3f} s waited for {late:.2f} s")
            if attributes(estimator) != before:
                wrong.append("the estimator has changed")
    if burnt() > MOST_BURNT:
        wrong.append("a thread goes on")
    if blas_threads() != threads:
        wrong.append(f"BLAS had {threads} threads and has {blas_threads()}")
    if not np.array_equal(outcome(work()), expected):
        wrong.append("the outcome has changed")
    return seconds, longest, count, wrong


def main():
    """Attack all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    rng, failed = np.random.default_rng(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, *task in works(options.rows, folder, options.seed):
            if options.only not in name:
                continue
            seconds, longest, count, wrong = attack(name, *task, options.moments, rng)
            print(
                f"{name:20s} {seconds:7.3f} s, {count:4d} interrupts, {1000 * longest:7.1f} ms at most"
                f"{''.join('; ' + what for what in sorted(set(wrong))[:3])}",
                flush=True,
            )
            failed += bool(wrong)
    os.sync()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
