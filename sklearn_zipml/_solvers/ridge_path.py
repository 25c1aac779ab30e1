"""Minima of the objective at many penalties, from second moments alone: what a search tries on one set of rows."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from .._kernels.threads import one_blas_thread
from .compensation import dense_ratio, lift, noisy_columns, tau_and_floor, tau_of
from .factor import SINGULAR, Factor, is_positive_definite
from .objective import MOST_RIDGE
from .problem import DENSE_COLUMNS, SMALLEST

# Ridges that differ by less, in parts of the spread of noise, have the same lift: the smaller one's, which is larger.
SAME_LIFT = 0.05


@dataclass(frozen=True)
class TrainingMoments:
    """Moments of training rows about their centre, in grid steps.

    Attributes
    ----------
    curvature : float64 (columns, columns), mean of (g - centre)(g - centre)'
    cross : float64 (outputs, columns), mean of (target - its mean) (g - centre)
    noise : float64 (columns,), mean rounding variance
    step : float64 (columns,), in units of X
    ratio : float, of noisy columns to independent rows, see `compensation.noise_ratio`
    """

    curvature: np.ndarray
    cross: np.ndarray
    noise: np.ndarray
    step: np.ndarray
    ratio: float


def ridge_path(moments, alphas):
    """Solutions for every penalty, see `_path`."""
    small = len(moments.step) <= DENSE_COLUMNS  # for which threads of BLAS take longer to meet than they save
    with one_blas_thread() if small else nullcontext():
        return _path(moments, alphas)


def _path(moments, alphas):
    """Solutions for every penalty.

    Parameters
    ----------
    moments : TrainingMoments
    alphas : sequence of float, penalties on coefficients in units of X

    Returns
    -------
    solutions : float64 (alphas, outputs, columns), in grid steps
    rcond : float64 (alphas,), reciprocal condition number of each matrix with a unit diagonal
    """
    diagonal = np.diag(moments.curvature)
    size = np.sqrt(diagonal)
    used = (size > SMALLEST) & (size < 1 / SMALLEST)
    unit = np.divide(1.0, size, out=np.zeros(len(size)), where=used)
    curvature = moments.curvature * unit * unit[:, None]
    noise, right = moments.noise * unit**2, moments.cross * unit
    weights = _norm_weights(unit, moments.step)
    solutions, rcond = np.zeros((len(alphas), *right.shape)), np.ones(len(alphas))
    rule = LiftRule(moments.ratio)
    # the matrix only grows with the penalty
    for k in np.argsort(alphas, kind="stable"):
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alphas[k]) * unit / moments.step) ** 2
        kept = used & (ridge <= MOST_RIDGE * max(1, used.sum()))
        some = slice(None) if kept.all() else kept
        matrix = curvature.copy() if kept.all() else curvature[np.ix_(kept, kept)]
        matrix[np.diag_indices_from(matrix)] += ridge[some]
        rule.compensate(matrix, noise[some], ridge[some])
        factor = Factor(matrix, weights[some])
        solutions[k][:, some] = factor.least_norm(factor.solve(right[:, some])) * unit[some]
        rcond[k] = factor.rcond
    return solutions, rcond


def is_reliable(rcond):
    """Whether solutions of moments, which square the condition of the rows, have digits to spare."""
    return rcond >= SINGULAR


def _norm_weights(unit, step):
    size = unit / np.abs(step)
    return (size / (size.max(initial=0) or 1.0)) ** 2


class LiftRule:
    """The rule of `dense_compensation` for one matrix with growing ridges.

    What eigenvalues tell, a Cholesky factor tells where no direction needs a lift; once nothing does, nothing will. A
    lift found at one ridge serves ridges that are larger by next to nothing.

    Parameters
    ----------
    ratio : float, of noisy columns to independent rows
    """

    def __init__(self, ratio):
        self._ratio, self._is_even, self._last = ratio, False, None

    def compensate(self, matrix, noise, ridge):
        """Take what is compensated off a matrix with its ridge, in place."""
        noisy = noisy_columns(noise)
        if not noisy.any() or self._ratio >= 0.25:
            return
        tau, floor = tau_and_floor(self._ratio)
        if not self._is_even:
            left = matrix.copy()
            left[np.diag_indices_from(left)] -= (tau + floor) * noise
            self._is_even = is_positive_definite(left)
        lifted = None
        if not self._is_even and len(matrix) > DENSE_COLUMNS:
            tau = tau_of(self._ratio, lambda: dense_ratio(matrix, noise, noisy))
        elif not self._is_even:
            lifted = self._lift(matrix, noise, noisy, ridge)
        matrix[np.diag_indices_from(matrix)] -= tau * noise
        if lifted is not None:
            matrix += lifted @ lifted.T

    def _lift(self, matrix, noise, noisy, ridge):
        if self._last is not None and len(self._last[0]) == len(ridge):
            last, lifted = self._last
            if np.all((ridge - last)[noisy] <= SAME_LIFT * self._ratio**0.5 * noise[noisy]):
                return lifted
        lifted = lift(matrix, noise, noisy, self._ratio)
        self._last = ridge, lifted
        return lifted
