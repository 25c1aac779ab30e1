"""Makes good for rounding after a logistic fit in rounds, without second moments: more rounds find what they tell.

The model w that a fit of packed rows comes to is, in `_solvers.calibration`, u - G^-1 tau D u of the one that is looked
for. So u - w is the minimum of a quadratic, (G - tau D)(u - w) = tau D w, with the penalty over the mean curvature of
the loss beside G; rounds as those of least squares go there. Margins w'q are those of u, already divided by what u is
uncertain by. Its size is found from the margins of some rows, as in a fit of rows in one place.
"""

import zlib
from dataclasses import dataclass, replace

import numpy as np

from .._kernels.row_order import mix
from .._solvers import softmax
from .._solvers.calibration import LOSS_OF_TAU, Calibration, rows_lost, spread_of
from .._solvers.compensation import noisy_columns
from .._solvers.rescaling import rescaled
from . import class_rounds, class_sums
from .messages import decoded, encoded, float32_bytes
from .rounds import Rounds

MOST_ROUNDS, FORCING = 25, 0.02  # and gain of a round in parts of all before it, which ends the rounds
MOST_HALVINGS = 4
MOST_OPEN = 0.75  # of 1, that margins are uncertain by in parts of what they are divided by, squared
ROWS, MARGIN_BITS = 4096, 8  # whose margins show the size
_SIZE = 1 << 40


@dataclass(frozen=True)
class KnownCalibration(Calibration):
    """The calibration of a model whose image on packed rows is known.

    Attributes
    ----------
    packed : float64 (outputs, columns), that image
    """

    packed: np.ndarray = None

    def sized(self, size):
        """That of a model as many times as large."""
        return replace(self, packed=size * self.packed)

    def apply(self, models):
        """See Calibration."""
        return self.packed


@dataclass(frozen=True, eq=False)
class Shown:
    """What rows that stand for all show of an objective and a model; see LogisticObjective.

    Attributes
    ----------
    slopes : float64 (outputs + 1,), of the loss of all rows by the size of the model and by its intercepts
    """

    labels: object
    margins: np.ndarray
    ridge: np.ndarray
    has_intercept: bool
    calibration: Calibration
    slopes: np.ndarray

    @property
    def n(self):
        """How many rows there are."""
        return self.margins.shape[1]

    def shown(self, point, count):
        """Labels and margins of the first ones."""
        return self.labels.first(count), self.margins[:, :count]

    def absolute(self, coef):
        """There is no l1 penalty."""
        return 0.0


@dataclass(frozen=True)
class _Point:
    model: np.ndarray
    scale: float


