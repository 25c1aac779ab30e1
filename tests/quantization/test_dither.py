"""Known dither of codes of 2 bits: the twin's codes, unbiased values, errors that are independent, and every operation.

Statistical tests state their error rate; seeds are fixed, so they pass or fail for good.
"""

import pickle

import numpy as np
import pytest
import reference
from dithering import ERROR_RATE, grid_of, positions, rows, scheme
from packing import assert_same_parts, pack, pack_on_grid
from scipy import optimize, stats

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml._kernels import passes
from sklearn_zipml._kernels import testing as kernel_hooks
from sklearn_zipml._kernels import tiles as kernels
from sklearn_zipml._kernels.decode_tables import interleaved
from sklearn_zipml._kernels.dispatch import available_kernels
from sklearn_zipml._kernels.dispatch import kernels as kernels_named
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage import dither
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.undithered import as_bytes

SHAPES = [(21, 1), (63, 2), (64, 8), (65, 9), (129, 48), (700, 530)]


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels_named(request.param):
        yield request.param


# Rounding


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outliers", ["auto", "none"])
def test_twin(force, shape, dtype, outliers):
    """Positions, differences of outliers and statistics of the slow twin."""
    X = rows(*shape, dtype=dtype)
    grid = grid_of(X, outliers).watching_all()
    X[::7] *= dtype(1.5)
    packed = pack_on_grid(X, grid, 5)
    own = rows_of(packed)
    _, expected = reference.encode_dithered(X, grid, 5)
    expected = expected + reference.outliers_dithered(X, grid, 5)
    np.testing.assert_array_equal(positions(packed), expected)
    decoded = expected * grid.step + (grid.offset - reference.first_rung(grid) * grid.step)
    np.testing.assert_array_equal(np.asarray(packed, dtype=np.float64), decoded)
    np.testing.assert_allclose(own.mean, expected.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(own.deviation, expected.std(axis=0), rtol=1e-5, atol=1e-3)
    assert grid.has_dither.any()
    if outliers == "auto":
        t = np.clip((X.astype(np.float64) - grid.offset) / grid.step, -32700, 32700)
        error = np.where(grid.used > 1, expected - reference.first_rung(grid) - t, 0)
        np.testing.assert_allclose(own.rounding_variance, (error**2).mean(axis=0), rtol=0.02, atol=1e-3)


def test_kernels_store_the_same(force):
    X = rows(777, 37)
    with kernels_named("portable"):
        expected = pack(X, scheme(), 3)
    assert_same_parts(pack(X, scheme(), 3), expected)


def chances(x, grid):
    """Mean and variance of the position, less that of the first rung, of coordinates of columns that have dither."""
    mean, variance = np.empty(x.shape), np.empty(x.shape)
    for j in range(x.shape[1]):
        rungs, places = grid.levels[j].astype(float), grid.positions[j] - reference.first_rung(grid)[j]
        values = np.stack([places[s : s + 4] for s in range(13)])  # one for each dither
        np.testing.assert_array_equal(values.mean(axis=1), rungs)  # which is the reason why it is unbiased
        below = np.clip(np.searchsorted(rungs, x[:, j], side="right") - 1, 0, 11)
        share = (x[:, j] - rungs[below]) / (rungs[below + 1] - rungs[below])
        square = (values**2).mean(axis=1)
        mean[:, j] = rungs[below] + share * (rungs[below + 1] - rungs[below])
        variance[:, j] = square[below] + share * (square[below + 1] - square[below]) - mean[:, j] ** 2
    return mean, variance


def test_unbiased_with_the_variance_of_the_states():
    """Means over seeds are values (Bernstein), their squared errors those of the states (normal), at 1e-6 together."""
    draws, X = 400, np.random.default_rng(2).standard_normal((60, 8))
    grid = grid_of(X, "none")
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
    """Over all seeds every dither comes as often, and pairs of columns are hardly correlated."""
    seeds, multiplier = np.arange(1 << 16), dither.multipliers(300).astype(np.int64)
    assert len(np.unique(dither.multipliers(1 << 14))) == 1 << 14
    t = (seeds[:, None] * multiplier & 0xFFFF) >> 14
    for own in t.T[:50]:
        np.testing.assert_array_equal(np.bincount(own), 1 << 14)
    correlation = np.corrcoef(t.T.astype(float))[np.triu_indices(300, 1)]
    assert np.sqrt((correlation**2).mean()) < 0.012


def test_errors_of_columns_and_rows_are_uncorrelated():
    """Squared sums of products are in the mean the sums of squared products, within normal bounds at 1e-6."""
    n, d = 4000, 60
    X = np.random.default_rng(0).standard_normal((n, 1)) + 0.3 * np.random.default_rng(1).standard_normal((n, d))
    error = np.asarray(pack(X, scheme("none"), 1)) - X
    for part in (error, error[:200].T):
        pairs = np.triu_indices(part.shape[1], 1)
        # values of a row are alike, and so are the variances of their errors
        ratio = (part.T @ part)[pairs] ** 2 / (part.T**2 @ part**2)[pairs]
        bound = stats.norm.isf(ERROR_RATE) * np.sqrt(2 / len(ratio))
        assert abs(ratio.mean() - 1) < 2 * bound + 0.25  # 16 bits of seeds leave correlations of about 1/200


def test_columns_without_dither_are_as_compensated():
    """Where it does not pay nothing changes: the same codes, and exact values stay exact."""
    X = rows(500, 20)
    dithered, plain = pack(X, scheme(), 4), pack(X, Scheme.of(2, "compensated", "optimal"), 4)
    have_dither = dither.have_dither(dither.positions_of(rows_of(dithered).table[:20]))
    assert not have_dither[2::5].any() and not have_dither[4::5].any() and have_dither[::5].all()
    for j in (2, 4, 7, 9):
        np.testing.assert_array_equal(np.asarray(dithered)[:, j], X[:, j])
        np.testing.assert_array_equal(np.asarray(dithered)[:, j], np.asarray(plain)[:, j])


@pytest.mark.parametrize("draw", ["standard_normal", "random", "standard_exponential"])
def test_less_variance(draw):
    """Dither takes half off the variance of rounding, with outliers apart or not."""
    X = getattr(np.random.default_rng(0), draw)((5000, 4))
    for outliers in ("auto", "none"):
        plain = pack(X, Scheme.of(2, "compensated", "optimal", outliers=outliers), 0)
        assert (pack(X, scheme(outliers), 0).rounding_variance < 0.57 * plain.rounding_variance).all()


def test_levels_of_a_quantizer():
    """All values that decode lie on its levels."""
    X = rows(3000, 10)
    quantizer = pickle.loads(pickle.dumps(DoubleSamplingQuantizer(2, sampling="dithered", random_state=0).fit(X)))
    packed = quantizer.quantize(X)
    assert packed == DoubleSamplingQuantizer(2, sampling="dithered", random_state=0).fit(X).quantize(X)
    outside = np.zeros(X.shape, dtype=bool)
    own = rows_of(packed)
    slots, columns, _ = own.samples.outliers.decoded()
    outside[own.order.rows()[slots], columns] = True
    for j, levels in enumerate(quantizer.levels_):
        assert len(levels) <= 16
        np.testing.assert_allclose(np.diff(levels / quantizer.step_[j]) % 1 % 0.999999, 0, atol=2e-6)
        assert np.isin(
            np.rint((np.asarray(packed)[~outside[:, j], j] - quantizer.offset_[j]) / quantizer.step_[j]),
            np.rint((levels - quantizer.offset_[j]) / quantizer.step_[j]),
        ).all()


@pytest.mark.parametrize("draw", ["standard_normal", "standard_exponential", "random"])
@pytest.mark.parametrize("outliers", ["auto", "none"])
def test_positions_are_nearly_the_best(draw, outliers):
    """Within 3 % of what a search over all real positions finds, which begins where they are and at even ones."""
    X = getattr(np.random.default_rng(3), draw)((3000, 1))
    grid = grid_of(X, outliers)
    x = ((X[:, 0] - grid.offset) / grid.step)[:, None]
    x = x[(x[:, 0] >= 0) & (x[:, 0] <= grid.top[0])]
    own = chances(x, grid)[1].mean()

    def variance(logs):
        rises = np.exp(logs)
        places = np.r_[0, np.cumsum(rises)]
        rungs = np.convolve(places, np.full(4, 0.25), "valid")
        places = (places - rungs[0]) / (rungs[-1] - rungs[0]) * grid.top[0]
        rungs, squares = (np.convolve(part, np.full(4, 0.25), "valid") for part in (places, places**2))
        return np.interp(x, rungs, squares).mean() - (x**2).mean()

    starts = np.log(np.maximum(np.diff(grid.positions[0].astype(float)), 1)), np.zeros(15)
    best = min(optimize.minimize(variance, start).fun for start in starts)
    assert best <= 1.001 * own <= 1.03 * best


@pytest.mark.parametrize(("n", "most"), [(143, 0), (144, 1), (500, 3), (2000, 8), (8192, 28)])
def test_outliers_of_few_rows(n, most):
    """One in 310 and two more are apart, and no more than one in 144; without dither it is one in 288."""
    X = np.random.default_rng(0).standard_t(2, (n, 5))
    for own, expected in ((scheme(), most), (Scheme.of(2, "compensated", "optimal", outliers="auto"), n // 288)):
        outliers = rows_of(pack(X, own, 0)).samples.outliers
        columns = np.zeros(0, dtype=int) if outliers is None else outliers.decoded()[1]
        # a value that is the end of a range may be one, for rounding
        assert np.median(np.bincount(columns, minlength=5)) == expected


def test_other_widths_are_as_compensated():
    X = rows(300, 10)
    for bits in (1, 4, 8):
        one, other = (
            DoubleSamplingQuantizer(bits, sampling=s, random_state=0).fit_transform(X)
            for s in ("dithered", "compensated")
        )
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        np.testing.assert_array_equal(rows_of(one).codes, rows_of(other).codes)


# Passes


@pytest.mark.parametrize("columns", [16, 48, 272, 1040])
@pytest.mark.parametrize("n_digits", [1, 2])
def test_dot_and_gradient(force, columns, n_digits):
    """Products of random codes, seeds and tables with random vectors, against those of positions."""
    rng = np.random.default_rng(columns + n_digits)
    table = rng.integers(0, 256, (columns, kernels.DITHER_TABLE), dtype=np.uint8)
    table[:, 16] |= 1
    tile = rng.integers(0, 256, kernels.tile_bytes(columns, 2), dtype=np.uint8)
    seeds = rng.integers(0, 256, 128, dtype=np.uint8)
    codes = kernels.Tiles(tile[None], np.tile(np.arange(4, dtype=np.uint8), columns), 64, columns, 2).positions(0, 1)
    own = kernels.Tiles(np.tile(seeds, 2)[None], np.tile(np.arange(4, dtype=np.uint8), 16), 64, 16, 2).positions(0, 1)
    seed = (own[:, :8].astype(np.int64) << 2 * np.arange(8)).sum(axis=1)
    multiplier = table[:, 16:].astype(np.int64) @ [1, 256]
    t = (seed[:, None] * multiplier & 0xFFFF) >> 14
    at = np.arange(columns)
    expected = table[at, 4 * codes.astype(np.int64) + t].astype(np.int64)
    given = np.concatenate([tile, seeds]), interleaved(table, 4, kernels.DITHER_TABLE)
    model = rng.integers(-128, 128, (n_digits, columns), dtype=np.int8)
    residual = rng.integers(-128, 128, (n_digits, 64), dtype=np.int8)
    for first, last in ((0, 4), (1, 3), (3, 4)):
        some = slice(16 * first, 16 * last)
        products = kernel_hooks.dot(force, kernels.DITHERED, *given, model, first, last)
        np.testing.assert_array_equal(products[:, some], model.astype(np.int64) @ expected[some].T)
        sums = kernel_hooks.gradient(force, kernels.DITHERED, *given, residual, first, last, columns)
        np.testing.assert_array_equal(sums, residual[:, some].astype(np.int64) @ expected[some])


@pytest.mark.parametrize("shape", SHAPES)
def test_passes(force, shape):
    """Products with vectors and sums over rows, of outliers too."""
    packed = pack(rows(*shape), scheme(), 0)
    tiles, (n, d) = rows_of(packed).tiles, shape
    g = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    rng = np.random.default_rng(0)
    z, w = rng.standard_normal(d), rng.random(tiles.n_tiles * 64)
    scale = np.abs(g).max() * d * 4
    np.testing.assert_allclose(passes.products(tiles, z, 0, tiles.n_tiles)[:n], g @ z, atol=1e-8 * scale)
    np.testing.assert_allclose(passes.row_sums(tiles, w, 0, tiles.n_tiles, 2)[:d], w[:n] @ g, atol=1e-8 * scale * n)
    np.testing.assert_array_equal(tiles.columns(0, min(16, d)), g[:, :16])
    np.testing.assert_array_equal(tiles.columns(d // 16 * 16, d), g[:, d // 16 * 16 :]) if d % 16 else None


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize(("solver", "batch_size"), [("saga", 16), ("saga", 64), ("sgd", 32), ("gram", 16)])
def test_solvers(force, solver, batch_size, targets):
    """Every solver goes where the closed form goes, about where it goes on codes of 8 bits of the same positions."""
    X = rows(600, 30, seed=2)[:, [0, 1, 2, 5, 6, 10, 11, 15, 16, 20]]
    y = X @ np.random.default_rng(0).standard_normal((10, targets))
    packed = pack(X, scheme(), 0)
    settings = {"random_state": 0, "max_iter": 400, "batch_size": batch_size}
    found = ZipMLRegressor(2, sampling="dithered", tol=1e-2 if solver == "sgd" else 1e-7, solver=solver, **settings)
    found = found.fit(packed, y).coef_
    closed = ZipMLRegressor(2, sampling="dithered", solver="gram", random_state=0).fit(packed, y).coef_
    size = np.abs(closed).max()
    np.testing.assert_allclose(found, closed, atol=(0.05 if solver == "sgd" else 1e-4) * size)
    wide = matrix_of(as_bytes(rows_of(packed)))
    np.testing.assert_array_equal(np.asarray(wide), np.asarray(packed))
    # which know the errors of columns, and not of codes
    np.testing.assert_allclose(
        ZipMLRegressor(8, solver="gram", random_state=0).fit(wide, y).coef_, closed, atol=0.01 * size
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn_zipml.RoundingWarning")
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize(("solver", "batch_size"), [("saga", 16), ("sgd", 64)])
def test_teams(solver, batch_size, targets):
    """Members of a team share the bytes of a batch: the result is that of one alone."""
    X = np.random.default_rng(0).standard_normal((1500, 1200))
    packed = DoubleSamplingQuantizer(2, sampling="dithered", random_state=0).fit_transform(X)
    settings = {"solver": solver, "batch_size": batch_size, "max_iter": 2, "tol": 0, "random_state": 0}
    one, two = (
        ZipMLRegressor(2, sampling="dithered", n_jobs=n_jobs, **settings).fit(packed, X[:, :targets]).coef_
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
