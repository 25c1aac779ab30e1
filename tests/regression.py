"""Rows that 8 bits hold without loss, for tests of regressors."""

import numpy as np
from numpy.testing import assert_allclose

EXACT = {"tol": 1e-10, "max_iter": 1000, "random_state": 0}


SAMPLINGS = ["compensated", "double", "naive", "nearest"]


def grid_data(n=400, d=6, targets=1, seed=0, top=255):
    """Rows on the grid 0..top, both ends in every column, so that 8 bits hold them without loss, and noisy targets."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, top + 1, size=(n, d)).astype(np.float64)
    X[0], X[1] = 0, top
    y = X @ rng.normal(size=(d, targets)) + top / 10 * rng.normal(size=(n, targets)) + 100
    return X, y[:, 0] if targets == 1 else y


def assert_same_model(model, reference, rtol):
    """Coefficients relative to the largest one, and what the intercept does to predictions."""
    assert_allclose(model.coef_, reference.coef_, rtol=0, atol=rtol * np.abs(reference.coef_).max())
    # on the grid 0..255 an error of the intercept is up to 255 d times that of the coefficients
    atol = 2000 * rtol * np.abs(reference.coef_).max()
    assert_allclose(model.intercept_, reference.intercept_, rtol=0, atol=atol)
