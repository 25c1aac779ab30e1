"""
Training time: float32 against packed samples
=============================================

An epoch streams the samples from memory twice, for its steps and for the exact gradient at their end. The fewer bits,
the shorter the stream. This example measures one epoch, in batches of 64 rows, on packed samples of 8, 4 and 2 bits.
Beside them stand an epoch of ``SGDRegressor``, an epoch of the same solver on float32 (``sample_bits=None``,
for accuracy, not tuned for speed), and a lower bound for any float32 solver: NumPy's ``X @ w`` and ``X.T @ r``, which
do nothing but read the samples twice.

The times are of the machine that built this page, one thread each.
"""

import functools
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import SGDRegressor
from threadpoolctl import threadpool_limits

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor

rng = np.random.default_rng(0)
n, d = 100_000, 256
X = rng.standard_normal((n, d), dtype=np.float32)
y = (X @ rng.standard_normal(d) / np.sqrt(d) + 0.2 * rng.standard_normal(n)).astype(np.float32)


def seconds(work, repeats=3):
    """Smallest time of a few runs: the others were disturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def epoch(make, samples):
    """Seconds of one epoch: what a fit of nine epochs takes longer than a fit of one."""
    short, long = (seconds(functools.partial(make(epochs).fit, samples, y)) for epochs in (1, 9))
    return (long - short) / 8


# %%
# ``tol=0`` runs all epochs. The samples are packed before the clock starts: that is done once for many fits.
times = {}
for bits in (2, 4, 8, None):
    samples = X if bits is None else DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
    times["float32, this solver" if bits is None else f"{bits} bits"] = epoch(
        lambda epochs, bits=bits: ZipMLRegressor(bits, batch_size=64, max_iter=epochs, tol=0, random_state=0), samples
    )
with threadpool_limits(1):
    w = np.zeros(d, dtype=np.float32)
    times["float32, NumPy products"] = seconds(lambda: X.T @ (X @ w - y))
X64 = X.astype(np.float64)
times["float64, SGDRegressor"] = seconds(lambda: SGDRegressor(max_iter=1, tol=None).fit(X64, y))
for name, value in times.items():
    print(f"{name:>24}: {value * 1e3:6.1f} ms an epoch")

# %%
figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
bars = axis.barh(list(times), np.array(list(times.values())) * 1e3, color=["C0"] * 3 + ["0.7"] * 3)
axis.bar_label(bars, [f"{n * d / value / 1e9:.2f} G values/s" for value in times.values()], padding=4)
axis.invert_yaxis()
axis.set(xlabel=f"milliseconds for one epoch of {n:,} rows of {d} columns", xlim=(0, max(times.values()) * 1.3e3))
plt.show()
