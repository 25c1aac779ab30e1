"""The objective of a fit and what it can still gain."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._solvers.anchor import Anchor
from sklearn_zipml._solvers.objective import Quadratic, gain_of_conjugate_gradients, newton_decrement
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._solvers.solver import Options, solve


def quadratic_of(bits=4, l1=None, alpha=1e-3):
    """Two correlated targets, and their objective."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6)) @ (np.eye(6) + rng.normal(size=(6, 6)))
    y = np.stack([X[:, 0] + 0.1 * rng.normal(size=500), X[:, 1] - X[:, 4]])
    problem = Problem(pack(X, bits, "compensated", "optimal", 3), None, True)
    y = (y - y.mean(axis=1, keepdims=True)) / np.abs(y).max()
    targets = problem.matrix._order.to_slots(y, problem.n_slots, np.float32)
    return Quadratic(problem, targets, alpha, l1)


def objective(quadratic, z):
    """Of every target, through the solver's own pass."""
    return Anchor(quadratic, z).objective


def gap(quadratic, z):
    """Of every target, from the solver's own gradient."""
    return Anchor(quadratic, z, limbs=2).gap(z)


def test_gap_is_what_is_left():
    """Without l1 the objective is quadratic, so the Newton decrement is exact."""
    quadratic = quadratic_of()
    best = solve(quadratic.problem, quadratic.targets, 1e-3, Options(tol=1e-12, max_iter=1000), 0).z
    for size in (0.0, 0.1, 10.0):
        z = best + size * np.random.default_rng(1).normal(size=best.shape) * quadratic.problem.unit
        left = objective(quadratic, z) - objective(quadratic, best)
        np.testing.assert_allclose(gap(quadratic, z), left, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("l1", [0.003, 0.03, 0.3])
def test_gap_with_l1_bounds_what_is_left(l1):
    """From above, and it vanishes at the optimum."""
    quadratic = quadratic_of(l1=np.full(2, l1))
    options = Options(tol=1e-12, max_iter=2000)
    best = solve(quadratic.problem, quadratic.targets, 1e-3, options, 0, l1=np.full(2, l1)).z
    start = np.zeros_like(best)
    assert np.all(gap(quadratic, best) <= 1e-8 * objective(quadratic, start))
    for z in (start, best + 0.1 * quadratic.problem.unit):
        left = objective(quadratic, z) - objective(quadratic, best)
        assert np.all(gap(quadratic, z) >= left * (1 - 1e-3) - 1e-9)


def test_bounds_of_the_decrement():
    """Conjugate gradients reach the Newton decrement from below; directions without curvature count for nothing."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 5))
    hessian, gradient = root @ root.T, root @ rng.normal(size=5)
    exact = gradient @ np.linalg.pinv(hessian) @ gradient / 2
    assert newton_decrement(hessian, gradient) == pytest.approx(exact, rel=1e-6)
    steps = [gain_of_conjugate_gradients(lambda v: hessian @ v, gradient, k) for k in range(1, 6)]
    assert np.all(np.diff(steps) > 0) and steps[-1] == pytest.approx(exact, rel=1e-6)
    assert newton_decrement(hessian, np.zeros(8)) == 0
    assert gain_of_conjugate_gradients(lambda v: hessian @ v, np.zeros(8)) == 0


def test_large_l1_leaves_nothing():
    """Whatever its size, the coefficients are exact zeros."""
    for l1 in (10.0, 1e300):
        quadratic = quadratic_of()
        result = solve(quadratic.problem, quadratic.targets, 0.0, Options(), 0, l1=np.full(2, l1))
        assert result.converged and not result.z.any()
