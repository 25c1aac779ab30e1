"""The objective of logistic regression on packed rows, its gradient, and its values along a line.

Models are float64 (outputs, columns + 1): coefficients of the scaled columns and, last, the intercept of centred rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from . import curvature_sums, evaluation, softmax
from .batches import pass_bytes
from .compensation import noise_ratio
from .objective import MOST_L1, MOST_RIDGE

# 16-bit parts of vectors in products: 31 bits of the largest component; one part where many rows average its rounding
# and the objective need not be known better.
LIMBS, FEW_LIMBS, ROUGH, MANY_ROWS = 2, 1, 1e-5, 4096


def limbs_of(n_rows, tol):
    """The parts that vectors are taken in for a tolerance."""
    return FEW_LIMBS if tol >= ROUGH and n_rows >= MANY_ROWS else LIMBS


@dataclass(frozen=True)
class Point:
    """A model and what is known of it.

    Attributes
    ----------
    model : float64 (outputs, columns + 1)
    margins : float64 (outputs, rows), not yet scaled
    slopes : float64 (outputs, rows), weighted derivatives of the loss by the scaled margins
    value : float
    scale : float, what rounding leaves of the margins
    along : float, mean product of slopes and margins
    """

    model: np.ndarray
    margins: np.ndarray
    slopes: np.ndarray
    value: float
    scale: float
    along: float

    def kept(self):
        """A copy of a point of a line, whose slopes the next one overwrites."""
        return replace(self, slopes=self.slopes.copy())


class LogisticObjective:
    """Mean logistic loss of packed rows plus alpha / 2 |w|**2 + l1 |w|_1, of coefficients w in units of X.

    Parameters
    ----------
    problem : Problem
    labels : Labels
    alpha : float
    limbs : int, 16-bit parts of vectors in products
    calibration : Calibration or None
    l1 : float

    Attributes
    ----------
    problem : Problem, that given without columns of which the penalty leaves nothing
    ridge, l1 : float64 (columns,), of the scaled columns
    slopes : None: those of the loss by the size of a model and by its intercepts are asked of rows that stand for all
    has_rows : bool, whether the rows are at hand, and not only sums over them
    """

    slopes, has_rows = None, True

    def __init__(self, problem, labels, alpha, limbs=LIMBS, calibration=None, l1=0.0):
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alpha) * problem.unit / problem.step) ** 2 if alpha > 0 else np.zeros(problem.d)
            weights = l1 * np.abs(problem.unit / problem.step) if l1 > 0 else np.zeros(problem.d)
        self.problem = problem.without(ridge > MOST_RIDGE * (problem.diagonal.sum() or 1.0))
        self.ridge = np.where(self.problem.unit > 0, ridge, 0.0)
        self.l1 = np.where(self.problem.unit > 0, np.minimum(weights, MOST_L1), 0.0)
        self.labels, self.limbs, self.calibration = labels, limbs, calibration
        self.n, self.d = problem.n, problem.d

    def calibrated(self, calibration):
        """The same objective with another calibration."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other.calibration = calibration
        return other

    @property
    def has_l1(self):
        """Whether coefficients may become exactly zero."""
        return bool(self.l1.any())

    @property
    def has_intercept(self):
        """Whether the intercept is free."""
        return self.problem.is_centred

    def start(self):
        """The best model without coefficients: log odds of the classes, or nothing without an intercept."""
        model = np.zeros((self.labels.n_outputs, self.d + 1))
        if self.has_intercept:
            logs = np.log(np.maximum(self.labels.shares(), np.finfo(float).tiny))
            model[:, -1] = logs[1] - logs[0] if len(model) == 1 else logs - logs.mean()
        return model

    def coefficients(self, model, dtype):
        """Coefficients and intercepts in units of X, float64, as arrays of a dtype will hold them."""
        problem = self.problem
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is the caller's business
            coef = model[:, :-1] * problem.unit / problem.step
            coef[:, problem.unit == 0] = 0
            coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what will be held
            if not problem.is_centred:
                return coef, np.zeros(len(coef))
            return coef, model[:, -1] - coef @ (problem.offset + problem.step * problem.centre)

    def model(self, coef, intercept):
        """The model of coefficients and intercepts in units of X."""
        problem = self.problem
        model, size = np.zeros((len(coef), self.d + 1)), coef * problem.step
        model[:, :-1] = np.divide(size, problem.unit, out=np.zeros_like(size), where=problem.unit > 0)
        if problem.is_centred:
            model[:, -1] = intercept + coef @ (problem.offset + problem.step * problem.centre)
        return model

    def image(self, model):
        """What a model, or a move of one, adds to the margins, float64 (outputs, rows)."""
        return evaluation.margins_of(self.problem, self.applied(model), self.limbs)

    def applied(self, model):
        """A model as rows are multiplied by it."""
        if self.calibration is None:
            return model
        return np.column_stack([self.calibration.apply(model[:, :-1]), model[:, -1]])

    def at(self, model):
        """The Point of a model."""
        margins = self.image(model)
        slopes = np.empty_like(margins)
        return self._point(model, margins, slopes, None, 0.0)[0]

    def line(self, point, move):
        """The Line of the objective from a point along a move."""
        return ObjectiveLine(self, point, move, self.image(move))

    def gradient(self, point):
        """Gradient at a point, the l1 penalty apart, float64 (outputs, columns + 1)."""
        gradient = evaluation.row_combinations(self.problem, point.slopes, self.limbs) * self.problem.unit
        return self.slope(point, gradient, point.slopes.mean(axis=1))

    def slope(self, point, gradient, mean_slopes):
        """The gradient out of the mean product of slopes and scaled rows, and the mean slopes."""
        out, coef = np.zeros_like(point.model), point.model[:, :-1]
        out[:, :-1] = self.adjoint(point, gradient) + self.by_scale(point) + self.ridge * coef
        if self.has_intercept:
            out[:, -1] = point.scale * mean_slopes
        return out

    def adjoint(self, point, gradient):
        """The part of the gradient that comes of the margins before they are scaled."""
        return gradient if self.calibration is None else point.scale * self.calibration.adjoint(gradient)

    def by_scale(self, point):
        """The part that comes of what the margins are scaled by."""
        if self.calibration is None:
            return np.zeros_like(point.model[:, :-1])
        return -point.along * point.scale**3 * self._spread_of(point.model[:, :-1])

    def absolute(self, coef):
        """The l1 penalty of coefficients (outputs, columns)."""
        return float(self.l1 @ np.abs(coef).sum(axis=0))

    def _spread_of(self, coef):
        """Product of spread, u and V, half the derivative of x."""
        calibration = self.calibration
        return calibration.spread @ (calibration.noise * calibration.apply(coef))

    def _point(self, model, margins, slopes, image, length):
        """The Point of a model whose margins are margins + length * image, which it keeps apart; and its Line."""
        scale = self.scale(model)
        with np.errstate(over="ignore", invalid="ignore"):
            line = softmax.evaluate(self.labels, scale, margins, slopes, image, length)
            value = line.loss + self.penalty(model)
        return Point(model, margins, slopes, value, scale, line.along_margins), line

    def scale(self, model):
        """What rounding leaves of the margins of a model."""
        if self.calibration is None:
            return 1.0
        coef = model[:, :-1]
        return 1 / np.sqrt(1 + max(0.0, float((self._spread_of(coef) * coef).sum())))

    def penalty(self, model):
        """That of a model."""
        coef = model[:, :-1]
        return float(self.ridge @ (coef**2).sum(axis=0)) / 2 + self.absolute(coef)

    def turn(self, point, move, along_image):
        """The derivative along a move but for the l1 penalty, by the mean product of slopes and the move's image."""
        coef = point.model[:, :-1]
        slope = point.scale * along_image + float((self.ridge * coef * move[:, :-1]).sum())
        if self.calibration is not None:
            slope -= point.along * point.scale**3 * float((self._spread_of(coef) * move[:, :-1]).sum())
        return slope

    # What a fit has to know of the rows besides

    @property
    def pass_bytes(self):
        """Bytes that a pass over the rows reads."""
        return pass_bytes(self.problem.tiles)

    def reach(self, move):
        """The most that a move changes a margin by, before it is scaled."""
        return np.abs(self.image(move)).max(initial=0)

    def shown(self, point, count):
        """Labels and margins of the first rows."""
        return self.labels.first(count), point.margins[:, :count]

    def noise_ratio(self, noisy):
        """See `compensation.noise_ratio`."""
        return noise_ratio(self.problem, noisy)

    def concentration(self, point):
        """See `curvature_sums`."""
        return curvature_sums.concentration(self.problem, self.labels, point.slopes)

    def mean_curvatures(self, point):
        """Mean second derivatives by the margin of each output, float64 (outputs,)."""
        return softmax.curvatures(self.labels, point.slopes).mean(axis=1)

    def pair_curvatures(self, point):
        """Mean second derivatives by pairs of margins of many classes, of rows that stand for all."""
        rows = min(self.n, softmax.pair_rows(self.labels.n_outputs))
        return softmax.pair_curvatures(self.labels.first(rows), point.slopes[:, :rows]) / max(1, rows)

    def weighted_sums(self, point, last):
        """See `curvature_sums`, over the rows of tiles 0..last-1."""
        return curvature_sums.weighted_sums(self.problem, self.labels, point.slopes, last)

    def pair_sums(self, point, last):
        """See `curvature_sums`, over the rows of tiles 0..last-1."""
        return curvature_sums.pair_sums(self.problem, self.labels, point.slopes, last)


class ObjectiveLine:
    """The objective along a line of models; no pass over the rows is needed for its values.

    Parameters
    ----------
    objective : LogisticObjective
    point : Point
    move : float64 (outputs, columns + 1)
    image : float64 (outputs, rows), what the move adds to the margins
    """

    def __init__(self, objective, point, move, image):
        self.objective, self.point, self.move, self.image = objective, point, move, image
        self._slopes = np.empty_like(image)

    def at(self, length):
        """The Point at a length, whose margins are still those before, and the derivative but for the l1 penalty."""
        objective = self.objective
        model = self.point.model + length * self.move
        point, line = objective._point(model, self.point.margins, self._slopes, self.image, length)
        return point, objective.turn(point, self.move, line.along_image)

    def moved(self, point, length):
        """A point of this line with its own margins; those of the start are overwritten."""
        margins = self.point.margins
        margins += length * self.image
        return Point(point.model, margins, point.slopes, point.value, point.scale, point.along)
