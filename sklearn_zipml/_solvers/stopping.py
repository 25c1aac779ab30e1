"""When the objectives of epochs say that a fit is at its end."""

import numpy as np

# Part of the tolerance that the estimate of what is left has to stay below, for it is an extrapolation.
SAFETY = 0.2
# Decreases beside the objective before that are rounding.
ROUNDING = 1e-14


class Stopping:
    """Says when what is left to gain seems small beside the objective; a certificate has to confirm it.

    The decreases of a linearly converging objective are geometric: with ratio q of the last two, d q / (1 - q) is left.
    """

    def __init__(self, tol, start):
        self.tol, self.rounding = tol, ROUNDING * np.abs(start)
        self.last = np.full(len(start), np.inf)

    def __call__(self, before, after):
        if self.tol <= 0:
            return False
        decrease = np.abs(before - after)
        decrease[decrease <= self.rounding] = 0
        target = SAFETY * self.tol * np.abs(after) + self.rounding
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(self.last > 0, np.minimum(decrease / self.last, 0.999), 0.0)
            left = np.where(np.isfinite(self.last), decrease * ratio / (1 - ratio), np.inf)
        self.last = decrease
        return bool(np.all((decrease == 0) | ((left <= target) & (decrease <= 20 * target))))
