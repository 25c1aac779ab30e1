"""Approximate inverses of the Hessian of a logistic objective, from second moments of rows: metrics of the descent."""

import numpy as np

from .._kernels import tiles as kernels
from .factor import Factor

# Columns whose second moments are factored, and rows a column that they are taken from at least.
MOST_COLUMNS, BY_COLUMN, LEAST_ROWS = 2048, 16, 8192
# Products for which second moments of all rows are taken.
WHOLE_PRODUCTS = 5e8
# Directions whose curvatures are within this factor share a matrix.
BIN = 2.0
# Unknowns of the whole Hessian of many classes.
MOST_UNKNOWNS = 1024
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
        return problem.n_tiles
    return problem.sample_tiles(LEAST_ROWS, BY_COLUMN)


def pair_tiles(objective, most_unknowns=MOST_UNKNOWNS, most_products=WHOLE_PRODUCTS):
    """Tiles whose rows stand for all in the whole Hessian of many outputs; none if that takes too long."""
    outputs, size = objective.labels.n_outputs, objective.d + 1
    if outputs * size > most_unknowns:
        return 0
    products = float(outputs**2 * size**2) / 2
    tiles = int(most_products / products) // kernels.TILE_ROWS
    enough = objective.problem.sample_tiles(BY_COLUMN * objective.d, BY_COLUMN * outputs)
    return 0 if tiles < enough else min(tiles, objective.problem.n_tiles)


class Diagonal:
    """The Hessian's diagonal, for more columns than can be factored."""

    def __init__(self, objective, point):
        mean = np.maximum(objective.mean_curvatures(point), SMALLEST)[:, None] * point.scale**2
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
        self.is_exact = False
        values, self.vectors = np.linalg.eigh(objective.pair_curvatures(point))
        values = np.maximum(values[1:], SMALLEST + 1e-4 * values[-1])
        self.vectors = self.vectors[:, 1:]  # the first is the same move of all classes, which changes nothing
        bins = np.rint(np.log(values) / np.log(BIN))
        matrix = mean_moments(objective)
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


def mean_moments(objective):
    """Second moments of the scaled columns, the last one of ones, of rows that stand for all."""
    matrix = np.zeros((objective.d + 1,) * 2)
    matrix[:-1, :-1] = objective.problem.dense_curvature(sample_tiles(objective))
    matrix[-1, -1] = 1.0
    return matrix


def of_two_classes(objective, point, last):
    """The Hessian of two classes, float64 (columns + 1, columns + 1), from tiles 0..last-1, and whether it is exact."""
    n = min(objective.n, last * kernels.TILE_ROWS)
    matrix = objective.weighted_sums(point, last) / n
    matrix[-1, -1] = max(matrix[-1, -1], SMALLEST)
    return completed(objective, matrix, point.scale), n == objective.n and objective.calibration is None


def of_many_classes(objective, point, last, sameness=1.0):
    """The Hessian of many classes, outputs and then columns + 1 on each side, and whether it is exact.

    The same move of all classes changes no loss: it is given `sameness` times the curvature of the other moves.
    """
    n_outputs, size, n = len(point.model), objective.d + 1, min(objective.n, last * kernels.TILE_ROWS)
    blocks = objective.pair_sums(point, last)
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
    is_exact = n == objective.n and objective.calibration is None
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
