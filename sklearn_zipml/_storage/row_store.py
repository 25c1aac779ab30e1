"""Packed rows as they arrive, in one growing piece of memory, and the way from there to shuffled tiles."""

import ctypes

import numpy as np

from .._kernels import row_order as order_kernels
from .._kernels import tiles as kernels
from .tiles import turn_rows


class RowStore:
    """Rows of codes in the order of arrival; becomes tiles in place, so that nothing is held twice.

    Parameters
    ----------
    n_columns, width : int
    capacity : int, rows to make room for at first
    """

    def __init__(self, n_columns, width, capacity=0):
        self.n_columns, self.width, self.n_rows = n_columns, width, 0
        # whole tiles at once: memory for which NumPy asked for huge pages grows by a copy, and loses them
        capacity = _padded(capacity)
        self._row_bytes = kernels.row_bytes(n_columns, width)
        self._raw = np.zeros(self._bytes(capacity), dtype=np.uint8)
        self._start = -self._raw.ctypes.data % kernels.LINE
        self._capacity = capacity

    def append(self, count):
        """Zeroed room for `count` more rows, uint8 (count, bytes of a row), valid until the next call."""
        first, self.n_rows = self.n_rows, self.n_rows + count
        if self.n_rows > self._capacity:
            # growing by an eighth: the memory is moved by remapping pages where the system can
            self._resize(self.n_rows + self.n_rows // 8, keep=first)
        return self.rows(self.n_rows)[first:]

    def into_tiles(self, seed, fixed=0, n_jobs=None):
        """Make tiles of the rows; with a seed, those behind the first `fixed` are shuffled by its permutation.

        The store must not be used again.
        """
        n, padded = self.n_rows, _padded(self.n_rows)
        self._resize(padded, keep=n)
        rows = self.rows(padded)
        rows[n:] = 0
        if seed is not None:
            order_kernels.shuffle_rows(rows[fixed:n], seed)
        tiles = rows.reshape(padded // kernels.TILE_ROWS, -1)
        turn_rows(tiles, self.n_columns, self.width, n_jobs)
        return tiles

    def _bytes(self, n_rows):
        return n_rows * self._row_bytes + kernels.LINE

    def rows(self, count):
        """The first `count` rows, uint8 (count, bytes of a row)."""
        size = count * self._row_bytes
        return self._raw[self._start : self._start + size].reshape(count, self._row_bytes)

    def _resize(self, n_rows, keep):
        self._raw.resize(self._bytes(n_rows), refcheck=False)
        start, self._capacity = -self._raw.ctypes.data % kernels.LINE, n_rows
        if start != self._start:
            base = self._raw.ctypes.data
            ctypes.memmove(base + start, base + self._start, keep * self._row_bytes)
            self._raw[start + keep * self._row_bytes :] = 0
            self._start = start


def _padded(n_rows):
    """Rows of the tiles that hold so many."""
    return -(-n_rows // kernels.TILE_ROWS) * kernels.TILE_ROWS
