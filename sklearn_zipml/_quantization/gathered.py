"""Rows of codes in memory, made into tiles one after another: each is written once, and nothing else."""

from .._kernels import gathered as kernels
from .._kernels.mapped import mapping_of
from .._kernels.threads import THREAD_TILES, in_threads, poll
from .._kernels.tiles import TILE_ROWS

TILES_AT_ONCE = 256


def can_be_gathered(X):
    """Whether the rows of an array are contiguous and in memory, where it is all the same in which order they are read.

    Of a mapped file they are read as they come.
    """
    return X.dtype.isnative and mapping_of(X) is None and (X.shape[1] <= 1 or X.strides[1] == X.itemsize)


def fill_tiles(fill, tiles, order, n_jobs):
    """fill(first, last, rows) for runs of tiles, with the rows of a RowOrder that they get, in threads."""

    def fill_some(first, last):
        for start in range(first, last, TILES_AT_ONCE):
            poll()
            stop = min(last, start + TILES_AT_ONCE)
            fill(start, stop, order.rows(start * TILE_ROWS, stop * TILE_ROWS))

    in_threads(fill_some, len(tiles), THREAD_TILES, n_jobs)


def gather_fields(codes, width, tiles, order, n_jobs):
    """Make tiles of Codes that are fields of `width` bits, rows in a RowOrder."""

    def fill(first, last, rows):
        kernels.tiles_of_fields(codes.array, rows, codes.n_columns, width, codes.high_first, tiles[first:last])

    fill_tiles(fill, tiles, order, n_jobs)
