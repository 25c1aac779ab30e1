"""Packing chunks: the bits of packing everything at once, whatever the chunks, and rows shuffled across them."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from packing import assert_same_parts

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import row_order as order_kernels
from sklearn_zipml._kernels import tiles as kernels
from sklearn_zipml._quantization.column_sketch import ColumnSketch
from sklearn_zipml._quantization.row_sample import RowSample, sampled_rows
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.row_store import RowStore

KINDS = [
    (1, "compensated", "optimal"),
    (2, "double", "optimal"),
    (3, "naive", "uniform"),
    (4, "compensated", "optimal"),
    (6, "nearest", "optimal"),
    (8, "compensated", "uniform"),
]


def data(n=3000, d=19, dtype=np.float32, seed=0):
    """Rows with heavy tails, a one-hot, a constant and an integer column."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) ** 3
    X[:, 0], X[:, 1], X[:, 2] = X[:, 0] > 0, 7, rng.integers(0, 9, n)
    return X.astype(dtype)


def pieces(X, cuts):
    """X cut at some rows."""
    return np.split(X, sorted(cuts))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_chunks_give_what_the_whole_array_gives(kind, dtype):
    """Codes, statistics and levels, bit for bit, for any number of threads."""
    X = data(dtype=dtype)
    bits, sampling, levels = kind
    whole = DoubleSamplingQuantizer(bits, sampling=sampling, levels=levels, random_state=3).fit_transform(X)
    for chunks, n_jobs in (
        (X, 1),
        (pieces(X, [1, 64, 65, 2000]), 2),
        (lambda: iter(pieces(X, range(0, 3000, 333))), 1),
    ):
        packed = PackedMatrix.from_chunks(
            chunks, sample_bits=bits, sampling=sampling, levels=levels, random_state=3, n_jobs=n_jobs
        )
        assert_same_parts(packed, whole)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=12))
def test_any_cuts_beyond_the_sample(cuts):
    """More rows than the sample of rows holds, cut anywhere, empty chunks included."""
    X = data(20_000, 3)
    assert_same_parts(PackedMatrix.from_chunks(pieces(X, cuts), random_state=1), whole_of_20000())


def whole_of_20000(cache=[]):  # noqa: B006
    """The array of the test above, packed at once."""
    if not cache:
        cache.append(DoubleSamplingQuantizer(4, random_state=1).fit_transform(data(20_000, 3)))
    return cache[0]


def test_several_blocks_a_chunk():
    """Chunks larger than the blocks that threads encode."""
    X = np.random.default_rng(0).standard_normal((6000, 300))
    whole = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    for n_jobs in (1, 2, 3):
        assert_same_parts(PackedMatrix.from_chunks([X], sample_bits=2, random_state=0, n_jobs=n_jobs), whole)


