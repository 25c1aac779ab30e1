"""Preconditioned conjugate gradients on the packed rows: what a fit falls back on where it is too large to be exact."""

import numpy as np

from . import evaluation
from .loss import mean_square
from .objective import left_of_gains

LIMBS = 2
# Steps after which the residuals are taken anew.
FRESH = 20


def conjugate_gradients(quadratic, z, tol, most_steps):
    """Go on from z until the gains say that less than a part tol of the objective is left, or for so many steps.

    Returns
    -------
    z : float64 (targets, columns)
    objective, gap : float64 (targets,)
    """
    problem = quadratic.problem
    unit = problem.unit
    diagonal = problem.diagonal + quadratic.ridge
    inverse = np.divide(1.0, diagonal, out=np.zeros(problem.d), where=diagonal > 0)
    residual = evaluation.residuals(quadratic, z, LIMBS)
    reached = evaluation.objective(quadratic, z, residual)
    direction, square, gains = np.zeros(z.shape), np.zeros(len(z)), []
    gap = np.full(len(z), np.inf)
    for step in range(1, most_steps + 1):
        slope = quadratic.scaled_slope(z, evaluation.loss_gradient(quadratic, residual, LIMBS))
        conditioned = slope * inverse
        previous, square = square, (slope * conditioned).sum(axis=1)
        kept = np.divide(square, previous, out=np.zeros(len(z)), where=previous > 0)
        direction = kept[:, None] * direction - conditioned
        move = direction * unit
        image = evaluation.images(problem, move, LIMBS)
        curvature = mean_square(image, problem.weights) + 2 * quadratic.penalty(move)
        downhill = -(slope * direction).sum(axis=1)
        length = np.divide(downhill, curvature, out=np.zeros(len(z)), where=curvature > 0)
        gains.append(length * downhill / 2)
        z = z + length[:, None] * move
        residual = residual + length[:, None] * image
        if step % FRESH == 0:
            residual = evaluation.residuals(quadratic, z, LIMBS)
        gap = np.array([left_of_gains(list(of_target)) for of_target in zip(*gains, strict=True)])
        reached = evaluation.objective(quadratic, z, residual)
        if np.all(gap <= tol * np.abs(reached)):
            break
    return z, evaluation.objective(quadratic, z, evaluation.residuals(quadratic, z)), gap
