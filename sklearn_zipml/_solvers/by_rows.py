"""The exact minimum from the products of rows with each other, where there are fewer rows than columns.

With B the centred rows in units of X, times the roots of their weights, the coefficients are B'v and v solves
(B B' + n alpha) v = y: the dual of ridge regression. For alpha = 0 they are those of least norm in units of X.
"""

import numpy as np

from . import evaluation
from .accuracy import gain_by_one_column, is_reached
from .factor import SINGULAR, Factor
from .gram import row_gram
from .row_products import integer_row_gram
from .single_factor import SingleFactor

MOST_STEPS = 30
ROWS_AT_ONCE = 64
# Products from which on they are made in float32, which takes half the time, and the reciprocal condition number down
# to which that is tried: an error of 1e-7 then makes every step leave a tenth of what was missing at most, as a rule
# much less. The passes over the rows that a step is take less time than products in float64.
LARGE, SINGLE = 1e9, 1e-6
# What positions may be off where they are made whole to that end, see `whole_positions`.
MOST_ERROR = 1e-3


def solve_by_rows(quadratic, singular_too=False):
    """The minimum, from the factored matrix of products of rows; see `solve_by_columns`.

    The gap is the duality gap |r - n alpha v|² / 2n, r being the residuals; for alpha = 0 what of them the rows can
    explain.

    Returns
    -------
    (z, objective, gap), or None if the matrix is singular to working precision and that was not to be put up with
    """
    problem = quadratic.problem
    root, size = np.sqrt(problem.unit_weights()[: problem.n]), quadratic.size_in_units_of_x()
    if float(problem.n) * problem.n * problem.d > LARGE:
        for products in (_of_integers, _of_floats):
            found = _factor_in_float32(quadratic, root, size, products)
            if found is None:
                continue
            if found[0].rcond < SINGLE:
                break
            best, is_enough = _refined(quadratic, root, size, *found)
            if is_enough:
                return best
    factor, scale, ridge = _factor(quadratic, root, size, singular_too)
    if factor.rcond < SINGULAR and not singular_too:
        return None
    return _refined(quadratic, root, size, factor, scale, ridge)[0]


def _of_integers(problem, size):
    return integer_row_gram(problem, size, MOST_ERROR)


def _of_floats(problem, size):
    return row_gram(problem.tiles, problem.centre, size, np.float32, problem.threads)


def _refined(quadratic, root, size, factor, scale, ridge):
    """The best solution that steps by the residuals of the rows come to, and whether it is good enough."""
    problem, n = quadratic.problem, len(root)
    left, start = quadratic.row_targets * root, quadratic.at_zero
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
            return best, True
    return best, False


def _factor(quadratic, root, size, singular_too):
    """The factored matrix, in parts of the mean of its diagonal, that mean, and the ridge in its parts."""
    problem, n = quadratic.problem, len(root)
    products = integer_row_gram(problem, size)
    if products is None:
        products = row_gram(problem.tiles, problem.centre, size, np.float64, problem.threads)
    products *= root[:, None]
    products *= root
    scale = _scale(np.trace(products) / n)
    products /= scale
    ridge = n * quadratic.alpha_in_units_of(size) / scale
    if problem.is_centred:  # the targets have no part along the mean, so that any curvature there will do
        products += np.outer(root, root) / (root @ root)
    products[np.diag_indices(n)] += ridge
    return Factor(products, np.ones(n), singular_too), scale, ridge


def _factor_in_float32(quadratic, root, size, products_of_rows):
    """The same by products that may be a little off; None where there are none."""
    problem, n = quadratic.problem, len(root)
    products = products_of_rows(problem, size)
    if products is None:
        return None
    scale = _scale((np.diag(products) * root**2).mean())
    ridge = n * quadratic.alpha_in_units_of(size) / scale
    matrix, mean = np.empty((n, n), dtype=np.float32), 1 / (root @ root) if problem.is_centred else 0.0
    for first in range(0, n, ROWS_AT_ONCE):
        some = slice(first, first + ROWS_AT_ONCE)
        part = products[some] / scale
        part += mean
        part *= root[some, None]
        part *= root
        matrix[some] = part
    matrix[np.diag_indices(n)] += np.float32(ridge)
    return SingleFactor(matrix), scale, ridge


def _scale(mean):
    """What products are taken in parts of."""
    return mean if mean >= np.finfo(float).tiny / np.finfo(float).eps else 1.0  # columns that hardly vary: no matter
