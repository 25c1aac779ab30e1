"""How far above its minimum an objective may be: from the rows, at the end of epochs."""

from dataclasses import dataclass

import numpy as np

from . import evaluation
from .choice import CHEAP, is_exact_affordable, products
from .exact import lower_bound

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


class Certifier:
    """Makes the Certificates of models of one objective.

    Where the exact minimum costs no more than some epochs, it tells the gap: the estimates of conjugate gradients may
    be far too low where what is left to gain lies in directions whose gains come late, and those of an l1 penalty where
    rows leave directions open. What is compensated is not solved for, as that may change the objective; there, the
    gap comes from the second moments.

    Parameters
    ----------
    quadratic : Quadratic
    tol : float, the part of the objective beyond which the gap need not be known well
    """

    def __init__(self, quadratic, tol):
        self.quadratic, self.tol, problem = quadratic, tol, quadratic.problem
        self._is_cheap = is_exact_affordable(quadratic) and products(problem) <= CHEAP * len(quadratic.targets)
        is_plain = problem.is_dense_cheap() and problem.n > problem.d and not quadratic.has_l1
        self._has_bound = self._is_cheap and not quadratic.is_compensated and not is_plain
        self._bound = None

    def __call__(self, z):
        """The Certificate of a model (targets, columns), with the exact zeros of an l1 penalty."""
        quadratic, tol = self.quadratic, self.tol
        residual = evaluation.residuals(quadratic, z, evaluation.LIMBS if self._has_bound else LIMBS)
        objective = evaluation.objective(quadratic, z, residual)
        gradient = evaluation.loss_gradient(quadratic, residual, 1 if tol > FINE else LIMBS)
        if self._has_bound:
            if self._bound is None:
                self._bound = lower_bound(quadratic, z, tol)
            return Certificate(objective, gradient, np.maximum(objective - self._bound, 0))
        gap = quadratic.gap(z, gradient, tol * np.abs(objective), dense=self._is_cheap)
        return Certificate(objective, gradient, gap)
