"""Tiles of rows in memory that are codes, as fields or as integers: those of each are fetched from where they are."""

import numpy as np

from libc.string cimport memset
from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.encoding cimport ZML_FIELD_COLUMNS, zml_encoding, zml_fields, zml_integers
from sklearn_zipml._kernels.tiles cimport (
    ZML_LINE, ZML_TILE_ROWS, int64_t, uint8_t, uint16_t, zml_tile_bytes, zml_tile_columns,
)
from sklearn_zipml._kernels.workers cimport poll_in_time

cdef extern from "format/compiler.h" nogil:
    void ZML_PREFETCH(const void *address)

ctypedef fused integer:
    uint8_t
    uint16_t

cdef enum:
    AHEAD_ROWS = 8  # that are fetched ahead, as no processor expects them, and so much of each
    AHEAD_BYTES = 1024

cdef void point_to(const uint8_t *start, ptrdiff_t stride, const int64_t[::1] rows, size_t tile,
                   const uint8_t **pointers) noexcept nogil:
    """Pointers to the rows of a tile, NULL behind the last one."""
    cdef size_t k, first = tile * ZML_TILE_ROWS, n = rows.shape[0]
    for k in range(ZML_TILE_ROWS):
        pointers[k] = start + rows[first + k] * stride if first + k < n else NULL


def tiles_of_fields(const uint8_t[:, :] source, const int64_t[::1] rows, size_t n_columns, int width, bint high_first,
                    uint8_t[:, ::1] tiles):
    """Make tiles of rows of fields, see `integers.encode_fields`: slot k gets row rows[k] of the source.

    Every byte of the tiles is written.
    """
    cdef size_t padded = zml_tile_columns(n_columns, width), seen = 0, t
    cdef const uint8_t *pointers[2][ZML_TILE_ROWS]
    cdef const uint8_t *start = &source[0, 0] if rows.shape[0] else NULL
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    cdef zml_fields fields
    require(width in (1, 2, 4) and n_columns >= 1, "no such fields")
    require(<size_t> source.shape[1] * 8 >= n_columns * width, "fewer fields than columns")
    require(source.shape[1] == 1 or source.strides[1] == 1, "rows of a block are not contiguous")
    require_rows(rows, source.shape[0])
    require(<size_t> tiles.shape[0] == (rows.shape[0] + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS
            and <size_t> tiles.shape[1] == zml_tile_bytes(padded, width), "no room for the rows")
    fields.n_columns, fields.width, fields.high_first = n_columns, width, high_first
    with nogil:
        point_to(start, source.strides[0], rows, 0, pointers[0])
        for t in range(<size_t> tiles.shape[0]):
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            point_to(start, source.strides[0], rows, t + 1, pointers[(t + 1) % 2])
            encoding.tile_of_fields(pointers[t % 2], pointers[(t + 1) % 2], &fields, &tiles[t, 0])


def tiles_of_integers(const integer[:, :] source, const int64_t[::1] rows, tuple columns, int width,
                      uint8_t[:, ::1] tiles):
    """Make tiles of rows of integers, see `integers.encode_integers`: slot k gets row rows[k] of the source.

    Every byte of the tiles is written.
    """
    cdef const integer[::1] low = columns[0], top = columns[1]
    cdef size_t d = source.shape[1], padded = zml_tile_columns(d, width), seen = 0, t, k, first, byte
    cdef size_t n = rows.shape[0], ahead = min(AHEAD_BYTES, d * sizeof(integer))
    # rows of bytes are turned as they are, so that one ends where the next begins, which is written after it
    cdef size_t filled = (d + ZML_FIELD_COLUMNS - 1) // ZML_FIELD_COLUMNS * ZML_FIELD_COLUMNS * width // 8
    cdef size_t size = padded if width == 8 else filled
    cdef ptrdiff_t stride = source.strides[0]
    cdef const uint8_t *start = <const uint8_t *> &source[0, 0] if n and d else NULL
    cdef const uint8_t *row
    cdef const uint8_t *places[ZML_TILE_ROWS]
    cdef const uint8_t *following[ZML_TILE_ROWS]
    cdef uint8_t[::1] spare = np.zeros(ZML_TILE_ROWS * size + filled, dtype=np.uint8)
    cdef zml_fields fields
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    cdef zml_integers map
    require(width in (1, 2, 4, 8) and d >= 1, "no such codes")
    require(<size_t> low.shape[0] == d and <size_t> top.shape[0] == d, "a block of another number of columns")
    require(d == 1 or source.strides[1] == sizeof(integer), "rows of a block are not contiguous")
    require_rows(rows, source.shape[0])
    require(<size_t> tiles.shape[0] == (n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS
            and <size_t> tiles.shape[1] == zml_tile_bytes(padded, width), "no room for the rows")
    map.n_columns, map.width, map.stride, map.is_signed, map.has_missing = d, width, columns[2], columns[3], 0
    map.low, map.top, map.missing = <const void *> &low[0], <const void *> &top[0], 0
    map.missing_code, map.after_missing, map.pair = NULL, NULL, -1
    fields.n_columns, fields.width, fields.high_first = d, width, 0
    with nogil:
        for k in range(ZML_TILE_ROWS):
            following[k] = NULL
        for t in range(<size_t> tiles.shape[0]):
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            first = t * ZML_TILE_ROWS
            for k in range(ZML_TILE_ROWS):
                places[k] = &spare[k * size] if first + k < n else NULL
                if first + k + AHEAD_ROWS < n:
                    row = start + rows[first + k + AHEAD_ROWS] * stride
                    byte = 0
                    while byte < ahead:
                        ZML_PREFETCH(row + byte)
                        byte += ZML_LINE
                if first + k < n:
                    row = start + rows[first + k] * stride
                    if integer is uint8_t:
                        encoding.fields_of_u8(row, &map, &spare[k * size])
                    else:
                        encoding.fields_of_u16(<const uint16_t *> row, &map, &spare[k * size])
            if width < 8:
                encoding.tile_of_fields(places, following, &fields, &tiles[t, 0])
                continue
            if n - first < ZML_TILE_ROWS:
                memset(&spare[(n - first) * size], 0, (ZML_TILE_ROWS - (n - first)) * size)
            encoding.tile_of_rows(&spare[0], width, padded, &tiles[t, 0])
