"""Products of tiles with many vectors at once, exact in integers, with the GIL released.

The same integers come from every instruction set, and however tiles are shared out among threads.
"""

import numpy as np

cimport cython

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport require
from sklearn_zipml._kernels.tiles cimport (
    ZML_DITHERED, ZML_TILE_ROWS, Tiles, int32_t, int64_t, uint8_t, zml_outliers, zml_padded_columns, zml_table_codes,
)

from sklearn_zipml._kernels.tiles import aligned_zeros

cdef extern from "products/passes.h" nogil:
    ctypedef struct zml_block_pair:
        size_t first
        size_t n_columns
        size_t other
        size_t n_others
        int weighted
        int has_outliers
    enum:
        ZML_WEIGHT_BYTES
    ctypedef struct zml_gram_sums:
        int64_t *sums
        int64_t *totals
        size_t stride
        size_t n_columns
        size_t n_others
    size_t zml_gram_bytes(const zml_matmul *by, const zml_block_pair *pair)
    void zml_begin_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work)
    void zml_add_gram(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                      const int32_t *weights, uint8_t *work)
    void zml_write_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work, int64_t total_weight,
                        const zml_gram_sums *to)
    size_t zml_padded_vectors(size_t n_vectors)
    int32_t zml_most_of(int n_bytes)
    ctypedef struct zml_vectors:
        const uint8_t *packed
        size_t n_vectors
        int n_bytes
        const int64_t *totals
        const double *scale
    ctypedef struct zml_rounded:
        const double *values
        size_t stride
        size_t n_vectors
        int n_bytes
        const double *inverse
    size_t zml_vector_bytes(const zml_matmul *by, size_t n_vectors, size_t count, int n_bytes)
    void zml_pack_vectors(const zml_matmul *by, const int32_t *vectors, size_t stride, size_t n_vectors, size_t count,
                          int n_bytes, uint8_t *packed)
    size_t zml_dot_bytes(const zml_matmul *by, size_t n_vectors)
    void zml_dot_many(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_vectors *vectors,
                      uint8_t *work, double *out, size_t stride)
    size_t zml_gradient_bytes(const zml_matmul *by, size_t n_vectors, int n_bytes)
    void zml_add_gradient(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_rounded *rows,
                          uint8_t *work, int64_t (*sums)[16], int64_t *totals)
    void zml_write_gradient(const zml_matmul *by, size_t n_vectors, size_t n_columns, const int64_t (*sums)[16],
                            const int64_t *totals, int64_t *out)

cdef extern from "products/outliers.h" nogil:
    void zml_add_outlier_dots(const zml_outliers *o, size_t tile, const int32_t *integers, size_t padded,
                              size_t n_vectors, const double *scale, double *out, size_t stride)
    void zml_add_outlier_gradient(const zml_outliers *o, size_t tile, const int32_t *of_rows, int64_t *sums)
    void zml_scale_outliers_f32(const zml_outliers *o, size_t tile, size_t first, size_t count, const float *unit,
                                float *out, size_t stride)
    void zml_scale_outliers_f64(const zml_outliers *o, size_t tile, size_t first, size_t count, const double *unit,
                                double *out, size_t stride)

cdef extern from "products/moments.h" nogil:
    ctypedef struct zml_centring:
        int64_t weight
        const int64_t *totals
        const int64_t *whole
        const double *rest
        const double *mean
    void zml_mirror(size_t n, int64_t *sums)
    void zml_centre_moments(size_t n, const zml_centring *about, int64_t *sums)

cdef extern from "products/scaled_rows.h" nogil:
    void zml_scale_rows_f32(const uint8_t *tile, const uint8_t *table, int width, size_t n_rows, size_t count,
                            const float *centre, const float *unit, float *out, size_t stride)
    void zml_scale_rows_f64(const uint8_t *tile, const uint8_t *table, int width, size_t n_rows, size_t count,
                            const double *centre, const double *unit, double *out, size_t stride)

