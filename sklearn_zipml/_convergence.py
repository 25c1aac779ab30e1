"""When to end a fit, and how to get there in fewer epochs."""

import numpy as np

# What is left to gain is judged against the objective, but not against less than this part of its start.
FLOOR = 0.01
# Part of the tolerance that the estimate of what is left has to stay below, for it is an extrapolation.
SAFETY = 0.2


class Extrapolation:
    """Anderson extrapolation of the epochs: an epoch is nearly a linear contraction, slow along a few directions.

    Of the last epochs, x -> y each, it takes the combination whose steps y - x cancel best. Targets are independent.
    A proposal that was refused is followed by a pause.
    """

    MEMORY = 8

    def __init__(self, unit):
        self.weight = np.divide(1.0, unit, out=np.zeros_like(unit), where=unit > 0)
        self.clear()

    def clear(self):
        """Forget the past."""
        self.before, self.after, self.paused = [], [], False

    def add(self, before, after):
        """Record an epoch."""
        self.before = [*self.before[1 - self.MEMORY :], before]
        self.after = [*self.after[1 - self.MEMORY :], after]

    def propose(self):
        """A better z, or None."""
        if len(self.after) < 3 or self.paused:
            self.paused = False
            return None
        after = np.array(self.after)
        steps = (after - np.array(self.before)) * self.weight
        out = np.empty_like(after[0])
        for k in range(after.shape[1]):
            gram = steps[:, k] @ steps[:, k].T
            size = np.trace(gram)
            if not size > 0:
                out[k] = after[-1, k]
                continue
            share = np.linalg.solve(gram + 1e-10 * size * np.eye(len(gram)), np.ones(len(gram)))
            out[k] = share / share.sum() @ after[:, k]
        return out if np.isfinite(out).all() else None


class Stopping:
    """Ends a fit when what is left to gain is small.

    The decreases of a linearly converging objective are geometric: with ratio q of the last two, d q / (1 - q) is
    left. Two epochs in a row must agree. Objectives are summed over targets.
    """

    def __init__(self, tol, start):
        self.tol, self.start = tol, abs(float(start.sum()))
        self.last = np.inf
        self.agreed = 0

    def __call__(self, before, after):
        if self.tol <= 0:
            return False
        decrease = abs(float(before.sum() - after.sum()))
        target = SAFETY * self.tol * max(abs(float(after.sum())), FLOOR * self.start)
        ratio = min(decrease / self.last, 0.999) if self.last > 0 else 0.0
        left = decrease * ratio / (1 - ratio) if np.isfinite(self.last) else np.inf
        self.last = decrease
        self.agreed = self.agreed + 1 if left <= target and decrease <= 20 * target else 0
        return self.agreed >= 2 or decrease == 0
