"""Bindings of the C kernels that make and unmake packed tiles: check, take pointers, drop the GIL, call."""

import os

import numpy as np

cimport cython
from libc.string cimport memcpy

from .mapped import mapping_of

from sklearn_zipml._kernels.workers cimport poll_here

cdef extern from "format/rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)
    uint32_t zml_column_key(uint64_t column)
    uint32_t zml_draw_key(uint32_t column, uint32_t draw)

cdef extern from "dispatch.h" nogil:
    const zml_kernels *zml_available_kernels(int index)
    const zml_kernels *zml_kernels_named(const char *name)

cdef extern from "format/levels.h" nogil:
    enum:
        ZML_GRID_SHIFT
        ZML_GRID_FRACTION

cdef extern from "encoding/encode.h" nogil:
    enum:
        ZML_MAX_CODES
        ZML_FOLD_TILES
        ZML_BLOCK_TILES
    ctypedef enum zml_sampling:
        ZML_NAIVE
        ZML_NEAREST
        ZML_DOUBLE
        ZML_COMPENSATED
        ZML_DRAWS
    ctypedef struct zml_lanes:
        pass
    size_t zml_tiles_at_once(size_t n_columns)
    uint64_t zml_tally_weight(uint64_t block)
    ctypedef struct zml_codebook:
        size_t n_columns
        zml_sampling sampling
        uint32_t n_draws
        int width
        int every_position
        int by_place
        uint64_t seed
        uint64_t place
        const uint32_t *multipliers[2]
        const uint32_t *draw_keys[2]
        const uint8_t *levels
        const uint8_t *gaps
        const uint8_t *interval
        const uint8_t *positions
        const uint8_t *below
        const uint8_t *gap
    ctypedef struct zml_affine_f32:
        const float *offset
        const float *scale
        const float *top
    ctypedef struct zml_affine_f64:
        const double *offset
        const double *scale
        const double *top
    ctypedef struct zml_moments:
        uint64_t *sum
        uint64_t *square
        uint64_t *variance
        uint64_t *hits
        uint64_t *noise
        uint64_t *tallied
    ctypedef struct zml_workspace:
        uint32_t *coordinates
        zml_lanes *lanes
        uint64_t *tallies
    ctypedef int zml_range_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                               size_t n_columns, float *low, float *high)
    ctypedef int zml_range_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                               size_t n_columns, double *low, double *high)
    ctypedef int zml_optimal_levels(const double *position, const double *count, const double *sum,
                                    const double *square, int n_positions, int n_levels, uint8_t *chosen)
    ctypedef int zml_column_levels(const double *values, size_t n, double low, double high, int n_levels,
                                   int max_steps, int stride, uint8_t *levels, int *top, double *deviation)
    ctypedef void zml_gather_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                 const int64_t *rows, size_t n_rows, float *out, size_t stride)
    ctypedef void zml_gather_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                 const int64_t *rows, size_t n_rows, double *out, size_t stride)
    ctypedef void zml_encode_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                 const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                                 int tally, uint8_t **rows)
    ctypedef void zml_encode_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                 const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                                 int tally, uint8_t **rows)
    ctypedef void zml_contents_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                   const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                                   uint64_t *contents)
    ctypedef void zml_contents_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                   const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                                   uint64_t *contents)
    ctypedef void zml_tile_of_rows(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile)
    ctypedef void zml_rows_of_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *rows)
    ctypedef void zml_sum_bytes(
        const uint8_t *tiles, size_t n_tiles, size_t padded_columns, uint64_t *sum, uint64_t *square)
    ctypedef void zml_take_rows(
        const uint8_t *tile, int width, size_t padded_columns, const uint8_t *rows, int count, int at, uint8_t *out)
    ctypedef void zml_count_tiles(const uint8_t *const *tiles, size_t n_tiles, int width, size_t first_group,
                                  size_t last_group, uint64_t *counts)
    ctypedef struct zml_encoding:
        zml_range_f32 *range_f32
        zml_range_f64 *range_f64
        zml_optimal_levels *optimal_levels
        zml_column_levels *column_levels
        zml_gather_f32 *gather_f32
        zml_gather_f64 *gather_f64
        zml_encode_f32 *encode_f32
        zml_encode_f64 *encode_f64
        zml_contents_f32 *contents_f32
        zml_contents_f64 *contents_f64
        zml_tile_of_rows *tile_of_rows
        zml_rows_of_tile *rows_of_tile
        zml_take_rows *take_rows
        zml_count_tiles *count_tiles
        zml_sum_bytes *sum_bytes
    void zml_add_lanes(const zml_codebook *book, const zml_workspace *work, const zml_moments *moments)
    void zml_add_tallies(const zml_codebook *book, const zml_workspace *work, uint64_t weight,
                         const zml_moments *moments)
    void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                         size_t n_rows)
    void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes)
    void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image)
    void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source)

