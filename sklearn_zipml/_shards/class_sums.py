"""What a part tells of its rows while logistic regression is fitted: sums at models, along lines, and of curvatures."""

from dataclasses import dataclass

import numpy as np

from .._solvers import curvature_sums, evaluation, softmax
from .._storage.statistics import code_noise
from .._underflow import underflow_is_zero


@dataclass(frozen=True, eq=False)
class Told:
    """Sums over the rows at a model, or at a place of a line of models.

    Attributes
    ----------
    loss : float64 (3,), of the loss, and of products of slopes with margins and with the line's image
    slopes : float64 (outputs,)
    gradient : float64 (outputs, columns), of slopes times scaled rows
    """

    loss: np.ndarray
    slopes: np.ndarray
    gradient: np.ndarray

    @property
    def nbytes(self):
        """What it takes to send it."""
        return sum(array.nbytes for array in vars(self).values())

    def __add__(self, other):
        return Told(*(mine + others for mine, others in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a part stands.

    Attributes
    ----------
    margins, slopes : list of float64 (outputs, rows), of every shard, see Point
    images : the same of the line that it stands on, or None
    told : Told
    """

    margins: list
    slopes: list
    images: list | None
    told: Told

    def __sizeof__(self):
        return sum(array.nbytes for arrays in (self.margins, self.slopes, self.images or ()) for array in arrays)


@underflow_is_zero
def stand(part, model, scale):
    """The Stand at a model, float64 (outputs, columns + 1), of margins times scale."""
    frame = part.frame
    margins = [evaluation.margins_of(piece.problem, model, frame.limbs) for piece in part.pieces]
    return _stand(part, margins, None, scale)


@underflow_is_zero
def stand_along(part, start, move, images, length, scale):
    """That on a line from another Stand along a move, whose images a Stand on this line has, unless that is None."""
    if images is None:
        images = [evaluation.margins_of(piece.problem, move, part.frame.limbs) for piece in part.pieces]
    else:
        images = images.images
    margins = [before + length * image for before, image in zip(start.margins, images, strict=True)]
    return _stand(part, margins, images, scale)


def _stand(part, margins, images, scale):
    slopes, told = [], []
    for k, (piece, m) in enumerate(zip(part.pieces, margins, strict=True)):
        slopes.append(np.empty_like(m))
        with np.errstate(over="ignore", invalid="ignore"):
            line = softmax.evaluate(piece.labels, scale, m, slopes[k], None if images is None else images[k])
            gradient = evaluation.row_combinations(piece.problem, slopes[k], part.frame.limbs) * piece.problem.unit
        loss = np.array([line.loss, line.along_margins, line.along_image])
        told.append(Told(m.shape[1] * loss, slopes[k].sum(axis=1), m.shape[1] * gradient))
    return Stand(margins, slopes, images, sum(told[1:], told[0]))


def told(stand):
    """What a Stand tells."""
    return stand.told


@underflow_is_zero
def reach(part, move):
    """The most that a move changes a margin by."""
    images = [evaluation.margins_of(piece.problem, move, part.frame.limbs) for piece in part.pieces]
    return max(float(np.abs(image).max(initial=0)) for image in images)


@underflow_is_zero
def shown(part, count, stand):
    """Places among the first rows of all, with class numbers, weights (or none) and margins there."""
    found = []
    for piece, margins in zip(part.pieces, stand.margins, strict=True):
        slots, places = piece.places(count)
        weights = piece.labels.weights
        found.append(
            (places, piece.labels.numbers[slots], weights[slots] if len(weights) else weights, margins[:, slots])
        )
    return [np.concatenate(arrays, axis=-1) for arrays in zip(*found, strict=True)]


# Sums over all rows, or over the first ones of all: a list of arrays, or None without such rows


def along(part, stand):
    """Of products of slopes and margins, and of the slopes of every output."""
    return [np.append(stand.told.loss[1], stand.told.slopes)]


@underflow_is_zero
def concentration(part, stand):
    """See `curvature_sums`."""
    pairs = zip(part.pieces, stand.slopes, strict=True)
    return [sum(curvature_sums.concentration(piece.problem, piece.labels, slopes) for piece, slopes in pairs)]


@underflow_is_zero
def curvatures(part, stand):
    """Of second derivatives by the margin of each output."""
    pairs = zip(part.pieces, stand.slopes, strict=True)
    return [sum(softmax.curvatures(piece.labels, slopes).sum(axis=1) for piece, slopes in pairs)]


@underflow_is_zero
def pair_curvatures(part, count, stand):
    """Of those by pairs of margins."""
    return _over_sample(part, count, stand, lambda _, *rows: [softmax.pair_curvatures(*rows)])


@underflow_is_zero
def weighted_sums(part, count, stand):
    """See `curvature_sums`."""
    return _over_sample(part, count, stand, _of_all_tiles(curvature_sums.weighted_sums))


@underflow_is_zero
def pair_sums(part, count, stand):
    """See `curvature_sums`."""
    return _over_sample(part, count, stand, _of_all_tiles(curvature_sums.pair_sums))


def _of_all_tiles(sums):
    return lambda problem, *rows: [sums(problem, *rows, problem.n_tiles)]


@underflow_is_zero
def moment_sums(part, count):
    """See `PartProblem`."""
    return _over_sample(part, count, None, lambda problem, *_: list(problem.moment_sums()))


@underflow_is_zero
def tilt(part, count, columns, variance):
    """Squared sums of the noise of rows over columns, in parts of its variance in these, and number of the rows."""

    def of_rows(problem, *_):
        if not problem.matrix.noise.shape[1]:  # every code stands for the same error
            return [np.zeros(2)]
        table = code_noise(problem.matrix)[columns] / variance[:, None]
        total = problem.tiles.lookup(0, problem.n_tiles, columns, table)
        return [np.array([total @ total, len(total)])]

    return _over_sample(part, count, None, of_rows)


def added(parts):
    """Sums of several parts."""
    parts = [part for part in parts if part is not None]
    return [sum(arrays[1:], arrays[0]) for arrays in zip(*parts, strict=True)] if parts else None


def _over_sample(part, count, stand, work):
    """What work(problem, labels, slopes) sums up over the rows of every shard that are among the first of all."""
    found = []
    for k, piece in enumerate(part.pieces):
        sample = piece.sample(count)
        if sample is not None:
            problem, labels, slots = sample
            slopes = None if stand is None else np.ascontiguousarray(stand.slopes[k][:, slots])
            found.append(work(problem, labels, slopes))
    return added(found)
