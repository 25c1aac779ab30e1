"""Approximate inverses of the Hessian of a logistic objective, from second moments of rows: metrics of the descent."""

import numpy as np

from .._kernels import matmul
from .._kernels import tiles as kernels
from . import evaluation, softmax
from .factor import Factor
from .gram import second_moments

# Columns whose second moments are factored, and rows a column that they are taken from at least.
MOST_COLUMNS, BY_COLUMN, LEAST_ROWS = 2048, 16, 8192
# Products for which second moments of all rows are taken.
WHOLE_PRODUCTS = 5e8
# Directions whose curvatures are within this factor share a matrix.
BIN = 2.0
# Unknowns of the whole Hessian of many classes, and values of rows that it is taken from at a time.
MOST_UNKNOWNS, BLOCK_VALUES = 1024, 1 << 20
SMALLEST, JITTER = 1e-12, 1e-12


def inverse_curvature(objective, point):
    """The metric at a point: callable(gradients (outputs, columns + 1)) -> the same shape."""
    if not 0 < objective.d <= MOST_COLUMNS:
        return Diagonal(objective, point)
    if objective.labels.n_outputs == 1:
        return Weighted(objective, point)
    return AllPairs(objective, point) if pair_tiles(objective) else ByDirection(objective, point)


def sample_tiles(objective):
    """Tiles whose rows stand for all."""
    problem = objective.problem
    if float(problem.n) * problem.d**2 <= WHOLE_PRODUCTS:
        return problem.tiles.n_tiles
    return problem.sample_tiles(LEAST_ROWS, BY_COLUMN)


def pair_tiles(objective, most_unknowns=MOST_UNKNOWNS, most_products=WHOLE_PRODUCTS):
    """Tiles whose rows stand for all in the whole Hessian of many outputs; none if that takes too long."""
    outputs, size = objective.labels.n_outputs, objective.d + 1
    if outputs * size > most_unknowns:
        return 0
    products = float(outputs**2 * size**2) / 2
    tiles = int(most_products / products) // kernels.TILE_ROWS
    enough = objective.problem.sample_tiles(BY_COLUMN * objective.d, BY_COLUMN * outputs)
    return 0 if tiles < enough else min(tiles, objective.problem.tiles.n_tiles)


class Diagonal:
    """The Hessian's diagonal, for more columns than can be factored."""

    def __init__(self, objective, point):
        curvature = softmax.curvatures(objective.labels, point.slopes)
        mean = np.maximum(curvature.mean(axis=1), SMALLEST)[:, None] * point.scale**2
        self.diagonal = np.empty_like(point.model)
        self.diagonal[:, :-1] = mean * objective.problem.diagonal + objective.ridge
        self.diagonal[:, -1:] = mean
        self.diagonal[:, :-1][:, objective.problem.unit == 0] = np.inf
        self.diagonal[self.diagonal == 0] = np.inf
        self.is_exact, self.rcond = False, 1.0

    def __call__(self, gradient):
        return gradient / self.diagonal


class Weighted:
    """For two classes: second moments of rows weighted by the curvature of their loss, exact where they are cheap."""

    def __init__(self, objective, point):
        matrix, self.is_exact = of_two_classes(objective, point, sample_tiles(objective))
        self.factor = factored(matrix)
        self.rcond = self.factor.rcond

    def __call__(self, gradient):
        return self.factor.solve(gradient)


class ByDirection:
    """For more classes: the mean curvature by pairs of margins, times the second moments of the rows.

    Along eigenvectors of the former it is a multiple of the latter; those of similar multiples share a factor.
    """

    def __init__(self, objective, point):
        problem = objective.problem
        self.is_exact = False
        values, self.vectors = np.linalg.eigh(softmax.pair_curvatures(objective.labels, point.slopes))
        values = np.maximum(values[1:], SMALLEST + 1e-4 * values[-1])
        self.vectors = self.vectors[:, 1:]  # the first is the same move of all classes, which changes nothing
        bins = np.rint(np.log(values) / np.log(BIN))
        matrix = np.zeros((problem.d + 1,) * 2)
        matrix[:-1, :-1] = problem.dense_curvature(sample_tiles(objective))
        matrix[-1, -1] = 1.0
        self.factors = [
            (bins == k, factored(completed(objective, matrix * BIN**k, point.scale))) for k in np.unique(bins)
        ]
        self.rcond = min(factor.rcond for _, factor in self.factors)

    def __call__(self, gradient):
        along = self.vectors.T @ gradient
        for some, factor in self.factors:
            along[some] = factor.solve(along[some])
        return self.vectors @ along


