"""When to end a fit."""

import numpy as np

# What is left to gain is judged against the objective, but not against less than this part of its start.
FLOOR = 0.01
# Part of the tolerance that the estimate of what is left has to stay below, for it is an extrapolation.
SAFETY = 0.2


class Stopping:
    """Ends a fit when what is left to gain is small.

    The decreases of a linearly converging objective are geometric: with ratio q of the last two, d q / (1 - q) is
    left. Objectives are summed over targets. `objective` has to confirm what this says.
    """

    def __init__(self, tol, start):
        self.tol, self.start = tol, abs(float(start.sum()))
        self.last = np.inf

    def __call__(self, before, after):
        if self.tol <= 0:
            return False
        decrease = abs(float(before.sum() - after.sum()))
        target = SAFETY * self.tol * max(abs(float(after.sum())), FLOOR * self.start)
        ratio = min(decrease / self.last, 0.999) if self.last > 0 else 0.0
        left = decrease * ratio / (1 - ratio) if np.isfinite(self.last) else np.inf
        self.last = decrease
        return (left <= target and decrease <= 20 * target) or decrease == 0
