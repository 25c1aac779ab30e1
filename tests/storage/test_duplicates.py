"""Rows that share their rounding errors."""

import numpy as np
import pytest
import reference
from packing import pack

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._quantization.encoder import RowEncoder
from sklearn_zipml._quantization.levels import find_grid
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers.objective import Quadratic
from sklearn_zipml._solvers.problem import Problem
from sklearn_zipml._storage.duplicates import (
    effective_rows,
    of_counts,
    of_keys,
    of_requantized,
    of_subset,
    sample_size,
)
from sklearn_zipml._storage.packed_rows import rows_of


def pairs(counts):
    """Equal pairs among all pairs."""
    n = sum(counts)
    return sum(c * (c - 1) for c in counts) / (n * (n - 1))


def encoder(X, bits=4):
    """What packs the rows of X."""
    grid = find_grid(X, Scheme.of(bits, "compensated", "optimal"), np.arange(len(X)))
    return RowEncoder(grid, 0, None)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_keys(dtype):
    """Exact for the rows it is given, in whatever order."""
    rng = np.random.default_rng(0)
    counts = [1, 1, 5, 2, 40]
    X = np.repeat(rng.normal(size=(5, 3)).astype(dtype), counts, axis=0)
    assert of_keys(encoder(X).equality_keys(X, rng.permutation(len(X)))) == pytest.approx(pairs(counts))
    distinct = rng.normal(size=(1000, 2))
    assert of_keys(encoder(distinct).equality_keys(distinct, np.arange(1000))) == 0
    assert of_keys(encoder(X).equality_keys(X, np.arange(1))) == 0


@pytest.mark.parametrize("name", dispatch.available_kernels())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 19, 70])
@pytest.mark.parametrize("order", "CF")
def test_contents_are_what_keys_the_draws(name, dtype, d, order):
    """The reference's sums over the grid coordinates, by every instruction set."""
    X = np.random.default_rng(0).normal(size=(200, d)).astype(dtype)
    grid = find_grid(X, Scheme.of(4, "compensated", "optimal"), np.arange(200))
    found, block = np.empty(200, dtype=np.uint64), np.asarray(X.astype(grid.dtype), order=order)
    with dispatch.kernels(name):
        encoder = RowEncoder(grid, 0, None).kernel
        encoder.contents(block, found, encoder.workspace())
    keys = reference.row_keys(reference.coordinates(X, grid), 7)
    np.testing.assert_array_equal(reference.mix64(found ^ reference.mix64(7)), keys)


def jittered(distinct, copies, d, size):
    """Repeated measurements that differ by less than the encoder tells, or hardly more."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(distinct, d)), copies, axis=0)
    return X + size * rng.normal(size=X.shape)


@pytest.mark.parametrize("size", [0, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("chunks", [False, True])
def test_nearly_equal_rows_are_the_same(size, chunks):
    """As often as they share their draws: pairs are counted by the codes they got."""
    X = jittered(60, 50, 40, size)
    scheme = Scheme.of(4, "compensated", "optimal")
    packed = PackedMatrix.from_chunks([X[:500], X[500:]], random_state=0) if chunks else pack(X, scheme, 0)
    expected = pairs(np.unique(np.asarray(packed), axis=0, return_counts=True)[1])
    assert rows_of(packed).collision_probability[0] == pytest.approx(expected, rel=0.15, abs=2e-5)


@pytest.mark.parametrize("bits", [2, 4])
def test_nearly_equal_rows_are_compensated_as_equal_ones(bits):
    """Before, jitter made coefficients of noise: R² fell from .9 to nothing."""
    rng = np.random.default_rng(1)
    w, test = rng.normal(size=40), rng.normal(size=(2000, 40))
    scores = []
    for size in (0, 1e-7):
        X = jittered(300, 100, 40, size)
        model = ZipMLRegressor(bits, random_state=0).fit(X, X @ w + np.random.default_rng(2).normal(size=len(X)))
        scores.append(model.score(test, test @ w))
    assert scores[1] > scores[0] - 0.05 > 0.8


def test_sample_size_is_bounded():
    """A few thousand rows, fewer of wide matrices."""
    assert sample_size(0) == sample_size(8) == 4096
    assert sample_size(100_000) * 100_000 <= 1 << 21


def test_subsets():
    """Repeated indices add equal pairs to those among the rows themselves."""
    assert of_subset(0.0, np.array([3, 3, 4, 5])) == pytest.approx(1 / 6)
    assert of_subset(0.5, np.arange(10)) == 0.5
    assert of_subset(0.5, np.array([3, 3, 4, 5])) == pytest.approx(1 / 6 + 5 / 6 * 0.5)
    assert of_counts(np.array([], dtype=int)) == 0


def test_effective_rows():
    """n distinct rows count n; r copies of each count n / r; weights as in Kish's effective sample size."""
    n = 1000
    assert effective_rows(0.0, np.ones(n)) == pytest.approx(n)
    assert effective_rows(of_counts(np.full(100, 10)), np.ones(n)) == pytest.approx(100)
    weights = np.random.default_rng(0).exponential(size=n)
    assert effective_rows(0.0, weights) == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


@pytest.mark.parametrize("subset", [False, True])
def test_repeated_rows_are_compensated_less(subset):
    """tau of 2000 rows, 50 of them distinct, is that of few rows: all that was repeated was noise."""
    X = np.random.default_rng(0).normal(size=(2000, 6))
    rows = np.random.default_rng(1).integers(0, 50, 2000)
    scheme = Scheme.of(4, "compensated", "optimal")
    matrix = pack(X, scheme, 0)[rows] if subset else pack(X[rows], scheme, 0)
    targets = np.zeros((1, 64 * len(rows_of(matrix).codes)), dtype=np.float32)
    tau = Quadratic(Problem(rows_of(matrix), None, True), targets, 0.0).tau
    plain = Quadratic(Problem(rows_of(pack(X, scheme, 0)), None, True), targets, 0.0).tau
    assert plain > 0.85 and tau < 1 - 4 * 6 / 60


def test_narrowing_draws_anew():
    """The errors of equal rows are shared only as far as they were there before."""
    X = np.random.default_rng(0).normal(size=(500, 6))
    matrix = pack(np.repeat(X, 4, axis=0), Scheme.of(8, "compensated", "optimal"), 0)
    assert rows_of(matrix).collision_probability[0] == pytest.approx(3 / 1999)
    narrow = matrix.requantize(2, random_state=0)
    assert rows_of(narrow).collision_probability[0] < 1e-3 * rows_of(matrix).collision_probability[0]
    assert of_requantized(0.3, np.zeros(2), np.zeros(2)) == 0.3
