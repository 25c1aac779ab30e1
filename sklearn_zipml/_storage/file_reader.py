"""Reading packed matrices from disk, trusting nothing. doc/file_format.rst tells the format."""

import json
import os
import zlib
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np

from .._kernels import tiles as kernels
from .file_writer import ALIGNMENT, HEADER, LADDERS, MAGIC, MOST_METADATA, PIECE, VERSION
from .mapped_file import MappedFile
from .outliers import ARRAYS as OUTLIER_ARRAYS
from .packed_rows import PackedRows
from .paths import readable
from .targets import BY_ROW
from .valid_parts import MOST, InvalidParts, array_kinds, checked_kind, checked_parts, list_dtype, outlier_kinds

# Read whole only when asked for: everything else is small and always checked.
LARGE = ("codes", *BY_ROW)
OUTLIER_SECTIONS = frozenset(OUTLIER_ARRAYS)


class _Damaged(Exception):
    """What is wrong with a file."""


def load(path, mmap=True, verify=None):
    """The PackedRows of a file; see PackedMatrix.load."""
    verify = not mmap if verify is None else verify
    try:
        with open(readable(path), "rb") as file:
            return _read(file, mmap, verify)
    except (_Damaged, InvalidParts) as error:
        raise ValueError(f"{os.fspath(path)!r} is not a packed matrix that can be read: {error}") from None


def _read(file, mmap, verify):
    metadata, end, version = _read_metadata(file, os.fstat(file.fileno()).st_size)
    kind = _checked_kind(metadata)
    expected = _expected_sections(kind, metadata["sections"], version)
    spans = _check_sections(metadata["sections"], expected, end)
    parts = {}
    for name, span in spans.items():
        mapped = mmap and name in LARGE
        if not mapped:
            parts[name], crc = _read_array(file, *span)
        elif verify:
            crc = _crc(file, *span)
        if (verify or name not in LARGE) and crc != metadata["sections"][name]["crc32"]:
            raise _Damaged(f"the checksum of its section {name!r} is wrong; it is damaged")
        if mapped:
            parts[name] = _mapped(file, *span)
    return PackedRows.of_parts(checked_parts(kind | parts), MappedFile.of(file) if mmap else None)


def is_packed_file(path):
    """Whether a regular file begins like a packed matrix."""
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read_metadata(file, size):
    """The metadata as a dict, where the sections end, and the version."""
    header = file.read(HEADER.size)
    if not header.startswith(MAGIC):
        raise _Damaged("it does not begin like one")
    if len(header) < HEADER.size:
        raise _Damaged("it is cut off in its header")
    _, version, metadata_crc, file_size, offset, length, header_crc = HEADER.unpack(header)
    # the place of version and checksum is that of all versions to come
    if zlib.crc32(header[:-4]) != header_crc:
        raise _Damaged("the checksum of its header is wrong; it is damaged")
    if version > VERSION:
        raise _Damaged(f"it has format {version} and this sklearn_zipml reads up to {VERSION}; upgrade sklearn_zipml")
    if file_size != size:
        raise _Damaged(f"it has {size} bytes where its header says {file_size}; it is cut off or damaged")
    if not (HEADER.size <= offset <= size and length <= min(size - offset, MOST_METADATA)):
        raise _Damaged("its metadata lie outside of it")
    file.seek(offset)
    text = file.read(length)
    if zlib.crc32(text) != metadata_crc:
        raise _Damaged("the checksum of its metadata is wrong; it is damaged")
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Damaged("its metadata are not JSON") from error
    keys = {"shape", "dtype", "sample_bits", "sampling", "levels", "row_parts", "sections"}
    if not isinstance(metadata, dict) or not keys <= set(metadata) or not isinstance(metadata["sections"], dict):
        raise _Damaged("its metadata are incomplete")
    return metadata, offset, version


def _count(value, least=0):
    """The value, if it is an integer, neither negative nor beyond what a size can be."""
    if type(value) is not int or not least <= value < MOST:
        raise _Damaged("its metadata hold a size that makes no sense")
    return value


def _checked_kind(metadata):
    """What kind of matrix it is, checked; empty ones are in no file."""
    kind = checked_kind(metadata | {"row_seed": metadata["row_parts"]})
    if not kind["shape"][0]:
        raise _Damaged("it has no rows")
    return kind


