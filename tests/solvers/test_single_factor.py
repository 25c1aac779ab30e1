"""Solutions by a Cholesky factor of float32."""

import numpy as np
import pytest

from sklearn_zipml._solvers.single_factor import SingleFactor


def positive_definite(n):
    root = np.random.default_rng(n).normal(size=(n, 2 * n + 1))
    return root @ root.T / n + np.eye(n)


@pytest.mark.parametrize("row", [0, 9, 19])
def test_says_what_is_not_positive_definite(row):
    matrix = positive_definite(20)
    matrix[row, row] = -1
    assert SingleFactor(matrix.astype(np.float32)).rcond == 0


@pytest.mark.parametrize("size", [1e-60, 1.0, 1e60])
def test_solves_whatever_the_size_of_right_sides(size):
    """Float32 has no such numbers; rows of unlike units do not count against the condition."""
    matrix, units = positive_definite(30), np.logspace(-6, 6, 30)
    matrix *= units[:, None] * units
    right = size * units * np.random.default_rng(0).normal(size=(3, 30))
    factor = SingleFactor(matrix.astype(np.float32))
    assert 1e-3 < factor.rcond <= 1
    expected = np.linalg.solve(matrix, right.T).T
    assert (np.abs(factor.solve(right) - expected) * units).max() <= 1e-5 * (np.abs(expected) * units).max()
    assert not factor.solve(np.zeros((1, 30))).any()
    assert factor.explained(right) is right
