"""How codes become fewer: new levels and tables for every column, then all tiles; see encoding/requantize_plan.h."""

import numpy as np

from libc.string cimport memcpy, memset

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require, require_rows
from sklearn_zipml._kernels.tiles cimport ZML_GROUP_COLUMNS, ZML_TILE_ROWS, Tiles, int64_t, uint8_t, uint16_t, uint64_t
from sklearn_zipml._kernels.workers cimport LOOK_VALUES

from sklearn_zipml._kernels.tiles import aligned_zeros

cdef extern from "format/tile.h" nogil:
    size_t zml_tile_bytes(size_t padded_columns, int width)

cdef extern from "encoding/encode.h" nogil:
    cdef enum:
        ZML_REQUANTIZE_TILES
    ctypedef int zml_optimal_levels(const double *position, const double *count, const double *sum,
                                    const double *square, int n_positions, int n_levels, uint8_t *chosen)
    ctypedef struct zml_requantization:
        size_t n_columns
        size_t padded
        int from_ "from"
        int to
        uint64_t seed
        const uint8_t *base
        const uint8_t *rise
        const uint8_t *rise2
        const uint8_t *threshold
        const uint8_t *threshold2
        const uint8_t *before
        const uint8_t *after
        const uint8_t *far
    ctypedef struct zml_requantized_tiles:
        const uint8_t *source
        uint8_t *made
        size_t n_tiles
        uint64_t ordinal
    ctypedef struct zml_requantized_sums:
        uint64_t *sum
        uint64_t *square
        uint64_t *error
    ctypedef void zml_requantize(const zml_requantization *plan, const zml_requantized_tiles *tiles,
                                 const zml_requantized_sums *sums)
    ctypedef struct zml_encoding:
        zml_optimal_levels *optimal_levels
        zml_requantize *requantize

cdef extern from "encoding/requantize_plan.h" nogil:
    ctypedef struct zml_plan:
        int n_codes
        int n_new_codes
        int n_levels
        int pairs
        int nearest
        int uniform
        int outliers
        zml_optimal_levels *search
    ctypedef struct zml_old_column:
        const uint8_t *table
        const uint8_t *levels
        int used
        const uint64_t *counts
        const double *carried
        int has_outliers
    ctypedef struct zml_new_column:
        uint8_t *levels
        uint16_t *used
        uint8_t *base
        uint8_t *rise[2]
        uint8_t *threshold[2]
        uint8_t *after
        uint8_t *far
        double *noise
        uint8_t *first
        uint8_t *last
    ctypedef struct zml_ended_tiles:
        const uint8_t *tiles
        const uint8_t *first
        const uint8_t *last
        size_t n_tiles
        size_t padded_columns
        size_t n_rows
    size_t zml_find_beyond(const zml_ended_tiles *of, size_t *tile, uint64_t *found, size_t room)
    void zml_plan_column(const zml_plan *plan, const zml_old_column *old, const zml_new_column *made)

cdef enum:
    # Columns whose codes are counted, and whose tables are made, at a time.
    PLANNED_COLUMNS = 256
    FOUND = 1 << 18
    GROUP = ZML_GROUP_COLUMNS