class AllPairs:
    """For more classes and few columns: the whole Hessian, exact where it is taken from all rows."""

    def __init__(self, objective, point):
        matrix, self.is_exact = of_many_classes(objective, point, pair_tiles(objective))
        self.factor = factored(matrix)
        self.rcond = self.factor.rcond

    def __call__(self, gradient):
        return self.factor.solve(gradient.reshape(1, -1)).reshape(gradient.shape)


def of_two_classes(objective, point, last):
    """The Hessian of two classes, float64 (columns + 1, columns + 1), from tiles 0..last-1, and whether it is exact."""
    curvature = softmax.curvatures(objective.labels, point.slopes)[0]
    problem = objective.problem
    n = min(problem.n, last * kernels.TILE_ROWS)
    weights = curvature[:n]
    mean = max(float(weights.mean()), SMALLEST)
    centre = evaluation_of(problem, weights, last) / mean
    gram = weighted_moments(problem, weights, last)
    matrix = np.zeros((problem.d + 1,) * 2)
    matrix[:-1, :-1], matrix[-1, :-1], matrix[:-1, -1], matrix[-1, -1] = gram, centre * mean, centre * mean, mean
    return completed(objective, matrix, point.scale), n == problem.n and objective.calibration is None


def of_many_classes(objective, point, last, sameness=1.0):
    """The Hessian of many classes, outputs and then columns + 1 on each side, and whether it is exact.

    The same move of all classes changes no loss: it is given `sameness` times the curvature of the other moves.
    """
    problem, labels = objective.problem, objective.labels
    n_outputs, size = len(point.model), objective.d + 1
    blocks = np.zeros((n_outputs, size, n_outputs, size))
    step = max(1, BLOCK_VALUES // (kernels.TILE_ROWS * size))
    for first in range(0, last, step):
        start, stop = first * kernels.TILE_ROWS, min(problem.n, min(first + step, last) * kernels.TILE_ROWS)
        rows = np.empty((stop - start, size))
        rows[:, :-1] = problem.scaled_block(first, min(first + step, last))
        weights = labels.weights[start:stop] if len(labels.weights) else np.ones(stop - start)
        rows[:, -1] = np.sqrt(weights)
        p = softmax.predicted(labels, point.slopes, slice(start, stop))
        for k in range(n_outputs):
            for j in range(k + 1):
                part = (rows * (p[k] * ((j == k) - p[j]))[:, None]).T @ rows
                blocks[k, :, j] += part
    n = min(problem.n, last * kernels.TILE_ROWS)
    is_exact = n == problem.n and objective.calibration is None
    for k in range(n_outputs):
        for j in range(k + 1):
            blocks[k, :, j] = calibrated(objective, blocks[k, :, j] / n, point.scale)
            blocks[j, :, k] = blocks[k, :, j].T
    same = sameness * np.maximum(np.einsum("kiki->i", blocks), SMALLEST) / n_outputs
    blocks += (np.diag(same) / n_outputs)[None, :, None, :]
    for k in range(n_outputs):
        blocks[k, :, k] += np.diag(penalty(objective, np.diag(blocks[k, :, k])))
    if not objective.has_intercept:
        blocks[:, -1] = blocks[:, :, :, -1] = 0.0
    return blocks.reshape(n_outputs * size, n_outputs * size), is_exact


def calibrated(objective, matrix, scale):
    """Second moments of packed rows with intercept, made those of calibrated ones with margins scaled."""
    calibration = objective.calibration
    if calibration is None:
        return matrix
    inner = calibration.matrix()
    matrix = matrix * scale**2
    matrix[:-1, :-1] = inner.T @ matrix[:-1, :-1] @ inner
    matrix[-1, :-1] = matrix[-1, :-1] @ inner
    matrix[:-1, -1] = matrix[:-1, -1] @ inner
    return matrix


def penalty(objective, diagonal):
    """What goes on the diagonal: the penalty, and what keeps it positive."""
    return np.append(objective.ridge, 0.0) + JITTER * np.abs(diagonal)


def completed(objective, matrix, scale):
    """Second moments of packed rows with intercept, calibrated, with the penalty on the diagonal."""
    matrix = calibrated(objective, matrix, scale)
    matrix[np.diag_indices_from(matrix)] += penalty(objective, np.diag(matrix))
    if not objective.has_intercept:
        matrix[-1] = matrix[:, -1] = 0.0
    return matrix


def factored(matrix):
    """The Factor of a Hessian."""
    return Factor(matrix, np.ones(len(matrix)))


def evaluation_of(problem, weights, last):
    """Mean of weights times scaled rows of tiles 0..last-1, float64 (columns,)."""
    padded = np.zeros(last * kernels.TILE_ROWS)
    padded[: len(weights)] = weights
    sums = problem.column_sums(padded, 0, last, evaluation.LIMBS)
    return (sums - weights.sum() * problem.centre) * problem.unit / len(weights)


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
