"""Rows of a tiled matrix, as tiles of their own."""

import numpy as np

from . import _kernels
from ._row_order import RowOrder
from ._threads import THREAD_TILES, in_threads

# Rows so short that a list of them would count beside them are shuffled anew.
LEAST_ROW_BYTES = 64
# As are those of which a matrix has more than so many times as many: to go through all its slots would take longer.
MOST_SLOTS = 8


def take(source, order, rows, tiles):
    """Fill tiles with some rows of others.

    Rows that stand in random slots stay in random slots if they keep the order they have. That takes one pass over
    both matrices. Rows that occur several times are shuffled, lest the same ones meet in a batch.

    Parameters
    ----------
    source : Tiles
    order : RowOrder of the source
    rows : int64, the rows to take
    tiles : uint8 (n_tiles, bytes of a tile), zeroed

    Returns
    -------
    RowOrder of the tiles, and whether all rows are known to be distinct
    """
    seed = _kernels.mix(order.seed, len(rows))
    shuffled = RowOrder(len(rows), seed)
    if not tiles.size:
        return shuffled, False
    if _kernels.row_bytes(source.n_columns, source.width) < LEAST_ROW_BYTES or MOST_SLOTS * len(rows) < order.n:
        _scatter(source, order.slots(rows[shuffled.rows(n_jobs=None)], None), tiles)
        return shuffled, False
    slots = order.slots(rows, None)
    taken = np.zeros(order.n, dtype=bool)
    taken[slots] = True
    ascending = np.flatnonzero(taken)
    if len(ascending) < len(rows):
        _scatter(source, slots[shuffled.rows(n_jobs=None)], tiles)
        return shuffled, False

    def fill(first, last):
        _kernels.take_rows(source, ascending, tiles, first, last)

    in_threads(fill, len(tiles), THREAD_TILES, None)
    return RowOrder(len(rows), seed, _listed(taken, slots)), True


def _listed(taken, slots):
    """Which of the taken rows, standing in `slots`, comes when they are in the order of slots."""
    dtype = np.int32 if len(slots) < 1 << 31 else np.int64
    places = np.cumsum(taken, dtype=dtype)
    listed = np.empty(len(slots), dtype=dtype)
    listed[places[slots] - 1] = np.arange(len(slots), dtype=dtype)
    return listed


def _scatter(source, slots, tiles):
    """Give each slot of the tiles the row of one of the source's slots."""

    def gather(first, last):
        _kernels.gather_rows(source, slots, tiles, first, last)

    def finish(first, last):
        _kernels.rows_to_tiles(tiles[first:last], source.n_columns, source.width)

    in_threads(gather, source.n_tiles, THREAD_TILES, None)
    in_threads(finish, len(tiles), THREAD_TILES, None)
