"""Reading packed matrices from disk, trusting nothing. doc/file_format.rst tells the format."""

import json
import mmap as memory_map
import os
import zlib
from itertools import pairwise
from math import prod

import numpy as np

from .._kernels import tiles as kernels
from .._packed_matrix import PackedMatrix
from .._quantization.levels import draws_of, n_levels
from .file_writer import ALIGNMENT, HEADER, MAGIC, MOST_METADATA, PIECE, VERSION
from .tiles import code_width

SAMPLINGS = ("compensated", "double", "naive", "nearest")
# Read whole only when asked for: everything else is small and always checked.
LARGE = ("codes", "target")


class _Damaged(Exception):
    """What is wrong with a file."""


def load(path, mmap=True, verify=None):
    """See PackedMatrix.load."""
    verify = not mmap if verify is None else verify
    try:
        with open(path, "rb") as file:
            return _read(file, mmap, verify)
    except _Damaged as error:
        raise ValueError(f"{os.fspath(path)!r} is not a packed matrix that can be read: {error}") from None


def _read(file, mmap, verify):
    size = os.fstat(file.fileno()).st_size
    metadata, end = _read_metadata(file, size)
    kind = _check_kind(metadata)
    expected = _expected_sections(kind, metadata["row_parts"][0][0], metadata["sections"])
    spans = _check_sections(metadata["sections"], expected, end)
    # one mapping serves all sections, and lives as long as one of them does
    mapping = memory_map.mmap(file.fileno(), size, access=memory_map.ACCESS_READ)
    parts = {name: _view(mapping, *span) for name, span in spans.items()}
    for name, array in parts.items():
        if (verify or name not in LARGE) and _crc(array) != metadata["sections"][name]["crc32"]:
            raise _Damaged(f"the checksum of its section {name!r} is wrong; it is damaged")
    _check_values(kind, parts)
    if mmap:  # arrays that know their file: joblib hands them to other processes by its name
        large = [name for name in LARGE if name in parts]
        parts |= {name: _mapped(file, *spans[name]) for name in large}
    else:
        parts = {name: _copy(array, name) for name, array in parts.items()}
    names = parts.pop("feature_names", None)
    return PackedMatrix(
        **kind,
        row_seed=[tuple(pair) for pair in metadata["row_parts"]],
        feature_names=None if names is None else names.tolist(),
        **parts,
    )


def _read_metadata(file, size):
    """The metadata as a dict, and where the sections end."""
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
    return metadata, offset


def _count(value, least=0):
    """The value, if it is an integer, neither negative nor beyond what a size can be."""
    if type(value) is not int or not least <= value < 1 << 62:
        raise _Damaged("its metadata hold a size that makes no sense")
    return value


def _check_kind(metadata):
    """What kind of matrix it is, checked."""
    shape, bits = metadata["shape"], metadata["sample_bits"]
    if not isinstance(shape, list) or len(shape) != 2:
        raise _Damaged("its metadata give no shape")
    shape = tuple(_count(number, 1) for number in shape)
    if metadata["dtype"] not in ("float32", "float64") or metadata["sampling"] not in SAMPLINGS:
        raise _Damaged("its metadata name an unknown dtype or sampling")
    n_draws = metadata.get("n_draws", draws_of(metadata["sampling"]))
    if type(n_draws) is not int or n_draws < 1 or (n_draws > 1) != (metadata["sampling"] == "double"):
        raise _Damaged("its metadata name a number of draws that its sampling does not have")
    least = n_draws.bit_length()
    if type(bits) is not int or not least <= bits <= 8 or metadata["levels"] not in ("optimal", "uniform"):
        raise _Damaged("its metadata name unknown bits or levels")
    parts = metadata["row_parts"]
    if not isinstance(parts, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in parts):
        raise _Damaged("its metadata give no row order")
    if sum(_count(rows, 1) for rows, _ in parts) != shape[0]:
        raise _Damaged("its row order is of another number of rows")
    if not all(type(seed) is int and 0 <= seed < 1 << 64 for _, seed in parts):
        raise _Damaged("its row order is not keyed by integers")
    kind = {name: metadata[name] for name in ("dtype", "sample_bits", "sampling", "levels")}
    return kind | {"shape": shape, "n_draws": n_draws}


