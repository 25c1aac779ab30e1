"""Rounds: the model goes out to the parts and the gradient comes back, both in few bits, until nothing is to be gained.

Out goes how the model moves, back comes how the gradient differs from all that was told of it. Both vanish as the model
comes to rest, and their rounding errors with them: the end is that of full precision. (The anchor of variance-reduced
steps is here the last round. Gorbunov, Hanzely and Richtarik, A unified theory of SGD, AISTATS 2020, tell of such
methods; Mishchenko et al., arXiv:1901.09269, of the exchange.)

The leader keeps a point of its own, the lowest one in the plane of the last moves, which it knows how the gradient
changes along. From there it goes down the gradient made conjugate to these moves.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .._kernels.row_order import mix
from .directions import LOOK_BITS, Directions, Metric, least_beside, sketched, steep
from .messages import decoded, encoded, float32_bytes, rounding_error
from .plane import Plan, lowest
from .ritz import SURELY, least_curvature, smallest_ratio

MEMORY = 4  # moves that the lowest point is looked for among
WINDOW = 3  # rounds whose gains tell what is still to be gained
MOST_SEEN = 32  # moves that are kept for that
SURE = 5  # standard deviations of a curvature's error, above which it is one
STEP_CHANGE = 4.0
CLEAR = 0.2  # of the gradient that may be rounding errors; above, the parts look again
MOST_LOOKS = 4
HELPED = 0.3  # of the error of a plan that is the last message's; with less, another look does not help
FINE_BITS, MOVE_MESSAGES = 8, 2  # moves of fewer bits may need a second message, of what the first has left
SHORT = 0.2
_ALL = (1 << 64) - 1
DIRECTIONS, DIRECTION_BITS = 1 << 62, 6  # the number of the message that tells some, and its bits
MORE = 1.02  # times as much to take off that is worth more rounds
NEAR = 100.0  # times the tolerance, within which the last rounds gained, for the smallest curvature to be believed
MOST_INDEFINITE = 4  # moves without curvature, after which less is compensated


class Move(NamedTuple):
    """How the model moves.

    Attributes
    ----------
    directions : bytes or None, a message of more Directions, in which the others are
    messages : list of bytes, whose vectors add up to the move
    candidates : bytes or None, a message of what may be directions
    """

    directions: bytes | None
    messages: list
    candidates: bytes | None = None


@dataclass
class _Target:
    """The descent of one output.

    Attributes
    ----------
    point, slope : float64 (columns,), where it stands, and the gradient of the mean loss there
    error : float, how far that gradient may be from the right one
    moves : list of (move, change of the slope, its error), the latest last
    seen : list of (move, change of the slope, its error), unit moves, the latest MOST_SEEN that showed curvature
    step : float, how far to go along the gradient
    gains : list of float, what the objective fell by in each round
    gap : float, what it may still fall by
    """

    point: np.ndarray
    slope: np.ndarray
    error: float
    moves: list = field(default_factory=list)
    seen: list = field(default_factory=list)
    step: float = 1.0
    gains: list = field(default_factory=list)
    gap: float = np.inf


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
    noise : Noise or None, by which more is taken off where moves show that there is curvature enough

    Attributes
    ----------
    n_rounds : int
    bytes_sent, float32_bytes : int, of all messages, and of models and gradients as often in float32
    objective : list of float64 (outputs,), of standardized targets, where the parts were in each round
    linear : float64 (outputs, columns) or 0, what the gradient has besides, wherever the model is
    step : float, how far to go along the first gradient
    """

    linear, step = 0.0, 1.0

    def __init__(self, ridge, compensated, n_outputs, n_sites, bits, seed, tol, noise=None):
        self.noise, self.ridge, self.compensated = noise, ridge, compensated
        self.n_sites, self.bits, self.seed, self.tol = n_sites, bits, seed, tol
        shape = n_outputs, len(ridge)
        self.known, self.told = np.zeros(shape), np.zeros(shape)  # model and gradient as the parts know them
        self.targets = None
        self.objective, self.n_rounds, self.bytes_sent = [], 0, 0
        self.float32_bytes = self.n_indefinite = self.n_looks = 0
        self.is_blurred = self.is_fine = False
        self.directions, self.metric = Directions.none(len(ridge)), Metric.flat(len(ridge))
        self._fresh, self.bends = self.directions.rows, np.zeros((0, 0))
        self._found, self._candidates = self._fresh, None  # not told yet, and as the parts have them

    @property
    def penalty(self):
        """What is added to the second moments, less what is taken off."""
        return self.ridge - self.compensated

    def move(self):
        """The Move for all parts; without messages if they are to look again where the model stands."""
        told = self._tell_directions()
        if self.targets is None or self.is_blurred:
            return Move(told, [], self._tell_candidates())
        aim = np.stack([self._aim(*there) for there in zip(self.targets, self._is_at_rest, strict=True)])
        messages = []
        for k in range(MOVE_MESSAGES if self.is_fine else 1):
            seed = mix(self.seed, MOVE_MESSAGES * self.n_rounds + k)
            messages.append(self.directions.encoded(aim - self.known, self.bits[0], seed))
            self.known = self.known + self.vectors_of(messages[-1])
        self._count(messages * self.n_sites, self.n_sites)
        return Move(told, messages, self._tell_candidates())

    def _tell_candidates(self):
        """The message of candidates that the parts have not been told, or None."""
        if not len(self._found):
            return None
        seed = mix(self.seed, DIRECTIONS + ~self.n_rounds & _ALL)
        message = encoded(self._found, min(self.bits[0], LOOK_BITS), seed)
        self._candidates, self._found = self.levelled(decoded(message)), self._found[:0]
        self._count([message] * self.n_sites, 0)
        self.float32_bytes += self.n_sites * float32_bytes(*self._candidates.shape)
        return message

    def _tell_directions(self):
        """The message of directions that the parts have not been told, or None."""
        fresh = self._fresh
        if not len(fresh):
            return None
        message = encoded(fresh, max(self.bits[0], DIRECTION_BITS), mix(self.seed, DIRECTIONS + self.n_rounds))
        self.directions, self._fresh = self.directions.joined(self.levelled(decoded(message))), fresh[:0]
        self.is_fine = False
        self.bytes_sent += self.n_sites * len(message)
        self.float32_bytes += self.n_sites * float32_bytes(*fresh.shape)
        return message

    def know(self, directions, bends):
        """Begin with Directions that the parts know, too, and products of them by about the Hessian."""
        if len(directions):
            self.directions, self.bends, self.metric = directions, bends, Metric.of(directions, bends)

    def levelled(self, vectors):
        """Vectors without what a move makes no difference by."""
        return vectors

    def vectors_of(self, message):
        """The vectors of a message, float64 (outputs, columns)."""
        return self.levelled(self.directions.decoded(message))

    def _count(self, messages, n_vectors):
        self.bytes_sent += sum(map(len, messages))
        self.float32_bytes += n_vectors * float32_bytes(*self.known.shape)

    def rounding(self, site):
        """Bits and seed of the answer of a part."""
        return self.bits[1], mix(mix(self.seed, ~self.n_rounds & _ALL), site)

    def receive(self, messages, losses, told=()):
        """The answers of all parts: their messages, their shares of the mean loss, and Told of new directions."""
        self._count(messages, len(messages))
        beside = sum(one.nbytes for one in losses)
        self.bytes_sent, self.float32_bytes = self.bytes_sent + beside, self.float32_bytes + beside
        if len(told):
            self._learn(told)
        self.told = self.told + sum(map(self.vectors_of, messages))
        self.objective.append(sum(one.astype(np.float64) for one in losses) + self._penalties(self.known))
        self.n_rounds += 1
        self.n_looks += 1
        error = np.sqrt(sum(rounding_error(message) ** 2 for message in messages))
        if self.targets is None:
            self.is_blurred = self._may_look and bool(
                np.any(error > CLEAR * np.sqrt(self.metric.square(self.told + self.linear)))
            )
            if not self.is_blurred:
                there = zip(self.known, self.told + self.linear, error, strict=True)
                self.targets, self.n_looks = [_Target(*one, step=self.step) for one in there], 0
            return
        slopes = self.told + self.linear
        there = list(zip(self.targets, self.known, slopes, error, self._is_at_rest, strict=True))
        plans = [Plan() if rests else self._plan(*one) for *one, rests in there]
        self.is_blurred = self._may_look and any(plan.is_helped for plan in plans)
        if self.is_blurred:
            return
        self.n_looks, self.is_fine = 0, False
        for (target, *found, rests), plan, objective in zip(there, plans, self._lowest, strict=True):
            if not rests:
                self._follow(target, plan, *found)
                target.gap = self._gap(target, self.tol * objective)
        self._look_for_directions()
        if self.noise is not None and self._is_near:
            self._compensate_more()

    def _look_for_directions(self):
        """See whether moves have shown steep ones."""
        is_looking = len(self._found) or len(self._fresh) or self._candidates is not None
        if not is_looking and (seen := self._seen()):
            self._found = self._steep(*seen)

    def _seen(self):
        """Moves of all targets that showed curvature, changes and errors, stacked; None without any."""
        most = max(1, MOST_SEEN // len(self.targets))
        seen = [one for target in self.targets for one in target.seen[-most:]][:MOST_SEEN]
        return [np.stack(part) for part in zip(*seen, strict=True)] if seen else None

    @property
    def _is_near(self):
        """Whether every target has about arrived."""
        pairs = zip(self.targets, self._lowest, strict=True)
        return all(
            len(target.gains) >= WINDOW and sum(target.gains[-WINDOW:]) <= NEAR * self.tol * objective
            for target, objective in pairs
        )

    def _compensate_more(self):
        """Take off what the smallest curvature allows that moves have shown, in units of the rounding variance; once.

        That is a Ritz value, from above; where it was too much, a curvature that is negative will tell.
        """
        noise, seen = self.noise, self._seen()
        smallest = None if seen is None else smallest_ratio(*seen, self.ridge, noise.variance)
        if smallest is None:
            return
        self.noise = None
        compensated = noise.tau(SURELY * smallest) * noise.variance
        if compensated.sum() > MORE * self.compensated.sum():
            self.compensated = compensated
            for target in self.targets:
                target.gains, target.gap = [], np.inf

    def _steep(self, *shown):
        return self.levelled(steep(*shown[:3], self.directions.rows, *shown[3:]))

    def _learn(self, told):
        """Take what all parts tell of the curvature along new directions, and of candidates.

        What moves show is rough. The Hessian's products with candidates are better ones, and show others, too: where
        there are more, they are the next candidates, or else directions.
        """
        if told[0].bends is not None:
            bends = sum(one.bends.astype(np.float64) for one in told)
            new, total = bends.shape
            self.bends = np.block([[self.bends, bends[:, : total - new].T], [bends]])
            self.metric = Metric.of(self.directions, self.bends)
            self.float32_bytes += len(told) * 4 * bends.size
        if told[0].sketch is not None:
            moves, changes, errors = sketched([one.sketch for one in told], self.directions, self._candidates)
            count = len(self._candidates)
            found = self._steep(moves, changes, errors, least_beside(moves[count:], changes[count:]))
            if len(found) > count:
                self._found = found
            else:
                self._fresh = found
            self._candidates = None
            self.float32_bytes += len(told) * float32_bytes(*moves.shape)
        self.bytes_sent += sum(one.nbytes for one in told)

    @property
    def _may_look(self):
        return self.n_looks < MOST_LOOKS

    @property
    def model(self):
        """The model where the leader stands, float64 (outputs, columns)."""
        return np.stack([target.point for target in self.targets])

    @property
    def gap(self):
        """What the objective may still fall by, float64 (outputs,)."""
        if self.targets is None:
            return np.full(len(self.known), np.inf)
        return np.array([target.gap for target in self.targets])

    @property
    def is_done(self):
        """Whether that is within the tolerance."""
        return self.targets is not None and bool(self._is_at_rest.all())

    @property
    def _is_at_rest(self):
        return self.gap <= self.tol * self._lowest

    @property
    def _lowest(self):
        """The lowest objective that the parts have been at, float64 (outputs,)."""
        return np.abs(self.objective).min(axis=0)

    def _gap(self, target, tolerated):
        """What it may still fall by, told by the gains of the last rounds, and then by the gradient.

        Gains alone are blind to what the moves have not come to yet.
        """
        gained = sum(target.gains[-WINDOW:])
        if len(target.gains) < WINDOW or gained > tolerated:
            return np.inf
        steepness = float(self.metric.square(self._full_slope(target))) / 2
        if not steepness:
            return gained
        curvature = self._least_curvature(target)
        return np.inf if curvature is None else max(gained, steepness / curvature)

    def _least_curvature(self, target):
        """See `ritz.least_curvature`."""
        return least_curvature(target.seen, self.metric, self.penalty)

    def _penalties(self, model):
        return ((self.penalty * model / 2 + self.linear) * model).sum(axis=1)

    def _aim(self, target, rests):
        return target.point if rests else target.point + target.step * self._direction(target)

    def _full_slope(self, target):
        return target.slope + self.penalty * target.point

    def _direction(self, target):
        """Down the gradient, conjugate to the moves."""
        return self._conjugate(target, -self.metric.step(self._full_slope(target)))

    def _conjugate(self, target, direction):
        """A direction made conjugate to the moves."""
        for move, change, _ in reversed(target.moves):
            bend = change + self.penalty * move
            curvature = move @ bend
            if curvature > 0:
                direction = direction - ((direction @ bend) / curvature) * move
        return direction

    def _plan(self, target, model, slope, error):
        """The Plan for a target whose gradient is known at a model, but for an error."""
        move, change = model - target.point, slope - target.slope
        if not move.any():
            return Plan()
        bend = change + self.penalty * move
        curvature, error_of_change = move @ bend, np.hypot(error, target.error)
        noise = SURE * error_of_change * np.linalg.norm(move) / np.sqrt(len(move))
        if curvature <= noise:
            found = Plan(True, curvature < -noise, is_helped=error > HELPED * error_of_change)
            if not found.is_indefinite and noise > 0:
                found.length = -(move @ self._full_slope(target)) / noise  # or more
            return found
        length = -(move @ self._full_slope(target)) / curvature
        last = (move, change, error_of_change)
        plan = self._plan_among(target, [*target.moves, last][-MEMORY:], length, error)
        # errors of old moves count more as the gradient gets smaller
        return self._plan_among(target, [last], length, error) if plan.is_blurred and target.moves else plan

    def _plan_among(self, target, pairs, length, error):
        moves, changes, errors = (np.stack(part) for part in zip(*pairs, strict=True))
        shares, gain = lowest(moves, changes + self.penalty * moves, self._full_slope(target))
        point, slope = target.point + shares @ moves, target.slope + shares @ changes
        last = np.array([(1 - shares[-1]) * target.error, shares[-1] * error])
        error = np.linalg.norm(np.append(shares[:-1] * errors[:-1], last))
        is_blurred = error > CLEAR * np.sqrt(self.metric.square(slope + self.penalty * point))
        is_helped = is_blurred and abs(last[1]) > HELPED * error
        return Plan(False, False, pairs, (point, slope, error), is_blurred, is_helped, gain, length)

    def _follow(self, target, plan, model, slope, error):
        """Go where a plan leads."""
        # what rounding leaves of a move can bend more than the move itself
        self.is_fine |= self.bits[0] < FINE_BITS and (plan.is_lost or plan.length < SHORT)
        if plan.is_lost:
            target.point, target.slope, target.error = model, slope, error
            target.gains = []
            if plan.length > 1:  # a flat direction: further along it
                target.step *= min(plan.length, STEP_CHANGE)
            else:
                target.moves, target.step = [], self.step
            self.n_indefinite += plan.is_indefinite
            if plan.is_indefinite and self.n_indefinite % MOST_INDEFINITE == 0:
                self.compensated = self.compensated / 2
            return
        target.gains.append(plan.gain)
        if plan.pairs:
            target.moves, (target.point, target.slope, target.error) = plan.pairs, plan.end
            move, change, error = plan.pairs[-1]
            size = np.linalg.norm(move)
            target.seen = [*target.seen, (move / size, change / size, error / size)][-MOST_SEEN:]
            target.step *= np.clip(plan.length, 1 / STEP_CHANGE, STEP_CHANGE)
