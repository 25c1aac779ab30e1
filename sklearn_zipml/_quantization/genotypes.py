"""Genotypes, whose files have them by variants, packed as they are: a block of columns at a time, into all rows."""

import numpy as np

from .._kernels import integers as kernels
from .._kernels.threads import in_threads, poll
from .._seeds import Stream
from .._storage.packed_rows import PackedRows
from .._storage.row_order import RowOrder
from .._storage.statistics import without_errors
from .._storage.targets import check_row_weights, check_target
from .._storage.tiles import aligned_tiles, turn_rows
from .codes import Places, with_missing
from .missing import Absent

MISSING = 2  # what inverted fields have for it: 0 and 1 are so many copies of the first allele, and 3 is two
BLOCK_BYTES = 12 << 20  # of the file, that a thread holds: runs of columns that go to a row are as long as that allows
LEAST_COLUMNS, MOST_COLUMNS = 64, 4096
ROWS_AT_ONCE, COLUMNS_AT_ONCE = 4096, 512  # that are in the cache, four rows to a byte
COUNT_BYTES = 1 << 17  # whose samples are counted there


def pack_genotypes(bed, scheme, seed, *, missing=False, n_jobs=None, advance=lambda share: None):
    """Pack the genotypes of a file.

    Parameters
    ----------
    bed : BedFile
    scheme : Scheme
    seed : int, 64 bits: decides the order of the rows
    missing : bool, whether missing genotypes become the means of their columns; else they are an error
    n_jobs : int or None, threads; the result does not depend on it
    advance : callable(share), which is told of each part of the work that is done

    Returns
    -------
    PackedRows, with target and names; or None where the scheme has too few levels for them, or no table in which one
    stands between two genotypes
    """
    (n, d), names = (bed.n_rows, bed.n_columns), bed.names
    low, high, absent = _counted(bed, n_jobs, advance)
    _check_missing(absent, missing, names)
    places, has_missing = Places.of_scale(low, high, 1.0, 0.0), bool(absent.count.any())
    if scheme.stride > 1 or places.n_levels + has_missing > scheme.n_levels or (has_missing and scheme.width == 8):
        return None
    grid, of_missing = with_missing(places.grid(scheme), absent, places) if missing else (places.grid(scheme), None)
    along = {"missing_count": absent.count if missing else None, "feature_names": names}
    along["target"] = None if bed.target is None else check_target(bed.target, n)
    along["sample_weight"] = None if bed.weights is None else check_row_weights(bed.weights, n)
    order, width = RowOrder(n, Stream.ROW_ORDER.of(seed)), scheme.format
    tiles = aligned_tiles(n, d, width)
    ends = places.low.astype(np.uint8), places.top.astype(np.uint8)

    def write(first, last):
        for column in range(first, last, size):
            fields = bed.fields(column, min(last, column + size))
            for start in range(0, n, ROWS_AT_ONCE):
                poll()
                stop = min(n, start + ROWS_AT_ONCE)
                slots = order.slots(np.arange(start, stop))
                write_rows(fields[:, start // 4 : -(-stop // 4)], column, slots)
            advance(len(fields) / d / 2)

    def write_rows(fields, column, slots):
        slots = [np.ascontiguousarray(slots[pair::4]) for pair in range(4)]
        for begin in range(0, len(fields), COLUMNS_AT_ONCE):
            block = np.invert(fields[begin : begin + COLUMNS_AT_ONCE].T, order="C")
            own = slice(column + begin, column + begin + block.shape[1])
            absent = None if of_missing is None else (MISSING, of_missing[0][own], of_missing[1][own])
            # two copies are 3, which goes to the highest place, two
            columns, within = (ends[0][own], ends[1][own], 1, False), (own.start, d)
            for pair in range(4):
                rows = block[: len(slots[pair])]
                kernels.encode_integers(rows, columns, width, tiles, slots[pair], absent, within, pair)

    size = max(LEAST_COLUMNS, min(MOST_COLUMNS, BLOCK_BYTES // -(-n // 4) // LEAST_COLUMNS * LEAST_COLUMNS))
    in_threads(write, d, size, n_jobs)
    turn_rows(tiles, d, width, n_jobs)
    return PackedRows.of_grid(grid, tiles, without_errors(grid), (n, d), np.float64, order.seed, **along)


def _counted(bed, n_jobs, advance):
    """Lowest and highest number of copies of every column, float64, and what is missing."""
    some = max(1, COUNT_BYTES // -(-bed.n_rows // 4))

    def of_columns(first, last):
        parts = []
        for start in range(first, last, size):
            poll()
            fields = bed.fields(start, min(last, start + size))
            parts += [bed.counts(fields[k : k + some]) for k in range(0, len(fields), some)]
            advance(len(fields) / bed.n_columns / 2)
        return np.concatenate(parts)

    size = max(1, BLOCK_BYTES // 8 // -(-bed.n_rows // 4))
    counts = np.concatenate(in_threads(of_columns, bed.n_columns, size, n_jobs))
    there = counts[:, :3] > 0
    low, high = there.argmax(axis=1) * 1.0, 2.0 - there[:, ::-1].argmax(axis=1)
    return low, high, Absent(counts[:, 3], counts[:, :3] @ [0.0, 1.0, 2.0], bed.n_rows)


def _check_missing(absent, missing, names):
    """Refuse missing genotypes that nobody said what to do with, and variants of nothing else."""
    absent.require_values(names)
    some = np.flatnonzero(absent.count)
    if some.size and not missing:
        raise ValueError(
            f"{len(some)} variants have missing genotypes, {names[some[0]]!r} of {absent.count[some[0]]} samples: set "
            "missing='mean' (--missing mean on the command line), or impute them."
        )
