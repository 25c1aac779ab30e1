"""Codes of 2 and 3 bits with known dither out of wider ones."""

import numpy as np
import pytest
import reference
from dithering import rows
from packing import assert_same_parts, pack

from sklearn_zipml import DoubleSamplingQuantizer
from sklearn_zipml._kernels.dispatch import available_kernels
from sklearn_zipml._kernels.dispatch import kernels as kernels_named
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.requantize import requantizer
from sklearn_zipml._quantization.wide_positions import WidePositions
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted


def wide(bits=8, n=1000, d=20, outliers="auto", seed=0):
    return pack(rows(n, d), Scheme.of(bits, "dithered", "optimal", outliers=outliers), seed)


def in_places(contents):
    """Contents of rows that are told apart by where they stand."""

    def row_contents(t):
        of_rows, places = contents(t), reference.mix64(np.arange(len(t), dtype=np.uint64))
        lower = (of_rows + places) & np.uint64(0xFFFFFFFF)
        upper = ((of_rows >> np.uint64(32)) + (places >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
        return upper << np.uint64(32) | lower

    return row_contents


NARROWED = [(3, 2), (4, 2), (5, 2), (8, 2), (4, 3), (6, 3), (8, 3)]


@pytest.mark.parametrize("kernel", available_kernels())
@pytest.mark.parametrize(("bits", "fewer"), NARROWED)
@pytest.mark.parametrize("outliers", ["auto", "none"])
def test_twin(kernel, bits, fewer, outliers, monkeypatch):
    """Wide positions are rounded as the twin rounds values, and their outliers with them."""
    packed = wide(bits, 700, 21)
    narrow = requantizer(rows_of(packed), fewer, outliers=outliers)
    with kernels_named(kernel):
        made = narrow(7)
    grid, positions = narrow.grid, WidePositions(rows_of(packed))[:]
    monkeypatch.setattr(reference, "row_contents", in_places(reference.row_contents))
    encoded = reference.encode_dithered if fewer == 2 else reference.encode_in_turns
    _, expected = encoded(positions, grid, 7)
    expected = expected + reference.outliers_dithered(positions, grid, 7)
    np.testing.assert_array_equal(made.tiles.positions(0, made.tiles.n_tiles), expected)
    np.testing.assert_allclose(made.mean, expected.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(made.order.rows(), rows_of(packed).order.rows())
    assert made.scheme.has_dither and made.sample_bits == fewer and grid.has_dither.any()


@pytest.mark.parametrize("fewer", [2, 3])
def test_same_in_all_ways(fewer):
    """The same on all kernels, in any number of threads, of rows that were taken, and once or again and again."""
    packed = wide(n=9000, d=70)
    expected = packed.requantize(fewer, random_state=3)
    for kernel in available_kernels():
        with kernels_named(kernel):
            assert_same_parts(packed.requantize(fewer, random_state=3), expected)
    draw = requantizer(rows_of(packed), fewer, n_jobs=2)
    alone = requantizer(rows_of(packed), fewer, n_jobs=1)
    for seed in (1, 2):
        assert_same_parts(matrix_of(draw(seed)), matrix_of(alone(seed)))
    taken, copied = (packed[np.arange(0, 9000, 2)] for _ in range(2))
    assert rows_of(copied).codes.size
    assert_same_parts(taken.requantize(fewer, random_state=0), copied.requantize(fewer, random_state=0))


@pytest.mark.parametrize(("bits", "fewer", "most"), [(4, 2, 1.1), (8, 2, 1.02), (6, 3, 1.1), (8, 3, 1.03)])
def test_as_good_as_at_once(bits, fewer, most):
    """The variance is that of rounding at once, and that of the wide codes: of 6000 rows it is known to 4 %."""
    X = np.random.default_rng(0).standard_normal((6000, 12))
    X[:, 6:] = np.random.default_rng(1).standard_t(5, (6000, 6))
    packed = pack(X, Scheme.of(bits, "dithered", "optimal", outliers="auto"), 0)
    narrow, direct = (
        packed.requantize(fewer, random_state=0),
        pack(X, Scheme.of(fewer, "dithered", "optimal", outliers="auto"), 0),
    )
    ratio = narrow.rounding_variance / (direct.rounding_variance + packed.rounding_variance)
    assert ratio.mean() < most and (ratio < most + 0.12).all()
    assert rows_of(narrow).samples.outliers is not None or bits == 4


@pytest.mark.parametrize(("bits", "fewer"), [(3, 2), (4, 2), (8, 2), (8, 3)])
def test_noise_by_code(bits, fewer):
    """E[error² | code] is that of both roundings, over many draws of both."""
    X = np.random.default_rng(0).standard_exponential((400, 3))
    n_codes = 4 if fewer == 2 else 16
    error, hits, told = (np.zeros((3, n_codes)) for _ in range(3))
    for seed in range(60):
        packed = pack(X, Scheme.of(bits, "dithered", "optimal"), seed)
        own = rows_of(packed.requantize(fewer, random_state=seed))
        codes = _codes_of(own)
        squares = (np.asarray(matrix_of(own)) - X) ** 2
        for j in range(3):
            error[j] += np.bincount(codes[:, j], squares[:, j], n_codes)
            hits[j] += np.bincount(codes[:, j], minlength=n_codes)
            told[j] += np.bincount(codes[:, j], minlength=n_codes) * own.noise[j].astype(float) * own.step[j] ** 2
    assert (np.abs(told / error - 1) < 0.1)[hits > 2000].all()


def _codes_of(own):
    """Codes in the order of rows."""
    from sklearn_zipml._quantization.carried_noise import _codes

    return own.order.to_rows(_codes(own.codes, *own.shape, own.scheme.format).T).T


def test_statistics_of_some_rows():
    """Rows that are taken tell the variance of their errors."""
    X = rows(6000, 12)
    packed = pack(X, Scheme.of(8, "dithered", "optimal", outliers="auto"), 0).requantize(2, random_state=0)
    chosen = np.flatnonzero(X[:, 0] > 0)
    part = packed[chosen]
    squares = (((np.asarray(part) - X[chosen]) / rows_of(part).step) ** 2).mean(axis=0)
    np.testing.assert_allclose(weighted(rows_of(part))[2], squares, rtol=0.15, atol=1e-6)


def test_outliers_stay_apart():
    """Also in a few rows, where none would be told, and with levels of few steps: differences stay in their range."""
    X = np.random.default_rng(0).standard_normal((1000, 4)).astype(np.float32)
    X[5] = 2e3
    packed = pack(X, Scheme.of(8, "dithered", "optimal", outliers="auto"), 0)
    assert rows_of(packed).samples.outliers is not None
    for outliers in ("auto", "none"):
        narrow = packed[:40].requantize(2, outliers=outliers, random_state=0)
        assert narrow.sampling == "dithered"
        np.testing.assert_allclose(np.asarray(narrow)[5], 2e3, atol=20 * rows_of(narrow).step.max())
        assert (rows_of(narrow).step < 0.2).all()
    far = pack(X * np.float32([1, 1, 1, 1]) * np.where(np.arange(1000) == 5, 40, 1)[:, None], packed_scheme(), 0)
    narrow = far.requantize(2, random_state=0)
    np.testing.assert_allclose(np.asarray(narrow)[5], 8e4, rtol=1e-3)


def packed_scheme():
    return Scheme.of(8, "dithered", "optimal", outliers="auto")


@pytest.mark.parametrize("fewer", [2, 3])
def test_equal_rows_are_drawn_anew(fewer):
    """Equal rows share the errors that they had, and not the new ones."""
    X = np.repeat(np.random.default_rng(0).standard_normal((50, 6)), 20, axis=0)
    packed = pack(X, packed_scheme(), 0)
    narrow = packed.requantize(fewer, random_state=0)
    error = (np.asarray(narrow) - X).reshape(50, 20, 6)
    between, all_errors = error.mean(axis=1).var(), error.var()
    assert between < 1.5 * all_errors / 20
    assert rows_of(narrow).collision_probability[0] < 1e-3 * rows_of(packed).collision_probability[0]


@pytest.mark.parametrize("fewer", [2, 3])
def test_columns_that_gain_nothing_are_as_compensated(fewer):
    """Without any column that has dither there is no room for seeds: the codes of "compensated"."""
    X = rows(500, 20)[:, 2::5]
    dithered, plain = (
        DoubleSamplingQuantizer(8, sampling=sampling, random_state=0).fit_transform(X).requantize(fewer, random_state=1)
        for sampling in ("dithered", "compensated")
    )
    assert dithered.sampling == "compensated"
    assert_same_parts(dithered, plain)
    np.testing.assert_array_equal(np.asarray(dithered), X)


def test_what_is_along_stays():
    """Targets, weights and names; no rows at all."""
    packed = wide(n=100).with_target(np.arange(100.0)).with_sample_weight(np.arange(1, 101.0))
    narrow = packed.requantize(2, random_state=0)
    np.testing.assert_array_equal(narrow.target, packed.target)
    np.testing.assert_array_equal(narrow.sample_weight, packed.sample_weight)
    assert packed[[]].requantize(2, random_state=0).shape == (0, 20)
