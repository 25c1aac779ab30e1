"""Files: what is saved comes back, appending continues it, and nothing damaged is accepted."""

import json
import os
import pickle
import struct
import zlib

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packing import assert_same_parts

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._storage import file_reader
from sklearn_zipml._storage.file_writer import HEADER, MAGIC, VERSION
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted

KINDS = [
    (1, "compensated"),
    (2, "double"),
    (3, "double"),
    (4, "compensated"),
    (6, "naive"),
    (7, "double"),
    (8, "nearest"),
]


def data(n=1000, d=9, seed=0):
    """Rows and a target."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(np.float32)
    return X, X.sum(axis=1) + rng.standard_normal(n)


def packed(n=1000, bits=4, sampling="compensated", **settings):
    """A container with a target."""
    X, y = data(n)
    return PackedMatrix.from_chunks(X, y, sample_bits=bits, sampling=sampling, **{"random_state": 0} | settings)


def assert_identical(one, other):
    """All parts, target and names included."""
    assert one == other
    assert_same_parts(one, other)
    np.testing.assert_array_equal(one.target, other.target)
    assert one.feature_names == other.feature_names
    assert rows_of(one).order.parts == rows_of(other).order.parts


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
    with pytest.warns(UserWarning, match="outside the range") as record:
        PackedMatrix.append(path, X[999:2001], y[999:2001], random_state=1)
        both = PackedMatrix.append(path, X[2001:], y[2001:], random_state=2)
    assert {warning.filename for warning in record} == {__file__}
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
        ([X], None, "the new rows has none"),
        ([X], np.array(["a"] * 1000), "do not go with"),
        ([np.full((2, 9), np.nan)], y[:2], "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            PackedMatrix.append(path, source, target)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["data.zq"]


# Files that are damaged, foreign or hostile


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Bytes of a good file with every section."""
    path = tmp_path_factory.mktemp("file") / "data.zq"
    matrix = packed(200, bits=6, sampling="double")
    PackedMatrix(**rows_of(matrix).parts() | {"feature_names": list("abcdefghi")}).save(path)
    return path.read_bytes()


def assert_refused(path, content, message="not a packed matrix that can be read"):
    """One ValueError, and the file is not touched."""
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        PackedMatrix.load(path, verify=True)
    assert path.read_bytes() == content


def test_foreign_and_cut_files(tmp_path, image):
    """Empty, of another kind, cut anywhere, with something behind."""
    path = tmp_path / "bad.zq"
    assert_refused(path, b"", "does not begin like one")
    assert_refused(path, b"\x93NUMPY" + bytes(100), "does not begin like one")
    assert_refused(path, image[:40], "cut off")
    for length in range(64, len(image), 97):
        assert_refused(path, image[:length], "cut off")
    assert_refused(path, image + b"\0", "cut off or damaged")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(tmp_path_factory, image, data):
    """Every byte counts, but for the padding between sections, which nobody reads."""
    offset = data.draw(st.integers(0, len(image) - 1))
    change = data.draw(st.integers(1, 255))
    content = bytearray(image)
    content[offset] ^= change
    path = tmp_path_factory.getbasetemp() / "changed.zq"
    path.write_bytes(content)
    try:
        loaded = PackedMatrix.load(path, verify=True)
    except ValueError as error:
        assert "not a packed matrix that can be read" in str(error)
    else:
        sections = metadata_of(image)["sections"].values()
        spans = [
            (s["offset"], s["offset"] + np.dtype(s["dtype"]).itemsize * int(np.prod(s["shape"]))) for s in sections
        ]
        assert offset >= HEADER.size
        assert not any(start <= offset < stop for start, stop in spans)
        path.write_bytes(image)
        assert_identical(loaded, PackedMatrix.load(path))


def metadata_of(content):
    """The metadata of a file's bytes."""
    _, _, _, _, offset, length, _ = HEADER.unpack(content[: HEADER.size])
    return json.loads(content[offset : offset + length])


def with_metadata(content, metadata, version=1, repair=()):
    """The file with other metadata and right checksums, of the sections in `repair` too."""
    _, _, _, _, offset, _, _ = HEADER.unpack(content[: HEADER.size])
    for name in repair:
        section = metadata["sections"][name]
        size = np.dtype(section["dtype"]).itemsize * int(np.prod(section["shape"]))
        section["crc32"] = zlib.crc32(content[section["offset"] : section["offset"] + size])
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    fields = (MAGIC, version, zlib.crc32(text), offset + len(text), offset, len(text))
    header = HEADER.pack(*fields, 0)
    return HEADER.pack(*fields, zlib.crc32(header[:-4])) + content[HEADER.size : offset] + text


