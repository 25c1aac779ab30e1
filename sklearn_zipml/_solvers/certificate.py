"""How far above its minimum an objective may be: from the rows, at the end of epochs."""

from dataclasses import dataclass

import numpy as np

from . import evaluation
from .choice import CHEAP, by_rows, products

# 16-bit parts of the model and of the residuals here; below a tolerance the residuals have as many.
LIMBS, FINE = 2, 1e-6


@dataclass(frozen=True)
class Certificate:
    """The objective of a model, its gradient, that of the mean loss, and what it may still gain, by targets."""

    objective: np.ndarray
    gradient: np.ndarray
    gap: np.ndarray

    def is_within(self, tol):
        """Whether every gap is at most a part tol of the objective."""
        return bool(np.all(self.gap <= tol * np.abs(self.objective)))


def certificate(quadratic, z, tol):
    """The Certificate of a model.

    Parameters
    ----------
    quadratic : Quadratic
    z : float64 (targets, columns), with the exact zeros of an l1 penalty
    tol : float, the part of the objective beyond which the gap need not be known well
    """
    has_bound = _is_cheap_by_rows(quadratic)
    residual = evaluation.residuals(quadratic, z, evaluation.LIMBS if has_bound else LIMBS)
    objective = evaluation.objective(quadratic, z, residual)
    gradient = evaluation.loss_gradient(quadratic, residual, 1 if tol > FINE else LIMBS)
    if has_bound:
        return Certificate(objective, gradient, np.maximum(objective - quadratic.bound_by_rows, 0))
    return Certificate(objective, gradient, quadratic.gap(z, gradient, tol * np.abs(objective)))


def _is_cheap_by_rows(quadratic):
    """Whether the dual tells the minimum at the price of some epochs.

    With fewer rows than columns the estimates of conjugate gradients may be far too low: what is left to gain lies in
    directions whose gains come late.
    """
    problem = quadratic.problem
    if quadratic.has_l1 or problem.is_dense_cheap() or not quadratic.loss.is_quadratic:
        return False
    return by_rows(quadratic) and products(problem) <= CHEAP * len(quadratic.targets)