cdef extern from "format/tile.h" nogil:
    void zml_unpack_group(const uint8_t *tile, size_t group, int width, uint8_t *codes)

cdef extern from "format/rows.h" nogil:
    size_t zml_row_bytes(size_t padded_columns, int width)
    void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows)
    ctypedef int zml_poll() except -1 nogil
    int zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare,
                         zml_poll *poll) except -1

cdef enum:
    COUNTED_TILES = 64
    # Rows of a permutation between polls, and values that placing the levels of a column is like.
    POLLED_ROWS = 1 << 18
    COLUMN_VALUES = 1 << 18

ctypedef fused real:
    float
    double

NAIVE, NEAREST, DOUBLE, COMPENSATED = ZML_NAIVE, ZML_NEAREST, ZML_DOUBLE, ZML_COMPENSATED
TILE_ROWS, LINE, FLOAT_WIDTH = ZML_TILE_ROWS, ZML_LINE, ZML_FLOAT_WIDTH
GRID_FRACTION = ZML_GRID_FRACTION


def padded_columns(size_t n_columns):
    """Columns a tile holds for `n_columns`: the next multiple of 16."""
    return zml_padded_columns(n_columns)


def tile_bytes(size_t n_columns, int width):
    """Bytes of one tile of 64 rows."""
    return zml_tile_bytes(zml_padded_columns(n_columns), width)


def mix(uint64_t seed, uint64_t counter):
    """A 64-bit seed derived from another."""
    return zml_mix64(seed ^ zml_mix64(counter))


KERNELS_VARIABLE = "SKLEARN_ZIPML_KERNELS"

# One module holds the C files and their choice; it changes for the whole process, from the next pass on.
cdef const zml_kernels *active = zml_available_kernels(0)


cdef const zml_kernels *active_kernels() noexcept nogil:
    return active


def kernel_name():
    """Name of the instruction set whose kernels run."""
    return active.name.decode()


def available_kernels():
    """Names of the kernels that this CPU and operating system run, best first."""
    cdef int index = 0
    names = []
    while zml_available_kernels(index) != NULL:
        names.append(zml_available_kernels(index).name.decode())
        index += 1
    return names


cdef const zml_kernels *kernels_named(str name) except NULL:
    cdef const zml_kernels *kernels = zml_kernels_named(name.encode())
    if kernels == NULL:
        raise ValueError(f"no kernels named {name!r} run here; available: {', '.join(available_kernels())}")
    return kernels


def use_kernels(str name):
    """Let every pass that starts from now on run with the kernels of that name."""
    global active
    active = kernels_named(name)


def _use_kernels_of_environment():
    name = os.environ.get(KERNELS_VARIABLE)
    if name:
        try:
            use_kernels(name)
        except ValueError as error:
            raise ImportError(f"environment variable {KERNELS_VARIABLE}={name!r}: {error}") from None


