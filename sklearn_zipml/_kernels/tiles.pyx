"""Packed tiles and packed rows: check, take pointers, drop the GIL, call."""

import numpy as np

cimport cython
from libc.string cimport memcpy

from .decode_tables import interleaved
from .mapped import mapping_of

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.encoding cimport zml_encoding
from sklearn_zipml._kernels.workers cimport LOOK_VALUES, poll_here, poll_in_time

cdef extern from "encoding/encode.h" nogil:
    void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                         size_t n_rows)
    void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes)

cdef extern from "format/tile.h" nogil:
    void zml_unpack_group(const uint8_t *tile, size_t group, int width, uint8_t *codes)

cdef extern from "format/rows.h" nogil:
    size_t zml_row_bytes(size_t padded_columns, int width)
    void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows)

cdef enum:
    COUNTED_TILES = 64

TILE_ROWS, LINE, FLOAT_WIDTH, DITHERED = ZML_TILE_ROWS, ZML_LINE, ZML_FLOAT_WIDTH, ZML_DITHERED
DITHER_TABLE, SEED_BYTES = ZML_DITHER_TABLE, ZML_SEED_BYTES
OUTLIER_COLUMNS = ZML_OUTLIER_COLUMNS


def padded_columns(size_t n_columns):
    """Columns a tile holds for `n_columns`: the next multiple of 16."""
    return zml_padded_columns(n_columns)


def tile_bytes(size_t n_columns, int width):
    """Bytes of one tile of 64 rows."""
    return zml_tile_bytes(zml_tile_columns(n_columns, width), width)


def tile_columns(size_t n_columns, int width):
    """Columns of a tile: those of `padded_columns`, and with known dither those of the rows' seeds."""
    return zml_tile_columns(n_columns, width)


