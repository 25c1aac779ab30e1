"""Second moments of packed columns, exact but for one rounding, and products of packed rows, as dense matrices."""

from contextlib import nullcontext

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import in_threads, one_blas_thread

MIDDLE = 128
# float32 holds sums of so many products of positions, less the middle: 2^10 times 2^14.
EXACT_TILES = 1024 // kernels.TILE_ROWS
# Values that are decoded at a time.
BLOCK_VALUES = 1 << 21
THREAD_BLOCKS = 4  # that a thread is given at least


def centred_moments(tiles, last, centre, threads):
    """Mean of (g - centre)(g - centre)' over the rows of tiles 0..last-1, g their grid positions, float64.

    Positions are integers, so that float32 products of a block of rows are exact, and float64 sums of these.

    Parameters
    ----------
    tiles : Tiles
    last : int
    centre : float64 (n_columns,)
    threads : int

    Returns
    -------
    float64 (n_columns, n_columns)
    """

    def sums(first, last):
        total, products = np.zeros(tiles.n_columns), np.zeros((tiles.n_columns, tiles.n_columns))
        for start in range(first, last, EXACT_TILES):
            block = tiles.positions(start, min(start + EXACT_TILES, last)).astype(np.float32)
            block -= MIDDLE
            total += block.sum(axis=0)
            products += block.T @ block
        return total, products

    n, least = min(tiles.n_rows, last * kernels.TILE_ROWS), THREAD_BLOCKS * EXACT_TILES
    with one_blas_thread() if threads > 1 and last > least else nullcontext():
        parts = in_threads(sums, last, least, threads)
    total, products = (sum(part) for part in zip(*parts, strict=True))
    shift = centre - MIDDLE
    cross = np.outer(total / n, shift)
    return products / n - cross - cross.T + np.outer(shift, shift)


def row_products(tiles, centre, size, n_rows):
    """Products of rows with each other, sum_j (g_ij - centre_j)(g_kj - centre_j) size_j², float64 (rows, rows).

    Columns are decoded a block at a time.

    Parameters
    ----------
    tiles : Tiles
    centre, size : float64 (n_columns,)
    n_rows : int
    """
    products = np.zeros((n_rows, n_rows))
    block = max(16, BLOCK_VALUES // max(1, n_rows) // 16 * 16)
    for first in range(0, tiles.n_columns, block):
        columns = slice(first, min(first + block, tiles.n_columns))
        rows = tiles.columns(columns.start, columns.stop)
        rows = (rows - centre[columns]) * size[columns]
        products += rows @ rows.T
    return products
