"""Second moments of packed columns, exact but for one rounding, and products of packed rows, as dense matrices."""

from collections import deque
from itertools import pairwise
from threading import Lock

import numpy as np

from .._kernels import matmul
from .._kernels import tiles as kernels
from .._kernels.threads import in_threads, poll, run_team, threads_of

# Columns of a block: its sums and two runs of decoded rows stay near the core.
BLOCK_COLUMNS = 512
# Products of a block's columns that a thread is given at least.
LEAST_PRODUCTS = 1 << 24
MOST_PARTS = 64
# Largest by smallest weight of rows: rounded to integers of 23 bits, the smallest then moves by half of 1e-6 at most.
MOST_RATIO = 8
# What weights may add up to: 2^46 * 255^2 < 2^63.
MOST_TOTAL = 1 << 46
# What the weighted squares of a column's outliers may: sums of the others, and their means' products, fit beside it.
MOST_SQUARES = 1 << 60
# Values of rows that are unpacked at a time.
ROW_BLOCK_VALUES = 1 << 22
# Bytes that rows whose products with others are made at a time have for each column: parts of a second.
ROW_BLOCK_BYTES = 1 << 14


def position_sums(tiles, first, last, threads, weights=None):
    """Sums of products of the columns' grid positions over the rows of tiles first..last-1, exact.

    Sums of several runs of tiles, or of several containers with the same levels, add up.

    Parameters
    ----------
    tiles : Tiles of codes
    first, last : int
    threads : int
    weights : int32 (slots,) or None, weights of the rows, at most `matmul.MOST_WEIGHT` each and 2^46 together

    Returns
    -------
    sums : int64 (n_columns, n_columns)
    totals : int64 (n_columns,), sums of the positions
    """
    sums, totals = _lower_sums(tiles, first, last, threads, weights)
    matmul.mirror(sums)
    return sums, totals


def second_moments(tiles, last, centre, threads, weights=None):
    """Mean of (g - centre)(g - centre)' over the rows of tiles 0..last-1, g their grid positions, float64.

    Parameters
    ----------
    tiles : Tiles of codes
    last : int
    centre : float64 (n_columns,)
    threads : int
    weights : int32 (slots,) or None, see `position_sums` and `integer_weights`

    Returns
    -------
    float64 (n_columns, n_columns)
    """
    sums, totals = _lower_sums(tiles, 0, last, threads, weights)
    n = min(tiles.n_rows, last * kernels.TILE_ROWS)
    return matmul.centre_moments(sums, totals, n if weights is None else weights[:n].sum(dtype=np.int64), centre)


def holds_outliers(outliers, most_weight):
    """Whether 64 bits hold second moments of outliers (Outliers or None) with weights of at most so much."""
    return outliers is None or outliers.sizes()[1] * most_weight < MOST_SQUARES


def integer_weights(weights, n_rows):
    """Weights of rows as integers for `second_moments`, or None if those would be too coarse.

    None of them is off by more than 1e-6 of itself: the largest is `MOST_RATIO` times the smallest at most, but for
    zeros, and there are few enough rows.

    Parameters
    ----------
    weights : float (slots,), not negative
    n_rows : int

    Returns
    -------
    int32 (slots,) or None
    """
    weights = np.asarray(weights, dtype=np.float64)[:n_rows]
    largest, smallest = weights.max(initial=0), weights.min(initial=np.inf, where=weights > 0)
    if not 0 < largest <= MOST_RATIO * smallest or not weights.sum() / largest * matmul.MOST_WEIGHT < MOST_TOTAL:
        return None
    return np.rint(weights * (matmul.MOST_WEIGHT / largest)).astype(np.int32)


