"""Outliers in products, sums over rows, second moments and fits, on every kernel."""

import numpy as np
import pytest
from outlying import SHAPES, packed_rows, values_of

from sklearn_zipml import ZipMLRegressor
from sklearn_zipml._kernels import passes, products
from sklearn_zipml._kernels.dispatch import available_kernels, kernels
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._solvers import gram
from sklearn_zipml._solvers.compensation import noise_ratio
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._storage.packed_rows import rows_of


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels(request.param):
        yield request.param


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_passes(force, n, d, bits):
    """Products with rows and sums over rows, one vector or many."""
    packed = packed_rows(n, d, bits)
    tiles, values, rng = packed.tiles, values_of(packed), np.random.default_rng(0)
    size = np.abs(values).max(axis=0)
    z = rng.standard_normal(d) / size
    np.testing.assert_allclose(passes.products(tiles, z, 0, tiles.n_tiles)[:n], values @ z, atol=2e-5)
    w = np.zeros(64 * tiles.n_tiles)
    w[:n] = rng.standard_normal(n)
    found = passes.row_sums(tiles, w, 0, tiles.n_tiles, 2)[:d]
    np.testing.assert_allclose(found, w[:n] @ values, rtol=1e-6, atol=1e-6 * size.max())
    many = rng.standard_normal((7, d)) / size
    np.testing.assert_allclose(products.products_many(tiles, many, n_bytes=8)[:, :n], many @ values.T, atol=1e-10)
    sums, totals = products.gradients_many(tiles, np.tile(w, (5, 1)), n_bytes=8)
    np.testing.assert_allclose(sums, np.tile(w[:n] @ values, (5, 1)), rtol=1e-9, atol=1e-9 * size.max())
    np.testing.assert_allclose(totals, w.sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_second_moments(force, n, d, bits):
    """Exact integers, with weights and without, whatever the threads."""
    packed = packed_rows(n, d, bits)
    tiles, values = packed.tiles, values_of(packed).astype(np.float64)  # whose sums are below 2^53, and exact
    weights = np.random.default_rng(0).integers(0, 1 << 20, 64 * tiles.n_tiles, dtype=np.int32)
    for threads in (1, 2):
        sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, threads)
        np.testing.assert_array_equal(sums, values.T @ values)
        np.testing.assert_array_equal(totals, values.sum(axis=0))
        sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, threads, weights)
        own = weights[:n, None].astype(np.float64)
        np.testing.assert_array_equal(sums, (own * values).T @ values)
        np.testing.assert_array_equal(totals, (own * values).sum(axis=0))
    centre, unit = values.mean(axis=0), 1 / (1 + values.std(axis=0))
    scaled = (values - centre) * unit
    np.testing.assert_allclose(gram.row_gram(tiles, centre, unit), scaled @ scaled.T, rtol=1e-9, atol=1e-8)
    np.testing.assert_array_equal(tiles.columns(0, d), values)
    if d > 20:
        np.testing.assert_array_equal(tiles.columns(16, d), values[:, 16:])


@pytest.mark.parametrize("bits", [2, 8])
def test_row_norms(bits):
    packed = packed_rows(bits=bits)
    problem = Problem(packed, None, True)
    norms = (((values_of(packed) - problem.centre) * problem.unit) ** 2).sum(axis=1)
    np.testing.assert_allclose(problem.largest_norm(), norms.max(), rtol=2e-2)


@pytest.mark.parametrize("solver", ["gram", "saga", "sgd"])
@pytest.mark.parametrize("bits", [2, 4])
def test_fits(force, solver, bits):
    """All solvers reach the minimum of the packed rows, made in float64 of what they decode to."""
    packed = matrix_of(packed_rows(3000, 12, bits))[:, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]]
    values = np.asarray(packed)
    y = values[:, :4] @ np.array([1.0, -1, 0.5, 2]) + np.random.default_rng(0).standard_normal(3000)
    settings = {"alpha": 0.1, "solver": solver, "random_state": 0, "sample_bits": bits}
    if solver != "gram":
        settings |= {"max_iter": 300, "tol": 1e-7 if solver == "saga" else 1e-4}
    model = ZipMLRegressor(**settings).fit(packed, y)
    centred, D = values - values.mean(axis=0), packed.rounding_variance
    tau = compensation_of(model, packed)
    moments = centred.T @ centred / 3000 - tau * np.diag(D) + 0.1 * np.eye(10)
    coef = np.linalg.solve(moments, centred.T @ (y - y.mean()) / 3000)
    np.testing.assert_allclose(model.coef_, coef, rtol=0, atol=(2e-2 if solver == "sgd" else 2e-3) * np.abs(coef).max())


def compensation_of(model, packed):
    """The share of D that a fit subtracts where curvature is not lifted: these rows are many for their columns."""
    problem = Problem(rows_of(packed), None, True)
    noisy = problem.variance * problem.unit**2 > 1e-9 * (problem.variance * problem.unit**2).max()
    return 1 - 4 * noise_ratio(problem, noisy)
