"""Tiles of codes with known dither: as tiles of bytes, and the seeds of their rows."""

import numpy as np

from libc.string cimport memcpy

from sklearn_zipml._kernels.checks cimport require
from sklearn_zipml._kernels.tiles cimport (
    ZML_DITHERED, ZML_SEED_BYTES, ZML_TILE_ROWS, Tiles, uint8_t, zml_padded_columns,
)

from .tiles import aligned_zeros


def bytes_of(Tiles tiles, size_t first, size_t last, size_t column=0, end=None):
    """The codes of `as_bytes`, uint8 (tiles, bytes of a tile)."""
    cdef size_t t, d = (tiles.n_columns if end is None else end) - column, padded = zml_padded_columns(d)
    require(tiles.format == ZML_DITHERED and column % 16 == 0 and column + d <= tiles.n_columns, "codes without dither")
    tiles.require_span(first, last)
    codes = aligned_zeros((last - first) * padded * ZML_TILE_ROWS).reshape(last - first, padded * ZML_TILE_ROWS)
    cdef uint8_t[:, ::1] view = codes
    cdef size_t left = 1
    if padded:
        with nogil:
            for t in range(first, last):
                tiles.look_in_time(&left)
                tiles.widen(t, column, padded, &view[t - first, 0])
    return codes


def as_bytes(Tiles tiles, size_t first, size_t last, size_t column=0, end=None):
    """Codes with known dither of tiles first..last-1 as codes of 8 bits, without outliers: Tiles.

    Of columns column..end-1, the first one a multiple of 16.
    """
    codes = bytes_of(tiles, first, last, column, end)
    n_rows = tiles.rows_before(last) - tiles.rows_before(first)
    n_columns = (tiles.n_columns if end is None else end) - column
    return Tiles(codes, np.empty(0, dtype=np.uint8), n_rows, n_columns, 8)


def take_seeds(Tiles source, uint8_t[:, ::1] tiles, size_t first, size_t last):
    """Fill the seeds, which are zero, of `tiles` with those of the source's tiles first..last-1."""
    cdef size_t t, size = source.codes.shape[1], made = tiles.shape[1]
    source.require_span(first, last)
    require(source.format == ZML_DITHERED and last - first == <size_t> tiles.shape[0], "tiles of other rows")
    require(made >= ZML_SEED_BYTES, "no room for the seeds")
    with nogil:
        for t in range(first, last):
            memcpy(&tiles[t - first, made - ZML_SEED_BYTES], &source.codes[t, size - ZML_SEED_BYTES], ZML_SEED_BYTES)
