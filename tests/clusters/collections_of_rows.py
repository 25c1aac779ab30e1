"""Rows in partitions of any kind, for the tests on Dask."""

import time

import numpy as np
from dask import array as da
from dask import delayed


def rows(n=3000, d=7, seed=0):
    """Correlated columns away from zero with repeated rows, two targets and weights, some of which are zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3) * np.geomspace(0.1, 10, d) + 5
    X[100:200] = X[:100]
    y = X @ rng.standard_normal((d, 2)) + rng.standard_normal((n, 2))
    return X, y, rng.integers(0, 3, n) * rng.uniform(0.5, 2, n)


def array_in(parts, *arrays):
    """Dask arrays of arrays in so many unequal partitions, some of them empty."""
    n = len(arrays[0])
    cuts = np.sort(np.random.default_rng(parts).integers(0, n, parts - 1))
    if parts > 2:
        cuts[1] = cuts[0]
    sizes = tuple(np.diff([0, *cuts, n]).tolist())
    return [pieces(array, sizes) for array in arrays]


def pieces(array, sizes):
    """A Dask array of partitions of these sizes, which may be 0."""
    return da.from_array(array, chunks=(tuple(sizes), *((size,) for size in array.shape[1:])))


def slow_chunks(parts, seconds, n=400, d=7):
    """Delayed chunks of rows and of targets that take a while to be read."""
    read = delayed(read_slowly, pure=False)
    pairs = [read(number, seconds, n, d) for number in range(parts)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def read_slowly(number, seconds, n, d):
    """One of these chunks."""
    time.sleep(seconds)
    rng = np.random.default_rng(number)
    X = rng.standard_normal((n, d))
    return X, X @ np.arange(1, d + 1) + rng.standard_normal(n)


def all_of(parts, n=400, d=7):
    """The rows of such chunks."""
    chunks = [read_slowly(number, 0, n, d) for number in range(parts)]
    return np.concatenate([X for X, _ in chunks]), np.concatenate([y for _, y in chunks])