_use_kernels_of_environment()


cdef int poll_locked() except -1 nogil:
    """`poll_here` with the interpreter's lock, which a pass has dropped."""
    with gil:
        return poll_here()


cdef int poll_in_time(size_t *left, size_t values) except -1 nogil:
    """The same every few milliseconds: called for every so many values, whose sum `left` counts; it is 0 at first."""
    left[0] += values
    if left[0] >= LOOK_VALUES:
        left[0] = 0
        poll_locked()
    return 0


cdef int require(bint holds, str what) except -1:
    """Raise ValueError where sizes do not go together; the C code trusts them."""
    if not holds:
        raise ValueError(what)
    return 0


cdef int require_rows(const int64_t[::1] rows, size_t n) except -1:
    """Raise ValueError for row numbers outside 0..n-1."""
    cdef Py_ssize_t k
    cdef bint inside = True
    with nogil:
        for k in range(rows.shape[0]):
            inside &= <uint64_t> rows[k] < n
    return require(inside, "rows that there are not")


cdef int require_strides(const real[:, :] block) except -1:
    """Raise ValueError for a block of which neither rows nor columns are contiguous."""
    cdef ptrdiff_t size = sizeof(real), rows = block.strides[0], columns = block.strides[1]
    cdef bint whole = rows % size == 0 and columns % size == 0
    return require(whole and (size in (rows, columns) or min(block.shape[0], block.shape[1]) <= 1),
                   "neither rows nor columns of a block are contiguous")


def optimal_levels(const double[::1] position, const double[::1] count, const double[::1] sums,
                   const double[::1] squares, int n_levels):
    """Indices of the positions that are the variance-optimal levels; moments are of the values below each position."""
    cdef Py_ssize_t moments = min(count.shape[0], sums.shape[0], squares.shape[0])
    cdef int n = <int> min(position.shape[0], moments)
    require(1 <= n <= 256 and n == position.shape[0] and 1 <= n_levels <= 256, "positions or levels do not fit")
    chosen = np.empty(max(n, 1), dtype=np.uint8)
    cdef uint8_t[::1] out = chosen
    cdef int used
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
    with nogil:
        used = encoding.optimal_levels(&position[0], &count[0], &sums[0], &squares[0], n, n_levels, &out[0])
    return chosen[:used]


def column_levels(const real[:, :] samples, const double[::1] low, const double[::1] high, int n_levels,
                  int max_steps, int stride):
    """Levels of many columns from samples of their values, [column][sample], the values of a column contiguous.

    Returns levels (columns, n_levels), how many of them are used, top grid positions and standard deviations in
    grid steps (infinite where the column is stored without loss).
    """
    cdef Py_ssize_t d = samples.shape[0], j
    cdef size_t m = samples.shape[1], i
    cdef int top_j
    require(low.shape[0] == d and high.shape[0] == d, "ranges are of another number of columns")
    require(1 <= n_levels <= 256 and 1 <= stride <= 255 and 1 <= max_steps <= 255, "levels do not fit a grid")
    require(m <= 1 or samples.strides[1] == sizeof(real), "values of a column are not contiguous")
    levels = np.zeros((d, n_levels), dtype=np.uint8)
    used = np.ones(d, dtype=np.uint16)
    top = np.zeros(d, dtype=np.uint8)
    deviation = np.full(d, np.inf)
    cdef uint8_t[:, ::1] levels_view = levels
    cdef uint16_t[::1] used_view = used
    cdef uint8_t[::1] top_view = top
    cdef double[::1] deviation_view = deviation, column = np.empty(max(m, <size_t> 1))
    cdef uint8_t[256] chosen
    cdef int k, count
    cdef size_t seen = 0
    cdef const real *values
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
    with nogil:
        for j in range(d):
            if not low[j] < high[j]:
                continue
            poll_in_time(&seen, COLUMN_VALUES + m)
            values = &samples[j, 0] if m else NULL
            for i in range(m):
                column[i] = values[i]
            count = encoding.column_levels(&column[0], m, low[j], high[j], n_levels, max_steps, stride, chosen, &top_j,
                                           &deviation_view[j])
            for k in range(n_levels):
                levels_view[j, k] = chosen[k if k < count else count - 1]
            used_view[j] = count
            top_view[j] = top_j
    return levels, used, top, deviation


