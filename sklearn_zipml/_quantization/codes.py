"""Codes that exist already, of embeddings, genotypes or quantized tensors: packed as they are, nothing is drawn."""

from dataclasses import dataclass

import numpy as np

from .._kernels import integers as kernels
from .._kernels.threads import check_n_jobs, in_threads, poll
from .._scheme import MAX_STEPS, Scheme
from .._seeds import Stream
from .._storage.blocks import block_rows, is_narrow
from .._storage.grid import Grid
from .._storage.packed_rows import PackedRows
from .._storage.row_order import RowOrder
from .._storage.statistics import without_errors
from .._storage.tiles import aligned_tiles, turn_rows
from .._underflow import underflow_is_zero
from . import integers
from .gathered import can_be_gathered, gather_fields
from .levels import constant_step
from .missing import Absent, with_means

FIELD_BITS = (1, 2, 4)
ROWS_AT_ONCE = 256  # that are looked at for missing codes
MOST = 1 << 62
OF_FIELDS = np.uint8


@dataclass(frozen=True)
class Codes:
    """Codes as they came.

    Attributes
    ----------
    array : array (rows, columns) of integers, or uint8 (rows, bytes) of fields
    n_columns : int
    bits : int, of a field, or None
    high_first : bool, whether the first field of a byte is in its highest bits
    """

    array: np.ndarray
    n_columns: int
    bits: int | None
    high_first: bool

    @classmethod
    def checked(cls, codes, bits, bitorder, n_features):
        """Those of the arguments of `PackedMatrix.from_codes`."""
        if np.ma.is_masked(codes):
            raise ValueError("codes has masked values: fill them with an integer, and name it missing_code.")
        array = codes if isinstance(codes, np.ndarray) else np.asarray(codes)
        if array.ndim != 2 or array.dtype.kind not in "biu":
            raise ValueError(
                f"codes has dtype {array.dtype} and shape {array.shape}: give a two-dimensional array of integers; of "
                "a quantized tensor its integers, such as int_repr()."
            )
        if 0 in array.shape:
            raise ValueError(f"codes has shape {array.shape}: at least one row and one column are needed.")
        if bits is None:
            if n_features not in (None, array.shape[1]):
                raise ValueError(f"n_features={n_features} but codes has {array.shape[1]} columns; leave it out.")
            return cls(array, array.shape[1], None, False)
        if bits not in FIELD_BITS or bitorder not in ("big", "little"):
            raise ValueError(
                f"bits={bits!r} and bitorder={bitorder!r}: fields have 1, 2 or 4 bits, in 'big' or 'little' order; "
                "bits=None takes one integer for each value."
            )
        if array.dtype == np.int8:  # as sentence-transformers has bits, 128 less
            array = array.view(OF_FIELDS) ^ OF_FIELDS(128)
        if array.dtype != OF_FIELDS:
            raise ValueError(f"codes has dtype {array.dtype}: fields of {bits} bits are in bytes, uint8.")
        most = array.shape[1] * 8 // bits
        n_features = most if n_features is None else n_features
        if not most - 8 // bits < n_features <= most:
            raise ValueError(f"n_features={n_features} does not fit rows of {array.shape[1]} bytes, {most} fields.")
        return cls(array, n_features, bits, bitorder == "big")

    def range(self, n_jobs):
        """Lowest and highest code of every column, float64; of fields what they can be."""
        if self.bits is not None:
            return np.zeros(self.n_columns), np.full(self.n_columns, 2.0**self.bits - 1)
        parts = integers.ranges(self.array, None, n_jobs)
        low, high = np.min([low for low, _ in parts], axis=0), np.max([high for _, high in parts], axis=0)
        return low, high

    def known(self, missing, n_jobs):
        """Range of the codes that are not missing, how many are, and the sum of the others, of every column."""

        def of_rows(first, last):
            low, high = np.full(self.n_columns, MOST), np.full(self.n_columns, -MOST)
            count, total = np.zeros((2, self.n_columns), dtype=np.int64)
            for start in range(first, last, ROWS_AT_ONCE):
                poll()
                block = self.block(start, min(last, start + ROWS_AT_ONCE))
                absent, block = block == missing, block.astype(np.int64)
                low = np.minimum(low, np.where(absent, MOST, block).min(axis=0))
                high = np.maximum(high, np.where(absent, -MOST, block).max(axis=0))
                count += absent.sum(axis=0)
                total += np.where(absent, 0, block).sum(axis=0)
            return low, high, count, total

        parts = in_threads(of_rows, len(self.array), ROWS_AT_ONCE, n_jobs)
        low, high, count, total = (np.array(own) for own in zip(*parts, strict=True))
        return low.min(axis=0).astype(float), high.max(axis=0).astype(float), count.sum(axis=0), total.sum(axis=0)

    def block(self, first, last):
        """Codes of some rows, one integer each."""
        block = self.array[first:last]
        if self.bits is None:
            return block
        shifts = np.arange(0, 8, self.bits, dtype=OF_FIELDS)[:: -1 if self.high_first else 1]
        fields = block[:, :, None] >> shifts & OF_FIELDS(2**self.bits - 1)
        return fields.reshape(len(block), -1)[:, : self.n_columns]