def test_a_newer_format(tmp_path, image):
    """The message says what to do."""
    newer = with_metadata(image, metadata_of(image), version=VERSION + 1)
    assert_refused(tmp_path / "new.zq", newer, "upgrade sklearn_zipml")


HOSTILE = [
    ("shape", [2**62, 9]),
    ("shape", [200, 2**61]),
    ("shape", [-1, 9]),
    ("shape", [200.0, 9]),
    ("shape", [0, 9]),
    ("shape", [264, 9]),
    ("shape", 7),
    ("dtype", "object"),
    ("n_draws", 0),
    ("n_draws", 1),
    ("n_draws", 3),
    ("n_draws", 64),
    ("n_draws", 2.0),
    ("n_draws", True),
    ("sample_bits", 9),
    ("sample_bits", True),
    ("sample_bits", 1),
    ("sampling", "__import__('os')"),
    ("levels", None),
    ("row_parts", []),
    ("row_parts", [[200, -1]]),
    ("row_parts", [[200, 2**64]]),
    ("row_parts", [[2**63, 0], [200 - 2**63, 0]]),
    ("row_parts", [200, 0]),
    ("sections", {}),
    ("sections", []),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_hostile_metadata(tmp_path, image, name, value):
    """With all checksums right."""
    assert_refused(tmp_path / "bad.zq", with_metadata(image, metadata_of(image) | {name: value}))


HOSTILE_SECTIONS = [
    ("codes", "offset", 2**63),
    ("codes", "offset", -64),
    ("codes", "offset", 0),
    ("codes", "offset", 65),
    ("codes", "offset", "0"),
    ("codes", "shape", [2**61, 8]),
    ("codes", "shape", []),
    ("codes", "dtype", "|O"),
    ("codes", "dtype", None),
    ("target", "dtype", "|O8"),
    ("target", "dtype", "(2,2)f8"),
    ("target", "dtype", ">f8"),
    ("target", "dtype", "<M8[s]"),
    ("target", "dtype", "<U0"),
    ("target", "dtype", "<U999999999"),
    ("target", "shape", [2**40]),
    ("target", "shape", [199]),
    ("target", "shape", [200, 2**55]),
    ("target", "offset", 64),
    ("feature_names", "dtype", "<f8"),
    ("feature_names", "shape", [8]),
    ("step", "crc32", 0),
]


@pytest.mark.parametrize(("section", "name", "value"), HOSTILE_SECTIONS)
def test_hostile_sections(tmp_path, image, section, name, value):
    """Sizes that overflow, offsets outside, dtypes that are not numbers."""
    metadata = metadata_of(image)
    metadata["sections"][section][name] = value
    assert_refused(tmp_path / "bad.zq", with_metadata(image, metadata))


@pytest.mark.parametrize("text", [b"[" * 100_000, b"{}", b"nonsense", b"\xff\xfe", b'{"shape": ' + b"9" * 5000 + b"}"])
def test_metadata_that_are_not_metadata(tmp_path, image, text):
    """Deep nesting and huge numbers included."""
    assert_refused(tmp_path / "bad.zq", with_metadata(image, text))


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("step", struct.pack("<d", 0)),
        ("step", struct.pack("<d", np.nan)),
        ("offset", struct.pack("<d", np.inf)),
        ("mean", struct.pack("<f", -1)),
        ("variance", struct.pack("<f", -1)),
        ("used", struct.pack("<H", 0)),
        ("used", struct.pack("<H", 300)),
        ("grid_levels", b"\xff\x00"),
        ("coincidence", struct.pack("<d", 2)),
        ("feature_names", b"\xff\xff\xff\xff"),
    ],
)
def test_numbers_that_no_packing_makes(tmp_path, image, section, value):
    """With all checksums right."""
    metadata, content = metadata_of(image), bytearray(image)
    offset = metadata["sections"][section]["offset"]
    content[offset : offset + len(value)] = value
    assert_refused(tmp_path / "bad.zq", with_metadata(bytes(content), metadata, repair=[section]))


def test_tiles_are_checked_on_request(tmp_path, image):
    """Damage there costs wrong values, never more: mapped files are not read whole to be opened."""
    metadata, content = metadata_of(image), bytearray(image)
    content[metadata["sections"]["codes"]["offset"]] ^= 1
    path = tmp_path / "bad.zq"
    assert_refused(path, bytes(content), "'codes' is wrong")
    assert PackedMatrix.load(path).shape == (200, 9)
    with pytest.raises(ValueError, match="'codes' is wrong"):
        PackedMatrix.load(path, mmap=False)
    with pytest.raises(FileNotFoundError):
        PackedMatrix.load(tmp_path / "nothing.zq")


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
