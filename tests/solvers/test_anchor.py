"""The anchor of saga: what it knows of a model, and where it goes from there."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._quantization.float_rows import FloatRows
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import plane_search, problem
from sklearn_zipml._solvers.anchor import Anchor
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.problem import Problem


def quadratic_of(bits, *, weighted=False, l1=None, n=700, d=12, threads=1):
    """The objective of two targets; columns of several scales."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d))) * np.logspace(-1, 1, d)
    y = np.stack([X[:, 0] + 0.1 * rng.normal(size=n), X[:, 1] - X[:, 4]])
    matrix = FloatRows(X, 3) if bits is None else pack(X, Scheme.of(bits, "compensated", "optimal"), 3)
    problem = Problem(matrix, rng.uniform(0.1, 3, n) if weighted else None, True, threads)
    y = (y - y.mean(axis=1, keepdims=True)) / np.abs(y).max()
    return Quadratic(problem, matrix.order.to_slots(y, problem.n_slots, np.float32), 1e-3, l1)


def some_z(quadratic, seed=1):
    """A model of usual size."""
    return np.random.default_rng(seed).normal(size=(2, quadratic.problem.d)) * quadratic.problem.unit


def known(anchor):
    """Everything an anchor knows."""
    return anchor.gradient, anchor.objective


def assert_same(anchor, other, rtol):
    """Two anchors are at the same model and know the same, to a part of the largest value."""
    for one, two in zip(known(anchor), known(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=rtol * np.abs(two).max())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_moves_add_up(bits, weighted):
    """After several moves it knows what an anchor knows that was made there; the gradient is that of the rows."""
    quadratic = quadratic_of(bits, weighted=weighted)
    anchor = Anchor(quadratic, np.zeros((2, 12)), limbs=2)
    for seed in range(4):
        anchor.move(some_z(quadratic, seed) * 10.0**-seed)
    assert_same(anchor, Anchor(quadratic, anchor.z[:, :12], limbs=2), 1e-5)
    problem = quadratic.problem
    rows = problem.scaled_block(0, problem.tiles.n_tiles)  # times the root of their weights
    w = np.sqrt(problem.unit_weights()[: problem.n])
    residuals = anchor.z[:, :12] / problem.unit @ rows.T - w * quadratic.targets[:, : problem.n]
    gradient = residuals @ rows / problem.unit / problem.n
    np.testing.assert_allclose(anchor.gradient[:, :12], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    penalty = (quadratic.penalty_gradient(anchor.z) * anchor.z).sum(axis=1) / 2
    np.testing.assert_allclose(anchor.objective, (residuals**2).sum(axis=1) / 2 / problem.n + penalty, rtol=1e-5)


@pytest.mark.parametrize("bits", [2, 8, None])
def test_threads_share_the_passes(bits, monkeypatch):
    """To the same bits."""
    monkeypatch.setattr(problem, "THREADED_VALUES", 0)
    one, two = (Anchor(q, some_z(q)) for q in (quadratic_of(bits, threads=threads) for threads in (1, 3)))
    for a, b in zip(known(one), known(two), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bits", [2, 4, None])
def test_lowest_point_of_the_plane(bits):
    """No other combination of the two directions is lower, and the objective there is the one that was promised."""
    quadratic = quadratic_of(bits)
    anchor = Anchor(quadratic, some_z(quadratic, 0), limbs=2)
    past = anchor.advance(anchor.toward(some_z(quadratic, 1)), [(0, 1.0)] * 2)
    direction = anchor.toward(some_z(quadratic, 2))
    here = anchor.z[:, :12].copy()
    found = plane_search.factors(anchor, direction, past, (here, here, here), anchor.rise_to_end(direction))
    moves = np.stack([past.move, direction.move], axis=1)[:, :, :12]

    def objective(factors):
        return Anchor(quadratic, here + np.einsum("kf,kfj->kj", factors, moves)).objective

    lowest = objective(found)
    for change in np.random.default_rng(0).normal(size=(20, 2, 2)) * 0.1:
        assert np.all(objective(found + change) > lowest)
    start = anchor.objective
    alone = plane_search.factors(anchor, direction, None, (here, here, here), anchor.rise_to_end(direction))
    anchor.advance(direction, found, past)
    np.testing.assert_allclose(anchor.objective, lowest, rtol=1e-5)
    assert np.all(lowest <= objective(alone)) and np.all(objective(alone) < start)
    assert not alone[:, 0].any()


def test_rise_at_the_end():
    """What it says of the objective at the end of a direction."""
    quadratic = quadratic_of(4)
    anchor = Anchor(quadratic, some_z(quadratic, 0), limbs=2)
    start, direction = anchor.objective, anchor.toward(some_z(quadratic, 1))
    rise = anchor.rise_to_end(direction)
    anchor.advance(direction, [(0, 1.0)] * 2)
    np.testing.assert_allclose(anchor.objective - start, rise, rtol=1e-4)


def test_signs_decide_with_l1():
    """A direction that changes signs is taken whole if it is lower, else not at all; others as far as is best."""
    quadratic = quadratic_of(4, l1=np.full(2, 1e-3))
    anchor = Anchor(quadratic, some_z(quadratic, 0))
    here = anchor.z[:, :12].copy()
    best = np.zeros_like(here)

    def factors(end):
        direction = anchor.toward(end)
        return plane_search.factors(anchor, direction, None, (here, here, end), anchor.rise_to_end(direction))

    np.testing.assert_array_equal(factors(best), [[0, 1]] * 2)
    np.testing.assert_array_equal(factors(-100 * here), [[0, 0]] * 2)
    found = factors(1.01 * here)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert found[0, 1] < 0 == found[1, 1]  # shorter is better; as short as is best would change signs


def test_what_is_not_finite():
    """No direction leads there, and nothing changes."""
    quadratic = quadratic_of(4)
    anchor = Anchor(quadratic, some_z(quadratic))
    before = [x.copy() for x in known(anchor)]
    z = some_z(quadratic)
    z[0, 3] = np.inf
    assert anchor.toward(z) is None and not anchor.move(z)
    for now, then in zip(known(anchor), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.999, 1.0, -1.0])
def test_minimum_over_a_plane(angle):
    """That of the pseudo-inverse: directions that are one, or none, are not divided by."""
    size = np.array([3.0, 1e-4])
    for sizes in (size, size[::-1], np.array([0.0, 2.0])):
        curvature = np.array([[1, angle], [angle, 1]]) * sizes[:, None] * sizes
        slope = curvature @ np.array([0.7, -1.3])
        units = np.divide(1, sizes, out=np.zeros(2), where=sizes > 0)
        expected = -units * (np.linalg.pinv(curvature * units[:, None] * units, 1e-9) @ (units * slope))
        np.testing.assert_allclose(plane_search._minimum(curvature, slope), expected, rtol=1e-8)