def gather_columns(const real[:, :] block, const int64_t[::1] rows, real[:, :] out, size_t first):
    """out[:, first : first + len(rows)] = block[rows].T

    The elements of the block's rows or those of its columns have to be contiguous, and those of out's rows.
    """
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
    cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
    cdef size_t stride = out.strides[0] // <ptrdiff_t> sizeof(real), last = first + rows.shape[0]
    require(out.shape[0] >= block.shape[1] and last >= first and <size_t> out.shape[1] >= last, "no room for the rows")
    require_strides[real](block)
    require_rows(rows, block.shape[0])
    if rows.shape[0] and block.shape[1]:
        with nogil:
            if real is float:
                encoding.gather_f32(&block[0, 0], row_stride, column_stride, block.shape[1], &rows[0], rows.shape[0],
                                    &out[0, first], stride)
            else:
                encoding.gather_f64(&block[0, 0], row_stride, column_stride, block.shape[1], &rows[0], rows.shape[0],
                                    &out[0, first], stride)


def block_range(const real[:, :] block, real[::1] low, real[::1] high):
    """Lower `low` and raise `high` to the range of a block's columns; True if all its values are finite.

    The elements of rows or those of columns have to be contiguous.
    """
    cdef int bad = 0
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
    cdef ptrdiff_t rows = block.strides[0] // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t columns = block.strides[1] // <ptrdiff_t> sizeof(real)
    require(low.shape[0] >= block.shape[1] and high.shape[0] >= block.shape[1], "ranges are of fewer columns")
    require_strides[real](block)
    if block.shape[0] and block.shape[1]:
        with nogil:
            if real is float:
                bad = encoding.range_f32(&block[0, 0], rows, columns, block.shape[0], block.shape[1], &low[0], &high[0])
            else:
                bad = encoding.range_f64(&block[0, 0], rows, columns, block.shape[0], block.shape[1], &low[0], &high[0])
    return not bad


def permutation(size_t n, uint64_t seed, size_t first, size_t count):
    """Rows that slots first..first+count-1 hold, in a keyed permutation of n rows."""
    require(first <= n and count <= n - first, "slots that there are not")
    rows = np.empty(count, dtype=np.int64)
    cdef int64_t[::1] view = rows
    cdef size_t done = 0, some
    with nogil:
        while done < count:
            some = min(<size_t> POLLED_ROWS, count - done)
            zml_permute(n, seed, first + done, some, &view[done])
            done += some
            if done < count:
                poll_locked()
    return rows


def inverse_permutation(size_t n, uint64_t seed, const int64_t[::1] rows):
    """Slots that hold the given rows."""
    require_rows(rows, n)
    slots = np.empty(rows.shape[0], dtype=np.int64)
    cdef int64_t[::1] view = slots
    cdef size_t done = 0, some, count = rows.shape[0]
    with nogil:
        while done < count:
            some = min(<size_t> POLLED_ROWS, count - done)
            zml_permute_back(n, seed, &rows[done], some, &view[done])
            done += some
            if done < count:
                poll_locked()
    return slots


