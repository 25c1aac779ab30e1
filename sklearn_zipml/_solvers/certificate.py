"""How far above its minimum an objective may be: from the rows, at the end of epochs."""

from dataclasses import dataclass

import numpy as np

from . import evaluation

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
    residual = evaluation.residuals(quadratic, z, LIMBS)
    objective = evaluation.objective(quadratic, z, residual)
    gradient = evaluation.loss_gradient(quadratic, residual, 1 if tol > FINE else LIMBS)
    return Certificate(objective, gradient, quadratic.gap(z, gradient, tol * np.abs(objective)))
