"""The minimum of a penalized least squares problem in float64, found without this package.

Minimised, for every target for itself, over coefficients w and intercept b::

    J = 1/2 sum_i s_i (x_i' w + b - y_i)^2 + l2/2 |w|^2 + l1 |w|_1 - 1/2 w' C w,    sum_i s_i = 1,

C = diag(taken) - lift lift' being what is subtracted of the second moments. A row is ``offset + row``, so that columns
far from zero keep their digits. Two points are compared by the difference of their objectives, computed as a product in
which nothing cancels. A minimum is accepted if its Newton decrement says so; where normal equations are not good enough
for that, singular values of the rows with equal columns are.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

EPS = np.finfo(float).eps
# Part of what a fit may be off by that the reference may be off by.
REFERENCE = 1e-3
REFINEMENTS = 4
DESCENT_VALUES = 2e9  # that coordinate descent may read


@dataclass
class Problem:
    """One problem; see above.

    Attributes
    ----------
    offset : float64 (d,)
    rows : float64 (n, d)
    targets : float64 (n, outputs)
    share : float64 (n,), s
    l2, l1 : float
    fit_intercept : bool
    taken, lift : float64 (d,) and (d, k), or None where nothing is subtracted
    """

    offset: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    share: np.ndarray
    l2: float
    l1: float
    fit_intercept: bool
    taken: np.ndarray | None = None
    lift: np.ndarray | None = None

    def __post_init__(self):
        root = np.sqrt(self.share)[:, None]
        if self.fit_intercept:
            self.mean, self.level = self.share @ self.rows, self.share @ self.targets
            rows = self.rows - self.mean
            rows[:, np.ptp(self.rows, axis=0) == 0] = 0
        else:
            self.mean, self.level = np.zeros(self.rows.shape[1]), np.zeros(self.targets.shape[1])
            rows = self.rows + self.offset
        y = self.targets - self.level
        if self.fit_intercept:
            y[:, np.ptp(self.targets, axis=0) == 0] = 0
        self.A, self.t = root * rows, root * y
        self.zero = (self.t**2).sum(axis=0) / 2  # objective of the zero model
        # what rounding of the mean of the targets costs
        terms = max(32, len(self.rows) / 16)  # of a plain sum
        self.noise = (terms * EPS * np.abs(self.targets).max(axis=0, initial=0)) ** 2 / 2
        size = np.hypot(np.linalg.norm(self.A, axis=0), np.sqrt(self.l2))
        self.size = np.where(size > 0, size, 1.0)

    def take(self, w):
        """C w."""
        if self.taken is None:
            return np.zeros_like(w)
        return self.taken[:, None] * w - self.lift @ (self.lift.T @ w)

    def shift(self, w, intercept):
        """By how much an intercept is off the best one for w, every target."""
        if not self.fit_intercept:
            return np.zeros(self.t.shape[1])
        exact = np.asarray(intercept, dtype=np.longdouble) - self.level
        exact += (self.offset + self.mean).astype(np.longdouble) @ w.astype(np.longdouble)
        return exact.astype(np.float64)

    def gradient(self, w):
        """Of the smooth part."""
        return self.A.T @ (self.A @ w - self.t) + self.l2 * w - self.take(w)

    def objective(self, w, intercept=None):
        """J of every target; without an intercept, that of the best one."""
        shift = 0.0 if intercept is None else self.shift(w, intercept)
        smooth = ((self.A @ w - self.t) ** 2).sum(axis=0) + shift**2 + self.l2 * (w**2).sum(axis=0)
        return (smooth - (w * self.take(w)).sum(axis=0)) / 2 + self.l1 * np.abs(w).sum(axis=0)

    def rise(self, w, other):
        """J(w) - J(other) of every target, at the best intercepts."""
        error = (self.A @ (w - other), self.A @ (w + other) - 2 * self.t)
        smooth = (error[0] * error[1]).sum(axis=0) + ((w - other) * (self.l2 * (w + other))).sum(axis=0)
        smooth -= ((w - other) * self.take(w + other)).sum(axis=0)
        return smooth / 2 + self.l1 * (np.abs(w) - np.abs(other)).sum(axis=0)

    def reach(self, w):
        """Root mean square of sum_j |x_ij w_j|: rounding w to u changes residuals by up to u times that."""
        rows = np.sqrt(self.share)[:, None] * np.abs(self.rows + self.offset)
        return np.linalg.norm(rows @ np.abs(w), axis=0)


def minimum(problem, allowed):
    """Coefficients (d, outputs) of the minimum for l1 = 0, to a small part of allowed(coefficients), every target."""
    candidates = []
    for solve in (_by_cholesky, _by_singular_values):
        found = solve(problem)
        if found is None:
            continue
        w, decrement = found
        candidates.append(w)
        if np.all(decrement <= REFERENCE * allowed(w)):
            break
    best = candidates[0]
    for w in candidates[1:]:  # both are upper bounds
        best = np.where(problem.rise(w, best) < 0, w, best)
    return best


def _refined(problem, solve):
    """The minimum by repeated solution for the gradient, and the last Newton decrement; None if that diverges."""
    w, last = np.zeros((problem.A.shape[1], problem.t.shape[1])), np.full(problem.t.shape[1], np.inf)
    for _ in range(REFINEMENTS):
        gradient = problem.gradient(w)
        step = solve(gradient)
        decrement = np.abs((gradient * step).sum(axis=0)) / 2
        if not np.isfinite(step).all():
            return None
        better = decrement < last
        w, last = np.where(better, w - step, w), np.minimum(decrement, last)
    # the decrement was that before the last step; one that contracts is far below
    final = problem.gradient(w)
    return w, np.abs((final * solve(final)).sum(axis=0)) / 2


def _by_cholesky(problem):
    """By normal equations of the columns, or of the rows where they are fewer, or None where they are singular."""
    A, d = problem.A, problem.A.shape[1]
    try:
        if problem.taken is not None or d <= len(A):
            H = A.T @ A + problem.l2 * np.eye(d)
            if problem.taken is not None:
                H -= np.diag(problem.taken) - problem.lift @ problem.lift.T
            size = np.sqrt(np.maximum(H.diagonal(), EPS * problem.size**2))
            factor = linalg.cho_factor(H / size[:, None] / size)
            return _refined(problem, lambda g: linalg.cho_solve(factor, g / size[:, None]) / size[:, None])
        return None if problem.l2 == 0 else _by_rows(problem)
    except linalg.LinAlgError:
        return None


def _by_rows(problem):
    """With w = A'u, u = (AA' + l2)^-1 t."""
    A, l2 = problem.A, problem.l2
    curvature = A @ A.T
    factor = linalg.cho_factor(curvature + l2 * np.eye(len(A)))
    u = np.zeros_like(problem.t)
    for _ in range(REFINEMENTS):
        left = problem.t - curvature @ u - l2 * u
        u += linalg.cho_solve(factor, left)
    left = problem.t - A @ (A.T @ u) - l2 * u
    # the gradient is -A' left, and (A'A + l2)^-1 A' = A' (AA' + l2)^-1
    decrement = np.abs((left * (curvature @ linalg.cho_solve(factor, left))).sum(axis=0)) / 2
    return (A.T @ u, decrement) if np.isfinite(u).all() else None


def _by_singular_values(problem):
    """The same without the directions in which there is nothing."""
    A, l2, d = problem.A, problem.l2, problem.A.shape[1]
    if problem.taken is not None:
        H = A.T @ A + l2 * np.eye(d) - np.diag(problem.taken) + problem.lift @ problem.lift.T
        size = problem.size
        values, vectors = linalg.eigh(H / size[:, None] / size)
        if values[0] < -1e-9 * values[-1]:
            raise ArithmeticError(f"the objective has no minimum: curvature {values[0]:.3g} of {values[-1]:.3g}")
        keep = values > 1e-13 * values[-1]
        basis = vectors[:, keep] / size[:, None]
        return _refined(problem, lambda g: basis @ ((basis.T @ g) / values[keep][:, None]))
    if d <= len(A):  # with equal columns
        size, penalty = problem.size, np.diag(np.sqrt(l2) / problem.size)
        left = np.vstack([A / size, penalty]) if l2 > 0 else A / size
        _, values, basis = linalg.svd(left, full_matrices=False, check_finite=False)
        keep = values > 1e-14 * len(left) ** 0.5 * values[0]
        basis, curvature = basis[keep].T / size[:, None], values[keep] ** 2
    else:
        _, values, basis = linalg.svd(A, full_matrices=False, check_finite=False)
        keep = values > 1e-14 * d**0.5 * values[0]
        basis, curvature = basis[keep].T, values[keep] ** 2 + l2
    return _refined(problem, lambda g: basis @ ((basis.T @ g) / curvature[:, None]))


def unseen_part(problem, w):
    """Part of |w| that lies where no row reaches, every target; None if it is not plain which directions those are."""
    if problem.taken is not None:
        return None
    _, values, basis = linalg.svd(problem.A, full_matrices=False, check_finite=False)
    largest = values.max(initial=0)
    if np.any((values > 1e-12 * largest) & (values < 1e-6 * largest)) or largest == 0:
        return None
    basis = basis[values >= 1e-6 * largest]
    outside = np.linalg.norm(w - basis.T @ (basis @ w), axis=0)
    return np.divide(outside, np.linalg.norm(w, axis=0), out=np.zeros_like(outside), where=outside > 0)


# With an l1 penalty


def factored(problem):
    """Rows R and targets r with R'R the curvature, and R'r the slope at 0, but for l2 if it is returned; l2."""
    if problem.taken is None:
        return problem.A, problem.t, problem.l2
    size, slope = problem.size, problem.A.T @ problem.t
    H = problem.A.T @ problem.A + problem.l2 * np.eye(len(size))
    H -= np.diag(problem.taken) - problem.lift @ problem.lift.T
    values, vectors = linalg.eigh(H / size[:, None] / size)
    if values[0] < -1e-9 * values[-1]:
        raise ArithmeticError(f"the objective has no minimum: curvature {values[0]:.3g} of {values[-1]:.3g}")
    keep = values > 1e-13 * values[-1]
    root = np.sqrt(values[keep])[:, None]
    return root * vectors[:, keep].T * size, (vectors[:, keep].T @ (slope / size[:, None])) / root, 0.0


def dual_gap(R, r, l2, l1, w):
    """What the objective of every target can lie above its minimum by, at most."""
    error = r - R @ w
    largest = np.abs(R.T @ error - l2 * w).max(axis=0)
    scale = np.minimum(1, np.divide(l1, largest, out=np.ones_like(largest), where=largest > 0))
    square = (error**2).sum(axis=0) + l2 * (w**2).sum(axis=0)
    return (1 + scale**2) / 2 * square - scale * (error * r).sum(axis=0) + l1 * np.abs(w).sum(axis=0)


def descended(R, r, l2, l1, w, allowed):
    """Where coordinate descent goes from w, every target until its gap is a small part of `allowed` or it is tired."""
    out = w.copy()
    root = np.sqrt(len(R))
    for k in range(w.shape[1]):
        scale = np.linalg.norm(r[:, k])
        if scale == 0:
            continue
        # targets of length 1: the objective, and tol, are in units of scale²
        alpha = l1 / scale + l2
        model = ElasticNet(alpha, l1_ratio=l1 / scale / alpha, fit_intercept=False, warm_start=True)
        sweeps = int(np.clip(DESCENT_VALUES / R.size, 50, 20000))
        model.set_params(max_iter=sweeps, tol=max(1e-16, REFERENCE * allowed[k] / scale**2))
        model.coef_ = w[:, k] / scale
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(R * root, r[:, k] / scale * root)
        out[:, k] = model.coef_ * scale
    return out
