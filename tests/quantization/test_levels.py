"""Where levels go: against brute force and a quadratic dynamic programme, and on columns that lose nothing."""

import itertools

import numpy as np
import pytest
from packing import pack

from sklearn_zipml import DoubleSamplingQuantizer
from sklearn_zipml._kernels import columns as column_kernels
from sklearn_zipml._quantization.levels import find_grid
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of

SHAPES = ("uniform", "normal", "heavy", "zeros", "bimodal", "skewed")


def draw(shape, n, seed=0):
    """A column of n values."""
    rng = np.random.default_rng(seed)
    return {
        "uniform": lambda: rng.uniform(size=n),
        "normal": lambda: rng.normal(size=n),
        "heavy": lambda: np.clip(rng.standard_t(2, size=n), -30, 30),
        "zeros": lambda: rng.normal(size=n) * (rng.uniform(size=n) < 0.2),
        "bimodal": lambda: rng.normal(size=n) * 0.1 + rng.integers(0, 2, n) * 5,
        "skewed": lambda: rng.gamma(0.5, size=n),
    }[shape]()


def rounding_variance(values, levels):
    """sum (hi - t)(t - lo) over the values, straight from its definition."""
    k = np.clip(np.searchsorted(levels, values, side="right") - 1, 0, len(levels) - 2)
    return float(np.maximum((levels[k + 1] - values) * (values - levels[k]), 0).sum())


def moments_below(values, positions):
    """Count, sum and sum of squares of the values below each position."""
    return tuple(np.array([(values[values < p] ** k).sum() for p in positions], dtype=float) for k in (0, 1, 2))


def grid_of(X, bits, sampling="compensated", levels="optimal", **options):
    """Grid of a whole matrix."""
    return find_grid(X, Scheme.of(bits, sampling, levels), np.arange(len(X)), **options)


def values_of(grid, j):
    """Levels of column j in units of X."""
    return grid.offset[j] + grid.step[j] * grid.levels[j, : grid.used[j]].astype(float)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_positions", [2, 3, 6, 9, 11])
def test_optimal_levels_equal_brute_force(shape, n_positions):
    """Every subset of a small grid is tried; positions may be unevenly spaced."""
    values = draw(shape, 60, seed=n_positions)
    values = (values - values.min()) / np.ptp(values) * 20
    rng = np.random.default_rng(n_positions)
    inner = np.sort(rng.choice(np.arange(1, 20), size=n_positions - 2, replace=False))
    positions = np.concatenate(([0], inner, [20])).astype(float)
    for count in range(2, n_positions + 2):
        chosen = column_kernels.optimal_levels(positions, *moments_below(values, positions), count)
        assert len(chosen) == min(count, n_positions)
        assert chosen[0] == 0 and chosen[-1] == n_positions - 1 and np.all(np.diff(chosen.astype(int)) > 0)
        best = min(
            rounding_variance(values, positions[[0, *subset, n_positions - 1]])
            for subset in itertools.combinations(range(1, n_positions - 1), len(chosen) - 2)
        )
        assert rounding_variance(values, positions[chosen]) <= best * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3, 4, 8, 16, 64, 128, 255])
def test_optimal_levels_equal_quadratic_programme(shape, count):
    """The plain dynamic programme tries every last level, for all 256 positions."""
    values = draw(shape, 3000)
    values = (values - values.min()) / np.ptp(values) * 255
    positions = np.arange(256.0)
    moments = moments_below(values, positions)
    n, s, q = (m[None, :] - m[:, None] for m in moments)
    lo, hi = positions[:, None], positions[None, :]
    cost = np.where(hi > lo, np.maximum((lo + hi) * s - lo * hi * n - q, 0), np.inf)
    best = cost[0]
    for _ in range(count - 2):
        best = (best[:, None] + cost).min(axis=0)
    chosen = column_kernels.optimal_levels(positions, *moments, count)
    assert len(chosen) == count
    assert rounding_variance(values, positions[chosen]) <= best[-1] * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("sampling", ["compensated", "double"])
def test_optimal_is_never_worse_than_uniform(shape, bits, sampling):
    """Both stand on grids of up to 255 steps; where those differ, the optimum may miss a uniform level by a step."""
    if sampling == "double" and bits == 1:
        return
    X = draw(shape, 2000)[:, None]
    optimal, uniform = (grid_of(X, bits, sampling, levels) for levels in ("optimal", "uniform"))
    cost = [rounding_variance(X[:, 0], values_of(grid, 0)) for grid in (optimal, uniform)]
    same_grid = (255 if sampling != "double" else 127) % max(1, uniform.used[0] - 1) == 0
    assert cost[0] <= cost[1] * (1 + 1e-9 if same_grid else 1.15)


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize("sampling", ["compensated", "double", "naive", "nearest"])
@pytest.mark.parametrize("bits", range(1, 9))
def test_levels_are_sorted_and_span_the_range(bits, sampling, levels):
    """First and last level are the column's minimum and maximum; unused entries repeat the last."""
    if sampling == "double" and bits == 1:
        return
    X = np.column_stack([draw(shape, 500) for shape in SHAPES])
    grid = grid_of(X, bits, sampling, levels)
    count = 2 ** (bits - (sampling == "double"))
    assert grid.levels.shape == (len(SHAPES), count) and grid.levels.dtype == np.uint8
    for j in range(len(SHAPES)):
        own = grid.levels[j, : grid.used[j]].astype(int)
        assert np.all(np.diff(own) > 0) and np.all(grid.levels[j, grid.used[j] :] == own[-1])
        assert own[0] == 0 and own[-1] == grid.top[j]
        if sampling == "double":
            assert np.all(own % 2 == 0)
        np.testing.assert_allclose(values_of(grid, j)[[0, -1]], [X[:, j].min(), X[:, j].max()], rtol=1e-14, atol=1e-14)


