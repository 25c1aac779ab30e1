"""Integers whose range fits the levels: every integer is a level, nothing is rounded, and no floats are made."""

import numpy as np

from .._kernels import gathered as gathered_kernels
from .._kernels import integers as kernels
from .._kernels.threads import poll
from .._storage.blocks import BLOCK_BYTES, block_rows, is_narrow, over_rows
from .gathered import fill_tiles

MOST_EXACT = 1 << 53  # of a float64
RANGE_ROWS = BLOCK_BYTES >> 4  # bytes of a block, which is gone through twice in the cache


def ranges(X, rows=None, n_jobs=None):
    """Ranges of parts of the rows of an array of integers, (low, high) pairs of float64.

    A part has been read when all its columns reach from one end of their type to the other.
    """
    ends = (0, 1) if X.dtype.kind == "b" else (np.iinfo(X.dtype).min, np.iinfo(X.dtype).max)
    size = max(1, RANGE_ROWS // max(1, X.shape[1] * X.itemsize))
    range_of = _range_of_narrow if is_narrow(X.dtype) else _range_of_wide

    def of_rows(first, last):
        low, high = np.full(X.shape[1], np.inf), np.full(X.shape[1], -np.inf)
        for start in range(first, last, size):
            some = slice(start, min(last, start + size))
            poll()
            least, most = range_of(X[some] if rows is None else X[rows[some]])
            low, high = np.minimum(low, least), np.maximum(high, most)
            if (low == ends[0]).all() and (high == ends[1]).all():
                break
        return low, high

    return over_rows(of_rows, X, rows, X.dtype, n_jobs)


def _range_of_wide(block):
    return block.min(axis=0), block.max(axis=0)


def _range_of_narrow(block):
    unsigned, sign = _unsigned(block.dtype)
    low, high = np.full(block.shape[1], np.iinfo(unsigned).max, unsigned), np.zeros(block.shape[1], unsigned)
    kernels.range_of_integers(_bits(block, unsigned), sign, low, high)
    return low.astype(np.int64) - sign, high.astype(np.int64) - sign


def _unsigned(dtype):
    """The unsigned integers of the same size, and the number that the lowest integer with a sign is there."""
    return np.dtype(f"u{dtype.itemsize}"), 1 << (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0


def _bits(block, unsigned):
    """A block with contiguous rows as unsigned integers of the same bits."""
    has_rows = block.dtype.isnative and (block.shape[1] <= 1 or block.strides[1] == block.itemsize)
    block = block if has_rows else np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("="))
    return block.view(unsigned)


def fits(low, high, dtype, scheme):
    """Which columns of a range, float64, have no more integers than there are levels."""
    if dtype.kind not in "biu":
        return np.zeros(len(low), dtype=bool)
    return (high - low < scheme.n_levels) & (np.maximum(-low, high) <= MOST_EXACT)


def levels(low, high, scheme):
    """Levels of columns that fit: uint8 (columns, n_levels), numbers in use and highest grid positions."""
    span = (high - low).astype(np.int64)
    chosen = np.minimum(np.arange(scheme.n_levels), span[:, None]) * scheme.stride
    return chosen.astype(np.uint8), (span + 1).astype(np.uint16), (span * scheme.stride).astype(np.uint8)


class IntegerCodes:
    """Packs integers that are codes, but for an offset.

    Parameters
    ----------
    grid : Grid, see `takes`
    n_jobs : int or None, threads
    """

    def __init__(self, grid, n_jobs):
        self.stride, self.width, self.n_jobs = grid.scheme.stride, grid.scheme.format, n_jobs
        self.low, self.top = grid.offset, grid.used.astype(np.int64) - 1
        constant, whole = grid.used == 1, np.arange(grid.levels.shape[1])
        steps = np.where(constant, 1.0, grid.step * self.stride)
        on_levels = np.minimum(whole, self.top[:, None]) * self.stride
        self._are_integers = bool(
            not grid.has_dither.any()
            and (steps == 1).all()
            and (self.low == np.rint(self.low)).all()
            and (grid.levels == on_levels).all()
        )

    def takes(self, dtype):
        """Whether every level is an integer, all between the lowest and the highest are, and the dtype holds them."""
        if not (self._are_integers and is_narrow(dtype)):
            return False
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return bool(((self.low >= least) & (self.low <= most)).all())

    def encode(self, X, codes, slots, first, rows=None):
        """Pack rows of an array that `takes` knows; see `RowEncoder.encode`. Values outside go to the ends."""
        columns, unsigned = self._columns(X.dtype), _unsigned(X.dtype)[0]

        def encode(begin, end):
            for start in range(begin, end, size):
                some = slice(start, min(end, start + size))
                poll()
                block = X[some] if rows is None else X[rows[some]]
                places = slots(np.arange(first + some.start, first + some.stop))
                kernels.encode_integers(_bits(block, unsigned), columns, self.width, codes, places)

        size = block_rows(X.shape[1], X.dtype)
        over_rows(encode, X, rows, X.dtype, self.n_jobs)

    def gather(self, X, tiles, order):
        """Make tiles of the rows of an array that `takes` knows and `can_be_gathered`, in a RowOrder."""
        columns, bits = self._columns(X.dtype), X.view(_unsigned(X.dtype)[0])

        def fill(first, last, rows):
            gathered_kernels.tiles_of_integers(bits, rows, columns, self.width, tiles[first:last])

        fill_tiles(fill, tiles, order, self.n_jobs)

    def _columns(self, dtype):
        """Lowest integers, ranges and stride as the kernel wants them, and whether there is a sign."""
        unsigned, sign = _unsigned(dtype)
        return (self.low + sign).astype(unsigned), self.top.astype(unsigned), self.stride, sign > 0
