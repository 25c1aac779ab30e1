"""Descent with the curvature of second moments and of the last moves (L-BFGS), which never goes up.

J. Nocedal, Updating quasi-Newton matrices with limited storage, Math. Comp. 35 (1980), with a metric of the rows in
place of the usual multiple of the identity. Lengths are searched on margins: that needs no pass over the rows.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from .inverse_curvature import inverse_curvature
from .options import PERFECT

MEMORY = 10
# Decrease that a step has at least, in parts of what its slope promises, and slope that is flat enough.
ARMIJO, FLAT = 1e-4, 0.4
MOST_TRIALS, MOST_STRETCH = 30, 8.0
# Steps after which the metric is taken anew, while the fit is on its way.
REFRESH = 3
# The metric of a sample, or of blocks, may be so many times as curved as the objective.
SAFETY = 4.0
# What a Newton step may change margins by at most for half its decrement to tell, about, what there is to gain.
NEAR_MARGINS = 0.5
# Reciprocal condition number of a metric below which what it holds along its flattest directions is rounding, and how
# much smaller than it is the decrement may seem then.
BLURRED, BLUR_SAFETY = 1e-10, 1e4
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


def descend(objective, model, tol, max_iter, on_step=lambda number, point: False, metric=None, verify=True):
    """Minimise a LogisticObjective from a model, to within a part tol of its minimum.

    Along the columns of rows that were decided meanwhile the objective curves much less than a metric of before says,
    and the gradient is small however far its minimum is. So it is taken anew where the fit seems to be done.

    Parameters
    ----------
    objective : LogisticObjective
    model : float64 (outputs, columns + 1)
    tol : float
    max_iter : int
    on_step : callable(number of steps, Point) -> bool; True ends the descent
    metric : callable or None, to begin with: that of another objective which differs but little
    verify : bool, whether the gap has to be that of a metric of the very point

    Returns
    -------
    Descent
    """
    point = objective.at(model)
    found = Descent(point, values=[point.value], passes=[1])
    path = _Path(objective, found, tol, metric, verify)
    while True:
        path.aim()
        if path.is_at_its_end():
            return found
        if path.memory is None:
            continue
        if found.n_iter == max_iter or not (path.step() or path.memory is None):
            return found
        if path.memory is not None and on_step(found.n_iter, found.point):
            found.stopped = True
            return found


class _Path:
    """A descent under way. Without a memory, a metric of the point it has come to is to be taken."""

    def __init__(self, objective, found, tol, metric, verify):
        self.objective, self.found, self.tol, self.verify = objective, found, tol, verify
        self.gradient, self.passes, self.gained = objective.gradient(found.point), 2, np.inf
        self.memory, self.age = (None, 0) if metric is None else (Memory(metric), 1)

    def aim(self):
        """Where to go from here, and what there is to gain."""
        found = self.found
        if self.memory is None or (self.age >= REFRESH and self.gained > SAFETY * self.tol * found.point.value):
            self.memory, self.age = Memory(inverse_curvature(self.objective, found.point)), 0
            self.passes += 1
        found.metric = self.memory.metric
        self.move = -self.memory(self.gradient)
        self.slope = float((self.gradient * self.move).sum())
        gap = _gap(self.objective, self.memory, found.point, self.gradient, self.slope, self.gained)
        found.gap = min(gap, found.point.value)

    def is_at_its_end(self):
        """Whether the gap is small enough, by a metric of this very point if it has to be."""
        found = self.found
        least = PERFECT * found.values[0]
        enough = self.tol * found.point.value + least
        if found.gap > enough or not self.verify or found.point.value <= least:
            return found.gap <= enough
        if self.age:
            self.memory = None
            return False
        self.passes += 1
        gap = _verified(self.objective, self.memory.metric, found.gap, self.gradient, self.move, enough)
        found.gap = min(gap, found.point.value)
        return found.gap <= enough

    def step(self):
        """Go where the objective is lower, if it is: else either the metric is to blame, or rounding."""
        found = self.found
        line = self.objective.line(found.point, self.move) if self.slope < 0 else None
        step = line and _search(line, found.point.value, self.slope)
        if step is None:
            if self.memory.pairs or (line and self.age):
                self.memory = None
            elif line:
                # nothing is lower where the metric of this very point says: its slope is rounding
                is_nothing = -self.slope <= NEXT_TO_NOTHING * max(found.values[0], found.point.value)
                found.gap = min(found.gap, -self.slope * (1.0 if is_nothing else BLUR_SAFETY * SAFETY / 2))
            return False
        length, point = step
        self.gained = found.point.value - point.value
        found.point = line.moved(point, length)
        before, self.gradient = self.gradient, self.objective.gradient(found.point)
        self.memory.add(length * self.move, self.gradient - before)
        self.passes, self.age, found.n_iter = self.passes + 2, self.age + 1, found.n_iter + 1
        found.values.append(found.point.value)
        found.passes.append(self.passes)
        return True


def _gap(objective, memory, point, gradient, slope, gained):
    """What may be left to gain: half the Newton decrement, by the metric and by the moves, and about the last gain.

    Where margins are shrunk, the objective is flatter than its metric along the model itself.
    """
    by_metric = float((gradient * memory.metric(gradient)).sum())
    if memory.metric.is_exact and not memory.pairs:
        return max(by_metric, 0.0)
    gap = SAFETY / 2 * max(by_metric, -slope) / point.scale**4
    return max(gap, min(gained, 10 * gap)) if np.isfinite(gained) else gap


def _verified(objective, metric, gap, gradient, move, enough):
    """The gap, where the objective is about quadratic from here to its minimum; else a bound that holds anywhere.

    Far out, where rows are decided, margins change by as much with every Newton step, however little each gains.
    """
    blur = BLUR_SAFETY if metric.rcond < BLURRED else 1.0
    if blur * gap <= enough and objective.reach(move) <= NEAR_MARGINS:
        return gap
    return max(gap, _by_penalty(objective, gradient))


def _by_penalty(objective, gradient):
    """A bound on what is left to gain by the curvature of the penalty alone, intercepts apart."""
    slopes = gradient[:, :-1]
    with np.errstate(divide="ignore", over="ignore"):
        bounds = np.divide(slopes**2, 2 * objective.ridge, out=np.zeros_like(slopes), where=slopes != 0)
    return float(bounds.sum())


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
                best = length, point.kept()
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
