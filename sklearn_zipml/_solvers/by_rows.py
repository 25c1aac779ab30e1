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
# to which that is tried: an error of 1e-7 then makes every step leave a tenth of what was missing at most, as a rule
# much less. The passes over the rows that a step is take less time than products in float64.
LARGE, SINGLE = 1e9, 1e-6


def solve_by_rows(quadratic, singular_too=False):
    """The minimum, from the factored matrix of products of rows; see `solve_by_columns`.

    The gap is the duality gap |r - n alpha v|² / 2n, r being the residuals; for alpha = 0 what of them the rows can
    explain.

    Returns
    -------
    (z, objective, gap), or None if the matrix is singular to working precision and that was not to be put up with
    """
    problem = quadratic.problem
    if float(problem.n) ** 2 * problem.d > LARGE:
        dual = _Dual(quadratic, np.float32, False)
        if dual.factor.rcond >= SINGLE:
            found, is_done = _refined(quadratic, dual)
            if is_done:
                return found
    dual = _Dual(quadratic, np.float64, singular_too)
    if dual.factor.rcond < SINGULAR and not singular_too:
        return None
    return _refined(quadratic, dual)[0]


def _refined(quadratic, dual):
    """(z, objective, gap) by the factor and steps that mend its errors, and whether the gap is small enough."""
    problem, root, ridge = quadratic.problem, dual.root, dual.ridge
    n, start = problem.n, quadratic.at_zero
    left = quadratic.row_targets * root
    v, best = np.zeros(left.shape), None
    for _ in range(MOST_STEPS):
        v = v + dual.factor.solve(left)
        z = evaluation.row_combinations(problem, v * root) * (n * dual.size**2 / dual.scale)
        residual = evaluation.residuals(quadratic, z)
        left = -residual * root - ridge * v
        explained = dual.factor.explained(left) if ridge == 0 else left
        gap = np.einsum("ki,ki->k", explained, explained) / (2 * n)
        if ridge == 0:
            gap = np.maximum(gap, gain_by_one_column(quadratic, z, residual))
        if not np.isfinite(gap).all() or (best is not None and np.all(gap >= best[2] / 2)):
            break
        best = z, evaluation.objective(quadratic, z, residual), gap
        if is_reached(gap, best[1], start):
            return best, True
    return best, False


class _Dual:
    """The factored matrix of products of rows plus the ridge.

    Attributes
    ----------
    factor : Factor, of the matrix in parts of the mean of its diagonal
    root : float64 (n_rows,), roots of the rows' weights
    size : float64 (columns,), of columns in units of X
    scale : float, the mean of the diagonal
    ridge : float, n alpha in its parts
    """

    def __init__(self, quadratic, dtype, singular_too):
        problem, n = quadratic.problem, quadratic.problem.n
        self.root, self.size = np.sqrt(problem.unit_weights()[:n]), quadratic.size_in_units_of_x()
        products = row_gram(problem.tiles, problem.centre, self.size, dtype, problem.threads)
        if len(problem.weights):
            products *= self.root[:, None]
            products *= self.root
        self.scale = np.trace(products) / n
        if self.scale < np.finfo(float).tiny / np.finfo(float).eps:  # columns hardly vary at all: nothing to learn
            self.scale = 1.0
        products /= self.scale
        self.ridge = n * quadratic.alpha_in_units_of(self.size) / self.scale
        if problem.is_centred:  # the targets have no part along the mean, so that any curvature there will do
            products += np.outer(self.root, self.root / (self.root @ self.root)) if len(problem.weights) else 1 / n
        products[np.diag_indices(n)] += self.ridge
        self.factor = Factor(products, np.ones(n), singular_too, dtype)
