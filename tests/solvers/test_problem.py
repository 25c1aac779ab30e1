"""Row norms and products with the second-moment matrix, against decoded rows."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._quantization.float_rows import FloatRows
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers.problem import Problem


def problem_of(bits, weighted=False, n=300, d=21, sampling="compensated"):
    """Columns of unequal spread, one of them constant, one heavy-tailed."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * np.geomspace(0.01, 100, d) + np.arange(d)
    X[:, 3], X[:, 5] = 7.0, rng.standard_t(2, size=n)
    X = X.astype(np.float32)
    matrix = FloatRows(X, 0, None, None) if bits is None else pack(X, Scheme.of(bits, sampling, "optimal"), 0)
    return Problem(matrix, rng.uniform(0.5, 2.0, n) if weighted else None, True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "bits, sampling",
    [(bits, "compensated") for bits in (1, 2, 4, 6, 8, None)] + [(2, "dithered"), (3, "dithered")],
)
def test_norms(bits, sampling, weighted):
    problem = problem_of(bits, weighted, sampling=sampling)
    assert bits is None or problem.matrix.scheme.has_dither == (sampling == "dithered")
    norms = (problem.scaled_block(0, problem.tiles.n_tiles) ** 2).sum(axis=1)
    # squares by table are rounded to 1/255 of the largest of their column
    tolerance = 0.03 if problem.tiles.width < 8 else 1e-5
    assert problem.largest_norm() == pytest.approx(norms.max(), rel=tolerance)
    # deviations of float samples are those of all rows alike, for they only set scales
    tolerance = 0.1 if bits is None and weighted else 2e-3
    assert problem.mean_norm() == pytest.approx(norms.mean(), rel=tolerance)
    np.testing.assert_allclose(problem.diagonal, np.diag(problem.dense_curvature()), rtol=2 * tolerance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8, None])
def test_curvature(bits, weighted):
    problem = problem_of(bits, weighted)
    v = np.random.default_rng(1).normal(size=problem.d)
    for first, last in ((0, None), (0, 3), (2, 5)):
        rows = problem.scaled_block(first, problem.tiles.n_tiles if last is None else last)
        total = problem.unit_weights(first, last).sum()
        expected = rows.T @ (rows @ v) / total
        found = problem.curvature(v, first, last)
        np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
