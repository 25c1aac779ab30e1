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
        return list(collection.to_delayed()), None
    if isinstance(collection, (Delayed, Future)):
        collection = [collection]
    is_list = isinstance(collection, (list, tuple)) and len(collection) > 0
    if is_list and all(isinstance(chunk, (Delayed, Future)) for chunk in collection):
        return [delayed(chunk) if isinstance(chunk, Future) else chunk for chunk in collection], None
    if is_dask_collection(collection):
        raise ValueError(
            f"{name} is a {type(collection).__name__}; give a Dask array, a Dask data frame or delayed chunks."
        )
    return _of_memory(name, collection, lengths)


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
