"""Packing data that comes in chunks: one pass for the levels, one for the codes, or one for both."""

from itertools import chain

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._feature_names import of_estimator
from .._kernels import encoder as encoder_kernels
from .._kernels.threads import check_n_jobs
from .._seeds import Stream, seed_of
from .._storage import duplicates
from .._storage.blocks import block_dtype
from .._storage.finite import listed
from .._storage.outliers import MOST_DIFFERENCE, parts_of_found
from .._storage.packed_rows import PackedRows, decoded_dtype
from .._storage.row_order import RowOrder
from .._storage.row_store import RowStore
from .._storage.statistics import of_encoded
from .._storage.targets import check_row_weights, check_target
from .._underflow import underflow_is_zero
from .._warnings import warn
from .carried_noise import CarriedNoise
from .column_sketch import ColumnSketch
from .encoder import RowEncoder
from .genotypes import pack_genotypes
from .levels import block_ranges
from .row_sample import RowSample, sample_size


def pack_chunks(source, scheme, quantizer, random_state, n_jobs, missing=False):
    """See PackedMatrix.from_chunks; a quantizer brings scheme, levels and seed."""
    if quantizer is None:
        grid, seed = None, seed_of(random_state, "PackedMatrix.from_chunks")
    elif not hasattr(quantizer, "__zipml_packing__"):
        raise TypeError(f"quantizer={quantizer!r} must be a fitted DoubleSamplingQuantizer or None.")
    else:
        check_is_fitted(quantizer)
        source.expected = of_estimator(quantizer)
        grid, seed = quantizer.__zipml_packing__()
        scheme = grid.scheme
    rows = pack_source(source, scheme, seed, grid=grid, n_jobs=n_jobs, missing=missing)
    return rows if quantizer is None else rows.named(source.expected.names)


@underflow_is_zero
def pack_source(source, scheme, seed, *, grid=None, n_jobs=None, missing=False):
    """Quantize the rows of a source.

    A source that can be read twice is: the result has the codes of `pack` of all its rows in one array. One that
    cannot, gets the levels of its first rows (as many as the sample has), unless a grid is given.

    Parameters
    ----------
    source : Source
    scheme : Scheme
    seed : int, 64 bits
    grid : Grid or None
    n_jobs : int or None, threads; the result does not depend on it
    missing : bool, whether NaN is a missing value, which becomes the mean of its column

    Returns
    -------
    PackedRows, with target, weights and feature_names if the source has them

    Raises
    ------
    ValueError
        If there are no rows, values that are not finite, or a second pass with other rows than the first.

    Warns
    -----
    UserWarning
        When values lie outside a grid that was found without them, and went to its ends.
    """
    check_n_jobs(n_jobs, "PackedMatrix.from_chunks")
    if grid is None and source.genotypes is not None:
        settings = {"missing": missing, "n_jobs": n_jobs, "advance": source.advance}
        packed = pack_genotypes(source.genotypes, scheme, seed, **settings)
        if packed is not None:
            return packed
    all_seen, head = grid is None and source.repeatable, None
    if all_seen:
        sketch = sketch_of(source.chunks(), seed, source.n_rows, n_jobs, missing)
        if not sketch.sample.whole:
            sketch = sketch_of(source.chunks(), seed, None, n_jobs, missing)
    elif grid is None:
        chunks = source.chunks()
        head = _head(chunks)
        sketch = sketch_of(head, seed, None, n_jobs, missing)
    if grid is None:
        grid = sketch.find_grid(scheme, source.names, n_jobs)
    dtype, n_rows = (sketch.dtype, sketch.n_rows) if all_seen else (None, source.n_rows or 0)
    packer = Packer(grid, seed, dtype, n_rows, n_jobs, not all_seen)
    packer.extend(source.chunks() if head is None else chain(head, chunks))
    if all_seen and packer.store.n_rows != n_rows:
        raise ValueError(
            f"The source gave {n_rows} rows in the first pass and {packer.store.n_rows} in the second; it has to give "
            "the same rows twice. Pass a fitted quantizer to read it once."
        )
    return packer.finish(source.names)


def sketch_of(chunks, seed, expected, n_jobs, missing):
    """The ColumnSketch of the rows of some chunks, as many as expected if that is known."""
    sketch = None
    for chunk in chunks:
        sketch = sketch or ColumnSketch(chunk.X.shape[1], seed, expected, missing=missing)
        sketch.update(chunk.X, n_jobs, chunk.names)
    if sketch is None or sketch.n_rows == 0:
        raise ValueError("The source has no rows: at least one is needed.")
    return sketch


def _head(chunks):
    """The first chunks, enough for a sample."""
    head, rows = [], 0
    for chunk in chunks:
        head.append(chunk)
        rows += len(chunk.X)
        if rows >= sample_size(chunk.X.shape[1]):
            break
    return head


