"""Searches over penalties and widths against scikit-learn's searches over penalties, in one run.

Both sides have the same threads; unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE, with which NumPy's BLAS runs the kernels
of another processor.
"""

import argparse
import os
import time

import numpy as np
from shapes import blas_kernels, gaussian
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split

from sklearn_zipml import ZipMLRegressorCV

ALPHAS = np.geomspace(1e-6, 1e2, 20)
WIDTHS = (1, 2, 4, 8)


def seconds(model, X, y, repeats):
    """Best time of a fit."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        model.fit(X, y)
        best = min(best, time.perf_counter() - start)
    return best


def compare(name, peer, n, d, targets, repeats):
    """One line of the table."""
    X, y = gaussian(n + 10_000, d, targets)
    X, X_test, y, y_test = train_test_split(X, y, test_size=10_000, random_state=0)
    ours = ZipMLRegressorCV(ALPHAS, WIDTHS, cv=5, random_state=0)
    took, peers = seconds(ours, X, y, repeats), seconds(peer, X, y, repeats)
    scores = ours.score(X_test, y_test), peer.score(X_test, y_test)
    print(
        f"{n:,} x {d} x {targets:<4} {name:<28} {peers:7.2f} s  here {took:6.2f} s  {peers / took:5.1f} times  "
        f"test R2 {scores[1]:.4f} / {scores[0]:.4f} ({ours.sample_bits_} bits)"
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    print(
        f"BLAS kernels: {blas_kernels()}, {os.cpu_count()} processors; {len(ALPHAS)} alphas, 5 folds; "
        f"here {WIDTHS} bits as well"
    )
    n, repeats = arguments.rows, arguments.repeats
    grid = GridSearchCV(Ridge(solver="cholesky"), {"alpha": ALPHAS * n * 0.8}, cv=5)
    compare("GridSearchCV(Ridge cholesky)", grid, n, 300, 1, repeats)
    compare("RidgeCV(cv=5)", RidgeCV(ALPHAS * n * 0.8, cv=5), n, 300, 100, repeats)


if __name__ == "__main__":
    main()
