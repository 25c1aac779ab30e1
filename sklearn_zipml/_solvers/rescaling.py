"""The size of a calibrated model: a penalty weighs more against packed rows, which tell less than the rows before.

The direction of a model hardly suffers, but where margins are large little is known of their size, and the penalty
makes the model smaller than it would be with exact rows. So its size and intercepts are found anew: first those that
make the labels most likely without the penalty; then those at which the penalty would leave a model of exact rows,
whose labels are as likely as that says. Exact margins are drawn from what packed rows leave open of them.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from . import softmax
from .calibration import square_root

# Rows that are enough to tell two or so numbers; margins that are looked at, of many classes, whose intercepts are as
# many numbers; and variance, times pi / 8, below which there is nothing to do.
MOST_ROWS, MOST_MARGINS, LEAST_ROWS, NOTHING = 1 << 15, 1 << 17, 2048, 1e-3
# A size that is not found within these bounds is not known.
BOUNDS = (0.25, 8.0)


def rescaled(objective, point):
    """The model of a Point of a calibrated LogisticObjective, of the size that exact rows would give it.

    Parameters
    ----------
    objective : LogisticObjective
    point : Point, at its minimum

    Returns
    -------
    float64 (outputs, columns + 1)
    """
    open_part = 1 / point.scale**2 - 1
    if objective.calibration is None or open_part < NOTHING:
        return point.model
    coef, intercept = point.model[:, :-1], point.model[:, -1]
    n = min(objective.n, MOST_ROWS, max(LEAST_ROWS, MOST_MARGINS // len(coef)))
    labels, margins = objective.shown(point, n)
    weights = labels.weights if len(labels.weights) else np.ones(n)
    some = replace(labels, weights=weights / weights.mean())
    margins = margins - intercept[:, None]
    likely = _most_likely(some, margins, intercept, open_part, objective)
    root = square_root(objective.calibration.covariance(coef))
    exact = margins + root @ np.random.default_rng(0).standard_normal(margins.shape)
    penalties = float(objective.ridge @ (coef**2).sum(axis=0)), objective.absolute(coef)
    size, intercept = _penalised(some, exact, likely, penalties, objective.has_intercept)
    return np.column_stack([size * coef, intercept])


def _most_likely(labels, margins, intercept, open_part, objective):
    """Size and intercepts of the least loss without a penalty.

    Where some rows stand for all, they tell how the loss curves; how it slopes at the model is known of all of them.
    """
    slopes, start = np.empty_like(margins), np.append(1.0, intercept)
    lean = 0.0

    def loss(unknown):
        size, shift = unknown[0], unknown[1:]
        scale = 1 / np.sqrt(1 + size**2 * open_part)
        line = softmax.evaluate(labels, scale, size * margins + shift[:, None], slopes, margins)
        by_size = scale * line.along_image - line.along_margins * size * open_part * scale**3
        slope = np.append(by_size, scale * slopes.mean(axis=1) * objective.has_intercept)
        return line.loss + (lean * (unknown - start)).sum(), slope + lean

    if objective.slopes is not None:
        lean = objective.slopes - loss(start)[1]
    return _minimum(loss, start)


def _penalised(labels, margins, likely, penalties, has_intercept):
    """Size and intercepts of the least penalised loss, of exact margins whose labels are as likely as given."""
    truth = softmax.probabilities(likely[0] * margins.T + likely[1:]).T
    weights, (ridge, l1) = labels.weights, penalties

    def loss(unknown):
        size, shift = unknown[0], unknown[1:]
        scores = size * margins.T + shift
        logs = softmax.log_probabilities(scores).T
        slopes = (np.exp(logs) - truth)[-len(margins) :] * weights
        n = len(weights)
        value = -(truth * logs).sum(axis=0) @ weights / n + size**2 * ridge / 2 + size * l1
        by_size = (slopes * margins).sum() / n + size * ridge + l1
        return value, np.append(by_size, slopes.mean(axis=1) * has_intercept)

    found = _minimum(loss, likely)
    return found[0], found[1:]


def _minimum(loss, start):
    bounds = [BOUNDS] + [(None, None)] * (len(start) - 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 50}).x
