"""The exact minimum from the second moments of columns: one factorisation for all targets, refined on the rows."""

import numpy as np

from . import evaluation
from .accuracy import OF_OBJECTIVE, OF_START, is_reached
from .factor import SINGULAR, Factor, ShiftedFactor
from .loss import mean_square

# Condition at which a solution needs no refinement, and part of the zero model's objective above which the objective
# can be had from the second moments without losing digits.
WELL_CONDITIONED = 1e-7
MOMENTS_SUFFICE = 1e-5
# Condition down to which right sides of many targets may have 31 bits for 46, and those of float32, of 24, may have 23:
# their products take half as long again for two bytes more.
FEW_BITS, FEW_BYTES = 1e-3, {"d": 4, "f": 3}
MOST_STEPS = 100
# An eigenvalue of a matrix with unit diagonal that is lower is not rounding.
NEGATIVE = 1e-10


def solve_by_columns(quadratic, singular_too=True):
    """The minimum, from the factored matrix of second moments H + ridge - compensation.

    Parameters
    ----------
    quadratic : Quadratic, without an l1 penalty
    singular_too : bool, whether a matrix that is singular to working precision is to be put up with

    Returns
    -------
    z : float64 (targets, columns)
    objective, gap : float64 (targets,), and what may still be gained; or None for such a matrix
    """
    problem = quadratic.problem
    matrix = quadratic.matrix()
    factor = positive_factor(quadratic, matrix)
    if factor.rcond < SINGULAR and not singular_too:
        return None
    start, targets = quadratic.at_zero, quadratic.row_targets
    # the targets are the residuals of the model that is zero, with the other sign
    n_bytes = FEW_BYTES[targets.dtype.char] if factor.rcond > FEW_BITS else None
    right = problem.unit * evaluation.loss_gradient(quadratic, targets, n_bytes=n_bytes)
    scaled = factor.solve(right)
    reached = start - (scaled * (right - scaled @ matrix / 2)).sum(axis=1)
    is_exact = not problem.is_far and factor.rcond > WELL_CONDITIONED and not problem.has_rounded_weights
    if is_exact and np.all(reached >= MOMENTS_SUFFICE * start):
        return scaled * problem.unit, reached, np.zeros(len(start))
    z, reached, gap = refine(quadratic, factor, scaled * problem.unit, start)
    if factor.is_singular:
        z, reached = _of_least_norm(quadratic, factor, z, reached, start)
    return z, reached, gap


def positive_factor(quadratic, matrix):
    """The factored matrix, about the columns' means where these hide how columns vary.

    Where the compensation left it indefinite after all, it has less of that, changed in place.
    """
    if quadratic.problem.is_far:
        about_mean, mean = quadratic.matrix_about_mean()
        factor = Factor(about_mean, quadratic.norm_weights(), singular_too=False)
        if factor.rcond >= SINGULAR:
            return ShiftedFactor(factor, mean)
    factor = Factor(matrix, quadratic.norm_weights())
    if factor.rcond == 0 and factor.lowest < -NEGATIVE and quadratic.is_compensated:
        quadratic.limit_compensation()
        matrix[:] = quadratic.matrix()
        factor = Factor(matrix, quadratic.norm_weights())
    return factor


def refine(quadratic, factor, z, start):
    """Conjugate gradients on the rows, preconditioned with a factor: they mend what its condition has cost.

    Returns
    -------
    z : float64 (targets, columns)
    objective, gap : float64 (targets,)
    """
    problem = quadratic.problem
    unit = problem.unit
    residual = evaluation.residuals(quadratic, z)
    best = z, evaluation.objective(quadratic, z, residual)
    direction = previous = None
    gap = np.full(len(z), np.inf)
    for _ in range(MOST_STEPS):
        slope = quadratic.scaled_slope(z, evaluation.loss_gradient(quadratic, residual))
        step = -factor.solve(slope)
        gap = np.maximum(-(slope * step).sum(axis=1) / 2, 0)
        if is_reached(gap, best[1], start):
            break
        if direction is None:
            direction = step
        else:
            kept = ((slope - previous[0]) * -step).sum(axis=1) / np.maximum(previous[1], np.finfo(float).tiny)
            direction = step + np.maximum(kept, 0)[:, None] * direction
        previous = slope, -(slope * step).sum(axis=1)
        move = direction * unit
        image = evaluation.images(problem, move)
        curvature = mean_square(image, problem.weights) + 2 * quadratic.penalty(move)
        length = np.divide(-(slope * direction).sum(axis=1), curvature, out=np.zeros(len(z)), where=curvature > 0)
        z = z + length[:, None] * move
        residual = evaluation.residuals(quadratic, z)
        reached = evaluation.objective(quadratic, z, residual)
        if not np.all(np.isfinite(reached)) or np.all(reached >= best[1] - OF_START * start):
            break
        best = z, reached
    return *best, gap


def _of_least_norm(quadratic, factor, z, reached, start):
    """The model of least norm among those that the rows cannot tell apart, if there is such a one."""
    unit = quadratic.problem.unit
    scaled = np.divide(z, unit, out=np.zeros_like(z), where=unit > 0)
    moved = factor.least_norm(scaled) * unit
    objective = evaluation.objective(quadratic, moved, evaluation.residuals(quadratic, moved))
    if np.all(objective <= reached + OF_OBJECTIVE * np.abs(reached) + OF_START * start):
        return moved, objective
    return z, reached
