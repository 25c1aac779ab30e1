"""Newton steps for logistic objectives with an l1 penalty: quadratic models of the loss, minimised with the penalty.

J. D. Lee, Y. Sun, M. A. Saunders, Proximal Newton-type methods for minimizing composite functions, SIAM J. Optim. 24
(2014); the quadratic models go to coordinate descent. A step that does not do what its model promised is taken again
with a steeper model, so that the objective never goes up and coefficients that are to be zero are exactly that.
"""

from dataclasses import dataclass

import numpy as np

from . import softmax
from .elastic_net import MOST_COLUMNS, MOST_VALUES, CoordinateDescent
from .inverse_curvature import (
    SMALLEST,
    completed,
    factored,
    mean_moments,
    of_many_classes,
    of_two_classes,
    pair_tiles,
    sample_tiles,
)
from .logistic_dual import dual_gap
from .options import PERFECT
from .quasi_newton import NEAR_MARGINS, NEXT_TO_NOTHING, SAFETY, Descent

# Part of the decrease that its model promises which a step has at least; how much steeper models get, and how often.
ENOUGH, STEEPER, MOST_TRIALS = 0.1, 4.0, 12
# Products for which the Hessian is taken of all rows where a sample's did not do, and steps with that of a sample.
WHOLE_PRODUCTS, SAMPLE_STEPS = 2e10, 4
# Part of what there is to gain that a model may be off its own minimum.
INNER, FINER, FIRST_GAIN = 0.1, 1e-2, 0.1
# Unknowns of the whole Hessian of many classes, and its curvature along what moves all of them, which is none.
MOST_UNKNOWNS, SAMENESS = 4096, 1e-4
# The least part of the largest weight of the penalty that another may have.
LEAST_WEIGHT = 1e-100


def is_affordable(objective):
    """Whether coordinate descent has what it needs in memory."""
    if not objective.has_rows:
        return objective.d <= MOST_COLUMNS and not _is_by_output(objective)
    return objective.d <= MOST_COLUMNS or (float(objective.n) * objective.d <= MOST_VALUES)


def descend_with_l1(objective, model, tol, max_iter, on_step=lambda number, point: False, verify=True):
    """Minimise a LogisticObjective with an l1 penalty from a model, to within a part tol of its minimum.

    Parameters
    ----------
    objective : LogisticObjective
    model : float64 (outputs, columns + 1)
    tol : float
    max_iter : int
    on_step : callable(number of steps, Point) -> bool; True ends the descent
    verify : bool, whether the gap has to be that of a quadratic model which holds from the very point to its minimum

    Returns
    -------
    Descent, without a metric
    """
    point = objective.at(model)
    found = Descent(point, values=[point.value], passes=[1])
    path = _Path(objective, found, tol, verify)
    while True:
        path.aim()
        if path.is_at_its_end():
            return found
        if found.n_iter == max_iter or not path.step():
            path.own_up()
            return found
        if on_step(found.n_iter, found.point):
            found.stopped = True
            return found


