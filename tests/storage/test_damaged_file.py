"""Files that are damaged, foreign or hostile."""

import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_files import assert_identical, packed

from sklearn_zipml import PackedMatrix
from sklearn_zipml._storage.file_writer import HEADER, MAGIC, VERSION
from sklearn_zipml._storage.packed_rows import rows_of


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
    ("shape", [0, 8]),
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