@cython.final
cdef class Tiles:
    """A tiled matrix as the passes see it.

    Parameters
    ----------
    codes : uint8 array (tiles, bytes of a tile)
    table : uint8 array, decode table [column][code], empty for widths 8 and 32; of DITHERED [column] its 16
        positions and its multiplier, see csrc/format/dither.h
    n_rows, n_columns : int
    width : {1, 2, DITHERED, 4, 8, 32}, bits of a code, or DITHERED: 2 with known dither; 32 means float32 values
    outliers : Outliers or None, values that are no more than near to what their codes stand for
    """

    def __init__(self, const uint8_t[:, ::1] codes, const uint8_t[::1] table, size_t n_rows, size_t n_columns,
                 int width, outliers=None):
        require(width in (1, 2, ZML_DITHERED, 4, 8, 32) and n_columns < <size_t> 1 << 48, "no such tiles")
        self.mapping = mapping_of(codes.base)
        self.codes, self.n_rows, self.n_columns = codes, n_rows, n_columns
        self.format, self.width = width, zml_bits_of(width)
        self.padded, self.n_tiles = zml_tile_columns(n_columns, width), codes.shape[0]
        if <size_t> codes.shape[1] != zml_tile_bytes(self.padded, width):
            raise ValueError(f"tiles of {codes.shape[1]} bytes do not hold {n_columns} columns of {width} bits")
        if self.n_tiles * ZML_TILE_ROWS < n_rows:
            raise ValueError(f"{self.n_tiles} tiles do not hold {n_rows} rows")
        if <size_t> table.shape[0] != self.padded * zml_table_codes(width):
            raise ValueError(f"a decode table of {table.shape[0]} entries does not fit {self.padded} columns")
        arranged = interleaved(table, ZML_GROUP_COLUMNS, ZML_DITHER_TABLE) if width == ZML_DITHERED else table
        self.table = on_lines(arranged) if table.shape[0] else table
        self.outliers, self.apart.starts = outliers, NULL
        if outliers is not None:
            self.point_to(outliers)

    cdef int point_to(self, outliers) except -1:
        self.starts, self.entries = outliers.starts, outliers.entries
        self.apart.n_blocks = (self.padded + ZML_OUTLIER_COLUMNS - 1) // ZML_OUTLIER_COLUMNS
        require(self.width <= 8 and <size_t> self.starts.shape[0] == self.n_tiles * self.apart.n_blocks + 1
                and self.starts[self.n_tiles * self.apart.n_blocks] == <size_t> self.entries.shape[0],
                "outliers of other tiles")
        if self.entries.shape[0]:
            self.apart.starts, self.apart.entries = &self.starts[0], &self.entries[0]
        return 0

    @property
    def floats(self):
        """float32 view (tiles, padded columns, 64) of a matrix of width 32."""
        return np.asarray(self.codes).view(np.float32).reshape(self.n_tiles, self.padded, ZML_TILE_ROWS)

    cdef int require_span(self, size_t first, size_t last) except -1:
        require(first <= last <= self.n_tiles, "tiles that there are not")
        return self.look()

    cdef int look(self) except -1:
        poll_here()
        if self.mapping is not None:
            self.mapping.require_whole()
        return 0

    cdef int look_in_time(self, size_t *left) except -1 nogil:
        left[0] -= 1
        if left[0] == 0:
            left[0] = max(<size_t> 1, <size_t> LOOK_VALUES // (ZML_TILE_ROWS * max(<size_t> 1, self.padded)))
            with gil:
                self.look()
        return 0

    cdef size_t rows_before(self, size_t index) noexcept nogil:
        return min(index * ZML_TILE_ROWS, self.n_rows)

    cdef const uint8_t *tile(self, size_t index) noexcept nogil:
        return &self.codes[index, 0]

    cdef int rows_in(self, size_t index) noexcept nogil:
        return <int> min(<size_t> ZML_TILE_ROWS, self.n_rows - index * ZML_TILE_ROWS)

    cdef void unpack(self, size_t index, uint8_t *codes) noexcept nogil:
        zml_unpack_tile(self.tile(index), self.width, self.padded, codes)

    def positions(self, size_t first, size_t last):
        """Stored grid positions of the rows of tiles first..last-1, (rows, columns), in slot order.

        They are uint8, or int32 where there are outliers.
        """
        self.require_span(first, last)
        cdef size_t t, n = self.rows_before(last) - self.rows_before(first)
        out = np.empty((n, self.n_columns), dtype=np.uint8)
        cdef uint8_t[:, ::1] view = out
        cdef const uint8_t *table = &self.table[0] if self.table.shape[0] else NULL
        cdef size_t left = 1
        with nogil:
            for t in range(first, last):
                self.look_in_time(&left)
                zml_decode_tile(self.tile(t), self.format, self.n_columns, table,
                                &view[(t - first) * ZML_TILE_ROWS, 0], self.rows_in(t))
        if self.apart.starts == NULL:
            return out
        slots, own, differences = self.outliers.decoded(first, last)
        wide = out.astype(np.int32)
        wide[slots - first * ZML_TILE_ROWS, own] += differences
        return wide

    def columns(self, size_t first, size_t last):
        """Values of columns first..last-1, (rows, columns) in slot order: grid positions, or float32.

        `first` is a multiple of 16, and so is `last` unless it is the last column.
        """
        if self.width == 32:
            return self.floats[:, first:last].transpose(0, 2, 1).reshape(-1, last - first)[: self.n_rows]
        cdef size_t padded = zml_padded_columns(last - first), begin = first * self.width * 8
        if self.format == ZML_DITHERED:
            from .dither import as_bytes

            return self._with_differences(as_bytes(self, 0, self.n_tiles, first, last).positions(0, self.n_tiles),
                                          first, last)
        cdef size_t size = zml_tile_bytes(padded, self.width), codes = zml_table_codes(self.width)
        part = aligned_zeros(self.n_tiles * size).reshape(self.n_tiles, size)
        part[:] = np.asarray(self.codes)[:, begin : begin + size]
        table = np.asarray(self.table)[first * codes : (first + padded) * codes]
        out = Tiles(part, table, self.n_rows, last - first, self.width).positions(0, self.n_tiles)
        return self._with_differences(out, first, last)

    def _with_differences(self, out, size_t first, size_t last):
        """Positions of columns first..last-1, those of outliers with their differences."""
        if self.apart.starts == NULL:
            return out
        slots, own, differences = self.outliers.decoded(0, self.n_tiles)
        inside, wide = (own >= first) & (own < last), out.astype(np.int32)
        wide[slots[inside], own[inside] - first] += differences[inside]
        return wide

    cdef void widen(self, size_t index, size_t first, size_t columns, uint8_t *out) noexcept nogil:
        cdef uint32_t[ZML_TILE_ROWS] seeds
        zml_row_seeds(zml_seeds_of(self.tile(index), self.padded, self.format), 0, 4, seeds)
        active_kernels().widen(self.tile(index) + first * ZML_TILE_ROWS // 8 * self.width,
                               &self.table[first * ZML_DITHER_TABLE], columns, 0, 4, seeds, out)

    cdef void take(self, const int64_t[::1] slots, size_t tile, uint8_t *out) noexcept nogil:
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        cdef uint8_t rows[ZML_TILE_ROWS]
        cdef size_t start = tile * ZML_TILE_ROWS, end = min(start + ZML_TILE_ROWS, <size_t> slots.shape[0])
        cdef size_t k = start, first, source
        while k < end:
            first, source = k, slots[k] // ZML_TILE_ROWS
            while k < end and <size_t> slots[k] // ZML_TILE_ROWS == source:
                rows[k - first] = slots[k] % ZML_TILE_ROWS
                k += 1
            encoding.take_rows(self.tile(source), self.width, self.padded, rows, k - first, first - start, out)

    cdef void count(self, const int64_t[::1] chosen, size_t first_group, size_t last_group,
                    uint64_t *counts) noexcept nogil:
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        cdef const uint8_t *whole[COUNTED_TILES]
        cdef Py_ssize_t k
        cdef size_t n = 0
        for k in range(chosen.shape[0]):
            if <size_t> chosen[k] < self.n_rows // ZML_TILE_ROWS:
                whole[n] = self.tile(chosen[k])
                n += 1
            else:
                self.count_last(chosen[k], first_group, last_group, counts)
            if n == COUNTED_TILES or k + 1 == chosen.shape[0]:
                encoding.count_tiles(whole, n, self.width, first_group, last_group, counts)
                n = 0

    cdef void count_last(self, size_t index, size_t first_group, size_t last_group, uint64_t *counts) noexcept nogil:
        cdef uint8_t[ZML_TILE_ROWS * ZML_GROUP_COLUMNS] codes
        cdef size_t group, c
        cdef int i
        for group in range(first_group, last_group):
            zml_unpack_group(self.tile(index), group, self.width, codes)
            for i in range(self.rows_in(index)):
                for c in range(ZML_GROUP_COLUMNS):
                    counts[(c << self.width) + codes[ZML_GROUP_COLUMNS * i + c]] += 1
            counts += <size_t> ZML_GROUP_COLUMNS << self.width

    def counts(self, size_t first=0, last=None):
        """How many rows of tiles first..last-1 have each code, float64 (columns, codes)."""
        out = np.zeros((self.padded, 1 << self.width), dtype=np.uint64)
        cdef uint64_t[:, ::1] view = out
        cdef size_t end = self.n_tiles if last is None else min(<size_t> last, self.n_tiles)
        self.require_span(first, end)
        cdef const int64_t[::1] chosen = np.arange(first, end, dtype=np.int64)
        cdef size_t some = LOOK_VALUES // (ZML_TILE_ROWS * max(<size_t> 1, self.padded)) + 1
        while first < end and self.padded:
            self.look()
            with nogil:
                self.count(chosen[:some], 0, self.padded // ZML_GROUP_COLUMNS, &view[0, 0])
            chosen, first = chosen[some:], first + some
        return out[: self.n_columns].astype(np.float64)

    def sums(self, size_t first, size_t last):
        """Sums of each column's codes, and of their squares, in tiles first..last-1 of bytes: uint64 (2, columns)."""
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        out = np.zeros((2, self.padded), dtype=np.uint64)
        cdef uint64_t[:, ::1] view = out
        if self.width != 8:
            raise ValueError(f"codes of {self.width} bits are not grid positions")
        self.require_span(first, last)
        cdef size_t some = LOOK_VALUES // (ZML_TILE_ROWS * max(<size_t> 1, self.padded)) + 1, count
        while first < last and self.padded:
            self.look()
            count = min(some, last - first)
            with nogil:
                encoding.sum_bytes(self.tile(first), count, self.padded, &view[0, 0], &view[1, 0])
            first += count
        return out[:, : self.n_columns]

    def lookup(self, size_t first, size_t last, const int64_t[::1] columns, const double[:, ::1] values):
        """Sums over some columns of a value that each code stands for, float64 (rows of tiles first..last-1,)."""
        cdef uint8_t[:, ::1] codes = np.empty((ZML_TILE_ROWS, self.padded), dtype=np.uint8)
        cdef size_t tile, end = min(<size_t> self.n_rows, last * <size_t> ZML_TILE_ROWS)
        cdef Py_ssize_t k
        cdef int i
        self.require_span(first, last)
        require_rows(columns, self.padded)
        require(values.shape[0] >= columns.shape[0] and values.shape[1] >= 1 << self.width, "values of other columns")
        out = np.zeros(end - min(end, first * ZML_TILE_ROWS))
        cdef double[::1] view = out
        cdef size_t left = 1
        with nogil:
            for tile in range(first, last):
                self.look_in_time(&left)
                self.unpack(tile, &codes[0, 0])
                for k in range(columns.shape[0]):
                    for i in range(self.rows_in(tile)):
                        view[(tile - first) * ZML_TILE_ROWS + i] += values[k, codes[i, columns[k]]]
        return out


def gather_rows(Tiles source, const int64_t[::1] slots, uint8_t[:, ::1] tiles, size_t first, size_t last):
    """Copy, as a packed row each, the rows of the source's tiles first..last-1 that are asked for.

    slots[k] is the slot of the source whose row becomes row k of tiles; `rows_to_tiles` makes tiles of them.
    """
    cdef size_t size = zml_row_bytes(source.padded, source.width), t, k, n = slots.shape[0]
    cdef uint8_t[::1] spare = np.empty(size * ZML_TILE_ROWS, dtype=np.uint8)
    cdef int64_t[::1] order = np.empty(n, dtype=np.int64), end = np.zeros(last - first + 1, dtype=np.int64)
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    source.require_span(first, last)
    require_rows(slots, source.n_rows)
    require(<size_t> (tiles.shape[0] * tiles.shape[1]) >= n * size, "no room for the rows")
    cdef uint8_t *start = &tiles[0, 0] if n else NULL
    cdef size_t left = 1
    with nogil:
        # a counting sort by tile
        for k in range(n):
            t = slots[k] // ZML_TILE_ROWS
            if first <= t < last:
                end[t - first + 1] += 1
        for t in range(last - first):
            end[t + 1] += end[t]
        for k in range(n):
            t = slots[k] // ZML_TILE_ROWS
            if first <= t < last:
                order[end[t - first]] = k
                end[t - first] += 1
        k = 0
        for t in range(first, last):
            if k == <size_t> end[t - first]:
                continue
            source.look_in_time(&left)
            encoding.rows_of_tile(source.tile(t), source.width, source.padded, &spare[0])
            for k in range(k, <size_t> end[t - first]):
                memcpy(start + <size_t> order[k] * size, &spare[(<size_t> slots[order[k]] - t * ZML_TILE_ROWS) * size],
                       size)
            k = end[t - first]


def take_rows(Tiles source, const int64_t[::1] slots, uint8_t[:, ::1] tiles, size_t first, size_t last):
    """Fill the zeroed tiles first..last-1 with rows of the source: slot k gets that of slots[k], which ascend."""
    cdef size_t t
    source.look()
    require_rows(slots, source.n_rows)
    require(first <= last <= <size_t> tiles.shape[0], "tiles that there are not")
    require(<size_t> tiles.shape[1] == zml_tile_bytes(source.padded, source.width), "tiles of other columns")
    cdef size_t left = 1
    with nogil:
        for t in range(first, last):
            source.look_in_time(&left)
            source.take(slots, t, &tiles[t, 0])


def take_columns(Tiles source, const int64_t[::1] columns, size_t at, uint8_t[:, ::1] tiles, size_t first, size_t last):
    """Fill columns from `at` on, which are zero, of `tiles` with some columns of the source's tiles first..last-1."""
    cdef size_t t, count = columns.shape[0]
    source.require_span(first, last)
    require_rows(columns, source.n_columns)
    require(source.width < ZML_FLOAT_WIDTH and last - first == <size_t> tiles.shape[0], "tiles of other rows")
    require(zml_tile_bytes(zml_tile_columns(at + count, source.format), source.format) <= <size_t> tiles.shape[1],
            "no room for the columns")
    cdef size_t left = 1
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    if not count:
        return
    with nogil:
        for t in range(first, last):
            source.look_in_time(&left)
            encoding.take_columns(source.tile(t), source.width, &columns[0], count, at, &tiles[t - first, 0])


def row_bytes(size_t n_columns, int width):
    """Bytes of one packed row; 64 rows take the bytes of a tile."""
    return zml_row_bytes(zml_tile_columns(n_columns, width), width)


def tiles_to_rows(const uint8_t[:, ::1] tiles, size_t n_columns, int width, uint8_t[:, ::1] rows):
    """Write the first len(rows) rows of tiles as packed rows, in slot order."""
    cdef size_t t, first, count, n = rows.shape[0], padded = zml_tile_columns(n_columns, width)
    require(<size_t> tiles.shape[0] * ZML_TILE_ROWS >= n, "fewer rows than are asked for")
    require(<size_t> tiles.shape[1] == zml_tile_bytes(padded, width), "tiles of other columns")
    require(<size_t> rows.shape[1] == zml_row_bytes(padded, width), "rows of other columns")
    cdef size_t seen = 0
    with nogil:
        for t in range((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS):
            first = t * ZML_TILE_ROWS
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            count = min(<size_t> ZML_TILE_ROWS, n - first)
            zml_tile_to_rows(&tiles[t, 0], zml_bits_of(width), padded, count, &rows[first, 0])


def rows_to_tiles(uint8_t[:, ::1] rows, size_t n_columns, int width):
    """Make tiles of packed rows, 64 to a tile, in the same memory."""
    cdef size_t t, padded = zml_tile_columns(n_columns, width), size = zml_tile_bytes(padded, width)
    cdef uint8_t[::1] spare = np.empty(max(size, <size_t> 1), dtype=np.uint8)
    cdef size_t n_tiles = rows.shape[0] * rows.shape[1] // size if size else 0
    cdef uint8_t *start = &rows[0, 0] if n_tiles else NULL
    cdef size_t seen = 0
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    with nogil:
        for t in range(n_tiles):
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            memcpy(&spare[0], start + t * size, size)
            encoding.tile_of_rows(&spare[0], zml_bits_of(width), padded, start + t * size)


def aligned_zeros(size_t n):
    """Zeroed bytes that start on a 64-byte line."""
    raw = np.zeros(n + LINE, dtype=np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + n]


def on_lines(values):
    """A copy, C-contiguous, that starts on a 64-byte line: vectors that cross lines take twice as long to read."""
    values = np.asarray(values)
    out = aligned_zeros(values.nbytes).view(values.dtype).reshape(values.shape)
    out[...] = values
    return out
