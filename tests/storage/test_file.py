"""Files: what is saved comes back, appending continues it, and nothing damaged is accepted."""

import os
import pickle

import joblib
import numpy as np
import pytest
from packed_files import assert_identical, data, packed

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._storage import file_reader
from sklearn_zipml._storage.file_writer import HEADER
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted

KINDS = [
    (1, "compensated"),
    (2, "double"),
    (2, "dithered"),
    (3, "double"),
    (4, "compensated"),
    (6, "naive"),
    (7, "double"),
    (8, "nearest"),
]


@pytest.mark.parametrize(("bits", "sampling"), KINDS)
@pytest.mark.parametrize("mmap", [True, False])
def test_round_trip(tmp_path, bits, sampling, mmap):
    """Everything comes back, and trains to the same coefficients."""
    matrix = packed(bits=bits, sampling=sampling)
    path = tmp_path / "data.zq"
    matrix.save(path)
    loaded = PackedMatrix.load(path, mmap=mmap, verify=True)
    assert_identical(loaded, matrix)
    assert rows_of(loaded).codes.ctypes.data % 64 == 0
    assert not rows_of(loaded).codes.flags.writeable
    settings = {"random_state": 0, "tol": 1e-3}
    coef = ZipMLRegressor(bits, **settings).fit(loaded).coef_
    np.testing.assert_array_equal(coef, ZipMLRegressor(bits, **settings).fit(matrix, matrix.target).coef_)


@pytest.mark.parametrize("target", [None, np.arange(50) % 2 == 0, np.arange(50) % 3, np.array(["ü", "no"] * 25)])
def test_targets_and_names(tmp_path, target):
    """None, booleans, integers, text; names of columns."""
    matrix = packed(50).with_target(target)
    parts = rows_of(matrix).parts() | {"feature_names": [f"näme {k}" for k in range(9)]}
    matrix = PackedMatrix(**parts)
    matrix.save(tmp_path / "data.zq")
    loaded = PackedMatrix.load(tmp_path / "data.zq")
    assert loaded.feature_names == matrix.feature_names
    if target is None:
        assert loaded.target is None
    else:
        assert loaded.target.dtype == target.dtype
        np.testing.assert_array_equal(loaded.target, target)
        assert ZipMLLSSVC(random_state=0).fit(loaded).classes_.tolist() == np.unique(target).tolist()


def test_selections_and_pickles_of_a_mapped_file(tmp_path):
    """A subset, a narrower copy and a pickle stand on their own."""
    matrix = packed()
    matrix.save(tmp_path / "data.zq")
    loaded = PackedMatrix.load(tmp_path / "data.zq")
    rows = np.arange(0, 1000, 3)
    assert loaded[rows] == matrix[rows]
    np.testing.assert_array_equal(loaded[rows].target, matrix.target[rows])
    assert_identical(loaded.requantize(2, random_state=1), matrix.requantize(2, random_state=1))
    assert_identical(pickle.loads(pickle.dumps(loaded)), matrix)
    joblib.dump(loaded, tmp_path / "data.joblib")
    assert_identical(joblib.load(tmp_path / "data.joblib", mmap_mode="r"), matrix)


def file_of_codes(matrix):
    """Where a process has the tiles from."""
    return rows_of(matrix).codes.filename, matrix.target.filename


def test_other_processes_map_the_same_file(tmp_path):
    """joblib does not copy the rows."""
    path = tmp_path / "data.zq"
    packed(20_000, bits=8).save(path)
    loaded = PackedMatrix.load(path)
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)
    assert parallel(joblib.delayed(file_of_codes)(loaded) for _ in range(2)) == [(str(path), str(path))] * 2


def sum_of(matrix):
    """Something of every value."""
    return float(np.asarray(matrix).sum()), float(matrix.target.sum())


@pytest.mark.parametrize("change", ["replaced", "removed", "written to"])
def test_other_processes_get_the_rows_where_the_file_is_another(tmp_path, change):
    """Before, they trained on the codes of the new file with the levels of the old one."""
    path = tmp_path / "data.zq"
    matrix = packed(20_000, bits=8)
    matrix.save(path)
    loaded = PackedMatrix.load(path)
    if change == "replaced":
        packed(20_000, bits=8, random_state=1).save(path)
    elif change == "removed":
        path.unlink()
    else:  # in place, which is not allowed: this byte is part of no section
        with open(path, "r+b") as file:
            file.seek(HEADER.size - 1)
            file.write(b"x")
    parallel = joblib.Parallel(n_jobs=2, max_nbytes=1)
    assert parallel(joblib.delayed(sum_of)(loaded) for _ in range(2)) == [sum_of(matrix)] * 2


@pytest.mark.parametrize("of", ["the matrix", "the same with another target"])
def test_a_file_that_is_replaced_on_the_way(tmp_path, of):
    """The other process says so."""
    path = tmp_path / "data.zq"
    packed(2000, bits=8).save(path)
    loaded = PackedMatrix.load(path)
    if of != "the matrix":
        loaded = loaded.with_target(np.arange(2000))
    restore, arguments = loaded.__reduce__()
    assert_identical(restore(*arguments), loaded)
    packed(2000, bits=8, random_state=1).save(path)
    with pytest.raises(ValueError, match=r"'.*data.zq' was replaced or changed while a PackedMatrix"):
        restore(*arguments)


