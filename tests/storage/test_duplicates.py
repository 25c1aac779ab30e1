"""Rows that share their rounding errors."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._storage.duplicates import effective_rows, of_counts, of_narrowed, of_rows, of_subset, sample_size


def pairs(counts):
    """Equal pairs among all pairs."""
    n = sum(counts)
    return sum(c * (c - 1) for c in counts) / (n * (n - 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_rows(dtype):
    """Exact for the rows it is given, in whatever order."""
    rng = np.random.default_rng(0)
    counts = [1, 1, 5, 2, 40]
    X = np.repeat(rng.normal(size=(5, 3)).astype(dtype), counts, axis=0)
    assert of_rows(X, rng.permutation(len(X)), dtype) == pytest.approx(pairs(counts))
    assert of_rows(rng.normal(size=(1000, 2)), np.arange(1000), dtype) == 0
    assert of_rows(X, np.arange(1), dtype) == 0


def test_sample_size_is_bounded():
    """A few thousand rows, fewer of wide matrices."""
    assert sample_size(0) == sample_size(8) == 4096
    assert sample_size(100_000) * 100_000 <= 1 << 21


def test_subsets():
    """Repeated indices add equal pairs to those among the rows themselves."""
    assert of_subset(0.0, np.array([3, 3, 4, 5])) == pytest.approx(1 / 6)
    assert of_subset(0.5, np.arange(10)) == 0.5
    assert of_subset(0.5, np.array([3, 3, 4, 5])) == pytest.approx(1 / 6 + 5 / 6 * 0.5)
    assert of_counts(np.array([], dtype=int)) == 0


def test_effective_rows():
    """n distinct rows count n; r copies of each count n / r; weights as in Kish's effective sample size."""
    n = 1000
    assert effective_rows(0.0, np.ones(n)) == pytest.approx(n)
    assert effective_rows(of_counts(np.full(100, 10)), np.ones(n)) == pytest.approx(100)
    weights = np.random.default_rng(0).exponential(size=n)
    assert effective_rows(0.0, weights) == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


@pytest.mark.parametrize("subset", [False, True])
def test_repeated_rows_are_compensated_less(subset):
    """tau of 2000 rows, 50 of them distinct, is that of few rows: all that was repeated was noise."""
    X = np.random.default_rng(0).normal(size=(2000, 6))
    rows = np.random.default_rng(1).integers(0, 50, 2000)
    matrix = pack(X, 4, "compensated", "optimal", 0)[rows] if subset else pack(X[rows], 4, "compensated", "optimal", 0)
    targets = np.zeros((1, 64 * len(matrix._codes)), dtype=np.float32)
    tau = Quadratic(Problem(matrix, None, True), targets, 0.0).tau
    plain = Quadratic(Problem(pack(X, 4, "compensated", "optimal", 0), None, True), targets, 0.0).tau
    assert plain > 0.85 and tau < 1 - 4 * 6 / 60


def test_narrowing_draws_anew():
    """The errors of equal rows are shared only as far as they were there before."""
    X = np.random.default_rng(0).normal(size=(500, 6))
    matrix = pack(np.repeat(X, 4, axis=0), 8, "compensated", "optimal", 0)
    assert matrix._coincidence[0] == pytest.approx(3 / 1999)
    narrow = matrix.requantize(2, random_state=0)
    assert narrow._coincidence[0] < 1e-3 * matrix._coincidence[0]
    assert of_narrowed(0.3, np.zeros(2), np.zeros(2)) == 0.3
