"""Rows that 8 bits hold without loss, for tests of classifiers."""

import numpy as np
from numpy.testing import assert_allclose

EXACT = {"tol": 1e-10, "max_iter": 1000, "random_state": 0}


def grid_data(n=400, d=6, classes=2, seed=0):
    """Rows on the grid 0..255, which 8 bits hold without loss, and labels that are not quite linear in them."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, size=(n, d)).astype(np.float64)
    X[0], X[1] = 0, 255
    scores = (X - 127.5) @ rng.normal(size=(d, classes)) + 60 * rng.normal(size=(n, classes))
    return X, scores.argmax(axis=1)


def assert_same_model(model, reference, rtol):
    """Coefficients relative to the largest one, and what the intercept does to decisions."""
    size = np.abs(reference.coef_).max()
    assert_allclose(model.coef_, np.atleast_2d(reference.coef_), rtol=0, atol=rtol * size)
    assert_allclose(model.intercept_, reference.intercept_, rtol=0, atol=2000 * rtol * size)
