"""Rounds: the model goes out to the parts and the gradient comes back, both in few bits, until nothing is to be gained.

Out goes how the model moves, back comes how the gradient differs from all that was told of it. Both vanish as the model
comes to rest, and their rounding errors with them: the end is that of full precision. (The anchor of variance-reduced
steps is here the last round. Gorbunov, Hanzely and Richtarik, A unified theory of SGD, AISTATS 2020, tell of such
methods; Mishchenko et al., arXiv:1901.09269, of the exchange.)

The leader keeps a point of its own, the lowest one in the plane of the last moves, which it knows how the gradient
changes along. From there it goes down the gradient made conjugate to these moves.
"""

from dataclasses import dataclass, field

import numpy as np

from .._kernels.row_order import mix
from .messages import decoded, encoded, float32_bytes, rounding_error

MEMORY = 4  # moves that the lowest point is looked for among
WINDOW = 3  # rounds whose gains tell what is still to be gained
LEAST_CURVATURE = 1e-3  # of the largest in the plane of the moves: below, there is only rounding
STEP_CHANGE = 4.0
CLEAR = 0.2  # of the gradient that may be rounding errors; above, the parts look again
MOST_LOOKS = 8
MOST_FAILED = 4  # moves without curvature, after which less is compensated


@dataclass
class _Target:
    """The descent of one output.

    Attributes
    ----------
    point, slope : float64 (columns,), where it stands, and the gradient of the mean loss there
    moves : list of (move, change of the slope), the latest last
    step : float, how far to go along the gradient
    gains : list of float, what the objective fell by in each round
    """

    point: np.ndarray
    slope: np.ndarray
    moves: list = field(default_factory=list)
    step: float = 1.0
    gains: list = field(default_factory=list)


class Rounds:
    """The leader's side of the exchange.

    Parameters
    ----------
    ridge, compensated : float64 (columns,), diagonals that are added to the second moments in the exchanged
        coordinates, and taken off
    n_outputs, n_sites : int
    bits : (model_bits, gradient_bits)
    seed : int, 64 bits
    tol : float, part of the objective that its minimum may still lie below

    Attributes
    ----------
    n_rounds : int
    bytes_sent, float32_bytes : int, of all messages, and what they would take in float32
    objective : list of float64 (outputs,), of standardized targets: 1/2 at the model of zero
    """

    def __init__(self, ridge, compensated, n_outputs, n_sites, bits, seed, tol):
        self.ridge, self.compensated = ridge, compensated
        self.n_sites, self.bits, self.seed, self.tol = n_sites, bits, seed, tol
        shape = n_outputs, len(ridge)
        self.known, self.told = np.zeros(shape), np.zeros(shape)  # model and gradient as the parts know them
        self.targets = None
        self.objective, self.n_rounds, self.bytes_sent = [np.full(n_outputs, 0.5)], 0, 0
        self.float32_bytes = self.n_failed = self.n_looks = 0
        self.is_blurred = False

    @property
    def penalty(self):
        """What is added to the second moments, less what is taken off."""
        return self.ridge - self.compensated

    def move(self):
        """The message for all parts, bytes: how the model moves; None if they are to look again where it stands."""
        if self.targets is None or self.is_blurred:
            return None
        aim = np.stack([target.point + target.step * self._direction(target) for target in self.targets])
        message = encoded(aim - self.known, self.bits[0], mix(self.seed, 2 * self.n_rounds))
        self.known = self.known + decoded(message)
        self._count([message] * self.n_sites)
        return message

    def _count(self, messages):
        self.bytes_sent += sum(len(message) for message in messages)
        self.float32_bytes += len(messages) * float32_bytes(*self.known.shape)

    def rounding(self, site):
        """Bits and seed of the answer of a part."""
        return self.bits[1], mix(mix(self.seed, 2 * self.n_rounds + 1), site)

    def take(self, messages):
        """The answers of all parts."""
        self._count(messages)
        self.told = self.told + sum(decoded(message) for message in messages)
        self.n_rounds += 1
        self.n_looks += 1
        error = np.sqrt(sum(rounding_error(message) ** 2 for message in messages))
        if self.targets is None:
            slopes = np.linalg.norm(self.told, axis=1)
            self.is_blurred = self.n_looks < MOST_LOOKS and bool(np.any(error > CLEAR * slopes))
            if not self.is_blurred:
                self.targets, self.n_looks = [_Target(*there) for there in zip(self.known, self.told, strict=True)], 0
            return
        plans = [self._plan(target, *there) for target, *there in zip(self.targets, self.known, self.told, strict=True)]
        self.is_blurred = self.n_looks < MOST_LOOKS and any(
            plan.is_blurred_by(one) for plan, one in zip(plans, error, strict=True)
        )
        if self.is_blurred:
            return
        self.n_looks = 0
        pairs = zip(self.targets, plans, self.known, self.told, strict=True)
        gained = np.array([self._follow(target, plan, *there) for target, plan, *there in pairs])
        self.objective.append(self.objective[-1] - gained)

    @property
    def model(self):
        """The model where the leader stands, float64 (outputs, columns)."""
        return np.stack([target.point for target in self.targets])

    @property
    def gap(self):
        """What the objective may still fall by, float64 (outputs,); extrapolated from the gains of the last rounds."""
        if self.targets is None:
            return np.full(len(self.known), np.inf)
        return np.array([_still_to_gain(target.gains) for target in self.targets])

    @property
    def is_done(self):
        """Whether that is within the tolerance."""
        return bool(np.all(self.gap <= self.tol * np.maximum(self.objective[-1], 0)))

    def _full_slope(self, target):
        return target.slope + self.penalty * target.point

    def _direction(self, target):
        """Down the gradient, conjugate to the moves."""
        direction = -self._full_slope(target)
        for move, change in reversed(target.moves):
            bend = change + self.penalty * move
            curvature = move @ bend
            if curvature > 0:
                direction = direction - ((direction @ bend) / curvature) * move
        return direction

    def _plan(self, target, model, slope):
        """The _Plan for a target whose gradient is known at a model."""
        move, change = model - target.point, slope - target.slope
        curvature = move @ (change + self.penalty * move)
        if curvature <= 0:
            return _Plan(bool(move.any()))
        pairs = [*target.moves, (move, change)][-MEMORY:]
        moves, changes = (np.stack(part) for part in zip(*pairs, strict=True))
        full = self._full_slope(target)
        shares, gain = _lowest(moves, changes + self.penalty * moves, full)
        there = target.point + shares @ moves, target.slope + shares @ changes
        left = np.linalg.norm(there[1] + self.penalty * there[0])
        return _Plan(False, pairs, *there, abs(shares[-1]), left, gain, -(move @ full) / curvature)

    def _follow(self, target, plan, model, slope):
        """Go where a plan leads; what the objective falls by."""
        if plan.is_lost:  # by rounding errors, or where too much was compensated
            self.n_failed += 1
            target.point, target.slope, target.moves, target.step = model, slope, [], target.step / STEP_CHANGE
            if self.n_failed % MOST_FAILED == 0:
                self.compensated = self.compensated / 2
            return 0.0
        target.gains.append(plan.gain)
        if plan.pairs:
            target.moves, target.point, target.slope = plan.pairs, plan.point, plan.slope
            target.step *= np.clip(plan.length, 1 / STEP_CHANGE, STEP_CHANGE)
        return plan.gain


