"""Data that are codes already: integers and fields of a few bits become packed rows; float16 becomes float32."""

import numpy as np

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.encoding cimport zml_encoding, zml_integers
from sklearn_zipml._kernels.tiles cimport (
    ZML_DITHERED, int64_t, uint8_t, uint16_t, uint32_t, zml_bits_of, zml_tile_columns,
)
from sklearn_zipml._kernels.workers cimport poll_in_time

cdef extern from "format/rows.h" nogil:
    size_t zml_row_bytes(size_t padded_columns, int width)

NONE = np.zeros(1, dtype=np.uint8)

ctypedef fused integer:
    uint8_t
    uint16_t

cdef enum:
    ROWS_AT_ONCE = 256
    WORD_COLUMNS = 32  # that a word of codes of any width has at most


def encode_integers(const integer[:, :] block, tuple columns, int width, uint8_t[:, ::1] tiles,
                    const int64_t[::1] slots, tuple missing=None, tuple within=None, int pair=-1):
    """Write rows of integers as packed rows into the slots of `tiles`.

    columns are (low, top, stride, whether there is a sign), the first two of the integers' type: a code is `stride`
    times the distance from `low`, between 0 and `top`. The elements of a row have to be contiguous. Signed integers are
    given as the unsigned ones of their bits, but `low` with the sign bit turned around. missing is (integer, code,
    after), uint8 (columns,) each but the first: that integer, of the same bits, has a place of its own, and distances
    from `after` on are one more. within is (first, columns) where the block is columns from `first` on of rows of so
    many. With pair, 0 to 3, the integers are those two bits of the bytes, from the lowest on.
    """
    cdef const integer[::1] low = columns[0], top = columns[1]
    cdef const uint8_t[::1] code = NONE, after = NONE
    cdef size_t n = block.shape[0], d = block.shape[1], before = 0 if within is None else within[0]
    cdef size_t columns_of_rows = d if within is None else within[1]
    cdef size_t size = zml_row_bytes(zml_tile_columns(columns_of_rows, width), width)
    cdef size_t first, count, i, seen = 0
    cdef uint8_t *rows[ROWS_AT_ONCE]
    cdef uint8_t *start = &tiles[0, 0] if tiles.shape[0] and tiles.shape[1] else NULL
    cdef zml_integers map
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    require(width in (1, 2, ZML_DITHERED, 4, 8) and d >= 1, "no such codes")
    require(<size_t> low.shape[0] == d and <size_t> top.shape[0] == d, "a block of another number of columns")
    require(before % WORD_COLUMNS == 0 and before + d <= columns_of_rows, "no such columns")
    require(before + d == columns_of_rows or d % WORD_COLUMNS == 0, "columns that end inside a word")
    require(n <= 1 or d == 1 or block.strides[1] == sizeof(integer), "rows of a block are not contiguous")
    require(<size_t> slots.shape[0] == n, "rows without a slot")
    require_rows(slots, tiles.shape[0] * tiles.shape[1] // size)
    map.n_columns, map.width, map.stride, map.is_signed = d, zml_bits_of(width), columns[2], columns[3]
    map.low, map.top, map.has_missing, map.missing = <const void *> &low[0], <const void *> &top[0], 0, 0
    require(-1 <= pair <= 3 and (pair < 0 or integer is uint8_t), "no such bits")
    map.pair = pair
    start += zml_row_bytes(before, width)
    if missing is not None:
        map.has_missing, map.missing, code, after = 1, missing[0], missing[1], missing[2]
        require(<size_t> code.shape[0] == d and <size_t> after.shape[0] == d, "a block of another number of columns")
    map.missing_code, map.after_missing = &code[0], &after[0]
    with nogil:
        first = 0
        while first < n:
            poll_in_time(&seen, d * ROWS_AT_ONCE)
            count = min(<size_t> ROWS_AT_ONCE, n - first)
            for i in range(count):
                rows[i] = start + <size_t> slots[first + i] * size
            if integer is uint8_t and pair >= 0:
                encoding.encode_pairs(&block[first, 0], block.strides[0], count, &map, rows)
            elif integer is uint8_t:
                encoding.encode_u8(&block[first, 0], block.strides[0], count, &map, rows)
            else:
                encoding.encode_u16(&block[first, 0], block.strides[0] // <ptrdiff_t> sizeof(integer), count, &map,
                                    rows)
            first += count


def encode_fields(const uint8_t[:, :] block, size_t n_columns, int width, bint high_first, uint8_t[:, ::1] tiles,
                  const int64_t[::1] slots):
    """Write rows of fields of 1, 2 or 4 bits, which are codes, as packed rows into the slots of `tiles`.

    With high_first the first column of a byte is in its highest bits, as of numpy.packbits.
    """
    cdef size_t n = block.shape[0], size = zml_row_bytes(zml_tile_columns(n_columns, width), width)
    cdef size_t first, count, i, seen = 0
    cdef uint8_t *rows[ROWS_AT_ONCE]
    cdef uint8_t *start = &tiles[0, 0] if tiles.shape[0] and tiles.shape[1] else NULL
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    require(width in (1, 2, ZML_DITHERED, 4) and n_columns >= 1, "no such fields")
    require(<size_t> block.shape[1] * 8 >= n_columns * zml_bits_of(width), "fewer fields than columns")
    require(n <= 1 or block.shape[1] == 1 or block.strides[1] == 1, "rows of a block are not contiguous")
    require(<size_t> slots.shape[0] == n, "rows without a slot")
    require_rows(slots, tiles.shape[0] * tiles.shape[1] // size)
    with nogil:
        first = 0
        while first < n:
            poll_in_time(&seen, n_columns * ROWS_AT_ONCE)
            count = min(<size_t> ROWS_AT_ONCE, n - first)
            for i in range(count):
                rows[i] = start + <size_t> slots[first + i] * size
            encoding.encode_fields(&block[first, 0], block.strides[0], count, n_columns, zml_bits_of(width), high_first,
                                   rows)
            first += count


def range_of_integers(const integer[:, :] block, integer sign, integer[::1] low, integer[::1] high):
    """Lower `low` and raise `high` to the range of a block's columns, all with the bits of `sign` turned around.

    The elements of a row have to be contiguous.
    """
    cdef size_t n = block.shape[0], d = block.shape[1]
    cdef ptrdiff_t stride = block.strides[0] // <ptrdiff_t> sizeof(integer)
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    require(<size_t> low.shape[0] == d and <size_t> high.shape[0] == d, "ranges are of other columns")
    require(n <= 1 or d <= 1 or block.strides[1] == sizeof(integer), "rows of a block are not contiguous")
    if n and d:
        with nogil:
            if integer is uint8_t:
                encoding.range_u8(&block[0, 0], stride, n, d, sign, &low[0], &high[0])
            else:
                encoding.range_u16(&block[0, 0], stride, n, d, sign, &low[0], &high[0])


def widen_halves(const uint16_t[::1] halves, uint32_t[::1] out):
    """The bits of float16 to those of float32."""
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    require(halves.shape[0] == out.shape[0], "no room for the values")
    if halves.shape[0]:
        with nogil:
            encoding.widen_f16(&halves[0], halves.shape[0], &out[0])