def test_sorted_rows_train_as_well():
    """Rows sorted by target, in chunks, reach what shuffled rows reach."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 12))
    y = X @ rng.standard_normal(12) + rng.standard_normal(20_000)
    order = np.argsort(y)
    packed = PackedMatrix.from_chunks(pieces(X[order], range(0, 20_000, 999)), y[order], random_state=0)
    model = ZipMLRegressor(random_state=0).fit(packed)
    whole = ZipMLRegressor(random_state=0).fit(X, y)
    assert model.score(X, y) == pytest.approx(whole.score(X, y), abs=5e-4)
    assert model.n_iter_ <= 2 * whole.n_iter_ + 5
    # tiles are fair samples: the mean target of 64 slots is normal, 5.5 standard errors
    slots = rows_of(packed).order.to_slots(packed.target, 20_032, np.float64)[:20_000]
    means = slots[: 312 * 64].reshape(312, 64).mean(axis=1)
    assert np.abs(means - y.mean()).max() < 5.5 * y.std() / 8


def test_one_pass_on_given_levels():
    """A fitted quantizer makes one pass enough, for a generator too."""
    X = data()
    quantizer = DoubleSamplingQuantizer(4, random_state=0).fit(X)
    packed = PackedMatrix.from_chunks((chunk for chunk in pieces(X, [5, 700])), quantizer=quantizer)
    assert_same_parts(packed, quantizer.quantize(X))


def test_one_pass_without_levels():
    """The first rows give the levels; a warning names columns that leave their range, at the line of the caller."""
    X = data(20_000, 3)
    X[:, 1] = np.linspace(0, 1, 20_000)
    with pytest.warns(UserWarning, match=r"column\(s\) .*1.* outside the range") as record:
        packed = PackedMatrix.from_chunks(iter([X[:17_000], X[17_000:]]), outliers="none", random_state=0)
    assert record[0].filename == __file__
    assert packed.shape == X.shape
    assert np.asarray(packed)[:, 1].max() == pytest.approx(X[16_999, 1])
    apart = PackedMatrix.from_chunks(iter([X[:17_000], X[17_000:]]), random_state=0)
    assert np.asarray(apart)[:, 1].max() == pytest.approx(1, abs=1 / 255)
    whole = PackedMatrix.from_chunks(iter([X]), random_state=0)
    assert_same_parts(whole, PackedMatrix.from_chunks(X, random_state=0))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("once", [False, True])
def test_values_that_are_not_finite(bad, once):
    """Found in any chunk, in one pass or two."""
    X = data(20_000, 3)
    X[19_000, 2] = bad
    chunks = pieces(X, [18_000])
    with pytest.raises(ValueError, match="contains"):
        PackedMatrix.from_chunks(iter(chunks) if once else chunks)


def test_no_rows():
    """One row is enough, none is an error."""
    assert PackedMatrix.from_chunks([np.zeros((0, 3)), np.ones((1, 3))]).shape == (1, 3)
    for source in ([], [np.zeros((0, 3))], iter([])):
        with pytest.raises(ValueError, match="no rows"):
            PackedMatrix.from_chunks(source)


def test_a_source_that_changes():
    """A second pass with other rows is found out."""
    sizes = iter([30, 20])
    with pytest.raises(ValueError, match="30 rows in the first pass and 20 in the second"):
        PackedMatrix.from_chunks(lambda: [np.ones((next(sizes), 2))])


def test_chunks_that_disagree():
    """Another width, another dtype than the levels are for, a missing target."""
    with pytest.raises(ValueError, match="differ in their columns"):
        PackedMatrix.from_chunks([np.ones((3, 2)), np.ones((3, 4))])
    with pytest.raises(ValueError, match="Some chunks have a target"):
        PackedMatrix.from_chunks([(np.ones((3, 2)), np.ones(3)), np.ones((3, 2))])
    quantizer = DoubleSamplingQuantizer().fit(data(50, 4))
    with pytest.raises(ValueError, match="same dtype"):
        PackedMatrix.from_chunks([data(50, 4, np.float64)], quantizer=quantizer)
    with pytest.raises(ValueError, match="2 columns where 4"):
        PackedMatrix.from_chunks([np.ones((3, 2))], quantizer=quantizer)


def test_mixed_dtypes():
    """Two passes take the widest dtype there is."""
    X = data(500, 4, np.float64)
    packed = PackedMatrix.from_chunks([X[:100].astype(np.float32), X[100:]], random_state=0)
    assert packed.dtype == np.float64


@pytest.mark.parametrize("settings", [{"sample_bits": 9}, {"sampling": "no"}, {"levels": "no"}])
def test_settings_are_checked(settings):
    """By the same rules as the quantizer's."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        PackedMatrix.from_chunks(data(), **settings)


# The sketch


def test_sketch_leaves_nothing_changed_by_bad_rows():
    """A chunk with NaN is refused whole."""
    sketch = ColumnSketch(2, 0)
    sketch.update(np.array([[1.0, 2.0]]))
    with pytest.raises(ValueError, match="NaN"):
        sketch.update(np.array([[9.0, 9.0], [np.nan, 0.0]]))
    assert sketch.n_rows == 1
    np.testing.assert_array_equal(sketch.high, [1, 2])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 90), min_size=1, max_size=9), st.integers(0, 2**64 - 1))
def test_row_sample_is_the_same_for_all_chunks(size, lengths, seed):
    """The rows of smallest priority, in their order."""
    n = sum(lengths)
    X = np.arange(float(n))[:, None]
    sample = RowSample(size, seed)
    for chunk in np.split(X, np.cumsum(lengths)[:-1]):
        sample.offer(chunk)
    keys = reference.mix64(np.arange(n, dtype=np.uint64) + np.uint64(seed))
    expected = np.sort(np.argsort(keys)[:size])
    np.testing.assert_array_equal(sample.values()[:, 0], expected)
    np.testing.assert_array_equal(sampled_rows(n, size, seed), expected)
    assert sample.n_seen == n


