"""Logistic regression in rounds: Newton steps, each a quadratic that the rounds of least squares go down.

About an anchor, whose margins the parts keep, the objective is about its second-order expansion. Its minimum is
approached in rounds, as that of least squares, until what is gained gets small beside what was. Then the parts go there
and tell the loss, in float64: the next anchor is lower, or else nearer to the last one. What has been told of gradients
holds from anchor to anchor, so messages still tell differences only, and their errors vanish as anchors come to rest.
"""

import numpy as np

from .._kernels.row_order import mix
from .._solvers.quasi_newton import ARMIJO, NEAR_MARGINS
from . import class_rounds
from .class_rounds import level
from .rounds import FINE_BITS, Move, Rounds

FORCING = 0.1  # gain of a round, in parts of all before it about an anchor, that ends the way to the next anchor
MOST_ROUNDS = 40  # about an anchor
SHORTER, MOST_TRIALS = 0.25, 12
CHANGED = 2.0  # what curvatures may have changed by since the anchor where they were seen
_AIM = (1 << 63) - 1  # the number of the message that leads to the next anchor


class NewtonStep(Rounds):
    """Rounds in the expansion about an anchor, of models as one vector.

    What was told before, and the lengths and curvatures of moves, are those of the step to this anchor.

    Parameters
    ----------
    descent : Descent
    model : float64 (columns,), the anchor
    """

    def __init__(self, descent, model):
        ridge, before, self.curvature = descent.ridge, descent.step, None
        descent.n_steps += 1
        seed = mix(descent.seed, descent.n_steps)
        super().__init__(ridge, np.zeros(len(ridge)), 1, descent.n_sites, descent.bits, seed, descent.tol / 2)
        self.forcing, self.seen = FORCING, []
        self._penalised, self._n_outputs = descent.penalised, descent.frame.n_outputs
        self.linear, self._at_anchor, self.start = (ridge * model)[None], float(ridge @ model**2) / 2, None
        if before is not None:
            self.told, self.step = before.told, before.step
            self.curvature = before.curvature
            self.know(before.directions, before.bends)
            self._fresh, self._found = before._fresh, before._found

    def levelled(self, vectors):
        """See Rounds: a move of all classes changes nothing."""
        shape = len(vectors), self._n_outputs, vectors.shape[1] // self._n_outputs
        return level(vectors.reshape(shape)).reshape(vectors.shape)

    def _penalties(self, model):
        return super()._penalties(model) + self._at_anchor

    def receive(self, messages, losses, told=()):
        """See Rounds."""
        super().receive(messages, losses, told)
        if self.start is None and self.targets is not None:
            self.start, self.targets[0].seen = self._full_slope(self.targets[0]), list(self.seen)

    def _follow(self, target, plan, model, slope, error):
        """See Rounds."""
        super()._follow(target, plan, model, slope, error)
        if plan.pairs:
            self.step = target.step

    def _least_curvature(self, target):
        """The smallest that moves from this anchor and from those before have shown: it gets less on the way down."""
        found = super()._least_curvature(target)
        if found is not None:
            self.curvature = found if self.curvature is None else min(found, self.curvature)
        return self.curvature

    def _gap(self, target, tolerated):
        """See Rounds; or by the curvature of the penalty alone."""
        return min(super()._gap(target, tolerated), self.by_penalty)

    @property
    def by_penalty(self):
        """A bound on what may still be gained from where the leader stands, for intercepts by what moves have shown."""
        slope = self._full_slope(self.targets[0])
        curvature = np.where(self._penalised, self.ridge, self.curvature or 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            return float(np.divide(slope**2, 2 * curvature, out=np.zeros_like(slope), where=slope != 0).sum())

    def inherit(self, seen):
        """Take moves from the anchor before as if they were from this one, which is near."""
        self.seen = seen
        if self.targets is not None:
            self.targets[0].seen = [*seen, *self.targets[0].seen]

    def look_back(self):
        """Have `curvature` take the moves from this anchor into account."""
        self._least_curvature(self.targets[0])

    @property
    def predicted(self):
        """What the expansion falls by on the way to where the leader stands."""
        target = self.targets[0]
        return -float((self.start + self._full_slope(target)) @ target.point) / 2

    @property
    def steepness(self):
        """Half the square of the gradient there, by the metric."""
        return float(self.metric.square(self._full_slope(self.targets[0]))) / 2

    @property
    def is_far_enough(self):
        """Whether more rounds would gain little beside what was gained."""
        gains = self.targets[0].gains if self.targets else []
        return len(gains) > 1 and gains[-1] <= self.forcing * sum(gains) and self.predicted > self.tol * self._lowest[0]

    def last_move(self):
        """The Move that leads from where the parts are to where the leader stands."""
        ahead, messages = self.model - self.known, []
        for k in range(2 if self.is_fine and self.bits[0] < FINE_BITS else 1):
            messages.append(self.directions.encoded(ahead, self.bits[0], mix(self.seed, _AIM + k)))
            ahead = ahead - self.vectors_of(messages[-1])
        self._count(messages * self.n_sites, self.n_sites)
        return Move(None, messages)


class Descent:
    """The leader's side of the exchange.

    Parameters
    ----------
    sites, parts : see `logistic.fit_parts`
    frame : RoundFrame
    shared : the same as all sites have it
    ridge : float64 (columns,), of the model as one vector, over the curvature of the frame
    setting : Setting

    Attributes
    ----------
    model : float64 (columns,), the lowest anchor
    states : Where of every part there
    values : list of float, the objective over the curvature of the frame, at the anchors
    gap : float, what it may still fall by
    n_rounds, n_passes : int
    passes : list of int, over the rows by every anchor
    bytes_sent, float32_bytes : int
    """

    def __init__(self, sites, parts, frame, shared, ridge, setting):
        self.sites, self.parts, self.frame, self.shared, self.ridge = sites, parts, frame, shared, ridge
        self.n_sites, self.bits, self.seed = len(sites.shards), setting.bits, setting.seed
        self.tol, self.max_iter = float(setting.tol), setting.max_iter
        self.n_steps = self.n_rounds = self.n_passes = self.bytes_sent = self.float32_bytes = 0
        self.step = self.states = None
        self.reach = self.gap = np.inf
        self.values, self.passes = [], []
        outputs = frame.n_outputs
        self.penalised = np.tile(np.arange(len(ridge) // outputs) < len(ridge) // outputs - 1, outputs)
        self.model = np.column_stack([np.zeros((outputs, len(ridge) // outputs - 1)), frame.intercepts]).reshape(-1)

    def run(self):
        """Go down until nothing is to be gained."""
        step = NewtonStep(self, self.model)
        self._accept(step, self.model, *self._asked(step, class_rounds.begin))
        while not self._is_at_its_end() and self.n_rounds < self.max_iter:
            is_last = self._approach()
            if self.step.targets is None or not self._go() or is_last:
                return

    def _asked(self, step, function, *given):
        """States of the parts after a round, and losses that they tell; the step has taken all."""
        roundings = self.sites.spread([step.rounding(k) for k in range(self.n_sites)])
        states = self.sites.keep(function, self.parts, self.shared, *given, roundings)
        messages, losses, more = class_rounds.replied(self.sites.ask(class_rounds.reply, states))
        step.receive(messages, [one[:1] for one in losses], more)
        self.n_rounds += 1
        self.n_passes += 2
        beside = self.n_sites * (class_rounds.LOSSES.size - 8)  # the loss itself is counted there
        self.bytes_sent, self.float32_bytes = self.bytes_sent + beside, self.float32_bytes + beside
        return states, losses

    def _accept(self, step, model, states, losses):
        self.reach = max(one[1] for one in losses)
        if self.reach <= NEAR_MARGINS:
            step.inherit(self.step.targets[0].seen)
        self.step, self.model, self.states = step, model, states
        step.forcing = FORCING * min(1.0, self.reach)
        self.values.append(float(step.objective[0][0]))
        self.passes.append(self.n_passes)

    @property
    def enough(self):
        """A gap that is small enough."""
        return self.tol * self.values[-1]

    def _is_at_its_end(self):
        """Whether the gradient at the anchor is small enough, by the curvature seen on the way there."""
        if self.step.targets is None:
            return False
        steepness = self.step.steepness
        if not steepness:
            self.gap = 0.0
        elif self.step.curvature is not None and self.reach <= NEAR_MARGINS:
            self.gap = min(CHANGED * steepness / self.step.curvature, self.values[-1])
        else:
            self.gap = self.values[-1]
        self.gap = min(self.gap, self.step.by_penalty)
        return self.gap <= self.enough

    def _approach(self):
        """Rounds towards the minimum of the expansion; whether what they found says that the anchor is near enough."""
        step = self.step
        while self.n_rounds < self.max_iter and step.n_rounds < MOST_ROUNDS:
            self.states, _ = self._asked(step, class_rounds.bent, self.states, step.move())
            if step.is_done or step.is_far_enough:
                break
        if step.targets is None:
            return False
        step.look_back()
        if not step.is_done:
            return False
        self.gap = step.predicted + float(step.gap[0])
        return self.gap <= self.enough

    def _go(self):
        """Make the end of these rounds the next anchor, or a lower place on the way there; whether there is one."""
        old, length = self.step, 1.0
        last = old.last_move()
        move = (old.known + sum(map(old.vectors_of, last.messages)))[0]
        self._count(old)
        for _ in range(MOST_TRIALS):
            model = self.model + length * move
            step = NewtonStep(self, model)
            found = self._asked(step, class_rounds.anchored, self.states, last, length)
            if step.objective[0][0] <= self.values[-1] - ARMIJO * length * max(old.predicted, 0.0):
                self.gap = max(0.0, self.gap + float(step.objective[0][0]) - self.values[-1])
                self._accept(step, model, *found)
                return True
            self._count(step)
            length *= SHORTER
        return False

    def _count(self, step):
        self.bytes_sent += step.bytes_sent
        self.float32_bytes += step.float32_bytes
        step.bytes_sent = step.float32_bytes = 0

    def close(self):
        """Count the last messages."""
        self._count(self.step)
