"""Parts of the fit of logistic regression: gradients, lines, metrics and the calibration of rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_zipml import DoubleSamplingQuantizer
from sklearn_zipml._solvers import softmax
from sklearn_zipml._solvers.calibration import calibration
from sklearn_zipml._solvers.curvature_sums import weighted_moments
from sklearn_zipml._solvers.inverse_curvature import AllPairs, ByDirection, Diagonal, Weighted
from sklearn_zipml._solvers.logistic_objective import LogisticObjective
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._solvers.quasi_newton import descend
from sklearn_zipml._storage.packed_rows import rows_of


def objective(n_classes=2, *, bits=2, weighted=False, centred=True, n=3000, calibrated=False):
    """Of packed normal columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 5)) * [1, 2, 3, 4, 5] + 1
    y = (X @ rng.normal(size=(5, n_classes)) / 3 + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    weights = rng.exponential(size=n) + 0.1 if weighted else None
    packed = rows_of(DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X))
    problem = Problem(packed, weights, centred)
    numbers = packed.order.to_slots(y[None].astype(float), problem.n_slots, np.float64)[0, :n].astype(np.intp)
    labels = softmax.Labels(numbers, n_classes if n_classes > 2 else 1, problem.weights[:n].astype(float))
    found = LogisticObjective(problem, labels, 1e-3)
    if calibrated:
        point = descend(found, found.start(), 1e-2, 100).point
        found = found.calibrated(calibration(found, point))
        assert found.calibration is not None
    return found


def model_of(found, seed=1):
    """Any model."""
    model = 0.3 * np.random.default_rng(seed).normal(size=(found.labels.n_outputs, found.d + 1))
    model[:, -1] *= found.has_intercept
    return model


CASES = [(2, False, True), (2, True, True), (2, False, False), (4, False, True), (4, True, False)]


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("n_classes, weighted, centred", CASES)
def test_gradient(n_classes, weighted, centred, calibrated):
    """That of finite differences, at a point and along a line."""
    found = objective(n_classes, weighted=weighted, centred=centred, calibrated=calibrated)
    model, move = model_of(found), model_of(found, 2)
    gradient = found.gradient(found.at(model))
    step = 1e-3
    slope = (found.at(model + step * move).value - found.at(model - step * move).value) / (2 * step)
    assert (gradient * move).sum() == pytest.approx(slope, rel=1e-4, abs=1e-6)
    line = found.line(found.at(model), move)
    point, along = line.at(0.7)
    assert point.value == pytest.approx(found.at(model + 0.7 * move).value, rel=1e-9)
    assert along == pytest.approx((found.gradient(found.at(model + 0.7 * move)) * move).sum(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("n_classes, weighted, centred", CASES)
def test_descent(n_classes, weighted, centred, calibrated):
    """Never up, to where the gradient is nothing, and within the gap that it tells."""
    found = objective(n_classes, weighted=weighted, centred=centred, calibrated=calibrated)
    exact = descend(found, found.start(), 1e-10, 300)
    assert (np.diff(exact.values) < 0).all()
    assert np.abs(found.gradient(exact.point)).max() < 1e-4
    for tol in (1e-2, 1e-4):
        rough = descend(found, found.start(), tol, 300)
        assert rough.values[-1] - exact.values[-1] <= max(rough.gap, 1e-9) <= tol * rough.values[-1]


def test_metrics_of_the_naive_objective():
    """The exact ones are inverses of second differences of the gradient."""
    for n_classes, kind in ((2, Weighted), (4, AllPairs)):
        found = objective(n_classes, weighted=True)
        model = model_of(found)
        model -= model.mean(axis=0) if n_classes > 2 else 0
        metric = kind(found, found.at(model))
        assert metric.is_exact
        move = model_of(found, 2)
        move -= move.mean(axis=0) if n_classes > 2 else 0
        step = 1e-4
        bend = (
            (found.gradient(found.at(model + step * move)) - found.gradient(found.at(model - step * move))) / 2 / step
        )
        assert_allclose(metric(bend), move, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [Diagonal, ByDirection])
def test_rough_metrics_go_downhill(kind):
    """Along the gradient they are positive."""
    found = objective(4)
    point = found.at(model_of(found))
    gradient = found.gradient(point)
    gradient -= gradient.mean(axis=0)
    assert (gradient * kind(found, point)(gradient)).sum() > 0


def test_weighted_moments():
    """Against decoded rows."""
    found = objective()
    problem = found.problem
    weights = np.random.default_rng(0).random(problem.n)
    rows = problem.scaled_block(0, problem.tiles.n_tiles)
    expected = (rows * weights[:, None]).T @ rows / problem.n
    assert_allclose(weighted_moments(problem, weights, problem.tiles.n_tiles), expected, rtol=1e-5, atol=1e-6)


def test_calibration_is_the_best_linear_guess():
    """Rows times its matrix are nearer to the rows before rounding than packed rows are."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20000, 3)) @ [[1, 0.9, 0], [0, 0.5, 0], [0, 0, 1]]
    y = (X.sum(axis=1) > 0).astype(float)
    packed = rows_of(DoubleSamplingQuantizer(2, random_state=0).fit_transform(X))
    problem = Problem(packed, None, True)
    numbers = packed.order.to_slots(y[None], problem.n_slots, np.float64)[0, : problem.n].astype(np.intp)
    labels = softmax.Labels(numbers, 1, np.zeros(0))
    undecided = LogisticObjective(problem, labels, 1e-3)
    found = calibration(undecided, undecided.at(np.zeros((1, 4))))
    order = packed.order.to_slots(np.ascontiguousarray(X.T), problem.n_slots, np.float64)[:, : problem.n].T
    before = ((order - packed.offset) / packed.step - problem.centre) * problem.unit
    rows = problem.scaled_block(0, problem.tiles.n_tiles)
    inner = found.matrix()
    assert ((rows @ inner - before) ** 2).mean() < 0.85 * ((rows - before) ** 2).mean()
    assert_allclose(found.apply(np.eye(3)), inner.T, atol=1e-12)
    assert_allclose(found.adjoint(np.eye(3)), inner, atol=1e-12)


def test_no_calibration_without_noise_or_rows():
    """Of rows that are stored whole, or of too few."""
    for bits, n in ((8, 12), (2, 30)):
        found = objective(bits=bits, n=n)
        assert calibration(found, found.at(found.start())) is None
