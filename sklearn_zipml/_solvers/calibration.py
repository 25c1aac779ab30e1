"""What rounding does to a model of probabilities, taken into account: rows calibrated, margins shrunk.

A packed row q is the row x plus an error of known variance D. With G the second moments of packed rows, what q tells
of x is, to second order, the mean (G - tau D) G^-1 q, with the variance V = tau D - tau D G^-1 tau D left over. So a
model u of x has margins u'(G - tau D) G^-1 q on packed rows, give or take u'Vu. The probabilities of a margin m with
a normal error of variance s² are those of m / sqrt(1 + pi s² / 8), closely (D. MacKay, Neural Computation 4, 1992).
The model that makes these likely is the one for rows that are not rounded. As the variance only ever shrinks margins,
the objective is bounded below, whatever the width.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from .._kernels.threads import lapack
from .compensation import in_units_of_noise, noisy_columns
from .factor import Factor, is_positive_definite
from .softmax import log_probabilities, probabilities

PROBIT = np.pi / 8
# tau is 1 - 8 R, R being noisy columns by rows: of fewer rows, noise is as good a penalty as any.
LOSS_OF_TAU = 8
# Part of the smallest ratio of second moments to D that may be taken off.
MOST_OF_RATIO = 0.9
MOST_COLUMNS = 4096
# What the inverse of the second moments may be off by, times the part of D in them, and rows a column at least.
ERROR, LEAST_BY_COLUMN = 0.01, 16
# Rows whose margins show what errors come to, margins drawn in all, and the least of open_part to do it for.
SHOWN_ROWS, DRAWN_MARGINS, LEAST_OPEN = 512, 1 << 17, 0.02


@dataclass(frozen=True)
class Calibration:
    """How a model of rows becomes one of packed rows, in the scaled columns.

    Attributes
    ----------
    noise : float64 (n_features,), tau D
    spread : float64 (outputs, outputs), makes x = sum of spread * (u V u') out of the models u, of which margins are
        divided by sqrt(1 + x)
    factor : Factor of the second moments G
    """

    noise: np.ndarray
    spread: np.ndarray
    factor: Factor

    def apply(self, models):
        """(I - G^-1 tau D) u for models (outputs, columns)."""
        return models - self.factor.solve(models * self.noise)

    def adjoint(self, gradients):
        """(I - tau D G^-1) g."""
        return gradients - self.noise * self.factor.solve(gradients)

    def matrix(self):
        """I - G^-1 tau D, float64 (columns, columns)."""
        return np.eye(len(self.noise)) - self.factor.solve(np.diag(self.noise)).T

    def covariance(self, models):
        """That of the margins of models (outputs, columns), as far as packed rows leave them open."""
        covariance = models @ (self.noise * self.apply(models)).T
        return (covariance + covariance.T) / 2

    def fitted_to(self, model, margins):
        """The same with the spread at which margins, divided, give the mean probabilities of margins with errors.

        Those of a model, and its margins on some rows, are looked at: pi / 8 is for small errors, and pairs of classes
        tell the variance as if there were but two, where errors of more partly cancel.
        """
        covariance = self.covariance(model[:, :-1])
        open_part = float((self.spread * covariance).sum())
        if not open_part > LEAST_OPEN:
            return self
        draws = max(16, DRAWN_MARGINS // margins.size)
        rng, root = np.random.default_rng(0), square_root(covariance)
        mean = np.zeros((margins.shape[1], max(2, len(margins))))
        for _ in range(draws):
            mean += probabilities((margins + root @ rng.standard_normal(margins.shape)).T) / draws

        def loss(share):
            return -(mean * log_probabilities(margins.T / np.sqrt(1 + share * open_part))).sum()

        share = minimize_scalar(loss, bounds=(0.1, 2.0), method="bounded", options={"xatol": 0.01}).x
        return replace(self, spread=float(share) * self.spread)


def calibration(objective, point):
    """A Calibration, or None where rounding is too little to tell or there are too few rows for it.

    Parameters
    ----------
    objective : LogisticObjective, not calibrated
    point : Point, near its minimum
    """
    problem = objective.problem
    noise = problem.variance * problem.unit**2
    noisy = noisy_columns(noise)
    if not noisy.any() or problem.d > MOST_COLUMNS:
        return None
    tau = 1 - LOSS_OF_TAU * objective.noise_ratio(noisy) * rows_lost(*objective.concentration(point))
    if tau <= 0:
        return None
    last = _tiles_needed(problem, noise)
    gram = problem.dense_curvature(last)
    reduced = in_units_of_noise(gram, noise, noisy)
    if not is_positive_definite(reduced - tau / MOST_OF_RATIO * np.eye(len(reduced))):
        tau = MOST_OF_RATIO * float(lapack(np.linalg.eigvalsh, reduced)[0])
    if tau <= 0:
        return None
    factor = Factor(gram + _jitter(gram), np.ones(problem.d))
    spread = spread_of(objective.labels.n_outputs, lambda: objective.pair_curvatures(point))
    return Calibration(tau * noise, spread, factor)


def rows_lost(curvature, squares, weight, squared_weights):
    """By how much the rows that decide are fewer than the rows: those of small curvature hardly count."""
    if not curvature**2 > 0:
        return np.inf
    return squares / curvature**2 * weight**2 / squared_weights


def _tiles_needed(problem, noise):
    """Tiles whose second moments tell the calibration well enough."""
    share = np.divide(noise, problem.diagonal, out=np.zeros_like(noise), where=problem.diagonal > 0).max(initial=0)
    by_column = max(LEAST_BY_COLUMN, (share / ERROR) ** 2)
    return problem.sample_tiles(by_column=int(min(by_column, 1 + problem.n / max(1, problem.d))))


def square_root(covariance):
    """A matrix whose product with its transpose is a symmetric one, rounding below zero apart."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0))


def _jitter(gram):
    """What keeps a singular matrix positive: nothing is known along such directions, and next to nothing lies there."""
    return 1e-9 * np.diag(np.diag(gram))


def spread_of(n_outputs, pair_curvatures):
    """For two classes pi / 8; for more, the mean of that over pairs of classes, which count as they are confused.

    Of these pairs a callable tells the mean curvatures, but for a factor.
    """
    if n_outputs == 1:
        return np.array([[PROBIT]])
    pairs = pair_curvatures()
    total = np.trace(pairs) / 2  # as each row of it sums to zero
    return PROBIT * pairs / total if total > 0 else np.zeros_like(pairs)
