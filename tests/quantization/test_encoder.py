"""Rounding rows to codes: the twin's codes element by element, and the statistics that make them worth storing.

Statistical tests state their error rate; seeds are fixed, so they pass or fail for good.
"""

import numpy as np
import pytest
import reference
from packing import assert_same_parts, pack, pack_on_grid
from scipy import stats

from sklearn_zipml._kernels import dispatch
from sklearn_zipml._kernels import row_order as order_kernels
from sklearn_zipml._quantization.levels import column_range, find_grid
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage import blocks
from sklearn_zipml._storage.decode import positions_by_row
from sklearn_zipml._storage.packed_rows import rows_of

SAMPLINGS = ["naive", "nearest", "double", "compensated"]
KINDS = [(sampling, bits) for sampling in SAMPLINGS for bits in range(1, 9) if (sampling, bits) != ("double", 1)]
ERROR_RATE = 1e-6


def data(n=150, d=7, seed=0):
    """Columns of several shapes, one constant, one with few values."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-2, 2, d)
    X[:, 1] = 3.5
    X[:, 2] = rng.integers(0, 3, n)
    X[:, 3] = rng.gamma(0.5, size=n)
    return X


def grid_of(X, bits, sampling="compensated", levels="optimal"):
    """Grid of a whole matrix."""
    return find_grid(X, Scheme.of(bits, sampling, levels), np.arange(len(X)))


def check_against_twin(X, grid, bits, sampling, seed, packed):
    """Codes, bytes and statistics equal the twin's."""
    width = grid.scheme.width
    slots = reference.row_order(len(X), reference.mix(seed, 1))
    rows = np.asarray(X)[slots]
    codes, positions = reference.encode(rows, grid, sampling, seed)
    n_tiles = -(-len(X) // 64)
    np.testing.assert_array_equal(rows_of(packed).tiles.positions(0, n_tiles), positions)
    np.testing.assert_array_equal(
        np.asarray(rows_of(packed).codes), reference.tiles(positions if width == 8 else codes, width)
    )
    decoded = np.empty(X.shape)
    decoded[slots] = positions * grid.step + grid.offset
    np.testing.assert_array_equal(np.asarray(packed, dtype=np.float64), decoded)
    np.testing.assert_allclose(rows_of(packed).mean, positions.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(rows_of(packed).deviation, positions.std(axis=0), rtol=1e-4, atol=1e-3)
    noise = reference.squared_errors(rows, grid, positions) if sampling in ("double", "compensated") else 0
    # errors are kept in 1/256 of a step
    np.testing.assert_allclose(
        rows_of(packed).rounding_variance, np.broadcast_to(noise, X.shape[1]), rtol=0.02, atol=1e-3
    )


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize(("sampling", "bits"), KINDS)
def test_codes_equal_the_twins(sampling, bits, levels):
    """Every sampling, at every width."""
    X = data()
    grid = grid_of(X, bits, sampling, levels)
    packed = pack_on_grid(X, grid, 12345)
    check_against_twin(X, grid, bits, sampling, 12345, packed)


DTYPES = ["float64", "float32", "float16", "int8", "int16", "int32", "int64", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sampling", ["compensated", "double"])
def test_dtypes(dtype, sampling):
    """Blocks of every real type are read as the float type that holds it."""
    X = np.random.default_rng(1).normal(size=(130, 5)) * 40
    X = (X > 0) if dtype == "bool" else (np.abs(X) if dtype == "uint8" else np.clip(X, -127, 127)).astype(dtype)
    grid = grid_of(X, 3, sampling)
    assert grid.dtype is (np.float64 if dtype in ("float64", "int32", "int64") else np.float32)
    packed = pack_on_grid(X, grid, 7)
    check_against_twin(X, grid, 3, sampling, 7, packed)
    assert packed.dtype == (np.float32 if dtype == "float32" else np.float64)


def memmapped(X, path):
    """The same values in a file."""
    out = np.memmap(path / "X.bin", dtype=X.dtype, mode="w+", shape=X.shape)
    out[:] = X
    return out


LAYOUTS = {
    "fortran": lambda X, path: np.asfortranarray(X),
    "strided": lambda X, path: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda X, path: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda X, path: np.ascontiguousarray(X.T).T,
    "memmap": memmapped,
    "big endian": lambda X, path: X.astype(X.dtype.newbyteorder(">")),
    "read only": lambda X, path: np.frombuffer(X.tobytes(), dtype=X.dtype).reshape(X.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_codes_do_not_depend_on_memory_layout(layout, dtype, tmp_path):
    """Whatever the strides, the result is that of a C-contiguous array, and X stays as it is."""
    X = (data() * 10).astype(dtype)
    view = LAYOUTS[layout](X, tmp_path)
    np.testing.assert_array_equal(view, X)
    packed = pack(view, Scheme.of(4, "compensated", "optimal"), 3)
    assert packed == pack(X, Scheme.of(4, "compensated", "optimal"), 3)
    np.testing.assert_array_equal(view, X)


@pytest.mark.parametrize(("sampling", "bits"), [("double", 2), ("compensated", 1), ("naive", 4), ("nearest", 8)])
def test_codes_do_not_depend_on_position(sampling, bits):
    """A row gets the same codes in any order and in any subset, though it stands in another slot."""
    X = data(300)
    grid = grid_of(X, bits, sampling)
    all_rows = np.asarray(pack_on_grid(X, grid, 5))
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(300), rng.choice(300, 77, replace=False), np.array([8]), np.arange(300)[::-1]):
        np.testing.assert_array_equal(np.asarray(pack_on_grid(X[rows], grid, 5)), all_rows[rows])
        chosen = pack_on_grid(X, grid, 5, rows=rows)
        np.testing.assert_array_equal(np.asarray(chosen), all_rows[rows])


def test_equal_rows_get_equal_codes():
    """Their noise is shared; another seed gives another noise."""
    X = data(100)
    X[50:] = X[:50]
    decoded = [np.asarray(pack(X, Scheme.of(2, "double", "optimal"), seed)) for seed in (1, 2)]
    np.testing.assert_array_equal(decoded[0][50:], decoded[0][:50])
    assert (decoded[0] != decoded[1]).mean() > 0.1


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3, -1])
@pytest.mark.parametrize("block_bytes", [1, 64 * 7 * 8 * 3])
def test_codes_do_not_depend_on_blocks_and_threads(monkeypatch, n_jobs, block_bytes):
    """Blocks are whole tiles and moments are integers."""
    X = data(1000)
    whole = pack(X, Scheme.of(3, "double", "optimal"), 9)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    parts = pack(X, Scheme.of(3, "double", "optimal"), 9, n_jobs=n_jobs)
    assert parts == whole
    assert_same_parts(parts, whole)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("shape", [(1, 1), (63, 2), (64, 16), (65, 17), (129, 48), (200, 37)])
@pytest.mark.parametrize(("sampling", "bits"), [("double", 3), ("compensated", 1), ("naive", 4), ("nearest", 6)])
def test_kernels_give_the_same_codes_and_statistics(kernels, shape, sampling, bits):
    """At sizes around those of tiles and vectors, for both float types and both orders, requantized too."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=shape) ** 3
    for dtype in (np.float32, np.float64):
        for array in (X.astype(dtype), np.asfortranarray(X, dtype=dtype)):
            found, expected = [], []
            for name, results in ((kernels, found), ("portable", expected)):
                with dispatch.kernels(name):
                    packed = pack(array, Scheme.of(bits, sampling, "optimal"), 1)
                    wide = pack(array, Scheme.of(8, sampling, "optimal"), 1)
                    taken = packed[np.arange(0, len(X), 2)]
                    results += [packed, taken, wide, wide.requantize(bits, random_state=0)]
                    results += [packed.requantize(bits - 1, random_state=0)] if bits > 2 else []
            for a, b in zip(found, expected, strict=True):
                assert_same_parts(a, b)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_ranges_and_non_finite_values(kernels, dtype, order):
    """Wherever in a vector or behind it the extremes or what is not finite stand."""
    X = np.array(np.random.default_rng(0).normal(size=(83, 21)), dtype=dtype, order=order)
    with dispatch.kernels(kernels):
        low, high = column_range(X)
        np.testing.assert_array_equal(low, X.min(axis=0))
        np.testing.assert_array_equal(high, X.max(axis=0))
        for row, column in ((0, 0), (15, 20), (64, 16), (82, 20)):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = X.copy(order="K")
                spoilt[row, column] = bad
                with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
                    column_range(spoilt)


def test_views_are_read_in_place():
    """Blocks of C- or F-contiguous floats are no copies."""
    X = np.zeros((300, 5), dtype=np.float32)
    for array in (X, np.asfortranarray(X), X[:, 1:4]):
        block = blocks.row_block(array, slice(64, 128), np.float32)
        assert np.shares_memory(block, array)


def draws(X, grid, bits, sampling, n_seeds):
    """Stored positions for many seeds, (seeds, rows, columns), float64."""
    shape = (n_seeds, *X.shape)
    out = np.empty(shape)
    for seed in range(n_seeds):
        packed = pack_on_grid(X, grid, seed)
        out[seed] = positions_by_row(rows_of(packed))
    return out


@pytest.mark.parametrize(("sampling", "bits"), [kind for kind in KINDS if kind[0] != "nearest"])
def test_rounding_is_unbiased_and_binomial(sampling, bits):
    """Of S seeds, Binomial(S, p) round up, p the place between two levels (2 S draws for "double").

    Exact binomial tests of every value, error rate 1e-6 together (Bonferroni); for pairs also of how often the two
    draws differ, Binomial(S, 2 p (1 - p)): they are independent.
    """
    n_seeds, X = 300, np.random.default_rng(2).normal(size=(40, 3))
    grid = grid_of(X, bits, sampling)
    t = reference.coordinates(X, grid)
    exact = (X - grid.offset) / grid.step * reference.FRACTION
    np.testing.assert_allclose(t, exact, rtol=0, atol=0.5 + 1e-6)
    _, low, gap = reference.intervals(t, grid)
    p = (t / reference.FRACTION - low) / gap
    per_value = 2 if sampling == "double" else 1
    ups = np.rint((draws(X, grid, bits, sampling, n_seeds) - low) / gap * per_value)
    assert ups.min() >= 0 and ups.max() <= per_value

    def check(hits, trials, p):
        tail = np.minimum(stats.binom.cdf(hits, trials, p), stats.binom.sf(hits - 1, trials, p))
        assert tail.min() > ERROR_RATE / 2 / tail.size

    check(ups.sum(axis=0), n_seeds * per_value, p)
    if sampling == "double":
        check((ups == 1).sum(axis=0), n_seeds, 2 * p * (1 - p))


def test_nearest_is_biased_and_nearest():
    """The deterministic baseline: no seed changes it, no level is nearer."""
    X = np.random.default_rng(2).normal(size=(60, 3))
    grid = grid_of(X, 2, "nearest")
    drawn = draws(X, grid, 2, "nearest", 5)
    assert np.ptp(drawn, axis=0).max() == 0
    error = np.abs(drawn[0] - reference.coordinates(X, grid) / reference.FRACTION)
    levels = grid.levels.astype(float)[None] - (reference.coordinates(X, grid) / reference.FRACTION)[:, :, None]
    np.testing.assert_array_equal(error, np.abs(levels).min(axis=2))
    assert error.mean() > 1


@pytest.mark.parametrize(("sampling", "bits"), [kind for kind in KINDS if kind[0] in ("double", "compensated")])
def test_variance_is_what_was_drawn(sampling, bits):
    """Stored D is the mean squared error of this very draw, and its mean over seeds the analytic variance.

    Student test of the mean over 60 seeds, error rate 1e-6 for all columns together; 0.5 % of slack for D, whose
    errors are kept in 1/256 of a step.
    """
    n_seeds, X = 60, np.random.default_rng(3).normal(size=(300, 3))
    grid = grid_of(X, bits, sampling)
    t = reference.coordinates(X, grid)
    _, low, gap = reference.intervals(t, grid)
    above = t / reference.FRACTION - low
    expected = (above * (gap - above)).mean(axis=0) / (2 if sampling == "double" else 1)
    stored = np.empty((n_seeds, 3))
    for seed in range(n_seeds):
        packed = pack_on_grid(X, grid, seed)
        stored[seed] = rows_of(packed).rounding_variance
        actual = ((np.asarray(packed) - X) ** 2).mean(axis=0)
        np.testing.assert_allclose(packed.rounding_variance, actual, rtol=0.02)
    error = stored.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    bound = stats.t.isf(ERROR_RATE / 2 / 3, n_seeds - 1)
    assert np.all(np.abs(stored.mean(axis=0) - expected) < bound * error + 0.005 * expected)


@pytest.mark.parametrize(("sampling", "bits"), KINDS)
def test_values_at_levels_are_exact(sampling, bits):
    """No noise where there is nothing to round."""
    grid = grid_of(data(), bits, sampling)
    rng = np.random.default_rng(0)
    picked = rng.integers(0, grid.used, size=(200, 7))
    X = grid.offset + grid.step * grid.levels[np.arange(7), picked]
    packed = pack_on_grid(X, grid, 1)
    np.testing.assert_array_equal(np.asarray(packed), X)
    np.testing.assert_array_equal(rows_of(packed).rounding_variance, 0)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_outside_the_grid_go_to_its_ends(sampling, dtype):
    """However far."""
    X = np.random.default_rng(0).normal(size=(90, 4)).astype(dtype)
    grid = grid_of(X, 4, sampling)
    far = np.array([X.min(0) - 1, X.max(0) + 1, X.min(0) - 1e30, X.max(0) + 1e30, X.min(0), X.max(0)], dtype=dtype)
    decoded = np.asarray(pack_on_grid(far, grid, 0))
    np.testing.assert_allclose(decoded[::2], np.tile(X.min(0), (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(decoded[1::2], np.tile(X.max(0), (3, 1)), rtol=1e-6)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("exponent", [-900, -40, 40, 900, 1018])
def test_scale_does_not_matter(sampling, exponent):
    """Powers of two change nothing but the step."""
    X = np.random.default_rng(0).normal(size=(100, 3))
    packed, scaled = (pack(values, Scheme.of(3, sampling, "optimal"), 0) for values in (X, np.ldexp(X, exponent)))
    np.testing.assert_array_equal(rows_of(packed).codes, rows_of(scaled).codes)
    np.testing.assert_array_equal(np.ldexp(np.asarray(packed), exponent), np.asarray(scaled))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1e-300, 1e-44, 1e-38, 1e-12, 1e12, 1e37, 1e38, 1e300])
def test_extreme_scales(scale, dtype):
    """Decoded values are finite and inside the range, whatever the scale; below 1e-290 a range is none."""
    if dtype == "float32" and not 1e-45 < scale < 1e39:
        return
    X = (np.random.default_rng(0).uniform(-1, 1, size=(100, 3)) * scale).astype(dtype)
    packed = pack(X, Scheme.of(8, "compensated", "optimal"), 0)
    decoded, span = np.asarray(packed).astype(float), np.ptp(X.astype(float), axis=0)
    assert np.isfinite(decoded).all() and np.isfinite(rows_of(packed).rounding_variance).all()
    assert np.all(np.abs(decoded - X) <= span * (1 if scale == 1e-300 else 1.01 / 255) + 2e-45)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("row", [0, 64, 99])
def test_not_finite(bad, dtype, row):
    """scikit-learn's message."""
    X = np.ones((100, 3), dtype=dtype)
    X[row, 2] = bad
    with pytest.raises(ValueError, match=r"X contains (NaN|infinity)"):
        pack(X, Scheme.of(4, "compensated", "optimal"), 0)
    rows = np.flatnonzero(np.arange(100) != row)
    assert np.asarray(pack(X, Scheme.of(4, "compensated", "optimal"), 0, rows=rows)).max() == 1


def test_twin_draws_what_the_kernels_draw():
    """The seeds that Python derives."""
    for seed, counter in [(0, 0), (1, 2), (2**64 - 1, 17), (123456789, 2**63)]:
        assert reference.mix(seed, counter) == order_kernels.mix(seed, counter)
