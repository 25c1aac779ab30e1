"""Step 1: where the levels of every column go (ZipML section on optimal quantization; doc/user_guide/mathematics).

A column's range is divided into at most 255 equal steps, and its levels stand on some of these, see `Grid`.
"""

from dataclasses import replace

import numpy as np

from .._kernels import columns as column_kernels
from .._kernels import tiles as kernels
from .._kernels.threads import in_threads
from .._scheme import MAX_STEPS
from .._storage import dither, stored_dither
from .._storage.blocks import block_dtype, is_narrow, over_rows, row_block, sequential_blocks
from .._storage.finite import column_label, listed, refuse_non_finite
from .._storage.grid import Grid
from .._underflow import underflow_is_zero
from .._warnings import warn
from . import integers
from .missing import Absent, check_levels, present, with_means

GATHERED_ROWS = 256  # that stay in the cache while they are turned into columns
THREAD_COLUMNS = 16


def column_range(X, rows=None, column_names=None, n_jobs=None, sample=None, missing=False):
    """Smallest and largest value of every column, float64.

    Raises scikit-learn's error for NaN and infinity, and a ValueError for a column that spans more than float64. The
    range of a column whose steps could not be divided by (below 1e-290) is taken for none. With `sample`, a pair of an
    ascending array of row numbers and an array (columns, number of them) of the block type, those rows are copied
    there on the way.
    """
    parts = block_ranges(X, rows, n_jobs, sample, column_names, missing=missing)
    low, high = np.min([low for low, _ in parts], axis=0), np.max([high for _, high in parts], axis=0)
    return check_range(low, high, column_names)


def block_ranges(X, rows=None, n_jobs=None, sample=None, column_names=None, first_row=0, missing=False):
    """Ranges of parts of the rows, which may overflow, (low, high) pairs of the block type; see `column_range`.

    first_row is the number of the first row of X in messages. With `missing` NaN is passed over.
    """
    if sample is None and is_narrow(X.dtype):
        return integers.ranges(X, rows, n_jobs)
    dtype = block_dtype(X.dtype)

    def ranges(first, last):
        low, high = np.full(X.shape[1], np.inf, dtype), np.full(X.shape[1], -np.inf, dtype)
        for block in sequential_blocks(X, dtype, rows, first, last):
            is_finite = column_kernels.block_range(block, low, high)
            if not is_finite and not (missing and _are_finite(block)):
                return None
            if sample is not None:
                begin, end = np.searchsorted(sample[0], [first, first + len(block)])
                column_kernels.gather_columns(block, sample[0][begin:end] - first, sample[1], begin)
            first += len(block)
        return low, high

    parts = over_rows(ranges, X, rows, dtype, n_jobs)
    if any(part is None for part in parts):
        refuse_non_finite(X, rows, column_names, first_row, allow_nan=missing)
    return parts


def _are_finite(block):
    """Whether a block has no infinity."""
    return not np.isinf(block).any()


def columns_of_rows(X, rows):
    """The rows of an index array as contiguous columns of the block type, (columns, rows)."""
    dtype = block_dtype(X.dtype)
    out = empty_columns(X.shape[1], len(rows), dtype)
    for first in range(0, len(rows), GATHERED_ROWS):
        block = row_block(X, rows[first : first + GATHERED_ROWS], dtype)
        column_kernels.gather_columns(block, np.arange(len(block)), out, first)
    return out


