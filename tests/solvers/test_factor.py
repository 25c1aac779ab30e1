"""A matrix factored once."""

import numpy as np
import pytest

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml._solvers.factor import Factor, ShiftedFactor


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


def test_matrix_about_a_long_mean():
    """What the sum S + m m' does not hold in float64 is solved for all the same."""
    rng = np.random.default_rng(0)
    root, mean = rng.normal(size=(40, 7)), 1e9 * rng.normal(size=7)
    smaller, right = root.T @ root, rng.normal(size=(2, 7))
    factor = ShiftedFactor(Factor(smaller, np.ones(7)), mean)
    found = factor.solve(right)
    # in the hyperplane that the mean is normal to, to rounding, the matrix is S
    plane = np.linalg.qr(np.column_stack([mean, rng.normal(size=(7, 6))]))[0][:, 1:]
    expected = np.linalg.solve(plane.T @ smaller @ plane, plane.T @ right.T)
    np.testing.assert_allclose(found.T, plane @ expected, rtol=1e-7)
    rows, targets = factor.square_root(right)
    np.testing.assert_allclose(rows[:-1].T @ rows[:-1], smaller, rtol=1e-12)
    np.testing.assert_allclose(targets @ rows, right, atol=1e-6)
    np.testing.assert_array_equal(rows[-1], mean)


@pytest.mark.parametrize("sampling", ["naive", "compensated"])
@pytest.mark.parametrize("offset", [1e5, 1e7])
@pytest.mark.parametrize("alpha", [0.0, 1e-2])
def test_columns_far_from_zero(alpha, offset, sampling):
    """Without an intercept the minimum is that of rows about their means, and one row that is the mean."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((900, 20)) @ (np.eye(20) + 0.3) + offset * rng.uniform(0.5, 1, 20)
    y = (X - X.mean(axis=0)) @ rng.standard_normal(20) + rng.standard_normal(900) + 3
    quantizer = DoubleSamplingQuantizer(6, sampling=sampling, random_state=0)
    packed = quantizer.fit_transform(X)
    model = ZipMLRegressor(6, sampling=sampling, alpha=alpha, fit_intercept=False)
    with pytest.warns(UserWarning, match="farther from zero"):
        model.fit(packed, y)
    rows = np.asarray(packed, dtype=np.float64)
    mean, taken = rows.mean(axis=0), 0.0
    about, scale = rows - mean, np.sqrt(900)
    if sampling == "compensated":  # all of it but a part 4 R, R being the columns for each row
        taken = (1 - 4 * 20 / 900) * np.diag(packed.rounding_variance)
    moments = about.T @ about / 900 + alpha * np.eye(20) - taken
    lower = np.linalg.cholesky(moments).T
    left = np.vstack([lower, mean])
    cross = about.T @ (y - y.mean()) / 900
    right = np.append(np.linalg.solve(lower.T, cross), y.mean())
    best = np.linalg.lstsq(left / np.abs(left).max(axis=0), right)[0] / np.abs(left).max(axis=0)

    def objective(coef):
        residual = y - y.mean() - about @ coef
        more = coef @ (alpha * np.eye(20) - taken) @ coef
        return (residual @ residual / scale**2 + (y.mean() - mean @ coef) ** 2 + more) / 2

    np.testing.assert_allclose(objective(model.coef_), objective(best), rtol=1e-5)
    assert objective(model.coef_) < 0.6 * objective(np.zeros(20))


def test_a_mean_beside_columns_of_unlike_units():
    """Solutions and the gap that they tell are right where S is next to nothing beside m m'."""
    rng = np.random.default_rng(3)
    units = np.geomspace(1e-9, 1e-5, 6)
    root, mean = rng.normal(size=(40, 6)) * units, np.ones(6)
    factor = ShiftedFactor(Factor(root.T @ root / 40, np.ones(6)), mean)
    right = rng.normal(size=(1, 6)) * units
    plane = np.linalg.qr(np.column_stack([mean, rng.normal(size=(6, 5))]))[0][:, 1:]
    # to a part 1e-8, as m is 1e9 times as long as what is missing from it
    across = root @ plane / np.sqrt(40)
    gain = right @ plane @ np.linalg.lstsq(across.T @ across, plane.T @ right.T, rcond=0)[0]
    np.testing.assert_allclose((factor.solve(right) * right).sum(), gain[0, 0], rtol=1e-5)
    assert (factor.solve(mean[None]) * mean).sum() == pytest.approx(1.0, rel=1e-9)
