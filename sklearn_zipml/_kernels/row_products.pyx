"""Products of packed rows with each other, exact in integers, with the GIL released."""

from sklearn_zipml._kernels.checks cimport require
from sklearn_zipml._kernels.matmul cimport products_with_each_other, tiled, zml_matmul, zml_tiled
from sklearn_zipml._kernels.tiles cimport ZML_DITHERED, ZML_TILE_ROWS, Tiles, uint8_t

from sklearn_zipml._kernels.tiles import aligned_zeros

cdef extern from "products/row_gram.h" nogil:
    ctypedef struct zml_row_pair:
        size_t first
        size_t n_tiles
        size_t other
        size_t n_others
        size_t n_columns
        size_t padded
    ctypedef struct zml_row_sums:
        double *sums
        size_t stride
        size_t n_rows
        size_t n_others
    size_t zml_row_gram_bytes(const zml_matmul *by, const zml_row_pair *pair)
    void zml_add_row_gram(const zml_matmul *by, const zml_tiled *x, const zml_row_pair *pair, size_t first, size_t last,
                          uint8_t *work)
    void zml_write_row_gram(const zml_matmul *by, const zml_row_pair *pair, uint8_t *work,
                            const zml_row_sums *to)

cdef enum:
    # Signals are looked for after about so many products, some ten milliseconds.
    SIGNAL_PRODUCTS = 1 << 30


def row_gram(Tiles tiles, tuple span, tuple others, double[:, ::1] out):
    """Sums over columns of products of the positions of two rows each, of some tiles and of others.

    Parameters
    ----------
    tiles : Tiles of codes without known dither; their outliers are not looked at
    span, others : (first, last), tiles: the same, or without any in common
    out : float64 (n_rows, n_rows), set for these rows; of tiles with themselves only the lower triangle
    """
    cdef const zml_matmul *by = products_with_each_other(tiles)
    cdef zml_tiled x
    cdef zml_row_pair pair
    cdef zml_row_sums to
    cdef size_t first = span[0], last = span[1], other = others[0], end = others[1], column = 0, stop, step
    require(tiles.width <= 8 and tiles.format != ZML_DITHERED, "rows of codes without known dither are needed")
    require(<size_t> min(out.shape[0], out.shape[1]) >= tiles.n_rows, "no room for the products")
    tiles.require_span(first, last)
    tiles.require_span(other, end)
    if first == last or other == end or not tiles.padded:
        return
    x = tiled(tiles)
    pair.n_columns, pair.padded = tiles.n_columns, tiles.padded
    pair.first, pair.n_tiles, pair.other, pair.n_others = first, last - first, other, end - other
    to.n_rows, to.n_others = tiles.rows_before(last) - first * ZML_TILE_ROWS, tiles.rows_before(end)
    to.n_others -= other * ZML_TILE_ROWS
    to.stride, to.sums = out.shape[1], &out[first * ZML_TILE_ROWS, other * ZML_TILE_ROWS]
    cdef uint8_t[::1] work = aligned_zeros(zml_row_gram_bytes(by, &pair))
    step = (SIGNAL_PRODUCTS // (pair.n_tiles * pair.n_others * ZML_TILE_ROWS * ZML_TILE_ROWS * by.depth) + 1) * by.depth
    with nogil:
        while column < x.padded:
            stop = min(x.padded, column + step)
            zml_add_row_gram(by, &x, &pair, column, stop, &work[0])
            column = stop
            with gil:
                tiles.look()
        zml_write_row_gram(by, &pair, &work[0], &to)
