"""Minima of the objective at many penalties, from second moments alone: what a search tries on one set of rows."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf

from .._kernels.threads import lapack
from .compensation import Compensation, dense_compensation, dense_ratio, noisy_columns, tau_of
from .factor import SINGULAR, Factor
from .objective import MOST_RIDGE
from .problem import DENSE_COLUMNS, SMALLEST


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
    is_even = False
    # the matrix only grows with the penalty: once nothing needs a lift, nothing does
    for k in np.argsort(alphas, kind="stable"):
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alphas[k]) * unit / moments.step) ** 2
        kept = used & (ridge <= MOST_RIDGE * max(1, used.sum()))
        some = slice(None) if kept.all() else kept
        matrix = curvature.copy() if kept.all() else curvature[np.ix_(kept, kept)]
        matrix[np.diag_indices_from(matrix)] += ridge[some]
        taken, is_even = _compensation(matrix, noise[some], moments.ratio, is_even)
        matrix[np.diag_indices_from(matrix)] -= taken.tau * noise[some]
        if taken.lift.size:
            matrix += taken.lift @ taken.lift.T
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


def _compensation(matrix, noise, ratio, is_even):
    """The Compensation of a matrix with its ridge, and whether it is the same in every direction.

    What `dense_compensation` finds out from eigenvalues, a Cholesky factor tells where no direction needs a lift.
    """
    noisy = noisy_columns(noise)
    if not noisy.any() or ratio >= 0.25:
        return Compensation.even(0.0, noise), True
    tau, floor = 1 - 4 * ratio, 2 * np.sqrt(ratio)
    if not is_even:
        left = matrix.copy()
        left[np.diag_indices_from(left)] -= (tau + floor) * noise
        is_even = lapack(dpotrf, left, lower=1, overwrite_a=1)[1] == 0
    if is_even:
        return Compensation.even(tau, noise), True
    if len(matrix) > DENSE_COLUMNS:
        return Compensation.even(tau_of(ratio, lambda: dense_ratio(matrix, noise, noisy)), noise), False
    return dense_compensation(matrix, noise, noisy, ratio), False