class _Path:
    """A descent under way."""

    def __init__(self, objective, found, tol, verify):
        self.objective, self.found, self.tol, self.verify = objective, found, tol, verify
        self.passes, self.gained = 1, FIRST_GAIN * found.point.value
        # where all outputs move at once, each by a model that knows nothing of the others
        self.is_by_output = _is_by_output(objective)
        self.steepness = 2.0 if self.is_by_output else 1.0
        self.fixed = _fixed(objective)

    def aim(self):
        """A quadratic model of the loss at this point, its minimum with the penalty, and what there is to gain."""
        found = self.found
        self.gradient = self.objective.gradient(found.point)
        self.blocks, self.is_exact = _blocks(self.objective, found.point, self.fixed, found.n_iter >= SAMPLE_STEPS)
        self.passes += 2
        self._solve()
        safety = 1.0 if self.is_exact else SAFETY / found.point.scale**4
        found.gap = min(safety * self.promised * self.steepness + self.inner_gap, found.point.value)

    def _solve(self):
        value = self.found.point.value
        finest = INNER * max(self.tol, PERFECT) * value
        within = max(finest, INNER * min(self.gained, value))
        self._solve_within(within)
        while self.inner_gap > self.promised and within > finest:
            within = max(finest, FINER * within)
            self._solve_within(within)

    def _solve_within(self, within):
        """The minimum of the model but for what it may be off by."""
        point = self.found.point
        target, self.promised, self.inner_gap = point.model.copy(), 0.0, 0.0
        for block in self.blocks:
            parts = block.minimum(self.objective, point, self.gradient, self.steepness, within / len(self.blocks))
            target[block.outputs] = parts[0]
            self.promised, self.inner_gap = self.promised + parts[1], self.inner_gap + parts[2]
        self.move = target - point.model

    def is_at_its_end(self):
        """Whether the gap is small enough, by a model that holds as far as its minimum if it has to.

        What models of single outputs promise is too little by as much as 180 times, as measured: there, by the dual.
        """
        found = self.found
        least = PERFECT * found.values[0]
        enough = self.tol * found.point.value + least
        if found.gap > enough or not self.verify or found.point.value <= least:
            return found.gap <= enough
        self.passes += 1
        if self.is_by_output:
            self._take_dual_gap()
        elif self.objective.reach(self.move) > NEAR_MARGINS:
            found.gap = found.point.value
        return found.gap <= enough

    def own_up(self):
        """Have the gap of a descent that ends before its time be one that can be relied on."""
        if self.is_by_output and self.verify:
            self._take_dual_gap()

    def _take_dual_gap(self):
        point = self.found.point
        self.found.gap = min(dual_gap(self.objective, point), point.value)

    def step(self):
        """Go to the minimum of the model, made steeper until the objective is lower there; False if it never is."""
        found = self.found
        for _ in range(MOST_TRIALS):
            if not self.promised > 0:
                break
            line = self.objective.line(found.point, self.move)
            point, _ = line.at(1.0)
            self.passes += 1
            gained = found.point.value - point.value
            if gained > 0 and gained >= ENOUGH * self.promised:
                self.gained, found.point = gained, line.moved(point, 1.0)
                found.n_iter += 1
                found.values.append(found.point.value)
                found.passes.append(self.passes)
                self.steepness = max(1.0, self.steepness / np.sqrt(STEEPER))
                return True
            if self.promised <= NEXT_TO_NOTHING * max(found.values[0], found.point.value):
                break
            self.steepness *= STEEPER
            self._solve()
        if not self.is_by_output and self.promised <= NEXT_TO_NOTHING * max(found.values[0], found.point.value):
            found.gap = min(found.gap, self.promised + self.inner_gap)
        return False


def _is_by_output(objective):
    """Whether there is a quadratic model for each output, and none for all."""
    return objective.labels.n_outputs > 1 and not _is_by_pairs(objective)


def _is_by_pairs(objective):
    """Whether the Hessian of all of many outputs is taken."""
    return objective.labels.n_outputs > 1 and _pair_tiles(objective) > 0


def _pair_tiles(objective):
    return pair_tiles(objective, MOST_UNKNOWNS, WHOLE_PRODUCTS)


def _is_by_rows(objective):
    """Whether the rows themselves are smaller than a matrix of their columns."""
    if _is_by_pairs(objective) or objective.calibration is not None or not objective.has_rows:
        return False
    is_small = float(objective.n) * objective.d <= MOST_VALUES
    return is_small and (objective.n <= objective.d or objective.d > MOST_COLUMNS)


def _fixed(objective):
    """What quadratic models take of the rows that is the same at every point: scaled rows, second moments, or None."""
    problem = objective.problem
    if _is_by_rows(objective):
        return (problem.tiles.columns(0, problem.d) - problem.centre) * problem.unit
    return mean_moments(objective) if _is_by_output(objective) else None


def _blocks(objective, point, fixed, whole):
    """Quadratic models of the loss at a point that make up one of all outputs, and whether it is exact."""
    outputs = range(len(point.model))
    if _is_by_rows(objective):
        curvature = np.maximum(softmax.curvatures(objective.labels, point.slopes), SMALLEST)
        return [_Rows(slice(k, k + 1), fixed, curvature[k]) for k in outputs], len(outputs) == 1
    if len(outputs) == 1:
        is_whole = whole and float(objective.n) * objective.d**2 <= WHOLE_PRODUCTS
        last = objective.problem.n_tiles if is_whole else sample_tiles(objective)
        matrix, is_exact = of_two_classes(objective, point, last)
        return [_Matrix(slice(0, 1), matrix)], is_exact
    if _is_by_pairs(objective):
        matrix, is_exact = of_many_classes(objective, point, _pair_tiles(objective), SAMENESS)
        return [_Matrix(slice(0, len(outputs)), matrix)], is_exact
    means = np.maximum(objective.mean_curvatures(point), SMALLEST)
    return [_Scaled(slice(k, k + 1), fixed, means[k]) for k in outputs], False


