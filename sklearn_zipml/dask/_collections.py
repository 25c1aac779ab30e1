"""Partitions of Dask collections, of lists of delayed chunks and of plain arrays, side by side."""

from itertools import pairwise

import numpy as np
from dask import array as da
from dask import delayed
from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Future


def is_frame(X):
    """Whether X is a Dask data frame or series; a Delayed has every attribute."""
    return is_dask_collection(X) and not isinstance(X, Delayed) and hasattr(X, "to_delayed") and hasattr(X, "divisions")


def partitions(X, y, sample_weight):
    """Delayed partitions of rows, targets and weights.

    Parameters
    ----------
    X, y : Dask array or data frame, list of delayed chunks or futures, or arrays in memory
    sample_weight : the same or None

    Returns
    -------
    list of (rows, targets, weights), the last one None without weights

    Raises
    ------
    ValueError
        Where they have different numbers of partitions.
    """
    rows, lengths = _chunks("X", _whole_rows(X), None)
    targets, _ = _chunks("y", y, lengths)
    weights = [None] * len(rows)
    if sample_weight is not None:
        weights, _ = _chunks("sample_weight", sample_weight, lengths)
    for name, chunks in (("y", targets), ("sample_weight", weights)):
        if len(chunks) != len(rows):
            raise ValueError(
                f"{name} has {len(chunks)} partitions, but X has {len(rows)}: give both the same ones "
                "(repartition, or rechunk)."
            )
    return list(zip(rows, targets, weights, strict=True))


def _whole_rows(X):
    """A Dask array with all columns in a chunk."""
    if isinstance(X, da.Array):
        if X.ndim != 2:
            raise ValueError(f"X: expected 2 dimensions, got a Dask array of {X.ndim}.")
        return X if X.numblocks[1] == 1 else X.rechunk({1: -1})
    return X


def _chunks(name, collection, lengths):
    """Delayed chunks, and their lengths if these are known; lengths are those of X, that others are cut to."""
    if isinstance(collection, da.Array):
        return _of_array(collection, lengths)
    if is_frame(collection):
        return _of_frame(collection), None
    if (chunks := listed(collection)) is not None:
        return chunks, None
    if is_dask_collection(collection):
        raise ValueError(
            f"{name} is a {type(collection).__name__}; give a Dask array, a Dask data frame or delayed chunks."
        )
    return _of_memory(name, collection, lengths)


def listed(collection):
    """Delayed chunks out of a list of these or of futures, or of one alone; None of anything else."""
    if isinstance(collection, (Delayed, Future)):
        collection = [collection]
    if not isinstance(collection, (list, tuple)) or len(collection) == 0:
        return None
    if not all(isinstance(chunk, (Delayed, Future)) for chunk in collection):
        return None
    return [delayed(chunk) if isinstance(chunk, Future) else chunk for chunk in collection]


def _of_frame(frame):
    """Its own partitions.

    Optimised, files are read several at once where few of their columns are asked for, so that the partitions of y do
    not go with those of X. What `simplify` does is to leave out the other columns.
    """
    frame = frame.simplify() if hasattr(frame, "simplify") else frame
    return list(frame.to_delayed(optimize_graph=False))


def _of_array(array, lengths):
    if array.ndim == 2 and array.numblocks[1] > 1:
        array = array.rechunk({1: -1})
    own = array.chunks[0]
    is_known = not np.isnan(own).any()
    if lengths is not None and is_known and own != lengths and sum(own) == sum(lengths):
        array = array.rechunk({0: lengths})
        own = array.chunks[0]
    return list(array.to_delayed().reshape(-1)), own if is_known else None


def _of_memory(name, array, lengths):
    """An array in memory, cut as X is; X itself is one chunk."""
    if not hasattr(array, "shape"):
        array = np.asarray(array)
    n = array.shape[0] if array.ndim else 0
    if lengths is None:
        return [delayed(array, traverse=False)], (n,)
    if n != sum(lengths):
        raise ValueError(f"{name} has {n} rows, but X has {sum(lengths)}.")
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = array.iloc if hasattr(array, "iloc") else array
    return [delayed(rows[start:stop], traverse=False) for start, stop in pairwise(bounds.tolist())], lengths
