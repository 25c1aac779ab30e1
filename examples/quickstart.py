"""
Quickstart
==========

Train on real data at 2 to 8 bits and compare with Ridge: bits, memory, score and time.

Run it with ``python examples/quickstart.py``; every line is the mean of five seeds.
"""

import time
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import train_test_split

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor

SEEDS = range(5)
BITS = (None, 8, 4, 3, 2)


def timed(model, X, y):
    """Fitted model and seconds."""
    start = time.perf_counter()
    model.fit(X, y)
    return model, time.perf_counter() - start


def report(name, X, y, reference, make):
    """Print one table: the reference, then every width, mean of five seeds."""
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    print(f"\n{name}: {X.shape[0]} x {X.shape[1]}, score on {len(X_test)} test rows")
    print(f"{'samples':>22} {'memory':>12} {'score':>8} {'seconds':>9} {'epochs':>7}")
    model, seconds = timed(reference(len(X)), X, y)
    line = "{:>22} {:>8.1f} KiB {:>8.4f} {:>9.4f} {:>7}"
    label = f"{type(model).__name__} float64"
    print(line.format(label, X.size * 8 / 1024, model.score(X_test, y_test), seconds, ""))
    for bits in BITS:
        fits = [timed(make(bits, seed), X, y) for seed in SEEDS]
        score = np.mean([model.score(X_test, y_test) for model, _ in fits])
        if bits is None:
            label, size = "float32", X.size * 4
        else:
            label = f"{bits} bits"
            size = DoubleSamplingQuantizer(bits).fit_transform(X).nbytes
        seconds, epochs = np.median([seconds for _, seconds in fits]), np.median([model.n_iter_ for model, _ in fits])
        print(line.format(label, size / 1024, score, seconds, int(epochs)))


def main():
    """Print the tables."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # breast cancer is nearly collinear; its accuracy is not hurt
    report(
        "diabetes (regression, R²)",
        *load_diabetes(return_X_y=True),
        lambda n: Ridge(alpha=n * 1e-4),
        lambda bits, seed: ZipMLRegressor(bits, random_state=seed),
    )
    report(
        "breast cancer (accuracy)",
        *load_breast_cancer(return_X_y=True),
        lambda n: RidgeClassifier(),
        lambda bits, seed: ZipMLLSSVC(bits, random_state=seed),
    )
    report(
        "digits (ten classes, accuracy)",
        *load_digits(return_X_y=True),
        lambda n: RidgeClassifier(),
        lambda bits, seed: ZipMLLSSVC(bits, random_state=seed),
    )


if __name__ == "__main__":
    main()
