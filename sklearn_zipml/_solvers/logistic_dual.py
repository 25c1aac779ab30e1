"""A bound from below on the minimum of a logistic objective with an l1 penalty: the value of a dual point.

The loss of a row is the largest, over probabilities q of its classes, of the entropy of q plus the sum of (q - y) times
margins, y being one at its label. So any q whose mean of q - y is zero for every class, as free intercepts ask, and
whose combinations of rows are within the penalty, bounds the objective from below (Fenchel duality).
"""

import numpy as np
from scipy.special import xlogy

from . import evaluation, softmax

# Newton steps for the intercepts, and mean slopes that are zero.
MOST_STEPS, BALANCED = 20, 1e-14
# Shares of the slopes that are tried where a ridge bounds the dual for all.
SHARES = 9


def dual_gap(objective, point):
    """How far above its minimum a LogisticObjective is at a Point at most; not of a calibrated one."""
    slopes, error = _balanced(objective, point)
    gradient = evaluation.row_combinations(objective.problem, slopes, objective.limbs) * objective.problem.unit
    excess = np.abs(gradient) - objective.l1
    least = 1.0
    if (excess > 0).any():
        least = float((objective.l1 / (objective.l1 + np.maximum(excess, 0))).min())
    shares = np.linspace(least, 1, SHARES) if objective.ridge.any() else [least]
    best = max(_dual(objective, slopes, gradient, share) for share in shares)
    return max(0.0, point.value - best) + error


def _balanced(objective, point):
    """Slopes at the intercepts that are best for these coefficients, and what is left of their means, times moves."""
    slopes = point.slopes.copy()
    if not objective.has_intercept:
        return slopes, 0.0
    shift = np.zeros(len(slopes))
    for _ in range(MOST_STEPS):
        mean = slopes.mean(axis=1)
        if np.abs(mean).max() <= BALANCED:
            break
        shift -= np.linalg.lstsq(_curvature(objective.labels, slopes), mean, rcond=1e-12)[0]
        softmax.evaluate(objective.labels, 1.0, point.margins + shift[:, None], slopes)
    return slopes, float(np.abs(slopes.mean(axis=1)) @ (1 + np.abs(point.model[:, -1])))


def _curvature(labels, slopes):
    """Mean second derivatives by the intercepts."""
    if labels.n_outputs == 1:
        return softmax.curvatures(labels, slopes).mean()[None, None]
    p = softmax.predicted(labels, slopes, slice(None))
    weighted = p * labels.weights if len(labels.weights) else p
    return (np.diag(weighted.sum(axis=1)) - weighted @ p.T) / p.shape[1]


def _dual(objective, slopes, gradient, share):
    """The dual objective of a share of slopes whose combinations of rows are such a gradient."""
    labels = objective.labels
    q = softmax.predicted(labels, share * slopes, slice(None))
    if labels.n_outputs == 1:
        q = np.concatenate([1 - q, q])
    entropy = -xlogy(q, q).sum(axis=0)
    loss = (entropy * labels.weights if len(labels.weights) else entropy).mean()
    excess = np.maximum(share * np.abs(gradient) - objective.l1, 0)
    paid = np.divide(excess**2, 2 * objective.ridge, out=np.zeros_like(excess), where=objective.ridge > 0)
    return float(loss) - float(paid.sum())
