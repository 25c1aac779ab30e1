"""Products of tiles with many vectors at once, exact in integers, with the GIL released.

The same integers come from every instruction set, and however tiles are shared out among threads.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals

from sklearn_zipml._kernels cimport (
    ZML_TILE_ROWS, Tiles, active_kernels, int32_t, int64_t, uint8_t, zml_table_codes,
)

from sklearn_zipml._kernels import aligned_zeros

cdef extern from "matmul.h" nogil:
    enum:
        ZML_PANEL
    ctypedef struct zml_matmul:
        size_t depth

cdef extern from "matmul_passes.h" nogil:
    ctypedef struct zml_tiled:
        const uint8_t *codes
        const uint8_t *table
        size_t n_rows
        size_t padded
        int width
    ctypedef struct zml_block_pair:
        size_t first
        size_t n_columns
        size_t other
        size_t n_others
    size_t zml_gram_bytes(const zml_matmul *by, const zml_block_pair *pair)
    void zml_begin_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work)
    void zml_add_gram(const zml_matmul *by, const zml_tiled *x, size_t first, size_t last, const zml_block_pair *pair,
                      uint8_t *work)
    void zml_write_gram(const zml_matmul *by, const zml_block_pair *pair, uint8_t *work, int64_t n_rows, int64_t *sums,
                        int64_t *totals)

cdef extern from "moments.h" nogil:
    ctypedef struct zml_centring:
        int64_t n_rows
        const int64_t *totals
        const int64_t *whole
        const double *rest
        const double *mean
    void zml_mirror(size_t n, int64_t *sums)
    void zml_centre_moments(size_t n, const zml_centring *about, int64_t *sums)

cdef enum:
    # A pass looks for signals after about so many products, some ten milliseconds.
    SIGNAL_PRODUCTS = 1 << 30


cdef const zml_matmul *active_products() noexcept nogil:
    return <const zml_matmul *> active_kernels().matmul


cdef zml_tiled tiled(Tiles tiles) except *:
    cdef zml_tiled x
    if tiles.width > 8:
        raise ValueError(f"products in integers are of codes of 1 to 8 bits; these are of {tiles.width}")
    x.codes = tiles.tile(0) if tiles.n_tiles and tiles.padded else NULL
    x.table = &tiles.table[0] if tiles.table.shape[0] else NULL
    x.n_rows, x.padded, x.width = tiles.n_rows, tiles.padded, tiles.width
    return x


cdef size_t tiles_between_signals(size_t products_of_a_row, size_t depth) noexcept nogil:
    """Whole runs of tiles."""
    cdef size_t runs = SIGNAL_PRODUCTS // (depth * max(<size_t> 1, products_of_a_row))
    return max(<size_t> 1, runs) * (depth // ZML_TILE_ROWS)


def gram_block(Tiles tiles, size_t first, size_t last, tuple columns, tuple others):
    """Sums of products of the grid positions of two blocks of columns over the rows of tiles first..last-1.

    Parameters
    ----------
    tiles : Tiles of codes
    first, last : int
    columns, others : (first, count) of padded columns, multiples of 16: the same, or without any in common

    Returns
    -------
    sums : int64 (columns, others); of a block with itself only the lower triangle is defined
    totals : int64 (columns,), sums of the positions
    """
    cdef const zml_matmul *by = active_products()
    cdef zml_tiled x = tiled(tiles)
    cdef zml_block_pair pair
    cdef size_t t = first, end, step
    pair.first, pair.n_columns, pair.other, pair.n_others = columns[0], columns[1], others[0], others[1]
    sums, totals = np.empty((pair.n_columns, pair.n_others), dtype=np.int64), np.empty(pair.n_columns, dtype=np.int64)
    cdef int64_t[:, ::1] sums_view = sums
    cdef int64_t[::1] totals_view = totals
    cdef uint8_t[::1] work = aligned_zeros(zml_gram_bytes(by, &pair))
    step = tiles_between_signals(pair.n_columns * pair.n_others, by.depth)
    with nogil:
        zml_begin_gram(by, &pair, &work[0])
        while t < last:
            end = min(last, t + step)
            zml_add_gram(by, &x, t, end, &pair, &work[0])
            t = end
            with gil:
                PyErr_CheckSignals()
        zml_write_gram(by, &pair, &work[0], min(x.n_rows, last * ZML_TILE_ROWS) - min(x.n_rows, first * ZML_TILE_ROWS),
                       &sums_view[0, 0], &totals_view[0])
    return sums, totals


def mirror(int64_t[:, ::1] sums):
    """Make a matrix of its lower triangle symmetric."""
    if sums.shape[0]:
        with nogil:
            zml_mirror(sums.shape[0], &sums[0, 0])


def centre_moments(int64_t[:, ::1] sums, const int64_t[::1] totals, int64_t n_rows, centre):
    """Mean of (g - centre)(g - centre)' out of the sums of g g' (lower triangle) and g over n_rows rows, in place.

    The integers next to the centres are taken off in integers, so that what is left is rounded once, and columns of
    one value, centred there, have exactly none.

    Returns
    -------
    float64 (columns, columns), the memory of sums
    """
    whole = np.clip(np.rint(centre), 0, 255).astype(np.int64)
    cdef const int64_t[::1] whole_view = whole
    cdef const double[::1] rest = np.asarray(centre, dtype=np.float64) - whole
    cdef const double[::1] mean = (np.asarray(totals) - n_rows * whole) / n_rows
    cdef zml_centring about
    if sums.shape[0]:
        about.n_rows, about.totals, about.whole = n_rows, &totals[0], &whole_view[0]
        about.rest, about.mean = &rest[0], &mean[0]
        with nogil:
            zml_centre_moments(sums.shape[0], &about, &sums[0, 0])
    return np.asarray(sums).view(np.float64)