@dataclass(frozen=True)
class Places:
    """Where the codes of every column stand among its levels, and what those are worth.

    Attributes
    ----------
    low : int64 (columns,), the code at the first place
    top : int64 (columns,), the last place
    offset, step : float64 (columns,), value of the first place, and of one position more
    positions : int64 (columns, places) of places, or None where place and position are the same
    table : uint8 (1 or columns, codes), the place of each code, or None where it is the distance from `low`
    """

    low: np.ndarray
    top: np.ndarray
    offset: np.ndarray
    step: np.ndarray
    positions: np.ndarray | None = None
    table: np.ndarray | None = None

    @classmethod
    def of_scale(cls, low, high, scale, offset):
        """Codes worth offset + scale * code."""
        scale, offset = (_by_column(name, a, len(low)) for name, a in (("scale", scale), ("offset", offset)))
        if not (scale > 0).all():
            raise ValueError("scale has to be positive; of codes that descend give the values.")
        return cls(low.astype(np.int64), (high - low).astype(np.int64), offset + scale * low, scale)

    @classmethod
    def of_values(cls, low, high, values):
        """Codes that are numbers of entries of a table, of all columns or of each."""
        values = np.atleast_2d(np.asarray(values, dtype=np.float64))
        d, count = len(low), values.shape[1]
        if values.ndim != 2 or len(values) not in (1, d) or not np.isfinite(values).all():
            raise ValueError(f"values has shape {values.shape}: give finite numbers, one row for all or each column.")
        outside = np.flatnonzero((low < 0) | (high >= count))
        if outside.size:
            j = outside[0]
            raise ValueError(
                f"values has {count} entries, and column {j} has codes from {low[j]:.0f} to {high[j]:.0f}."
            )
        gaps = np.diff(values, axis=1)
        if count > 1 and (gaps > 0).all() and np.allclose(gaps, gaps[:, :1], rtol=1e-12, atol=0):
            return cls.of_scale(low, high, (values[:, -1] - values[:, 0]) / (count - 1), values[:, 0])
        found = [_lattice(row) for row in values]
        used = max(len(positions) for positions, _, _, _ in found)
        rows = [np.pad(positions, (0, used - len(positions)), mode="edge") for positions, _, _, _ in found]
        rows = np.broadcast_to(np.array(rows), (d, used))
        first, step = (np.broadcast_to([own[k] for own in found], d).astype(np.float64) for k in (1, 2))
        table = np.array([places for _, _, _, places in found], dtype=np.uint8)
        top = np.broadcast_to([len(own[0]) - 1 for own in found], d).astype(np.int64)
        return cls(np.zeros(d, dtype=np.int64), top, first, step, rows, table)

    @property
    def n_levels(self):
        """Levels that hold all places: those of 8 bits are all positions."""
        return int(self.top.max(initial=0)) + 1

    def grid(self, scheme):
        """A Grid of these levels."""
        positions = np.arange(self.n_levels) if self.positions is None else self.positions
        highest = self.top if self.positions is None else self.positions.max(axis=1)
        every = scheme.width == 8 and not scheme.stores_levels  # position is a level
        top = highest if every else self.top
        if top.max() >= scheme.n_levels:
            j = int(top.argmax())
            raise ValueError(
                f"sample_bits={scheme.sample_bits} holds {scheme.n_levels} levels, and column {j} needs {top[j] + 1}: "
                "use more bits, or from_chunks, which rounds."
            )
        if every or self.positions is None:
            levels = np.minimum(np.arange(scheme.n_levels), top[:, None])
        else:
            levels = np.pad(self.positions, ((0, 0), (0, scheme.n_levels - positions.shape[1])), mode="edge")
        step = np.where(highest > 0, self.step, constant_step(self.offset))
        return Grid(scheme, self.offset, step, levels.astype(np.uint8), (top + 1).astype(np.uint16), np.float64)