def row_gram(tiles, centre, unit, dtype=np.float64, threads=1):
    """sum_j u_j² (g_ij - c_j)(g_kj - c_j) for all pairs of rows i, k, in slot order.

    Columns have scales of their own, so there are no integers to sum: blocks of columns are unpacked, scaled and
    multiplied by BLAS, with its threads. The products of a block are added up in dtype, those of blocks in float64.

    Parameters
    ----------
    tiles : Tiles
    centre, unit : float64 (n_columns,)
    dtype : float64, or float32: about half the time, and errors of some 1e-7 of the geometric mean of two rows'
        diagonal elements
    threads : int, that unpack

    Returns
    -------
    float64 (n_rows, n_rows)
    """
    n, d = tiles.n_rows, tiles.n_columns
    out = np.zeros((n, n))
    columns = max(16, ROW_BLOCK_VALUES // max(1, n) // 16 * 16)
    at_once = ROW_BLOCK_BYTES // np.dtype(dtype).itemsize
    # one memory for all blocks: to get it anew from the system takes as long as a part of the products
    room, products = np.empty(n * min(columns, d), dtype=dtype), np.empty(min(n, at_once) * n, dtype=dtype)

    def add(rows, others, block):
        found = products[: (rows.stop - rows.start) * (others.stop - others.start)].reshape(rows.stop - rows.start, -1)
        out[rows, others] += np.matmul(block[rows], block[others].T, out=found)
        poll()

    for first in range(0, d if n else 0, columns):
        some = slice(first, min(d, first + columns))
        block = room[: n * (some.stop - first)].reshape(n, -1)
        _scale_columns(tiles, some, (centre, unit), block, threads)
        # the lower triangle, some rows of it at a time: NumPy's product lets other threads and signals come between,
        # and makes half of one that is symmetric
        for start in range(0, n, at_once):
            rows = slice(start, min(n, start + at_once))
            add(rows, rows, block)
            if start:
                add(rows, slice(0, start), block)
    matmul.mirror(out.view(np.int64))
    return out


def _scale_columns(tiles, columns, centre_and_unit, rows, threads):
    """Write (g - centre) * unit of some columns to rows, (n_rows, columns)."""
    centre, unit = (of_columns[columns].astype(rows.dtype) for of_columns in centre_and_unit)

    def scale(first, last):
        part = rows[first * kernels.TILE_ROWS : last * kernels.TILE_ROWS]
        if tiles.width != kernels.FLOAT_WIDTH:
            matmul.scaled_rows(tiles, first, last, columns.start, centre, unit, part)
            return
        for k, tile in enumerate(tiles.floats[first:last, columns]):
            of_tile = part[k * kernels.TILE_ROWS : (k + 1) * kernels.TILE_ROWS]
            np.subtract(tile.T[: len(of_tile)], centre, out=of_tile, casting="same_kind")
            of_tile *= unit

    in_threads(scale, -(-tiles.n_rows // kernels.TILE_ROWS), 1, threads)


def _lower_sums(tiles, first, last, threads, weights=None):
    """The lower triangle of position_sums."""
    sums = np.zeros((tiles.n_columns, tiles.n_columns), dtype=np.int64)
    totals = np.zeros(tiles.n_columns, dtype=np.int64)
    if tiles.n_columns == 0 or last <= first:
        return sums, totals
    weights = np.zeros(0, dtype=np.int32) if weights is None else weights
    tasks, lock = deque(_tasks(_blocks(tiles.padded), first, last, threads)), Lock()

    def work(_member):
        while tasks:
            try:
                columns, others, span = tasks.popleft()
            except IndexError:  # another thread was faster
                return
            matmul.add_gram(tiles, span, columns, others, weights, sums, totals, lock)

    run_team(min(max(1, threads_of(threads)), len(tasks)), work, tasks.clear)
    return sums, totals


def _blocks(padded):
    """(first, count) of blocks of columns, about equally many, in multiples of two panels."""
    panels = -(-padded // 32)
    n_blocks = -(-padded // BLOCK_COLUMNS)
    bounds = [min(padded, 32 * (panels * k // n_blocks)) for k in range(n_blocks)] + [padded]
    return [(start, stop - start) for start, stop in pairwise(bounds)]


def _tasks(blocks, first, last, threads):
    """Pairs of blocks and runs of tiles, (columns, others, (first, last)), the larger ones first."""
    pairs = [(columns, others) for k, columns in enumerate(blocks) for others in blocks[: k + 1]]
    pairs.sort(key=lambda pair: pair[0] == pair[1])
    products = (last - first) * kernels.TILE_ROWS * blocks[0][1] ** 2
    parts = 1 if len(pairs) >= 4 * threads else max(1, min(threads, products // LEAST_PRODUCTS, MOST_PARTS))
    bounds = [first + (last - first) * k // parts for k in range(parts + 1)]
    return [(*pair, span) for pair in pairs for span in pairwise(bounds) if span[0] < span[1]]
