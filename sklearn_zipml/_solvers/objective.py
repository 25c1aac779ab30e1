"""The objective of one fit, and one step size made into per-column factors."""

from dataclasses import dataclass

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import passes
from .compensation import compensation

MOST_RIDGE = 1e10
# Rows that the curvature of the gap is taken from: of fewer, what is left of it after the compensation is noise.
GAP_ROWS = 32768
GAP_ROWS_BY_COLUMN = 64
# Columns of nothing but noise keep none, and no step would be small enough.
LEAST_KEPT = 1 / 16
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

    Minimised over z, every target for itself: the mean of weighted squared errors / 2, plus alpha / 2 times the sum of
    squares and l1 times the sum of magnitudes of the coefficients z / step, less the compensation.

    Parameters
    ----------
    problem : Problem
    targets : float32 (targets, slots)
    alpha : float
    l1 : float64 (targets,) or None
    diagonal : bool, whether what is compensated has to be a part of D, the same in every direction
    """

    def __init__(self, problem, targets, alpha, l1=None, diagonal=False):
        self.problem = problem
        d, padded = problem.d, problem.tiles.padded
        self.padded = padded
        self.targets = targets
        self.rows = passes.Rows(targets, problem.weights)
        self.top = problem.largest_curvature()
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alpha) * problem.unit / problem.step) ** 2 if alpha > 0 else np.zeros(d)
        # a penalty so large leaves a coefficient that explains less than 1e-10 of the target: none
        problem.leave_out(ridge > MOST_RIDGE * self.top)
        unit = problem.unit
        self.ridge = np.where(unit > 0, ridge, 0.0)
        taken = compensation(problem, self.ridge, diagonal)
        self.compensation, self.tau, self.lift = taken, taken.tau, taken.lift
        self.noise = self.tau * problem.variance * unit**2
        # what every step takes of it: none if the lift, which comes once an epoch, is needed to keep it convex
        self.steady_noise = np.zeros(d) if self.lift.size else self.noise
        # the same on z
        inverse = np.divide(1.0, unit, out=np.zeros(d), where=unit > 0)
        self.diagonal = self._pad((self.ridge - self.noise) * inverse**2)
        self.lift_on_z = self._pad(self.lift.T * inverse)
        self.has_l1 = l1 is not None and bool(np.any(l1 > 0))
        self.l1 = self._pad(self._l1_on_z(np.zeros(len(targets)) if l1 is None else l1))
        self.centre = self._pad(problem.centre).astype(np.float32)
        self.unit = self._pad(unit).astype(np.float32)

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

    def pull(self, anchor):
        """Gradient of l2 penalty and compensation at z = anchor, float64 (targets, columns)."""
        return self.diagonal * anchor + (anchor @ self.lift_on_z.T) @ self.lift_on_z

    def completed(self, start, z):
        """Where an epoch that went from `start` to z was heading, with all that its steps left out."""
        if self.has_l1 or not len(self.compensation.gains):
            return z
        unit = self.problem.unit
        move = np.divide(z - start, unit, out=np.zeros_like(z), where=unit > 0)
        return start + self.compensation.completed(move) * unit

    def gap(self, z, gradient, enough=np.inf):
        """Bound on what the objective can still gain from z, every target, float64.

        Half the Newton decrement g' H^-1 g / 2, g being the subgradient of least magnitude in every component (the
        gradient, without an l1 penalty): the objective lies above its quadratic model there. Exact where the
        second-moment matrix is cheap, else from below, by conjugate gradients on a sample of the rows; they end early
        where it is plain that all targets together gain less than `enough`, or more. `gradient` is that of the mean
        loss at z, (targets, columns).
        """
        problem = self.problem
        diagonal = self.ridge - self.noise
        gradients = self._subgradients(z, gradient, diagonal)
        if problem.is_dense_cheap():
            hessian = problem.dense_curvature() + np.diag(diagonal) + self.lift @ self.lift.T
            return np.array([newton_decrement(hessian, g) for g in gradients])
        last = problem.sample_tiles(GAP_ROWS, GAP_ROWS_BY_COLUMN)

        def curvature(v):
            return problem.curvature(v, 0, last) + diagonal * v

        gains = np.zeros(len(gradients))
        for k, g in enumerate(gradients):
            gains[k] = gain_of_conjugate_gradients(curvature, g, enough=(enough - gains.sum()) / (len(gains) - k))
        return gains

    def _subgradients(self, z, gradient, diagonal):
        """Least subgradients in the scaled columns, float64 (targets, columns)."""
        unit = self.problem.unit
        scaled = np.divide(z, unit, out=np.zeros_like(z), where=unit > 0)
        smooth = unit * gradient + diagonal * scaled + (scaled @ self.lift) @ self.lift.T
        l1 = unit * self.l1[:, : self.problem.d]
        at_zero = np.sign(smooth) * np.maximum(np.abs(smooth) - l1, 0)
        return np.where(z == 0, at_zero, smooth + l1 * np.sign(z))


def newton_decrement(hessian, gradient):
    """Half of g' H^-1 g without the directions in which H is zero to rounding; columns equally curved."""
    size = np.sqrt(np.maximum(np.diag(hessian), 0))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 1e-12 * size.max(initial=0))
    values, vectors = np.linalg.eigh(hessian * inverse[:, None] * inverse)
    keep = values > 1e-12 * values.max(initial=0)
    return float(((vectors[:, keep].T @ (inverse * gradient)) ** 2 / values[keep]).sum() / 2)


def gain_of_conjugate_gradients(apply, gradient, iterations=10, enough=np.inf):
    """The same from below: what that many steps of conjugate gradients gain.

    Fewer if they gain more than `enough`, or if the others, gaining as much as the last one, would not.
    """
    r, gain = gradient.copy(), 0.0
    p, square = r.copy(), r @ r
    for left in range(iterations - 1, -1, -1):
        image = apply(p)
        bend = p @ image
        if not (square > 0 and bend > 0):
            break
        step = square / bend
        gain += step * square / 2
        if gain > enough or (np.isfinite(enough) and gain + left * step * square / 2 <= enough):
            break
        r -= step * image
        p, square = r + (r @ r) / square * p, r @ r
    return gain