def _expected_sections(kind, sections, version):
    """The dtype and shape that every section has to have; None where the file may choose."""
    arrays = array_kinds(kind, of_ladder=version <= LADDERS).items()
    expected = {name: (np.dtype(dtype).newbyteorder("<").str, shape) for name, (dtype, shape) in arrays}
    if "row_list" in sections:
        first_rows = kind["row_seed"][0][0]
        expected["row_list"] = (f"<{list_dtype(first_rows)}", (first_rows,))
    if "missing_count" in sections:
        expected["missing_count"] = ("<i8", kind["shape"][1:])
    if not OUTLIER_SECTIONS.isdisjoint(sections):
        expected |= {
            name: (np.dtype(dtype).newbyteorder("<").str, shape)
            for name, (dtype, shape) in outlier_kinds(kind, _n_outliers(sections)).items()
        }
    if "target" in sections:
        expected["target"] = (None, None)
    if "sample_weight" in sections:
        expected["sample_weight"] = ("<f8", kind["shape"][:1])
    if "feature_names" in sections:
        expected["feature_names"] = (None, (kind["shape"][1],))
    return expected


def _n_outliers(sections):
    section = sections.get("outlier_entries")
    shape = section.get("shape") if isinstance(section, dict) else None
    if not isinstance(shape, list) or len(shape) != 1:
        raise _Damaged("its outliers are not described")
    return _count(shape[0], 1)


def _check_sections(sections, expected, end):
    """Check dtype, shape and offset of every section, inside the file and apart from each other."""
    if set(sections) != set(expected):
        raise _Damaged("its sections are not those of a packed matrix")
    spans, ranges = {}, []
    n = expected["codes"][1][0] * kernels.TILE_ROWS
    for name, (dtype, shape) in expected.items():
        section = sections[name]
        if not isinstance(section, dict) or not {"dtype", "shape", "offset", "crc32"} <= set(section):
            raise _Damaged(f"its section {name!r} is not described")
        own = section["shape"]
        if not isinstance(own, list) or not 1 <= len(own) <= 2:
            raise _Damaged(f"its section {name!r} has no shape")
        own = tuple(_count(number) for number in own)
        kind = _section_dtype(name, section["dtype"], dtype)
        if shape is not None and own != shape:
            raise _Damaged(f"its section {name!r} has shape {own} where {shape} is needed")
        if name == "target" and not n - kernels.TILE_ROWS < own[0] <= n:
            raise _Damaged(f"its target has shape {own}, which does not fit its rows")
        offset, size = _count(section["offset"], HEADER.size), prod(own) * kind.itemsize
        if offset % ALIGNMENT or offset + size > end:
            raise _Damaged(f"its section {name!r} lies outside of it")
        spans[name] = (kind, own, offset)
        ranges.append((offset, offset + size))
    ranges.sort()
    if any(stop > start for (_, stop), (start, _) in pairwise(ranges)):
        raise _Damaged("its sections overlap")
    return spans


def _section_dtype(name, text, expected):
    if expected is not None and text != expected:
        raise _Damaged(f"its section {name!r} is of dtype {text!r} where {expected!r} is needed")
    kinds = "U" if name == "feature_names" else "biufU"
    try:
        if not isinstance(text, str) or len(text) > 20:
            raise TypeError
        dtype = np.dtype(text)
    except (TypeError, ValueError) as error:
        raise _Damaged(f"its section {name!r} is of an unknown dtype") from error
    if dtype.kind not in kinds or dtype.shape or dtype.itemsize == 0 or dtype.str != text or text.startswith(">"):
        raise _Damaged(f"its section {name!r} is of dtype {text!r}")
    return dtype


def _read_array(file, dtype, shape, offset):
    """A section in memory of its own, on a 64-byte line, and its CRC."""
    out = kernels.aligned_zeros(prod(shape) * dtype.itemsize)
    crc = 0
    for piece in _pieces(file, offset, memoryview(out)):
        crc = zlib.crc32(piece, crc)
    return out.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False), crc


def _crc(file, dtype, shape, offset):
    """The CRC of a section, which is read but not kept."""
    size, crc = prod(shape) * dtype.itemsize, 0
    spare = memoryview(bytearray(min(size, PIECE)))
    for first in range(0, size, PIECE):
        for piece in _pieces(file, offset + first, spare[: size - first]):
            crc = zlib.crc32(piece, crc)
    return crc


def _pieces(file, offset, out):
    """Fill a buffer from a place in the file on, a piece at a time."""
    file.seek(offset)
    done = 0
    while done < len(out):
        count = file.readinto(out[done : done + PIECE])
        if not count:
            raise _Damaged("it was cut off while it was read")
        yield out[done : done + count]
        done += count


def _mapped(file, dtype, shape, offset):
    """A section as an array that knows its file: joblib hands it to other processes by its name."""
    try:
        return np.memmap(file, dtype, "r", offset, shape)
    except ValueError as error:
        raise _Damaged("it was cut off while it was read") from error
