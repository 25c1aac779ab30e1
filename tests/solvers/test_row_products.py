"""Products of rows as products of integers, against float64; and what a fit makes of them."""

import numpy as np
import pytest

from sklearn_zipml import PackedMatrix
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import by_rows
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._solvers.row_products import integer_row_gram, whole_positions
from sklearn_zipml._storage.packed_rows import rows_of


def problem_of(codes, *, weighted=False, centred=True, threads=1, **settings):
    packed = rows_of(PackedMatrix.from_codes(codes, random_state=0, **settings))
    weights = np.random.default_rng(1).uniform(0.3, 1, len(packed)) if weighted else None
    problem = Problem(packed, weights, centred, threads)
    problem.centre_exactly()
    return problem


def expected_gram(problem, size):
    positions = problem.tiles.positions(0, problem.tiles.n_tiles).astype(np.float64)
    rows = (positions - problem.centre) * size
    return rows @ rows.T


def sizes(problem):
    size = np.where(problem.unit > 0, problem.step, 0.0)
    return size / size.max()


@pytest.mark.parametrize(("high", "scale"), [(2, 1), (4, 0.3), (16, 1), (200, 7)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_exact_where_steps_are_equal(high, scale, weighted, centred):
    """Constant columns add nothing."""
    codes = np.random.default_rng(0).integers(0, high, size=(150, 300))
    codes[:, 0], codes[:3, 1:] = 0, high - 1
    if centred:
        codes[:, 1] = high - 1
    problem = problem_of(codes, weighted=weighted, centred=centred, scale=scale)
    size = sizes(problem)
    found = integer_row_gram(problem, size)
    np.testing.assert_allclose(found, expected_gram(problem, size), rtol=1e-9, atol=1e-9 * size.max() ** 2 * high**2)
    other = problem_of(codes, weighted=weighted, centred=centred, scale=scale, threads=3)
    np.testing.assert_array_equal(integer_row_gram(other, size), found)


def test_steps_that_are_whole_numbers_of_one():
    codes = np.random.default_rng(0).integers(0, 4, size=(90, 200))
    problem = problem_of(codes, scale=np.where(np.arange(200) % 3, 1, 1.5))
    size = sizes(problem)
    np.testing.assert_allclose(integer_row_gram(problem, size), expected_gram(problem, size), rtol=1e-9, atol=1e-9)
    assert whole_positions(problem, size, 0)[1] == 1 / 3
    assert integer_row_gram(problem, size * np.linspace(0.9, 1, 200)) is None


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_of_other_kinds_are_left_to_floats(bits):
    X = np.random.default_rng(0).normal(size=(80, 100))
    problem = Problem(pack(X, Scheme.of(bits, "compensated", "optimal"), 0), None, True)
    assert integer_row_gram(problem, sizes(problem), 1e-4) is None


def genotypes(n=260, d=700):
    """Some of them missing, so that levels at means lie between the others."""
    rng = np.random.default_rng(0)
    codes = rng.binomial(2, rng.beta(0.6, 1.2, d).clip(0.01, 0.99), size=(n, d)).astype(np.int8)
    codes[rng.random((n, d)) < 0.03] = 3
    codes[0], codes[1] = 0, 1
    return codes


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0])
def test_missing_genotypes_are_refined_to_the_minimum(alpha, monkeypatch):
    """Their levels are whole to some of a thousand parts; what that moves is made good on the rows."""
    problem, used = problem_of(genotypes(), missing_code=3), []
    y = np.random.default_rng(2).normal(size=(2, problem.n))
    y -= y.mean(axis=1)[:, None]
    quadratic = Quadratic(problem, problem.matrix.order.to_slots(y, problem.n_slots, np.float64), alpha)

    def of_integers(*arguments):
        used.append(integer_row_gram(*arguments))
        return used[-1]

    monkeypatch.setattr(by_rows, "integer_row_gram", of_integers)
    monkeypatch.setattr(by_rows, "LARGE", 0)
    found = by_rows.solve_by_rows(quadratic)
    assert used[0] is not None
    monkeypatch.setattr(by_rows, "LARGE", np.inf)
    expected = by_rows.solve_by_rows(quadratic)
    assert used[-1] is None  # not exact: in float64 then
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=2e-5 * np.abs(expected[0]).max())
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9)


def test_where_integers_do_not_get_there(monkeypatch):
    """They are made in float32, and the result is the same."""
    problem = problem_of(np.random.default_rng(0).integers(0, 3, size=(100, 300)))
    y = np.random.default_rng(2).normal(size=(1, problem.n))
    quadratic = Quadratic(problem, problem.matrix.order.to_slots(y - y.mean(), problem.n_slots, np.float64), 1e-3)
    expected = by_rows.solve_by_rows(quadratic)[0]
    monkeypatch.setattr(by_rows, "LARGE", 0)
    monkeypatch.setattr(by_rows, "integer_row_gram", lambda *arguments: np.eye(problem.n) * 1e-3)
    found = by_rows.solve_by_rows(quadratic)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