cdef class Requantizer:
    """The codes of `source` made fewer: `plan` all columns, then `requantize` the tiles.

    Parameters
    ----------
    source : Tiles
    slots : int64 or None, the slots of the source to take, ascending, as `Selection` has them; None for all
    sample, chosen : Tiles, of the source or like them, and int64, those of them whose codes place the new levels
    old : (used, levels, carried), of the codes there are
        used : uint16 (columns,), levels of each column
        levels : uint8 (columns, levels), these; no levels if the table has them or if they are all there can be
        carried : float64 (columns, codes), E[error² | code]
    scheme : Scheme of the new codes, of at most two draws
    watched : bool (columns,), whose levels may leave outliers out, bytes being made fewer; or None for no column

    Attributes
    ----------
    levels : uint8 (columns, n_levels), the new levels, the last one repeated
    used : uint16 (columns,), how many there are
    noise : float64 (columns, new codes), E[error² | new code], or no codes
    first, last : uint8 (columns,), old positions of the first and last new level: what is beyond is an outlier
    """

    cdef readonly object levels, used, noise
    cdef readonly object first, last
    cdef uint8_t[::1] first_of, last_of
    cdef object watched
    cdef Tiles source, sample
    cdef const int64_t[::1] slots
    cdef const uint16_t[::1] old_used
    cdef const uint8_t[:, :] old_levels
    cdef const double[:, :] carried
    cdef const int64_t[::1] chosen
    cdef zml_plan kind
    cdef zml_requantization tables
    cdef uint8_t[:, ::1] base, rise, rise2, threshold, threshold2, before, after
    cdef uint8_t[::1] far

    def __init__(self, Tiles source, slots, Tiles sample, chosen, tuple old, scheme, watched=None):
        used, levels, carried = old
        cdef size_t d = source.n_columns
        cdef int width = scheme.width, n_levels = scheme.n_levels
        cdef bint pairs = scheme.n_draws == 2, with_noise = scheme.has_noise_by_code
        require_columns(source, sample, np.asarray(used), levels, carried, chosen, n_levels, pairs)
        require(width in (1, 2, 4, 8) and 1 <= n_levels <= 256, "no such codes")
        self.source, self.old_used, self.old_levels = source, used, levels
        self.carried, self.slots, self.sample, self.chosen = carried, slots, sample, chosen
        self.kind.n_codes, self.kind.n_new_codes, self.kind.n_levels = 1 << source.width, 1 << width, n_levels
        self.kind.pairs, self.kind.nearest, self.kind.uniform = (
            pairs, scheme.rounds_to_nearest, scheme.has_uniform_levels)
        self.kind.search = (<const zml_encoding *> active_kernels().encoding).optimal_levels
        self.kind.outliers, self.watched = watched is not None, np.zeros(d, dtype=bool) if watched is None else watched
        require(watched is None or (len(watched) == d and source.width == 8 and width < 8 and not pairs),
                "outliers are of bytes of one draw")
        self.first, self.last = (np.full(source.padded, end, dtype=np.uint8) for end in (0, 255))
        self.first_of, self.last_of = self.first, self.last
        self.levels, self.used = np.zeros((d, n_levels), dtype=np.uint8), np.ones(d, dtype=np.uint16)
        self.noise = np.zeros((d, 1 << width if with_noise else 0))
        self.base, self.rise, self.rise2 = (zeros(source, 256) for _ in range(3))
        self.threshold, self.threshold2 = (zeros(source, 512) for _ in range(2))
        self.before, self.after, self.far = zeros(source, 16), zeros(source, 16), aligned_zeros(source.padded)
        cdef zml_requantization *tables = &self.tables
        tables.n_columns, tables.padded, tables.from_, tables.to = d, source.padded, source.width, width
        if not d:
            return
        tables.base, tables.rise, tables.threshold, tables.far = (
            &self.base[0, 0], &self.rise[0, 0], &self.threshold[0, 0], &self.far[0])
        tables.rise2 = &self.rise2[0, 0] if pairs else NULL
        tables.threshold2 = &self.threshold2[0, 0] if pairs else NULL
        tables.before = &self.before[0, 0] if source.width < 8 else NULL
        tables.after = &self.after[0, 0] if width < 8 else NULL

    def plan(self, size_t first, size_t last):
        """Choose the levels of columns first..last-1, the first one a multiple of 4, and fill their tables."""
        cdef size_t start
        require(first % GROUP == 0 and last <= self.source.n_columns, "columns that there are not")
        for start in range(first, last, PLANNED_COLUMNS):
            self.sample.look()
            self.plan_some(start, min(last, start + PLANNED_COLUMNS))

    cdef plan_some(self, size_t first, size_t last):
        cdef size_t codes = self.kind.n_codes, first_group = first // GROUP, j
        cdef size_t last_group = (last + GROUP - 1) // GROUP
        cdef uint8_t[:, ::1] levels = self.levels
        cdef uint16_t[::1] used = self.used
        cdef double[:, ::1] noise = self.noise
        cdef uint64_t[::1] counts = np.zeros((last_group - first_group) * GROUP * codes, dtype=np.uint64)
        cdef double[256] carried
        cdef uint8_t[::1] watched = np.asarray(self.watched, dtype=bool).view(np.uint8)
        cdef zml_old_column old
        cdef zml_new_column made
        cdef int k
        with nogil:
            self.sample.count(self.chosen, first_group, last_group, &counts[0])
            for j in range(first, last):
                old.table = &self.source.table[j * codes] if self.source.width < 8 else NULL
                old.levels = &self.old_levels[j, 0] if self.old_levels.shape[1] else NULL
                old.used, old.counts, old.carried = self.old_used[j], &counts[(j - first) * codes], carried
                for k in range(self.carried.shape[1]):
                    carried[k] = self.carried[j, k]
                made.levels, made.used = &levels[j, 0], &used[j]
                made.base, made.after, made.far = &self.base[j, 0], &self.after[j, 0], &self.far[j]
                made.rise[0], made.rise[1] = &self.rise[j, 0], &self.rise2[j, 0]
                made.threshold[0], made.threshold[1] = &self.threshold[j, 0], &self.threshold2[j, 0]
                made.noise = &noise[j, 0] if noise.shape[1] else NULL
                made.first, made.last, old.has_outliers = &self.first_of[j], &self.last_of[j], not watched[j]
                zml_plan_column(&self.kind, &old, &made)
                if self.source.width < 8:
                    memcpy(&self.before[j, 0], old.table, codes)

    def requantize(self, uint8_t[:, ::1] tiles, uint64_t seed, size_t first, size_t last):
        """Round the codes of tiles first..last-1 again, into the same of `tiles`. Draws are keyed by slot.

        first is a multiple of ZML_REQUANTIZE_TILES.

        Returns sums of the new positions, of their squares and of their squared distances from the old ones, uint64
        (3, columns); and the outliers, slots, columns and old positions. They count as the levels next to them.
        """
        cdef zml_requantization tables = self.tables
        cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
        sums = np.zeros((3, self.source.n_columns), dtype=np.uint64)
        cdef uint64_t[:, ::1] view = sums
        cdef zml_requantized_tiles some_tiles
        cdef zml_requantized_sums to
        cdef size_t size = zml_tile_bytes(self.source.padded, self.source.width), t = first, count, k
        cdef size_t block = ZML_REQUANTIZE_TILES * ZML_TILE_ROWS * self.source.padded
        cdef size_t some = ZML_REQUANTIZE_TILES * (LOOK_VALUES // max(<size_t> 1, block) + 1)
        cdef uint8_t[::1] spare
        tables.seed = seed
        cdef Beyond beyond = Beyond(self.first_of, self.last_of, self.source.padded)
        cdef size_t n_rows = self.source.n_rows if self.slots is None else self.slots.shape[0]
        if first >= last or not self.source.n_columns:
            return sums, beyond.found
        require(last <= <size_t> tiles.shape[0] and
                <size_t> tiles.shape[1] == zml_tile_bytes(self.source.padded, self.tables.to), "tiles of other codes")
        if self.slots is None:
            self.source.require_span(first, last)
        else:
            require_rows(self.slots, self.source.n_rows)
        to.sum, to.square, to.error = &view[0, 0], &view[1, 0], &view[2, 0]
        if self.slots is None:
            while t < last:
                count = min(some, last - t)
                self.source.look()
                some_tiles.source, some_tiles.made = self.source.tile(t), &tiles[t, 0]
                some_tiles.n_tiles, some_tiles.ordinal = count, t
                with nogil:
                    encoding.requantize(&tables, &some_tiles, &to)
                if self.kind.outliers:
                    beyond.find(&some_tiles, n_rows)
                t += count
            return sums, beyond.found
        # as many tiles as stay in the cache
        spare = aligned_zeros(ZML_REQUANTIZE_TILES * size)
        with nogil:
            while t < last:
                count = min(<size_t> ZML_REQUANTIZE_TILES, last - t)
                if (t - first) % some == 0:
                    with gil:
                        self.source.look()
                memset(&spare[0], 0, count * size)
                for k in range(count):
                    self.source.take(self.slots, t + k, &spare[k * size])
                some_tiles.source, some_tiles.made = &spare[0], &tiles[t, 0]
                some_tiles.n_tiles, some_tiles.ordinal = count, t
                encoding.requantize(&tables, &some_tiles, &to)
                if self.kind.outliers:
                    with gil:
                        beyond.find(&some_tiles, n_rows)
                t += count
        return sums, beyond.found


cdef class Beyond:
    """Positions beyond the first and last level of their column."""

    cdef const uint8_t[::1] first, last
    cdef uint64_t[::1] room
    cdef size_t padded
    cdef list parts

    def __init__(self, const uint8_t[::1] first, const uint8_t[::1] last, size_t padded):
        self.first, self.last, self.padded, self.parts = first, last, padded, []
        self.room = np.empty(0, dtype=np.uint64)

    cdef find(self, const zml_requantized_tiles *tiles, size_t n_rows):
        cdef size_t tile = 0, n, start = tiles.ordinal * ZML_TILE_ROWS
        cdef zml_ended_tiles of
        of.tiles, of.first, of.last, of.n_tiles = tiles.source, &self.first[0], &self.last[0], tiles.n_tiles
        of.padded_columns, of.n_rows = self.padded, n_rows - min(n_rows, start)
        if not self.room.shape[0]:
            self.room = np.empty(max(<size_t> FOUND, self.padded * ZML_TILE_ROWS), dtype=np.uint64)
        while tile < tiles.n_tiles:
            with nogil:
                n = zml_find_beyond(&of, &tile, &self.room[0], self.room.shape[0])
            if n:
                found = np.asarray(self.room)[:n]
                slots = start + (found >> np.uint64(40)).astype(np.int64)
                columns = (found >> np.uint64(8)).astype(np.uint32).astype(np.int64)
                self.parts.append((slots, columns, found.astype(np.uint8)))

    @property
    def found(self):
        """Slots and columns, int64, and positions, uint8."""
        none = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
        return tuple(np.concatenate(arrays) for arrays in zip(none, *self.parts))


cdef require_columns(Tiles source, Tiles sample, used, levels, carried, chosen, int n_levels, bint pairs):
    """Raise ValueError for columns whose levels or errors do not fit tables of their codes."""
    cdef size_t d = source.n_columns, stride = 2 if pairs else 1, codes = 1 << min(source.width, 8)
    cdef size_t most = levels.shape[1] or (codes + stride - 1) // stride
    require(source.width < 32 and sample.width == source.width and sample.n_columns == d, "a sample of other codes")
    require(used.shape == (d,) and levels.shape[0] == d and carried.shape[0] == d, "levels of other columns")
    require(carried.shape[1] == codes and levels.shape[1] <= 256, "errors or levels of other codes")
    require(bool(((used >= 1) & (used <= most)).all()), "more levels are used than there are")
    require_rows(chosen, sample.n_tiles)


def zeros(Tiles source, size_t n):
    """Of every padded column, on lines of the cache."""
    return aligned_zeros(source.padded * n).reshape(source.padded, n)
