"""Conjugate gradients on packed rows: what a fit falls back on where it is too large to be exact."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from problems import data, problem_of
from solving import solve
from test_solver import excess

from sklearn_zipml._solvers import choice, evaluation, solver
from sklearn_zipml._solvers.conjugate_gradients import conjugate_gradients
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.solver import Options


def targets_of(sample_bits, **settings):
    """A problem of two targets and nine columns, of very different sizes."""
    X, y = data(600, 9)
    return problem_of(X, np.stack([y, -X[:, 2]]), sample_bits, **settings)


@pytest.mark.parametrize("sample_bits", [None, 8, 4, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_minimum_is_that_of_the_closed_form(sample_bits, weighted):
    """From zero and from anywhere, with what is told of the objective there; and no steps where it has been reached."""
    weights = np.random.default_rng(0).uniform(0.1, 3, 600) if weighted else None
    problem, targets = targets_of(sample_bits, weights=weights)
    quadratic = Quadratic(problem, targets, 1e-3)
    for start in (np.zeros((2, 9)), np.random.default_rng(1).normal(size=(2, 9)) * problem.unit):
        z, objective, gap = conjugate_gradients(quadratic, start, 1e-10, 200)
        assert excess(problem, targets, 1e-3, z).max() < 1e-6
        assert np.all(gap <= 1e-10 * objective)
        assert_allclose(objective, evaluation.objective(quadratic, z, evaluation.residuals(quadratic, z)))


def test_too_few_steps():
    """Go down, and say that they are too few."""
    problem, targets = targets_of(4)
    quadratic = Quadratic(problem, targets, 1e-3)
    before = quadratic.at_zero
    for steps in (1, 2, 3):
        _, objective, gap = conjugate_gradients(quadratic, np.zeros((2, 9)), 1e-12, steps)
        assert np.all(objective < before)
        assert np.all(gap > 1e-12 * objective)
        before = objective


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_a_fit_that_is_too_large_to_be_exact(monkeypatch, sample_bits):
    """What epochs have not reached they do. With an l1 penalty, and where they fall short too, epochs have the word."""
    for module in (choice, solver):
        monkeypatch.setattr(module, "is_exact_affordable", lambda quadratic: False)
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    X = rng.normal(size=(600, 30)) * np.geomspace(1, 0.01, 30) @ basis
    y = np.stack([5 * X @ rng.normal(size=30), X[:, 0]]) + 0.1 * rng.normal(size=(2, 600))
    problem, targets = problem_of(X, y, sample_bits)

    def solved(most, by="auto", l1=None):
        return solve(problem, targets, 1e-6, Options(tol=1e-6, max_iter=most, solver=by), 0, l1)

    epochs, found = solved(60, "saga"), solved(60)
    assert (epochs.solver, epochs.converged, found.solver, found.converged) == ("saga", False, "cg", True)
    before, after = (excess(problem, targets, 1e-6, result.z) for result in (epochs, found))
    assert np.all(after < before / 50) and after.max() < 1e-6
    assert_array_equal(found.losses[:-1], epochs.losses)
    assert found.bytes_read[:-1] == epochs.bytes_read and found.bytes_read[-1] > epochs.bytes_read[-1]
    assert (solved(3).solver, solved(60, l1=np.array([0.01, 0.01])).solver) == ("saga", "saga")