def _by_column(name, values, d):
    values = np.asarray(values, dtype=np.float64)
    if values.ndim > 1 or values.shape not in ((), (1,), (d,)) or not np.isfinite(values).all():
        raise ValueError(f"{name} has shape {values.shape}: give one finite number, or one for each of {d} columns.")
    return np.broadcast_to(values, d).copy()


def _lattice(values):
    """Positions of distinct values on equal steps, the first value, the step, and the place of each value."""
    distinct, places = np.unique(values, return_inverse=True)
    if len(distinct) == 1:
        return np.zeros(1, dtype=np.int64), distinct[0], 1.0, places
    least, span = np.diff(distinct).min(), distinct[-1] - distinct[0]
    for parts in range(1, MAX_STEPS + 1):
        positions = np.rint((distinct - distinct[0]) / least * parts)
        if positions[-1] > MAX_STEPS:
            break
        step = span / positions[-1]
        if np.abs(distinct[0] + step * positions - distinct).max() <= 1e-9 * span:
            return positions.astype(np.int64), distinct[0], step, places
    raise ValueError(
        f"values {np.array2string(distinct, threshold=6)} are not whole steps of a grid of {MAX_STEPS}, where "
        "levels stand: pack the decoded values with from_chunks, which rounds."
    )


@underflow_is_zero
def pack_codes(codes, places_of, sample_bits, seed, *, missing_code=None, n_jobs=None):
    """Pack codes as they are.

    Parameters
    ----------
    codes : Codes
    places_of : callable(low, high) -> Places
    sample_bits : int, or None for the fewest that hold them
    seed : int, 64 bits: decides the order of the rows
    missing_code : int or None, the code of missing values, which become the means of their columns
    n_jobs : int or None, threads

    Returns
    -------
    PackedRows
    """
    check_n_jobs(n_jobs, "PackedMatrix.from_codes")
    n, d = len(codes.array), codes.n_columns
    absent = None
    if missing_code is None:
        places = _checked(places_of, *codes.range(n_jobs))
    else:
        low, high, count, total = codes.known(missing_code, n_jobs)
        Absent(count, total, n).require_values()
        places = _checked(places_of, low, high)
        absent = Absent(count, (n - count) * places.offset + places.step * (total - (n - count) * places.low), n)
    if sample_bits is None:
        needed = places.n_levels + bool(absent is not None and absent.count.any())
        sample_bits = next((bits for bits in (1, 2, 4) if needed <= 1 << bits), 8)
    scheme = Scheme.of(sample_bits, "compensated", "optimal")
    grid, order = places.grid(scheme), RowOrder(n, Stream.ROW_ORDER.of(seed))
    missing = None
    if absent is not None:
        grid, missing = with_missing(grid, absent, places)
    of_code = _columns(codes, places, grid, missing_code)
    are_fields = codes.bits == scheme.width and places.table is None and absent is None
    gathers = are_fields and can_be_gathered(codes.array)
    tiles = aligned_tiles(n, d, scheme.format, zeroed=not gathers)
    if gathers:
        gather_fields(codes, codes.bits, tiles, order, n_jobs)
    else:
        _write_in_turn(codes, None if are_fields else of_code, scheme.width, missing, tiles, order, n_jobs)
        turn_rows(tiles, d, scheme.width, n_jobs)
    count = None if absent is None else absent.count
    return PackedRows.of_grid(grid, tiles, without_errors(grid), (n, d), np.float64, order.seed, missing_count=count)