cdef enum:
    # A pass looks for signals after about so many products, some ten milliseconds.
    SIGNAL_PRODUCTS = 1 << 30
    SCALED_TILES = 64

ctypedef fused real:
    float
    double


MOST_WEIGHT = zml_most_of(ZML_WEIGHT_BYTES)


cdef const zml_matmul *active_products() noexcept nogil:
    return <const zml_matmul *> active_kernels().matmul


cdef const zml_matmul *products_with_each_other(Tiles tiles) except NULL:
    """Products of positions of tiles; of few positions more of them are made at once."""
    cdef const zml_matmul *by = active_products()
    if by.few == NULL or tiles.width > 4 or tiles.format == ZML_DITHERED:
        return by
    return by.few if np.max(tiles.table, initial=0) < ZML_FEW_POSITIONS else by


cdef zml_tiled tiled(Tiles tiles) except *:
    cdef zml_tiled x
    if tiles.width > 8:
        raise ValueError(f"products in integers are of codes of 1 to 8 bits; these are of {tiles.width}")
    x.codes = tiles.tile(0) if tiles.n_tiles and tiles.padded else NULL
    x.table = &tiles.table[0] if tiles.table.shape[0] else NULL
    x.n_rows, x.padded, x.width, x.widen = tiles.n_rows, tiles.padded, tiles.format, active_kernels().widen
    x.outliers = &tiles.apart if tiles.apart.starts != NULL else NULL
    return x


