"""Cholesky factors in blocks, and solutions by one of float32."""

import numpy as np
import pytest

from sklearn_zipml._solvers import cholesky
from sklearn_zipml._solvers.single_factor import SingleFactor


def positive_definite(n, dtype):
    root = np.random.default_rng(n).normal(size=(n, 2 * n + 1))
    return (root @ root.T / n + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 50])
def test_factor_in_blocks(dtype, n, monkeypatch):
    """The same to the bit with any threads; what is above the diagonal is never read."""
    monkeypatch.setattr(cholesky, "BLOCK", 8)
    matrix = positive_definite(n, dtype)
    expected = np.linalg.cholesky(matrix.astype(np.float64))
    found = []
    for threads in (1, 3):
        given = matrix + np.triu(np.full((n, n), np.nan, dtype=dtype), 1)
        given[np.tril_indices(n)] = matrix[np.tril_indices(n)]
        assert cholesky.lower_cholesky(given, threads)
        found.append(np.tril(given))
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=30 * np.finfo(dtype).eps * np.abs(expected).max())


@pytest.mark.parametrize("row", [0, 9, 19])
def test_says_what_is_not_positive_definite(row, monkeypatch):
    monkeypatch.setattr(cholesky, "BLOCK", 8)
    matrix = positive_definite(20, np.float64)
    matrix[row, row] = -1
    assert not cholesky.lower_cholesky(matrix, 1)
    assert SingleFactor(matrix.astype(np.float32), 1).rcond == 0


@pytest.mark.parametrize("size", [1e-60, 1.0, 1e60])
def test_solves_whatever_the_size_of_right_sides(size):
    """Float32 has no such numbers; rows of unlike units do not count against the condition."""
    matrix, units = positive_definite(30, np.float64), np.logspace(-6, 6, 30)
    matrix *= units[:, None] * units
    right = size * units * np.random.default_rng(0).normal(size=(3, 30))
    factor = SingleFactor(matrix.astype(np.float32), 1)
    assert 1e-3 < factor.rcond <= 1
    expected = np.linalg.solve(matrix, right.T).T
    assert (np.abs(factor.solve(right) - expected) * units).max() <= 1e-5 * (np.abs(expected) * units).max()
    assert not factor.solve(np.zeros((1, 30))).any()
    assert factor.explained(right) is right
