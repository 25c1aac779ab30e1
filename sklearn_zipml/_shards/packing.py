"""Packing the rows of a part as all rows would be packed at once: the same codes, and statistics that add up exactly.

Draws are keyed by what is in a row, so the codes of a row do not depend on where it lies. What depends on its number,
samples and the tally of errors, is given the number that it has among the rows of all parts.
"""

from dataclasses import dataclass, replace

import numpy as np

from .._kernels import row_order as order_kernels
from .._quantization.column_sketch import ColumnSketch
from .._quantization.encoder import RowEncoder
from .._quantization.levels import block_ranges
from .._quantization.row_sample import enough
from .._seeds import Stream
from .._storage import duplicates
from .._storage.blocks import common_dtype
from .._storage.constant import frozen
from .._storage.outliers import parts_of_found
from .._storage.packed_rows import STATISTICS, PackedRows, decoded_dtype
from .._storage.row_order import RowOrder
from .._storage.statistics import from_moments
from .._storage.targets import check_target
from .._storage.tiles import aligned_tiles, turn_rows
from .._underflow import underflow_is_zero
from .shard import Shard

TALLIES = ("sum", "square", "variance", "hits", "noise", "tallied", "beyond", "beyond_square")


@dataclass(frozen=True)
class Place:
    """Where the rows of a part stand among those of all.

    Attributes
    ----------
    first : int, the number of its first row, rows of weight zero not counted
    n_rows : int, rows of all parts
    """

    first: int
    n_rows: int


def sketch(X, seed, place, column_names=None):
    """The ColumnSketch of a part, an array (rows, columns); those of all parts are `joined`."""
    found = ColumnSketch(X.shape[1], seed, place.n_rows, place.first)
    found.update(X, 1, column_names)
    return found


@dataclass(frozen=True)
class PackingReport:
    """What packing learns of rows, sums of integers but for the ranges.

    Attributes
    ----------
    n_rows : int
    dtype : dtype of the rows
    sum, square, variance, hits, noise, tallied, beyond, beyond_square : 64-bit integers, see the encoder's Moments
    sample : uint64 (2, rows), priorities of the rows that stand for all, and what decides their draws
    low, high : (columns,) or None, range of the rows, of levels that were found without them
    """

    n_rows: int
    dtype: np.dtype
    sum: np.ndarray
    square: np.ndarray
    variance: np.ndarray
    hits: np.ndarray
    noise: np.ndarray
    tallied: np.ndarray
    beyond: np.ndarray
    beyond_square: np.ndarray
    sample: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None

    def joined(self, other):
        """That of the rows of both, in any order."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in TALLIES}
        sample = _smallest(np.concatenate([self.sample, other.sample], axis=1), len(self.sum))
        low = high = None
        if self.low is not None:
            low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        dtype = common_dtype(self.dtype, other.dtype)
        return PackingReport(self.n_rows + other.n_rows, dtype, **sums, sample=sample, low=low, high=high)


@underflow_is_zero
def pack_part(X, y, weights, grid, seed, place, *, unseen=False):
    """Pack the rows of a part.

    Parameters
    ----------
    X : array (rows, columns) of a real dtype, at least one row
    y : array of a row for each row: numbers, booleans or strings
    weights : float64 (rows,), all positive, or None
    grid : Grid of all parts
    seed : int, 64 bits, the same for all parts
    place : Place
    unseen : bool, whether rows may lie outside the grid

    Returns
    -------
    Shard, whose statistics are those of its own rows; see `with_statistics`
    PackingReport
    """
    (n, d), scheme = X.shape, grid.scheme
    order = RowOrder(n, Stream.ROW_ORDER.of(seed))
    codes = aligned_tiles(n, d, scheme.format)
    grid = grid.watching_all() if unseen else grid
    encoder = RowEncoder(grid, seed, 1)
    encoder.encode(X, codes, lambda numbers: order.slots(numbers - place.first), place.first)
    turn_rows(codes, d, scheme.format, 1)
    low = high = None
    if unseen:
        low, high = block_ranges(X, n_jobs=1, first_row=place.first)[0]
    moments = {name: getattr(encoder.moments, name) for name in TALLIES}
    sample = _sample(X, encoder, seed, place)
    report = PackingReport(n, X.dtype, **moments, sample=sample, low=low, high=high)
    along = {"target": check_target(y, n)} | parts_of_found(encoder.found, len(codes), d)
    parts = grid, codes, statistics(report, grid), (n, d), decoded_dtype(X.dtype), order.seed
    rows = PackedRows.of_grid(*parts, **along)
    return Shard(rows, weights), report


def statistics(report, grid):
    """Statistics of the rows of a report, parts of PackedRows: for those of all parts, those of packing all at once."""
    return from_moments(report, report.n_rows, duplicates.of_keys(report.sample[1]), grid.code_levels)


def with_statistics(shard, common, dtype, feature_names=None):
    """A shard, not copied, with the statistics of all rows, the dtype that holds them all, and names of columns."""
    rows = replace(
        shard.rows,
        dtype=np.dtype(decoded_dtype(np.dtype(dtype))),
        noise=frozen(common["noise"]),
        collision_probability=frozen(common["coincidence"]),
        known={name: frozen(common[name]) for name in STATISTICS},
    )
    return Shard(rows.named(feature_names), shard.weights)


def _sample(X, encoder, seed, place):
    """Priorities and contents of the rows of a part that a sample of all rows may have."""
    size, key = duplicates.sample_size(X.shape[1]), Stream.DUPLICATES_SAMPLE.of(seed)
    limit = enough(place.n_rows, size)
    rows, keys = order_kernels.rows_below(key, place.first, place.first + len(X), limit)
    return _smallest(np.stack([keys, encoder.equality_keys(X, rows - place.first)]), X.shape[1])


def _smallest(sample, n_columns):
    """What a sample of all rows may have of some of them."""
    size = duplicates.sample_size(n_columns)
    if sample.shape[1] <= size:
        return sample
    return sample[:, np.argpartition(sample[0], size - 1)[:size]]
