"""The objective of logistic regression on packed rows, its gradient, and its values along a line.

Models are float64 (outputs, columns + 1): coefficients of the scaled columns and, last, the intercept of centred rows.
"""

from dataclasses import dataclass

import numpy as np

from . import evaluation, softmax
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
    """

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
        other = object.__new__(LogisticObjective)
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
        coef = model[:, :-1]
        if self.calibration is not None:
            coef = self.calibration.apply(coef)
        if not coef.any():
            return np.repeat(model[:, -1:], self.n, axis=1)
        margins = evaluation.images(self.problem, coef * self.problem.unit, self.limbs)
        margins += model[:, -1:]
        return margins

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
        out, coef = np.zeros_like(point.model), point.model[:, :-1]
        gradient = evaluation.row_combinations(self.problem, point.slopes, self.limbs) * self.problem.unit
        if self.calibration is not None:
            gradient = point.scale * self.calibration.adjoint(gradient)
            gradient -= point.along * point.scale**3 * self._spread_of(coef)
        out[:, :-1] = gradient + self.ridge * coef
        if self.has_intercept:
            out[:, -1] = point.scale * point.slopes.mean(axis=1)
        return out

    def absolute(self, coef):
        """The l1 penalty of coefficients (outputs, columns)."""
        return float(self.l1 @ np.abs(coef).sum(axis=0))

    def _spread_of(self, coef):
        """Product of spread, u and V, half the derivative of x."""
        calibration = self.calibration
        return calibration.spread @ (calibration.noise * calibration.apply(coef))

    def _point(self, model, margins, slopes, image, length):
        """The Point of a model whose margins are margins + length * image, which it keeps apart; and its Line."""
        coef = model[:, :-1]
        scale = 1.0
        if self.calibration is not None:
            scale = 1 / np.sqrt(1 + max(0.0, float((self._spread_of(coef) * coef).sum())))
        with np.errstate(over="ignore", invalid="ignore"):
            line = softmax.evaluate(self.labels, scale, margins, slopes, image, length)
            value = line.loss + float(self.ridge @ (coef**2).sum(axis=0)) / 2 + self.absolute(coef)
        return Point(model, margins, slopes, value, scale, line.along_margins), line


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
        objective, move = self.objective, self.move
        model = self.point.model + length * move
        point, line = objective._point(model, self.point.margins, self._slopes, self.image, length)
        slope = point.scale * line.along_image + float((objective.ridge * model[:, :-1] * move[:, :-1]).sum())
        if objective.calibration is not None:
            turn = float((objective._spread_of(model[:, :-1]) * move[:, :-1]).sum())
            slope -= point.along * point.scale**3 * turn
        return point, slope

    def moved(self, point, length):
        """A point of this line with its own margins; those of the start are overwritten."""
        margins = self.point.margins
        margins += length * self.image
        return Point(point.model, margins, point.slopes, point.value, point.scale, point.along)