class Correction:
    """What is done about rounding at the end of a Descent.

    Parameters
    ----------
    descent : Descent, at its end
    objective : SharedObjective
    seen : ClassSurvey
    tilt : float64 (2,)

    Attributes
    ----------
    n_rounds : int
    bytes_sent, float32_bytes : int
    """

    def __init__(self, descent, objective, seen, tilt):
        self.descent, self.objective, self.seen, self.tilt = descent, objective, seen, tilt
        self.sites, self.n_rounds, self.bytes_sent, self.float32_bytes = descent.sites, 0, 0, 0

    def model(self):
        """The model that is looked for, float64 (outputs, columns + 1)."""
        problem = self.objective.problem
        found = self.descent.model.reshape(self.descent.frame.n_outputs, -1)
        noise = problem.variance * problem.unit**2
        noisy = noisy_columns(noise)
        if not noisy.any() or not found[:, :-1].any():
            return found
        stands = self.sites.keep(class_rounds.stand_of, self.descent.states)
        tau = 1 - LOSS_OF_TAU * self._ratio(noisy) * rows_lost(*self._sum(class_sums.concentration, stands)[0])
        if not tau > 0:
            return found
        curvature = self._sum(class_sums.curvatures, stands)[0] / self.seen.n_rows
        ridge = self.objective.ridge / max(float(curvature.mean()), np.finfo(float).tiny)
        tau, more = self._solved(tau, noise, ridge, found[:, :-1])
        return self._sized(found, found[:, :-1] + more, tau * noise, stands)

    def _ratio(self, noisy):
        """See `compensation.noise_ratio`."""
        count, own = int(noisy.sum()), self.seen.squared_weight / self.seen.weight**2
        rows = 1 / (own + (1 - own) * self.objective.collisions)
        spread = 1.0 if self.tilt[1] == 0 else max(1.0, self.tilt[0] / self.tilt[1] / count**2)
        return count * spread / rows

    def _sum(self, function, *given):
        found = self.sites.total(function, class_sums.added, self.descent.parts, *given)
        size = 8 * self.descent.n_sites * sum(np.size(array) for array in found)
        self.bytes_sent, self.float32_bytes = self.bytes_sent + size, self.float32_bytes + size
        return found

    def _solved(self, tau, noise, ridge, packed):
        """tau, or less if second moments are not worth as much, and u - w."""
        for number in range(MOST_HALVINGS):
            rounds = Rounds(
                ridge,
                tau * noise,
                len(packed),
                self.descent.n_sites,
                self.descent.bits,
                mix(self.descent.seed, _SIZE + number),
                FORCING,
            )
            rounds.linear = -tau * noise * packed
            known = self.descent.step
            rounds.know(class_rounds.of_rows(known.directions, len(packed)), known.bends)
            self._run(rounds, packed.shape)
            if rounds.targets is not None and np.array_equal(rounds.compensated, tau * noise):
                return tau, rounds.model
            tau /= 2
        return 0.0, np.zeros(packed.shape)

    def _run(self, rounds, shape):
        descent = self.descent
        function, given = class_rounds.begin_rows, (descent.states, shape)
        while rounds.n_rounds < MOST_ROUNDS and not rounds.is_done and not _is_enough(rounds):
            roundings = self.sites.spread([rounds.rounding(k) for k in range(descent.n_sites)])
            states = self.sites.keep(function, descent.parts, descent.shared, *given, roundings)
            messages, losses, more = class_rounds.replied(self.sites.ask(class_rounds.reply, states))
            beside = len(losses) * class_rounds.LOSSES.size  # which nobody needs
            self.bytes_sent, self.float32_bytes = self.bytes_sent + beside, self.float32_bytes + beside
            rounds.receive(messages, [], more)
            function, given = class_rounds.bent, (states, rounds.move())
        self.n_rounds += rounds.n_rounds
        self.bytes_sent += rounds.bytes_sent
        self.float32_bytes += rounds.float32_bytes

    def _sized(self, found, coef, noise, stands):
        """The model of coefficients in a direction, of the size at which margins tell the labels best."""
        labels, margins = self._shown(stands)
        pairs = None
        if len(found) > 1:
            pairs = self._sum(class_sums.pair_curvatures, self.seen.n_rows, stands)[0]
        calibration = KnownCalibration(noise, spread_of(len(found), lambda: pairs), None, packed=found[:, :-1])
        whole = np.column_stack([coef, found[:, -1]])
        size = _size(calibration, coef)
        calibration = calibration.sized(size).fitted_to(size * whole, size * margins).sized(1 / size)
        size = _size(calibration, coef)
        objective, slopes = self.objective, self._slopes(stands, found[:, -1], 1 / size)
        given = objective.ridge, objective.has_intercept, calibration.sized(size), slopes
        shown = Shown(labels, size * margins, *given)
        return rescaled(shown, _Point(size * whole, 1 / size))

    def _slopes(self, stands, intercepts, scale):
        """See Shown, of a model whose margins times scale are those of the rows."""
        along, *by_intercept = self._sum(class_sums.along, stands)[0] / self.seen.n_rows
        by_intercept = np.array(by_intercept) * self.objective.has_intercept
        by_size = along * scale**2 - by_intercept @ intercepts
        return np.append(by_size, scale * by_intercept)

    def _shown(self, stands):
        seed = mix(self.descent.seed, _SIZE - 1)
        seeds = self.sites.spread([mix(seed, k) for k in range(self.descent.n_sites)])
        told = self.sites.ask(shown, self.descent.parts, stands, seeds)
        for message, numbers, *weights in told:
            for one in (message, *weights):
                self.bytes_sent += len(one)
                self.float32_bytes += float32_bytes(*decoded(one).shape)
            self.bytes_sent, self.float32_bytes = self.bytes_sent + len(numbers), self.float32_bytes + len(numbers)
        margins = np.concatenate([decoded(message) for message, *_ in told], axis=1)
        numbers = np.concatenate([np.frombuffer(zlib.decompress(data), "<u2") for _, data, *_ in told]).astype(np.intp)
        weights = np.concatenate([np.zeros(0), *(decoded(one)[0] for _, _, *found in told for one in found)])
        return softmax.Labels(numbers, len(margins), weights), margins


def shown(part, stand, seed):
    """Messages of the margins of rows that stand for all, class numbers as bytes, and a message of weights, if any."""
    _, numbers, weights, margins = class_sums.shown(part, ROWS, stand)
    data = encoded(margins, MARGIN_BITS, seed), zlib.compress(numbers.astype("<u2").tobytes())
    return (*data, encoded(weights[None], MARGIN_BITS, mix(seed, 1))) if len(weights) else data


def _size(calibration, coef):
    """How much larger a model is than that whose margins, not divided, are its own divided by what they leave open."""
    open_part = float((calibration.spread * calibration.covariance(coef)).sum())
    return 1 / np.sqrt(1 - min(max(open_part, 0.0), MOST_OPEN))


def _is_enough(rounds):
    """Whether every output gains but little more."""
    if rounds.targets is None:
        return False
    return all(len(one.gains) > 1 and one.gains[-1] <= FORCING * sum(one.gains) for one in rounds.targets)
