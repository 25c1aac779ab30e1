"""Requantizing of packed rows."""

import numpy as np
import pytest
from packed_matrices import ERROR_RATE, SAMPLINGS, make
from packing import assert_same_parts, pack
from scipy import stats

from sklearn_zipml._kernels import columns as column_kernels
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.requantize import requantizer
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.decode import positions_by_row
from sklearn_zipml._storage.grid import column_levels
from sklearn_zipml._storage.packed_rows import rows_of

NARROWINGS = [
    (sampling, wide, narrow)
    for sampling in SAMPLINGS
    for wide, narrow in [(8, 1), (8, 2), (8, 4), (8, 7), (7, 3), (6, 5), (5, 2), (4, 2), (4, 3), (3, 2), (3, 1), (2, 1)]
    if not (sampling == "double" and narrow == 1)
]


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize(("sampling", "wide", "narrow"), NARROWINGS)
def test_narrow_levels_are_a_subset(sampling, wide, narrow, levels):
    """Range, order and grid stay; what is stored stands on levels there were. Known dither has a grid of its own."""
    packed = make(n=200, d=5, bits=wide, sampling=sampling, levels=levels)
    if sampling == "dithered" and narrow in (2, 3) and levels == "optimal":
        sampling = "compensated"
    asked = "compensated" if sampling == "compensated" else "auto"
    result = packed.requantize(narrow, sampling=asked, random_state=0)
    count = 2 ** (narrow - (sampling == "double"))
    assert (result.sample_bits, result.sampling, result.shape) == (narrow, sampling, packed.shape)
    assert rows_of(result).codes.nbytes <= rows_of(packed).codes.nbytes
    for old, new in zip(column_levels(rows_of(packed)), column_levels(rows_of(result)), strict=True):
        assert set(new.tolist()) <= set(old.tolist())
        assert len(new) == min(count, len(old)) and np.all(np.diff(new.astype(int)) > 0)
        assert new[0] == old[0] and new[-1] == old[-1]
    positions = positions_by_row(rows_of(result))
    for j, new in enumerate(column_levels(rows_of(result))):
        stored = new.astype(int)
        if sampling == "double":
            stored = np.union1d(stored, (stored[1:] + stored[:-1]) // 2)
        assert set(positions[:, j].tolist()) <= set(stored.tolist())


@pytest.mark.parametrize(("sampling", "wide", "narrow"), [kind for kind in NARROWINGS if kind[0] != "nearest"])
def test_narrowing_is_unbiased_and_variances_add_up(sampling, wide, narrow):
    """E[narrow | wide] = wide, and D of the narrow store is D of the wide one plus the noise that came on top.

    Student test over 40 seeds of the column means and of one random projection, error rate 1e-6 for all together;
    stored D against the actual squared error to 1 % (errors are kept in 1/256 of a step, codes' noise in float16)
    and six standard errors of the cross term.
    """
    n, d, n_seeds = 1000, 3, 40
    X = np.random.default_rng(5).normal(size=(n, d))
    packed = pack(X, Scheme.of(wide, sampling, "optimal"), 1)
    decoded = np.asarray(packed)
    mixing = np.column_stack([np.ones(n), np.random.default_rng(6).normal(size=n)])
    moved = np.empty((n_seeds, 2, d))
    for seed in range(n_seeds):
        result = packed.requantize(narrow, random_state=seed)
        change = np.asarray(result) - decoded
        moved[seed] = mixing.T @ change / n
        if sampling != "naive":
            stored, own = result.rounding_variance, packed.rounding_variance
            np.testing.assert_allclose(stored, own + (change**2).mean(axis=0), rtol=0.01)
            cross = 2 * change * (decoded - X)
            actual = ((np.asarray(result) - X) ** 2).mean(axis=0)
            slack = 6 * cross.std(axis=0) / np.sqrt(n)
            assert np.all(np.abs(stored - actual) <= slack + 0.015 * actual)
    error = moved.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    bound = stats.t.isf(ERROR_RATE / 2 / moved[0].size, n_seeds - 1)
    assert np.all(np.abs(moved.mean(axis=0)) <= bound * error + 1e-12)


@pytest.mark.parametrize("bits", [2, 4])
def test_narrow_levels_are_optimal(bits):
    """No levels among all 256 positions round with less variance, though few positions occur."""
    packed = pack(np.random.default_rng(2).standard_t(2, size=(3000, 4)), Scheme.of(8, "compensated", "optimal"), 0)
    positions = positions_by_row(rows_of(packed)).astype(float)
    grid = np.arange(256.0)
    for values, levels in zip(
        positions.T,
        column_levels(rows_of(packed.requantize(bits, sampling="compensated", outliers="none", random_state=0))),
        strict=True,
    ):
        moments = [np.array([(values[values < g] ** power).sum() for g in grid]) for power in range(3)]
        best = grid[column_kernels.optimal_levels(grid, *moments, 1 << bits)]
        found, least = (
            ((own[index] - values) * (values - own[index - 1])).sum()
            for own in (levels.astype(float), best)
            for index in [np.clip(np.searchsorted(own, values), 1, len(own) - 1)]
        )
        assert found == least


def test_narrowing_again_and_again():
    """Levels found once, draws by the seed."""
    packed = make(bits=8)
    again = requantizer(rows_of(packed), 3)
    for seed in (1, 2):
        assert_same_parts(matrix_of(again(seed)), matrix_of(requantizer(rows_of(packed), 3)(seed)))
    assert matrix_of(again(1)) != matrix_of(again(2))
    assert requantizer(rows_of(packed), 8)(1) is rows_of(packed)


def test_narrowed_pairs_are_independent():
    """E[q1 q2] = a² for pairs that were requantized: with m their mean, E[m²] - D = a².

    Student test of mean(m²) - D over 200 seeds of both roundings, error rate 1e-6 (5 columns).
    """
    X = np.random.default_rng(0).normal(size=(300, 5))
    gaps = np.empty((200, 5))
    for seed in range(200):
        narrow = pack(X, Scheme.of(4, "double", "optimal"), seed).requantize(2, random_state=seed)
        gaps[seed] = (np.asarray(narrow) ** 2 - X**2).mean(axis=0) - narrow.rounding_variance
    error = gaps.std(axis=0, ddof=1) / np.sqrt(200)
    bound = stats.t.isf(ERROR_RATE / 2 / 5, 199)
    assert np.all(np.abs(gaps.mean(axis=0)) <= bound * error + 1e-3 * narrow.rounding_variance)


def test_narrowing_errors():
    """Wider is refused, with advice; so is a pair in one bit. The same width is the same container."""
    packed = make(bits=4)
    with pytest.raises(ValueError, match="sample_bits=5 is more than the 4 bits"):
        packed.requantize(5)
    with pytest.raises(ValueError, match=r"must be an int in the range \[1, inf\)\. Got 0"):
        packed.requantize(0)
    with pytest.raises(ValueError, match="sample_bits=1 is too small for sampling='double'"):
        make(bits=4, sampling="double").requantize(1)
    assert packed.requantize(4) == packed
    assert packed.requantize(2, random_state=3) == packed.requantize(2, random_state=3)
    assert packed.requantize(2, random_state=3) != packed.requantize(2, random_state=4)


def test_narrowing_an_empty_selection():
    """Nothing stays nothing."""
    assert make()[[]].requantize(2, random_state=0).shape == (0, 18)
    assert np.asarray(make()[[]]).shape == (0, 18)
