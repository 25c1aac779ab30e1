"""Rows of any two-dimensional input as small C-contiguous float32 or float64 blocks: never a float copy of it all."""

import numpy as np

from ._kernels import TILE_ROWS

BLOCK_BYTES = 1 << 22


def block_dtype(dtype):
    """Float type that holds every value of `dtype` for encoding: float32 where it is exact, else float64."""
    return np.float32 if np.can_cast(dtype, np.float32, casting="safe") else np.float64


def block_rows(n_columns, dtype):
    """Rows of a block, a multiple of the 64 rows of a tile."""
    rows = BLOCK_BYTES // max(1, n_columns * np.dtype(dtype).itemsize)
    return max(1, rows // TILE_ROWS) * TILE_ROWS


def take_rows(X, rows, dtype):
    """The rows `rows` (a slice or an index array) of X as a C-contiguous block of `dtype`."""
    return np.ascontiguousarray(X[rows], dtype=dtype)


def sequential_blocks(X, dtype, rows=None):
    """Blocks of X (or of the rows named) from first to last."""
    n = X.shape[0] if rows is None else len(rows)
    size = block_rows(X.shape[1], dtype)
    for start in range(0, n, size):
        stop = min(n, start + size)
        yield take_rows(X, slice(start, stop) if rows is None else rows[start:stop], dtype)
