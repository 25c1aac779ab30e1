"""What a part tells of its rows in rounds: a survey before the first, and its share of the gradient in each."""

from dataclasses import dataclass, replace

import numpy as np

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.products import MANY, gradients_many, products_many
from .._solvers.compensation import SAMPLE_TILES, noisy_columns
from .._storage.statistics import code_noise, weighted
from .._underflow import underflow_is_zero
from .directions import Directions, Told, tell
from .messages import decoded
from .weighted_noise import WeightedNoise, WithNoise

LIMBS = 3  # 16-bit parts of models and residuals: 46 bits
SPAN_TILES = 256


@dataclass(frozen=True)
class Survey(WithNoise):
    """Sums over the rows of some parts.

    Attributes
    ----------
    n_rows : int
    weight, squared_weight : float
    targets : float64 (2, outputs), of weight times target and times its square
    noise : WeightedNoise or None, which without weights the statistics of packing have
    tilt : float64 (2,), of rows of a sample, squared sums of their noise in parts of the columns', and their number
    """

    n_rows: int
    weight: float
    squared_weight: float
    targets: np.ndarray
    noise: WeightedNoise | None
    tilt: np.ndarray

    @property
    def _n_beside(self):
        return 24 + self.targets.nbytes + self.tilt.nbytes

    def joined(self, other):
        """That of the rows of both."""
        mine, others = vars(self), vars(other)
        return Survey(**{name: None if mine[name] is None else mine[name] + others[name] for name in mine})


@underflow_is_zero
def survey(shards, code, has_weights, seed=0):
    """The Survey of some parts, a sequence of Shard, whose targets are told by a TargetCode; seed: of its message."""
    found, noise = None, 0.0
    for shard in shards:
        targets, weights = code(shard)
        rows, n = shard.rows, len(targets)
        weights = np.ones(n) if weights is None else weights
        total = float(weights.sum())
        sums = np.stack([weights @ targets, weights @ targets**2])
        if has_weights:
            slots = rows.order.to_slots(weights, rows.tiles.n_tiles * kernels.TILE_ROWS, np.float64)
            noise = noise + total * weighted(rows, slots)[2]
        one = Survey(n, total, float(weights @ weights), sums, None, tilt(rows))
        found = one if found is None else found.joined(one)
    if has_weights:
        plain = shards[0].rows.rounding_variance.astype(np.float64)
        found = replace(found, noise=WeightedNoise.of(found.weight, noise / found.weight, plain, seed))
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


@dataclass(frozen=True, eq=False)
class Answer:
    """Where a part stands after a round.

    Attributes
    ----------
    model : float64 (outputs, numbers), the sum of all moves
    told : float64 (outputs, numbers), the sum of all that it has told of its gradient
    directions : Directions of messages
    message : bytes, what it tells now
    losses : float32 (outputs,), its share of the mean loss
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
        zeros = np.zeros((2, len(frame.target_mean), frame.size_of(shards[0].rows)))
        before = Answer(*zeros, Directions.none(zeros.shape[2]), b"", np.zeros(0))
    directions, told = before.directions, before.told
    if move.directions is not None:
        directions = directions.joined(decoded(move.directions))

    def product(vectors):
        return sum(_gradient(shard, code, frame, vectors, with_targets=False)[0] for shard in shards)

    candidates = None if move.candidates is None else decoded(move.candidates)
    more = tell(directions, len(before.directions), candidates, product, rounding)
    model = sum(map(directions.decoded, move.messages), before.model)
    shares, losses = zip(*(_gradient(shard, code, frame, model) for shard in shards), strict=True)
    losses = sum(losses).astype(np.float32)
    message = directions.encoded(sum(shares) - told, *rounding, beside=losses.nbytes)
    return Answer(model, told + directions.decoded(message), directions, message, losses, more)


def reply(answer):
    """What is sent of an Answer: as few things as there may be, for each has a header of the engine's."""
    data = answer.message + answer.losses.tobytes()
    return data if answer.more is None else (data, answer.more)


def replied(replies, n_outputs):
    """Messages, losses and what is told of directions, lists, out of such replies of all parts."""
    pairs = [one if isinstance(one, tuple) else (one, None) for one in replies]
    size = 4 * n_outputs
    losses = [np.frombuffer(data[-size:], np.float32) for data, _ in pairs]
    return [data[:-size] for data, _ in pairs], losses, [more for _, more in pairs if more is not None]


def _gradient(shard, code, frame, model, with_targets=True):
    """The share of a part in the gradient of the mean loss, float64 like the model, and in that, (outputs,).

    Without targets it is that of targets of zero, for any number of models.
    """
    targets, weights = code(shard)
    rows, tiles, scaling = shard.rows, shard.rows.tiles, frame.scaling(shard.rows)
    z = model[:, : tiles.n_columns] * scaling.unit
    n_slots, n = tiles.n_tiles * kernels.TILE_ROWS, len(targets)
    targets = (targets - frame.target_mean) / frame.target_scale if with_targets else np.zeros((n, len(z)))
    targets = rows.order.to_slots(targets.T, n_slots, np.float64)
    weights = rows.order.to_slots(np.ones(n) if weights is None else weights, n_slots, np.float64)
    shift, out, losses = z @ scaling.centre, np.zeros(model.shape), np.zeros(len(z))
    if frame.has_level:
        shift = shift - model[:, -1]
    for first in range(0, tiles.n_tiles, SPAN_TILES):
        last = min(tiles.n_tiles, first + SPAN_TILES)
        slots = slice(first * kernels.TILE_ROWS, last * kernels.TILE_ROWS)
        residuals = _images(tiles, z, first, last) - shift[:, None] - targets[:, slots]
        weighted = residuals * weights[slots]
        losses += np.einsum("ki,ki->k", weighted, residuals) / 2
        sums, totals = _sums(tiles, weighted, first, last)
        out[:, : tiles.n_columns] += (sums - totals[:, None] * scaling.centre) * scaling.unit
        if frame.has_level:
            out[:, -1] += totals
    return out / frame.weight, losses / frame.weight


def _images(tiles, z, first, last):
    if len(z) >= MANY:
        return products_many(tiles, z, first, last, n_bytes=2 * LIMBS)
    return np.stack([passes.products(tiles, np.ascontiguousarray(row), first, last, LIMBS) for row in z])


def _sums(tiles, residuals, first, last):
    if len(residuals) >= MANY:
        return gradients_many(tiles, residuals, first, last, n_bytes=2 * LIMBS)
    sums = [passes.row_sums(tiles, row, first, last, LIMBS)[: tiles.n_columns] for row in residuals]
    return np.stack(sums), residuals.sum(axis=1)