def _expected_sections(kind, first_rows, sections):
    """The dtype and shape that every section has to have; None where the file may choose.

    first_rows is the number of rows in the first part.
    """
    n, d = kind["shape"]
    bits, sampling = kind["sample_bits"], kind["sampling"]
    width, padded = code_width(bits), kernels.padded_columns(d)
    tile_bytes = padded * kernels.TILE_ROWS * width // 8
    codes = 0 if width == 8 else 1 << width
    noise = codes if sampling in ("compensated", "double") else 0
    expected = {
        "codes": ("|u1", (-(-n // kernels.TILE_ROWS), tile_bytes)),
        "table": ("|u1", (padded, codes)),
        "grid_levels": ("|u1", (d, n_levels(bits, kind["n_draws"]) if 4 < bits < 8 else 0)),
        "used": ("<u2", (d,)),
        "offset": ("<f8", (d,)),
        "step": ("<f8", (d,)),
        "mean": ("<f4", (d,)),
        "deviation": ("<f4", (d,)),
        "variance": ("<f4", (d,)),
        "noise": ("<f2", (d, noise)),
        "coincidence": ("<f8", (1,)),
    }
    if "row_list" in sections:
        expected["row_list"] = ("<i4" if first_rows < 1 << 31 else "<i8", (first_rows,))
    if "target" in sections:
        expected["target"] = (None, None)
    if "feature_names" in sections:
        expected["feature_names"] = (None, (d,))
    return expected


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


def _is_permutation(rows):
    if (rows < 0).any() or (rows >= len(rows)).any():
        return False
    seen = np.zeros(len(rows), dtype=bool)
    seen[rows] = True
    return bool(seen.all())


def _view(mapping, dtype, shape, offset):
    count = prod(shape)
    if count == 0:
        return np.empty(shape, dtype=dtype)
    return np.frombuffer(mapping, dtype=dtype, count=count, offset=offset).reshape(shape)


def _mapped(file, dtype, shape, offset):
    return np.memmap(file, dtype, "r", offset, shape)


def _crc(array):
    data = array.reshape(-1).view(np.uint8)
    crc = 0
    for first in range(0, len(data), PIECE):
        crc = zlib.crc32(data[first : first + PIECE], crc)
    return crc


def _copy(array, name):
    """The array in memory, tiles on a 64-byte line."""
    if name != "codes":
        return array.astype(array.dtype.newbyteorder("="))
    raw = np.empty(array.nbytes + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    copy = raw[start : start + array.nbytes].reshape(array.shape)
    copy[...] = array
    return copy


def _check_values(kind, parts):
    """Refuse numbers that no packing makes, for what comes after does not expect them."""
    n, d = kind["shape"]
    count = n_levels(kind["sample_bits"], kind["n_draws"])
    positive = all(np.isfinite(parts[name]).all() and (parts[name] >= 0).all() for name in ("deviation", "variance"))
    positive &= bool(np.isfinite(parts["noise"]).all() and (parts["noise"] >= 0).all())
    positive &= 0 <= parts["coincidence"][0] <= 1
    positive &= bool(np.isfinite(parts["offset"]).all() and np.isfinite(parts["step"]).all())
    if not positive or not (parts["step"] > 0).all() or not ((parts["mean"] >= 0) & (parts["mean"] <= 255)).all():
        raise _Damaged("its columns have statistics that no packing makes")
    used = parts["used"].astype(np.int64)
    stride = kind["n_draws"]
    if not ((used >= 1) & (used <= count) & ((used - 1) * stride <= 255)).all():
        raise _Damaged("its columns have numbers of levels that no packing makes")
    levels = parts["grid_levels"] if parts["grid_levels"].shape[1] else parts["table"][:d]
    if levels.shape[1] and (np.diff(levels.astype(np.int16), axis=1) < 0).any():
        raise _Damaged("the levels of its columns do not ascend")
    if "row_list" in parts and not _is_permutation(parts["row_list"]):
        raise _Damaged("its list of rows is not an order of them")
    if "target" in parts and len(parts["target"]) != n:
        raise _Damaged("its target does not fit its rows")
    for name in ("feature_names", "target"):
        text = parts.get(name)
        if text is not None and text.dtype.kind == "U" and (text.reshape(-1).view("<u4") > 0x10FFFF).any():
            raise _Damaged(f"its section {name!r} is not text")
