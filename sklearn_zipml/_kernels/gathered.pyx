"""Tiles of rows in memory that are fields of codes: those of each tile are fetched from where they are."""

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.encoding cimport zml_encoding, zml_fields
from sklearn_zipml._kernels.tiles cimport ZML_TILE_ROWS, int64_t, uint8_t, zml_tile_bytes, zml_tile_columns
from sklearn_zipml._kernels.workers cimport poll_in_time

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
