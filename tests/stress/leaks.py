"""Do the same a thousand times, and look at what the process holds afterwards: memory, files, threads, objects.

Run: python tests/stress/leaks.py [--times 1000] [--only NAME]

Memory is what the system counts as resident, so that leaks of compiled code show, too. A fifth of the times come before
the first look, when caches and pools fill. The exit code is 1 if anything grew by more than what one look differs from
the next: 400 bytes a time and half a megabyte.
"""

import argparse
import ctypes
import gc
import os
import pickle
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

BYTES_A_TIME, BYTES_ONCE = 400, 1 << 19


def works(folder):
    """Names, and what is done again and again: small, so that what is lost each time is large beside it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 40), dtype=np.float32)
    y = X[:, 0] + rng.standard_normal(300)
    labels = (y > 0).astype(int)
    path, other = Path(folder, "data.zq"), Path(folder, "other.zq")
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    packed.save(path)
    fitted = ZipMLRegressor(4, random_state=0).fit(X, y)
    damaged = Path(folder, "damaged.zq")
    damaged.write_bytes(path.read_bytes()[:-100])

    def fails(work):
        def attempt():
            try:
                work()
            except ValueError:
                return
            raise AssertionError("no error")

        return attempt

    hostile = {**packed.__getstate__(), "shape": (1 << 40, 40), "n_rows": -1}

    yield "pack", lambda: DoubleSamplingQuantizer(2, random_state=0, n_jobs=2).fit_transform(X)
    yield "from_chunks", lambda: PackedMatrix.from_chunks(iter([X, X]), np.tile(y, 2), random_state=0)
    yield "fit", lambda: ZipMLRegressor(4, random_state=0).fit(X, y)
    yield "fit, saga", lambda: ZipMLRegressor(4, solver="saga", max_iter=3, tol=0, random_state=0).fit(X, y)
    yield "fit, sgd", lambda: ZipMLRegressor(4, solver="sgd", max_iter=3, tol=0, random_state=0, n_jobs=2).fit(X, y)
    yield "fit, classes", lambda: ZipMLLSSVC(4, random_state=0).fit(packed, labels)
    yield "predict", lambda: fitted.predict(packed)
    yield "take, requantize", lambda: packed[::2].requantize(2, random_state=0).rounding_variance
    yield "save", lambda: packed.save(other)
    yield "load", lambda: PackedMatrix.load(path)[3:9]
    yield "load, not mapped", lambda: PackedMatrix.load(path, mmap=False)[3:9]
    yield "append", lambda: (packed.save(other), PackedMatrix.append(other, X[:10]))
    yield "pickle", lambda: pickle.loads(pickle.dumps((packed, fitted)))
    yield "pickle of a mapped one", lambda: pickle.loads(pickle.dumps(PackedMatrix.load(path)))
    yield "fit that fails", fails(lambda: ZipMLRegressor(4).fit(X, np.full(300, np.nan)))
    yield "chunks that fail", fails(lambda: PackedMatrix.from_chunks(iter([X, X[:, :3]])))
    yield "load that fails", fails(lambda: PackedMatrix.load(damaged))
    yield "bad state", fails(lambda: PackedMatrix.__new__(PackedMatrix).__setstate__(hostile))


def held():
    """Resident bytes, files, threads and objects of this process."""
    gc.collect()
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return np.array(
        [
            pages * os.sysconf("SC_PAGESIZE"),
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            len(gc.get_objects()),
        ]
    )


LIBC = ctypes.CDLL(None)


def main():
    """Do all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, work in works(folder):
            if options.only not in name:
                continue
            for _ in range(options.times // 5 + 1):
                work()
            before = held()
            for _ in range(options.times):
                work()
            grown = held() - before
            bad = grown[0] > BYTES_ONCE + BYTES_A_TIME * options.times or (grown[1:] > (0, 0, 50)).any()
            print(
                f"{name:24s} {grown[0] / 1024:8.0f} KiB, {grown[1]} files, {grown[2]} threads, {grown[3]} objects more"
                f"{'  LEAKS' if bad else ''}",
                flush=True,
            )
            failed += bad
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