def rows_below(uint64_t seed, uint64_t first, uint64_t last, uint64_t limit):
    """Rows among first..last-1 whose random priority is at most `limit`, int64, and these priorities, uint64."""
    cdef uint64_t row, priority
    cdef size_t count = 0, seen = 0
    require(first <= last, "rows end before they begin")
    rows, keys = np.empty(last - first, dtype=np.int64), np.empty(last - first, dtype=np.uint64)
    cdef int64_t[::1] rows_view = rows
    cdef uint64_t[::1] keys_view = keys
    with nogil:
        for row in range(first, last):
            poll_in_time(&seen, 1)
            priority = zml_mix64(row + seed)
            if priority <= limit:
                rows_view[count], keys_view[count] = row, priority
                count += 1
    return rows[:count].copy(), keys[:count].copy()  # what was not touched takes no memory


def row_hashes(const uint32_t[:, ::1] words, const uint64_t[::1] multipliers, uint64_t[::1] out):
    """Sums of the words of every row times multipliers, modulo 2^64."""
    cdef Py_ssize_t i, j
    cdef uint64_t total
    with nogil:
        for i in range(words.shape[0]):
            total = 0
            for j in range(words.shape[1]):
                total += words[i, j] * multipliers[j]
            out[i] = total


cdef class Moments:
    """Exact per-column sums that an encoder gathers; the results of several encoders add up. See zml_moments."""

    cdef readonly object sum, square, variance, hits, noise, tallied
    cdef size_t n_columns, codes

    cdef int fits(self, size_t n_columns, int width) except -1:
        return require(self.n_columns == n_columns and self.codes in (0, zml_table_codes(width)),
                       "moments of other columns")

    def __init__(self, size_t n_columns, int width, bint by_code):
        cdef size_t codes = zml_table_codes(width) if by_code else 0
        self.n_columns, self.codes = n_columns, codes
        self.sum, self.square, self.variance = (np.zeros(n_columns, dtype=np.uint64) for _ in range(3))
        self.hits, self.noise, self.tallied = (np.zeros((n_columns, codes), dtype=np.uint64) for _ in range(3))

    def add(self, Moments other):
        for name in ("sum", "square", "variance", "hits", "noise", "tallied"):
            mine = getattr(self, name)
            mine += getattr(other, name)


