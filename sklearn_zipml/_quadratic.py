"""The objective of one fit, and one step size made into per-column factors."""

from dataclasses import dataclass

import numpy as np

from . import _loops
from ._compensation import shrinkage

MOST_RIDGE = 1e10


@dataclass(frozen=True)
class Rule:
    """One step size made into per-column factors.

    ridge (alpha / s_j²) and noise (tau D_j) are diagonals in the scaled columns. Both act on every step: the ridge
    implicitly, for it can dwarf the rest, the noise explicitly, for it is bounded by the curvature.
    """

    keep: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, step_size, ridge, noise, unit, padded):
        shrink = 1 / (1 + step_size * ridge)
        keep, step = np.zeros(padded, dtype=np.float32), np.zeros(padded, dtype=np.float32)
        keep[: len(unit)] = (1 + step_size * noise) * shrink
        step[: len(unit)] = step_size * unit**2 * shrink
        return cls(keep, step)


class Quadratic:
    """Objective of one fit: the problem, its targets, penalty and compensation."""

    def __init__(self, problem, targets, alpha):
        self.problem = problem
        d, padded = problem.d, problem.tiles.padded
        self.padded = padded
        self.targets = targets
        self.rows = _loops.Rows(targets, problem.weights)
        self.top = problem.largest_curvature()
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alpha) * problem.unit / problem.step) ** 2 if alpha > 0 else np.zeros(d)
        # a penalty so large leaves a coefficient that explains less than 1e-10 of the target: none
        problem.leave_out(ridge > MOST_RIDGE * self.top)
        unit = problem.unit
        self.ridge = np.where(unit > 0, ridge, 0.0)
        self.tau = shrinkage(problem, self.ridge)
        self.noise = self.tau * problem.variance * unit**2
        # the same diagonals on z
        pull = np.divide(self.ridge - self.noise, unit**2, out=np.zeros(d), where=unit > 0)
        self.pull = self._pad(pull)
        self.centre = self._pad(problem.centre).astype(np.float32)
        self.unit = self._pad(unit).astype(np.float32)

    def _pad(self, values):
        out = np.zeros(self.padded)
        out[: len(values)] = values
        return out

    def objective(self, loss, anchor):
        """Objective of every target from its summed loss and z."""
        return np.asarray(loss) / self.problem.n + (self.pull * anchor**2).sum(axis=1) / 2
