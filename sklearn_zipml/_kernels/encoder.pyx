"""Rows become codes, with the levels of every column given, and the sums that are known then."""

import numpy as np

from .code_tables import NO_TABLE, cells, code_tables
from .tiles import aligned_zeros, rows_to_tiles

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport real, require, require_rows, require_strides
from sklearn_zipml._kernels.encoding cimport (
    ZML_BLOCK_TILES, ZML_FOLD_TILES, ZML_FOUND_AT_ONCE, ZML_MAX_CODES, zml_affine_f32, zml_affine_f64, zml_codebook,
    zml_encoding, zml_found, zml_lanes, zml_moments, zml_outlier_map, zml_sampling, zml_workspace, ZML_COMPENSATED,
    ZML_DOUBLE, ZML_DRAWS, ZML_NAIVE, ZML_NEAREST,
)
from sklearn_zipml._kernels.tiles cimport (
    ZML_OUTLIER_COLUMNS, ZML_TILE_ROWS, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, zml_padded_columns,
    ZML_DITHERED, zml_noise_codes, zml_tile_columns,
)

cdef extern from "format/rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)
    uint32_t zml_column_key(uint64_t column)
    uint32_t zml_draw_key(uint32_t column, uint32_t draw)

cdef extern from "format/levels.h" nogil:
    enum:
        ZML_GRID_FRACTION

cdef extern from "format/rows.h" nogil:
    size_t zml_row_bytes(size_t padded_columns, int width)

cdef extern from "encoding/encode.h" nogil:
    size_t zml_tiles_at_once(size_t n_columns)
    uint64_t zml_tally_weight(uint64_t block)
    size_t zml_outliers_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride,
                            const zml_outlier_map *map, const zml_found *values, const zml_moments *moments,
                            uint64_t weight, uint64_t *entries)
    size_t zml_outliers_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride,
                            const zml_outlier_map *map, const zml_found *values, const zml_moments *moments,
                            uint64_t weight, uint64_t *entries)
    void zml_add_lanes(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments)
    void zml_add_tallies(const zml_codebook *book, const zml_workspace *work, uint64_t weight,
                         const zml_moments *moments)

NAIVE, NEAREST, DOUBLE, COMPENSATED = ZML_NAIVE, ZML_NEAREST, ZML_DOUBLE, ZML_COMPENSATED
GRID_FRACTION = ZML_GRID_FRACTION

cdef enum:
    FOUND_AT_ONCE = 4 * ZML_FOUND_AT_ONCE


cdef class Moments:
    """Exact per-column sums that an encoder gathers; the results of several encoders add up. See zml_moments."""

    cdef readonly object sum, square, variance, hits, noise, tallied, beyond, beyond_square
    cdef size_t n_columns, codes

    cdef int fits(self, size_t n_columns, int width) except -1:
        return require(self.n_columns == n_columns and self.codes in (0, zml_noise_codes(width)),
                       "moments of other columns")

    def __init__(self, size_t n_columns, int width, bint by_code):
        cdef size_t codes = zml_noise_codes(width) if by_code else 0
        self.n_columns, self.codes = n_columns, codes
        self.sum, self.square, self.variance = (np.zeros(n_columns, dtype=np.uint64) for _ in range(3))
        self.beyond, self.beyond_square = (np.zeros(n_columns, dtype=np.int64) for _ in range(2))
        self.hits, self.noise, self.tallied = (np.zeros((n_columns, codes), dtype=np.uint64) for _ in range(3))

    def add(self, Moments other):
        for name in ("sum", "square", "variance", "hits", "noise", "tallied", "beyond", "beyond_square"):
            mine = getattr(self, name)
            mine += getattr(other, name)


cdef zml_moments pointers(Moments moments):
    cdef uint64_t[::1] total = moments.sum, square = moments.square, variance = moments.variance
    cdef uint64_t[:, ::1] hits = moments.hits, noise = moments.noise, tallied = moments.tallied
    cdef int64_t[::1] beyond = moments.beyond, beyond_square = moments.beyond_square
    cdef zml_moments out
    out.beyond, out.beyond_square = &beyond[0], &beyond_square[0]
    out.sum, out.square, out.variance, out.hits, out.noise, out.tallied = (
        &total[0], &square[0], &variance[0], NULL, NULL, NULL)
    if hits.shape[1]:
        out.hits, out.noise, out.tallied = &hits[0, 0], &noise[0, 0], &tallied[0, 0]
    return out


