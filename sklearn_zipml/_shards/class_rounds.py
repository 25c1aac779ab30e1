"""What a part tells of its rows while logistic regression is fitted in rounds: in few bits, as `gradient` does.

A part stands at an anchor, a model whose margins it keeps, and follows moves from there: it tells how the gradient of
the objective's second-order expansion about the anchor differs from all that it has told. With a new anchor it goes on
telling differences, so that nothing is told twice, whatever the classes of its rows.
"""

import struct
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from .._solvers import evaluation, softmax
from .._underflow import underflow_is_zero
from . import class_rows, class_sums
from .directions import Directions, Told, tell
from .gradient import tilt
from .messages import decoded, encoded
from .weighted_noise import WeightedNoise, WithNoise

LOSSES = struct.Struct("<df")  # of a Where


@dataclass(frozen=True)
class RoundSurvey(WithNoise):
    """What the first message of a part says; see ClassSurvey and Survey for most of it.

    Attributes
    ----------
    classes : ClassSurvey, without the columns
    noise : WeightedNoise or None
    tilt : float64 (2,)
    """

    classes: class_rows.ClassSurvey
    noise: WeightedNoise | None
    tilt: np.ndarray

    @property
    def _n_beside(self):
        return 8 * self.classes.n_numbers + self.tilt.nbytes


@underflow_is_zero
def survey(shards, code, has_weights, seed):
    """The RoundSurvey of some shards, whose targets a TargetCode makes numbers of classes; seed: of its message."""
    found, noise = class_rows.survey(shards, code, has_weights, with_reach=False), None
    if found.columns is not None:
        plain = shards[0].rows.rounding_variance.astype(np.float64)
        noise = WeightedNoise.of(found.weight, found.columns[2] / found.weight, plain, seed)
    return RoundSurvey(found.with_columns(None), noise, sum(tilt(shard.rows) for shard in shards))


def joined(surveys):
    """ClassSurvey, WeightedNoise or None, and tilt, of all parts."""
    classes = reduce(lambda one, other: one.joined(other), (found.classes for found in surveys))
    noise = None if surveys[0].noise is None else reduce(add, (found.noise for found in surveys))
    return classes, noise, sum(found.tilt for found in surveys)


def scaling(grid, mean, deviation, ridge, is_centred):
    """Centres of columns, and the sizes that make the curvature of loss and penalty about one along each of them.

    Parameters
    ----------
    grid : has offset and step, as SumsGrid and PackedRows do
    mean, deviation : float64 (columns,), in grid steps
    ridge : float, penalty over mean curvature of the loss, of coefficients in units of X
    is_centred : bool

    Returns
    -------
    centre, about, size : float64 (columns,), in grid steps; about: root of the mean square about the centre
    """
    centre = mean if is_centred else -grid.offset / grid.step
    about = np.hypot(deviation, mean - centre)
    with np.errstate(over="ignore", divide="ignore"):
        size = np.where(about > 0, np.hypot(about, np.sqrt(ridge) / grid.step), 0.0)
    return centre, about, size


@dataclass(frozen=True, eq=False)
class RoundFrame:
    """What all parts are told of the whole.

    Attributes
    ----------
    n_rows, n_outputs : int
    is_centred : bool, whether there is an intercept
    scale, limbs : see ClassFrame
    ridge : float, see `scaling`
    curvature : float, that gradients and losses are divided by
    intercepts : float64 (outputs,), of the first model
    """

    n_rows: int
    n_outputs: int
    is_centred: bool
    scale: float | None
    limbs: int
    ridge: float
    curvature: float
    intercepts: np.ndarray

    @property
    def nbytes(self):
        """What it takes to send it."""
        return 49 + self.intercepts.nbytes

    def of_rows(self, rows):
        """The ClassFrame for PackedRows, by statistics of all rows without weights: intercepts make good for that."""
        mean, deviation = (one.astype(np.float64) for one in (rows.mean, rows.deviation))
        centre, _, size = scaling(rows, mean, deviation, self.ridge, self.is_centred)
        unit = np.divide(1.0, size, out=np.zeros(len(size)), where=(size > 0) & np.isfinite(size))
        return class_rows.ClassFrame(self.n_rows, self.n_outputs, centre, unit, self.scale, self.limbs)


