"""When an exact solution is exact enough."""

import numpy as np

from . import evaluation

# What may be left to gain, in parts of the objective, and of that of the zero model: the rounding of float64.
OF_OBJECTIVE, OF_START = 1e-10, 1e-19


def gain_by_one_column(quadratic, z, residual):
    """The most that changing one coefficient would gain, float64 (targets,): what a factor that lost a column hides."""
    problem = quadratic.problem
    slope = quadratic.scaled_slope(z, evaluation.loss_gradient(quadratic, residual))
    curvature = problem.diagonal + quadratic.ridge
    gains = np.divide(slope**2, 2 * curvature, out=np.zeros_like(slope), where=curvature > 0)
    return gains.max(axis=1, initial=0)


def is_reached(gap, objective, start):
    """Whether all gaps are what rounding leaves; float64 (targets,) each, `start` the objectives of the zero model."""
    return bool(np.all(gap <= OF_OBJECTIVE * np.abs(objective) + OF_START * start))
