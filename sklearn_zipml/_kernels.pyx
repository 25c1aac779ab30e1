"""Bindings of the C kernels that make and unmake packed tiles: check, take pointers, drop the GIL, call."""

import os

import numpy as np

cimport cython
from libc.string cimport memcpy

cdef extern from "rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)

cdef extern from "dispatch.h" nogil:
    const zml_kernels *zml_available_kernels(int index)
    const zml_kernels *zml_kernels_named(const char *name)

cdef extern from "levels.h" nogil:
    enum:
        ZML_GRID_SHIFT
        ZML_GRID_FRACTION
    int zml_optimal_levels(const double *position, const double *count, const double *sum, const double *square,
                           int n_positions, int n_levels, uint8_t *chosen)
    int zml_column_levels(const double *values, size_t n, double low, double high, int n_levels, int max_steps,
                          int stride, uint8_t *levels, int *top, double *deviation)

cdef extern from "encode.h" nogil:
    ctypedef enum zml_sampling:
        ZML_NAIVE
        ZML_NEAREST
        ZML_DOUBLE
        ZML_COMPENSATED
    ctypedef struct zml_codebook:
        size_t n_columns
        size_t level_stride
        const uint8_t *levels
        const uint16_t *n_levels
        const uint8_t *cell
        const uint8_t *top
        const double *offset
        const double *scale
        zml_sampling sampling
        int width
        uint64_t seed
    ctypedef struct zml_moments:
        uint64_t *sum
        uint64_t *square
        uint64_t *variance
        uint64_t *noise
        uint64_t *hits
    int zml_range_f32(const float *block, size_t n_rows, size_t n_columns, float *low, float *high)
    int zml_range_f64(const double *block, size_t n_rows, size_t n_columns, double *low, double *high)
    void zml_coordinates_f32(const float *block, size_t n_rows, const zml_codebook *book, int32_t *coordinates)
    void zml_coordinates_f64(const double *block, size_t n_rows, const zml_codebook *book, int32_t *coordinates)
    void zml_encode_tile(const int32_t *coordinates, const int32_t *other, const uint32_t *prior, size_t n_rows,
                         uint64_t ordinal, const zml_codebook *book, uint8_t *tile, const zml_moments *moments)
    void zml_decode_tile(const uint8_t *tile, int width, size_t n_columns, const uint8_t *table, uint8_t *positions,
                         size_t n_rows)
    void zml_unpack_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *codes)
    void zml_pack_tile(const uint8_t *codes, int width, size_t padded_columns, uint8_t *tile)
    void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image)
    void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source)

cdef extern from "rows.h" nogil:
    size_t zml_row_bytes(size_t padded_columns, int width)
    void zml_tile_to_rows(const uint8_t *tile, int width, size_t padded_columns, size_t n_rows, uint8_t *rows)
    void zml_rows_to_tile(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile)
    void zml_shuffle_rows(uint8_t *rows, size_t size, uint64_t n, uint64_t seed, uint8_t *visited, uint8_t *spare)

ctypedef fused real:
    float
    double

SAMPLING_CODES = {"naive": ZML_NAIVE, "nearest": ZML_NEAREST, "double": ZML_DOUBLE, "compensated": ZML_COMPENSATED}
TILE_ROWS = ZML_TILE_ROWS
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


def optimal_levels(const double[::1] position, const double[::1] count, const double[::1] sums,
                   const double[::1] squares, int n_levels):
    """Indices of the positions that are the variance-optimal levels; moments are of the values below each position."""
    cdef int n = <int> position.shape[0]
    chosen = np.empty(max(n, 1), dtype=np.uint8)
    cdef uint8_t[::1] out = chosen
    cdef int used
    with nogil:
        used = zml_optimal_levels(&position[0], &count[0], &sums[0], &squares[0], n, n_levels, &out[0])
    return chosen[:used]


def column_levels(const double[:, ::1] samples, const double[::1] low, const double[::1] high, int n_levels,
                  int max_steps, int stride):
    """Levels of many columns from samples of their values, [column][sample].

    Returns levels (columns, n_levels), how many of them are used, top grid positions and standard deviations in
    grid steps (infinite where the column is stored without loss).
    """
    cdef Py_ssize_t d = samples.shape[0], j
    cdef size_t m = samples.shape[1]
    cdef int top_j
    levels = np.zeros((d, n_levels), dtype=np.uint8)
    used = np.ones(d, dtype=np.uint16)
    top = np.zeros(d, dtype=np.uint8)
    deviation = np.full(d, np.inf)
    cdef uint8_t[:, ::1] levels_view = levels
    cdef uint16_t[::1] used_view = used
    cdef uint8_t[::1] top_view = top
    cdef double[::1] deviation_view = deviation
    cdef uint8_t[256] chosen
    cdef int k, count
    with nogil:
        for j in range(d):
            if not low[j] < high[j]:
                continue
            count = zml_column_levels(&samples[j, 0], m, low[j], high[j], n_levels, max_steps, stride, chosen, &top_j,
                                      &deviation_view[j])
            for k in range(n_levels):
                levels_view[j, k] = chosen[k if k < count else count - 1]
            used_view[j] = count
            top_view[j] = top_j
    return levels, used, top, deviation