def part(shards, firsts, code, frame):
    """The Part of some shards."""
    return class_rows.part(shards, firsts, code, frame.of_rows(shards[0].rows))


@dataclass(frozen=True, eq=False)
class Where:
    """Where a part stands after a round.

    Attributes
    ----------
    model : float64 (outputs, columns + 1), its anchor
    stand : Stand there; None where rows alone curve the expansion, and not the loss
    slope : float64 like model, its share in the gradient there
    move : float64 like model, the sum of all moves since
    told : float64, the sum of all that it has told of its gradient, as messages have it
    directions : Directions of these messages
    message : bytes, what it tells now
    losses : float64 (2,): its share of the loss at the anchor, or of the expansion at the end of the move; and the most
        that margins changed by since the anchor before
    more : Told or None, of new directions
    """

    model: np.ndarray
    stand: object
    slope: np.ndarray
    move: np.ndarray
    told: np.ndarray
    directions: Directions
    message: bytes
    losses: np.ndarray
    more: Told | None = None

    def __sizeof__(self):
        own = self.directions.__sizeof__()
        own += self.model.nbytes + self.slope.nbytes + self.move.nbytes + self.told.nbytes + len(self.message)
        return own + (0 if self.stand is None else self.stand.__sizeof__())


@underflow_is_zero
def begin(part, frame, rounding):
    """The Where at the first model, which is nothing but intercepts."""
    model = np.zeros((frame.n_outputs, len(part.frame.unit) + 1))
    model[:, -1] = frame.intercepts
    told = np.zeros((1, model.size)), Directions.none(model.size)
    return _anchored(part, frame, None, model, told, rounding)


@underflow_is_zero
def anchored(part, frame, before, move, length, rounding):
    """The Where at an anchor that a Move leads to from another Where, or at a part of the way there."""
    model = before.model + length * (before.move + _moved(before, move)[1])
    return _anchored(part, frame, before.stand, model, (before.told, before.directions), rounding)


@underflow_is_zero
def begin_rows(part, frame, before, shape, rounding):
    """The Where in a problem that has the second moments of the rows for its Hessian, and no slope of its own.

    Directions are those of another Where, see `of_rows`.
    """
    zeros = np.zeros((frame.n_outputs, len(part.frame.unit) + 1))
    told, directions = np.zeros(shape), of_rows(before.directions, frame.n_outputs)
    return Where(zeros, None, zeros, zeros, told, directions, encoded(told, *rounding, LOSSES.size), np.zeros(2))


@underflow_is_zero
def bent(part, frame, before, move, rounding):
    """The Where after one more Move from the same anchor."""
    directions, more, candidates = _moved(before, move)
    move = before.move + more
    product = _bent(part, frame, before.stand, move)
    slope = before.slope + product
    told, message = _tell(slope, before.told, directions, rounding)
    rise = (before.slope * move).sum() + (move * product).sum() / 2
    losses = np.array([before.losses[0] + rise, 0.0]) if before.stand else np.array([rise, 0.0])
    bending = _curvature(part, frame, before.stand, move.shape)
    more = tell(directions, len(before.directions), candidates, bending, rounding)
    return Where(before.model, before.stand, before.slope, move, told, directions, message, losses, more)