cdef require_grid(levels, n_levels, top, offset, scale, int width, uint32_t n_draws):
    """Raise ValueError for levels that tables cannot be made of; they may come from the state of a quantizer."""
    cdef int most = 256 if width == 8 else ZML_MAX_CODES
    shapes = {np.shape(columns) for columns in (n_levels, top, offset, scale)}
    require(width in (1, 2, ZML_DITHERED, 4, 8) and 1 <= n_draws <= 255, "no such codes")
    require(len(shapes) == 1 and np.ndim(levels) == 2 and shapes == {np.shape(levels)[:1]}, "levels of other columns")
    require(np.shape(levels)[0] >= 1, "a matrix has at least one column, this one has none")
    require(1 <= np.shape(levels)[1] <= most, "levels are too many for their codes")
    used = np.asarray(n_levels, dtype=np.int64)
    require(bool((used >= 1).all() and (used <= np.shape(levels)[1]).all()), "more levels are used than there are")
    require(bool((levels[:, 1:] >= levels[:, :-1]).all()), "levels do not ascend")


cdef class Encoder:
    """Rounds rows to codes and packs them, given the levels of every column.

    Parameters
    ----------
    grid : (levels, n_levels, top, offset, scale)
        levels : uint8 (columns, levels), grid positions, the first 0, unused ones repeating the last
        n_levels : uint16 (columns,), how many are used
        top : uint8 (columns,), highest grid position
        offset, scale : float64 (columns,): a value's fixed-point grid coordinate is (value - offset) * scale
    sampling : NAIVE, NEAREST, DOUBLE or COMPENSATED
    width : {1, 2, DITHERED, 4, 8}
    seed : int, 64 bits
    n_draws : int, draws that a code holds: more than one for "double" only
    watched : bool (columns,) or None, columns whose values beyond the first and last level are kept apart
    dither : (first_rung, multiplier, positions), of width DITHERED, or of 3 bits in 4, see format/dither.h; or None
        first_rung : uint8 (columns,), position of the first level; levels are rungs where it is not 0
        multiplier : uint16 (columns,), odd, or None with 3 bits
        positions : uint8 (columns, 16), grid position of code c with dither t at 4 c + t, or with 3 bits of the codes
    """

    cdef uint8_t[::1] watched, top
    cdef uint16_t[::1] used
    cdef double[:, ::1] places
    cdef zml_outlier_map outlier_map
    cdef uint8_t[:, ::1] few, gaps, interval, positions, below, gap
    cdef uint8_t[::1] first_rung
    cdef uint16_t[::1] multiplier
    cdef uint32_t[:, ::1] multipliers, draw_keys
    cdef double[:, ::1] affine
    cdef float[:, ::1] affine_f32
    cdef zml_codebook book
    cdef zml_affine_f32 map_f32
    cdef zml_affine_f64 map_f64
    cdef readonly size_t n_columns
    cdef readonly int width

    def __init__(self, tuple grid, zml_sampling sampling, int width, uint64_t seed, uint32_t n_draws, watched=None,
                 dither=None):
        levels, n_levels, top, offset, scale = grid
        cdef size_t d = len(n_levels), padded = zml_padded_columns(d), j
        cdef int k
        require_grid(levels, n_levels, top, offset, scale, width, n_draws)
        self.n_columns, self.width = d, width
        self.multipliers, self.draw_keys = content_multipliers(padded), np.empty((2, padded), dtype=np.uint32)
        for k in range(2):
            for j in range(padded):
                self.draw_keys[k, j] = zml_draw_key(<uint32_t> j, k)
        affine = np.zeros((3, padded))
        affine[:, :d] = offset, scale, np.asarray(top) * float(GRID_FRACTION)
        with np.errstate(over="ignore"):  # float32 blocks are encoded only where the range suits them
            self.affine, self.affine_f32 = affine, affine.astype(np.float32)
        self.map_f32.offset, self.map_f32.scale, self.map_f32.top = (
            &self.affine_f32[0, 0], &self.affine_f32[1, 0], &self.affine_f32[2, 0])
        self.map_f64.offset, self.map_f64.scale, self.map_f64.top = (
            &self.affine[0, 0], &self.affine[1, 0], &self.affine[2, 0])
        self.few, self.gaps, self.positions = (
            code_tables(levels, padded, n_draws) if width < 8 else (NO_TABLE, NO_TABLE, NO_TABLE))
        self.interval, self.below, self.gap = cells(levels, np.ascontiguousarray(n_levels), padded, width)
        cdef zml_codebook *book = &self.book
        book.n_columns, book.sampling, book.width, book.seed = d, sampling, width, seed
        book.n_draws = n_draws
        every_level = np.array_equal(n_levels, np.asarray(top, dtype=np.int64) + 1)
        book.every_position = width == 8 and n_draws == 1 and every_level
        if n_draws > 2:
            book.sampling = ZML_DRAWS
        for k in range(2):
            book.multipliers[k], book.draw_keys[k] = &self.multipliers[k, 0], &self.draw_keys[k, 0]
        book.levels, book.gaps, book.positions = &self.few[0, 0], &self.gaps[0, 0], &self.positions[0, 0]
        book.interval, book.below, book.gap = &self.interval[0, 0], &self.below[0, 0], &self.gap[0, 0]

        book.multiplier, book.first_rung = NULL, NULL
        has_multipliers = dither is not None and dither[1] is not None
        require(has_multipliers == (width == ZML_DITHERED) and (dither is None or has_multipliers or width == 4),
                "dither of other codes")
        if dither is not None:
            self.take_dither(dither)
        self.watch(watched, levels, n_levels, top, offset, scale)

    cdef take_dither(self, dither):
        cdef size_t d = self.n_columns, padded = zml_padded_columns(d)
        first_rung, multiplier, positions = dither
        multiplier = np.ones(d, dtype=np.uint16) if multiplier is None else multiplier
        require(len(first_rung) == d and len(multiplier) == d and np.shape(positions) == (d, ZML_MAX_CODES)
                and self.book.sampling == ZML_COMPENSATED, "dither of other columns, or of several draws")
        self.first_rung, self.multiplier = np.zeros(padded, dtype=np.uint8), np.ones(padded, dtype=np.uint16)
        np.asarray(self.first_rung)[:d], np.asarray(self.multiplier)[:d] = first_rung, multiplier
        np.asarray(self.positions)[:d] = positions
        self.book.multiplier, self.book.first_rung = &self.multiplier[0], &self.first_rung[0]

    cdef watch(self, watched, levels, n_levels, top, offset, scale):
        """Prepare to look for values beyond the levels."""
        cdef size_t d = self.n_columns
        self.watched, self.top = np.zeros(zml_padded_columns(d), dtype=np.uint8), np.ascontiguousarray(top)
        self.used, self.places = np.array(n_levels, dtype=np.uint16), np.array([offset, scale], dtype=np.float64)
        self.book.watched = NULL
        if watched is None or not np.any(watched):
            return
        require(self.book.sampling == ZML_COMPENSATED and len(watched) == d, "outliers of several draws")
        np.asarray(self.watched)[:d] = np.where(watched, top, 0)
        np.asarray(self.places)[1] /= GRID_FRACTION
        self.book.watched = &self.watched[0]
        cdef zml_outlier_map *map = &self.outlier_map
        map.offset, map.inverse, map.top, map.used = &self.places[0, 0], &self.places[1, 0], &self.top[0], &self.used[0]
        map.seed, map.width = zml_mix64(self.book.seed ^ <uint64_t> 0x6f75746c69657273), self.width
        map.dithered = &self.book if self.book.first_rung != NULL else NULL
        map.n_blocks = (zml_padded_columns(d) + ZML_OUTLIER_COLUMNS - 1) // ZML_OUTLIER_COLUMNS

    def workspace(self):
        """Memory to encode in, for one thread and as many blocks as it likes."""
        return Workspace(self.n_columns)

    def encode(self, const real[:, :] block, uint8_t[:, ::1] tiles, Moments moments, const int64_t[::1] slots=None,
               size_t first_row=0, Workspace work=None, bint by_place=False, Found found=None):
        """Pack a block of rows of X, the elements of its rows or those of its columns being contiguous.

        Without slots, into tiles from the first row on. With slots, row i goes as a packed row to the memory of slot
        slots[i] of all tiles, which `rows_to_tiles` makes tiles of once all rows are there. first_row is the number
        of the block's first row among all that are encoded: it decides which errors are tallied by code. work comes
        from `workspace`. With by_place, equal rows do not share their draws: for rows that had been rounded, where
        equal ones need not have been. found gets the outliers of the columns that are watched.
        """
        cdef size_t n = block.shape[0], size = zml_row_bytes(zml_tile_columns(self.n_columns, self.width), self.width)
        cdef size_t at_once = zml_tiles_at_once(self.n_columns) * ZML_TILE_ROWS
        cdef size_t first = 0, count, i, tiles_done = 0
        cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
        cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        cdef size_t room = tiles.shape[0] * tiles.shape[1] // size
        require(<size_t> block.shape[1] == self.n_columns, "a block of another number of columns")
        require_strides[real](block)
        if slots is None:
            require((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS * ZML_TILE_ROWS <= room, "no room for the rows")
        else:
            require(<size_t> slots.shape[0] >= n, "rows without a slot")
            require_rows(slots, room)
        moments.fits(self.n_columns, self.width)
        cdef zml_codebook book = self.book
        book.by_place = by_place
        work = Workspace(self.n_columns) if work is None else work
        cdef zml_moments out = pointers(moments)
        cdef uint64_t weight, last_weight = 0
        cdef uint8_t *rows[ZML_BLOCK_TILES * ZML_TILE_ROWS]
        cdef uint8_t *start = &tiles[0, 0] if tiles.shape[0] else NULL
        cdef bint scattered = slots is not None
        if book.watched != NULL:
            require(found is not None and <size_t> found.slots.shape[0] >= n, "outliers without slots")
            work.pointers.contents = &work.contents[0]
        else:
            work.pointers.contents = NULL
        with nogil:
            while first < n:
                count = min(at_once - (first_row + first) % at_once, n - first)
                for i in range(count):
                    rows[i] = start + (<size_t> slots[first + i] if scattered else first + i) * size
                book.place = first_row + first
                weight = zml_tally_weight((first_row + first) // (ZML_BLOCK_TILES * ZML_TILE_ROWS)) if out.noise else 0
                if weight and last_weight and weight != last_weight:
                    zml_add_tallies(&self.book, &work.pointers, last_weight, &out)
                last_weight = weight or last_weight
                if real is float:
                    encoding.encode_f32(&block[first, 0], row_stride, column_stride, count, &book, &self.map_f32,
                                        &work.pointers, weight != 0, rows)
                else:
                    encoding.encode_f64(&block[first, 0], row_stride, column_stride, count, &book, &self.map_f64,
                                        &work.pointers, weight != 0, rows)
                if book.watched != NULL:
                    found.at = &found.slots[first]
                    self.keep_outliers[real](&block[first, 0], row_stride, column_stride, count, work, &out, weight,
                                             found)
                first += count
                tiles_done += ZML_BLOCK_TILES
                if tiles_done >= ZML_FOLD_TILES or first == n:
                    zml_add_lanes(&self.book, &work.pointers, &out)
                    if last_weight:
                        zml_add_tallies(&self.book, &work.pointers, last_weight, &out)
                    tiles_done = last_weight = 0
        if not scattered:
            rows_to_tiles(tiles[:(n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS], self.n_columns, self.width)

    cdef int keep_outliers(self, const real *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t count,
                           Workspace work, const zml_moments *out, uint64_t weight, Found found) except -1 nogil:
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        cdef size_t pair = 0, pairs = zml_padded_columns(self.n_columns) // 2
        cdef zml_found values
        values.found, values.contents, values.slots = &work.found[0], &work.contents[0], found.at
        while pair < pairs:
            values.n = encoding.find_ends(&self.book, &work.pointers, count, &pair, &work.found[0], FOUND_AT_ONCE)
            found.make_room(values.n)
            if real is float:
                found.n += zml_outliers_f32(block, row_stride, column_stride, &self.outlier_map, &values, out, weight,
                                            &found.entries[found.n])
            else:
                found.n += zml_outliers_f64(block, row_stride, column_stride, &self.outlier_map, &values, out, weight,
                                            &found.entries[found.n])
        return 0

    def contents(self, const real[:, :] block, uint64_t[::1] out, Workspace work):
        """What of the rows of a block decides their draws: those with the same one have the same codes."""
        cdef size_t n = block.shape[0]
        cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
        cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        require(<size_t> block.shape[1] == self.n_columns, "a block of another number of columns")
        require(<size_t> out.shape[0] >= n, "no room for the rows")
        require_strides[real](block)
        if n:
            with nogil:
                if real is float:
                    encoding.contents_f32(&block[0, 0], row_stride, column_stride, n, &self.book, &self.map_f32,
                                          &work.pointers, &out[0])
                else:
                    encoding.contents_f64(&block[0, 0], row_stride, column_stride, n, &self.book, &self.map_f64,
                                          &work.pointers, &out[0])


cdef class Found:
    """Outliers that an encoder found, as entries of zml_outliers_f32, in no order.

    Attributes
    ----------
    slots : int64, what row i of the next block is called
    """

    cdef uint64_t[::1] entries
    cdef public const int64_t[::1] slots
    cdef const int64_t *at
    cdef size_t n

    def __init__(self):
        self.entries, self.n = np.empty(0, dtype=np.uint64), 0
        self.slots = np.empty(0, dtype=np.int64)

    cdef int make_room(self, size_t more) except -1 nogil:
        if self.n + more <= <size_t> self.entries.shape[0]:
            return 0
        with gil:
            room = np.empty(2 * self.entries.shape[0] + max(more, <size_t> 1024), dtype=np.uint64)
            room[: self.n] = self.entries[: self.n]
            self.entries = room
        return 0

    @property
    def array(self):
        """The entries, uint64."""
        return np.asarray(self.entries)[: self.n]


cdef class Workspace:
    """Memory that the encoder works in, on lines of the cache."""

    cdef uint8_t[::1] coordinates, lanes, tallies
    cdef uint64_t[::1] contents, found
    cdef zml_workspace pointers

    def __init__(self, size_t n_columns):
        cdef size_t padded = zml_padded_columns(n_columns)
        self.coordinates = aligned_zeros(
            zml_tiles_at_once(n_columns) * padded // 2 * ZML_TILE_ROWS * sizeof(uint32_t))
        self.lanes = aligned_zeros(padded * sizeof(zml_lanes))
        self.tallies = aligned_zeros(padded * ZML_MAX_CODES * sizeof(uint64_t))
        self.contents = np.zeros(ZML_BLOCK_TILES * ZML_TILE_ROWS, dtype=np.uint64)
        self.found = np.zeros(FOUND_AT_ONCE, dtype=np.uint64)
        self.pointers.contents = NULL
        self.pointers.coordinates, self.pointers.lanes = <uint32_t *> &self.coordinates[0], <zml_lanes *> &self.lanes[0]
        self.pointers.tallies = <uint64_t *> &self.tallies[0]


def content_multipliers(size_t padded):
    """Multipliers of the content hash of rows for pairs of columns, uint32 (2, pairs); see zml_codebook."""
    cdef size_t j
    cdef uint32_t key, pair
    cdef int k
    out = np.empty((2, padded // 2), dtype=np.uint32)
    cdef uint32_t[:, ::1] view = out
    for j in range(0, padded, 2):
        for k in range(2):
            key, pair = zml_column_key(j) >> 16 * k, zml_column_key(j + 1) >> 16 * k
            view[k, j // 2] = (key & 0xffff) | pair << 16 | 0x00010001
    return out