def block_range(const real[:, ::1] block, real[::1] low, real[::1] high):
    """Lower `low` and raise `high` to the range of a block's columns; True if all its values are finite."""
    cdef int bad = 0
    if block.shape[0] and block.shape[1]:
        with nogil:
            if real is float:
                bad = zml_range_f32(&block[0, 0], block.shape[0], block.shape[1], &low[0], &high[0])
            else:
                bad = zml_range_f64(&block[0, 0], block.shape[0], block.shape[1], &low[0], &high[0])
    return not bad


def permutation(size_t n, uint64_t seed, size_t first, size_t count):
    """Rows that slots first..first+count-1 hold, in a keyed permutation of n rows."""
    rows = np.empty(count, dtype=np.int64)
    cdef int64_t[::1] view = rows
    if count:
        with nogil:
            zml_permute(n, seed, first, count, &view[0])
    return rows


def inverse_permutation(size_t n, uint64_t seed, const int64_t[::1] rows):
    """Slots that hold the given rows."""
    slots = np.empty(rows.shape[0], dtype=np.int64)
    cdef int64_t[::1] view = slots
    if rows.shape[0]:
        with nogil:
            zml_permute_back(n, seed, &rows[0], rows.shape[0], &view[0])
    return slots


cdef class Moments:
    """Exact per-column sums that an encoder gathers; the results of several encoders add up."""

    cdef readonly object sum, square, variance, noise, hits

    def __init__(self, size_t n_columns, int width, bint by_code):
        cdef size_t codes = zml_table_codes(width) if by_code else 0
        self.sum, self.square, self.variance = (np.zeros(n_columns, dtype=np.uint64) for _ in range(3))
        self.noise, self.hits = (np.zeros((n_columns, codes), dtype=np.uint64) for _ in range(2))

    def add(self, Moments other):
        for name in ("sum", "square", "variance", "noise", "hits"):
            mine = getattr(self, name)
            mine += getattr(other, name)