def of_rows(directions, n_outputs):
    """Directions of the second moments of the rows, like those of the loss where there is one output; none of more."""
    rows = directions.rows
    return Directions(rows[:, :-1]) if n_outputs == 1 else Directions.none(rows.shape[1] // n_outputs - 1)


def level(vectors):
    """Vectors of many outputs (..., outputs, columns + 1) without their mean, the move of all that changes nothing."""
    return vectors if vectors.shape[-2] == 1 else vectors - vectors.mean(axis=-2, keepdims=True)


def reply(where):
    """What is sent of it: as few things as there may be, for each has a header of the engine's."""
    data = where.message + LOSSES.pack(*where.losses)
    return data if where.more is None else (data, where.more)


def replied(replies):
    """Messages, losses and what is told of directions, lists, out of such replies of all parts."""
    pairs = [one if isinstance(one, tuple) else (one, None) for one in replies]
    losses = [np.array(LOSSES.unpack(data[-LOSSES.size :])) for data, _ in pairs]
    return [data[: -LOSSES.size] for data, _ in pairs], losses, [more for _, more in pairs if more is not None]


def _moved(before, move):
    """The Directions after a Move, its vectors, float64 like the model of a Where, and its candidates or None."""
    directions, shape, candidates = before.directions, before.model.shape, None
    is_whole = before.told.size == before.model.size and len(before.told) == 1

    def levelled(message):
        rows = decoded(message)
        return level(rows.reshape(-1, *shape)).reshape(rows.shape) if is_whole else rows

    if move.directions is not None:
        directions = directions.joined(levelled(move.directions))
    if move.candidates is not None:
        candidates = levelled(move.candidates)
    found = np.zeros(shape)
    for message in move.messages:
        vectors = directions.decoded(message)
        if is_whole:
            found += level(vectors.reshape(shape))
        else:
            found[:, :-1] += vectors
    return directions, found, candidates


def _tell(slope, told, directions, rounding):
    """All that has been told after this round, and the message."""
    slope = slope.reshape(told.shape) if slope.size == told.size else slope[:, :-1]
    message = directions.encoded(slope - told, *rounding, LOSSES.size)
    return told + directions.decoded(message), message


def _anchored(part, frame, last, model, before, rounding):
    stand = class_sums.stand(part, model, 1.0)
    found, size = stand.told, part.frame.n_rows * frame.curvature
    slope = _free(frame, np.column_stack([found.gradient, found.slopes]) / size)
    reach = np.inf
    if last is not None:
        pairs = zip(stand.margins, last.margins, strict=True)
        reach = max(float(np.abs(new - old).max(initial=0)) for new, old in pairs)
    told, message = _tell(slope, *before, rounding)
    losses = np.array([found.loss[0] / size, reach])
    return Where(model, stand, slope, np.zeros_like(model), told, before[1], message, losses)


def _free(frame, slope):
    """A gradient without the intercept where there is none."""
    if not frame.is_centred:
        slope[:, -1] = 0.0
    return slope


def _bent(part, frame, stand, move):
    """The share of a part in the gradient that a move makes."""
    return _free(frame, _product(part, stand, move) / (part.frame.n_rows * (frame.curvature if stand else 1.0)))


def _curvature(part, frame, stand, shape):
    """A function of vectors as messages have them that makes gradients of such moves, those of a model of a shape."""

    def product(vectors):
        found = []
        for vector in vectors:
            move = np.zeros(shape)
            is_whole = vector.size == move.size
            own = move if is_whole else move[:1, :-1]
            own[:] = vector.reshape(own.shape)
            bent = _bent(part, frame, stand, move)
            found.append((bent if is_whole else bent[:1, :-1]).reshape(-1))
        return np.stack(found)

    return product


def _product(part, stand, move):
    """Sums over rows of the second derivatives of the loss, or of weights where there is no stand, along a move."""
    out = np.zeros_like(move)
    for k, piece in enumerate(part.pieces):
        image = evaluation.margins_of(piece.problem, move, part.frame.limbs)
        if stand is not None:
            image = softmax.curved(piece.labels, stand.slopes[k], image)
        elif len(piece.labels.weights):
            image = image * piece.labels.weights
        gradient = evaluation.row_combinations(piece.problem, image, part.frame.limbs) * piece.problem.unit
        out[:, :-1] += image.shape[1] * gradient
        out[:, -1] += image.sum(axis=1)
    return out


def stand_of(where):
    """The Stand at its anchor."""
    return where.stand
