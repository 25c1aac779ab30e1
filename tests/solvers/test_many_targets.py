"""Many targets at once: what the rows give, as closely as one target after the other."""

import numpy as np
import pytest

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml._kernels.products import MANY
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._quantization.float_rows import FloatRows
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import by_rows, choice, evaluation, problem
from sklearn_zipml._solvers.anchor import Anchor
from sklearn_zipml._solvers.exact import solve_exactly
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.options import Options
from sklearn_zipml._solvers.problem import Problem


def quadratic_of(bits, *, weighted=False, n=700, d=12, k=6, alpha=1e-3, threads=1):
    """The objective of several targets of different sizes; columns of several scales."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d))) * np.logspace(-1, 1, d)
    matrix = FloatRows(X, 3) if bits is None else pack(X, Scheme.of(bits, "compensated", "optimal"), 3)
    weights = rng.uniform(0.3, 1, n) if weighted else None
    p = Problem(matrix, weights, True, threads)
    y = (X[:, :k].T if k <= d else rng.normal(size=(k, d)) @ X.T) + rng.normal(size=(k, n))
    y = (y - np.average(y, axis=1, weights=weights)[:, None]) / np.abs(y).max(axis=1, keepdims=True)
    return Quadratic(p, matrix.order.to_slots(y, p.n_slots, np.float64), alpha)


def rows_of(p):
    """Centred grid positions."""
    rows = p.scaled_block(0, p.tiles.n_tiles)
    if len(p.weights):
        rows = rows / np.sqrt(p.unit_weights()[: p.n, None])
    return rows / p.unit


@pytest.mark.parametrize("bits", [1, 2, 4, 8, None])
@pytest.mark.parametrize("threads", [1, 3])
def test_products_are_those_of_the_rows(bits, threads, monkeypatch):
    """To parts of 1e-13 of the sums of magnitudes, in spans of few tiles too."""
    monkeypatch.setattr(problem, "MANY_TILES", 2)
    monkeypatch.setattr(problem, "SPAN_TILES", 8)
    p = quadratic_of(bits, threads=threads).problem
    rng = np.random.default_rng(1)
    rows = rows_of(p)
    z, values = rng.normal(size=(MANY, p.d)) * np.logspace(-6, 0, p.d), rng.standard_cauchy(size=(MANY, p.n))
    far = np.abs(rows).max() + np.abs(p.centre).max()
    most = np.abs(z).max(axis=1, keepdims=True) * far * p.d
    assert (np.abs(evaluation.images(p, z) - z @ rows.T) <= 1e-13 * most).all()
    most = np.abs(values).max(axis=1, keepdims=True) * far
    assert (np.abs(evaluation.row_combinations(p, values) - values @ rows / p.n) <= 1e-13 * most).all()
    for k, row in enumerate(z):
        np.testing.assert_allclose(evaluation.images(p, row[None])[0], evaluation.images(p, z)[k], atol=1e-12 * far)


@pytest.mark.parametrize("bits", [1, 4, 8, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_anchor_is_that_of_each_target(bits, weighted):
    q = quadratic_of(bits, weighted=weighted)
    z = np.random.default_rng(2).normal(size=(6, 12)) * q.problem.unit
    many = Anchor(q, z, limbs=2)
    assert many.passes == 18
    rows, w = rows_of(q.problem), q.problem.unit_weights()[: q.problem.n]
    residual = many.z[:, :12] @ rows.T - q.targets[:, : q.problem.n]
    gradient = (w * residual) @ rows / q.problem.n
    np.testing.assert_allclose(many.gradient[:, :12], gradient, rtol=0, atol=1e-6 * np.abs(gradient).max())
    loss = residual**2 @ w / 2 / q.problem.n + (q.penalty_gradient(many.z) * many.z).sum(axis=1) / 2
    np.testing.assert_allclose(many.objective, loss, rtol=1e-6)
    np.testing.assert_allclose(many.z[:, :12], z, rtol=0, atol=1e-8 * np.abs(z).max())
    assert many.toward(np.full((6, 12), np.nan)) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_rounded_weights_are_made_good(weighted, monkeypatch):
    """A solution is that of the exact weights, for all that second moments in integers rounded them."""
    monkeypatch.setattr(problem, "DENSE_FLOPS", 0)
    q = quadratic_of(4, weighted=weighted)
    assert q.problem.has_rounded_weights == weighted
    rows = rows_of(q.problem) * np.sqrt(q.problem.unit_weights()[: q.problem.n, None])
    matrix = rows.T @ rows / q.problem.n + np.diag(q.diagonal[:12])
    targets = q.targets[:, : q.problem.n] * np.sqrt(q.problem.unit_weights()[: q.problem.n])
    expected = np.linalg.solve(matrix, rows.T @ targets.T / q.problem.n).T
    found = solve_exactly(q, np.zeros((6, 12)), 1e-3)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=(1e-7 if weighted else 1e-9) * scale)


@pytest.mark.parametrize("alpha", [1e-12, 1e-2])
def test_products_of_rows_in_float32_are_refined(alpha, monkeypatch):
    """To what float64 gives, whatever the condition."""
    monkeypatch.setattr(by_rows, "LARGE", 0)
    used, original = [], by_rows.row_gram

    def row_gram(tiles, centre, unit, dtype, threads):
        used.append(np.dtype(dtype))
        return original(tiles, centre, unit, dtype, threads)

    monkeypatch.setattr(by_rows, "row_gram", row_gram)
    q = quadratic_of(8, n=60, d=400, k=5, alpha=alpha)
    q.problem.centre_exactly()
    z = by_rows.solve_by_rows(q)[0]
    assert used[0] == np.float32
    monkeypatch.setattr(by_rows, "LARGE", np.inf)
    expected = by_rows.solve_by_rows(q)[0]
    assert used[-1] == np.float64
    np.testing.assert_allclose(z, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("taken", [False, True])
def test_packed_predictions_of_many_outputs(taken):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(500, 7)), rng.normal(size=(500, 5))
    packed = matrix_of(pack(X, Scheme.of(4, "compensated", "optimal"), 0))
    model = ZipMLRegressor(random_state=0).fit(packed, y)
    rows = packed[100:400] if taken else packed
    expected = np.asarray(rows, dtype=np.float64) @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.predict(rows), expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def test_more_targets_are_worth_the_exact_solution(monkeypatch):
    """Which costs about the same for any number of them."""
    q = quadratic_of(4)
    options = Options("auto")
    monkeypatch.setattr(choice, "CHEAP", choice.products(q.problem) / 6)
    assert choice.chosen_solver(q, options) == "gram"
    monkeypatch.setattr(choice, "CHEAP", choice.products(q.problem) / 6.1)
    assert choice.chosen_solver(q, options) == "saga"
