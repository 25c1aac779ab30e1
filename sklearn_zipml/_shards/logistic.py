"""Logistic regression of packed parts: the steps of `_solvers.logistic`, with rows that stay where they are.

Out go models and moves, back come the loss, its gradient and, every few steps, second moments weighted by its
curvature, in float64. So every step is that of a fit of all rows in one place, but for the rounding of the last digits;
samples are the same rows, too.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from .._kernels.tiles import TILE_ROWS
from .._solvers import softmax
from .._solvers.compensation import SAMPLE_TILES
from .._solvers.logistic import fit_logistic
from .._solvers.logistic_objective import LogisticObjective, limbs_of
from .._solvers.options import Options
from .._solvers.part_problem import SharedProblem
from .._solvers.proximal_newton import MOST_COLUMNS, is_affordable
from . import class_rows, class_sums


@dataclass(frozen=True)
class Setting:
    """What is to be fitted.

    Attributes
    ----------
    code : TargetCode that makes numbers of classes
    alpha : callable(total weight) -> penalty on coefficients in units of X
    fit_intercept, has_weights : bool, the latter whether rows or classes may have different ones
    max_iter : int
    tol : float
    bits : (model_bits, gradient_bits), of rounds, or None
    seed : int, 64 bits, of rounding in rounds
    l1_ratio : float, share of the l1 penalty, without rounds
    """

    code: object
    alpha: object
    fit_intercept: bool
    has_weights: bool
    max_iter: int
    tol: float
    bits: tuple | None = None
    seed: int = 0
    l1_ratio: float = 0.0


@dataclass(frozen=True)
class FittedClasses:
    """A model, and how it was come to.

    Attributes
    ----------
    coef, intercept : float64 (outputs, features) and (outputs,)
    total : float, sum of the weights
    result : Result
    sample_nbytes : int, memory of the samples
    bytes_sent, float32_bytes : int, that were exchanged, and that would have been with all vectors in float32
    """

    coef: np.ndarray
    intercept: np.ndarray
    total: float
    result: object
    sample_nbytes: int
    bytes_sent: int
    float32_bytes: int


def fit_parts(sites, firsts, common, setting):
    """The FittedClasses of the shards of all sites.

    Parameters
    ----------
    sites : an engine's side of the exchange. `sites.shards` has what lies at each of them; `sites.share(thing)` makes
        one thing known to all; `sites.keep(function, *given)` applies a function at every site, where the result stays;
        given are such results, lists of a thing for each site, or things for all. `sites.ask` fetches what a function
        makes, a list, and `sites.total(function, merge, *given)` has it merged on its way.
    firsts : list of a tuple for each site, numbers that the first rows of its shards have among those of all
    common : Description of the shards
    setting : Setting

    Returns
    -------
    FittedClasses
    """
    seen = reduce(
        lambda one, other: one.joined(other),
        sites.ask(class_rows.survey, sites.shards, setting.code, setting.has_weights),
    )
    objective = _objective(seen, common, setting)
    frame = sites.share(_frame(seen, objective))
    exchange = Exchange(sites, sites.keep(class_rows.part, sites.shards, firsts, setting.code, frame))
    objective.join(exchange, seen, common)
    model, result = fit_logistic(objective, Options(max_iter=setting.max_iter, tol=float(setting.tol)))
    coef, intercept = objective.coefficients(model, common.dtype)
    n_numbers = len(sites.shards) * (seen.n_numbers + 2 * objective.d) + exchange.n_numbers
    return FittedClasses(coef, intercept, seen.weight, result, seen.sample_nbytes, 8 * n_numbers, 4 * n_numbers)


def _objective(seen, common, setting):
    if seen.has_weights:
        mean, square, noise = seen.columns / seen.weight
        statistics = mean, np.sqrt(np.maximum(square - mean**2, 0)), noise
    else:
        statistics = common.mean, common.deviation, common.rounding_variance
    problem = SharedProblem(seen.n_rows, common.grid, statistics, (seen.low, seen.high), setting.fit_intercept)
    n_classes = len(seen.counts)
    labels = SharedLabels(n_classes if n_classes > 2 else 1, seen.counts / seen.counts.sum())
    alpha, limbs = setting.alpha(seen.weight), limbs_of(seen.n_rows, float(setting.tol))
    objective = SharedObjective(problem, labels, alpha * (1 - setting.l1_ratio), limbs, l1=alpha * setting.l1_ratio)
    if objective.has_l1 and not is_affordable(objective):
        raise ValueError(
            f"l1_ratio={setting.l1_ratio} takes second moments of partitions, for at most {MOST_COLUMNS} columns, or "
            f"some thousand coefficients of more than two classes, but X has {problem.d} columns and y {n_classes} "
            "classes: use l1_ratio=0, or choose columns first."
        )
    return objective


def _frame(seen, objective):
    problem, scale = objective.problem, seen.n_rows / seen.weight if seen.has_weights else None
    outputs = objective.labels.n_outputs
    return class_rows.ClassFrame(problem.n, outputs, problem.centre, problem.unit, scale, objective.limbs)


@dataclass(frozen=True)
class SharedLabels:
    """What is known of the classes of all rows.

    Attributes
    ----------
    n_outputs : int, see Labels
    of_classes : float64 (classes,), weighted shares
    """

    n_outputs: int
    of_classes: np.ndarray

    def shares(self):
        """See Labels."""
        return self.of_classes


class Exchange:
    """What goes out to the parts and comes back.

    Parameters
    ----------
    sites : see `fit_parts`
    parts : what `sites.keep` made of `class_rows.part`

    Attributes
    ----------
    n_numbers : int, that were exchanged
    """

    def __init__(self, sites, parts):
        self.sites, self.parts, self.n_numbers = sites, parts, 0

    def stand(self, function, vector, *given):
        """Stands that a function makes of the parts and what is given, a vector among it; and what all of them tell."""
        stands = self.sites.keep(function, self.parts, *given)
        told = self.sites.ask(class_sums.told, stands)
        self.n_numbers += len(told) * (vector.size + told[0].nbytes // 8)
        return stands, sum(told[1:], told[0])

    def reach(self, move):
        """The most that a move changes a margin by."""
        found = self.sites.ask(class_sums.reach, self.parts, move)
        self.n_numbers += len(found) * (move.size + 1)
        return max(found)

    def total(self, function, *given):
        """Sums over rows, a list of arrays."""
        found = self.sites.total(function, class_sums.added, self.parts, *given)
        self.n_numbers += len(self.sites.shards) * sum(np.size(array) for array in found)
        return found

    def shown(self, stands, count):
        """Class numbers, weights and margins of the first rows."""
        told = self.sites.ask(class_sums.shown, self.parts, count, stands)
        self.n_numbers += sum(array.size for arrays in told for array in arrays)
        places, *along = (np.concatenate(arrays, axis=-1) for arrays in zip(*told, strict=True))
        order = np.argsort(places)
        return [array[..., order] if array.size else array for array in along]


@dataclass(frozen=True, eq=False)
class SharedPoint:
    """A model and what is known of it, as Point.

    Attributes
    ----------
    model : float64 (outputs, columns + 1)
    stands : those of the parts
    told : Told, by all of them
    value, scale, along : float
    """

    model: np.ndarray
    stands: object
    told: object
    value: float
    scale: float
    along: float

    def kept(self):
        """Nothing overwrites it."""
        return self


class SharedObjective(LogisticObjective):
    """The objective of rows that lie in parts; see LogisticObjective for what its methods find."""

    has_rows = False

    def join(self, exchange, seen, common):
        """Have the rows at the other side of an Exchange, of a ClassSurvey and a Description."""
        self.exchange, self.seen, self.collisions, self._moments = exchange, seen, common.grid.collision_probability, {}
        self.problem.moment_sums = self._moment_sums

    def at(self, model):
        """The SharedPoint of a model."""
        applied, scale = self.applied(model), self.scale(model)
        return self._point_of(model, scale, self.exchange.stand(class_sums.stand, applied, applied, scale))

    def line(self, point, move):
        """The objective from a point along a move."""
        return SharedLine(self, point, move)

    def gradient(self, point):
        """Gradient at a point."""
        return self.slope(point, point.told.gradient / self.n, point.told.slopes / self.n)

    def _point_of(self, model, scale, found):
        stands, told = found
        with np.errstate(over="ignore", invalid="ignore"):
            value = float(told.loss[0]) / self.n + self.penalty(model)
        return SharedPoint(model, stands, told, value, scale, float(told.loss[1]) / self.n)

    @property
    def pass_bytes(self):
        """Bytes that a pass over the rows reads."""
        return self.seen.pass_bytes

    def reach(self, move):
        """The most that a move changes a margin by, before it is scaled."""
        return self.exchange.reach(self.applied(move))

    def shown(self, point, count):
        """Labels and margins of the first rows."""
        numbers, weights, margins = self.exchange.shown(point.stands, min(count, self.n))
        return softmax.Labels(numbers, self.labels.n_outputs, weights), margins

    def noise_ratio(self, noisy):
        """See `compensation.noise_ratio`."""
        columns, count = np.flatnonzero(noisy), int(noisy.sum())
        own = self.seen.squared_weight / self.seen.weight**2
        rows = 1 / (own + (1 - own) * self.collisions)
        given = SAMPLE_TILES * TILE_ROWS, columns, self.problem.variance[columns]
        square, shown = self.exchange.total(class_sums.tilt, *given)[0]
        return max(count / rows, square / shown / (rows * count)) if shown else count / rows

    def concentration(self, point):
        """See `curvature_sums`."""
        return self.exchange.total(class_sums.concentration, point.stands)[0]

    def mean_curvatures(self, point):
        """Mean second derivatives by the margin of each output."""
        return self.exchange.total(class_sums.curvatures, point.stands)[0] / self.n

    def pair_curvatures(self, point):
        """Mean second derivatives by pairs of margins."""
        rows = min(self.n, softmax.pair_rows(self.labels.n_outputs))
        return self.exchange.total(class_sums.pair_curvatures, rows, point.stands)[0] / rows

    def weighted_sums(self, point, last):
        """See `curvature_sums`, over the rows of tiles 0..last-1 of all rows."""
        return self.exchange.total(class_sums.weighted_sums, last * TILE_ROWS, point.stands)[0]

    def pair_sums(self, point, last):
        """See `curvature_sums`, over the rows of tiles 0..last-1 of all rows."""
        return self.exchange.total(class_sums.pair_sums, last * TILE_ROWS, point.stands)[0]

    def _moment_sums(self, last):
        """See SharedProblem; they are the same for all models."""
        if last not in self._moments:
            self._moments[last] = self.exchange.total(class_sums.moment_sums, last * TILE_ROWS)
        return self._moments[last]


class SharedLine:
    """The objective along a line of models; one pass over the rows makes the line, and one the gradient at a place.

    Parameters
    ----------
    objective : SharedObjective
    point : SharedPoint
    move : float64 (outputs, columns + 1)
    """

    def __init__(self, objective, point, move):
        self.objective, self.point, self.move = objective, point, move
        self._applied, self._images = objective.applied(move), None

    def at(self, length):
        """The objective's SharedPoint at a length, and its derivative there."""
        objective = self.objective
        model = self.point.model + length * self.move
        scale = objective.scale(model)
        given = self.point.stands, self._applied, self._images, length, scale
        found = objective.exchange.stand(class_sums.stand_along, self._applied, *given)
        self._images = found[0]
        point = objective._point_of(model, scale, found)
        return point, objective.turn(point, self.move, float(found[1].loss[2]) / objective.n)

    def moved(self, point, length):
        """The point, which has its own margins."""
        return point
