"""What a part tells of its rows in rounds: a survey before the first, and its share of the gradient in each."""

from dataclasses import dataclass

import numpy as np

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.products import MANY, gradients_many, products_many
from .._solvers.compensation import SAMPLE_TILES, noisy_columns
from .._storage.statistics import code_noise, weighted
from .._underflow import underflow_is_zero
from .directions import Directions, Told, tell
from .messages import decoded

LIMBS = 3  # 16-bit parts of models and residuals: 46 bits
SPAN_TILES = 256


@dataclass(frozen=True)
class Survey:
    """Sums over the rows of some parts.

    Attributes
    ----------
    n_rows : int
    weight, squared_weight : float
    targets : float64 (2, outputs), of weight times target and times its square
    columns : float64 (3, columns) or None: weight times grid position, its square, and rounding variance; None without
        weights, for which the statistics of packing have them
    tilt : float64 (2,), of rows of a sample, squared sums of their noise in parts of the columns', and their number
    """

    n_rows: int
    weight: float
    squared_weight: float
    targets: np.ndarray
    columns: np.ndarray | None
    tilt: np.ndarray

    @property
    def nbytes(self):
        """What it takes to send it."""
        columns = 0 if self.columns is None else self.columns.nbytes
        return 24 + self.targets.nbytes + columns + self.tilt.nbytes

    def joined(self, other):
        """That of the rows of both."""
        mine, others = vars(self), vars(other)
        return Survey(**{name: None if mine[name] is None else mine[name] + others[name] for name in mine})


@underflow_is_zero
def survey(shards, code, has_weights):
    """The Survey of some parts, a sequence of Shard, whose targets are told by a TargetCode."""
    found = None
    for shard in shards:
        targets, weights = code(shard)
        rows, n = shard.rows, len(targets)
        weights = np.ones(n) if weights is None else weights
        total = float(weights.sum())
        sums = np.stack([weights @ targets, weights @ targets**2])
        columns = None
        if has_weights:
            slots = rows.order.to_slots(weights, rows.tiles.n_tiles * kernels.TILE_ROWS, np.float64)
            mean, deviation, noise = weighted(rows, slots)
            columns = total * np.stack([mean, deviation**2 + mean**2, noise])
        one = Survey(n, total, float(weights @ weights), sums, columns, tilt(rows))
        found = one if found is None else found.joined(one)
    return found


def tilt(rows):
    """How unevenly rounding errors are spread over rows: see `compensation.noise_ratio`."""
    variance = rows.rounding_variance.astype(np.float64)
    scale = np.divide(variance, rows.deviation.astype(np.float64) ** 2, out=np.zeros(len(variance)), where=variance > 0)
    noisy = np.flatnonzero(noisy_columns(scale))
    if not len(noisy):
        return np.zeros(2)
    table = code_noise(rows)[noisy] / variance[noisy, None]
    total = rows.tiles.lookup(0, min(rows.tiles.n_tiles, SAMPLE_TILES), noisy, table)
    return np.array([(total**2).sum(), len(total)])


@dataclass(frozen=True)
class Frame:
    """The coordinates that all parts compute in.

    Attributes
    ----------
    centre : float64 (columns,), grid positions that are taken off
    unit : float64 (columns,), model in grid steps of one in the exchanged coordinates
    target_mean, target_scale : float64 (outputs,)
    weight : float, of all rows
    """

    centre: np.ndarray
    unit: np.ndarray
    target_mean: np.ndarray
    target_scale: np.ndarray
    weight: float


@dataclass(frozen=True, eq=False)
class Answer:
    """Where a part stands after a round.

    Attributes
    ----------
    model : float64 (outputs, columns), the sum of all moves
    told : float64 (outputs, columns), the sum of all that it has told of its gradient
    directions : Directions of messages
    message : bytes, what it tells now
    losses : float64 (outputs,), its share of the mean loss, which is told as it is
    more : Told or None, of new directions
    """

    model: np.ndarray
    told: np.ndarray
    directions: Directions
    message: bytes
    losses: np.ndarray
    more: Told | None = None

    def __sizeof__(self):
        return self.model.nbytes + self.told.nbytes + self.directions.__sizeof__() + len(self.message)


@underflow_is_zero
def answer(shards, code, frame, before, move, rounding):
    """Follow a move, and tell how the gradient differs from what has been told of it.

    What rounding leaves out of one message is in the next one, so that it is lost in none.

    Parameters
    ----------
    shards : sequence of Shard
    code : TargetCode
    frame : Frame
    before : Answer of the round before, or None
    move : Move of the model
    rounding : (bits, seed), of the message

    Returns
    -------
    Answer
    """
    if before is None:
        zeros = np.zeros((2, len(frame.target_mean), len(frame.centre)))
        before = Answer(*zeros, Directions.none(len(frame.centre)), b"", np.zeros(0))
    directions, told = before.directions, before.told
    if move.directions is not None:
        directions = directions.joined(decoded(move.directions))

    def product(vectors):
        return sum(_gradient(shard, code, frame, vectors, with_targets=False)[0] for shard in shards)

    more = tell(directions, len(before.directions), product, rounding)
    model = sum(map(directions.decoded, move.messages), before.model)
    shares, losses = zip(*(_gradient(shard, code, frame, model) for shard in shards), strict=True)
    message = directions.encoded(sum(shares) - told, *rounding)
    return Answer(model, told + directions.decoded(message), directions, message, sum(losses), more)


def _gradient(shard, code, frame, model, with_targets=True):
    """The share of a part in the gradient of the mean loss, float64 (outputs, columns), and in that, (outputs,).

    Without targets it is that of targets of zero, for any number of models.
    """
    targets, weights = code(shard)
    rows, tiles, z = shard.rows, shard.rows.tiles, model * frame.unit
    n_slots, n = tiles.n_tiles * kernels.TILE_ROWS, len(targets)
    targets = (targets - frame.target_mean) / frame.target_scale if with_targets else np.zeros((n, len(z)))
    targets = rows.order.to_slots(targets.T, n_slots, np.float64)
    weights = rows.order.to_slots(np.ones(n) if weights is None else weights, n_slots, np.float64)
    shift, out, losses = z @ frame.centre, np.zeros(z.shape), np.zeros(len(z))
    for first in range(0, tiles.n_tiles, SPAN_TILES):
        last = min(tiles.n_tiles, first + SPAN_TILES)
        slots = slice(first * kernels.TILE_ROWS, last * kernels.TILE_ROWS)
        residuals = _images(tiles, z, first, last) - shift[:, None] - targets[:, slots]
        weighted = residuals * weights[slots]
        losses += np.einsum("ki,ki->k", weighted, residuals) / 2
        sums, totals = _sums(tiles, weighted, first, last)
        out += sums - totals[:, None] * frame.centre
    return out * (frame.unit / frame.weight), losses / frame.weight


def _images(tiles, z, first, last):
    if len(z) >= MANY:
        return products_many(tiles, z, first, last, n_bytes=2 * LIMBS)
    return np.stack([passes.products(tiles, np.ascontiguousarray(row), first, last, LIMBS) for row in z])


def _sums(tiles, residuals, first, last):
    if len(residuals) >= MANY:
        return gradients_many(tiles, residuals, first, last, n_bytes=2 * LIMBS)
    sums = [passes.row_sums(tiles, row, first, last, LIMBS)[: tiles.n_columns] for row in residuals]
    return np.stack(sums), residuals.sum(axis=1)
