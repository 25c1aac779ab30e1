"""A bound from below on the minimum of a logistic objective with an l1 penalty: the value of a dual point.

The loss of a row is the largest, over probabilities q of its classes, of the entropy of q plus the sum of (q - y) times
margins, y being one at its label. So any q whose mean of q - y is zero for every class, as free intercepts ask, and
whose combinations of rows are within the penalty, bounds the objective from below (Fenchel duality).

Margins of calibrated rows are scaled by a number that depends, a little, on the model. It is taken to be that of the
point, and what the objective owes to its change to be as steep everywhere as there.
"""

import numpy as np
from scipy.special import xlogy

from . import evaluation, softmax

# Newton steps for the intercepts, and mean slopes that are zero.
MOST_STEPS, BALANCED = 20, 1e-14
# Shares of the slopes that are tried.
SHARES = 9


def dual_gap(objective, point):
    """How far above its minimum a LogisticObjective is at a Point at most."""
    slopes, error = _balanced(objective, point)
    combined = evaluation.row_combinations(objective.problem, slopes, objective.limbs) * objective.problem.unit
    gradient, steady = objective.adjoint(point, combined), objective.by_scale(point)
    owed = float((steady * point.model[:, :-1]).sum())
    shares = np.linspace(_largest_share(objective, gradient, steady), 1, SHARES if objective.ridge.any() else 1)
    best = max(_entropy(objective, slopes, share) - _paid(objective, share * gradient + steady) for share in shares)
    return max(0.0, point.value + owed - best) + error


def _balanced(objective, point):
    """Slopes at the intercepts that are best for these coefficients, and what is left of their means, times moves."""
    slopes, scale = point.slopes.copy(), point.scale
    if not objective.has_intercept:
        return slopes, 0.0
    shift = np.zeros(len(slopes))
    for _ in range(MOST_STEPS):
        mean = slopes.mean(axis=1)
        if np.abs(mean).max() <= BALANCED:
            break
        shift -= np.linalg.lstsq(_curvature(objective.labels, slopes), mean, rcond=1e-12)[0] / scale
        softmax.evaluate(objective.labels, scale, point.margins + shift[:, None], slopes)
    return slopes, scale * float(np.abs(slopes.mean(axis=1)) @ (1 + np.abs(point.model[:, -1])))


def _curvature(labels, slopes):
    """Mean second derivatives by the scaled intercepts."""
    if labels.n_outputs == 1:
        return softmax.curvatures(labels, slopes).mean()[None, None]
    return softmax.pair_curvatures(labels, slopes) / slopes.shape[1]


def _largest_share(objective, gradient, steady):
    """The largest part of a gradient, up to one, that the l1 penalty holds where no ridge does."""
    room = objective.l1 - np.sign(gradient) * steady
    size = np.abs(gradient)
    shares = np.divide(np.maximum(room, 0), size, out=np.ones_like(size), where=(size > 0) & (size > room))
    return float(shares.min(initial=1.0))


def _entropy(objective, slopes, share):
    """Weighted mean entropy of the probabilities that a share of slopes stands for."""
    labels = objective.labels
    q = softmax.predicted(labels, share * slopes, slice(None))
    if labels.n_outputs == 1:
        q = np.concatenate([1 - q, q])
    entropy = -xlogy(q, q).sum(axis=0)
    return float((entropy * labels.weights if len(labels.weights) else entropy).mean())


def _paid(objective, gradient):
    """The conjugate of the penalty: what a gradient beyond the l1 penalty gains against the ridge."""
    excess = np.maximum(np.abs(gradient) - objective.l1 * (1 + 1e-12), 0)
    if (excess[:, objective.ridge == 0] > 0).any():
        return np.inf
    return float(np.divide(excess**2, 2 * objective.ridge, out=np.zeros_like(excess), where=objective.ridge > 0).sum())
