"""What has to be known of the columns before levels can be placed, gathered chunk by chunk."""

from copy import copy

import numpy as np

from .._seeds import Stream
from .._storage.blocks import common_dtype
from .levels import block_ranges, check_range, columns_of_rows, place_levels
from .missing import Absent
from .row_sample import RowSample, sample_size


class ColumnSketch:
    """Range of every column and a sample of rows: the same for any division of the rows into chunks.

    The sample is that of `pack`, so levels found from a sketch of all rows are those of the whole array.

    Parameters
    ----------
    n_columns : int
    seed : int, 64 bits: that of packing
    expected : int or None, rows that will come, where their number is known
    first : int, number of the first of them: sketches of parts of the rows are `joined`
    missing : bool, whether values may be missing

    Attributes
    ----------
    dtype : dtype that holds the values of all chunks, or None before the first
    """

    absent = None

    def __init__(self, n_columns, seed, expected=None, first=0, missing=False):
        self.n_columns, self.dtype = n_columns, None
        if missing:
            self.absent = Absent(np.zeros(n_columns, dtype=np.int64), np.zeros(n_columns), 0)
        self.low, self.high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        self.sample = RowSample(sample_size(n_columns), Stream.LEVELS_SAMPLE.of(seed), expected, first)

    @property
    def n_rows(self):
        """Rows seen."""
        return self.sample.n_seen

    def copy(self):
        """A sketch that can be updated while this one stays as it is."""
        other = copy(self)
        other.sample = self.sample.copy()
        return other

    def joined(self, other):
        """The sketch of the rows of both, in any order."""
        out = copy(self)
        out.low, out.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        out.dtype = common_dtype(self.dtype, other.dtype)
        out.sample = self.sample.joined(other.sample)
        return out

    def update(self, X, n_jobs=None, column_names=None):
        """Take the next rows into account; scikit-learn's error for NaN and infinity, leaving nothing changed."""
        missing = self.absent is not None
        for low, high in block_ranges(
            X, n_jobs=n_jobs, column_names=column_names, first_row=self.n_rows, missing=missing
        ):
            self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        if missing:
            self.absent = self.absent.and_of(Absent.of_rows(X, n_jobs=n_jobs))
        self.dtype = X.dtype if self.dtype is None else common_dtype(self.dtype, X.dtype)
        self.sample.offer(X)

    def find_grid(self, scheme, column_names=None, n_jobs=None):
        """The levels of the columns, a Grid; see `levels.find_grid`."""
        if self.absent is not None:
            self.absent.require_values(column_names)
        low, high = check_range(self.low, self.high, column_names)
        values = self.sample.values()
        sample = columns_of_rows(values, np.arange(len(values)))
        return place_levels(sample, low, high, self.dtype, scheme, column_names, n_jobs, self.absent)
