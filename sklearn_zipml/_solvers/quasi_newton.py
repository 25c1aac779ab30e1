"""Descent with the curvature of second moments and of the last moves (L-BFGS), which never goes up.

J. Nocedal, Updating quasi-Newton matrices with limited storage, Math. Comp. 35 (1980), with a metric of the rows in
place of the usual multiple of the identity. Lengths are searched on margins: that needs no pass over the rows.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from .inverse_curvature import inverse_curvature
from .options import ROUNDING

MEMORY = 10
# Decrease that a step has at least, in parts of what its slope promises, and slope that is flat enough.
ARMIJO, FLAT = 1e-4, 0.4
MOST_TRIALS, MOST_STRETCH = 30, 8.0
# Steps after which the metric is taken anew, while the fit is on its way.
REFRESH = 3
# The metric of a sample, or of blocks, may be so many times as curved as the objective.
SAFETY = 4.0
NEXT_TO_NOTHING = 1e-15


@dataclass
class Descent:
    """Where a descent ended, and how it got there.

    Attributes
    ----------
    point : Point
    gap : float, estimated bound on what is left to gain
    n_iter : int
    values : list of float, the objective before the first and after every step
    passes : list of int, passes over the rows by then
    stopped : bool, whether the caller ended it
    metric : the last one, callable
    """

    point: object
    gap: float = np.inf
    metric: object = None
    n_iter: int = 0
    values: list = field(default_factory=list)
    passes: list = field(default_factory=list)
    stopped: bool = False


class Memory:
    """Last moves and changes of the gradient, and the inverse Hessian that they make of a metric."""

    def __init__(self, metric):
        self.metric, self.pairs = metric, deque(maxlen=MEMORY)

    def add(self, move, change):
        """Take a move into account, if the objective curves upwards along it."""
        curvature = float((move * change).sum())
        if curvature > 1e-12 * np.sqrt(float((move**2).sum()) * float((change**2).sum())):
            self.pairs.append((move, change, curvature))

    def __call__(self, gradient):
        """The inverse Hessian times a gradient."""
        q, lengths = gradient.copy(), []
        for move, change, curvature in reversed(self.pairs):
            lengths.append(float((move * q).sum()) / curvature)
            q -= lengths[-1] * change
        q = self.metric(q)
        for (move, change, curvature), length in zip(self.pairs, reversed(lengths), strict=True):
            q += (length - float((change * q).sum()) / curvature) * move
        return q


def descend(objective, model, tol, max_iter, on_step=lambda number, point: False, metric=None):
    """Minimise a LogisticObjective from a model, to within a part tol of its minimum.

    Parameters
    ----------
    objective : LogisticObjective
    model : float64 (outputs, columns + 1)
    tol : float
    max_iter : int
    on_step : callable(number of steps, Point) -> bool; True ends the descent
    metric : callable or None, to begin with: that of another objective which differs but little

    Returns
    -------
    Descent
    """
    point = objective.at(model)
    found = Descent(point, values=[point.value], passes=[1])
    gradient, age, passes = objective.gradient(point), 0, 2
    memory = None if metric is None else Memory(metric)
    gained = np.inf
    while True:
        if memory is None or (age >= REFRESH and gained > SAFETY * tol * found.point.value):
            memory, age = Memory(inverse_curvature(objective, found.point)), 0
            passes += 1
        found.metric = memory.metric
        move = -memory(gradient)
        slope = float((gradient * move).sum())
        found.gap = _gap(objective, memory, found.point, gradient, slope, gained)
        if found.gap <= tol * found.point.value + ROUNDING * found.values[0] or found.n_iter == max_iter:
            return found
        if not slope < 0:
            if not memory.pairs:
                return found
            memory = None
            continue
        line = objective.line(found.point, move)
        step = _search(line, found.point.value, slope)
        if step is None:
            if memory.pairs or age:
                memory = None
                continue
            if -slope <= NEXT_TO_NOTHING * max(found.values[0], found.point.value):
                found.gap = min(found.gap, -slope)
            return found
        length, point = step
        gained = found.point.value - point.value
        found.point = line.moved(point, length)
        before, gradient = gradient, objective.gradient(found.point)
        memory.add(length * move, gradient - before)
        passes, age, found.n_iter = passes + 2, age + 1, found.n_iter + 1
        found.values.append(found.point.value)
        found.passes.append(passes)
        if on_step(found.n_iter, found.point):
            found.stopped = True
            return found


def _gap(objective, memory, point, gradient, slope, gained):
    """What may be left to gain: half the Newton decrement, by the metric and by the moves, and about the last gain.

    Where margins are shrunk, the objective is flatter than its metric along the model itself.
    """
    by_metric = float((gradient * memory.metric(gradient)).sum())
    if memory.metric.is_exact and not memory.pairs:
        return max(by_metric, 0.0)
    gap = SAFETY / 2 * max(by_metric, -slope) / point.scale**4
    return max(gap, min(gained, 10 * gap)) if np.isfinite(gained) else gap


def _search(line, value, slope):
    """A length along a line at which the objective is lower and flat enough, and the Point there; or None."""
    low, high, length, best = (0.0, value, slope), None, 1.0, None
    for _ in range(MOST_TRIALS):
        point, turn = line.at(length)
        is_lower = np.isfinite(point.value) and point.value <= value + ARMIJO * length * slope
        if not is_lower or not np.isfinite(turn):
            high = (length, turn if is_lower else np.nan)
        else:
            if best is None or point.value < best[1].value:
                best = length, _kept(point)
            if abs(turn) <= -FLAT * slope:
                break
            if turn < 0:
                low = length, point.value, turn
            else:
                high = length, turn
        if best is not None and high is not None and high[0] - low[0] < 1e-3 * high[0]:
            break
        length = _next(low, high)
    if best is None or not best[1].value < value:
        return None
    return best


def _next(low, high):
    """The next length to try, between those known to be too short and too long."""
    if high is None:
        return low[0] + max(1.0, low[0]) * (MOST_STRETCH - 1) / 2
    if np.isnan(high[1]) or not high[1] > low[2]:
        return low[0] + (high[0] - low[0]) / 4
    share = -low[2] / (high[1] - low[2])
    return low[0] + (high[0] - low[0]) * min(max(share, 0.1), 0.9)


def _kept(point):
    """A copy of a point of a line, whose slopes the next one overwrites."""
    return type(point)(point.model, point.margins, point.slopes.copy(), point.value, point.scale, point.along)
