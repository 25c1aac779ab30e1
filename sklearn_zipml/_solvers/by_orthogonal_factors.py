"""The exact minimum from orthogonal factors of the rows, where second moments are singular to working precision.

Second moments square the condition of the rows: what varies by 1e-8 of the rest is lost in them. So a problem that is
small enough is decoded, like a block of rows elsewhere, and factored as it is.
"""

import numpy as np
from scipy.linalg import qr, solve_triangular

from .._kernels.threads import lapack
from . import evaluation
from .accuracy import gain_by_one_column, is_reached
from .options import ROUNDING

# Values that are decoded at a time elsewhere, and here at most: 64 MB.
MOST_VALUES = 1 << 23
EPS = np.finfo(float).eps
MOST_STEPS = 5
# Part of the objective that the least norm in units of X may cost.
ENOUGH = 1e-6


def is_small_enough(problem):
    """Whether the rows may be decoded at once."""
    return problem.n * problem.d + min(problem.n, problem.d) ** 2 <= MOST_VALUES


def solve_by_orthogonal_factors(quadratic):
    """The minimum, of least norm in units of X where there are many; see `solve_by_columns`.

    Where these units are so unlike that columns are lost beside each other, columns are scaled, and so is the norm.

    Parameters
    ----------
    quadratic : Quadratic, without l1 penalty and compensation
    """
    n, d = quadratic.problem.n, quadratic.problem.d
    if quadratic.has_ridge and n >= d:
        return _solve_evenly(quadratic)
    *found, is_whole = _solve(quadratic, quadratic.size_in_units_of_x())
    least = ENOUGH * found[1] + ROUNDING * quadratic.at_zero
    if quadratic.has_ridge and (is_whole or (n + d) * d > MOST_VALUES):
        return found
    if not quadratic.has_ridge and np.all(found[2] <= least):
        return found
    other = _solve_evenly(quadratic)
    return other if np.any(other[1] < found[1] - least) else found


def _solve_evenly(quadratic):
    return _solve(quadratic, quadratic.problem.unit, even=True)[:3]


def _solve(quadratic, size, even=False):
    """The minimum with columns of a size each, or even: of the same norm, whatever weights of rows leave of them.

    Ridge terms are rows of their own, or with fewer rows than columns columns of their own: then the solution of least
    norm is that of the ridge.
    """
    problem = quadratic.problem
    n, d = problem.n, problem.d
    root = np.sqrt(problem.unit_weights()[:n])
    wide = n < d and not even
    alpha = n * quadratic.alpha_in_units_of(size) if quadratic.has_ridge and wide else 0.0
    rows = problem.tiles.columns(0, d) - problem.centre
    rows *= size
    rows *= root[:, None]
    if quadratic.has_ridge:
        more = np.sqrt(alpha) * np.eye(n) if wide else np.diag(np.sqrt(n * quadratic.ridge))
        rows = np.concatenate([rows, more], axis=int(wide))
    norm = np.ones(rows.shape[1])
    if even:
        norm = np.sqrt(np.einsum("ij,ij->j", rows, rows))
        norm[norm == 0] = 1.0
        rows /= norm
    factors = _OrthogonalFactors(rows)
    left = quadratic.targets[:, :n] * root
    start = quadratic.at_zero
    solution, best = np.zeros((len(left), rows.shape[1])), None  # of the columns as `size` makes them
    if len(rows) > n:
        left = np.concatenate([left, np.zeros((len(left), d))], axis=1)
    for _ in range(MOST_STEPS):
        solution = solution + factors.solve(left) / norm
        z = solution[:, :d] * size
        residual = evaluation.residuals(quadratic, z)
        reached = evaluation.objective(quadratic, z, residual)
        left = -residual * root
        if wide and quadratic.has_ridge:
            left -= np.sqrt(alpha) * solution[:, d:]
        elif quadratic.has_ridge:
            left = np.concatenate([left, -np.sqrt(n * quadratic.ridge) * solution], axis=1)
        explained = factors.explained(left)
        gap = np.einsum("ki,ki->k", explained, explained) / (2 * n)
        gap = np.maximum(gap, gain_by_one_column(quadratic, z, residual))
        if not np.isfinite(reached).all() or (best is not None and np.all(reached >= best[1])):
            break
        best = z, reached, gap
        if is_reached(gap, reached, start):
            break
    return *best, len(factors.triangle) == min(rows.shape)


class _OrthogonalFactors:
    """A matrix as Q T Z', Q and Z of orthonormal columns, as many as its rank, T triangular."""

    def __init__(self, matrix):
        q, r, order = lapack(qr, matrix, mode="economic", pivoting=True, overwrite_a=True, check_finite=False)
        size = np.abs(np.diag(r))
        rank = int((size > EPS * max(matrix.shape) * size.max(initial=0)).sum())
        self.q, r = q[:, :rank], r[:rank]
        z, self.triangle = lapack(qr, r.T, mode="economic", check_finite=False)
        self.z = np.empty_like(z)
        self.z[order] = z

    def solve(self, right):
        """Solutions of least norm of matrix @ x = right in least squares; (targets, rows) to (targets, columns)."""
        found = solve_triangular(self.triangle, (right @ self.q).T, trans="T", check_finite=False)
        return (self.z @ found).T

    def explained(self, right):
        """Coordinates of the part of right sides that the matrix can reach."""
        return right @ self.q