def test_uniform_levels_are_even():
    """The paper's first setting."""
    grid = grid_of(np.random.default_rng(0).normal(size=(300, 2)), 3, levels="uniform")
    assert np.ptp(np.diff(grid.levels.astype(int), axis=1)) == 0


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 1e-12, 1e300, -1e300, 0.1])
def test_constant_columns(value, levels):
    """One level, and no noise."""
    X = np.column_stack([np.full(50, value), np.arange(50.0)])
    grid = grid_of(X, 2, levels=levels)
    assert grid.used[0] == 1 and grid.top[0] == 0 and grid.scale[0] == 0
    packed = pack(X, Scheme.of(2, "compensated", levels), 0)
    assert np.all(np.asarray(packed)[:, 0] == value)
    assert rows_of(packed).rounding_variance[0] == 0


def lattices():
    """Name, column, and bits that hold all its values."""
    rng = np.random.default_rng(0)
    ints = rng.permutation(np.arange(700) % 17)
    few = rng.permutation(np.resize([0, 7, 100], 700))
    yield "bool", ints > 8, 1
    yield "ints", ints, 5
    yield "negative ints", ints.astype(np.int64) - 1000, 5
    yield "gaps", few, 2
    yield "standardized", (ints - ints.mean()) / ints.std(), 5
    yield "standardized float32", ((ints - ints.mean()) / ints.std()).astype(np.float32), 5
    yield "tenths", ints * 0.1, 5
    yield "tenths float32", (ints * 0.1).astype(np.float32), 5
    yield "tenths from 5", 5 + ints * 0.1, 5
    yield "float32 one-hot", (ints == 3).astype(np.float32), 1
    yield "scaled one-hot", np.where(ints == 3, 2.5, -0.7), 1
    yield "bytes", rng.permutation(np.arange(768) % 256).astype(np.uint8), 8


@pytest.mark.parametrize(("name", "column", "bits"), [pytest.param(*case, id=case[0]) for case in lattices()])
@pytest.mark.parametrize("sampling", ["compensated", "naive", "nearest", "double"])
def test_few_valued_columns_are_stored_without_loss(name, column, bits, sampling):
    """A column with no more distinct values than levels keeps them, up to the rounding of its type."""
    if sampling == "double":
        if bits == 8:
            return
        bits += 1
    packed = pack(column[:, None], Scheme.of(bits, sampling, "optimal"), 0)
    decoded = np.asarray(packed)[:, 0]
    exact = column.dtype.kind in "biu"
    tolerance = 0 if exact else (1e-6 if column.dtype == np.float32 else 1e-12) * np.abs(column).max()
    np.testing.assert_allclose(decoded, column.astype(float), rtol=0, atol=tolerance)
    # what the type's rounding leaves: coordinates are integers up to half a unit of 1/256
    assert rows_of(packed).rounding_variance[0] <= 1e-6


def test_outlier_warns_and_names_the_column():
    """A single huge value takes all levels but one."""
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(400, 4))
    X[7, 2] = 1e6
    with pytest.warns(UserWarning, match=r"column\(s\) 2 of X"):
        grid_of(X, 4)
    with pytest.warns(UserWarning, match=r"column\(s\) 2 of X"):
        grid_of(X, 4, levels="uniform")
    with pytest.warns(UserWarning, match=r"column\(s\) 'c' \(2\) of X"):
        grid_of(X, 4, column_names=list("abcd"))
    with pytest.warns(UserWarning, match=r"column\(s\) 'c' \(2\) of X"):
        DoubleSamplingQuantizer(4, random_state=0).fit(pandas.DataFrame(X, columns=list("abcd")))
    X[3] = 1e7
    with pytest.warns(UserWarning, match=r"column\(s\) 0, 1, 2, 3 of X"):
        grid_of(X, 4)


def test_no_warning_without_outliers():
    """Warnings are errors in this suite; one-hot, rare and few-valued columns are no outliers."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(size=5000) < 0.001, rng.normal(size=5000), np.arange(5000) % 3, np.ones(5000)])
    for levels in ("optimal", "uniform"):
        for sampling in ("double", "compensated"):
            grid_of(X, 2, sampling, levels)


def test_rows_outside_the_selection_do_not_count():
    """`rows` names the rows whose range is the grid's."""
    X = np.arange(100.0)[:, None]
    rows = np.arange(10, 20)
    grid = find_grid(X, Scheme.of(4, "compensated", "optimal"), rows, rows)
    assert grid.offset[0] == 10 and grid.offset[0] + grid.step[0] * grid.top[0] == 19


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad):
    """scikit-learn's error; a range beyond float64 has its own."""
    X = np.zeros((70, 3))
    X[66, 1] = bad
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        grid_of(X, 4)
    with pytest.raises(ValueError, match="Column 0 of X spans more than float64"):
        grid_of(np.array([[-1.7e308], [1.7e308]]), 4)
