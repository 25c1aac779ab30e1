"""Step 2: rows -> levels -> stochastically rounded codes -> packed tiles, a block of rows at a time."""

import numpy as np

from .._kernels import encoder as encoder_kernels
from .._kernels.threads import poll
from .._seeds import Stream
from .._storage import duplicates
from .._storage.blocks import block_rows, filled, over_rows, row_block, take_rows
from .._storage.outliers import parts_of_found
from .._storage.packed_rows import PackedRows, decoded_dtype
from .._storage.row_order import RowOrder
from .._storage.statistics import of_encoded
from .._storage.tiles import aligned_tiles, turn_rows
from .._underflow import underflow_is_zero
from .gathered import can_be_gathered
from .integers import IntegerCodes
from .levels import find_grid
from .row_sample import sample_size, sampled_rows

ROWS_AT_ONCE = 256  # that stay in the cache while it is found out what keys their draws


def pack(X, scheme, seed, *, rows=None, column_names=None, n_jobs=None):
    """Quantize the rows of X.

    Parameters
    ----------
    X : array of shape (n_samples, n_features) of a real dtype; read in blocks, never copied whole
    scheme : Scheme
    seed : int, 64 bits: decides every draw and the order of the rows
    rows : int array or None, the rows of X to pack
    column_names : sequence of str or None, for warnings
    n_jobs : int or None, threads; the result does not depend on it

    Returns
    -------
    PackedRows
    """
    n = X.shape[0] if rows is None else len(rows)
    sample = sampled_rows(n, sample_size(X.shape[1]), Stream.LEVELS_SAMPLE.of(seed))
    if rows is not None:
        sample = rows[sample]
    grid = find_grid(X, scheme, sample, rows, column_names, n_jobs)
    return pack_on_grid(X, grid, seed, rows=rows, n_jobs=n_jobs)


@underflow_is_zero
def pack_on_grid(X, grid, seed, *, rows=None, n_jobs=None, is_unseen=False):
    """Quantize the rows of X on given levels, that may have been found without them. See `pack`.

    Values beyond the levels of watched columns, of all if the rows are unseen, are kept apart; others go to the ends.
    """
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    grid = grid.watching_all() if is_unseen else grid
    encoder = RowEncoder(grid, seed, n_jobs)
    collision_probability = 0.0
    if not encoder.rounds_nothing_of(X.dtype):
        sample = sampled_rows(n, duplicates.sample_size(d), Stream.DUPLICATES_SAMPLE.of(seed))
        keys = encoder.equality_keys(X, sample if rows is None else rows[sample])
        collision_probability = duplicates.of_keys(keys)
    order = RowOrder(n, Stream.ROW_ORDER.of(seed))
    gathers = rows is None and encoder.rounds_nothing_of(X.dtype) and can_be_gathered(X)
    codes = aligned_tiles(n, d, grid.scheme.format, zeroed=not gathers)
    if gathers:
        encoder.gather(X, codes, order)
    else:
        encoder.encode(X, codes, order.slots, rows=rows)
        turn_rows(codes, d, grid.scheme.format, n_jobs)
    statistics = of_encoded(encoder.moments, (n, encoder.n_integers), collision_probability, grid, codes)
    along = {"missing_count": encoder.n_missing} | parts_of_found(encoder.found, len(codes), d)
    return PackedRows.of_grid(grid, codes, statistics, (n, d), decoded_dtype(X.dtype), order.seed, **along)


class RowEncoder:
    """Rounds rows to the levels of a grid, a block at a time, in threads, and gathers their moments.

    Parameters
    ----------
    grid : Grid
    seed : int, 64 bits, of the packing
    n_jobs : int or None, threads; the result does not depend on it

    Attributes
    ----------
    integers : IntegerCodes, by which integers that are codes are packed, or None
    moments : Moments of all rows so far, but for those integers
    n_integers : int, rows of them
    found : list of uint64 arrays, what lies beyond the levels, as `parts_of_found` takes it
    n_missing : int64 (columns,), values that were missing, or None where none may be
    """

    def __init__(self, grid, seed, n_jobs):
        self.dtype, self.n_jobs, scheme = grid.dtype, n_jobs, grid.scheme
        columns = (grid.levels, grid.used, grid.top, grid.offset, grid.scale)
        key = Stream.ROUNDING.of(seed)
        kind = scheme.rounding, scheme.format
        self.kernel = encoder_kernels.Encoder(columns, *kind, key, scheme.n_draws, grid.watched, grid.dither)
        is_watching, self.found = grid.watched is not None and bool(grid.watched.any()), []
        self.kind = (len(grid.used), scheme.format, scheme.has_noise_by_code)
        self.moments, self.n_integers = encoder_kernels.Moments(*self.kind), 0
        self.integers, self.missing = None if is_watching else IntegerCodes(grid, n_jobs), grid.missing
        self.n_missing = None if grid.missing is None else np.zeros(len(grid.used), dtype=np.int64)

    def rounds_nothing_of(self, dtype):
        """Whether rows of a dtype are integers that are codes, but for an offset."""
        return self.integers is not None and self.integers.takes(dtype)

    def encode(self, X, codes, slots, first=0, rows=None, by_place=False, slots_known=True):
        """Pack rows into memory that is theirs.

        Parameters
        ----------
        X : array (rows, columns)
        codes : uint8 array, zeroed, of tiles or packed rows
        slots : callable(numbers of rows) -> their slots in it
        first : int, number of the first of them among all that are encoded
        rows : int array or None, the rows of X that they are
        by_place : bool, see `Encoder.encode`
        slots_known : bool, whether rows stay in these slots; else outliers are those of numbers of rows
        """
        if self.rounds_nothing_of(X.dtype):
            self.integers.encode(X, codes, slots, first, rows)
            self.n_integers += len(X if rows is None else rows)
            return
        size = block_rows(self.kind[0], self.dtype)

        def encode(begin, end):
            moments, work, missing = encoder_kernels.Moments(*self.kind), self.kernel.workspace(), 0
            found = encoder_kernels.Found()
            for start in range(begin, end, size):
                stop = min(end, start + size)
                poll()
                block = row_block(X, slice(start, stop) if rows is None else rows[start:stop], self.dtype)
                if self.missing is not None:
                    block, absent = filled(block, self.missing)
                    missing = missing + absent
                numbers = np.arange(first + start, first + stop)
                places = slots(numbers)
                found.slots = places if slots_known else numbers
                self.kernel.encode(block, codes, moments, places, first + start, work, by_place, found)
            return moments, missing, found.array

        for moments, missing, found in over_rows(encode, X, rows, self.dtype, self.n_jobs):
            self.moments.add(moments)
            self.found.append(found)
            if self.missing is not None:
                self.n_missing += missing

    def gather(self, X, tiles, order):
        """Make tiles of rows of which nothing is rounded, in a RowOrder; see `gathered.can_be_gathered`."""
        self.integers.gather(X, tiles, order)
        self.n_integers += len(X)

    def equality_keys(self, X, rows):
        """What keys the draws of the rows of an index array, uint64: the same of rows that it cannot tell apart."""
        keys, work = np.empty(len(rows), dtype=np.uint64), self.kernel.workspace()
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = slice(first, first + ROWS_AT_ONCE)
            block = take_rows(X, rows[some], self.dtype)
            if self.missing is not None:
                block, _ = filled(block, self.missing)
            self.kernel.contents(block, keys[some], work)
        return keys
