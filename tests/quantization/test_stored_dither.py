"""Known dither of codes of 3 bits, which live in 4: the twin's codes, unbiased values, errors that are independent.

Statistical tests state their error rate; seeds are fixed, so they pass or fail for good.
"""

import numpy as np
import pytest
import reference
from dithering import ERROR_RATE, grid_of, positions, rows, scheme
from packing import assert_same_parts, pack, pack_on_grid
from scipy import optimize, stats

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml._kernels.dispatch import available_kernels
from sklearn_zipml._kernels.dispatch import kernels as kernels_named
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.undithered import as_bytes

SHAPES = [(21, 1), (63, 2), (64, 8), (65, 9), (129, 48), (700, 530)]


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels_named(request.param):
        yield request.param


def codes_of(packed):
    """Codes in the order of rows."""
    from sklearn_zipml._quantization.carried_noise import _codes

    own = rows_of(packed)
    return own.order.to_rows(_codes(own.codes, *own.shape, own.scheme.format).T).T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outliers", ["auto", "none"])
def test_twin(force, shape, dtype, outliers):
    """Codes, positions, differences of outliers and statistics of the slow twin."""
    X = rows(*shape, dtype=dtype)
    grid = grid_of(X, outliers, 3).watching_all()
    X[::7] *= dtype(1.5)
    packed = pack_on_grid(X, grid, 5)
    own = rows_of(packed)
    codes, expected = reference.encode_in_turns(X, grid, 5)
    np.testing.assert_array_equal(codes_of(packed), codes)
    expected = expected + reference.outliers_dithered(X, grid, 5)
    np.testing.assert_array_equal(positions(packed), expected)
    decoded = expected * grid.step + (grid.offset - reference.first_rung(grid) * grid.step)
    np.testing.assert_array_equal(np.asarray(packed, dtype=np.float64), decoded)
    np.testing.assert_allclose(own.mean, expected.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(own.deviation, expected.std(axis=0), rtol=1e-5, atol=1e-3)
    assert grid.has_dither.any() and own.scheme.stores_dither
    if outliers == "auto":
        t = np.clip((X.astype(np.float64) - grid.offset) / grid.step, -32700, 32700)
        error = np.where(grid.used > 1, expected - reference.first_rung(grid) - t, 0)
        np.testing.assert_allclose(own.rounding_variance, (error**2).mean(axis=0), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("n", [1, 63, 64, 257, 777])
def test_kernels_store_the_same(force, n):
    X = rows(n, 37)
    X[:, 5] = np.random.default_rng(0).standard_cauchy(n)  # gaps of more than half of what there is
    with kernels_named("portable"):
        expected = pack(X, scheme("none", 3), 3), pack(X, scheme("auto", 3), 3)
    for outliers, whole in zip(("none", "auto"), expected, strict=True):
        assert_same_parts(pack(X, scheme(outliers, 3), 3), whole)


def chances(x, grid):
    """Mean and variance of the position, less that of the first rung, of coordinates of columns that have dither."""
    mean, variance = np.empty(x.shape), np.empty(x.shape)
    places = grid.positions - reference.first_rung(grid)[:, None]
    for j in range(x.shape[1]):
        rungs = grid.levels[j].astype(float)
        pairs = np.stack([places[j, :-1], places[j, 1:]])
        np.testing.assert_allclose(pairs.mean(axis=0), rungs)  # which is the reason why it is unbiased
        below = np.clip(np.searchsorted(rungs, x[:, j], side="right") - 1, 0, 13)
        share = (x[:, j] - rungs[below]) / (rungs[below + 1] - rungs[below])
        square = (pairs**2).mean(axis=0)
        mean[:, j] = rungs[below] + share * (rungs[below + 1] - rungs[below])
        variance[:, j] = square[below] + share * (square[below + 1] - square[below]) - mean[:, j] ** 2
    return mean, variance


def test_unbiased_with_the_variance_of_the_states():
    """Means over seeds are values (Bernstein), their squared errors those of the states (normal), at 1e-6 together."""
    draws, X = 400, np.random.default_rng(2).standard_normal((60, 8))
    grid = grid_of(X, "none", 3)
    assert grid.has_dither.all()
    x = reference.coordinates(X, grid) / reference.FRACTION
    mean, variance = chances(x, grid)
    np.testing.assert_allclose(mean, x, atol=1e-9)
    found = np.stack([positions(pack_on_grid(X, grid, seed)) for seed in range(draws)]) - reference.first_rung(grid)
    rate, largest = np.log(2 * X.size / ERROR_RATE), 255
    bound = np.sqrt(2 * draws * variance * rate) + largest * rate / 3
    assert (np.abs((found - x).sum(axis=0)) <= bound + draws * largest / 65536).all()
    ratio = ((found - x) ** 2).sum() / draws / variance.sum()
    assert abs(ratio - 1) < 0.02


def test_dithers_are_uniform_and_independent():
    """The lowest bit of a code comes as often as not, whatever the value, and of columns and rows alone (1e-6)."""
    n, d = 20000, 60
    X = np.random.default_rng(0).standard_normal((n, d))
    packed = pack(X, scheme("none", 3), 1)
    codes = codes_of(packed)
    t = 2.0 * (codes & 1) - 1
    assert stats.chi2.sf((t.sum(axis=0) ** 2 / n).sum(), d) > ERROR_RATE
    assert np.abs((t * X).sum(axis=0) / np.sqrt(n)).max() < stats.norm.isf(ERROR_RATE / 2 / d)
    # nor does it tell which way the value went: codes of either state alone come half as often as their state
    grid = grid_of(X, "none", 3)
    codes = codes_of(pack_on_grid(X, grid, 1))
    coordinate = reference.coordinates(X, grid)
    index, low, gap = reference.intervals(coordinate, grid)
    chance = (coordinate / reference.FRACTION - low) / gap
    for step, expected in ((0, 1 - chance), (1, np.ones(X.shape)), (2, chance)):
        variance = (expected / 2 * (1 - expected / 2)).sum()
        assert abs((codes - index == step).sum() - expected.sum() / 2) < stats.norm.isf(ERROR_RATE / 2) * np.sqrt(
            variance
        )
    for part, pairs, size in ((t.T @ t / n, d, n), (t[:200] @ t[:200].T / d, 200, d)):
        squares = size * part[np.triu_indices(pairs, 1)] ** 2
        assert abs(squares.mean() - 1) < 2 * stats.norm.isf(ERROR_RATE) * np.sqrt(2 / len(squares))


def test_errors_of_columns_and_rows_are_uncorrelated():
    """Squared sums of products are in the mean the sums of squared products, within normal bounds at 1e-6."""
    n, d = 4000, 60
    X = np.random.default_rng(0).standard_normal((n, 1)) + 0.3 * np.random.default_rng(1).standard_normal((n, d))
    error = np.asarray(pack(X, scheme("none", 3), 1)) - X
    for part in (error, error[:200].T):
        pairs = np.triu_indices(part.shape[1], 1)
        # values of a row are alike, and so are the variances of their errors
        ratio = (part.T @ part)[pairs] ** 2 / (part.T**2 @ part**2)[pairs]
        assert abs(ratio.mean() - 1) < 2 * stats.norm.isf(ERROR_RATE) * np.sqrt(2 / len(ratio))


def test_columns_without_dither_are_as_compensated():
    """Where it does not pay nothing changes: exact values stay exact, and where none pays all is as without."""
    X = rows(500, 20)
    X[:, 3::5] = np.minimum(X[:, 3::5], 7)
    dithered, plain = (pack(X, Scheme.of(3, sampling, "optimal"), 4) for sampling in ("dithered", "compensated"))
    for j in (2, 3, 4, 7, 8, 9):
        np.testing.assert_array_equal(np.asarray(dithered)[:, j], X[:, j])
        np.testing.assert_array_equal(np.asarray(dithered)[:, j], np.asarray(plain)[:, j])
    assert (rows_of(dithered).used[[2, 3, 4]] <= 8).all() and (rows_of(dithered).used[:2] == 16).all()
    exact = X[:, [2, 3, 4]]
    assert_same_parts(*(pack(exact, Scheme.of(3, sampling, "optimal"), 4) for sampling in ("dithered", "compensated")))
    assert pack(exact, scheme(bits=3), 4).sampling == "compensated"


@pytest.mark.parametrize("draw", ["standard_normal", "random", "standard_exponential"])
def test_less_variance(draw):
    """Dither takes a third off the variance of rounding, with outliers apart or not."""
    X = getattr(np.random.default_rng(0), draw)((5000, 4))
    for outliers in ("auto", "none"):
        plain = pack(X, Scheme.of(3, "compensated", "optimal", outliers=outliers), 0)
        assert (pack(X, scheme(outliers, 3), 0).rounding_variance < 0.67 * plain.rounding_variance).all()


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential", "random"])
def test_positions_are_nearly_the_best(draw):
    """Within 2 % of what a search over all real positions finds, from two starts."""
    X = getattr(np.random.default_rng(3), draw)((3000, 1))
    grid = grid_of(X, "none", 3)
    x = (X[:, 0] - X.min()) / np.ptp(X)
    own = chances(208 * x[:, None], grid)[1].mean() / 208**2

    def variance(logs):
        places = np.r_[0, np.cumsum(np.exp(logs))]
        first, last = places[:2].mean(), places[-2:].mean()
        places = (places - first) / (last - first)
        squares = (places[1:] ** 2 + places[:-1] ** 2) / 2
        return np.interp(x, (places[1:] + places[:-1]) / 2, squares).mean() - (x**2).mean()

    best = min(optimize.minimize(variance, start).fun for start in (np.zeros(15), np.abs(np.linspace(-1, 1, 15))))
    assert own <= 1.02 * best


def test_levels_of_a_quantizer():
    """All values that decode, but for outliers, lie on its levels, 16 where there is dither."""
    X = rows(500, 10)
    quantizer = DoubleSamplingQuantizer(3, outliers="none", random_state=0).fit(X)
    packed = quantizer.quantize(X)
    assert packed.sampling == "dithered"
    for j, levels in enumerate(quantizer.levels_):
        assert len(levels) == rows_of(packed).used[j] <= 16
        np.testing.assert_array_equal(
            np.unique(np.asarray(packed)[:, j]), np.intersect1d(levels, np.asarray(packed)[:, j])
        )


@pytest.mark.parametrize("solver", ["saga", "sgd", "gram"])
def test_solvers(force, solver):
    """Every solver goes where the closed form goes, on codes of 8 bits of the same positions."""
    X = rows(600, 30, seed=2)[:, [0, 1, 2, 5, 6, 10, 11, 15, 16, 20]]
    y = X @ np.random.default_rng(0).standard_normal(10)
    packed = pack(X, scheme(bits=3), 0)
    settings = {"random_state": 0, "max_iter": 400, "tol": 1e-2 if solver == "sgd" else 1e-7}
    found = ZipMLRegressor(3, solver=solver, **settings).fit(packed, y).coef_
    wide = matrix_of(as_bytes(rows_of(packed)))
    np.testing.assert_array_equal(np.asarray(wide), np.asarray(packed))
    closed = ZipMLRegressor(8, solver="gram", random_state=0).fit(wide, y).coef_
    np.testing.assert_allclose(found, closed, atol=(0.05 if solver == "sgd" else 0.01) * np.abs(closed).max())