@dataclass(frozen=True)
class _Matrix:
    """A quadratic model of the loss and the ridge by its Hessian.

    Attributes
    ----------
    outputs : slice
    matrix : float64, outputs and then columns + 1 on each side
    """

    outputs: slice
    matrix: np.ndarray

    def minimum(self, objective, point, gradient, steepness, within):
        """The model's minimum (outputs, columns + 1), the decrease that it promises, and what it may be off by."""
        model, flat = point.model[self.outputs], gradient[self.outputs].ravel()
        free, bound = _free_and_bound(objective, len(model))
        matrix = steepness * self.matrix
        inner, across = matrix[np.ix_(free, free)], matrix[np.ix_(bound, free)]
        pinned = np.linalg.solve(matrix[np.ix_(bound, bound)], np.column_stack([across, flat[bound]]))
        factor = factored(inner - across.T @ pinned[:, :-1])
        weights, largest = _weights(objective, len(model))
        root, right = factor.square_root((flat[free] - across.T @ pinned[:, -1])[None])
        start = model.ravel()[free] * weights
        root = np.asfortranarray(root / weights)
        coef, promised, gap = _descended(root, right[0], (largest, 0.0), start, (point.value, within))
        out = model.ravel().copy()
        move = coef / weights - out[free]
        out[free] += move
        out[bound] -= pinned[:, :-1] @ move + pinned[:, -1]
        return out.reshape(model.shape), promised + float(flat[bound] @ pinned[:, -1]) / 2, gap


@dataclass(frozen=True)
class _Scaled:
    """A quadratic model of the loss of one output by second moments of rows, times the mean curvature."""

    outputs: slice
    moments: np.ndarray
    mean: float

    def minimum(self, objective, point, gradient, steepness, within):
        """As that of _Matrix."""
        matrix = completed(objective, self.moments * self.mean, point.scale)
        return _Matrix(self.outputs, matrix).minimum(objective, point, gradient, steepness, within)


@dataclass(frozen=True)
class _Rows:
    """A quadratic model of the loss of one output by the rows, and their curvatures.

    Attributes
    ----------
    outputs : slice
    rows : float64 (rows, columns), scaled
    curvature : float64 (rows,), weighted
    """

    outputs: slice
    rows: np.ndarray
    curvature: np.ndarray

    def minimum(self, objective, point, gradient, steepness, within):
        """As that of _Matrix."""
        model, used = point.model[self.outputs][0], np.flatnonzero(objective.problem.unit > 0)
        weights, largest = _weights(objective, 1)
        column = np.sqrt(steepness * self.curvature / len(self.rows))
        right = point.slopes[self.outputs][0] / (len(self.rows) * column)
        root = self.rows[:, used] * column[:, None]
        square, means, mean = column @ column, column @ root, column @ right
        promised = 0.0
        if objective.has_intercept:
            root -= np.outer(column, means / square)
            right = right - column * (mean / square)
            promised = mean**2 / square / 2
        root = np.asfortranarray(root / weights)
        start = model[used] * weights
        ridge = float((objective.ridge[used] / weights**2).max())  # the same of all columns, as both are in units of X
        coef, gained, gap = _descended(root, right, (largest, ridge), start, (point.value, within))
        out = model.copy()
        move = coef / weights - out[used]
        out[used] += move
        if objective.has_intercept:
            out[-1] -= (mean + means @ move) / square
        return out[None], promised + gained, gap


def _free_and_bound(objective, n_outputs):
    """Places in a flat model of the coefficients, which the penalty is on, and of the intercepts, which it is not."""
    is_used = np.zeros((n_outputs, objective.d + 1), dtype=bool)
    is_used[:, :-1] = objective.problem.unit > 0
    is_bound = np.zeros_like(is_used)
    is_bound[:, -1] = objective.has_intercept
    return np.flatnonzero(is_used), np.flatnonzero(is_bound)


def _weights(objective, n_outputs):
    """What coefficients are multiplied by for a penalty alike on all, and that penalty."""
    l1 = objective.l1[objective.problem.unit > 0]
    largest = l1.max()
    return np.tile(np.maximum(l1 / largest, LEAST_WEIGHT), n_outputs), float(largest)


def _descended(root, right, penalties, start, value_and_within):
    """Coefficients at the minimum of a model, the decrease that it promises, and what it may be off by.

    The model is |R (w - start) + s|² / 2 + l1 |w|_1 + ridge |w|² / 2 and a constant.
    """
    (l1, ridge), (value, within) = penalties, value_and_within
    target = root @ start - right
    before = right @ right / 2 + l1 * np.abs(start).sum() + ridge / 2 * start @ start
    descent = CoordinateDescent(root, target, l1, ridge, value - before + target @ target / 2)
    coef, gap = descent.to_within(2 * within / value, start.copy())
    return coef, value - descent.objective(coef), gap
