"""Speed of packing, requantizing and taking rows, in G values/s and as a share of the speed at which numpy reads.

python benchmarks/bench_encoder.py [--rows 200000] [--columns 500] [--repeats 5] [--threads 1,2] [--kernels avx512,avx2]

Packing is everything that DoubleSamplingQuantizer.fit_transform does: validation, range, level search, encoding,
statistics. numpy reads the array once, `X.max()`, in the same process; packing reads it twice.
"""

import argparse
import time
from functools import partial

import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer
from sklearn_zipml._kernels import active as active_kernels
from sklearn_zipml._storage.packed_rows import rows_of

SAMPLINGS = ("compensated", "double")


def seconds(work, repeats):
    """Best time of several calls."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def rate(n_values, work, repeats):
    """G values/s."""
    return n_values / seconds(work, repeats) / 1e9


def samples(rows, columns, dtype, order):
    """Normal samples, one column in eight heavy-tailed and one an integer."""
    rng = np.random.default_rng(0)
    X = np.empty((rows, columns), dtype=dtype, order=order)
    for first in range(0, rows, 10000):
        part = rng.standard_normal((min(10000, rows - first), columns), dtype=np.float32)
        part[:, ::8] **= 3
        part[:, 1::8] = np.rint(4 * part[:, 1::8])
        X[first : first + 10000] = part
    return X


def packing(options):
    """One line for every array and kind of packing."""
    for dtype in options.dtypes.split(","):
        for order in "CF":
            X = samples(options.rows, options.columns, np.dtype(dtype), order)
            read = rate(X.size, X.max, options.repeats)
            print(f"{dtype}, {order} order: numpy reads {read:.2f} G values/s", flush=True)
            for sampling in SAMPLINGS if order == "C" and dtype == "float32" else SAMPLINGS[:1]:
                for bits in map(int, options.bits.split(",")):
                    if sampling == "double" and bits == 1:
                        continue
                    quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0)
                    speeds = []
                    for threads in map(int, options.threads.split(",")):
                        quantizer.set_params(n_jobs=threads)
                        speeds.append(rate(X.size, partial(quantizer.fit_transform, X), options.repeats))
                    text = ", ".join(f"{speed:5.2f} ({speed / read:.2f} of reading)" for speed in speeds)
                    print(f"  pack, {sampling}, {bits} bits, {options.threads} threads: {text}", flush=True)


def narrowing_and_taking(options):
    """One line for every width."""
    X = samples(options.rows, options.columns, np.float32, "C")
    rng = np.random.default_rng(1)
    rows = {
        "an index array of 80 % of the rows": np.sort(rng.permutation(len(X))[: len(X) * 4 // 5]),
        "a mask of 80 %": rng.random(len(X)) < 0.8,
        "the first half": slice(0, len(X) // 2),
    }
    for bits in (8, 4, 2):
        packed = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
        for fewer in (4, 2, 1):
            if fewer < bits:
                speed = rate(X.size, lambda p=packed, b=fewer: p.requantize(b, random_state=0), options.repeats)
                print(f"requantize {bits} -> {fewer} bits: {speed:.2f} G values/s", flush=True)
        for name, key in rows.items():
            n = len(packed[key])
            values = n * X.shape[1]
            speed = rate(values, lambda p=packed, k=key: rows_of(p[k]).codes, options.repeats)  # copied when used
            print(f"take {name} at {bits} bits: {speed:.2f} G values/s taken", flush=True)


def main():
    """Print all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--bits", default="1,2,4,8")
    parser.add_argument("--dtypes", default="float32,float64")
    parser.add_argument("--kernels", default=None)
    options = parser.parse_args()
    for name in options.kernels.split(",") if options.kernels else [active_kernels.kernel_name()]:
        active_kernels.use_kernels(name)
        print(f"== {name}, {options.rows} x {options.columns}", flush=True)
        packing(options)
        narrowing_and_taking(options)


if __name__ == "__main__":
    main()
