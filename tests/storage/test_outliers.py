"""Outliers kept apart from codes: what they decode to, in every operation."""

import pickle

import numpy as np
import pytest
import reference
from outlying import SHAPES, beyond, packed_rows, rows, scheme, values_of
from packing import assert_same_parts, pack, pack_on_grid

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
from sklearn_zipml._kernels.dispatch import available_kernels, kernels
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.outliers import Outliers
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted

BITS = [1, 2, 3, 4, 8]


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels(request.param):
        yield request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", BITS)
def test_values_beyond_the_levels_are_within_a_step(bits, dtype):
    """They decode to a neighbour on the grid, continued; all others to one of their levels."""
    X = rows(dtype=dtype)
    packed = pack(X, scheme(bits), 0)
    own, decoded = rows_of(packed), np.asarray(packed, dtype=np.float64)
    outside = beyond(X, own)
    steps = np.abs(decoded - X) / own.step
    assert outside[:, 2::5].any(axis=0).all()
    assert (steps[outside] <= 1 + 1e-5).all()
    levels = (decoded - own.offset) / own.step
    assert ((levels[~outside] > -1e-6) & (levels[~outside] < np.broadcast_to(own.top, X.shape)[~outside] + 1e-6)).all()
    share = outside.mean(axis=0)
    assert share.max() <= 1 / 100
    assert not outside[:, 3::5].any()
    assert not outside[:, 4::5].any()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rounding_variance_is_as_drawn_and_less(bits):
    """D of every column is the mean squared error of what is stored; smaller than with levels for everything."""
    X = rows(20_000, 10)
    packed, plain = pack(X, scheme(bits), 0), pack(X, Scheme.of(bits, "compensated", "optimal"), 0)
    error = ((np.asarray(packed) - X) ** 2).mean(axis=0)
    np.testing.assert_allclose(packed.rounding_variance, error, rtol=2e-3, atol=1e-12)
    with_outliers = np.unique(rows_of(packed).samples.outliers.decoded()[1])
    assert {0, 1, 2} <= set(with_outliers.tolist())
    ratio = packed.rounding_variance[with_outliers] / plain.rounding_variance[with_outliers]
    assert (ratio < 0.9).all()
    others = np.setdiff1d(np.arange(10), with_outliers)
    np.testing.assert_array_equal(packed.rounding_variance[others] == 0, plain.rounding_variance[others] == 0)


