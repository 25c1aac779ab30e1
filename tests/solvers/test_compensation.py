"""How much of the rounding variance is subtracted, direction by direction."""

import numpy as np
import pytest

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import compensation as compensation_module
from sklearn_zipml._solvers import problem as problem_module
from sklearn_zipml._solvers.compensation import (
    LANCZOS_STEPS,
    compensation,
    dense_compensation,
    dense_ratio,
    iterative_ratio,
    noise_ratio,
    noisy_columns,
    of_all_rows,
    smallest_ratio,
)
from sklearn_zipml._solvers.problem import Problem


def collinear(n=4000):
    """Columns of which some differ by less than what rounding to 2 bits adds, and two that are stored without loss."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    return np.hstack([X, X + 0.02 * rng.normal(size=X.shape), rng.integers(0, 2, (n, 2)) + 0.0])


def test_compensation_by_direction():
    """In units of D the curvature l of every direction becomes max(l - (1 - 4 R), min(2 sqrt(R), mu))."""
    problem = Problem(pack(collinear(), Scheme.of(2, "compensated", "optimal"), 0), None, True)
    noise, ridge = problem.variance * problem.unit**2, np.full(10, 1e-3)
    noisy, gram = noise > 0, problem.dense_curvature() + np.diag(ridge)
    assert noisy.sum() == 8

    def spectrum(matrix):
        schur = matrix[:8, :8] - matrix[:8, 8:] @ np.linalg.solve(matrix[8:, 8:], matrix[8:, :8])
        return np.linalg.eigvalsh(schur / np.sqrt(np.outer(noise[:8], noise[:8])))

    before = spectrum(gram)
    for ratio in (1e-4, 2e-3, 0.05, 0.2):
        taken = dense_compensation(gram, noise, noisy, ratio)
        after = spectrum(gram - taken.tau * np.diag(noise) + taken.lift @ taken.lift.T)
        floor = min(2 * np.sqrt(ratio), before[0])
        np.testing.assert_allclose(after, np.maximum(before - (1 - 4 * ratio), floor), rtol=1e-6)
        assert taken.lift.shape[1] == np.count_nonzero(before - (1 - 4 * ratio) < floor) > 0
        assert not taken.lift[8:].any()


def test_moves_are_completed():
    """A move to the minimum of H + ridge becomes one to the minimum of the whole; gains up to 1.02 are left out."""
    problem = Problem(pack(collinear()[:, :8], Scheme.of(2, "compensated", "optimal"), 0), None, True)
    noise, gram = problem.variance * problem.unit**2, problem.dense_curvature() + 1e-3 * np.eye(8)
    taken = dense_compensation(gram, noise, noise > 0, 0.002)
    whole = gram - taken.tau * np.diag(noise) + taken.lift @ taken.lift.T
    gradients = np.random.default_rng(1).normal(size=(8, 2))
    expected = np.linalg.solve(whole, gradients).T
    np.testing.assert_allclose(
        taken.completed(np.linalg.solve(gram, gradients).T), expected, atol=0.02 * np.abs(expected).max()
    )


def test_collinear_columns_lose_little_at_two_bits():
    """The rule that took one tau for all directions lost .003 of R² here, and .2 at one bit."""
    X = collinear(24_000)
    y = X @ np.random.default_rng(2).normal(size=10) + np.random.default_rng(3).normal(size=24_000)
    train, test = slice(0, 20_000), slice(20_000, None)
    full = ZipMLRegressor(None, random_state=0).fit(X[train], y[train]).score(X[test], y[test])
    for bits, bound in ((2, 0.001), (1, 0.05)):
        loss = [
            full - ZipMLRegressor(bits, random_state=s).fit(X[train], y[train]).score(X[test], y[test])
            for s in range(3)
        ]
        assert np.mean(loss) < bound


D = 120


def duplicates(n, rng):
    """Every column twice: half of all directions hold nothing but noise."""
    X = rng.normal(size=(n, D // 2))
    return np.hstack([X, X])


def decaying(n, rng):
    """Strong signal in a few directions, next to none in the others."""
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    return (rng.normal(size=(n, D)) * np.exp(-np.arange(D) / 8)) @ basis.T


def one_hot(n, rng):
    """Half of the columns without noise, which carry part of the signal of the others."""
    group = rng.integers(0, D // 2, n)
    hot = np.eye(D // 2)[group]
    return np.hstack([rng.normal(size=(n, D // 2)) + 3 * hot, hot])


def gaussian(n, rng):
    return rng.normal(size=(n, D))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("rows", [duplicates, decaying, one_hot, gaussian])
def test_sample_stands_for_all_rows(rows, bits, monkeypatch):
    X = rows(15000, np.random.default_rng(0))
    problem = Problem(pack(X, Scheme.of(bits, "compensated", "optimal"), 0), None, True)
    noise = problem.variance * problem.unit**2
    noisy = noisy_columns(noise)
    assert noisy.all() == (rows is not one_hot)
    ridge = np.zeros(D)
    exact = dense_ratio(problem.dense_curvature(), noise, noisy)
    expected = compensation(problem, ridge, diagonal=True).tau
    monkeypatch.setattr(problem_module, "DENSE_FLOPS", 0)
    # where the ratio is well above 1 it does not matter; the descent need not end there
    found = smallest_ratio(problem, ridge, noise, noisy, noise_ratio(problem, noisy))
    assert min(0.8 * exact, 1) <= found <= max(1.03 * exact, 30 * (exact > 1))
    # columns of little noise get what does even if there is nothing but noise
    least = expected - 0.2 if bits < 4 else min(expected - 0.2, 0.7)
    assert least <= compensation(problem, ridge, diagonal=True).tau <= min(expected + 0.03, exact)


def test_slight_noise_needs_no_search(monkeypatch):
    monkeypatch.setattr(problem_module, "DENSE_FLOPS", 0)
    monkeypatch.setattr(compensation_module, "smallest_ratio", None)
    X = decaying(15000, np.random.default_rng(0))
    problem = Problem(pack(X, Scheme.of(6, "compensated", "optimal"), 0), None, True)
    assert 0.6 < compensation(problem, np.zeros(D)).tau <= 0.8


def test_search_ends_when_told():
    """No more products are taken than the answer needs, and it lies between the bounds."""
    curvatures, calls = np.linspace(1, 50, D), []

    def curvature(v):
        calls.append(v)
        return curvatures * v

    found = iterative_ratio(curvature, np.ones(D), np.ones(D), lambda least, most: most < 5)
    assert 0.8 <= found <= 5
    assert len(calls) < LANCZOS_STEPS


def test_more_rows_have_a_larger_ratio():
    """The Marchenko-Pastur edge (1 - sqrt(d / n))² of noise alone is met."""
    edge = {n: (1 - np.sqrt(D / n)) ** 2 for n in (2000, 32000)}
    found = of_all_rows(edge[2000], 2000, 32000)
    assert found == pytest.approx(edge[32000])
    assert of_all_rows(0.0, 500, 500) == 0


@pytest.mark.parametrize("sample_bits, sampling", [(1, "compensated"), (2, "double")])
def test_sgd_keeps_no_bias(sample_bits, sampling):
    """Columns of nearly nothing but noise, and rows enough: the solution of all of D subtracted, in closed form."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 3))
    packed = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0).fit_transform(X)
    y = X.sum(axis=1)
    rows = np.asarray(packed, dtype=np.float64) - np.asarray(packed, dtype=np.float64).mean(axis=0)
    moments = rows.T @ rows / len(rows) - np.diag(packed.rounding_variance)
    expected = np.linalg.solve(moments, rows.T @ y / len(rows))
    model = ZipMLRegressor(sample_bits, sampling=sampling, solver="sgd", alpha=0, random_state=0).fit(packed, y)
    np.testing.assert_allclose(model.coef_, expected, atol=0.05)
    np.testing.assert_allclose(expected, 1, atol=0.15)  # before, .5 and .8


@pytest.mark.parametrize("bits", [1, 4])
def test_no_bias_stays_with_matrices_that_are_not_dense(bits, monkeypatch):
    X = gaussian(60_000, np.random.default_rng(0))[:, :6]
    monkeypatch.setattr(problem_module, "DENSE_FLOPS", 0)
    problem = Problem(pack(X, Scheme.of(bits, "compensated", "optimal"), 0), None, True)
    assert 1 - 4 * np.sqrt(6 / 60_000) <= compensation(problem, np.zeros(6)).tau <= 1
