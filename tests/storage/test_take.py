"""Rows taken out of a container: the values, the order they stand in, and what is done with them."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from packing import assert_same_parts, pack

from sklearn_zipml import PackedMatrix, ZipMLRegressor
from sklearn_zipml._estimators.predict import linear_predictions
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.duplicates import of_subset
from sklearn_zipml._storage.file_reader import load
from sklearn_zipml._storage.packed_rows import PackedRows, rows_of
from sklearn_zipml._storage.row_order import RowOrder

WIDTHS = [1, 2, 4, 8]
# of which rows take 64 bytes or a little more, with columns that fill no line
COLUMNS = {1: 517, 2: 260, 4: 130, 8: 67}


def wide(n, bits, seed=0):
    """A container whose rows are long enough to stay in order, and its values."""
    X = np.random.default_rng(seed).normal(size=(n, COLUMNS[bits])).astype(np.float32)
    packed = pack(X, Scheme.of(bits, "compensated", "optimal"), seed)
    return packed, np.asarray(packed)


def selections(n):
    """Distinct rows, more than an eighth."""
    rng = np.random.default_rng(1)
    yield np.arange(n)
    yield np.delete(np.arange(n), slice(n // 5, 2 * n // 5))
    yield rng.permutation(n)[: n // 2]
    yield rng.permutation(n)[: -(-n // 8)]
    yield np.arange(n)[::-1]


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
def test_distinct_rows_keep_their_order(kernels, bits, n):
    """Row i is the one that was asked for; slots are those of the source without the others."""
    packed, values = wide(n, bits)
    own = rows_of(packed).order.rows()
    for rows in filter(len, selections(n)):
        with dispatch.kernels(kernels):
            taken = packed[rows]
        np.testing.assert_array_equal(np.asarray(taken), values[rows])
        np.testing.assert_array_equal(rows[rows_of(taken).order.rows()], own[np.isin(own, rows)])
        assert rows_of(taken).order.listed.dtype == np.int32 and not rows_of(taken).order.listed.flags.writeable
        assert taken.nbytes - packed[rows[:0]].nbytes >= rows_of(taken).codes.nbytes + 4 * len(rows)
        assert taken == packed[rows]


@pytest.mark.parametrize("bits", WIDTHS)
def test_other_rows_are_shuffled(bits):
    """Repeated, few, or short ones."""
    packed, values = wide(1000, bits)
    rng = np.random.default_rng(0)
    for rows in (rng.integers(0, 1000, 1000), np.arange(124), np.arange(0)):
        taken = packed[rows]
        assert rows_of(taken).order.listed is None
        np.testing.assert_array_equal(np.asarray(taken), values[rows])
    short = pack(values[:, :8], Scheme.of(bits, "compensated", "optimal"), 0)
    assert rows_of(short[::2]).order.listed is None


def test_duplicates_count_as_shared_errors():
    """In the collision_probability, which distinct rows leave as it is."""
    packed, _ = wide(1000, 8)
    twice = np.repeat(np.arange(500), 2)
    assert rows_of(packed[np.arange(1000)[::-1]]).collision_probability[0] == rows_of(packed).collision_probability[0]
    assert (
        rows_of(packed[twice]).collision_probability[0]
        == of_subset(float(rows_of(packed).collision_probability[0]), twice)
        > 0
    )


def test_taken_of_taken():
    """Orders that are listed are listed again; slots and rows stay each other's inverse."""
    packed, values = wide(1000, 8)
    rng = np.random.default_rng(2)
    first, second, third = rng.permutation(1000)[:700], rng.permutation(700)[:500], rng.integers(0, 500, 900)
    taken = packed[first][second]
    np.testing.assert_array_equal(np.asarray(taken), values[first[second]])
    np.testing.assert_array_equal(rows_of(taken).order.slots(rows_of(taken).order.rows()), np.arange(500))
    np.testing.assert_array_equal(rows_of(taken).order.rows(100, 600), rows_of(taken).order.rows()[100:])
    np.testing.assert_array_equal(np.asarray(taken[third]), values[first[second][third]])
    both = rows_of(taken).order.followed_by(50, 7)
    np.testing.assert_array_equal(np.sort(both.rows()), np.arange(550))
    np.testing.assert_array_equal(both.slots(both.rows()), np.arange(550))
    assert RowOrder(0, 1).followed_by(5, 2).listed is None


def test_a_list_has_the_rows_of_its_part():
    """Anything else is an error of ours."""
    with pytest.raises(ValueError, match="3 rows are listed of a part of 4"):
        RowOrder(4, 0, np.arange(3))


