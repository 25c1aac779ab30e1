"""More than two draws of a value in one code: a level, and how many of the draws went up from it (ZipML, section 2).

Statistical tests state their error rate; seeds are fixed, so they pass or fail for good.
"""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import reference
from packing import assert_same_parts, pack, pack_on_grid
from scipy import stats
from sklearn.base import clone

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor, recommend_bits
from sklearn_zipml._cli import main
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._packed_matrix.matrix import _restore
from sklearn_zipml._quantization.levels import find_grid
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.decode import positions_by_row
from sklearn_zipml._storage.grid import Grid
from sklearn_zipml._storage.packed_rows import rows_of

ERROR_RATE = 1e-6
# every width, the most draws it holds among them
KINDS = [(2, 3), (3, 3), (3, 7), (4, 3), (4, 5), (4, 15), (5, 4), (6, 7), (7, 10), (8, 3), (8, 85), (8, 255)]


def data(n=150, d=7, seed=0):
    """Columns of several shapes, one constant, one with few values."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.logspace(-2, 2, d)
    X[:, 1] = 3.5
    X[:, 2] = rng.integers(0, 3, n)
    return X


def grid_of(X, bits, n_draws, levels="optimal"):
    """Grid of a whole matrix."""
    return find_grid(X, Scheme.of(bits, "double", levels, n_draws), np.arange(len(X)))


# grids of 255 // n_draws steps are coarse
pytestmark = pytest.mark.filterwarnings("ignore:One grid step:UserWarning")


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize(("bits", "n_draws"), KINDS)
def test_codes_equal_the_twins(bits, n_draws, levels):
    """Codes, bytes, decoded values and statistics, element by element."""
    X, width = data(), Scheme.of(bits, "double", levels, n_draws).width
    grid = grid_of(X, bits, n_draws, levels)
    packed = pack_on_grid(X, grid, 5)
    slots = reference.row_order(len(X), reference.mix(5, 1))
    codes, positions = reference.encode(X[slots], grid, "double", 5)
    assert codes.max() < 1 << bits
    np.testing.assert_array_equal(rows_of(packed).tiles.positions(0, 3), positions)
    np.testing.assert_array_equal(rows_of(packed).codes, reference.tiles(positions if width == 8 else codes, width))
    np.testing.assert_array_equal(np.asarray(packed)[slots], positions * grid.step + grid.offset)
    np.testing.assert_allclose(rows_of(packed).mean, positions.mean(axis=0), rtol=1e-6)
    noise = reference.squared_errors(X[slots], grid, positions)
    np.testing.assert_allclose(rows_of(packed).rounding_variance, noise, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("shape", [(1, 1), (64, 16), (65, 17), (200, 37)])
@pytest.mark.parametrize(("bits", "n_draws"), [(2, 3), (4, 3), (6, 5), (8, 5)])
def test_kernels_give_the_same_codes_and_statistics(kernels, shape, bits, n_draws):
    """For both float types and both orders."""
    X = np.random.default_rng(3).normal(size=shape)
    for array in (X.astype(np.float32), np.asfortranarray(X)):
        packed = []
        for name in (kernels, "portable"):
            with dispatch.kernels(name):
                packed.append(pack(array, Scheme.of(bits, "double", "optimal", n_draws), 1))
        assert_same_parts(*packed)


@pytest.mark.parametrize(("bits", "n_draws"), [(2, 3), (4, 3), (4, 7), (7, 10), (8, 3)])
def test_draws_are_binomial(bits, n_draws):
    """Of n_draws, Binomial(n_draws, p) go up: exact tests of how often each count occurs over 300 seeds.

    Error rate 1e-6 for all values and counts together (Bonferroni).
    """
    n_seeds, X = 300, np.random.default_rng(2).normal(size=(40, 3))
    grid = grid_of(X, bits, n_draws)
    t = reference.coordinates(X, grid)
    _, low, gap = reference.intervals(t, grid)
    p = (t / reference.FRACTION - low) / gap
    stored = [positions_by_row(rows_of(pack_on_grid(X, grid, seed))) for seed in range(n_seeds)]
    ups = (np.array(stored, dtype=float) - low) / gap * n_draws
    np.testing.assert_allclose(ups, np.rint(ups), atol=1e-9)
    for count in range(n_draws + 1):
        hits, chance = (np.rint(ups) == count).sum(axis=0), stats.binom.pmf(count, n_draws, p)
        tail = np.minimum(stats.binom.cdf(hits, n_seeds, chance), stats.binom.sf(hits - 1, n_seeds, chance))
        assert tail.min() > ERROR_RATE / 2 / tail.size / (n_draws + 1)


def test_variance_falls_with_the_draws():
    """On the same levels the mean of k draws has a k-th of the variance of one, and that is what is subtracted.

    Student tests of the mean over 40 seeds, error rate 1e-6 for all columns and numbers of draws together; 0.5 % of
    slack for D, whose errors are kept in 1/256 of a step.
    """
    n_seeds, X = 40, np.random.default_rng(3).uniform(0, 240, size=(300, 3))
    levels = np.tile(np.array([0, 60, 120, 240], dtype=np.uint8), (3, 1))
    scheme, used = Scheme.of(8, "double", "optimal"), np.full(3, 4, dtype=np.uint16)
    grid = Grid(scheme, np.zeros(3), np.ones(3), levels, used, np.float64)
    _, low, gap = reference.intervals(reference.coordinates(X, grid), grid)
    one = ((X - low) * (low + gap - X)).mean(axis=0)
    counts = (2, 3, 4, 5)
    for n_draws in counts:
        chosen, drawn = replace(grid, scheme=replace(scheme, n_draws=n_draws)), []
        for seed in range(n_seeds):
            packed = pack_on_grid(X, chosen, seed)
            np.testing.assert_allclose(
                rows_of(packed).rounding_variance, ((np.asarray(packed) - X) ** 2).mean(axis=0), rtol=0.01
            )
            drawn.append(rows_of(packed).rounding_variance)
        error = np.std(drawn, axis=0, ddof=1) / np.sqrt(n_seeds)
        bound = stats.t.isf(ERROR_RATE / 2 / 3 / len(counts), n_seeds - 1) * error + 0.005 * one / n_draws
        assert np.all(np.abs(np.mean(drawn, axis=0) - one / n_draws) < bound)


def test_code_tells_the_mean_over_pairs_of_draws():
    """The derivation in the guide: over distinct pairs it is m² - gap² u (k - u) / (k² (k - 1)), and its mean a²."""
    for k in (2, 3, 7):
        for low, gap in ((0, 1), (20, 42)):
            ups = np.arange(k + 1)
            draws = low + gap * (np.arange(k)[None] < ups[:, None])
            pairs = np.array([[[a * b for b in row] for a in row] for row in draws])
            mean = (pairs.sum(axis=(1, 2)) - np.trace(pairs, axis1=1, axis2=2)) / (k * (k - 1))
            diagonal = gap**2 * ups * (k - ups) / (k**2 * (k - 1))
            np.testing.assert_allclose(mean, draws.mean(axis=1) ** 2 - diagonal, rtol=1e-12)
            for p in (0, 0.3, 0.9):
                chance = stats.binom.pmf(ups, k, p)
                np.testing.assert_allclose(chance @ mean, (low + p * gap) ** 2, rtol=1e-12)
                # the diagonal has the mean of what the package subtracts: the variance of the mean of the draws
                np.testing.assert_allclose(chance @ diagonal, gap**2 * p * (1 - p) / k, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("bits", "n_draws"), [(2, 3), (4, 3), (8, 5)])
def test_second_moments_are_unbiased(bits, n_draws):
    """Stored rows give X'X / n after D is subtracted from the diagonal: Student test, error rate 1e-6, 200 seeds."""
    n_seeds, X = 200, np.random.default_rng(4).normal(size=(100, 4)) @ np.random.default_rng(5).normal(size=(4, 4))
    grid, found = grid_of(X, bits, n_draws), []
    for seed in range(n_seeds):
        packed = pack_on_grid(X, grid, seed)
        stored = np.asarray(packed)
        found.append(stored.T @ stored / len(X) - np.diag(packed.rounding_variance))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(n_seeds)
    bound = stats.t.isf(ERROR_RATE / 2 / 16, n_seeds - 1) * error + 0.005 * packed.rounding_variance.max()
    assert np.all(np.abs(np.mean(found, axis=0) - X.T @ X / len(X)) < bound)


