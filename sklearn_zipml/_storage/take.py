"""Some of the rows of others."""

from dataclasses import replace

import numpy as np

from .._kernels import row_order as order_kernels
from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .constant import frozen
from .duplicates import of_subset
from .row_order import RowOrder
from .samples import Samples, Selection
from .targets import BY_ROW
from .tiles import aligned_tiles, turn_rows

# Rows so short that a list of them would count beside them are shuffled anew.
LEAST_ROW_BYTES = 64
# As are those of which a matrix has more than so many times as many: to go through all its slots would take longer.
MOST_SLOTS = 8


def take(packed, rows):
    """Some of the rows of PackedRows.

    Rows that stand in random slots stay in random slots if they keep the order they have. That takes one pass over
    both matrices, or none but that which requantizes them. Rows that occur several times are shuffled, lest the same
    ones meet in a batch.

    Parameters
    ----------
    packed : PackedRows
    rows : int64, the rows to take

    Returns
    -------
    PackedRows
    """
    codes, outliers, order = _codes_of(packed, rows)
    known = {} if packed.noise.shape[1] else {"variance": packed.rounding_variance}  # the same for every code
    collisions = packed.collision_probability
    if not isinstance(codes, Selection):
        collisions = frozen(np.array([of_subset(float(collisions[0]), rows)]))
    shape, along = (len(rows), packed.shape[1]), {name: packed.whole(name) for name in BY_ROW}
    return replace(
        packed,
        shape=shape,
        order=order,
        samples=Samples(codes, packed.table, shape, packed.scheme.format, outliers),
        collision_probability=collisions,
        known=known,
        **{name: None if array is None else frozen(array[rows]).view() for name, array in along.items()},
        missing_count=None,
        file=None,
    )


def _codes_of(packed, rows):
    """A Selection, or tiles and their outliers; the RowOrder in either."""
    (n, d), order, width = packed.shape, packed.order, packed.scheme.format
    seed = order_kernels.mix(order.seed, len(rows))
    shuffled = RowOrder(len(rows), seed)
    if d == 0 or len(rows) == 0:
        return aligned_tiles(len(rows), d, width), None, shuffled
    if kernels.row_bytes(d, width) < LEAST_ROW_BYTES or MOST_SLOTS * len(rows) < n:
        return *scattered(packed.tiles, order.slots(rows[shuffled.rows(n_jobs=None)], None)), shuffled
    slots = order.slots(rows, None)
    taken = np.zeros(n, dtype=bool)
    taken[slots] = True
    ascending = np.flatnonzero(taken)
    if len(ascending) < len(rows):
        return *scattered(packed.tiles, slots[shuffled.rows(n_jobs=None)]), shuffled
    listed = frozen(_listed(taken, slots))
    return Selection(packed.tiles, ascending), None, RowOrder(len(rows), seed, listed)


def _listed(taken, slots):
    """Which of the taken rows, standing in `slots`, comes when they are in the order of slots."""
    dtype = np.int32 if len(slots) < 1 << 31 else np.int64
    places = np.cumsum(taken, dtype=dtype)
    listed = np.empty(len(slots), dtype=dtype)
    listed[places[slots] - 1] = np.arange(len(slots), dtype=dtype)
    return listed


def scattered(source, slots):
    """Tiles whose slots get the rows of the given slots of the source, and their outliers or None."""
    tiles = aligned_tiles(len(slots), source.n_columns, source.format)

    def gather(first, last):
        kernels.gather_rows(source, slots, tiles, first, last)

    in_threads(gather, source.n_tiles, THREAD_TILES, None)
    turn_rows(tiles, source.n_columns, source.format, None)
    return tiles, None if source.outliers is None else source.outliers.taken(slots)