def empty_columns(n_columns, n_rows, dtype):
    """An array (columns, rows) with a line between columns: caches keep few lines that are multiples of 4096 apart."""
    return np.empty((n_columns, n_rows + kernels.LINE // np.dtype(dtype).itemsize), dtype=dtype)[:, :n_rows]


def check_range(low, high, column_names=None):
    """The range as float64, checked as `column_range` tells."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    with np.errstate(over="ignore"):
        span = high - low
    if not np.isfinite(span).all():
        j = int(np.flatnonzero(~np.isfinite(span))[0])
        raise ValueError(f"Column {column_label(j, column_names)} of X spans more than float64 holds; rescale it.")
    return low, np.where(span < 1e-290, low, high)


def find_grid(X, scheme, sample_rows, rows=None, column_names=None, n_jobs=None, missing=False):
    """Choose the levels of every column of X.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    scheme : Scheme
    sample_rows : int array, rows of X whose histograms place optimal levels
    rows : int array or None, rows of X that will be encoded: their range is the grid's
    column_names : sequence of str or None, for warnings
    n_jobs : int or None, threads; the result does not depend on it
    missing : bool, whether values may be missing: they get a level at the mean of the others

    Returns
    -------
    Grid
    """
    absent = Absent.of_rows(X, rows, n_jobs) if missing else None
    if missing:
        absent.require_values(column_names)
    sample_rows, gathered = np.sort(sample_rows), None
    if rows is None and not is_narrow(X.dtype):  # the sample is copied on the way through all rows
        gathered = sample_rows, empty_columns(X.shape[1], len(sample_rows), block_dtype(X.dtype))
    low, high = column_range(X, rows, column_names, n_jobs, gathered, missing)
    if gathered is None:
        is_needed = not integers.fits(low, high, X.dtype, scheme).all()
        sample = columns_of_rows(X, sample_rows if is_needed else sample_rows[:0])
    else:
        sample = gathered[1]
    return place_levels(sample, low, high, X.dtype, scheme, column_names, n_jobs, absent)


@underflow_is_zero
def place_levels(sample, low, high, dtype, scheme, column_names=None, n_jobs=None, absent=None):
    """The same from the range of the columns, float64, and columns of a sample of rows, (columns, rows).

    dtype is that of the rows that will be encoded. Every value of integers that are no more than the levels is one.
    """
    dtype, whole = np.dtype(dtype), (low, high)
    chosen, used, top, deviation, (low, high), *positions = _placed(sample, low, high, dtype, scheme, n_jobs, absent)
    span, watched = high - low, (low > whole[0]) | (high < whole[1])
    constant = span == 0
    used[constant], top[constant] = 1, 0
    step = np.where(constant, constant_step(low), span / np.maximum(top, 1))
    coarse = np.flatnonzero((deviation < 1) & ~constant)
    if coarse.size:
        warn(
            f"One grid step (range / {scheme.max_steps}) exceeds the standard deviation of column(s) "
            f"{listed(coarse, column_names)} of X: a few outliers take nearly all levels. Clip or transform them, for "
            "example with sklearn.preprocessing.QuantileTransformer.",
        )
    whole_span = whole[1] - whole[0]
    narrow = block_dtype(dtype) is np.float32 and np.all(constant | ((whole_span < 1e37) & (span > 1e-30)))
    block = np.float32 if narrow else np.float64
    grid = Grid(scheme, low, step, chosen, used, block, watched=watched if watched.any() else None)
    grid = grid if absent is None else with_means(grid, absent)
    return with_dither(grid, *positions).settled()


def with_dither(grid, positions=None):
    """A Grid with known dither, positions being given where there is any."""
    if not grid.scheme.has_dither:
        return grid
    multiplier = dither.multipliers(len(positions)) if grid.scheme.is_dithered else None
    return replace(grid, positions=positions, multiplier=multiplier)


def _placed(sample, low, high, dtype, scheme, n_jobs, absent):
    """Levels, how many are in use, highest positions, deviations in steps, and the range that the levels reach to.

    With known dither levels are as many as rungs, and what codes and dithers stand for comes last.
    """
    whole, count = integers.fits(low, high, dtype, scheme), scheme.n_levels
    if scheme.has_dither:
        count = dither.RUNGS if scheme.is_dithered else stored_dither.RUNGS
    if whole.all():
        chosen, *ends = integers.levels(low, high, scheme)
        positions = (np.zeros((len(low), dither.N_POSITIONS), dtype=np.uint8),) if scheme.has_dither else ()
        return _padded(chosen, count), *ends, np.full(len(low), np.inf), (low, high), *positions
    place = _uniform if scheme.has_uniform_levels else _optimal
    if absent is None or not absent.count.any():
        found = place(sample, low, high, scheme.n_levels, scheme, n_jobs)
    else:
        check_levels(scheme, absent)
        found = place(present(sample), low, high, scheme.n_levels, scheme, n_jobs)
        # where the mean takes a level there is one less, and it may be anywhere in the range
        some = np.flatnonzero(absent.count)
        is_every = scheme.width == 8 and not scheme.stores_levels
        n_levels, plain = scheme.n_levels - (not is_every), replace(scheme.undithered, outliers="none")
        fewer = place(sample[some], low[some], high[some], n_levels, plain, n_jobs)
        found[0][some] = _padded(fewer[0], count)
        for all_columns, own in zip(found[1:5], fewer[1:5], strict=True):
            all_columns[some] = own
        if scheme.has_dither:
            found[-1][some] = 0
    chosen, used, top, deviation, reach, *positions = found
    levels, used[whole], top[whole] = integers.levels(low[whole], high[whole], scheme)
    chosen[whole], deviation[whole] = _padded(levels, count), np.inf
    if positions:
        positions[0][whole] = 0
    reach = np.where(whole, low, reach[:, 0]), np.where(whole, high, reach[:, 1])
    return chosen, used, top, deviation, reach, *positions


def _padded(levels, count):
    """Levels (columns, up to count) whose last ones repeat."""
    return np.pad(levels, ((0, 0), (0, count - levels.shape[1])), mode="edge")


def constant_step(value):
    """Step of a constant column: its size, so that it is one step from zero; 1 where that cannot be divided by."""
    size = np.abs(value)
    return np.where(size > 1e-290, size, 1.0)


def _uniform(sample, low, high, count, scheme, n_jobs):
    """Evenly spaced levels, the paper's first setting: a multiple of count - 1 steps, so that they are exact."""
    stride, d = scheme.stride, len(low)
    steps = (count - 1) * stride * (MAX_STEPS // ((count - 1) * stride))
    row = np.arange(count) * (steps // (count - 1))
    deviation = search_levels(sample, low, high, 2, scheme, n_jobs)[3]
    return (
        np.tile(row.astype(np.uint8), (d, 1)),
        np.full(d, count, dtype=np.uint16),
        np.full(d, steps, dtype=np.uint8),
        deviation,
        np.stack([low, high], axis=1),
    )


def _optimal(sample, low, high, count, scheme, n_jobs):
    """Variance-optimal levels of the columns' histograms over a sample of rows."""
    how = scheme.keeps_outliers * column_kernels.WITH_OUTLIERS | scheme.has_dither * column_kernels.DITHERED
    return search_levels(sample, low, high, count, scheme, n_jobs, how)


def search_levels(sample, low, high, count, scheme, n_jobs, how=0):
    """What `column_levels` of the kernels finds for columns (columns, rows) and their ranges, in threads."""
    kind = scheme.max_steps, scheme.stride, how

    def place(first, last):
        columns = slice(first, last)
        return column_kernels.column_levels(sample[columns], low[columns], high[columns], count, *kind)

    parts = in_threads(place, len(low), THREAD_COLUMNS, n_jobs)
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
