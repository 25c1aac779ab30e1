"""Targets in the order of slots, against NumPy on all of them at once."""

from math import fsum

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml._estimators import standardized_targets as module
from sklearn_zipml._estimators.standardized_targets import standardized_targets
from sklearn_zipml._quantization.float_rows import FloatRows


def targets_of(n, k, dtype=np.float64):
    """Of unlike sizes and offsets, the last one constant."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal((n, k)) * 10.0 ** rng.uniform(-3, 3, k) + 10.0 ** rng.uniform(-3, 3, k)
    y[:, -1] = -7.3
    return y.astype(dtype)


@pytest.mark.parametrize(("n", "k"), [(1, 2), (50, 3), (70_001, 2), (3000, 40)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_standardized_targets(n, k, weighted, dtype):
    """Of one piece or many; the constant one is zeros, and nothing depends on the threads."""
    y = targets_of(n, k, dtype)
    weights = np.random.default_rng(1).uniform(0.5, 2, n) if weighted else None
    matrix, n_slots = FloatRows(np.zeros((n, 1)), 5), n + 13
    found = [
        standardized_targets(matrix, y, weights, centred=True, n_slots=n_slots, n_jobs=n_jobs) for n_jobs in (1, 2)
    ]
    for one, two in zip(*found, strict=True):
        assert_array_equal(one, two)
    slots, mean, scale = found[0]
    exact = y.astype(np.float64)
    share = np.ones(n) if weights is None else weights
    expected = np.array([fsum(column * share) / fsum(share) for column in exact.T])  # np.average rounds more
    assert_allclose(mean, expected, rtol=1e-12)
    largest = np.abs(exact - expected).max(axis=0)
    varies = (np.arange(k) < k - 1) & (n > 1)
    assert_allclose(scale, np.where(varies, largest, 1), rtol=1e-9)
    assert not slots[:, n:].any() and not slots[~varies].any()
    ordered = (exact - expected)[matrix.order.rows()].T[varies] / largest[varies, None]
    assert_allclose(slots[varies, :n], ordered, atol=1e-9)


def test_targets_that_are_not_centred():
    y = targets_of(100, 3)
    matrix = FloatRows(np.zeros((100, 1)), 5)
    slots, mean, scale = standardized_targets(matrix, y, None, centred=False, n_slots=128, n_jobs=1)
    assert not mean.any()
    assert_allclose(scale, np.abs(y).max(axis=0))
    assert_allclose(slots[:, :100] * scale[:, None], y[matrix.order.rows()].T, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [None, 4, 8])
def test_many_targets_in_float32(weighted, bits, monkeypatch):
    """As so many targets are held that float64 would count: the closed form in float64, to what float32 is."""
    monkeypatch.setattr(module, "MOST_EXACT_TARGETS", 0)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 16, (2000, 6)).astype(np.float32)
    y = (X @ rng.standard_normal((6, 9)) + rng.standard_normal((2000, 9))).astype(np.float32)
    weights = rng.uniform(1, 3, 2000) if weighted else np.ones(2000)
    model = ZipMLRegressor(bits, alpha=0.1, random_state=0).fit(X, y, sample_weight=weights if weighted else None)
    share = weights / weights.sum()
    rows, targets = X - share @ X, y - share @ y.astype(np.float64)
    moments = (share[:, None] * rows).T @ rows + 0.1 * np.eye(6)
    expected = np.linalg.solve(moments, (share[:, None] * rows).T @ targets).T
    assert model.solver_ == "gram"
    assert_allclose(model.coef_, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
