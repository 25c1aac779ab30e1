"""Recognising rows that a PackedMatrix of this process has decoded, when they are to be packed again as if exact.

Decoded rows look like any others, so their content is remembered: hashes of some rows, by which a part of them is known
in any order, and of some places of every column, by which whole columns are known beside others.

Where nothing was rounded, a row is the same before and after, and rows that were never rounded must not be taken for
decoded ones. So it takes more than equal rows: a column that holds nothing but levels, several of them, where that
cannot be without rounding. It can in a column on a lattice, as of counts or pixels, whose levels are values of it. Such
rows are known as a whole only.
"""

from collections import deque
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

import numpy as np

from .._kernels import row_order as order_kernels
from .._warnings import warn
from .blocks import block_rows, row_block
from .grid import grid_of

MATRICES = 64  # that are remembered
ROWS = 4096  # of each
PLACES = 256  # of each column
AT_ONCE = 1024  # rows that are looked at
DISTINCT_ROWS, DISTINCT_LEVELS, AT_AN_END = 16, 3, 4  # that have to be there
NOTICED = 1e-3  # share of a column's variance that rounding errors have to have to matter


class Decoded(NamedTuple):
    """What is known of a decoded matrix.

    Attributes
    ----------
    shape : tuple (rows, columns)
    columns : set of int, hashes of columns that cannot be what they are without rounding
    rows : set of int, the smallest hashes of rows
    limit : int, the largest of these
    total : int, sum of the hashes of all rows, modulo 2**64
    needed : int array (columns,), levels that show that a column was rounded; 0 where none do
    noise : float, largest share of a column's variance that is rounding
    """

    shape: tuple
    columns: set
    rows: set
    limit: int
    total: int
    needed: np.ndarray
    noise: float


_decoded, _lock = deque(maxlen=MATRICES), Lock()


def remember(packed, columns, values):
    """Note that the columns (an index array, or a slice) of PackedRows have been decoded to these values."""
    if len(values) < DISTINCT_ROWS:
        return
    with np.errstate(all="ignore"):  # columns that leave the range of float32, or of float64, are not known
        needed, noise = (per_column[columns] for per_column in (_levels_needed(packed), _noise(packed)))
    if not (noise > NOTICED).any():
        return
    hashes = np.concatenate([_hashes(block) for block in _blocks(values)])
    rows = hashes if len(hashes) <= ROWS else np.partition(hashes, ROWS)[:ROWS]
    sample = _at_places(values)
    known = _tell_rounding(sample, needed)
    shown = set(_hashes(sample.T)[known].tolist()) if known.any() else set()
    limit, total = int(rows.max()), int(hashes.sum())
    found = Decoded(values.shape, shown, set(rows.tolist()), limit, total, needed, float(noise.max()))
    with _lock:
        _decoded.append(found)


def _noise(packed):
    """Share of every column's variance that is rounding; 0 where that is not to be seen in float32."""
    variance, deviation = packed.rounding_variance.astype(np.float64), packed.deviation.astype(np.float64)
    step, offset = packed.step, np.abs(packed.offset)
    visible = (step > 1e-30) & (step > offset * 1e-6) & (offset + 255 * step < 1e37) & (deviation > 0)
    return np.divide(variance, deviation**2, out=np.zeros_like(variance), where=visible)


def _levels_needed(packed):
    """How many levels in every column show that it was rounded; 0 where exact values could be those."""
    grid = grid_of(packed)
    values = grid.offset[:, None] + grid.step[:, None] * grid.levels
    end = np.abs(values).max(axis=1, initial=0)
    # optimal levels have fewer steps than they could where the values are on them
    steps = packed.scheme.max_steps * packed.scheme.stride
    on_lattice = _are_short(values, end) | _are_short(255 * values, 255 * end)
    if not packed.scheme.has_uniform_levels:
        # of columns with known dither, which have more positions than codes, no values are
        has_dither = grid.used > 1 << packed.sample_bits if packed.scheme.knows_dithers else False
        on_lattice |= (grid.top < steps) & ~np.asarray(has_dither)
    levels = np.minimum(DISTINCT_LEVELS, (grid.used - 1) * packed.scheme.n_draws + 1)
    return np.where((_noise(packed) > 0) & ~on_lattice, levels, 0)