cdef require_grid(levels, n_levels, top, offset, scale, int width, uint32_t n_draws):
    """Raise ValueError for levels that tables cannot be made of; they may come from the state of a quantizer."""
    cdef int most = 256 if width == 8 else ZML_MAX_CODES
    shapes = {np.shape(columns) for columns in (n_levels, top, offset, scale)}
    require(width in (1, 2, 4, 8) and 1 <= n_draws <= 255, "no such codes")
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
    levels : uint8 (columns, levels), grid positions, the first 0, unused ones repeating the last
    n_levels : uint16 (columns,), how many are used
    top : uint8 (columns,), highest grid position
    offset, scale : float64 (columns,): a value's fixed-point grid coordinate is (value - offset) * scale
    sampling : NAIVE, NEAREST, DOUBLE or COMPENSATED
    width : {1, 2, 4, 8}
    seed : int, 64 bits
    n_draws : int, draws that a code holds: more than one for "double" only
    """

    cdef uint8_t[:, ::1] few, gaps, interval, positions, below, gap
    cdef uint32_t[:, ::1] multipliers, draw_keys
    cdef double[:, ::1] affine
    cdef float[:, ::1] affine_f32
    cdef zml_codebook book
    cdef zml_affine_f32 map_f32
    cdef zml_affine_f64 map_f64
    cdef readonly size_t n_columns
    cdef readonly int width

    def __init__(self, levels, n_levels, top, offset, scale, zml_sampling sampling, int width, uint64_t seed,
                 uint32_t n_draws):
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
        book.every_position = width == 8 and n_draws == 1 and np.array_equal(n_levels, np.asarray(top) + 1)
        if n_draws > 2:
            book.sampling = ZML_DRAWS
        for k in range(2):
            book.multipliers[k], book.draw_keys[k] = &self.multipliers[k, 0], &self.draw_keys[k, 0]
        book.levels, book.gaps, book.positions = &self.few[0, 0], &self.gaps[0, 0], &self.positions[0, 0]
        book.interval, book.below, book.gap = &self.interval[0, 0], &self.below[0, 0], &self.gap[0, 0]

    def workspace(self):
        """Memory to encode in, for one thread and as many blocks as it likes."""
        return Workspace(self.n_columns)

    def encode(self, const real[:, :] block, uint8_t[:, ::1] tiles, Moments moments, const int64_t[::1] slots=None,
               size_t first_row=0, Workspace work=None, bint by_place=False):
        """Pack a block of rows of X, the elements of its rows or those of its columns being contiguous.

        Without slots, into tiles from the first row on. With slots, row i goes as a packed row to the memory of slot
        slots[i] of all tiles, which `rows_to_tiles` makes tiles of once all rows are there. first_row is the number
        of the block's first row among all that are encoded: it decides which errors are tallied by code. work comes
        from `workspace`. With by_place, equal rows do not share their draws: for rows that had been rounded, where
        equal ones need not have been.
        """
        cdef size_t n = block.shape[0], size = zml_row_bytes(zml_padded_columns(self.n_columns), self.width)
        cdef size_t at_once = zml_tiles_at_once(self.n_columns) * ZML_TILE_ROWS
        cdef size_t first = 0, count, i, tiles_done = 0
        cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
        cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
        cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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
                first += count
                tiles_done += ZML_BLOCK_TILES
                if tiles_done >= ZML_FOLD_TILES or first == n:
                    zml_add_lanes(&self.book, &work.pointers, &out)
                    if last_weight:
                        zml_add_tallies(&self.book, &work.pointers, last_weight, &out)
                    tiles_done = last_weight = 0
        if not scattered:
            rows_to_tiles(tiles[:(n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS], self.n_columns, self.width)

    def contents(self, const real[:, :] block, uint64_t[::1] out, Workspace work):
        """What of the rows of a block decides their draws: those with the same one have the same codes."""
        cdef size_t n = block.shape[0]
        cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
        cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
        cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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


NO_TABLE = np.zeros((1, 1), dtype=np.uint8)


cdef class Workspace:
    """Memory that the encoder works in, on lines of the cache."""

    cdef uint8_t[::1] coordinates, lanes, tallies
    cdef zml_workspace pointers

    def __init__(self, size_t n_columns):
        cdef size_t padded = zml_padded_columns(n_columns)
        self.coordinates = aligned_zeros(
            zml_tiles_at_once(n_columns) * padded // 2 * ZML_TILE_ROWS * sizeof(uint32_t))
        self.lanes = aligned_zeros(padded * sizeof(zml_lanes))
        self.tallies = aligned_zeros(padded * ZML_MAX_CODES * sizeof(uint64_t))
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


def code_positions(levels, size_t n_draws, size_t n_codes):
    """Grid positions that codes stand for, uint8 (columns, n_codes): code k * n_draws + u is level k with u of the
    draws at the next one; levels are multiples of n_draws, and codes beyond the last level repeat it."""
    lower, up = np.divmod(np.minimum(np.arange(n_codes), n_draws * (levels.shape[1] - 1)), n_draws)
    wide = levels.astype(np.int16)
    return (wide[:, lower] + (wide[:, lower + (up > 0)] - wide[:, lower]) // n_draws * up).astype(np.uint8)


def code_tables(levels, size_t padded, size_t n_draws):
    """Levels, the gaps above them and the positions that codes stand for, uint8 (padded columns, 16) each."""
    d, count = levels.shape
    few, positions = (np.zeros((padded, ZML_MAX_CODES), dtype=np.uint8) for _ in range(2))
    gaps = np.ones((padded, ZML_MAX_CODES), dtype=np.uint8)
    few[:d, :count], few[:d, count:] = levels, levels[:, -1:]
    gaps[:, :-1] = np.maximum(1, np.diff(few, axis=1))
    positions[:d] = code_positions(levels, n_draws, ZML_MAX_CODES)
    return few, gaps, positions


def cells(const uint8_t[:, ::1] levels, const uint16_t[::1] n_levels, size_t padded, int width):
    """For the grid coordinates from k to k + 1, uint8 (padded columns, 256): the interval of levels that holds them,
    or with 8 bits the level below and the gap to the next one."""
    shape = (padded, 256)
    interval = np.zeros(shape, dtype=np.uint8) if width < 8 else NO_TABLE
    below = np.zeros(shape, dtype=np.uint8) if width == 8 else NO_TABLE
    gap = np.ones(shape, dtype=np.uint8) if width == 8 else NO_TABLE
    cdef uint8_t[:, ::1] interval_view = interval, below_view = below, gap_view = gap
    cdef Py_ssize_t j
    cdef int k, index
    with nogil:
        for j in range(n_levels.shape[0]):
            index = 0
            for k in range(256):
                while index + 2 < n_levels[j] and levels[j, index + 1] <= k:
                    index += 1
                if width < 8:
                    interval_view[j, k] = <uint8_t> index
                elif n_levels[j] > 1:
                    below_view[j, k] = levels[j, index]
                    gap_view[j, k] = levels[j, index + 1] - levels[j, index]
    return interval, below, gap


cdef zml_moments pointers(Moments moments):
    cdef uint64_t[::1] total = moments.sum, square = moments.square, variance = moments.variance
    cdef uint64_t[:, ::1] hits = moments.hits, noise = moments.noise, tallied = moments.tallied
    cdef zml_moments out
    out.sum, out.square, out.variance, out.hits, out.noise, out.tallied = (
        &total[0], &square[0], &variance[0], NULL, NULL, NULL)
    if hits.shape[1]:
        out.hits, out.noise, out.tallied = &hits[0, 0], &noise[0, 0], &tallied[0, 0]
    return out


@cython.final
cdef class Tiles:
    """A tiled matrix as the passes see it.

    Parameters
    ----------
    codes : uint8 array (tiles, bytes of a tile)
    table : uint8 array, decode table [column][code], empty for widths 8 and 32
    n_rows, n_columns : int
    width : {1, 2, 4, 8, 32}, bits of a code; 32 means float32 values
    """

    def __init__(self, const uint8_t[:, ::1] codes, const uint8_t[::1] table, size_t n_rows, size_t n_columns,
                 int width):
        require(width in (1, 2, 4, 8, 32) and n_columns < <size_t> 1 << 48, "no such tiles")
        self.mapping = mapping_of(codes.base)
        self.codes, self.table = codes, on_lines(table) if table.shape[0] else table
        self.n_rows, self.n_columns, self.width = n_rows, n_columns, width
        self.padded, self.n_tiles = zml_padded_columns(n_columns), codes.shape[0]
        if <size_t> codes.shape[1] != zml_tile_bytes(self.padded, width):
            raise ValueError(f"tiles of {codes.shape[1]} bytes do not hold {n_columns} columns of {width} bits")
        if self.n_tiles * ZML_TILE_ROWS < n_rows:
            raise ValueError(f"{self.n_tiles} tiles do not hold {n_rows} rows")
        if <size_t> table.shape[0] != self.padded * zml_table_codes(width):
            raise ValueError(f"a decode table of {table.shape[0]} entries does not fit {self.padded} columns")

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
        """Stored grid positions of the rows of tiles first..last-1, uint8 (rows, columns), in slot order."""
        self.require_span(first, last)
        cdef size_t t, n = self.rows_before(last) - self.rows_before(first)
        out = np.empty((n, self.n_columns), dtype=np.uint8)
        cdef uint8_t[:, ::1] view = out
        cdef const uint8_t *table = &self.table[0] if self.table.shape[0] else NULL
        cdef size_t left = 1
        with nogil:
            for t in range(first, last):
                self.look_in_time(&left)
                zml_decode_tile(self.tile(t), self.width, self.n_columns, table,
                                &view[(t - first) * ZML_TILE_ROWS, 0], self.rows_in(t))
        return out

    def columns(self, size_t first, size_t last):
        """Values of columns first..last-1, (rows, columns) in slot order: grid positions, uint8, or float32.

        `first` is a multiple of 16, and so is `last` unless it is the last column.
        """
        if self.width == 32:
            return self.floats[:, first:last].transpose(0, 2, 1).reshape(-1, last - first)[: self.n_rows]
        cdef size_t padded = zml_padded_columns(last - first), begin = first * self.width * 8
        cdef size_t size = zml_tile_bytes(padded, self.width), codes = zml_table_codes(self.width)
        part = aligned_zeros(self.n_tiles * size).reshape(self.n_tiles, size)
        part[:] = np.asarray(self.codes)[:, begin : begin + size]
        table = np.asarray(self.table)[first * codes : (first + padded) * codes]
        return Tiles(part, table, self.n_rows, last - first, self.width).positions(0, self.n_tiles)

    cdef void take(self, const int64_t[::1] slots, size_t tile, uint8_t *out) noexcept nogil:
        cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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
        cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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
        cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
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


def row_bytes(size_t n_columns, int width):
    """Bytes of one packed row; 64 rows take the bytes of a tile."""
    return zml_row_bytes(zml_padded_columns(n_columns), width)


def tiles_to_rows(const uint8_t[:, ::1] tiles, size_t n_columns, int width, uint8_t[:, ::1] rows):
    """Write the first len(rows) rows of tiles as packed rows, in slot order."""
    cdef size_t t, first, n = rows.shape[0], padded = zml_padded_columns(n_columns)
    require(<size_t> tiles.shape[0] * ZML_TILE_ROWS >= n, "fewer rows than are asked for")
    require(<size_t> tiles.shape[1] == zml_tile_bytes(padded, width), "tiles of other columns")
    require(<size_t> rows.shape[1] == zml_row_bytes(padded, width), "rows of other columns")
    cdef size_t seen = 0
    with nogil:
        for t in range((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS):
            first = t * ZML_TILE_ROWS
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            zml_tile_to_rows(&tiles[t, 0], width, padded, min(<size_t> ZML_TILE_ROWS, n - first), &rows[first, 0])


def rows_to_tiles(uint8_t[:, ::1] rows, size_t n_columns, int width):
    """Make tiles of packed rows, 64 to a tile, in the same memory."""
    cdef size_t t, padded = zml_padded_columns(n_columns), size = zml_tile_bytes(padded, width)
    cdef uint8_t[::1] spare = np.empty(max(size, <size_t> 1), dtype=np.uint8)
    cdef size_t n_tiles = rows.shape[0] * rows.shape[1] // size if size else 0
    cdef uint8_t *start = &rows[0, 0] if n_tiles else NULL
    cdef size_t seen = 0
    cdef const zml_encoding *encoding = <const zml_encoding *> active.encoding
    with nogil:
        for t in range(n_tiles):
            poll_in_time(&seen, padded * ZML_TILE_ROWS)
            memcpy(&spare[0], start + t * size, size)
            encoding.tile_of_rows(&spare[0], width, padded, start + t * size)


def shuffle_rows(uint8_t[:, ::1] rows, uint64_t seed):
    """Bring packed rows, in place, into the order of `permutation`: slot s gets row permutation(s)."""
    cdef size_t n = rows.shape[0], size = rows.shape[1]
    cdef uint8_t[::1] visited = np.zeros(n // 8 + 1, dtype=np.uint8)
    cdef uint8_t[::1] spare = np.empty(max(size, <size_t> 1), dtype=np.uint8)
    if n and size:
        with nogil:
            zml_shuffle_rows(&rows[0, 0], size, n, seed, &visited[0], &spare[0], poll_locked)
