"""Full-precision samples in the same tiles: float32 values, for sample_bits=None and as the baseline."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import in_threads, poll
from .._seeds import Stream
from .._storage.blocks import block_rows, over_rows, take_rows
from .._storage.finite import listed
from .._storage.row_order import RowOrder
from .._storage.tiles import aligned_tiles
from .._warnings import warn
from .levels import column_range, constant_step

# Rows whose median is the centre, and that tell of outliers.
CENTRE_ROWS, CROWDED_ROWS = 1024, 256
# Columns whose medians are taken at a time: they stay in the cache.
MEDIAN_COLUMNS = 64
# Part of a column's range below which differences are warned of.
CROWDED = 1e-6


class FloatRows:
    """Rows of X as float32, centred and scaled per column; a value is offset + step * g. See PackedRows."""

    scheme = sample_bits = None

    def __init__(self, X, seed, rows=None, column_names=None, n_jobs=None):
        n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
        self.shape = (n, d)
        self.order = RowOrder(n, Stream.ROW_ORDER.of(seed))
        low, high = column_range(X, rows, column_names, n_jobs)
        sample = self._rows_of(X, rows, 0, CENTRE_ROWS)
        self.offset, self.step = _column_scale(sample, low, high, n_jobs)
        self.low, self.high = (low - self.offset) / self.step, (high - self.offset) / self.step
        varies = low < high
        _warn_outliers(np.where(varies, (sample[:CROWDED_ROWS] - self.offset) / self.step, 0), column_names)
        codes = aligned_tiles(n, d, kernels.FLOAT_WIDTH)
        total, square = self._fill(codes.view(np.float32).reshape(len(codes), -1, kernels.TILE_ROWS), X, rows, n_jobs)
        self.mean = total / n
        self.deviation = np.where(varies, np.sqrt(np.maximum(0, square / n - self.mean**2)), 0.0)
        self.tiles = kernels.Tiles(codes, np.zeros(0, dtype=np.uint8), n, d, kernels.FLOAT_WIDTH)
        self.rounding_variance = np.zeros(d)

    def _rows_of(self, X, rows, first, last):
        """Rows of X, first..last-1 in slot order, float64."""
        slots = self.order.rows(first, last)
        return take_rows(X, slots if rows is None else rows[slots], np.float64)

    def _fill(self, tiles, X, rows, n_jobs):
        """Write float32 tiles; sums of the columns, of their squares too, the same for any number of threads."""
        d = self.shape[1]
        size = block_rows(d, np.float64)

        def fill(first, last):
            sums = []
            for start in range(first, last, size):
                poll()
                block = self._rows_of(X, rows, start, min(last, start + size))
                block -= self.offset
                block /= self.step
                stored = block.astype(np.float32)
                for k in range(0, len(block), kernels.TILE_ROWS):
                    part = stored[k : k + kernels.TILE_ROWS]
                    tiles[(start + k) // kernels.TILE_ROWS, :d, : len(part)] = part.T
                sums.append((stored.sum(axis=0, dtype=np.float64), np.einsum("ij,ij->j", block, block)))
            return sums

        sums = [pair for part in over_rows(fill, X, rows, np.float64, n_jobs) for pair in part]
        return [np.sum(each, axis=0) for each in zip(*sums, strict=True)]

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


def _column_scale(sample, low, high, n_jobs):
    """Offset and size of every column, of which sample (rows, columns) has some rows.

    float32 is finest near the offset, so that is the median of the sample: an outlier would drag the mean away from the
    bulk.
    """
    offset = np.empty(len(low))

    def take_medians(first, last):
        for start in range(first, last, MEDIAN_COLUMNS):
            some = slice(start, min(last, start + MEDIAN_COLUMNS))
            # rows of a contiguous transpose, which takes a third of the time
            offset[some] = np.median(sample[:, some].T.copy(), axis=1, overwrite_input=True)

    in_threads(take_medians, len(low), MEDIAN_COLUMNS, n_jobs)
    offset = np.clip(offset, low, high)
    reach = np.maximum(high - offset, offset - low)
    return offset, np.where(reach > 0, reach, constant_step(offset))