@pytest.mark.parametrize(("bits", "n_draws"), KINDS)
def test_levels(bits, n_draws):
    """As many as codes allow, at multiples of n_draws, from minimum to maximum."""
    X = data(2000)
    grid = grid_of(X, bits, n_draws)
    count = grid.scheme.n_levels
    assert grid.levels.shape[1] == count >= 2
    assert n_draws * (count - 1) < 1 << bits <= n_draws * count
    assert not (grid.levels % n_draws).any()
    np.testing.assert_allclose(grid.offset + grid.step * grid.top, X.max(axis=0), rtol=1e-9)


def test_training():
    """The estimators, the quantizer and packing in chunks give the same rows, and coefficients near the closed form."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 10))
    y = X @ rng.normal(size=10) + rng.normal(size=4000)
    settings = {"sampling": "double", "n_draws": 3, "random_state": 0}
    model = ZipMLRegressor(6, **settings).fit(X, y)
    assert model.score(X, y) > ZipMLRegressor(None, random_state=0).fit(X, y).score(X, y) - 0.003
    assert ZipMLLSSVC(6, **settings).fit(X, y > 0).score(X, y > 0) > 0.8
    quantizer = DoubleSamplingQuantizer(6, **settings)
    packed = clone(quantizer).fit_transform(X)
    assert packed.n_draws == 3 and "n_draws=3" in repr(packed)
    assert clone(quantizer).fit(X).quantize(X) == packed
    np.testing.assert_array_equal(ZipMLRegressor(6, random_state=0).fit(packed, y).coef_, model.coef_)
    chunks = PackedMatrix.from_chunks([X[:999], X[999:]], y=None, sample_bits=6, **settings)
    assert chunks == packed
    partial = quantizer.partial_fit(X[:100]).partial_fit(X[100:])
    assert PackedMatrix.from_chunks(iter([X]), quantizer=partial) == packed
    ZipMLRegressor(6, **settings).partial_fit(X[:2000], y[:2000]).partial_fit(X[2000:], y[2000:])
    same = pack(X, Scheme.of(6, "double", "optimal"), 0)
    assert same.n_draws == 2 and "n_draws" not in repr(same) and same != packed


@pytest.mark.parametrize("bits", [2, 4, 7, 8])
def test_files_and_pickles(tmp_path, bits):
    """Round trips and appending; two draws stay in files of the old version, and old pickles load."""
    X, path = data(300), tmp_path / "x.zq"
    packed = pack(X, Scheme.of(bits, "double", "optimal", 3), 3)
    packed.save(path)
    loaded = PackedMatrix.load(path, verify=True)
    assert loaded == packed and loaded.n_draws == 3
    assert loaded[[5, 7]].n_draws == 3 and loaded.requantize(bits) == packed
    more = PackedMatrix.append(path, X, random_state=0)
    assert more.n_draws == 3 and more[: len(X)] == packed
    assert struct.unpack_from("<I", path.read_bytes(), 8) == (2,)
    two = pack(X, Scheme.of(bits, "double", "optimal"), 3)
    two.save(path)
    assert struct.unpack_from("<I", path.read_bytes(), 8) == (1,)
    assert PackedMatrix.load(path) == two
    for matrix, n_draws in ((two, 2), (pack(X, Scheme.of(bits, "compensated", "optimal"), 3), 1)):
        parts = rows_of(matrix).parts()
        del parts["n_draws"]
        assert _restore(2, parts) == matrix
        assert matrix.n_draws == n_draws


def test_errors():
    """Each names the parameter and a way out."""
    X = data(200)
    y = X[:, 0]
    with pytest.raises(ValueError, match="n_draws=3 is of sampling='double', got sampling='auto'"):
        ZipMLRegressor(4, n_draws=3).fit(X, y)
    with pytest.raises(ValueError, match="use sample_bits=3 or more, or n_draws=3 or less"):
        DoubleSamplingQuantizer(2, sampling="double", n_draws=4).fit(X)
    with pytest.raises(ValueError, match="sample_bits=1 cannot hold n_draws=3 draws"):
        PackedMatrix.from_chunks(X, sample_bits=1, sampling="double", n_draws=3)
    for n_draws in (1, 256, 2.5):
        with pytest.raises(ValueError, match="The 'n_draws' parameter"):
            DoubleSamplingQuantizer(8, sampling="double", n_draws=n_draws).fit(X)
    with pytest.raises(ValueError, match="n_draws=3: leave n_draws=2"):
        ZipMLRegressor(4, sampling="double", n_draws=3, resample="epoch", solver="sgd").fit(X, y)
    packed = pack(X, Scheme.of(8, "double", "optimal", 3), 0)
    with pytest.raises(ValueError, match="n_draws=3 cannot be requantized from 8 to 4 bits"):
        packed.requantize(4)
    with pytest.raises(ValueError, match="n_draws=3 cannot be; leave n_draws=2"):
        recommend_bits(X, y, estimator=ZipMLRegressor(sampling="double", n_draws=3))


def test_command_line(tmp_path, capsys):
    """pack --draws, and info tells them."""
    np.save(tmp_path / "x.npy", data(100))
    arguments = ["pack", str(tmp_path / "x.npy"), "-o", str(tmp_path / "x.zq"), "--sampling", "double", "--draws", "5"]
    assert main([*arguments, "--json"]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "x.zq"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["draws"] == 5
