"""The exact minimum from the products of rows with each other, where there are fewer rows than columns.

With B the centred rows in units of X, times the roots of their weights, the coefficients are B'v and v solves
(B B' + n alpha) v = y: the dual of ridge regression. For alpha = 0 they are those of least norm in units of X.
"""

import numpy as np

from . import evaluation
from .accuracy import gain_by_one_column, is_reached
from .factor import SINGULAR, Factor
from .gram import row_gram

MOST_STEPS = 30
# Products from which on they are made in float32, which takes half the time, and the reciprocal condition number down
# to which that will do: an error of 1e-7 makes every step leave at most about 1e-3 of what was missing.
LARGE, SINGLE = 1e9, 1e-4


def solve_by_rows(quadratic, singular_too=False):
    """The minimum, from the factored matrix of products of rows; see `solve_by_columns`.

    The gap is the duality gap |r - n alpha v|² / 2n, r being the residuals; for alpha = 0 what of them the rows can
    explain.

    Returns
    -------
    (z, objective, gap), or None if the matrix is singular to working precision and that was not to be put up with
    """
    problem = quadratic.problem
    n = problem.n
    root, size = np.sqrt(problem.unit_weights()[:n]), quadratic.size_in_units_of_x()
    is_single = float(n) * n * problem.d > LARGE
    if is_single:
        factor, scale, ridge = _factor(quadratic, root, size, np.float32, False)
    if not is_single or factor.rcond < SINGLE:
        factor, scale, ridge = _factor(quadratic, root, size, np.float64, singular_too)
    if factor.rcond < SINGULAR and not singular_too:
        return None
    left = quadratic.targets[:, :n] * root
    start = evaluation.zero_objective(quadratic)
    dual, best = np.zeros(left.shape), None
    for _ in range(MOST_STEPS):
        dual = dual + factor.solve(left)
        z = evaluation.row_combinations(problem, dual * root) * (n * size**2 / scale)
        residual = evaluation.residuals(quadratic, z)
        left = -residual * root - ridge * dual
        explained = factor.explained(left) if ridge == 0 else left
        gap = np.einsum("ki,ki->k", explained, explained) / (2 * n)
        if ridge == 0:
            gap = np.maximum(gap, gain_by_one_column(quadratic, z, residual))
        if not np.isfinite(gap).all() or (best is not None and np.all(gap >= best[2] / 2)):
            break
        best = z, evaluation.objective(quadratic, z, residual), gap
        if is_reached(gap, best[1], start):
            break
    return best


def _factor(quadratic, root, size, dtype, singular_too):
    """The factored matrix, in parts of the mean of its diagonal, that mean, and the ridge in its parts."""
    problem, n = quadratic.problem, len(root)
    products = row_gram(problem.tiles, problem.centre, size, dtype, problem.threads)
    products *= root[:, None]
    products *= root
    scale = np.trace(products) / n
    if scale < np.finfo(float).tiny / np.finfo(float).eps:  # columns that hardly vary at all: nothing to learn
        scale = 1.0
    products /= scale
    ridge = n * quadratic.alpha_in_units_of(size) / scale
    if problem.is_centred:  # the targets have no part along the mean, so that any curvature there will do
        products += np.outer(root, root) / (root @ root)
    products[np.diag_indices(n)] += ridge
    return Factor(products, np.ones(n), singular_too), scale, ridge
