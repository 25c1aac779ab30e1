"""Sums over rows that tell how a logistic objective curves; those of parts of the rows add up."""

import numpy as np

from .._kernels import matmul
from .._kernels import tiles as kernels
from . import evaluation, softmax
from .gram import second_moments

# Values of rows that the whole Hessian of many classes is taken from at a time.
BLOCK_VALUES = 1 << 20


def concentration(problem, labels, slopes):
    """Of second derivatives, summed over outputs: their sum and that of their squares; the same of weights."""
    curvature = softmax.curvatures(labels, slopes).sum(axis=0)
    weights = problem.unit_weights()[: problem.n]
    return np.array([curvature.sum(), curvature @ curvature, weights.sum(), weights @ weights])


def weighted_sums(problem, labels, slopes, last):
    """Sums of products of the scaled columns, the last one of ones, weighted by the curvature of the loss.

    Parameters
    ----------
    problem : Problem
    labels : Labels of one output
    slopes : float64 (1, rows)
    last : int, tiles whose rows are summed

    Returns
    -------
    float64 (columns + 1, columns + 1)
    """
    n = min(problem.n, last * kernels.TILE_ROWS)
    weights = softmax.curvatures(labels.first(n), slopes[:, :n])[0]
    out = np.zeros((problem.d + 1,) * 2)
    out[:-1, :-1] = n * weighted_moments(problem, weights, last)
    out[-1, :-1] = out[:-1, -1] = _weighted_columns(problem, weights, last)
    out[-1, -1] = weights.sum()
    return out


def pair_sums(problem, labels, slopes, last):
    """The same by pairs of many outputs, float64 (outputs, columns + 1, outputs, columns + 1), the lower half."""
    n_outputs, size = labels.n_outputs, problem.d + 1
    blocks = np.zeros((n_outputs, size, n_outputs, size))
    step = max(1, BLOCK_VALUES // (kernels.TILE_ROWS * size))
    for first in range(0, last, step):
        start, stop = first * kernels.TILE_ROWS, min(problem.n, min(first + step, last) * kernels.TILE_ROWS)
        rows = np.empty((stop - start, size))
        rows[:, :-1] = problem.scaled_block(first, min(first + step, last))
        weights = labels.weights[start:stop] if len(labels.weights) else np.ones(stop - start)
        rows[:, -1] = np.sqrt(weights)
        p = softmax.predicted(labels, slopes, slice(start, stop))
        for k in range(n_outputs):
            for j in range(k + 1):
                blocks[k, :, j] += (rows * (p[k] * ((j == k) - p[j]))[:, None]).T @ rows
    return blocks


def weighted_moments(problem, weights, last):
    """Mean of weights times products of scaled columns over the rows of tiles 0..last-1; weights at most one or so."""
    if problem.tiles.width == kernels.FLOAT_WIDTH:
        return _float_moments(problem, weights, last)
    largest = weights.max(initial=0)
    if not largest > 0:
        return np.zeros((problem.d, problem.d))
    whole = np.zeros(last * kernels.TILE_ROWS, dtype=np.int32)
    whole[: len(weights)] = np.rint(weights * (matmul.MOST_WEIGHT / largest))
    total = whole.sum(dtype=np.int64)
    moments = second_moments(problem.tiles, last, problem.centre, problem.threads, whole)
    moments *= problem.unit * (total / len(weights) * (largest / matmul.MOST_WEIGHT))
    moments *= problem.unit[:, None]
    return moments


def _weighted_columns(problem, weights, last):
    """Sum of weights times scaled rows of tiles 0..last-1, float64 (columns,)."""
    padded = np.zeros(last * kernels.TILE_ROWS)
    padded[: len(weights)] = weights
    sums = problem.column_sums(padded, 0, last, evaluation.LIMBS)
    return (sums - weights.sum() * problem.centre) * problem.unit


def _float_moments(problem, weights, last):
    moments = np.zeros((problem.d, problem.d))
    size = max(1, (1 << 20) // (kernels.TILE_ROWS * max(1, problem.d)))
    for first in range(0, last, size):
        end = min(first + size, last)
        rows = problem.tiles.floats[first:end, : problem.d].transpose(0, 2, 1).reshape(-1, problem.d)
        start = first * kernels.TILE_ROWS
        some = weights[start : start + len(rows)]
        rows = (rows[: len(some)] - problem.centre) * problem.unit
        moments += (rows * some[:, None]).T @ rows
    return moments / max(1, len(weights))
