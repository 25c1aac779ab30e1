"""Rows of a part with their classes, for logistic regression: a survey of them, and what sums are made of."""

from dataclasses import dataclass, replace
from operator import add

import numpy as np

from .._kernels.tiles import TILE_ROWS
from .._solvers import softmax
from .._solvers.batches import pass_bytes
from .._solvers.part_problem import PartProblem
from .._storage.row_order import RowOrder
from .._storage.statistics import weighted
from .._underflow import underflow_is_zero


@dataclass(frozen=True)
class ClassSurvey:
    """What is known of the rows of some parts.

    Attributes
    ----------
    n_rows : int
    sample_nbytes, pass_bytes : int, memory of their samples, and bytes that a pass over them reads
    weight, squared_weight : float, sums over rows
    counts : float64 (classes,), weights by class number
    columns : float64 (3, columns) or None: weight times grid position, its square, and rounding variance; None without
        weights, for which the statistics of packing have them
    lightest, heaviest : float, weights
    low, high : int64 (columns,), grid positions; or None
    """

    n_rows: int
    sample_nbytes: int
    pass_bytes: int
    weight: float
    squared_weight: float
    counts: np.ndarray
    columns: np.ndarray | None
    lightest: float
    heaviest: float
    low: np.ndarray | None
    high: np.ndarray | None

    @property
    def has_weights(self):
        """Whether rows have different ones."""
        return self.lightest != self.heaviest

    @property
    def n_numbers(self):
        """How many numbers it has."""
        return sum(np.size(value) for value in vars(self).values() if value is not None)

    def with_columns(self, columns):
        """The same with other sums of columns, or none."""
        return replace(self, columns=columns)

    def joined(self, other):
        """That of the rows of both."""
        mine, others = vars(self), vars(other)
        joins = {"lightest": min, "heaviest": max, "low": np.minimum, "high": np.maximum}

        def of_both(name):
            return None if mine[name] is None else joins.get(name, add)(mine[name], others[name])

        return ClassSurvey(**{name: of_both(name) for name in mine})


@underflow_is_zero
def survey(shards, code, has_weights, with_reach=True):
    """The ClassSurvey of some parts, a sequence of Shard, whose targets a TargetCode makes numbers of classes.

    The lowest and highest grid positions are left out without `with_reach`.
    """
    found = None
    for shard in shards:
        numbers, weights = code(shard)
        rows, n = shard.rows, len(numbers)
        weights = np.ones(n) if weights is None else weights
        total, columns = float(weights.sum()), None
        counts = np.bincount(numbers[:, 0].astype(np.intp), weights, minlength=len(code.labels))
        if has_weights:
            slots = rows.order.to_slots(weights, rows.tiles.n_tiles * TILE_ROWS, np.float64)
            mean, deviation, noise = weighted(rows, slots)
            columns = total * np.stack([mean, deviation**2 + mean**2, noise])
        size = n, rows.codes.nbytes, pass_bytes(rows.tiles)
        reach = (rows.low, rows.high) if with_reach else (None, None)
        edges = float(weights.min()), float(weights.max()), *reach
        one = ClassSurvey(*size, total, float(weights @ weights), counts, columns, *edges)
        found = one if found is None else found.joined(one)
    return found


@dataclass(frozen=True)
class ClassFrame:
    """What all parts are told of the whole.

    Attributes
    ----------
    n_rows : int, of all parts
    n_outputs : int, see Labels
    centre, unit : float64 (columns,), see Problem
    scale : float or None, makes the mean of all weights one; None where all are the same
    limbs : int, see LogisticObjective
    """

    n_rows: int
    n_outputs: int
    centre: np.ndarray
    unit: np.ndarray
    scale: float | None
    limbs: int


class Part:
    """Rows of some parts with their classes, ready for sums.

    Parameters
    ----------
    shards : sequence of Shard
    firsts : tuple of int, numbers that their first rows have among those of all parts
    code : TargetCode that makes numbers of classes
    frame : ClassFrame
    """

    def __init__(self, shards, firsts, code, frame):
        self.shards, self.firsts, self.code, self.frame = shards, firsts, code, frame
        self.pieces = [_Piece(*one, code, frame) for one in zip(shards, firsts, strict=True)]

    def __reduce__(self):
        return part, (self.shards, self.firsts, self.code, self.frame)

    def __sizeof__(self):
        along = sum(piece.labels.numbers.nbytes + piece.labels.weights.nbytes for piece in self.pieces)
        return along + sum(shard.nbytes for shard in self.shards)  # which go with it where it is sent


@underflow_is_zero
def part(shards, firsts, code, frame):
    """The Part of some shards."""
    return Part(list(shards), firsts, code, frame)


class _Piece:
    """The rows of one shard.

    Attributes
    ----------
    problem : PartProblem
    labels : Labels
    """

    def __init__(self, shard, first, code, frame):
        rows, self.first, self.frame = shard.rows, first, frame
        numbers, weights = code(shard)
        n, n_slots = len(numbers), rows.tiles.n_tiles * TILE_ROWS
        slots = rows.order.to_slots(numbers.T, n_slots, np.float64)[0, :n].astype(np.intp)
        if frame.scale is None:
            weights = np.zeros(0)
        else:
            weights = np.ones(n) if weights is None else weights
            weights = rows.order.to_slots(weights * frame.scale, n_slots, np.float64)
        self.problem = PartProblem(rows, weights, frame.centre, frame.unit)
        self.labels = softmax.Labels(slots, frame.n_outputs, weights[:n])

    def places(self, count):
        """Slots of the rows that are among the first ones of all, and their places among these, in their order."""
        rows, order = self.problem.matrix, RowOrder(self.frame.n_rows, self.problem.matrix.order.seed)
        if count >= self.frame.n_rows:
            slots = np.arange(len(rows))
            return slots, order.slots(self.first + rows.order.rows())
        numbers = order.rows(0, count) - self.first
        places = np.flatnonzero((numbers >= 0) & (numbers < len(rows)))
        return rows.order.slots(numbers[places]), places

    def sample(self, count):
        """Problem and labels of those rows, and their slots; or None."""
        if count >= self.frame.n_rows:
            return self.problem, self.labels, slice(None)
        slots, _ = self.places(count)
        if not len(slots):
            return None
        labels = self.labels
        weights = labels.weights[slots] if len(labels.weights) else labels.weights
        return self.problem.taken(slots), softmax.Labels(labels.numbers[slots], labels.n_outputs, weights), slots
