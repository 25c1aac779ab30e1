"""The container: layout, memory, indexing, copies, requantizing, row order.

Statistical tests state their error rate; seeds are fixed, so they pass or fail for good.
"""

import copy
import pickle

import joblib
import numpy as np
import pytest
import reference
from packed_matrices import ERROR_RATE, SAMPLINGS, make
from packing import assert_same_parts, pack
from scipy import stats

from sklearn_zipml._kernels import dispatch
from sklearn_zipml._kernels import row_order as order_kernels
from sklearn_zipml._packed_matrix import PackedMatrix
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.row_order import RowOrder
from sklearn_zipml._storage.tiles import aligned_tiles

KINDS = [(sampling, bits) for sampling in SAMPLINGS for bits in range(1, 9) if (sampling, bits) != ("double", 1)]


# Layout and memory


@pytest.mark.parametrize(("sampling", "bits"), KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (63, 16), (64, 15), (65, 17), (130, 1)])
def test_round_trip(sampling, bits, shape):
    """Levels come back, for odd shapes, whole and row by row."""
    n, d = shape
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=shape) * rng.uniform(1, 2, d)  # two values a column: stored without loss
    packed = pack(X, Scheme.of(bits, sampling, "optimal"), 0)
    assert packed.shape == shape and len(packed) == n and packed.size == n * d and packed.ndim == 2
    np.testing.assert_allclose(np.asarray(packed), X, rtol=1e-15)
    np.testing.assert_array_equal(np.array(list(packed)), np.asarray(packed))
    scheme = rows_of(packed).scheme
    columns = reference.padded(d + 8 if scheme.is_dithered else d)  # seeds of rows take 8 columns of codes
    assert rows_of(packed).codes.shape == (-(-n // 64), columns * 64 * scheme.width // 8)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_layout_is_the_definition(bits):
    """Byte and shift of every element, as tile.h defines them; padding holds zeros."""
    packed = make(n=100, d=19, bits=bits)
    raw = np.asarray(rows_of(packed).codes)
    positions, table = rows_of(packed).tiles.positions(0, 2), rows_of(packed).table
    seen = np.zeros(raw.shape, dtype=np.uint8)
    for row in range(100):
        for column in range(19):
            byte, shift = reference.place(row % 64, column, bits)
            code = raw[row // 64, byte] >> shift & ((1 << bits) - 1)
            assert (table[column, code] if bits < 8 else code) == positions[row, column]
            assert not seen[row // 64, byte] >> shift & 1
            seen[row // 64, byte] |= ((1 << bits) - 1) << shift
    np.testing.assert_array_equal(raw & ~seen, 0)


def test_tiles_start_on_a_line():
    """So that a register never straddles two cache lines."""
    for n, d, width in [(1, 1, 1), (1000, 33, 2), (64, 16, 32)]:
        tiles = aligned_tiles(n, d, width)
        assert tiles.ctypes.data % 64 == 0 and not tiles.any()
    assert rows_of(make()).codes.ctypes.data % 64 == 0


@pytest.mark.parametrize("d", [16, 64, 512])
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_memory(d, width):
    """Within 2 % and 64 KiB of the codes alone."""
    X = np.random.default_rng(0).normal(size=(10_000, d)).astype(np.float32)
    packed = pack(X, Scheme.of(width, "compensated", "uniform"), 0)
    assert packed.nbytes <= 10_000 * d * width / 8 * 1.02 + (1 << 16)
    assert packed.nbytes >= 10_000 * d * width / 8


# Rows and columns


ROW_KEYS = {
    "all": slice(None),
    "slice": slice(10, 90),
    "step": slice(5, 140, 7),
    "backwards": slice(None, None, -1),
    "negative step": slice(120, 3, -4),
    "from the end": slice(-20, None),
    "past the end": slice(100, 1000),
    "empty slice": slice(50, 50),
    "integers": [3, 1, 149, 3, 3],
    "negative integers": np.array([-1, -150, 5]),
    "unsigned": np.array([1, 2, 200 - 55], dtype=np.uint8),
    "many": np.random.default_rng(0).integers(-150, 150, 1000),
    "mask": np.random.default_rng(0).uniform(size=150) < 0.4,
    "list mask": [True, False] * 75,
    "no mask": np.zeros(150, dtype=bool),
    "no integers": [],
    "ellipsis": Ellipsis,
}


@pytest.mark.parametrize("name", ROW_KEYS)
@pytest.mark.parametrize(("sampling", "bits"), [("compensated", 1), ("double", 2), ("naive", 3), ("compensated", 8)])
def test_rows_are_those_of_the_decoded_array(name, sampling, bits):
    """And they are packed again, with statistics of their own."""
    packed, key = make(bits=bits, sampling=sampling), ROW_KEYS[name]
    decoded = np.asarray(packed)
    for taken in (
        (packed[key], packed[key, :], packed[key, ...]) if key is not Ellipsis else (packed[key], packed[key, :])
    ):
        assert isinstance(taken, PackedMatrix)
        assert (taken.sample_bits, taken.sampling, taken.dtype) == (bits, sampling, packed.dtype)
        np.testing.assert_array_equal(np.asarray(taken), decoded[key])
    if len(taken):
        np.testing.assert_allclose(
            rows_of(taken).mean * rows_of(taken).step + rows_of(taken).offset, decoded[key].mean(axis=0), atol=1e-4
        )
        np.testing.assert_allclose(rows_of(taken).deviation * rows_of(taken).step, decoded[key].std(axis=0), atol=1e-4)
        again = taken[::-1]
        np.testing.assert_array_equal(np.asarray(again), decoded[key][::-1])


@pytest.mark.parametrize("columns", [0, -1, [2], [3, 0], slice(1, 17, 5), np.arange(18) % 9 == 0, np.int64(4)])
@pytest.mark.parametrize("rows", [slice(None), slice(3, 80, 2), [5, 1], 7, -1, np.int32(3)], ids=str)
def test_two_keys(rows, columns):
    """The values that NumPy picks; packed, where one key is a slice and neither is a number."""
    packed = make()
    picked, numbers = packed[rows, columns], isinstance(rows, int | np.integer) or isinstance(columns, int | np.integer)
    stays = not numbers and (isinstance(rows, slice) or isinstance(columns, slice))
    assert isinstance(picked, PackedMatrix if stays else np.ndarray | np.generic)
    np.testing.assert_array_equal(np.asarray(picked), np.asarray(packed)[rows, columns])
    np.testing.assert_array_equal(np.asarray(packed[..., columns]), np.asarray(packed)[:, columns])


def test_a_row_decodes():
    """An integer gives a row."""
    packed = make()
    for i in (0, -1, 149, np.int64(17)):
        assert packed[i].shape == (18,) and packed[i].dtype == packed.dtype
        np.testing.assert_array_equal(packed[i], np.asarray(packed)[i])
        np.testing.assert_array_equal(packed[i, :], np.asarray(packed)[i])
        np.testing.assert_array_equal(packed[i, ...], np.asarray(packed)[i])


@pytest.mark.parametrize(
    "key",
    [
        150,
        -151,
        [0, 150],
        [-151],
        (0, 18),
        (0, -19),
        (slice(None), 18),
        (slice(None), [0, 18]),
        (0, 0, 0),
        1.5,
        "a",
        None,
        True,
        np.True_,
        [0.5],
        np.ones(149, dtype=bool),
        np.ones((150, 1), dtype=bool),
        [[0, 1], [2, 3]],
    ],
    ids=repr,
)
def test_bad_keys(key):
    """All are IndexError, as in numpy."""
    with pytest.raises(IndexError):
        make()[key]


def test_statistics_of_a_subset():
    """The rounding variance of rows is the mean of what their codes stand for."""
    X = np.random.default_rng(0).gamma(1.0, size=(20_000, 2))
    packed = pack(X, Scheme.of(2, "compensated", "optimal"), 0)
    low = np.flatnonzero(X[:, 0] < 0.5)
    taken = packed[low]
    actual = ((np.asarray(taken) - X[low]) ** 2).mean(axis=0)
    # column 1 is independent of the choice of rows; 8 % is above five standard errors
    np.testing.assert_allclose((taken.rounding_variance)[1], actual[1], rtol=0.08)
    np.testing.assert_allclose(rows_of(packed[::-1]).rounding_variance, rows_of(packed).rounding_variance, rtol=2e-3)


# An array to numpy, an immutable value to Python


def test_asarray():
    """dtype and copy follow numpy's protocol."""
    packed = make()
    assert packed.dtype == np.float64 and np.asarray(packed).dtype == np.float64
    single = np.asarray(packed, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, np.asarray(packed), rtol=1e-6, atol=1e-6)
    assert np.array(packed, copy=True).flags.writeable and np.array(packed, copy=None).shape == packed.shape
    with pytest.raises(ValueError, match="cannot be decoded without a copy"):
        np.array(packed, copy=False)
    with pytest.raises(ValueError, match="cannot be decoded without a copy"):
        np.asarray(packed, copy=False)
    assert np.asarray(pack(np.eye(3, dtype=np.float32), Scheme.of(2, "naive", "optimal"), 0)).dtype == np.float32


def test_repr():
    """Everything a reader wants, in one line."""
    text = repr(make(n=1000, d=16, bits=4))
    for part in (
        "PackedMatrix(",
        "(1000, 16)",
        "sample_bits=4",
        "'compensated'",
        "'optimal'",
        "float64",
        "KiB",
        "x smaller",
    ):
        assert part in text
    assert "\n" not in text


def test_equality():
    """Same values, kind and dtype; the order inside does not matter."""
    packed = make()
    assert packed == make() and not packed != make()
    assert packed[::-1][::-1] == packed
    assert packed != make(seed=1) and packed != make(bits=4) and packed != make(sampling="naive")
    assert packed != packed[:-1] and packed != packed[::-1]
    assert packed != "packed"
    with pytest.raises(TypeError, match="unhashable"):
        hash(packed)


def test_immutability():
    """Neither attributes nor arrays can be changed."""
    packed = make()
    for name in ("shape", "sample_bits", "_rows", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(packed, name, 1)
    with pytest.raises((AttributeError, TypeError)):
        del packed.shape
    rows = rows_of(packed)
    for name in ("codes", "table", "mean", "rounding_variance", "offset", "step"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(rows, name)[...] = 0
        with pytest.raises(AttributeError):
            setattr(rows, name, getattr(rows, name))
    with pytest.raises(TypeError):
        packed[0] = 1


def assert_same(a, b):
    """Equal in every part, and both still work."""
    assert a == b
    assert_same_parts(a, b)
    np.testing.assert_array_equal(np.asarray(a[5:77]), np.asarray(b[5:77]))
    if a.sample_bits > 2:
        assert a.requantize(2, random_state=0) == b.requantize(2, random_state=0)


@pytest.mark.parametrize(("sampling", "bits"), [("double", 2), ("compensated", 6), ("naive", 8)])
def test_copies(sampling, bits, tmp_path):
    """pickle of every protocol, copy, deepcopy, joblib with and without a memory map."""
    packed = make(bits=bits, sampling=sampling)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert_same(pickle.loads(pickle.dumps(packed, protocol)), packed)
    assert_same(copy.copy(packed), packed)
    assert_same(copy.deepcopy(packed), packed)
    joblib.dump(packed, tmp_path / "packed.joblib")
    for mode in (None, "r", "c", "r+"):
        loaded = joblib.load(tmp_path / "packed.joblib", mmap_mode=mode)
        assert_same(loaded, packed)
        assert not rows_of(loaded).codes.flags.writeable
        del loaded
    joblib.dump(packed, tmp_path / "packed.z", compress=3)
    assert_same(joblib.load(tmp_path / "packed.z"), packed)


def test_a_newer_format_is_refused():
    """By name, not by a crash."""
    restore, (version, parts) = make().__reduce__()
    with pytest.raises(ValueError, match=f"format {version + 1}"):
        restore(version + 1, parts)


# Row order


@pytest.mark.parametrize("n", [*range(1, 201), 10**5])
def test_row_order_is_a_permutation(n):
    """The twin's, whole or in parts, with its inverse."""
    seed = int(reference.mix64(n))
    order = RowOrder(n, seed)
    rows = order.rows()
    np.testing.assert_array_equal(rows, reference.row_order(n, seed))
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))
    np.testing.assert_array_equal(order.slots(rows), np.arange(n))
    np.testing.assert_array_equal(rows[order.slots(np.arange(n))], np.arange(n))
    np.testing.assert_array_equal(order.rows(n // 3, n // 2), rows[n // 3 : n // 2])
    np.testing.assert_array_equal(order.rows(n // 2, 2 * n), rows[n // 2 :])
    values = np.arange(2.0 * n).reshape(2, n)
    slots = order.to_slots(values, n + 5, np.float64)
    np.testing.assert_array_equal(slots[:, :n], values[:, rows])
    assert not slots[:, n:].any()
    np.testing.assert_array_equal(order.to_rows(slots), values)


def test_row_order_mixes():
    """The first of 100 slots is uniform over the rows: chi-squared over 20000 seeds, error rate 1e-6."""
    first = [int(order_kernels.permutation(100, seed * 7919, 0, 1)[0]) for seed in range(20_000)]
    statistic, p = stats.chisquare(np.bincount(first, minlength=100))
    assert p > ERROR_RATE, statistic
    slots = RowOrder(10**4, 5).rows()
    # 10^4 labels sorted: the correlation of slot and row is normal with standard deviation 1/100; error rate 1e-6
    assert abs(np.corrcoef(slots, np.arange(10**4))[0, 1]) < 0.049


@pytest.mark.parametrize("bits", [2, 8])
def test_statistics_of_taken_rows_are_made_when_asked_for(bits):
    """Of its own rows, the same whether a copy has been pickled, requantized or trained on before."""
    X = np.random.default_rng(0).normal(size=(500, 7)) ** 3
    packed = pack(X, Scheme.of(bits, "compensated", "optimal"), 0)
    rows = np.arange(0, 500, 3)
    taken, again = packed[rows], packed[rows][:]
    assert "mean" not in rows_of(taken).known
    positions = rows_of(taken).tiles.positions(0, rows_of(taken).tiles.n_tiles).astype(np.float64)
    np.testing.assert_allclose(rows_of(taken).mean, positions.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(rows_of(taken).deviation, positions.std(axis=0), rtol=1e-6)
    for other in (again, pickle.loads(pickle.dumps(packed[rows]))):
        for name in ("mean", "deviation", "rounding_variance"):
            np.testing.assert_array_equal(getattr(rows_of(taken), name), getattr(rows_of(other), name))
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = taken.missing


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_counts_of_tiles_add_up(bits):
    """Those of ranges of tiles, the last one not full, to those of the decoded codes."""
    X = np.random.default_rng(0).normal(size=(300, 3))
    tiles = rows_of(pack(X, Scheme.of(bits, "compensated", "optimal"), 0)).tiles
    parts = [tiles.counts(first, first + 2) for first in range(0, 6, 2)]
    np.testing.assert_array_equal(sum(parts), tiles.counts())
    np.testing.assert_array_equal(tiles.counts(4), parts[2])
    assert parts[2].sum() == 3 * (300 - 4 * 64)


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("shape", [(300, 3), (1, 1), (130, 300), (64 * 4096 + 70, 1)])
def test_sums_of_bytes(kernels, shape):
    """Are those of the decoded codes, exactly: more columns than a block, more tiles than lanes hold."""
    positions = np.random.default_rng(0).integers(0, 256, size=shape)
    packed = pack(positions, Scheme.of(8, "nearest", "optimal"), 0)
    with dispatch.kernels(kernels):
        found = rows_of(packed).tiles.sums(0, rows_of(packed).tiles.n_tiles)
        first = rows_of(packed).tiles.sums(0, 1)
    positions = rows_of(packed).tiles.positions(0, rows_of(packed).tiles.n_tiles).astype(np.uint64)
    np.testing.assert_array_equal(found, [positions.sum(axis=0), (positions**2).sum(axis=0)])
    np.testing.assert_array_equal(first[0], positions[:64].sum(axis=0))
    with pytest.raises(ValueError, match="codes of 4 bits"):
        rows_of(make(bits=4)).tiles.sums(0, 1)


@pytest.mark.parametrize("bits", [-1, 0, 2.5, "4", None])
def test_widths_that_are_none(bits):
    packed = PackedMatrix.from_chunks(np.eye(5), random_state=0)
    with pytest.raises(ValueError, match=f"'sample_bits' parameter of PackedMatrix.requantize .* Got {bits!r}"):
        packed.requantize(bits)


def test_parts_by_their_names_in_files():
    """Scripts for earlier versions read them; no other name is made up, and none of an object that is not set up."""
    packed = PackedMatrix.from_chunks(np.random.default_rng(0).normal(size=(100, 3)), sample_bits=2, random_state=0)
    np.testing.assert_array_equal(packed._used, rows_of(packed).parts()["used"])
    assert not any(hasattr(packed, name) for name in ("xmean", "_xmean", "__len_hint__"))
    assert not hasattr(PackedMatrix.__new__(PackedMatrix), "_used")
