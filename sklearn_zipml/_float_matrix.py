"""Full-precision samples in the same tiles: float32 values, for sample_bits=None and as the baseline."""

import numpy as np

from . import _kernels
from ._blocks import block_rows, sequential_blocks, take_rows
from ._levels import column_range, constant_step
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
        self._offset, self._step, self._deviation, self._low, self._high = _column_scale(X, rows)
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
    """Mean, largest distance from it, and in units of that deviation, minimum and maximum; float64, three passes."""
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    low, high = column_range(X, rows)
    mean, square = np.zeros(d), np.zeros(d)
    for block in sequential_blocks(X, np.float64, rows):
        mean += ((block - low) / n).sum(axis=0)
    mean = np.clip(low + mean, low, high)
    reach = np.maximum(high - mean, mean - low)
    step = np.where(reach > 0, reach, constant_step(mean))
    for block in sequential_blocks(X, np.float64, rows):
        square += (((block - mean) / step) ** 2).sum(axis=0)
    return mean, step, np.where(reach > 0, np.sqrt(square / n), 0.0), (low - mean) / step, (high - mean) / step
