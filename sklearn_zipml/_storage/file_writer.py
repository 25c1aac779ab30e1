"""Writing packed matrices to disk, never tearing what is there. doc/file_format.rst tells the format."""

import json
import os
import secrets
import struct
import zlib

import numpy as np

from .._kernels.mapped import require_whole
from .outliers import ARRAYS as OUTLIER_ARRAYS
from .packed_rows import ARRAYS
from .paths import temporary_name, writable
from .targets import BY_ROW

MAGIC = b"\x93ZIPML\r\n"
VERSION = 10
# what older readers know: files of at most two draws of a value, those without a list of rows, those that miss nothing,
# those without outliers, those without weights, those without known dither, those in which none were joined, those
# whose codes of 3 bits have no dither, and those whose codes of 2 bits have none (until then these had a ladder)
TWO_DRAWS, NO_LIST, NO_MISSING, NO_OUTLIERS, NO_WEIGHTS, NO_DITHER, NONE_JOINED, NO_PARITY, LADDERS = range(1, 10)
# magic, version, CRC of the metadata, bytes of the file, offset and bytes of the metadata, reserved, CRC of the header
HEADER = struct.Struct("<8sIIQQQ20xI")
ALIGNMENT = 64
MOST_METADATA = 1 << 20
PIECE = 1 << 22


def save(packed, path):
    """See PackedMatrix.save."""
    write(packed.parts(), [packed.codes], path)


def write(parts, code_pieces, path):
    """Write the parts of a PackedMatrix, its tiles from consecutive arrays, in place of what is at `path`."""
    if 0 in parts["shape"]:
        raise ValueError(f"A PackedMatrix of shape {parts['shape']} has nothing to save.")
    target = writable(path)
    temporary = target.with_name(temporary_name(target.name, secrets.token_hex(4)))
    try:
        with open(temporary, "xb") as file:
            _write_all(file, parts, code_pieces)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder):
    """Make the renaming durable, where folders can be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(file, parts, code_pieces):
    file.write(bytes(HEADER.size))
    sections = {}
    for name, pieces in _sections(parts, code_pieces):
        file.write(bytes(-file.tell() % ALIGNMENT))
        offset, crc = file.tell(), 0
        for piece in pieces:
            crc = _write_array(file, piece, crc)
        shape = (sum(len(piece) for piece in pieces), *pieces[0].shape[1:])
        little = pieces[0].dtype.newbyteorder("<").str
        sections[name] = {"dtype": little, "shape": list(shape), "offset": offset, "crc32": crc}
    kind = {name: parts[name] for name in ("sample_bits", "sampling", "levels")}
    if parts["n_draws"] > 2:
        kind["n_draws"] = parts["n_draws"]
    metadata = {
        "shape": list(parts["shape"]),
        "dtype": parts["dtype"].name,
        **kind,
        "row_parts": [list(pair) for pair in parts["row_seed"]],
        "sections": sections,
    }
    text = json.dumps(metadata).encode()
    if len(text) > MOST_METADATA:
        raise ValueError("The file has been appended to too often; pack the rows again.")
    offset = file.tell()
    file.write(text)
    fields = (MAGIC, _version(parts), zlib.crc32(text), file.tell(), offset, len(text))
    header = HEADER.pack(*fields, 0)
    file.seek(0)
    file.write(HEADER.pack(*fields, zlib.crc32(header[:-4])))


def _version(parts):
    """The oldest one that tells all there is."""
    needed = {
        NO_LIST: parts["n_draws"] > 2,
        NO_MISSING: parts["row_list"] is not None,
        NO_OUTLIERS: parts["missing_count"] is not None,
        NO_WEIGHTS: parts["outlier_starts"] is not None,
        NO_DITHER: parts["sample_weight"] is not None,
        NONE_JOINED: parts["sampling"] == "dithered",
        NO_PARITY: parts["sampling"] == "joined",
        LADDERS: parts["sampling"] == "dithered" and parts["sample_bits"] == 3,
        VERSION: parts["sampling"] == "dithered" and parts["sample_bits"] == 2 and parts["levels"] == "optimal",
    }
    return max([TWO_DRAWS, *(version for version, is_needed in needed.items() if is_needed)])


def _sections(parts, code_pieces):
    """Names and pieces of the sections, the tiles last."""
    for name in ARRAYS:
        if name != "codes":
            yield name, [parts[name]]
    if parts["feature_names"] is not None:
        yield "feature_names", [np.array(parts["feature_names"], dtype=np.str_)]
    for name in ("row_list", "missing_count", *OUTLIER_ARRAYS, *BY_ROW):
        if parts[name] is not None:
            yield name, [parts[name]]
    yield "codes", code_pieces


def _write_array(file, array, crc):
    """Append the bytes of an array, little-endian, a piece at a time; the CRC continued."""
    rows = max(1, PIECE // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        require_whole(array)
        piece = np.ascontiguousarray(array[first : first + rows])
        data = piece.astype(piece.dtype.newbyteorder("<"), copy=False).tobytes()
        crc = zlib.crc32(data, crc)
        file.write(data)
    return crc
