"""Second moments of packed columns as a dense matrix, exact but for one rounding."""

from collections import deque
from itertools import pairwise
from threading import Lock

import numpy as np

from . import _kernels, _matmul
from ._threads import run_team, threads_of

# Columns of a block: its sums and two runs of decoded rows stay near the core.
BLOCK_COLUMNS = 512
# Products of a block's columns that a thread is given at least.
LEAST_PRODUCTS = 1 << 24
MOST_PARTS = 64


def position_sums(tiles, first, last, threads):
    """Sums of products of the columns' grid positions over the rows of tiles first..last-1, exact.

    Sums of several runs of tiles, or of several containers with the same levels, add up.

    Parameters
    ----------
    tiles : Tiles of codes
    first, last : int
    threads : int

    Returns
    -------
    sums : int64 (n_columns, n_columns)
    totals : int64 (n_columns,), sums of the positions
    """
    sums, totals = _lower_sums(tiles, first, last, threads)
    _matmul.mirror(sums)
    return sums, totals


def second_moments(tiles, last, centre, threads):
    """Mean of (g - centre)(g - centre)' over the rows of tiles 0..last-1, g their grid positions, float64.

    Parameters
    ----------
    tiles : Tiles of codes
    last : int
    centre : float64 (n_columns,)
    threads : int

    Returns
    -------
    float64 (n_columns, n_columns)
    """
    sums, totals = _lower_sums(tiles, 0, last, threads)
    return _matmul.centre_moments(sums, totals, min(tiles.n_rows, last * _kernels.TILE_ROWS), centre)


def _lower_sums(tiles, first, last, threads):
    """The lower triangle of position_sums."""
    sums = np.zeros((tiles.n_columns, tiles.n_columns), dtype=np.int64)
    totals = np.zeros(tiles.n_columns, dtype=np.int64)
    if tiles.n_columns == 0 or last <= first:
        return sums, totals
    blocks = _blocks(tiles.padded)
    tasks, lock = deque(_tasks(blocks, first, last, threads)), Lock()

    def work(_member):
        while tasks:
            try:
                columns, others, start, stop = tasks.popleft()
            except IndexError:  # another thread was faster
                return
            block, own = _matmul.gram_block(tiles, start, stop, columns, others)
            place = sums[columns[0] : sum(columns), others[0] : sum(others)]
            with lock:
                place += block[: place.shape[0], : place.shape[1]]
                if columns == others:
                    totals[columns[0] : sum(columns)] += own[: place.shape[0]]

    run_team(min(max(1, threads_of(threads)), len(tasks)), work, tasks.clear)
    return sums, totals


def _blocks(padded):
    """(first, count) of blocks of columns, about equally many, in multiples of two panels."""
    panels = -(-padded // 32)
    n_blocks = -(-padded // BLOCK_COLUMNS)
    bounds = [min(padded, 32 * (panels * k // n_blocks)) for k in range(n_blocks)] + [padded]
    return [(start, stop - start) for start, stop in pairwise(bounds)]


def _tasks(blocks, first, last, threads):
    """Pairs of blocks and runs of tiles, (columns, others, first, last), the larger ones first."""
    pairs = [(columns, others) for k, columns in enumerate(blocks) for others in blocks[: k + 1]]
    pairs.sort(key=lambda pair: pair[0] == pair[1])
    products = (last - first) * _kernels.TILE_ROWS * blocks[0][1] ** 2
    parts = 1 if len(pairs) >= 4 * threads else max(1, min(threads, products // LEAST_PRODUCTS, MOST_PARTS))
    bounds = [first + (last - first) * k // parts for k in range(parts + 1)]
    return [(*pair, *span) for pair in pairs for span in pairwise(bounds) if span[0] < span[1]]
