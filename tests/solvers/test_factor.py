"""A matrix factored once."""

import numpy as np
import pytest

from sklearn_zipml._solvers.factor import Factor


@pytest.mark.parametrize("fails", [False, True])
def test_singular_matrix(fails, monkeypatch):
    """A solution in the span of its eigenvectors, also where LAPACK's first way to them does not converge."""
    if fails:

        def eigh(matrix):
            raise np.linalg.LinAlgError("Eigenvalues did not converge")

        monkeypatch.setattr(np.linalg, "eigh", eigh)
    root = np.random.default_rng(0).normal(size=(12, 7))
    matrix, right = root @ root.T, (root @ np.arange(7.0))[None]
    factor = Factor(matrix, np.ones(12))
    assert factor.is_singular
    np.testing.assert_allclose(factor.solve(right) @ matrix, right, rtol=1e-8)