class Packer:
    """Rounds chunks on given levels and collects the codes.

    Parameters
    ----------
    grid : Grid
    seed : int, 64 bits
    dtype : dtype of the rows, or None for that of the first chunk
    capacity : int, rows to make room for; all there will be, unless unseen
    n_jobs : int or None, threads
    unseen : bool, whether rows may lie outside the grid
    """

    def __init__(self, grid, seed, dtype, capacity, n_jobs, unseen):
        grid = grid.watching_all() if unseen else grid
        self.grid, self.seed, self.dtype, self.n_jobs = grid, seed, dtype, n_jobs
        self.n_columns, scheme = len(grid.used), grid.scheme
        self.encoder = RowEncoder(grid, seed, n_jobs)
        self.carried = CarriedNoise(grid) if scheme.is_compensated else None
        key, size = Stream.DUPLICATES_SAMPLE.of(seed), duplicates.sample_size(self.n_columns)
        self.sample = RowSample(size, key, None if unseen else capacity)
        self.targets, self.weights, self.by_place = [], [], True
        self.store = RowStore(self.n_columns, scheme.format, capacity)
        # of a known number of rows each goes to its slot at once
        self.order = None if unseen else RowOrder(capacity, Stream.ROW_ORDER.of(seed))
        self.low = np.full(self.n_columns, np.inf, grid.dtype) if unseen else None
        self.high = None if self.low is None else -self.low

    def extend(self, chunks):
        """Take all rows of some chunks."""
        for chunk in chunks:
            first = self.store.n_rows
            self.add(chunk.X, chunk.names, by_place=chunk.rounded is not None)
            if chunk.rounded is not None and self.carried is not None:
                self.carried.add(*chunk.rounded, self._packed_rows(first))
            if chunk.y is not None:
                self.targets.append(np.array(chunk.y))
            if chunk.weights is not None:
                self.weights.append(np.array(chunk.weights))

    def add(self, X, column_names=None, by_place=False):
        """Take the rows of an array (rows, columns); see `Encoder.encode` for by_place."""
        self._check(X, column_names)
        self.by_place &= by_place
        self.sample.offer(X)
        before, rows = self.store.n_rows, self.store.append(len(X))
        if self.order is None:
            settings = {"by_place": by_place, "slots_known": False}
            self.encoder.encode(X, rows, lambda numbers: numbers - before, before, **settings)
        elif before + len(X) <= self.order.n:  # else it will be an error, once they are counted
            rows = self.store.rows(self.order.n)
            self.encoder.encode(X, rows, self.order.slots, before, by_place=by_place)

    def _packed_rows(self, first):
        """The rows from number `first` on as they are packed, (rows, bytes of a row)."""
        last = self.store.n_rows
        if self.order is None:
            return self.store.rows(last)[first:]
        expected = np.arange(first, min(last, self.order.n))
        return self.store.rows(self.order.n)[self.order.slots(expected)]

    def statistics(self, n_rows, tiles):
        """Statistics of the n_rows rows added, parts of PackedRows; tiles hold them, if integers are among them."""
        collision_probability = 0.0
        if not (self.by_place or self.encoder.n_integers == n_rows):
            values = self.sample.values()
            keys = self.encoder.equality_keys(values, np.arange(len(values)))
            collision_probability = duplicates.of_keys(keys)
        counts = n_rows, self.encoder.n_integers
        new = of_encoded(self.encoder.moments, counts, collision_probability, self.grid, tiles)
        return new if self.carried is None else self.carried.joined(new, n_rows, self.encoder.moments.hits)

    def _check(self, X, column_names):
        """Refuse rows of another kind; note the range of rows that the grid was made without."""
        if X.shape[1] != self.n_columns:
            raise ValueError(f"A chunk has {X.shape[1]} columns where {self.n_columns} are expected.")
        self.dtype = X.dtype if self.dtype is None else self.dtype
        if self.low is None:
            return
        if block_dtype(X.dtype) is np.float64 and self.grid.dtype is np.float32:
            raise ValueError(
                f"A chunk has dtype {X.dtype} where the levels were found for float32; give all chunks the same dtype."
            )
        missing = self.grid.missing is not None
        for low, high in block_ranges(X, column_names=column_names, first_row=self.sample.n_seen, missing=missing):
            self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    def finish(self, feature_names=None):
        """The PackedRows of all rows; the packer must not be used again."""
        n = self.store.n_rows
        if n == 0:
            raise ValueError("The source has no rows: at least one is needed.")
        self.warn_outside(feature_names)
        row_seed = Stream.ROW_ORDER.of(self.seed)
        tiles = self.store.into_tiles(row_seed if self.order is None else None, n_jobs=self.n_jobs)
        statistics = self.statistics(n, tiles)
        slots = RowOrder(n, row_seed).slots if self.order is None else None
        along = parts_of_found(self.encoder.found, len(tiles), self.n_columns, slots)
        along["target"] = check_target(np.concatenate(self.targets), n) if self.targets else None
        along["sample_weight"] = check_row_weights(np.concatenate(self.weights), n) if self.weights else None
        along |= {"feature_names": feature_names, "missing_count": self.encoder.n_missing}
        dtype = decoded_dtype(self.dtype)
        return PackedRows.of_grid(self.grid, tiles, statistics, (n, self.n_columns), dtype, row_seed, **along)

    def warn_outside(self, column_names=None):
        """Warn of columns whose values exceed the grid by more than a fixed-point step: they are biased."""
        if self.low is not None:
            warn_outside(self.grid, self.low, self.high, column_names)


def warn_outside(grid, low, high, column_names=None):
    """Warn of columns whose range exceeds what codes and outliers hold by more than a fixed-point step: biased ones."""
    slack, end = grid.step / encoder_kernels.GRID_FRACTION, grid.offset + grid.step * grid.top
    if grid.watched is not None:
        slack = np.where(grid.watched, MOST_DIFFERENCE * grid.step, slack)
    outside = np.flatnonzero((low < grid.offset - slack) | (high > end + slack))
    if outside.size:
        warn(
            f"Values of column(s) {listed(outside, column_names)} lie outside the range that the levels were found "
            "for, and were moved to its ends, which biases them. Find the levels from all rows: pass a source that "
            "can be read twice, or a DoubleSamplingQuantizer that has seen all chunks in partial_fit.",
        )
