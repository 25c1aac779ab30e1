"""Rows of a tiled matrix, as tiles of their own."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .row_order import RowOrder
from .tiles import aligned_tiles, turn_rows

# Rows so short that a list of them would count beside them are shuffled anew.
LEAST_ROW_BYTES = 64
# As are those of which a matrix has more than so many times as many: to go through all its slots would take longer.
MOST_SLOTS = 8


class Selection:
    """Distinct rows of some tiles that keep their order, to be copied when they are asked for.

    Attributes
    ----------
    source : Tiles
    slots : int64, their slots in the source, ascending
    """

    __slots__ = ("slots", "source")

    def __init__(self, source, slots):
        self.source, self.slots = source, slots

    def copy(self, n_jobs=None):
        """The rows as tiles, uint8 (n_tiles, bytes of a tile)."""
        tiles = aligned_tiles(len(self.slots), self.source.n_columns, self.source.width)

        def fill(first, last):
            kernels.take_rows(self.source, self.slots, tiles, first, last)

        in_threads(fill, len(tiles), THREAD_TILES, n_jobs)
        return tiles

    def of_tiles(self, tiles):
        """The rows that some of these tiles would hold, given as an ascending array; all but the last one full."""
        slots = (tiles[:, None] * kernels.TILE_ROWS + np.arange(kernels.TILE_ROWS)).reshape(-1)
        return Selection(self.source, self.slots[slots[slots < len(self.slots)]])

    def between(self, first, last):
        """The rows of tiles first..last-1."""
        return Selection(self.source, self.slots[first * kernels.TILE_ROWS : last * kernels.TILE_ROWS])


def take(matrix, rows):
    """Some rows of a PackedMatrix.

    Rows that stand in random slots stay in random slots if they keep the order they have. That takes one pass over
    both matrices, or none but that which narrows them. Rows that occur several times are shuffled, lest the same ones
    meet in a batch.

    Parameters
    ----------
    matrix : PackedMatrix
    rows : int64, the rows to take

    Returns
    -------
    a Selection, or tiles; the RowOrder in either
    """
    (n, d), order, width = matrix.shape, matrix._order, matrix._width
    seed = kernels.mix(order.seed, len(rows))
    shuffled = RowOrder(len(rows), seed)
    if d == 0 or len(rows) == 0:
        return aligned_tiles(len(rows), d, width), shuffled
    if kernels.row_bytes(d, width) < LEAST_ROW_BYTES or MOST_SLOTS * len(rows) < n:
        return _scattered(matrix._tiles, order.slots(rows[shuffled.rows(n_jobs=None)], None)), shuffled
    slots = order.slots(rows, None)
    taken = np.zeros(n, dtype=bool)
    taken[slots] = True
    ascending = np.flatnonzero(taken)
    if len(ascending) < len(rows):
        return _scattered(matrix._tiles, slots[shuffled.rows(n_jobs=None)]), shuffled
    return Selection(matrix._tiles, ascending), RowOrder(len(rows), seed, _listed(taken, slots))


def _listed(taken, slots):
    """Which of the taken rows, standing in `slots`, comes when they are in the order of slots."""
    dtype = np.int32 if len(slots) < 1 << 31 else np.int64
    places = np.cumsum(taken, dtype=dtype)
    listed = np.empty(len(slots), dtype=dtype)
    listed[places[slots] - 1] = np.arange(len(slots), dtype=dtype)
    return listed


def _scattered(source, slots):
    """Tiles whose slots get the rows of the given slots of the source."""
    tiles = aligned_tiles(len(slots), source.n_columns, source.width)

    def gather(first, last):
        kernels.gather_rows(source, slots, tiles, first, last)

    in_threads(gather, source.n_tiles, THREAD_TILES, None)
    turn_rows(tiles, source.n_columns, source.width, None)
    return tiles