def test_row_sample_is_uniform():
    """Each third of the rows has its share: binomial, 5.5 standard deviations."""
    rows = sampled_rows(3_000_000, 3000, 12345)
    counts = np.bincount(rows // 1_000_000, minlength=3)
    assert np.abs(counts - 1000).max() < 5.5 * np.sqrt(1000 * 2 / 3)


# The store of rows


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("d", [1, 16, 17, 48, 130])
def test_rows_and_tiles_are_the_same_bits(width, d):
    """Tiles -> rows -> tiles, and a row holds its codes only."""
    rng = np.random.default_rng(0)
    n, padded = 200, kernels.padded_columns(d)
    size = kernels.row_bytes(d, width)
    assert 64 * size == kernels.tile_bytes(d, width)
    rows = rng.integers(0, 256, (256, size), dtype=np.uint8)
    tiles = rows.copy()
    kernels.rows_to_tiles(tiles, d, width)
    tiles = tiles.reshape(4, -1)
    back = np.zeros((n, size), dtype=np.uint8)
    kernels.tiles_to_rows(tiles, d, width, back)
    np.testing.assert_array_equal(back, rows[:n])
    if width < 8:
        table = np.tile(np.arange(1 << width, dtype=np.uint8), (padded, 1)).reshape(-1)
    else:
        table = np.zeros(0, dtype=np.uint8)
    positions = kernels.Tiles(tiles, table, 256, padded, width).positions(0, 4)
    np.testing.assert_array_equal(np.sort(positions, axis=1).sum(axis=1), sum_of_codes(rows, width))


def sum_of_codes(rows, width):
    """Sum of the codes of packed rows, in whatever order they are."""
    mask = (1 << width) - 1
    return sum(((rows >> shift) & mask).astype(int).sum(axis=1) for shift in range(0, 8, width))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 63, 64, 65, 1000])
def test_shuffling_in_place(n):
    """The permutation of RowOrder, on rows of an odd size."""
    rows = np.random.default_rng(n).integers(0, 256, (n, 7), dtype=np.uint8)
    shuffled = rows.copy()
    order_kernels.shuffle_rows(shuffled, 99)
    np.testing.assert_array_equal(shuffled, rows[order_kernels.permutation(n, 99, 0, n)])


@pytest.mark.parametrize("capacity", [0, 10, 5000])
def test_store_grows(capacity):
    """Rows survive every growth; tiles start on a line and their padding is empty."""
    store = RowStore(33, 4, capacity)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (3001, kernels.row_bytes(33, 4)), dtype=np.uint8)
    for part in np.split(rows, [1, 2, 500, 501, 2900]):
        store.append(len(part))[...] = part
    tiles = store.into_tiles(5, fixed=3)
    assert tiles.ctypes.data % 64 == 0
    back = np.zeros((len(tiles) * 64, rows.shape[1]), dtype=np.uint8)
    kernels.tiles_to_rows(tiles, 33, 4, back)
    np.testing.assert_array_equal(back[:3], rows[:3])
    np.testing.assert_array_equal(back[3:3001], rows[3:][order_kernels.permutation(2998, 5, 0, 2998)])
    assert not back[3001:].any()


def test_rows_of_known_number_stay_where_they_are():
    """The last tile's padding must not move the store: it would be held twice."""
    store = RowStore(1024, 8, 10_001)
    place = store.append(10_001).ctypes.data
    tiles = store.into_tiles(3)
    assert tiles.ctypes.data == place


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_integers_that_are_codes_among_rows_that_are_rounded(bits):
    """Chunks of integers stand on their levels; with others beside them all is as if they had come as floats."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 1 << bits, size=(300, 5))
    whole[:2] = [[0], [(1 << bits) - 1]]
    rounded = rng.uniform(0, (1 << bits) - 1, size=(200, 5))
    quantizer = DoubleSamplingQuantizer(bits, levels="uniform", outliers="none", random_state=0).fit(
        whole.astype(float)
    )
    found, expected = (
        PackedMatrix.from_chunks([chunk, rounded], quantizer=quantizer, random_state=1)
        for chunk in (whole.astype(np.int16), whole.astype(float))
    )
    assert_array_equal(np.asarray(found), np.asarray(expected))
    assert_allclose(found.rounding_variance, expected.rounding_variance, rtol=1e-6)
    assert found.rounding_variance.min() > 0
    for name in ("mean", "deviation"):
        assert_allclose(getattr(rows_of(found), name), getattr(rows_of(expected), name), rtol=2e-3)