cdef size_t tiles_between_signals(size_t products_of_a_row, size_t depth) noexcept nogil:
    """Whole runs of tiles."""
    cdef size_t runs = SIGNAL_PRODUCTS // (depth * max(<size_t> 1, products_of_a_row))
    return max(<size_t> 1, runs) * (depth // ZML_TILE_ROWS)


def add_gram(Tiles tiles, tuple span, tuple columns, tuple others, const int32_t[::1] weights, int64_t[:, ::1] sums,
             int64_t[::1] totals, lock):
    """Add sums over rows of products of the grid positions of two blocks of columns to a matrix of all columns.

    Parameters
    ----------
    tiles : Tiles of codes
    span : (first, last), tiles
    columns, others : (first, count) of padded columns, multiples of 16: the same, or without any in common
    weights : int32 (slots,), at most `MOST_WEIGHT` each, or empty for ones
    sums : int64 (n_columns, n_columns); of a block with itself only the lower triangle is added to
    totals : int64 (n_columns,), sums of the positions, which are added for a block with itself only
    lock : context manager that is entered to add
    """
    cdef const int32_t *weight = &weights[0] if weights.shape[0] else NULL
    cdef const zml_matmul *by = products_with_each_other(tiles) if weight == NULL else active_products()
    cdef zml_tiled x = tiled(tiles)
    cdef zml_block_pair pair
    cdef zml_gram_sums to
    cdef size_t first = span[0], last = span[1], t = first, end, step
    cdef int64_t total = min(x.n_rows, last * ZML_TILE_ROWS) - min(x.n_rows, first * ZML_TILE_ROWS)
    tiles.require_span(first, last)
    pair.first, pair.n_columns, pair.other, pair.n_others = columns[0], columns[1], others[0], others[1]
    require(pair.first + pair.n_columns <= tiles.padded and pair.other + pair.n_others <= tiles.padded,
            "columns that there are not")
    require(<size_t> min(sums.shape[0], sums.shape[1], totals.shape[0]) >= tiles.n_columns, "no room for the sums")
    require(weight == NULL or <size_t> weights.shape[0] >= tiles.rows_before(last), "rows without a weight")
    pair.weighted, pair.has_outliers = weight != NULL, x.outliers != NULL
    if pair.weighted:
        total = np.asarray(weights[first * ZML_TILE_ROWS : min(x.n_rows, last * ZML_TILE_ROWS)]).sum(dtype=np.int64)
    to.n_columns = min(pair.n_columns, tiles.n_columns - pair.first)
    to.n_others, to.stride = min(pair.n_others, tiles.n_columns - pair.other), sums.shape[1]
    to.sums = &sums[pair.first, pair.other]
    cdef int64_t[::1] own_totals = np.zeros(pair.n_columns, dtype=np.int64)
    cdef uint8_t[::1] work = aligned_zeros(zml_gram_bytes(by, &pair))
    to.totals = &totals[pair.first] if pair.first == pair.other else &own_totals[0]
    step = tiles_between_signals(pair.n_columns * pair.n_others, by.depth)
    with nogil:
        zml_begin_gram(by, &pair, &work[0])
        while t < last:
            end = min(last, t + step)
            zml_add_gram(by, &x, t, end, &pair, weight + t * ZML_TILE_ROWS if weight != NULL else NULL, &work[0])
            t = end
            with gil:
                tiles.look()
    with lock:
        with nogil:
            zml_write_gram(by, &pair, &work[0], total, &to)


def mirror(int64_t[:, ::1] sums):
    """Make a matrix of its lower triangle symmetric."""
    if sums.shape[0]:
        with nogil:
            zml_mirror(sums.shape[0], &sums[0, 0])


def centre_moments(int64_t[:, ::1] sums, const int64_t[::1] totals, int64_t total_weight, centre):
    """Mean of (g - centre)(g - centre)' out of the sums of g g' (lower triangle) and g over rows, in place.

    Rows may be weighted by integers; total_weight is then the sum of these, otherwise the number of rows.
    The integers next to the centres are taken off in integers, so that what is left is rounded once, and columns of
    one value, centred there, have exactly none.

    Returns
    -------
    float64 (columns, columns), the memory of sums
    """
    whole = np.clip(np.rint(centre), 0, 255).astype(np.int64)
    cdef const int64_t[::1] whole_view = whole
    cdef const double[::1] rest = np.asarray(centre, dtype=np.float64) - whole
    cdef const double[::1] mean = (np.asarray(totals) - total_weight * whole) / total_weight
    cdef zml_centring about
    if sums.shape[0]:
        about.weight, about.totals, about.whole = total_weight, &totals[0], &whole_view[0]
        about.rest, about.mean = &rest[0], &mean[0]
        with nogil:
            zml_centre_moments(sums.shape[0], &about, &sums[0, 0])
    return np.asarray(sums).view(np.float64)


def fixed_point_scales(const double[:, :] values, int n_bytes):
    """What one step of each vector's fixed-point numbers of n_bytes bytes is, and its inverse; float64 (vectors,).

    Elements of a vector are contiguous. Vectors that are not finite have a step that is not a number, and the numbers
    of those too small to divide by are zero: their inverse is zero.
    """
    if not 1 <= n_bytes <= 4:
        raise ValueError(f"fixed-point numbers have 1 to 4 bytes, not {n_bytes}")
    cdef const zml_matmul *by = active_products()
    cdef size_t v
    largest = np.zeros(values.shape[0])
    cdef double[::1] view = largest
    if values.shape[1]:
        with nogil:
            for v in range(<size_t> values.shape[0]):
                view[v] = by.magnitude(&values[v, 0], values.shape[1])
    finite = np.isfinite(largest)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = zml_most_of(n_bytes) / largest
    return (np.where(finite, largest / zml_most_of(n_bytes), np.nan),
            np.where(finite & np.isfinite(inverse), inverse, 0))


@cython.final
cdef class Vectors:
    """Vectors of columns, float64 (vectors, columns), on their way into the products: rounded to fixed point.

    Each has a scale of its own: its largest component is 127 * 256^(n_bytes - 1) steps.
    """

    cdef const zml_matmul *by
    cdef zml_vectors vectors
    cdef uint8_t[::1] packed
    cdef int32_t[:, ::1] integers
    cdef int64_t[::1] totals
    cdef double[::1] scale
    cdef size_t padded
    cdef readonly size_t n_vectors

    def __init__(self, Tiles tiles, const double[:, ::1] values, int n_bytes):
        cdef size_t v, d = values.shape[1], padded = tiles.padded
        if d != tiles.n_columns:
            raise ValueError(f"vectors of {d} components do not fit {tiles.n_columns} columns")
        self.by, self.n_vectors, self.padded = active_products(), values.shape[0], padded
        self.scale, inverses = fixed_point_scales(values, n_bytes)
        integers = np.zeros((self.n_vectors, padded), dtype=np.int32)
        cdef int32_t[:, ::1] view = integers
        cdef const double[::1] inverse = inverses
        self.integers = integers
        self.packed = aligned_zeros(zml_vector_bytes(self.by, self.n_vectors, padded, n_bytes))
        if self.n_vectors and padded:
            for v in range(self.n_vectors):
                if inverse[v] > 0:
                    self.by.round(&values[v, 0], d, inverse[v], &view[v, 0])
            zml_pack_vectors(self.by, &view[0, 0], padded, self.n_vectors, padded, n_bytes, &self.packed[0])
            self.totals = integers.sum(axis=1, dtype=np.int64)
            self.vectors.packed, self.vectors.totals = &self.packed[0], &self.totals[0]
            self.vectors.scale = &self.scale[0]
        self.vectors.n_vectors, self.vectors.n_bytes = self.n_vectors, n_bytes

    def multiply(self, Tiles tiles, size_t first, size_t last, double[:, :] out):
        """Products with the rows of tiles first..last-1, to out (vectors, rows), in slot order; rows are contiguous."""
        cdef zml_tiled x = tiled(tiles)
        cdef size_t t = first, end, tile, step = tiles_between_signals(self.n_vectors * x.padded, self.by.depth)
        cdef size_t stride = out.strides[0] // <ptrdiff_t> sizeof(double)
        cdef uint8_t[::1] work = aligned_zeros(zml_dot_bytes(self.by, self.n_vectors))
        tiles.require_span(first, last)
        require(x.padded == self.padded, "vectors of other columns")
        require(<size_t> out.shape[0] >= self.n_vectors and <size_t> out.shape[1] >= (last - first) * ZML_TILE_ROWS,
                "no room for the products")
        if self.n_vectors == 0 or x.padded == 0:
            return
        with nogil:
            while t < last:
                end = min(last, t + step)
                zml_dot_many(self.by, &x, t, end, &self.vectors, &work[0], &out[0, (t - first) * ZML_TILE_ROWS],
                             stride)
                if tiles.apart.starts != NULL:
                    for tile in range(t, end):
                        zml_add_outlier_dots(&tiles.apart, tile, &self.integers[0, 0], x.padded, self.n_vectors,
                                             &self.scale[0], &out[0, (tile - first) * ZML_TILE_ROWS], stride)
                t = end
                with gil:
                    tiles.look()


def gradient_sums(Tiles tiles, const double[:, :] values, const double[::1] inverse, int n_bytes, size_t first,
                  size_t last):
    """Sums over the rows of tiles first..last-1 of grid positions times fixed-point values of the rows.

    Parameters
    ----------
    tiles : Tiles of codes
    values : float64 (vectors, rows), in slot order from tile `first` on; rows are contiguous
    inverse : float64 (vectors,), steps of a unit, see `fixed_point_scales`
    n_bytes, first, last : int

    Returns
    -------
    sums : int64 (vectors, n_columns)
    totals : int64 (vectors,), sums of the fixed-point values
    """
    cdef const zml_matmul *by = active_products()
    cdef zml_tiled x = tiled(tiles)
    cdef zml_rounded rows
    cdef size_t n = values.shape[0], d = tiles.n_columns, room = zml_padded_vectors(n), t = first, end
    cdef size_t step = tiles_between_signals(n * x.padded, by.depth)
    sums = np.zeros((x.padded // ZML_PANEL, room, ZML_PANEL), dtype=np.int64)
    out, totals = np.zeros((n, d), dtype=np.int64), np.zeros(n, dtype=np.int64)
    cdef int64_t[:, ::1] out_view = out
    cdef int64_t[:, :, ::1] sums_view = sums
    cdef int64_t[::1] totals_view = totals
    cdef int32_t[ZML_TILE_ROWS] of_rows
    cdef size_t v
    cdef uint8_t[::1] work = aligned_zeros(zml_gradient_bytes(by, n, n_bytes))
    tiles.require_span(first, last)
    require(<size_t> values.shape[1] >= tiles.rows_before(last) - tiles.rows_before(first), "rows without a weight")
    require(<size_t> inverse.shape[0] >= n, "vectors without a scale")
    rows.stride, rows.n_vectors, rows.n_bytes = values.strides[0] // <ptrdiff_t> sizeof(double), n, n_bytes
    if n and x.padded and last > first:
        rows.inverse = &inverse[0]
        with nogil:
            while t < last:
                end = min(last, t + step)
                rows.values = &values[0, (t - first) * ZML_TILE_ROWS]
                zml_add_gradient(by, &x, t, end, &rows, &work[0], <int64_t (*)[16]> &sums_view[0, 0, 0],
                                 &totals_view[0])
                t = end
                with gil:
                    tiles.look()
            zml_write_gradient(by, n, d, <const int64_t (*)[16]> &sums_view[0, 0, 0], &totals_view[0], &out_view[0, 0])
            for t in range(first, last if tiles.apart.starts != NULL else first):
                for v in range(n):
                    if inverse[v] > 0:
                        by.round(&values[v, (t - first) * ZML_TILE_ROWS], tiles.rows_in(t), inverse[v], of_rows)
                        zml_add_outlier_gradient(&tiles.apart, t, of_rows, &out_view[v, 0])
    return out, totals


def scaled_rows(Tiles tiles, size_t first, size_t last, size_t column, const real[::1] centre, const real[::1] unit,
                real[:, ::1] out):
    """out[row, k] = (g - centre[k]) * unit[k] for the rows of tiles first..last-1, g the positions of column + k.

    `column` is a multiple of 16, the first of as many as there are centres.
    """
    cdef zml_tiled x = tiled(tiles)
    cdef size_t t, start, count = centre.shape[0], stride = out.strides[0] // <ptrdiff_t> sizeof(real)
    cdef size_t offset = column * ZML_TILE_ROWS // 8 * tiles.width, codes = zml_table_codes(x.width)
    cdef const uint8_t *table = x.table + column * codes if codes else NULL
    tiles.require_span(first, last)
    require(column + count <= tiles.padded and <size_t> unit.shape[0] >= count, "columns that there are not")
    require(<size_t> out.shape[0] >= tiles.rows_before(last) - tiles.rows_before(first)
            and <size_t> out.shape[1] >= count, "no room for the rows")
    if count == 0:
        return
    cdef bint dithered = tiles.format == ZML_DITHERED
    cdef uint8_t[::1] bytes_of = np.empty(zml_padded_columns(count) * ZML_TILE_ROWS if dithered else 1, dtype=np.uint8)
    cdef const uint8_t *codes_of
    cdef int width = 8 if dithered else x.width
    with nogil:
        for t in range(first, last):
            start = (t - first) * ZML_TILE_ROWS
            codes_of = &bytes_of[0] if dithered else tiles.tile(t) + offset
            if dithered:
                tiles.widen(t, column, zml_padded_columns(count), &bytes_of[0])
            if real is float:
                zml_scale_rows_f32(codes_of, table, width, tiles.rows_in(t), count, &centre[0],
                                   &unit[0], &out[start, 0], stride)
                zml_scale_outliers_f32(&tiles.apart, t, column, count, &unit[0], &out[start, 0], stride)
            else:
                zml_scale_rows_f64(codes_of, table, width, tiles.rows_in(t), count, &centre[0],
                                   &unit[0], &out[start, 0], stride)
                zml_scale_outliers_f64(&tiles.apart, t, column, count, &unit[0], &out[start, 0], stride)
            if t % SCALED_TILES == 0:
                with gil:
                    tiles.look()
