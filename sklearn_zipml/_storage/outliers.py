"""Values beyond the range of their column's levels, kept apart: a sparse part of packed rows.

The code of such a value is that of the nearest level, and its grid position is what the code stands for plus a
difference, a whole number of steps. See csrc/format/outliers.h for how entries are sorted.
"""

import numpy as np

from .._kernels import tiles as kernels
from .constant import frozen

BLOCK = kernels.OUTLIER_COLUMNS
PLANE_ROWS = 16
MOST_DIFFERENCE = 32767  # int16
MOST_ENTRIES = (1 << 32) - 1


class Outliers:
    """The outliers of some tiles.

    Attributes
    ----------
    starts : uint32 (tiles * blocks + 1,), where the entries of each block of columns of each tile begin
    entries : uint32, place << 16 | difference, ascending in a block. A place is plane << 13 | column of the block << 4
        | row of the plane, a difference an int16, in steps of the column's grid.
    n_columns : int
    """

    __slots__ = ("entries", "n_columns", "starts")

    def __init__(self, starts, entries, n_columns):
        self.starts, self.entries, self.n_columns = frozen(starts), frozen(entries), n_columns

    @classmethod
    def of_keys(cls, keys, n_tiles, n_columns):
        """Those of entries (tile * blocks + block) << 32 | place << 16 | difference, uint64 in any order; or None."""
        if not len(keys):
            return None
        if len(keys) > MOST_ENTRIES:
            raise ValueError(
                f"{len(keys)} outliers are more than one PackedMatrix holds: pack fewer rows, or with outliers='none'."
            )
        keys = np.sort(keys)
        starts = np.zeros(n_tiles * n_blocks(n_columns) + 1, dtype=np.uint32)
        counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(starts) - 1)
        np.cumsum(counts, out=starts[1:])
        return cls(starts, keys.astype(np.uint32), n_columns)  # their lower halves

    @classmethod
    def of_entries(cls, slots, columns, differences, n_tiles, n_columns):
        """Those of arrays of slots, columns and differences; or None if there are none."""
        return cls.of_keys(keys_of(slots, columns, differences, n_columns), n_tiles, n_columns)

    def __len__(self):
        return len(self.entries)

    @property
    def nbytes(self):
        """Memory, in bytes."""
        return self.starts.nbytes + self.entries.nbytes

    def decoded(self, first=0, last=None):
        """Slots and columns, int64, and differences of those in tiles first..last-1, as they are sorted."""
        blocks = n_blocks(self.n_columns)
        last = (len(self.starts) - 1) // blocks if last is None else last
        starts = self.starts[first * blocks : last * blocks + 1].astype(np.int64)
        some = slice(starts[0], starts[-1])
        block = np.repeat(np.arange(first * blocks, last * blocks), np.diff(starts))
        slots, columns = _located(block, self.entries[some], blocks)
        return slots, columns, differences_of(self.entries[some])

    def taken(self, slots):
        """Those of rows in these slots, which become slots 0, 1, ..., and may repeat; or None."""
        n_tiles = -(-len(slots) // kernels.TILE_ROWS)
        if not len(slots):
            return None
        first = int(slots.min()) // kernels.TILE_ROWS
        last = int(slots.max()) // kernels.TILE_ROWS + 1
        own, columns, differences = self.decoded(first, last)
        start, size = first * kernels.TILE_ROWS, (last - first) * kernels.TILE_ROWS
        chosen, made = _picked(own - start, size, slots - start)
        return Outliers.of_entries(made, columns[chosen], differences[chosen], n_tiles, self.n_columns)

    def edges(self, top):
        """The positions that their codes stand for: the last one of the column, `top`, or the first, 0."""
        _, columns, differences = self.decoded()
        return np.where(differences > 0, top[columns].astype(np.int64), 0)

    def moments(self, top):
        """What they add to the sums of every column's positions and squares, float64; top: the last levels."""
        _, columns, differences = self.decoded()
        bases, differences = self.edges(top), differences.astype(np.float64)
        squares = differences * (2.0 * bases + differences)
        return tuple(np.bincount(columns, values, self.n_columns) for values in (differences, squares))

    def sizes(self):
        """The largest sums over a column's outliers of the differences' magnitudes, and of squares of 255 more."""
        _, columns, differences = self.decoded()
        size = np.abs(differences.astype(np.float64))
        return tuple(np.bincount(columns, values).max(initial=0) for values in (size, (size + 255) ** 2))


def differences_of(entries):
    """Their lower halves, int16."""
    return entries.astype(np.uint16).view(np.int16)


def _in_order(numbers):
    """A stable order of small numbers."""
    numbered = numbers.astype(np.uint64) << np.uint64(32) | np.arange(len(numbers), dtype=np.uint64)
    return (np.sort(numbered) & np.uint64(MOST_ENTRIES)).astype(np.int64)


def _picked(numbers, end, wanted):
    """Entries, by their numbers below `end` (of slots or columns), of wanted numbers, which may repeat.

    Which they are, and of which of the wanted ones, int64.
    """
    begins = np.zeros(end + 1, dtype=np.int64)
    np.cumsum(np.bincount(numbers, minlength=end), out=begins[1:])
    counts = begins[wanted + 1] - begins[wanted]
    before = np.cumsum(counts) - counts
    picked = np.repeat(begins[wanted] - before, counts) + np.arange(counts.sum())
    return _in_order(numbers)[picked], np.repeat(np.arange(len(wanted)), counts)


def _located(tile_blocks, entries, blocks):
    """Slots and columns of entries, uint32, of blocks of columns of tiles, numbered one tile after the other."""
    places = entries.astype(np.int64) >> 16
    rows = (places >> 13) * PLANE_ROWS + (places & (PLANE_ROWS - 1))
    return tile_blocks // blocks * kernels.TILE_ROWS + rows, tile_blocks % blocks * BLOCK + (places >> 4 & (BLOCK - 1))


def n_blocks(n_columns):
    """Blocks of columns that entries are sorted by."""
    return -(-kernels.padded_columns(n_columns) // BLOCK)


def keys_of(slots, columns, differences, n_columns):
    """Entries of `Outliers.of_keys`."""
    tiles, rows = np.divmod(slots, kernels.TILE_ROWS)
    blocks, own = np.divmod(columns, BLOCK)
    places = rows // PLANE_ROWS << 13 | own << 4 | rows % PLANE_ROWS
    upper = (tiles * n_blocks(n_columns) + blocks).astype(np.uint64) << np.uint64(32)
    return upper | (places.astype(np.uint64) << np.uint64(16)) | differences.astype(np.uint16).astype(np.uint64)


def with_slots(keys, n_columns, slots):
    """Entries whose rows go to other slots: slots(those that they have)."""
    entries = keys.astype(np.uint32)
    own, columns = _located((keys >> np.uint64(32)).astype(np.int64), entries, n_blocks(n_columns))
    return keys_of(slots(own), columns, differences_of(entries), n_columns)


def side_by_side(parts, n_tiles, n_columns):
    """Outliers of tiles whose columns are those of others; or None.

    parts : list of (Outliers or None, columns that were taken of it, first column that they become)
    """
    found = []
    for outliers, taken, first in parts:
        if outliers is None:
            continue
        slots, columns, differences = outliers.decoded()
        chosen, made = _picked(columns, outliers.n_columns, taken)
        found.append(keys_of(slots[chosen], first + made, differences[chosen], n_columns))
    return Outliers.of_keys(np.concatenate(found), n_tiles, n_columns) if found else None


def keys_found(found, n_columns, slots=None):
    """What an encoder found, a list of arrays of entries of `Outliers.of_keys`, as one.

    slots : callable(numbers of rows) -> slots, where the entries have numbers in their place; or None
    """
    keys = np.concatenate([np.empty(0, dtype=np.uint64), *found])
    return keys if slots is None else with_slots(keys, n_columns, slots)


def parts_of_found(found, n_tiles, n_columns, slots=None):
    """The same as parts of PackedRows."""
    return parts_of(Outliers.of_keys(keys_found(found, n_columns, slots), n_tiles, n_columns))


ARRAYS = ("outlier_starts", "outlier_entries")  # by their names in files and pickles


def parts_of(outliers):
    """The arrays of Outliers or None as parts of PackedRows."""
    return {name: None if outliers is None else getattr(outliers, name.removeprefix("outlier_")) for name in ARRAYS}


def of_parts(parts, n_columns):
    """The Outliers of such parts, or None."""
    arrays = [parts.get(name) for name in ARRAYS]
    return None if arrays[0] is None else Outliers(*arrays, n_columns)