def test_a_copy_needs_no_file(tmp_path):
    """Plain pickles and joblib's own files hold the rows, whatever becomes of the file."""
    path, matrix = tmp_path / "data.zq", packed(2000, bits=8)
    matrix.save(path)
    loaded = PackedMatrix.load(path)
    pickled = pickle.dumps(loaded)
    joblib.dump(loaded, tmp_path / "data.joblib")
    del loaded
    path.write_bytes(b"")
    for copied in (pickle.loads(pickled), joblib.load(tmp_path / "data.joblib", mmap_mode="r")):
        assert_identical(copied, matrix)
        assert rows_of(copied).file is None


def test_saving_replaces(tmp_path):
    """An old file gives way, keeping its permissions, and a map of it stays as it was."""
    path = tmp_path / "data.zq"
    packed(100).save(path)
    os.chmod(path, 0o640)
    old = PackedMatrix.load(path)
    packed(200).save(path)
    assert len(old) == 100
    np.asarray(old)
    assert len(PackedMatrix.load(path)) == 200
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["data.zq"]


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    """The old file stays, the new one is removed."""
    path = tmp_path / "data.zq"
    packed(100).save(path)

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        packed(200).save(path)
    assert os.listdir(tmp_path) == ["data.zq"]
    assert len(PackedMatrix.load(path)) == 100
    with pytest.raises(ValueError, match="nothing to save"):
        packed(100)[[]].save(path)


# Appending


@pytest.mark.parametrize(("bits", "sampling"), KINDS)
@pytest.mark.parametrize("n", [640, 601, 1])
def test_append(tmp_path, bits, sampling, n):
    """Old rows are as they were, new ones on the same levels, statistics those of all rows."""
    X, y = data()
    path = tmp_path / "data.zq"
    quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0).fit(X)
    first = quantizer.quantize(X[:n]).with_target(y[:n])
    first.save(path)
    both = PackedMatrix.append(path, [X[n:700], X[700:]], y[n:], random_state=1)
    assert both.shape == X.shape
    assert both[:n] == first
    np.testing.assert_array_equal(both.target, y)
    step = quantizer.step_ * 256
    assert (np.abs(np.asarray(both) - X) <= step).all()
    mean, deviation, variance = weighted(rows_of(both))
    np.testing.assert_allclose(rows_of(both).mean, mean, rtol=1e-5)
    np.testing.assert_allclose(rows_of(both).deviation, deviation, rtol=1e-4)
    np.testing.assert_allclose(rows_of(both).rounding_variance, variance, rtol=0.01, atol=1e-6)
    assert_identical(PackedMatrix.load(path), both)


def test_append_twice(tmp_path):
    """Three parts; a selection and a narrower copy of them; training."""
    X, y = data(3000)
    path = tmp_path / "data.zq"
    PackedMatrix.from_chunks(X[:999], y[:999], random_state=0).save(path)
    PackedMatrix.append(path, X[999:2001], y[999:2001], random_state=1)
    both = PackedMatrix.append(path, X[2001:], y[2001:], random_state=2)
    assert [rows for rows, _ in rows_of(both).order.parts] == [999, 1002, 999]
    order = rows_of(both).order
    np.testing.assert_array_equal(np.sort(order.rows()), np.arange(3000))
    np.testing.assert_array_equal(order.slots(order.rows()), np.arange(3000))
    np.testing.assert_array_equal(order.rows(500, 2500), order.rows()[500:2500])
    assert np.abs(np.asarray(both) - X).mean() < 0.2
    assert both[::7].requantize(2, random_state=0).shape == (429, 9)
    model = ZipMLRegressor(random_state=0).fit(both)
    assert model.score(X, y) == pytest.approx(ZipMLRegressor(random_state=0).fit(X, y).score(X, y), abs=0.01)


def test_appending_what_does_not_fit(tmp_path):
    """Nothing is changed."""
    X, y = data()
    path = tmp_path / "data.zq"
    PackedMatrix.from_chunks(X, y, random_state=0).save(path)
    before = path.read_bytes()
    for source, target, message in (
        ([X[:, :4]], y, "4 columns where 9"),
        ([X], None, "the new rows have none"),
        ([X], np.array(["a"] * 1000), "do not go with"),
        ([np.full((2, 9), np.nan)], y[:2], "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            PackedMatrix.append(path, source, target)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["data.zq"]


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_a_file_that_is_cut_while_it_is_read(tmp_path, monkeypatch, mmap, verify):
    """One ValueError: nothing of it is mapped that could be gone."""
    path = tmp_path / "data.zq"
    packed(2000, bits=8).save(path)
    check = file_reader._checked_kind

    def cut(metadata):
        os.truncate(path, 4096)
        return check(metadata)

    monkeypatch.setattr(file_reader, "_checked_kind", cut)
    with pytest.raises(ValueError, match="cut off while it was read"):
        PackedMatrix.load(path, mmap=mmap, verify=verify)


def test_load_without_a_map_needs_no_file(tmp_path):
    """Everything is in memory."""
    path = tmp_path / "data.zq"
    matrix = packed(2000, bits=8)
    matrix.save(path)
    loaded = PackedMatrix.load(path, mmap=False)
    os.truncate(path, 0)
    assert_identical(loaded, matrix)
    assert rows_of(loaded).tiles.mapping is None
