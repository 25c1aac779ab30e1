"""Rows of any two-dimensional input as small float32 or float64 blocks: never a float copy of it all."""

import numpy as np

from .._kernels.integers import widen_halves
from .._kernels.threads import in_threads
from .._kernels.tiles import TILE_ROWS
from .._kernels.workers import poll

BLOCK_BYTES = 1 << 22


def is_real(dtype):
    """Whether a dtype is of real numbers that fit float64."""
    return is_foreign(dtype) or dtype.kind in "biuf"


def is_foreign(dtype):
    """Whether it is of real numbers that NumPy does not know by itself, such as bfloat16 of ml_dtypes."""
    return dtype.isbuiltin == 2 and np.can_cast(dtype, np.float64, casting="safe")


def is_narrow(dtype):
    """Whether it is of booleans or integers of 8 or 16 bits, which may be codes already."""
    return dtype.kind in "biu" and dtype.itemsize <= 2


def common_dtype(one, other):
    """A dtype that holds the values of both."""
    if one == other:
        return one
    return np.result_type(*(block_dtype(dtype) if is_foreign(dtype) else dtype for dtype in (one, other)))


def block_dtype(dtype):
    """Float type that holds every value of `dtype` for encoding: float32 where it is exact, else float64."""
    return np.float32 if np.can_cast(dtype, np.float32, casting="safe") else np.float64


def block_rows(n_columns, dtype):
    """Rows of a block, a multiple of the 64 rows of a tile."""
    rows = BLOCK_BYTES // max(1, n_columns * np.dtype(dtype).itemsize)
    return max(1, rows // TILE_ROWS) * TILE_ROWS


def over_rows(work, X, rows, dtype, n_jobs):
    """Results of work(first, last) over the rows of X (or the rows named), shared out in blocks of `dtype`."""
    n_rows, size = X.shape[0] if rows is None else len(rows), block_rows(X.shape[1], dtype)
    return in_threads(work, n_rows, size, n_jobs)


def take_rows(X, rows, dtype):
    """The rows `rows` (a slice or an index array) of X as a C-contiguous block of `dtype`."""
    return np.ascontiguousarray(_converted(X[rows], dtype))


def row_block(X, rows, dtype):
    """The same with contiguous rows or contiguous columns: a view of X where it has them and `dtype` already."""
    if isinstance(rows, slice):
        block = X[rows]
    elif X.flags.f_contiguous and not X.flags.c_contiguous:
        block = X.T.take(rows, axis=1).T  # a column at a time
    else:
        block = X[rows]
    if block.dtype != dtype or not block.flags.aligned:
        block = _converted(block, dtype)
    size = block.itemsize
    return block if size in block.strides and min(block.strides) > 0 else np.ascontiguousarray(block)


def _converted(block, dtype):
    """A block of another dtype; floats of 16 bits, which NumPy converts one by one, in vectors."""
    if dtype != np.float32 or block.dtype.itemsize != 2 or not (block.dtype == np.float16 or is_bfloat16(block.dtype)):
        return block.astype(dtype, order="K")
    block = block.copy(order="K")
    out = np.empty_like(block, dtype=dtype)
    halves, bits = block.ravel(order="K").view(np.uint16), out.ravel(order="K").view(np.uint32)
    if block.dtype == np.float16:
        widen_halves(halves, bits)
    else:  # the upper half of a float32
        np.left_shift(halves, 16, out=bits, dtype=np.uint32)
    return out


def is_bfloat16(dtype):
    """Whether a dtype is the bfloat16 of ml_dtypes."""
    return dtype.name == "bfloat16"


def filled(block, means):
    """A block with its missing values replaced by the means of their columns, and how many each column has."""
    missing = np.isnan(block)
    if not missing.any():
        return block, 0
    return np.where(missing, means.astype(block.dtype), block), missing.sum(axis=0)


def sequential_blocks(X, dtype, rows=None, first=0, last=None):
    """Blocks of rows first..last-1 of X (or of the rows named) in turn, as `row_block` makes them."""
    last = (X.shape[0] if rows is None else len(rows)) if last is None else last
    size = block_rows(X.shape[1], dtype)
    for start in range(first, last, size):
        stop = min(last, start + size)
        poll()
        yield row_block(X, slice(start, stop) if rows is None else rows[start:stop], dtype)
