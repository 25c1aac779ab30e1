"""Rounding variance of columns, known or, where no account was kept of errors, from the distances of levels."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads

# Variance of values rounded at random, and to the nearest, between two levels at distance one, evenly spread.
AT_RANDOM, TO_NEAREST = 1 / 6, 1 / 12


def rounding_variance(problem):
    """Mean squared rounding error of every column of a Problem, float64 (columns,), in squared grid steps."""
    if problem.tiles.width == kernels.FLOAT_WIDTH or problem.matrix.scheme.is_compensated:
        return np.asarray(problem.variance, dtype=np.float64)
    packed = problem.matrix
    size = TO_NEAREST if packed.scheme.rounds_to_nearest else AT_RANDOM
    if packed.scheme.width == 8:
        gaps = np.asarray(packed.high, dtype=np.float64) / np.maximum(1, packed.used.astype(np.int64) - 1)
        return np.where(problem.unit > 0, size * gaps**2, 0.0)
    positions = packed.table[: problem.d].astype(np.float64)
    gaps = np.diff(positions, axis=1, prepend=positions[:, :1], append=positions[:, -1:])
    below, above = gaps[:, :-1], gaps[:, 1:]
    even = size * (below**3 + above**3) / np.maximum(1, below + above)
    counts = sum(in_threads(packed.tiles.counts, packed.tiles.n_tiles, THREAD_TILES, None))
    return np.where(problem.unit > 0, (counts * even).sum(axis=1) / problem.n, 0.0)
