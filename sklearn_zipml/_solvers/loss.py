"""What solvers ask of a loss, and least squares, which answers.

A row's margin is what the model says of it. A loss has a residual for every margin, its derivative by the margin: the
gradient is the mean of rows times residuals, whatever the loss. Epochs make residuals in compiled code, by the rule of
the same name (csrc/rule.h).
"""

from typing import Protocol

import numpy as np

from .compensation import bounded_compensation, compensation


class Loss(Protocol):
    """A loss of margins; arrays of rows are (targets, rows), and targets have one number for each.

    Attributes
    ----------
    name : str, of the residual rule of the epochs
    curvature : float, the most that its second derivative by the margin can be
    is_quadratic : bool, whether that is the same everywhere
        Then objectives and gradients follow moves by addition, and second moments tell the minimum.
    """

    name: str
    curvature: float
    is_quadratic: bool

    def residuals(self, margins, targets):
        """Derivatives by the margins, float64."""

    def mean(self, residuals, targets, weights):
        """The weighted mean over rows, float64 (targets,); weights of mean one, empty for equal ones."""

    def compensation(self, problem, ridge, diagonal):
        """The Compensation: what rounding the rows adds to the curvature of the objective, as far as it is certain."""

    def bounded_compensation(self, problem, ridge, tau):
        """At most tau of it, and no more than leaves the objective convex."""

    def gain(self, gradient, newton):
        """Bound on what the objective can gain, float64 (targets,), by its gradient and the Newton step from there."""


class LeastSquares:
    """Half the square of margin less target. Its curvature is one, and rounding adds the variance D of the errors."""

    name = "squares"
    curvature = 1.0
    is_quadratic = True

    def residuals(self, margins, targets):
        """Margins less targets."""
        return np.subtract(margins, targets, dtype=np.float64)

    def mean(self, residuals, targets, weights):
        """Half the mean square of the residuals."""
        return mean_square(residuals, weights) / 2

    def compensation(self, problem, ridge, diagonal):
        """See `compensation`."""
        return compensation(problem, ridge, diagonal)

    def bounded_compensation(self, problem, ridge, tau):
        """See `bounded_compensation`."""
        return bounded_compensation(problem, ridge, problem.variance * problem.unit**2, tau)

    def gain(self, gradient, newton):
        """Half the Newton decrement, which is exact."""
        return np.maximum((gradient * newton).sum(axis=1) / 2, 0)


LEAST_SQUARES = LeastSquares()


def mean_square(values, weights):
    """Weighted mean over rows of squares, float64 (targets,); values (targets, rows), weights by row or empty."""
    n = values.shape[1]
    if len(weights):
        return values**2 @ weights.astype(np.float64, copy=False)[:n] / n
    return np.einsum("ki,ki->k", values, values) / n
