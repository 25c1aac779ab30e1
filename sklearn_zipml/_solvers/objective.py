"""The objective of one fit, and one step size made into per-column factors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import passes
from .._kernels import tiles as kernels
from .factor import Factor
from .loss import LEAST_SQUARES

MOST_RIDGE = 1e10
# Rows that the curvature of the gap is taken from: of fewer, what is left of it after the compensation is noise.
GAP_ROWS = 32768
GAP_ROWS_BY_COLUMN = 64
# A quarter of these come first, where the compensation takes little of the curvature: they do if the gap that they tell
# is so many times less than what is asked for.
FIRST_SHARE, FIRST_MARGIN, LITTLE = 4, 3, 1 / 20
# Relative accuracy of an estimated gap; steps over whose gains what is left is judged, and how many times as much.
KNOWN, WINDOW, MARGIN = 1e-3, 3, 3
# Columns of nothing but noise keep none, and no step would be small enough.
LEAST_KEPT = 1 / 16
# Residuals of the model that is zero at a time: they stay in the caches.
ZERO_VALUES = 1 << 18
# Finite stand-in for an l1 penalty that leaves nothing.
MOST_L1 = 1e300


@dataclass(frozen=True)
class Rule:
    """One step size made into per-column factors.

    ridge (alpha / s_j²) and noise (tau D_j) are diagonals in the scaled columns. Both act on every step: the ridge
    implicitly, for it can dwarf the rest, the noise explicitly, for it is bounded by the curvature. threshold
    (targets, columns) is what the l1 penalty takes off z after every step; None without one.
    """

    keep: np.ndarray
    step: np.ndarray
    threshold: np.ndarray | None

    @classmethod
    def of(cls, step_size, quadratic, noise):
        unit = quadratic.problem.unit
        shrink = 1 / (1 + step_size * quadratic.ridge)
        keep, step = np.zeros(quadratic.padded), np.zeros(quadratic.padded)
        keep[: len(unit)] = (1 + step_size * noise) * shrink
        step[: len(unit)] = step_size * unit**2 * shrink
        threshold = None
        if quadratic.has_l1:
            threshold = np.minimum(step * quadratic.l1, np.finfo(np.float32).max / 4).astype(np.float32)
        return cls(keep.astype(np.float32), step.astype(np.float32), threshold)

    def shrinkage(self, anchor):
        """The proximal step of the l1 penalty for z = anchor + offset, or None."""
        return None if self.threshold is None else epoch_kernels.Shrinkage(self.threshold, anchor.astype(np.float32))


class Quadratic:
    """Objective of one fit: the problem, its targets, penalties and compensation.

    Minimised over z, every target for itself: the mean of weighted losses (half the squared errors), plus alpha / 2
    times the sum of squares and l1 times the sum of magnitudes of the coefficients z / step, less the compensation.

    Parameters
    ----------
    problem : Problem
    targets : float64 or float32 (targets, slots)
    alpha : float
    l1 : float64 (targets,) or None
    diagonal : bool, whether what is compensated has to be a part of D, the same in every direction
    loss : Loss of a row, least squares

    Attributes
    ----------
    problem : Problem, that given without columns of which the ridge penalty leaves nothing
    """

    def __init__(self, problem, targets, alpha, l1=None, *, diagonal=False, loss=LEAST_SQUARES):
        self.loss = loss
        d, padded = problem.d, problem.tiles.padded
        self.padded, self.alpha = padded, float(alpha)
        self.targets = targets
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alpha) * problem.unit / problem.step) ** 2 if alpha > 0 else np.zeros(d)
        # a penalty so large leaves a coefficient that explains less than 1e-10 of the target: none
        self.problem = problem = problem.without(ridge > MOST_RIDGE * (problem.diagonal.sum() or 1.0))
        unit = problem.unit
        self.ridge = np.where(unit > 0, ridge, 0.0)
        self._compensate(loss.compensation(problem, self.ridge, diagonal))
        self._l1 = np.zeros(len(targets)) if l1 is None else np.asarray(l1, dtype=np.float64)
        self.has_l1 = l1 is not None and bool(np.any(l1 > 0))
        self.l1 = self._pad(self._l1_on_z(self._l1))
        self.unit = self._pad(unit).astype(np.float32)

    @property
    def centre(self):
        """Of the padded columns, float32, as the epochs take it."""
        return self.problem.padded(self.problem.centre)

    @property
    def row_targets(self):
        """Targets of the rows, (targets, rows) in slot order."""
        return self.targets[:, : self.problem.n]

    @cached_property
    def at_zero(self):
        """The objective of the model that is zero, float64 (targets,)."""
        total, n = np.zeros(len(self.targets)), self.problem.n
        step = max(kernels.TILE_ROWS, ZERO_VALUES // max(1, len(self.targets)))
        for first in range(0, n, step):
            slots = slice(first, min(n, first + step))
            some, weights = self.targets[:, slots], self.problem.weights[slots]
            mean = self.loss.mean(self.loss.residuals(0.0, some), some, weights)
            total += mean * ((slots.stop - first) / n)
        total.flags.writeable = False  # solvers start from it
        return total

    @cached_property
    def rows(self):
        """Targets and weights as the epochs take them."""
        weights = self.problem.weights.astype(np.float32, copy=False)
        return passes.Rows(np.asarray(self.targets, dtype=np.float32), weights)

    @cached_property
    def top(self):
        """Largest eigenvalue of the second moments of the scaled columns."""
        return self.problem.largest_curvature()

    def _compensate(self, taken):
        problem, unit = self.problem, self.problem.unit
        self.compensation, self.tau, self.lift = taken, taken.tau, taken.lift
        self.noise = self.tau * problem.variance * unit**2
        # what every step takes of it: none if the lift, which comes once an epoch, is needed to keep it convex
        self.steady_noise = np.zeros(problem.d) if self.lift.size else self.noise
        # the same on z
        inverse = np.divide(1.0, unit, out=np.zeros(problem.d), where=unit > 0)
        self.diagonal = self._pad((self.ridge - self.noise) * inverse**2)
        self.lift_on_z = self._pad(self.lift.T * inverse)

    def limit_compensation(self):
        """Subtract no more than the whole matrix of second moments has in every direction."""
        self._compensate(self.loss.bounded_compensation(self.problem, self.ridge, self.tau))

    def _l1_on_z(self, l1):
        with np.errstate(over="ignore"):
            weights = np.minimum(np.asarray(l1)[:, None] / self.problem.step, MOST_L1)
        return np.where(self.problem.unit > 0, weights, 0.0)

    def _pad(self, values):
        out = np.zeros((*values.shape[:-1], self.padded))
        out[..., : values.shape[-1]] = values
        return out

    def kept_curvature(self):
        """Part of the curvature that the steps of an epoch keep along a noisy column, the mean by noise."""
        noise, diagonal = self.problem.variance * self.problem.unit**2, self.problem.diagonal + self.ridge
        if not self.steady_noise.any():
            return 1.0
        share = np.divide(self.steady_noise, diagonal, out=np.zeros_like(noise), where=diagonal > 0)
        return max(LEAST_KEPT, float(noise @ (1 - np.minimum(share, 1)) / noise.sum()))

    def penalty_gradient(self, anchor):
        """Gradient of l2 penalty and compensation at z = anchor, float64 (targets, columns)."""
        return self.diagonal * anchor + (anchor @ self.lift_on_z.T) @ self.lift_on_z

    def penalty(self, z):
        """Penalties less the compensation at z (targets, columns), float64 (targets,)."""
        d = self.problem.d
        lifted = z @ self.lift_on_z[:, :d].T
        smooth = z**2 @ self.diagonal[:d] + np.einsum("kj,kj->k", lifted, lifted)
        return smooth / 2 + (self.l1[:, :d] * np.abs(z)).sum(axis=1)

    def matrix(self):
        """Second moments of the scaled columns, plus ridge, less the compensation, float64 (columns, columns)."""
        return self._with_penalty(self.problem.dense_curvature())

    def matrix_about_mean(self):
        """The same with second moments about the columns' means, and what is missing: m of that plus m m'."""
        problem = self.problem
        mean = problem.exact_mean()  # what rounding leaves of it would count times its distance from the centre
        return self._with_penalty(problem.curvature_about(mean)), (mean - problem.centre) * problem.unit

    def _with_penalty(self, moments):
        matrix = moments + self.lift @ self.lift.T
        matrix[np.diag_indices_from(matrix)] += self.ridge - self.noise
        return matrix

    @property
    def is_compensated(self):
        """Whether anything is subtracted for the rounding."""
        return bool(self.noise.any())

    @property
    def has_ridge(self):
        """Whether the l2 penalty is above zero."""
        return self.alpha > 0

    def l1_in_units_of_x(self):
        """The l1 penalty on coefficients in units of X, float64 (targets,)."""
        return self._l1

    def size_in_units_of_x(self):
        """Grid steps of the columns in units of X, in parts of the largest; zero for those left out."""
        size = np.where(self.problem.unit > 0, np.abs(self.problem.step), 0.0)
        return size / (size.max(initial=0) or 1.0)

    def alpha_in_units_of(self, size):
        """The l2 penalty on coefficients of columns of that size, which is in proportion to units of X."""
        largest = np.argmax(size)
        return (np.sqrt(self.alpha) / np.abs(self.problem.step[largest]) * size[largest]) ** 2 if size.any() else 0.0

    def norm_weights(self):
        """Of the squared norm of coefficients in units of X, on the scaled columns, in parts of the largest."""
        size = self.problem.unit / np.abs(self.problem.step)
        return (size / (size.max(initial=0) or 1.0)) ** 2

    def scaled_slope(self, z, gradient):
        """Gradient of the objective's smooth part on the scaled columns; `gradient` that of the mean loss at z."""
        unit = self.problem.unit
        scaled = np.divide(z, unit, out=np.zeros_like(z), where=unit > 0)
        return unit * gradient + (self.ridge - self.noise) * scaled + (scaled @ self.lift) @ self.lift.T

    def completed(self, start, z):
        """Where an epoch that went from `start` to z was heading, with all that its steps left out."""
        if self.has_l1 or not len(self.compensation.gains):
            return z
        unit = self.problem.unit
        move = np.divide(z - start, unit, out=np.zeros_like(z), where=unit > 0)
        return start + self.compensation.completed(move) * unit

    def gap(self, z, gradient, enough, dense=False):
        """Bound on what the objective can still gain from z, every target, float64.

        Half the Newton decrement g' H^-1 g / 2, g being the subgradient of least magnitude in every component (the
        gradient, without an l1 penalty): the objective lies above its quadratic model there. Exact where the
        second-moment matrix is cheap, or `dense` asks for it, else an estimate by conjugate gradients on a sample of
        the rows; they end early where it is plain that a target gains less than `enough`, or more. Where a quarter of
        the sample tells that, the gap is a bound of three times what it says. `gradient` is that of the mean loss at z,
        (targets, columns).
        """
        problem = self.problem
        gradients = self.subgradients(z, gradient)
        if dense or problem.is_dense_cheap():
            factor = Factor(self.matrix(), self.norm_weights())
            return self.loss.gain(gradients, factor.solve(gradients))
        few = problem.sample_tiles(GAP_ROWS // FIRST_SHARE, GAP_ROWS_BY_COLUMN // FIRST_SHARE)
        last = problem.sample_tiles(GAP_ROWS, GAP_ROWS_BY_COLUMN)
        is_trusted = bool(np.all(self.noise <= LITTLE * problem.diagonal)) and 2 * few <= last

        def gap(g, most):
            first = FIRST_MARGIN * self._sampled_gap(g, most / FIRST_MARGIN, few, np.inf) if is_trusted else np.inf
            return first if first <= most else self._sampled_gap(g, most, last)

        return np.array([gap(g, most) for g, most in zip(gradients, enough, strict=True)])

    def _sampled_gap(self, gradient, enough, last, without_curvature=0.0):
        """The gap of one target, estimated by conjugate gradients on the rows of tiles 0..last-1."""
        problem, diagonal = self.problem, self.ridge - self.noise
        conditioned = np.maximum(problem.diagonal + self.ridge, np.finfo(float).tiny)
        return gain_of_conjugate_gradients(
            lambda v: problem.curvature(v, 0, last) + diagonal * v,
            gradient,
            conditioned,
            enough,
            without_curvature=without_curvature,
        )

    def subgradients(self, z, gradient):
        """Least subgradients in the scaled columns, float64 (targets, columns)."""
        unit = self.problem.unit
        smooth = self.scaled_slope(z, gradient)
        l1 = unit * self.l1[:, : self.problem.d]
        at_zero = np.sign(smooth) * np.maximum(np.abs(smooth) - l1, 0)
        return np.where(z == 0, at_zero, smooth + l1 * np.sign(z))


def gain_of_conjugate_gradients(apply, gradient, diagonal, enough=np.inf, iterations=100, without_curvature=0.0):
    """An estimate of g' H^-1 g / 2: what conjugate gradients gain, and what their last gains promise.

    While gains do not fall nothing is known, and the estimate is infinite. They end early where they gain more than
    `enough`, or are estimated to gain less in all.

    Parameters
    ----------
    apply : callable, H v
    gradient, diagonal : float64 (columns,); the preconditioner
    enough : float
    iterations : int, at most
    without_curvature : float, what is taken to be left to gain where a direction has no positive curvature
    """
    r, gains = gradient.copy(), [0.0]
    conditioned = r / diagonal
    p, square = conditioned.copy(), r @ conditioned
    for _ in range(iterations):
        image = apply(p)
        curvature = p @ image
        if not square > 0:
            return sum(gains)
        if not curvature > 0:
            return sum(gains) + without_curvature
        gains.append(square * (square / curvature) / 2)
        gain, left = sum(gains), left_of_gains(gains)
        if gain > enough or left <= KNOWN * gain or gain + left <= enough < np.inf:
            break
        r -= square / curvature * image
        conditioned = r / diagonal
        p, square = conditioned + (r @ conditioned) / square * p, r @ conditioned
    return gain + left


def left_of_gains(gains):
    """What conjugate gradients will still gain if their gains go on falling as they do; infinite while they do not.

    A geometric sum, with a margin for slower than geometric.
    """
    before, last = sum(gains[-2 * WINDOW : -WINDOW]), sum(gains[-WINDOW:])
    if len(gains) < 2 * WINDOW or last >= before:
        return np.inf if last > 0 else 0.0
    return MARGIN * last * last / (before - last)
