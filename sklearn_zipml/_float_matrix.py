"""Full-precision samples in the same tiles: float32 values, for sample_bits=None and as the baseline."""

import numpy as np
from sklearn.utils import assert_all_finite

from . import _kernels
from ._blocks import block_rows, sequential_blocks, take_rows
from ._packed_matrix import aligned_tiles
from ._row_order import RowOrder

FLOAT_WIDTH = 32


class FloatMatrix:
    """Rows of X as float32, centred and scaled per column; a value is offset + step * g. See PackedMatrix."""

    sampling = None
    sample_bits = None

    def __init__(self, X, seed, rows=None):
        n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
        self.shape = (n, d)
        self._order = RowOrder(n, _kernels.mix(seed, 1))
        self._offset, self._step, self._deviation = _column_scale(X, rows)
        codes = aligned_tiles(n, d, FLOAT_WIDTH)
        tiles = codes.view(np.float32).reshape(len(codes), -1, _kernels.TILE_ROWS)
        size = block_rows(d, np.float64)
        for start in range(0, n, size):
            slots = self._order.rows(start, start + size)
            block = take_rows(X, slots if rows is None else rows[slots], np.float64)
            block -= self._offset
            block /= self._step
            for k in range(0, len(block), _kernels.TILE_ROWS):
                part = block[k : k + _kernels.TILE_ROWS]
                tiles[(start + k) // _kernels.TILE_ROWS, :d, : len(part)] = part.T
        self._tiles = _kernels.Tiles(codes, np.zeros(0, dtype=np.uint8), n, d, FLOAT_WIDTH)
        self._variance = np.zeros(d)

    def __len__(self):
        return self.shape[0]


def _column_scale(X, rows):
    """Mean, largest distance from it and standard deviation in units of that, float64, from two passes."""
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    mean, square, reach = np.zeros(d), np.zeros(d), np.zeros(d)
    for block in sequential_blocks(X, np.float64, rows):
        assert_all_finite(block, input_name="X")
        mean += (block / n).sum(axis=0)
    for block in sequential_blocks(X, np.float64, rows):
        np.maximum(reach, np.abs(block - mean).max(axis=0, initial=0), out=reach)
    # what the rounding of the mean of a constant column leaves is not a spread
    reach = np.where(reach > 4 * np.finfo(float).eps * np.abs(mean), reach, 0.0)
    step = np.where(reach > 1e-290, reach, 1.0)
    for block in sequential_blocks(X, np.float64, rows):
        square += (((block - mean) / step) ** 2).sum(axis=0)
    return mean, step, np.where(reach > 1e-290, np.sqrt(square / n), 0.0)
