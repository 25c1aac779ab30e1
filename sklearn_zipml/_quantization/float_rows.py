"""Full-precision samples in the same tiles: float32 values, for sample_bits=None and as the baseline."""

import numpy as np

from .._kernels import tiles as kernels
from .._seeds import Stream
from .._storage.blocks import block_rows, sequential_blocks, take_rows
from .._storage.finite import listed
from .._storage.row_order import RowOrder
from .._storage.tiles import aligned_tiles
from .._warnings import warn
from .levels import column_range, constant_step

CENTRE_ROWS = 1024
# Part of a column's range below which differences are warned of.
CROWDED = 1e-6


class FloatRows:
    """Rows of X as float32, centred and scaled per column; a value is offset + step * g. See PackedRows."""

    scheme = sample_bits = None

    def __init__(self, X, seed, rows=None, column_names=None):
        n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
        self.shape = (n, d)
        self.order = RowOrder(n, Stream.ROW_ORDER.of(seed))
        slots = self.order.rows(0, CENTRE_ROWS)
        sample = take_rows(X, slots if rows is None else rows[slots], np.float64)
        self.offset, self.step, self.deviation, self.low, self.high = _column_scale(X, rows, sample, column_names)
        varies = self.deviation > 0
        _warn_outliers(np.where(varies, (sample - self.offset) / self.step, 0), column_names)
        codes = aligned_tiles(n, d, kernels.FLOAT_WIDTH)
        tiles = codes.view(np.float32).reshape(len(codes), -1, kernels.TILE_ROWS)
        size = block_rows(d, np.float64)
        for start in range(0, n, size):
            slots = self.order.rows(start, start + size)
            block = take_rows(X, slots if rows is None else rows[slots], np.float64)
            block -= self.offset
            block /= self.step
            for k in range(0, len(block), kernels.TILE_ROWS):
                part = block[k : k + kernels.TILE_ROWS]
                tiles[(start + k) // kernels.TILE_ROWS, :d, : len(part)] = part.T
        self.tiles = kernels.Tiles(codes, np.zeros(0, dtype=np.uint8), n, d, kernels.FLOAT_WIDTH)
        self.rounding_variance = np.zeros(d)

    @property
    def nbytes(self):
        """Memory of the samples and their scales, in bytes."""
        parts = (self.tiles.floats, self.offset, self.step, self.deviation, self.low, self.high, self.rounding_variance)
        return sum(part.nbytes for part in parts)

    def __len__(self):
        return self.shape[0]


def _warn_outliers(sample, column_names):
    """Warn of columns most of whose values, in parts of the largest, are too close together for float32 products."""
    size = np.abs(sample)
    crowded = np.flatnonzero(2 * ((size > 0) & (size < CROWDED)).sum(axis=0) > (size > 0).sum(axis=0))
    if crowded.size:
        warn(
            f"Most values of column(s) {listed(crowded, column_names)} of X differ by less than {CROWDED:g} of the "
            "range: a few outliers decide the fit. Clip or transform them, for example with "
            "sklearn.preprocessing.QuantileTransformer.",
        )


def _column_scale(X, rows, sample, column_names):
    """Offset and size of every column, and in units of it deviation, minimum and maximum; float64, two passes.

    float32 is finest near the offset, so that is the median of a sample: an outlier would drag the mean away from the
    bulk.
    """
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    low, high = column_range(X, rows, column_names)
    offset = np.clip(np.median(sample, axis=0), low, high)
    reach = np.maximum(high - offset, offset - low)
    step = np.where(reach > 0, reach, constant_step(offset))
    total, square = np.zeros(d), np.zeros(d)
    for block in sequential_blocks(X, np.float64, rows):
        t = (block - offset) / step
        total += t.sum(axis=0)
        square += (t**2).sum(axis=0)
    deviation = np.sqrt(np.maximum(0, square / n - (total / n) ** 2))
    return offset, step, np.where(reach > 0, deviation, 0.0), (low - offset) / step, (high - offset) / step
