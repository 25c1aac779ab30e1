"""A uniform sample of rows that does not depend on how they come: those of smallest keyed priority."""

from copy import copy

import numpy as np

from .._kernels import row_order as order_kernels
from .._storage.blocks import block_dtype

SAMPLE_ROWS = 8192
SAMPLE_VALUES = 1 << 24
HIGHEST = np.iinfo(np.uint64).max


def sample_size(n_columns):
    """Rows of the sample that places levels: fewer for wide data, so that it takes 64 MiB of float32 at most."""
    return max(1024, min(SAMPLE_ROWS, SAMPLE_VALUES // max(1, n_columns)))


def sampled_rows(n, size, seed):
    """The rows among n that a RowSample of that size and seed holds, ascending int64."""
    if n <= size:
        return np.arange(n)
    rows, keys = order_kernels.rows_below(seed, 0, n, enough(n, size))
    if len(rows) < size:
        rows, keys = order_kernels.rows_below(seed, 0, n, HIGHEST)
    return np.sort(rows[np.argpartition(keys, size - 1)[:size]])


def enough(n, size):
    """A priority that more than `size` of n rows are below, but for chances of 1e-15."""
    share = (size + 8 * np.sqrt(size) + 8) / max(1, n)
    return np.uint64(share * 2.0**64) if share < 1 else HIGHEST


class RowSample:
    """The rows of smallest priority among all that were offered.

    Parameters
    ----------
    size : int, most rows kept
    seed : int, 64 bits
    expected : int or None, how many rows will be offered, where that is known: then few are copied in vain
    first : int, number of the first row that will be offered: samples of parts of the rows are `joined`

    Attributes
    ----------
    n_seen : int, rows offered so far, or before the first
    """

    _limit = HIGHEST  # of pickles that have none
    _shared = False

    def __init__(self, size, seed, expected=None, first=0):
        self.size, self.seed, self.n_seen = size, seed, first
        self._limit = HIGHEST if expected is None else enough(expected, size)
        self._rows = np.empty(0, dtype=np.int64)
        self._keys = np.empty(0, dtype=np.uint64)
        self._values = None
        self._count = 0

    def copy(self):
        """A sample that can be offered rows while this one stays as it is; then only one of them can go on."""
        other = copy(self)
        other._shared = True
        return other

    def joined(self, other):
        """The sample of the rows of both, those of two samples of the same size and seed."""
        out = copy(self)
        out._rows, out._keys, out._values = (
            np.concatenate([mine[: self._count], others[: other._count]])
            for mine, others in (
                (self._rows, other._rows),
                (self._keys, other._keys),
                (self._values, other._values),
            )
        )
        out._count, out._shared = self._count + other._count, False
        out.n_seen = max(self.n_seen, other.n_seen)
        out._compact()
        return out

    def offer(self, X):
        """Take the next rows, an array (rows, columns), into account."""
        first, last = self.n_seen, self.n_seen + len(X)
        self.n_seen = last
        highest = self._keys[: self._count].max() if self._count >= self.size else self._limit
        chosen, keys = order_kernels.rows_below(self.seed, first, last, highest)
        # what can be chosen of many rows at once is cut first
        if len(chosen) > self.size:
            kept = np.sort(np.argpartition(keys, self.size - 1)[: self.size])
            chosen, keys = chosen[kept], keys[kept]
        start = self._reserve(len(chosen), X.shape[1], block_dtype(X.dtype))
        where = slice(start, start + len(chosen))
        self._rows[where], self._keys[where] = chosen, keys
        if X.dtype == self._values.dtype:
            np.take(X, chosen - first, axis=0, out=self._values[where], mode="clip")  # "raise" would copy twice
        else:
            self._values[where] = X[chosen - first]
        self._count = start + len(chosen)

    @property
    def whole(self):
        """Whether it holds what it should: not if far fewer rows came than expected."""
        return self._count >= min(self.size, self.n_seen)

    def values(self):
        """The sample in the order of rows, float32 or float64 (rows, columns)."""
        self._compact()
        return self._values[np.argsort(self._rows[: self._count])]

    def _reserve(self, count, n_columns, dtype):
        """Room for `count` more rows; where it starts."""
        if self._values is None:
            self._values = np.empty((0, n_columns), dtype=dtype)
        if self._values.dtype != dtype:
            self._values = self._values.astype(np.float64)
        if self._count + count > self.size + self.size // 4:
            self._compact()
        capacity = self._count + count
        if capacity > len(self._rows):
            most = self.size + self.size // 4
            # where few are copied in vain there is an end in sight
            capacity = max(capacity, most if self._limit < HIGHEST else min(2 * capacity, most))
            self._rows, self._keys = np.resize(self._rows, capacity), np.resize(self._keys, capacity)
            grown = np.zeros((capacity, n_columns), dtype=self._values.dtype)  # what is left over may be cast
            grown[: self._count] = self._values[: self._count]
            self._values = grown
        return self._count

    def _compact(self):
        """Keep the rows of smallest priority only, the survivors behind filling the gaps before."""
        if self._count <= self.size:
            return
        if self._shared:  # what has been written since the copy lies behind what the other one holds
            self._rows, self._keys, self._values = self._rows.copy(), self._keys.copy(), self._values.copy()
            self._shared = False
        kept = np.zeros(self._count, dtype=bool)
        kept[np.argpartition(self._keys[: self._count], self.size - 1)[: self.size]] = True
        gaps, behind = np.flatnonzero(~kept[: self.size]), self.size + np.flatnonzero(kept[self.size :])
        for array in (self._rows, self._keys, self._values):
            array[gaps] = array[behind]
        self._count = self.size