@pytest.mark.parametrize(("bits", "to"), [(8, 1), (8, 3), (8, 6), (4, 2)])
@pytest.mark.parametrize("n", [100, 12_345])
def test_rows_are_narrowed_as_they_are_taken(bits, to, n):
    """To the codes that a copy of them gets; they are copied when asked for, and let go of their source then."""
    packed, values = wide(n, bits)
    rows = np.delete(np.arange(n), slice(n // 3, n // 2))
    taken, copied = packed[rows], packed[rows]
    np.testing.assert_array_equal(np.asarray(copied), values[rows])
    assert rows_of(copied).samples.selection is None
    narrow = taken.requantize(to, random_state=0)
    assert narrow == copied.requantize(to, random_state=0)
    assert_same_parts(narrow, copied.requantize(to, random_state=0))
    if bits == 8 and n > 10_000:
        assert rows_of(taken).samples.selection is not None
    assert taken.nbytes == copied.nbytes


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_predictions_need_no_copy(bits, n_jobs):
    """Those of rows that were taken are those of their copy, in the order asked for."""
    packed, values = wide(9000, bits)
    rows = np.random.default_rng(3).permutation(9000)[:5000]
    coef = np.random.default_rng(4).normal(size=(2, values.shape[1]))
    taken, copied = packed[rows], packed[rows]
    np.testing.assert_allclose(np.asarray(copied) @ coef.T, values[rows] @ coef.T)
    predictions = linear_predictions(taken, coef, np.ones(2), n_jobs)
    np.testing.assert_array_equal(predictions, linear_predictions(copied, coef, np.ones(2), n_jobs))
    np.testing.assert_allclose(predictions, values[rows] @ coef.T + 1, rtol=1e-4, atol=1e-3)
    assert rows_of(taken).samples.selection is not None and rows_of(copied).samples.selection is None


def test_taken_rows_are_copied_once_by_threads():
    """That ask for them at the same time."""
    packed, values = wide(5000, 8)
    for _ in range(20):
        taken = packed[1:]
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(lambda _, taken=taken: np.asarray(taken), range(4)))
        for part in parts:
            np.testing.assert_array_equal(part, values[1:])


def test_narrowing_and_copies_keep_the_order():
    """And train to the same coefficients."""
    packed, values = wide(1000, 8)
    y = values.sum(axis=1)
    taken = packed[np.arange(1000) % 5 > 0]
    narrow = taken.requantize(4, random_state=0)
    np.testing.assert_array_equal(rows_of(narrow).order.rows(), rows_of(taken).order.rows())
    coef = ZipMLRegressor(random_state=0).fit(taken, y[np.arange(1000) % 5 > 0]).coef_
    for copy in (pickle.loads(pickle.dumps(taken)), taken.with_target(None)):
        np.testing.assert_array_equal(rows_of(copy).order.listed, rows_of(taken).order.listed)
        np.testing.assert_array_equal(ZipMLRegressor(random_state=0).fit(copy, y[np.arange(1000) % 5 > 0]).coef_, coef)


@pytest.mark.parametrize("mmap", [True, False])
def test_files(tmp_path, mmap):
    """Keep the order, also behind rows that are appended."""
    packed, values = wide(1000, 4)
    taken = packed.with_target(values[:, 0])[100:]
    path = tmp_path / "taken.zq"
    taken.save(path)
    loaded = matrix_of(load(path, mmap))
    assert loaded == taken
    np.testing.assert_array_equal(rows_of(loaded).order.listed, rows_of(taken).order.listed)
    np.testing.assert_array_equal(loaded.target, values[100:, 0])
    with pytest.warns(UserWarning, match="has decoded"):
        both = PackedMatrix.append(path, values[:100], values[:100, 0], random_state=0)
    assert both[:900] == taken
    np.testing.assert_allclose(np.asarray(both), np.concatenate([values[100:], values[:100]]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", ["negative", "beyond", "twice"])
def test_files_whose_list_is_no_order(tmp_path, change):
    """Are refused."""
    packed, _ = wide(1000, 8)
    parts = rows_of(packed[100:]).parts()
    rows = parts["row_list"].copy()
    rows[5] = {"negative": -1, "beyond": 900, "twice": rows[6]}[change]
    path = tmp_path / "taken.zq"
    matrix_of(PackedRows.of_parts(parts | {"row_list": rows})).save(path)
    with pytest.raises(ValueError, match="its row_list is not an order of the rows"):
        PackedMatrix.load(path)