cdef class Encoder:
    """Rounds rows to codes and packs them, given the levels of every column."""

    cdef const uint8_t[:, ::1] levels, cell
    cdef const uint16_t[::1] n_levels
    cdef const uint8_t[::1] top
    cdef const double[::1] offset, scale
    cdef zml_codebook book
    cdef readonly size_t n_columns
    cdef readonly int width

    def __init__(self, levels, n_levels, top, offset, scale, str sampling, int width, uint64_t seed):
        self.levels, self.n_levels, self.top = levels, n_levels, top
        self.offset, self.scale = offset, scale
        self.cell = cells(self.levels, self.n_levels)
        self.n_columns, self.width = self.n_levels.shape[0], width
        cdef zml_codebook *book = &self.book
        book.n_columns = self.n_columns
        book.level_stride = self.levels.shape[1]
        book.levels, book.n_levels, book.cell = &self.levels[0, 0], &self.n_levels[0], &self.cell[0, 0]
        book.top, book.offset, book.scale = &self.top[0], &self.offset[0], &self.scale[0]
        book.sampling = SAMPLING_CODES[sampling]
        book.width, book.seed = width, seed

    def encode(self, const real[:, ::1] block, uint8_t[:, ::1] tiles, Moments moments):
        """Pack a block of rows of X into zeroed tiles, 64 rows each."""
        cdef size_t n = block.shape[0], first, count, t, d = self.n_columns
        cdef int32_t[:, ::1] coordinates = np.empty((ZML_TILE_ROWS, d), dtype=np.int32)
        cdef zml_moments out = pointers(moments)
        with nogil:
            for t in range((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS):
                first = t * ZML_TILE_ROWS
                count = min(<size_t> ZML_TILE_ROWS, n - first)
                if real is float:
                    zml_coordinates_f32(&block[first, 0], count, &self.book, &coordinates[0, 0])
                else:
                    zml_coordinates_f64(&block[first, 0], count, &self.book, &coordinates[0, 0])
                zml_encode_tile(&coordinates[0, 0], &coordinates[0, 0], NULL, count, 0, &self.book,
                                &tiles[t, 0], &out)

    def narrow(self, Tiles source, const uint8_t[:, ::1] lower, const uint8_t[:, ::1] upper,
               const uint32_t[:, ::1] prior, uint8_t[:, ::1] tiles, Moments moments):
        """Round the rows of `source` again, into zeroed tiles.

        lower, upper: grid positions of both draws of every code, (columns, codes); prior: the rounding variance that
        a code carries already, in 1/65536 of a squared step. Draws are keyed by slot as well as content: few codes make
        many equal rows, which would share their noise.
        """
        cdef size_t t, d = self.n_columns
        cdef int i, j, code
        cdef uint8_t[:, ::1] codes = np.empty((ZML_TILE_ROWS, source.padded), dtype=np.uint8)
        cdef int32_t[:, ::1] first = np.empty((ZML_TILE_ROWS, d), dtype=np.int32)
        cdef int32_t[:, ::1] second = np.empty((ZML_TILE_ROWS, d), dtype=np.int32)
        cdef uint32_t[:, ::1] carried = np.empty((ZML_TILE_ROWS, d), dtype=np.uint32)
        cdef zml_moments out = pointers(moments)
        with nogil:
            for t in range(source.n_tiles):
                zml_unpack_tile(source.tile(t), source.width, source.padded, &codes[0, 0])
                for i in range(source.rows_in(t)):
                    for j in range(<int> d):
                        code = codes[i, j]
                        first[i, j] = lower[j, code] << ZML_GRID_SHIFT
                        second[i, j] = upper[j, code] << ZML_GRID_SHIFT
                        carried[i, j] = prior[j, code]
                zml_encode_tile(&first[0, 0], &second[0, 0], &carried[0, 0], source.rows_in(t),
                                1 + t * ZML_TILE_ROWS, &self.book,
                                &tiles[t, 0], &out)


cdef cells(const uint8_t[:, ::1] levels, const uint16_t[::1] n_levels):
    """cells[column][k]: the interval of levels that holds the grid coordinates from k to k + 1."""
    out = np.zeros((n_levels.shape[0], 256), dtype=np.uint8)
    cdef uint8_t[:, ::1] cell = out
    cdef Py_ssize_t j
    cdef int k, interval
    with nogil:
        for j in range(n_levels.shape[0]):
            interval = 0
            for k in range(256):
                while interval + 2 < n_levels[j] and levels[j, interval + 1] <= k:
                    interval += 1
                cell[j, k] = <uint8_t> interval
    return out


cdef zml_moments pointers(Moments moments):
    cdef uint64_t[::1] total = moments.sum, square = moments.square, variance = moments.variance
    cdef uint64_t[:, ::1] noise = moments.noise, hits = moments.hits
    cdef zml_moments out
    out.sum, out.square, out.variance = &total[0], &square[0], &variance[0]
    out.noise = &noise[0, 0] if noise.shape[1] else NULL
    out.hits = &hits[0, 0] if hits.shape[1] else NULL
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
        self.codes, self.table = codes, table
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

    cdef const uint8_t *tile(self, size_t index) noexcept nogil:
        return &self.codes[index, 0]

    cdef int rows_in(self, size_t index) noexcept nogil:
        return <int> min(<size_t> ZML_TILE_ROWS, self.n_rows - index * ZML_TILE_ROWS)

    cdef void unpack(self, size_t index, uint8_t *codes) noexcept nogil:
        zml_unpack_tile(self.tile(index), self.width, self.padded, codes)

    def positions(self, size_t first, size_t last):
        """Stored grid positions of the rows of tiles first..last-1, uint8 (rows, columns), in slot order."""
        cdef size_t t, n = min(last * ZML_TILE_ROWS, self.n_rows) - first * ZML_TILE_ROWS
        out = np.empty((n, self.n_columns), dtype=np.uint8)
        cdef uint8_t[:, ::1] view = out
        cdef const uint8_t *table = &self.table[0] if self.table.shape[0] else NULL
        with nogil:
            for t in range(first, last):
                zml_decode_tile(self.tile(t), self.width, self.n_columns, table,
                                &view[(t - first) * ZML_TILE_ROWS, 0], self.rows_in(t))
        return out

    def lookup(self, size_t tile, const int64_t[::1] columns, const double[:, ::1] values):
        """Sums over some columns of a value that each code stands for, float64 (rows of the tile,)."""
        cdef uint8_t[:, ::1] codes = np.empty((ZML_TILE_ROWS, self.padded), dtype=np.uint8)
        cdef Py_ssize_t k
        cdef int i, rows = self.rows_in(tile)
        out = np.zeros(rows)
        cdef double[::1] view = out
        self.unpack(tile, &codes[0, 0])
        for k in range(columns.shape[0]):
            for i in range(rows):
                view[i] += values[k, codes[i, columns[k]]]
        return out


def gather_tiles(Tiles source, const int64_t[::1] slots, uint8_t[:, ::1] tiles):
    """Tiles whose row k is the row of `source` in slot slots[k], codes moved as they are.

    The source is read once, in order; rows wait in a row-major bit-packed buffer, so nothing is unpacked for long.
    """
    cdef size_t n = slots.shape[0], padded = source.padded, t, k, first, count, j, row_bytes
    cdef int width = source.width, per_byte = 8 // width, b
    cdef uint8_t code
    row_bytes = padded // per_byte
    order = np.argsort(slots, kind="stable")
    cdef const int64_t[::1] by_slot = order
    cdef uint8_t[:, ::1] rows = np.empty((n, row_bytes), dtype=np.uint8)
    cdef uint8_t[:, ::1] block = np.empty((ZML_TILE_ROWS, padded), dtype=np.uint8)
    cdef size_t unpacked = <size_t> -1, target
    cdef const uint8_t *row
    with nogil:
        for k in range(n):
            target = by_slot[k]
            t = <size_t> slots[target] // ZML_TILE_ROWS
            if t != unpacked:
                zml_unpack_tile(source.tile(t), width, padded, &block[0, 0])
                unpacked = t
            row = &block[<size_t> slots[target] % ZML_TILE_ROWS, 0]
            for j in range(row_bytes):
                code = 0
                for b in range(per_byte):
                    code |= <uint8_t> (row[j * per_byte + b] << (b * width))
                rows[target, j] = code
        for t in range((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS):
            first = t * ZML_TILE_ROWS
            count = min(<size_t> ZML_TILE_ROWS, n - first)
            block[:, :] = 0
            for k in range(count):
                for j in range(row_bytes):
                    for b in range(per_byte):
                        block[k, j * per_byte + b] = (rows[first + k, j] >> (b * width)) & ((1 << width) - 1)
            zml_pack_tile(&block[0, 0], width, padded, &tiles[t, 0])


def row_bytes(size_t n_columns, int width):
    """Bytes of one packed row; 64 rows take the bytes of a tile."""
    return zml_row_bytes(zml_padded_columns(n_columns), width)


def tiles_to_rows(const uint8_t[:, ::1] tiles, size_t n_columns, int width, uint8_t[:, ::1] rows):
    """Write the first len(rows) rows of tiles as packed rows, in slot order."""
    cdef size_t t, first, n = rows.shape[0], padded = zml_padded_columns(n_columns)
    with nogil:
        for t in range((n + ZML_TILE_ROWS - 1) // ZML_TILE_ROWS):
            first = t * ZML_TILE_ROWS
            zml_tile_to_rows(&tiles[t, 0], width, padded, min(<size_t> ZML_TILE_ROWS, n - first), &rows[first, 0])


def rows_to_tiles(uint8_t[:, ::1] rows, size_t n_columns, int width):
    """Make tiles of packed rows, a multiple of 64 of them, in the same memory."""
    cdef size_t t, padded = zml_padded_columns(n_columns), size = zml_tile_bytes(padded, width)
    cdef uint8_t[::1] spare = np.empty(size, dtype=np.uint8)
    with nogil:
        for t in range(<size_t> rows.shape[0] // ZML_TILE_ROWS):
            memcpy(&spare[0], &rows[t * ZML_TILE_ROWS, 0], size)
            zml_rows_to_tile(&spare[0], width, padded, &rows[t * ZML_TILE_ROWS, 0])


def shuffle_rows(uint8_t[:, ::1] rows, uint64_t seed):
    """Bring packed rows, in place, into the order of `permutation`: slot s gets row permutation(s)."""
    cdef size_t n = rows.shape[0], size = rows.shape[1]
    cdef uint8_t[::1] visited = np.zeros(n // 8 + 1, dtype=np.uint8)
    cdef uint8_t[::1] spare = np.empty(max(size, <size_t> 1), dtype=np.uint8)
    if n and size:
        with nogil:
            zml_shuffle_rows(&rows[0, 0], size, n, seed, &visited[0], &spare[0])