def _write_in_turn(codes, of_code, width, missing, tiles, order, n_jobs):
    """Write packed rows, as they come, into their slots."""
    n, d = len(codes.array), codes.n_columns

    def write(first, last):
        for start in range(first, last, size):
            stop = min(last, start + size)
            poll()
            slots = order.slots(np.arange(start, stop))
            if of_code is None:
                block = np.ascontiguousarray(codes.array[start:stop])
                kernels.encode_fields(block, d, codes.bits, codes.high_first, tiles, slots)
            else:
                block, columns, absent_bits = of_code(start, stop)
                places_of_missing = None if missing is None else (absent_bits, *missing)
                kernels.encode_integers(block, columns, width, tiles, slots, places_of_missing)

    size = block_rows(d, OF_FIELDS if codes.bits else codes.array.dtype)
    in_threads(write, n, size, n_jobs)


def _checked(places_of, low, high):
    """The places of a range that 8 bits hold."""
    wide = np.flatnonzero(high - low > MAX_STEPS)
    if wide.size:
        raise ValueError(
            f"Column {wide[0]} has codes from {low[wide[0]]:.0f} to {high[wide[0]]:.0f}, more than the "
            f"{MAX_STEPS + 1} that 8 bits hold: from_chunks rounds such integers."
        )
    return places_of(low, high)


def with_missing(grid, absent, places):
    """A grid with levels at the means of columns; for the kernel, the places of missing values and what comes after."""
    if places.table is not None:
        raise ValueError("missing_code needs values in equal steps: decode the codes, and use from_chunks.")
    is_table = grid.scheme.width < 8  # else codes are positions, and a missing value shares the nearest
    full = np.flatnonzero((absent.count > 0) & (grid.used > 1) & (grid.used == grid.scheme.n_levels))
    if is_table and full.size:
        raise ValueError(
            f"sample_bits={grid.scheme.sample_bits} has {grid.scheme.n_levels} levels, all of which the codes of "
            f"column {full[0]} take: missing values need one more; use more bits."
        )
    wider = with_means(grid, absent, refine=is_table)
    place = np.rint((wider.missing - wider.offset) / wider.step)
    after = np.full(len(place), 255, dtype=OF_FIELDS)
    if is_table:
        place = (wider.levels < place[:, None]).sum(axis=1)
        inserted = wider.used > grid.used
        after[inserted] = place[inserted]
    return wider, (place.astype(OF_FIELDS), after)


def _columns(codes, places, grid, missing_code):
    """A callable(first, last) -> rows of unsigned integers, what the kernel needs of their columns, and missing one."""
    d, every = codes.n_columns, places.positions is not None and grid.scheme.width == 8
    if places.table is not None:
        ends = np.zeros(d, dtype=OF_FIELDS), np.full(d, 255, dtype=OF_FIELDS), 1, False
        positions = (
            np.take_along_axis(places.positions, places.table.astype(np.int64), axis=1) if every else places.table
        )
        table = np.ascontiguousarray(positions, dtype=OF_FIELDS)

        def of_table(first, last):
            block = codes.block(first, last)
            return (table[0][block] if len(table) == 1 else table[np.arange(d), block]), ends, 0

        return of_table
    dtype = np.dtype(OF_FIELDS) if codes.bits else codes.array.dtype
    if not is_narrow(dtype):
        dtype = np.dtype(np.uint16)
    unsigned, is_signed = np.dtype(f"u{dtype.itemsize}"), dtype.kind == "i"
    is_wide = not codes.bits and not is_narrow(codes.array.dtype)
    low = places.low * (not is_wide) + ((1 << (8 * dtype.itemsize - 1)) if is_signed else 0)
    ends = low.astype(unsigned), places.top.astype(unsigned), 1, is_signed
    most = (1 << (8 * dtype.itemsize)) - 1
    absent_bits = most if is_wide else (missing_code or 0) & most

    def of_scale(first, last):
        block = codes.block(first, last)
        if is_wide:
            block = np.where(block == missing_code, absent_bits, block - places.low).astype(dtype)
        return np.ascontiguousarray(block).view(unsigned), ends, absent_bits

    return of_scale