@dataclass
class _Plan:
    """Where to go from a target's point.

    Attributes
    ----------
    is_lost : bool, whether the last move showed no curvature
    pairs : list, the target's moves with the last one; empty without a move
    point, slope : float64 (columns,), where they lead, and the gradient of the mean loss there
    share : float, of the last move in the way there
    left : float, length of the gradient there, penalty included
    gain, length : float, what the objective falls by, and how many times the last move should have been as long
    """

    is_lost: bool
    pairs: list = field(default_factory=list)
    point: np.ndarray | None = None
    slope: np.ndarray | None = None
    share: float = 0.0
    left: float = 0.0
    gain: float = 0.0
    length: float = 1.0

    def is_blurred_by(self, error):
        """Whether a gradient that is off by so much had better be looked at again."""
        return self.is_lost or self.share * error > CLEAR * self.left


def _lowest(moves, bends, slope):
    """Shares of moves that lead to the lowest point of their plane, and how far below it is."""
    size = np.sqrt((moves * bends).sum(axis=1).clip(np.finfo(float).tiny))
    moves, bends = moves / size[:, None], bends / size[:, None]
    matrix = moves @ bends.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > LEAST_CURVATURE * values[-1]
    along = vectors[:, kept].T @ (moves @ slope)
    return -(vectors[:, kept] @ (along / values[kept])) / size, float((along**2 / values[kept]).sum() / 2)


def _still_to_gain(gains):
    """The sum of a geometric series that the last gains seem to be of."""
    late, early = sum(gains[-WINDOW:]), sum(gains[-2 * WINDOW : -WINDOW])
    if len(gains) < 2 * WINDOW or late >= early > 0:
        return np.inf
    if late <= 0:
        return 0.0
    share = late / early
    return late * share / (1 - share)