def _are_short(values, scale):
    """Whether all values of each row are whole numbers of millionths of a power of ten near the scale."""
    unit = 10.0 ** (np.floor(np.log10(scale)) - 6)
    parts = (values.T / unit).T
    short = np.abs(parts - np.rint(parts)) < 1e-4
    return short.reshape(len(values), -1).all(axis=1)


def _tell_rounding(block, needed):
    """Whether the values of every column of a block are distinct enough."""
    low, high = block.min(axis=0), block.max(axis=0)
    lowest, highest = (block == low).sum(axis=0), (block == high).sum(axis=0)
    # an exact value of a column that has two levels may be at an end, but few are at both
    both_ends = np.minimum(lowest, highest) >= AT_AN_END
    return np.where(needed == 2, both_ends & (low < high), (needed > 2) & (lowest + highest < len(block)))


def warn_of_decoded(X):
    """Warn if the rows of an array, or some of its columns, are known to be decoded ones; whether they are."""
    if not _decoded or X.dtype.kind != "f" or X.dtype.isbuiltin != 1 or X.dtype.itemsize < 4 or len(X) < DISTINCT_ROWS:
        return False
    with _lock:
        remembered = list(_decoded)
    found = _with_columns_of(X, remembered) or _with_rows_of(X, remembered)
    if found is not None:
        warn(
            "X holds rows that a PackedMatrix has decoded. They are rounded, which is up to "
            f"{100 * found.noise:.2g} % of the variance of a column, and training on them takes that for exact: the "
            "compensation is undone. Pass the PackedMatrix itself."
        )
    return found is not None


def _with_columns_of(X, remembered):
    """A matrix of as many rows some of whose columns are in X, or None."""
    same = [one for one in remembered if one.shape[0] == len(X) and one.columns]
    if not same:
        return None
    columns = set(_hashes(_at_places(X).T).tolist())
    return next((one for one in same if columns & one.columns), None)


def _with_rows_of(X, remembered):
    """A matrix of as many columns among whose rows are those of X, or None."""
    left, total = [(one, []) for one in remembered if one.shape[1] == X.shape[1]], 0
    for block in _blocks(X):
        hashes = _hashes(block)
        total += int(hashes.sum())
        for one, parts in left:
            parts.append((hashes[hashes <= one.limit], block[hashes <= one.limit]))
        left = [(one, parts) for one, parts in left if one.rows.issuperset(parts[-1][0].tolist())]
        for one, parts in left:
            hashes, rows = (np.concatenate(some) for some in zip(*parts, strict=True))
            if len(np.unique(hashes)) >= DISTINCT_ROWS and _tell_rounding(rows, one.needed).any():
                return one
        if not left:
            return None
    return next((one for one, _ in left if one.shape[0] == len(X) and one.total == total % 2**64), None)


def _blocks(X):
    step = min(AT_ONCE, block_rows(X.shape[1], np.float32))
    for start in range(0, len(X), step):
        yield _in_single(X, slice(start, start + step))


def _at_places(X):
    """Values at some rows, which depend on the number of rows alone."""
    places = np.unique(np.linspace(0, len(X) - 1, min(len(X), PLACES)).astype(np.int64))
    return _in_single(X, places)


def _in_single(X, rows):
    """Rows as float32, with one zero."""
    with np.errstate(all="ignore"):
        return row_block(X, rows, np.float32) + np.float32(0)


def _hashes(block):
    """Of every row of a block, uint64."""
    words = np.ascontiguousarray(block).view(np.uint32)
    hashes = np.empty(len(words), dtype=np.uint64)
    order_kernels.row_hashes(words, _multipliers(words.shape[1]), hashes)
    return hashes


@lru_cache(maxsize=8)
def _multipliers(n):
    return np.array([order_kernels.mix(k, 5) | 1 for k in range(n)], dtype=np.uint64)
