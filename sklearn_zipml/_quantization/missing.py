"""Missing values (NaN): each takes a level of its column that stands where the mean of the others is."""

from dataclasses import dataclass, replace

import numpy as np

from .._scheme import MAX_STEPS
from .._storage.blocks import block_dtype, over_rows, sequential_blocks
from .._storage.finite import column_label

LEAST_LEVELS = 3  # both ends and the mean


@dataclass(frozen=True)
class Absent:
    """What is missing of every column.

    Attributes
    ----------
    count : int64 (columns,), values that are missing
    total : float64 (columns,), sum of the others
    n_rows : int
    """

    count: np.ndarray
    total: np.ndarray
    n_rows: int

    @classmethod
    def of_rows(cls, X, rows=None, n_jobs=None):
        """That of an array, or of some of its rows."""
        n, d = X.shape[0] if rows is None else len(rows), X.shape[1]
        if X.dtype.kind in "biu":
            return cls(np.zeros(d, dtype=np.int64), np.zeros(d), n)

        def count(first, last):
            absent, total = np.zeros(d, dtype=np.int64), np.zeros(d)
            for block in sequential_blocks(X, block_dtype(X.dtype), rows, first, last):
                missing = np.isnan(block)
                absent += missing.sum(axis=0)
                total += np.where(missing, 0, block).sum(axis=0, dtype=np.float64)
            return absent, total

        parts = over_rows(count, X, rows, block_dtype(X.dtype), n_jobs)
        return cls(sum(absent for absent, _ in parts), sum(total for _, total in parts), n)

    def and_of(self, other):
        """That of these rows and others."""
        return Absent(self.count + other.count, self.total + other.total, self.n_rows + other.n_rows)

    def require_values(self, column_names=None):
        """Refuse columns of nothing."""
        empty = np.flatnonzero((self.count == self.n_rows) & (self.n_rows > 0))
        if empty.size:
            label = column_label(empty[0], column_names)
            raise ValueError(f"Column {label} of X has no values, all are missing: leave it out.")

    def means(self, low, high):
        """Means of the values that there are, within their ranges."""
        with np.errstate(over="ignore", invalid="ignore"):
            means = self.total / (self.n_rows - self.count)
        return np.where(np.isfinite(means), np.clip(means, low, high), low / 2 + high / 2)


def present(sample):
    """Columns of a sample, (columns, rows), whose missing values are others of them, so that levels suit these."""
    for j in np.flatnonzero(np.isnan(sample).any(axis=1)):
        column = sample[j]
        there = column[~np.isnan(column)]
        column[np.isnan(column)] = np.resize(there, len(column) - len(there)) if len(there) else 0
    return sample


def with_means(grid, absent, refine=True):
    """A grid with a level at the mean of every column that has missing values, and what replaces those of any.

    The steps of a column become, with `refine`, as fine as there are positions for, and the level is at the nearest.
    """
    scheme, levels, used, step = grid.scheme, grid.levels.astype(np.int64), grid.used.copy(), grid.step.copy()
    means = absent.means(grid.offset, grid.offset + grid.step * grid.top)
    some = np.flatnonzero((absent.count > 0) & (used > 1))
    top, stride = grid.top[some].astype(np.int64) // scheme.stride, scheme.stride
    parts = MAX_STEPS // stride // top if refine else np.ones_like(top)
    step[some] /= parts
    place = np.rint((means[some] - grid.offset[some]) / (step[some] * stride)).astype(np.int64)
    if scheme.width == 8 and not scheme.stores_levels:  # position is a level
        chosen, used[some] = np.minimum(np.arange(scheme.n_levels), (top * parts)[:, None]), top * parts + 1
    else:
        chosen, is_new = _with_place(levels[some] // stride * parts[:, None], place)
        used[some] += is_new
    levels[some] = chosen * stride
    means[some] = grid.offset[some] + step[some] * stride * place
    return replace(grid, levels=levels.astype(np.uint8), used=used, step=step, missing=means)


def _with_place(positions, place):
    """Ascending positions (columns, levels), unused ones repeating the last, with one more; whether it was none yet."""
    is_new = (positions != place[:, None]).all(axis=1)
    joined = np.concatenate([positions, np.where(is_new, place, positions[:, -1])[:, None]], axis=1)
    return np.sort(joined, axis=1)[:, :-1], is_new


def check_levels(scheme, absent):
    """Refuse widths without a level for missing values."""
    if absent.count.any() and scheme.n_levels < LEAST_LEVELS:
        raise ValueError(
            f"missing='mean' needs {LEAST_LEVELS} levels, and sample_bits={scheme.sample_bits} with "
            f"sampling={scheme.sampling!r} has {scheme.n_levels}: use more bits, or SimpleImputer of scikit-learn."
        )
