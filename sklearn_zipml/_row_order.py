"""Which row stands where: the rows of a tiled matrix are shuffled once, so that tiles are fair samples."""

import numpy as np

from . import _kernels

CHUNK = 1 << 16


class RowOrder:
    """A keyed pseudo-random permutation of n rows, computed when asked for: an index array would cost 4 bytes a row.

    Parameters
    ----------
    n : int
    seed : int, 64 bits
    """

    __slots__ = ("n", "seed")

    def __init__(self, n, seed):
        self.n, self.seed = int(n), int(seed)

    def rows(self, first=0, last=None):
        """Rows in slots first..last-1, int64."""
        last = self.n if last is None else min(last, self.n)
        return _kernels.permutation(self.n, self.seed, first, max(0, last - first))

    def slots(self, rows):
        """Slots of the given rows, int64."""
        return _kernels.inverse_permutation(self.n, self.seed, np.ascontiguousarray(rows, dtype=np.int64))

    def to_slots(self, values, n_slots, dtype):
        """Values of rows, (..., n), rearranged into slots, (..., n_slots), zero behind the last row."""
        out = np.zeros((*values.shape[:-1], n_slots), dtype=dtype)
        for first in range(0, self.n, CHUNK):
            rows = self.rows(first, first + CHUNK)
            out[..., first : first + len(rows)] = values[..., rows]
        return out

    def to_rows(self, values):
        """Values in slots, (..., n_slots), rearranged into rows, (..., n)."""
        out = np.empty((*values.shape[:-1], self.n), dtype=values.dtype)
        for first in range(0, self.n, CHUNK):
            rows = self.rows(first, first + CHUNK)
            out[..., rows] = values[..., first : first + len(rows)]
        return out