def test_unbiased():
    """The mean over draws is the value, at an error rate of 1e-6 for all values together (Bernstein's inequality)."""
    X, draws = rows(600, 6), 400
    grid = DoubleSamplingQuantizer(2, sampling="compensated", random_state=0).fit(X).__zipml_packing__()[0]
    total = sum(np.asarray(pack_on_grid(X, grid, seed)) - X for seed in range(draws))
    places = (X - grid.offset) / grid.step
    low, high = np.floor(places), np.floor(places) + 1  # outliers go to neighbours on the grid
    inside = ~beyond(X, grid)
    assert (~inside).sum() > 3
    for j, (levels, used) in enumerate(zip(grid.levels, grid.used, strict=True)):
        own = levels[:used].astype(float)
        k = np.clip(np.searchsorted(own, places[:, j], side="right"), 1, used - 1) if used > 1 else 0
        low[:, j] = np.where(inside[:, j], own[k - 1] if used > 1 else 0, low[:, j])
        high[:, j] = np.where(inside[:, j], own[k], high[:, j])
    variance, rate = (high - places) * (places - low), np.log(2 * X.size / 1e-6)
    variance, gap = np.maximum(variance, 0), high - low
    bound = np.sqrt(2 * draws * variance * rate) + gap * rate / 3
    # coordinates are whole parts of 1/256 of a step, and chances of 1/32768
    assert (np.abs(total / grid.step) <= bound + draws * (1 / 512 + gap / 65536)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_twin(force, bits, dtype):
    """Codes, differences and moments of the slow twin, exactly."""
    X = rows(1000, 20, dtype=dtype)
    grid, _ = DoubleSamplingQuantizer(bits, sampling="compensated", random_state=0).fit(X).__zipml_packing__()
    grid = grid.watching_all()
    X[::7] *= dtype(2)
    packed = rows_of(pack_on_grid(X, grid, 5))
    _, positions = reference.encode(X, grid, "compensated", 5)
    expected = positions + reference.outliers(X, grid, 5)
    found = np.empty(X.shape, dtype=np.int64)
    found[packed.order.rows()] = packed.tiles.positions(0, packed.tiles.n_tiles)
    np.testing.assert_array_equal(found, expected)
    assert (expected != positions).any(axis=0)[:3].all()


def test_draws_do_not_depend_on_place():
    """Rows in other orders, blocks and threads have the same outliers."""
    X = rows(2000, 20)
    whole = DoubleSamplingQuantizer(2, random_state=3).fit(X)
    grid, seed = whole.__zipml_packing__()
    some = np.random.default_rng(1).permutation(2000)[:777]
    for n_jobs in (1, 2):
        part = pack_on_grid(X[some], grid, seed, n_jobs=n_jobs)
        np.testing.assert_array_equal(np.asarray(part), np.asarray(pack_on_grid(X, grid, seed))[some])
    order = np.asfortranarray(X)
    np.testing.assert_array_equal(np.asarray(pack_on_grid(order, grid, seed)), np.asarray(pack_on_grid(X, grid, seed)))


def test_same_on_all_kernels():
    X = rows(1500, 30).astype(np.float32)
    made = []
    for name in available_kernels():
        with kernels(name):
            made.append(pack(X, scheme(2), 0))
    for other in made[1:]:
        assert_same_parts(made[0], other)
        assert made[0] == other


@pytest.mark.parametrize("bits", [2, 4])
def test_chunks(bits):
    """Two passes over chunks give the codes, outliers and statistics of the whole array."""
    X = rows(12_000, 12)
    whole = DoubleSamplingQuantizer(bits, random_state=0).fit_transform(X)
    for cuts in ([], [1, 5000], [64, 128, 9000]):
        chunks = PackedMatrix.from_chunks(np.split(X, cuts), sample_bits=bits, random_state=0)
        assert_same_parts(chunks, whole)
        assert chunks == whole
    once = PackedMatrix.from_chunks(iter(np.split(X, [9000])), sample_bits=bits, random_state=0)
    grid = rows_of(once)
    outside = beyond(X, grid)
    assert (np.abs(np.asarray(once) - X)[outside] <= (1 + 1e-5) * np.broadcast_to(grid.step, X.shape)[outside]).all()


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("bits", [2, 8])
def test_containers(n, d, bits):
    """Rows and columns taken, joined, pickled and saved decode to what the whole decodes to."""
    packed = matrix_of(packed_rows(n, d, bits))
    values, rng = np.asarray(packed), np.random.default_rng(0)
    for rows_taken in (
        np.arange(0, n, 2),
        rng.permutation(n),
        rng.integers(0, n, n // 2),
        np.arange(10),
        rng.permutation(n)[: n // 20],
    ):
        np.testing.assert_array_equal(np.asarray(packed[rows_taken]), values[rows_taken])
        np.testing.assert_array_equal(np.asarray(packed[rows_taken][::3]), values[rows_taken][::3])
    columns = rng.integers(0, d, 2 * d)
    np.testing.assert_array_equal(np.asarray(packed[:, columns]), values[:, columns])
    np.testing.assert_array_equal(np.asarray(packed[::2][:, columns]), values[::2][:, columns])
    wide = PackedMatrix.hstack([packed[:, :3], packed, packed[:, ::-1]])
    np.testing.assert_array_equal(np.asarray(wide), np.hstack([values[:, :3], values, values[:, ::-1]]))
    other = packed[rng.permutation(n)]
    np.testing.assert_array_equal(np.asarray(PackedMatrix.hstack([other, other])), np.hstack([np.asarray(other)] * 2))
    tall = PackedMatrix.vstack([packed[: n // 2], packed[::3], packed[n // 2 :]])
    np.testing.assert_array_equal(np.asarray(tall), np.vstack([values[: n // 2], values[::3], values[n // 2 :]]))
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert packed != packed[::-1]


@pytest.mark.parametrize("mmap", [True, False])
def test_files(tmp_path, mmap):
    packed = matrix_of(packed_rows())
    packed.save(tmp_path / "rows.zq")
    loaded = PackedMatrix.load(tmp_path / "rows.zq", mmap=mmap)
    assert loaded == packed
    assert loaded.nbytes == packed.nbytes
    taken = loaded[::2]
    taken.save(tmp_path / "half.zq")
    np.testing.assert_array_equal(np.asarray(PackedMatrix.load(tmp_path / "half.zq")), np.asarray(packed)[::2])


@pytest.mark.parametrize("first", [100, 640, 3000])
def test_append(tmp_path, first):
    """What is appended beyond the levels is kept apart, without a warning, also where a file has no outliers yet."""
    X = rows()
    packed = PackedMatrix.from_chunks(X[:first], sample_bits=2, random_state=0)
    packed.save(tmp_path / "rows.zq")
    more = np.vstack([X[:50], 3 * X[50:700] + 1])
    more[:, 3::5] = X[:700, 3::5]
    more[:, 2::5] = X[np.arange(700) % 50, 2::5]  # three times these would be too far for differences
    longer = PackedMatrix.append(tmp_path / "rows.zq", more, random_state=1)
    np.testing.assert_array_equal(np.asarray(longer)[:first], np.asarray(packed))
    own, decoded = rows_of(longer), np.asarray(longer)[first:]
    outside = beyond(more, own)
    assert outside.mean() > 0.01
    assert (np.abs(decoded - more) <= (1 + 1e-6) * own.step)[outside].all()
    everything = np.vstack([X[:first], more])
    error = ((np.asarray(longer) - everything) ** 2).mean(axis=0)
    np.testing.assert_allclose(longer.rounding_variance, error, rtol=5e-3, atol=1e-9)
    np.testing.assert_allclose(own.offset + own.step * own.mean, np.asarray(longer).mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(own.step * own.deviation, np.asarray(longer).std(axis=0), rtol=1e-4)


@pytest.mark.parametrize(("before", "after"), [(8, 2), (4, 2), (3, 1), (6, 3)])
def test_requantize(before, after):
    """Outliers stay what they are, and only they."""
    packed = matrix_of(packed_rows(bits=before))
    for source in (packed, packed[::2], packed[np.random.default_rng(0).permutation(3000)]):
        narrow = source.requantize(after, sampling="compensated", random_state=0)
        own, values = rows_of(narrow), np.asarray(source)
        slots, columns, _ = own.samples.outliers.decoded()
        places = own.order.rows()[slots], columns
        np.testing.assert_allclose(np.asarray(narrow)[places], values[places], rtol=1e-12)
        np.testing.assert_allclose(own.step * own.deviation, np.asarray(narrow).std(axis=0), rtol=1e-4, atol=1e-9)
        mean = own.offset + own.step * own.mean
        np.testing.assert_allclose(mean, np.asarray(narrow).mean(axis=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("with_weights", [False, True])
def test_statistics(bits, with_weights):
    packed = packed_rows(bits=bits)
    weights = np.random.default_rng(0).uniform(0.5, 2, 47 * 64) if with_weights else None
    values = values_of(packed)
    own = None if weights is None else weights[:3000]
    mean, deviation, _ = weighted(packed, weights)
    np.testing.assert_allclose(mean, np.average(values, axis=0, weights=own), rtol=1e-9)
    about = np.average((values - mean) ** 2, axis=0, weights=own)
    np.testing.assert_allclose(deviation, np.sqrt(about), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(packed.mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(packed.deviation, values.std(axis=0), rtol=1e-5, atol=1e-6)


def test_none_where_it_does_not_pay():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, 5000), rng.integers(0, 200, 5000), rng.uniform(size=5000)]).astype(float)
    packed = pack(X, scheme(2), 0)
    assert rows_of(packed).samples.outliers is None
    assert_same_parts(packed, pack(X, Scheme.of(2, "compensated", "optimal"), 0))
    gaussian = rng.standard_normal((5000, 3))
    assert rows_of(pack(gaussian, scheme(8), 0)).samples.outliers is None
    others = [("naive", "optimal"), ("nearest", "optimal"), ("double", "optimal"), ("compensated", "uniform")]
    for sampling, levels in others:
        settled = Scheme.of(2, sampling, levels, outliers="auto")
        assert rows_of(pack(gaussian, settled, 0)).samples.outliers is None


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_huge_outliers_are_harmless(bits):
    """A glitch of 30,000 deviations leaves the others the levels they have without it; one of 1e30 leaves a warning."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 2))
    X[7, 0] = 600.0
    packed = pack(X, scheme(bits), 0)
    clean = pack(np.delete(X, 7, axis=0), scheme(bits), 0)
    assert packed.rounding_variance[0] < 1.2 * clean.rounding_variance[0]
    assert abs(np.asarray(packed)[7, 0] - 600) < rows_of(packed).step[0]


def test_bits_a_value():
    """All in: 2.15 bits at 2 bits."""
    X = np.random.default_rng(0).standard_normal((20_000, 96)).astype(np.float32)
    packed = pack(X, scheme(2), 0)
    assert 2.05 < 8 * packed.nbytes / X.size < 2.15


def test_taken_of_nothing():
    packed = packed_rows()
    outliers = packed.samples.outliers
    assert outliers.taken(np.empty(0, dtype=np.int64)) is None
    assert Outliers.of_keys(np.empty(0, dtype=np.uint64), 3, 5) is None
