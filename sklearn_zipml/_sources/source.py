"""Rows of anything, a chunk at a time: arrays, memory maps, data frames, files that pyarrow reads, iterables."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from .._feature_names import Expected, compare_names, string_names
from .._parameters import is_integer
from .._storage.blocks import is_real
from .._storage.decoded_rows import warn_of_decoded
from .._storage.targets import check_row_weights
from .columns import Columns
from .csv_header import has_header
from .files import TableFile, files_of, open_files, targets_beside
from .genotypes import BedFile
from .phenotypes import has_ids, phenotypes_of
from .tables import (
    batches_of_lazy_frame,
    is_arrow,
    is_csv_dataset,
    is_frame,
    is_lazy_frame,
    known_rows,
    read_arrow,
    read_frame,
)
from .vector import vector_of

CHUNK_BYTES = 1 << 25
LEAST_SAMPLES = 512  # of a chunk of genotypes, for which all of the file is gone through


class Chunk(NamedTuple):
    """Rows: X (rows, columns), y (rows,) or (rows, targets) or None, weights of rows or None, labels or None.

    Of rows that had been rounded already, `rounded` is the PackedMatrix of them and the indices of the columns.
    """

    X: np.ndarray
    y: np.ndarray | None
    weights: np.ndarray | None
    names: tuple | None
    rounded: tuple | None = None


@dataclass
class Source:
    """Chunks of rows.

    Attributes
    ----------
    read : callable that starts a pass and returns its Chunks
    repeatable : bool, whether a second pass is possible
    n_rows : int or None, where it is known beforehand
    names : tuple of str or None, known from the first chunk on
    expected : Expected or None, what these are to be
    genotypes : BedFile or None, the file that all of it is from, which can be packed as it is
    advance : callable(share), which is told of each part of a work that reads no chunks
    """

    read: Callable[[], Iterable[Chunk]]
    repeatable: bool = True
    n_rows: int | None = None
    names: tuple | None = None
    expected: Expected | None = None
    genotypes: BedFile | None = None
    advance: Callable[[float], None] = lambda share: None

    def chunks(self) -> Iterator[Chunk]:
        """The chunks of one pass, checked to agree with each other."""
        first = None
        for chunk in self.read():
            _check_chunk(chunk)
            if first is None:
                first, self.names = chunk, string_names(chunk.names)
                if self.expected is not None:
                    compare_names(self.names, self.expected)
            if chunk.X.shape[1] != first.X.shape[1] or chunk.names != first.names:
                raise ValueError(
                    f"Chunks differ in their columns: first {first.names or first.X.shape[1]}, "
                    f"then {chunk.names or chunk.X.shape[1]}."
                )
            if (chunk.y is None) != (first.y is None):
                raise ValueError("Some chunks have a target and some have none.")
            if (chunk.weights is None) != (first.weights is None):
                raise ValueError("Some chunks have weights and some have none.")
            yield chunk


def open_source(data, y=None, sample_weight=None, **reading):
    """A Source of rows.

    Parameters
    ----------
    data : see PackedMatrix.from_chunks
    y : array-like of shape (n_samples,) or (n_samples, n_targets), or path of a file of it, or None
    sample_weight : array-like of shape (n_samples,), or the name or index of a column of the data, or None
    reading : what of `Columns` is not its default:
        target : column name or index, or a list of them, or None: columns of the data that are the target
        columns : list of column names or indices, or None: columns of the data that are features, None for the others
        header : bool or None, whether CSV files begin with names
        delimiter : str or None, between the values of CSV files
        transform : fitted transformer of the features, or None
        missing : bool, whether tables may have nulls in features, which become NaN

    Returns
    -------
    Source

    Raises
    ------
    TypeError, ValueError
        For data that cannot be read in chunks, or files of an unknown kind.
    ImportError
        Where pyarrow is needed and missing.
    """
    header, target = reading.get("header"), reading.get("target")
    if y is not None and target is not None:
        raise ValueError("Give y or target, not both.")
    path, y = (y, None) if isinstance(y, str | PathLike) else (None, y)
    y = None if y is None else _rows_of(y)
    is_label = isinstance(sample_weight, str) or is_integer(sample_weight)
    label, weights = (sample_weight, None) if is_label else (None, sample_weight)
    weights = None if weights is None else _rows_of(weights, "sample_weight")
    pick = Columns(**reading, weight=label)
    files = files_of(data)
    if files is not None:
        data = _Tables(open_files(files, pick))
        if path is not None and isinstance(data[0], BedFile) and has_ids(path):
            path, y = None, phenotypes_of(path, data[0].samples)
        if y is None and path is None and target is None:
            y = targets_beside(files)
    elif is_csv_dataset(data):
        has_header(data.schema.names, "the dataset", header)
    y = y if path is None else vector_of(path)
    beside = {name: array for name, array in (("y", y), ("weights", weights)) if array is not None}
    source = _source_of(data, pick)
    return _with_beside(source, beside) if beside else source


class _Tables(list):
    """Tables that are read one after another."""


def _source_of(data, pick):
    if isinstance(data, Source):
        return data
    if callable(data) and not hasattr(data, "shape"):
        return Source(lambda: _chunks_of_all(_called(data), pick))
    if issparse(data):
        raise TypeError("Sparse matrices are not supported; the data has to be dense. Try X.toarray() on chunks of it.")
    if is_lazy_frame(data):
        return Source(lambda: _chunks_of_all(batches_of_lazy_frame(data), pick))
    if isinstance(data, _Tables) and isinstance(data[0], BedFile):
        bed = data[0] if pick.transform is None else None
        return Source(lambda: _chunks_of(data, pick), n_rows=data[0].n_rows, genotypes=bed)
    if isinstance(data, _Tables) or is_arrow(data) or is_frame(data) or _is_array(data):
        return Source(lambda: _chunks_of(data, pick), n_rows=_known_rows(data))
    if not isinstance(data, Iterable):
        raise TypeError(
            f"Cannot read chunks of {type(data).__name__}: give a two-dimensional array, a data frame, the path of "
            ".npy, .parquet, .feather, .arrow or .csv files, an iterable of chunks, or a callable that returns one."
        )
    return Source(lambda: _chunks_of_all(data, pick), repeatable=iter(data) is not data)


def _called(source):
    """What a callable gives, which has to be chunks."""
    chunks = source()
    if not isinstance(chunks, Iterable):
        raise TypeError(
            f"source={source!r} gave {type(chunks).__name__}; a callable has to return an iterable of chunks."
        )
    return chunks


def _rows_of(y, name="y"):
    """A target, or weights, that have rows: an array, or what can be sliced as one."""
    if issparse(y):
        raise TypeError(f"{name} is sparse; it has to be dense. Try {name}.toarray().")
    rows = y if hasattr(y, "shape") else np.asarray(y)
    if not len(rows.shape):
        raise ValueError(f"{name}={y!r} is one value; there has to be one for each row.")
    return rows


def _known_rows(data):
    """Number of rows, where nothing has to be read for it."""
    if isinstance(data, _Tables):
        counts = [_known_rows(table) for table in data]
        return None if None in counts else sum(counts)
    if hasattr(data, "shape"):
        return data.shape[0] if len(data.shape) else None  # which is refused when it is read
    return len(data) if hasattr(data, "__len__") else known_rows(data)


def _is_array(data):
    """NumPy arrays and memory maps; HDF5 and Zarr arrays, which are known by what they can do."""
    return hasattr(data, "shape") and hasattr(data, "dtype") and hasattr(data, "__getitem__")


def _is_packed(data):
    """A PackedMatrix: an array that tells how far off its values are."""
    return hasattr(data, "rounding_variance")


def _chunks_of_all(items, pick):
    for item in items:
        y = weights = None
        if isinstance(item, Chunk):
            yield item
            continue
        if isinstance(item, tuple) and len(item) in (2, 3):
            item, y, *more = item
            y = None if y is None else _rows_of(y)
            weights = _rows_of(more[0], "sample_weight") if more and more[0] is not None else None
        if isinstance(item, str | PathLike):
            item = _Tables(open_files(files_of(item), pick))
        elif isinstance(item, list):
            item = np.asarray(item)
        if issparse(item):
            raise TypeError("A chunk is sparse; it has to be dense. Try X.toarray().")
        if not (isinstance(item, _Tables) or is_arrow(item) or is_frame(item) or _is_array(item)):
            raise TypeError(
                f"A chunk is of type {type(item).__name__}: chunks are arrays of shape (rows, columns), data frames, "
                "Arrow tables, paths of files, or pairs of one of them and its target, and perhaps weights."
            )
        yield from _chunks_of(item, pick, y, weights)


def _chunks_of(data, pick, y=None, weights=None):
    """The chunks of one array or table, or of tables one after another."""
    tables = data if isinstance(data, _Tables) else [data]
    start = 0
    for X, own_y, own_weights, names, *rounded in chain.from_iterable(_read(table, pick) for table in tables):
        rows = slice(start, start + len(X))
        beside = own_y if y is None else _plain(y[rows]), own_weights if weights is None else _plain(weights[rows])
        yield Chunk(X, *beside, names, *rounded)
        start += len(X)
    for what, array in (("a target", y), ("weights", weights)):
        if array is not None and len(array) != start:
            raise ValueError(f"A chunk has {start} rows and {what} of {len(array)}.")


def _read(table, pick):
    for name, value in (("header", pick.header), ("delimiter", pick.delimiter)):
        if value is not None and not (isinstance(table, TableFile) or (name == "header" and is_csv_dataset(table))):
            raise ValueError(f"{name}={value!r} is for CSV files, and not for data of type {type(table).__name__}.")
    if isinstance(table, BedFile):
        return _read_genotypes(table, pick)
    if is_arrow(table):
        return read_arrow(table, pick)
    if _is_packed(table):
        return _read_packed(table, pick)
    return _watched(read_frame(table, pick) if is_frame(table) else _read_array(table, pick), pick)


def _rows_at_once(array):
    """Rows of an array that make a chunk."""
    return max(1, CHUNK_BYTES // max(1, array.shape[1] * np.dtype(array.dtype).itemsize))


def _read_packed(packed, pick):
    """Rows of a PackedMatrix, decoded, with its target unless others are asked for."""
    if pick.transform is not None:
        raise ValueError("Packed rows take no transform: their rounding errors would no longer be known.")
    names = packed.feature_names
    asked = [*pick.targets, *pick.weights, *(pick.columns or [])]
    by_name = names is not None and any(isinstance(key, str) for key in asked)
    features, targets = pick.split(names if by_name else range(packed.shape[1]))
    weight = pick.weights
    if by_name:
        features, targets, weight = [[names.index(name) for name in some] for some in (features, targets, weight)]
    step, own = _rows_at_once(packed), None if names is None else tuple(names[j] for j in features)
    for start in range(0, len(packed), step):
        rows = packed[start : start + step]
        values = np.asarray(rows)
        y = rows.target if not targets else values[:, targets[0]] if pick.single else values[:, targets]
        weights = values[:, weight[0]] if weight else rows.sample_weight
        yield values[:, features], y, weights, own, (rows, np.array(features))


def _read_genotypes(bed, pick):
    start = 0
    for block in bed.read(max(LEAST_SAMPLES, CHUNK_BYTES // (8 * bed.n_columns))):
        X, labels = pick.transformed(block)
        rows = slice(start, start + len(block))
        beside = [None if array is None else array[rows] for array in (bed.target, bed.weights)]
        start += len(block)
        yield X, *beside, bed.names if pick.transform is None else labels


def _watched(read, pick):
    """Rows as they are read; a warning, once, if a PackedMatrix has decoded them."""
    for k, part in enumerate(read):
        if k == 0 and not pick.found_decoded:
            pick.found_decoded = is_real(part[0].dtype) and warn_of_decoded(part[0])
        yield part


def _read_array(array, pick):
    if len(array.shape) != 2:
        raise ValueError(f"Expected a two-dimensional array of samples and features, got shape {tuple(array.shape)}.")
    rows = _rows_at_once(array)
    stored = getattr(array, "chunks", None)  # HDF5 and Zarr decompress whole chunks
    if stored and isinstance(stored[0], int) and stored[0] < rows:
        rows -= rows % stored[0]
    for start in range(0, array.shape[0], rows):
        X, *beside = pick.of_array(_plain(array[start : start + rows]))
        X, labels = pick.transformed(X)
        yield X, *beside, labels


def _plain(values):
    """An array of values that are all known: conversion would uncover what is masked."""
    if np.ma.is_masked(values):
        raise ValueError("A chunk or its target has masked values: fill them, or leave those rows out.")
    return np.asarray(values)


def _with_beside(source, beside):
    """The source with what lies beside it, by its name in Chunk: targets, weights."""

    def check(n_rows):
        for name, array in beside.items():
            if array.shape[0] != n_rows:
                called = "y" if name == "y" else "sample_weight"
                raise ValueError(f"The data has {n_rows} rows and {called} has {array.shape[0]}.")

    if source.n_rows is not None:
        check(source.n_rows)
    if source.genotypes is not None:
        if "y" in beside:
            source.genotypes.target = _plain(beside["y"][: source.n_rows])
        if "weights" in beside:
            source.genotypes.weights = _plain(beside["weights"][: source.n_rows])
        return source

    def read():
        start = 0
        for chunk in source.read():
            stop = start + len(chunk.X)
            yield chunk._replace(**{name: _plain(array[start:stop]) for name, array in beside.items()})
            start = stop
        check(start)

    return Source(read, source.repeatable, source.n_rows, source.names)


def _check_chunk(chunk):
    X, y = chunk.X, chunk.y
    if issparse(X) or X.ndim != 2:
        raise ValueError(f"A chunk has shape {X.shape}; chunks are dense and of shape (rows, columns).")
    if not is_real(X.dtype):
        raise ValueError(f"A chunk has dtype {X.dtype}; give numbers (integers, floats or booleans).")
    if y is not None and len(y) != len(X):
        raise ValueError(f"A chunk has {len(X)} rows and a target of {len(y)}.")
    if chunk.weights is not None:
        check_row_weights(chunk.weights, len(X))
