"""Targets in the order of slots, centred and scaled to at most one: a few rows at a time, which stay in the caches."""

import numpy as np

from .._kernels.threads import in_threads

# Targets that the solvers are given in float64: more would count beside the packed rows.
MOST_EXACT_TARGETS = 1 << 22
# Values at a time, rows of them at least, and values from which a thread of their own pays.
VALUES, LEAST_ROWS, THREAD_VALUES = 1 << 15, 32, 1 << 17
# Rows whose order is made at a time.
ORDERED_ROWS = 1 << 17
# Largest distance from their mean of targets that are constant, but for the rounding of that mean.
CONSTANT = 1e-15


def standardized_targets(matrix, targets, weights, *, centred, n_slots, n_jobs):
    """Targets less their means, by what makes the largest of them one; nothing depends on the threads.

    Parameters
    ----------
    matrix : PackedRows or FloatRows, whose rows' order it is
    targets : float64 or float32 (n_samples, outputs)
    weights : float64 (n_samples,) or None, of the means
    centred : bool, whether means are taken off
    n_slots : int, at least n_samples
    n_jobs : int or None

    Returns
    -------
    slots : float64, or float32 of many targets, (outputs, n_slots), zero behind the last row
    mean, scale : float64 (outputs,)
    """
    n, n_outputs = targets.shape
    step = max(LEAST_ROWS, VALUES // max(1, n_outputs))
    block = step * max(1, THREAD_VALUES // (step * max(1, n_outputs)))
    low, high = _extremes(targets, block, n_jobs)
    size = np.maximum(high, -low)
    size[size == 0] = 1
    mean = _means(targets, size, weights, (step, block), n_jobs) if centred else np.zeros(n_outputs)
    # rounding keeps the order of values, so that these are still the largest and the smallest
    spread = np.maximum(high / size - mean, mean - low / size)
    spread[spread <= CONSTANT] = 0  # there is nothing to learn
    divisor = np.where(spread > 0, spread, np.inf)
    out = np.empty((n_outputs, n_slots), dtype=np.float64 if targets.size <= MOST_EXACT_TARGETS else np.float32)
    out[:, n:] = 0
    for first in range(0, n, ORDERED_ROWS):
        rows = matrix.order.rows(first, first + ORDERED_ROWS, n_jobs)
        some = out[:, first : first + len(rows)]

        def fill(begin, end, rows=rows, some=some):
            for start in range(begin, end, step):
                own = np.divide(targets.take(rows[start : min(end, start + step)], axis=0), size, dtype=np.float64)
                own -= mean
                own /= divisor
                some[:, start : start + len(own)] = own.T

        in_threads(fill, len(rows), block, n_jobs)
    return out, mean * size, np.where(spread > 0, spread * size, 1.0)


def _extremes(targets, block, n_jobs):
    """Least and largest of each output, float64."""

    def share(first, last):
        return targets[first:last].min(axis=0), targets[first:last].max(axis=0)

    low, high = zip(*in_threads(share, len(targets), block, n_jobs), strict=True)
    return np.min(low, axis=0).astype(np.float64), np.max(high, axis=0).astype(np.float64)


def _means(targets, size, weights, rows_at_once, n_jobs):
    """Weighted means of targets by size, summed by a number of rows that is the same for any threads."""
    n, (step, block) = len(targets), rows_at_once
    sums = np.zeros((-(-n // step), targets.shape[1]))

    def share(first, last):
        for start in range(first, last, step):
            own = np.divide(targets[start : min(last, start + step)], size, dtype=np.float64)
            if weights is not None:
                own *= weights[start : start + len(own), None]
            own.sum(axis=0, out=sums[start // step])

    in_threads(share, n, block, n_jobs)
    return sums.sum(axis=0) / (n if weights is None else weights.sum())
