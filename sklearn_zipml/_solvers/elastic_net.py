"""The elastic net by coordinate descent, where the columns that matter fit in memory: scikit-learn's, on small data.

Where it has not got there after many sweeps, `active_set` goes on from it.

With many rows these are a square root of the second moments, as many rows as columns, that give the same objective but
for a constant; with few, the rows themselves.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from . import evaluation
from .active_set import search_signs
from .by_columns import positive_factor
from .by_orthogonal_factors import MOST_VALUES
from .objective import MOST_L1

MOST_COLUMNS = 2048
MOST_SWEEPS = 1000  # at a time
ATTEMPTS = 20
IDLE = 2  # attempts in a row that do not halve the gap: what is left is rounding, or takes too long


def is_affordable(quadratic):
    """Whether coordinate descent has what it needs in memory."""
    n, d = quadratic.problem.n, quadratic.problem.d
    return d <= MOST_COLUMNS or (n * d <= MOST_VALUES and not quadratic.is_compensated)


def solve_elastic_net(quadratic, start, tol):
    """The minimum with an l1 penalty, to a part tol of its objective, from a start (targets, columns).

    Returns
    -------
    z : float64 (targets, columns), with exact zeros
    objective, gap : float64 (targets,); the gap is the duality gap
    sweeps : int, most of a target
    """
    problem = quadratic.problem
    size = quadratic.size_in_units_of_x()
    largest = np.abs(problem.step[np.argmax(size)]) if size.any() else 1.0
    with np.errstate(over="ignore"):
        l1 = np.minimum(quadratic.l1_in_units_of_x() / largest, MOST_L1)
    rows, right, ridge = _small_data(quadratic, size, largest)
    zero = quadratic.at_zero
    z = np.divide(start, size, out=np.zeros_like(start), where=size > 0)
    gap, sweeps = np.zeros(len(l1)), 0
    for k, target in enumerate(right):
        descent = CoordinateDescent(rows, target, l1[k], ridge, zero[k])
        z[k], gap[k] = descent.to_within(tol, z[k])
        sweeps = max(sweeps, descent.sweeps)
    z *= size
    return z, evaluation.objective(quadratic, z, evaluation.residuals(quadratic, z)), gap, max(1, sweeps)


def _small_data(quadratic, size, largest):
    """Rows, targets (targets, rows) and ridge of min |X w - y|² / 2 + ridge |w|² / 2 with w in parts of `largest`."""
    problem = quadratic.problem
    n, d = problem.n, problem.d
    if n * d <= MOST_VALUES and n <= 2 * d and not quadratic.is_compensated:
        root = np.sqrt(problem.unit_weights()[:n] / n)
        rows = np.asfortranarray(problem.tiles.columns(0, d) - problem.centre)
        rows *= size
        rows *= root[:, None]
        return rows, quadratic.targets[:, :n] * root, quadratic.alpha_in_units_of(size)
    origin = evaluation.residuals(quadratic, np.zeros((len(quadratic.targets), d)))
    right = -problem.unit * evaluation.loss_gradient(quadratic, origin)
    # the factor holds the ridge, and all that is compensated
    root, targets = positive_factor(quadratic, quadratic.matrix()).square_root(right)
    scale = np.divide(size, problem.unit, out=np.zeros(d), where=problem.unit > 0)
    return np.asfortranarray(root * scale), targets, 0.0


class CoordinateDescent:
    """Coordinate descent of one target, |rows w - target|² / 2 + l1 |w|_1 + ridge |w|² / 2 plus a constant."""

    def __init__(self, rows, target, l1, ridge, zero):
        self.rows, self.target, self.l1, self.ridge = rows, target, l1, ridge
        self.square = float(target @ target)
        self.constant, self.sweeps = zero - self.square / 2, 0

    def objective(self, w):
        left = self.target - self.rows @ w
        return self.constant + left @ left / 2 + self.l1 * np.abs(w).sum() + self.ridge / 2 * w @ w

    def to_within(self, tol, start):
        """Coefficients whose objective is within a part tol of the lowest, from a start, and their duality gap."""
        alpha = self.l1 + self.ridge
        if self.square == 0 or alpha == 0:
            return np.zeros(len(start)), 0.0
        n = len(self.target)
        model = ElasticNet(
            alpha=alpha / n,
            l1_ratio=self.l1 / alpha,
            fit_intercept=False,
            copy_X=False,
            max_iter=MOST_SWEEPS,
            warm_start=True,
        )
        model.coef_, gap, least, idle = start, np.inf, np.inf, 0
        for _ in range(ATTEMPTS):
            reached = abs(self.objective(model.coef_))
            model.set_params(tol=max(0.1 * tol * reached / self.square, 1e-16))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is what the caller judges
                model.fit(self.rows, self.target)
            self.sweeps += int(model.n_iter_)
            gap = float(model.dual_gap_) * n
            reached = self.objective(model.coef_)
            idle = 0 if gap <= least / 2 else idle + 1
            least = min(least, gap)
            if gap <= tol / 2 * abs(reached) or idle == IDLE:
                break
            found = search_signs(self.rows, self.target, self.l1, self.ridge, model.coef_)
            if self.objective(found) < reached:
                model.coef_ = found
        return model.coef_, gap
