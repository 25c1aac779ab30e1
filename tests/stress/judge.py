"""What must hold of a fitted model, beside its problem in float64; see `random_problems`."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from least_squares import Problem, descended, dual_gap, factored, minimum, unseen_part
from sklearn.exceptions import ConvergenceWarning

ZERO_PART = 1e-17  # of the zero model's objective
EXACT_ROWS = 1024
LOSS = 1e-6  # relative error of loss_curve_
LOSS_ZERO_PART = 1e-13
UNSEEN = 1e-4  # part of |coef_| in directions that no row has


# The rows that a fit trains on, and what it subtracts: the two places that know something of the package


def float_rows(X):
    """Offset, rows, and the rounding error of each: float32 about the median, in units of the largest distance."""
    X = X.astype(np.float64)
    offset = np.median(X, axis=0)
    reach = np.abs(X - offset).max(axis=0)
    step = np.where(reach > 0, reach, 1.0)
    rows = ((X - offset) / step).astype(np.float32).astype(np.float64) * step
    return offset, rows, rows - (X - offset)


def packed_rows(quantizer, packed):
    """Offset and rows of a PackedMatrix: whole steps, without what the offset rounds away."""
    offset, step = quantizer.offset_, quantizer.step_
    return offset, np.rint((np.asarray(packed, dtype=np.float64) - offset) / step) * step


def subtracted(model, packed, weights, alpha):
    """What the objective lacks of the second moments, in units of X: C = diag(taken) - lift lift'.

    The share of the rounding variance that is subtracted is the package's own choice. No public attribute states it, so
    it is made again from the parts of the package that made it.
    """
    from sklearn_zipml._solvers.objective import Quadratic
    from sklearn_zipml._solvers.problem import Problem as PackedProblem
    from sklearn_zipml._storage.packed_rows import rows_of

    weights = None if weights is None or np.ptp(weights) == 0 else weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = PackedProblem(rows_of(packed), weights, model.fit_intercept)
        quadratic = Quadratic(
            problem,
            np.zeros((1, problem.n_slots), dtype=np.float32),
            alpha * (1 - model.l1_ratio),
            diagonal=model.solver == "sgd",
        )
    unit = np.where(problem.unit > 0, problem.unit, np.inf)
    return quadratic.noise * (problem.step / unit) ** 2, quadratic.lift * (problem.step / unit)[:, None]


# Judging


@dataclass
class Outcome:
    """What one problem came to. verdict: of VERDICTS, whatever failed; failures: (kind, text).

    "unsure": coordinate descent in float64 neither found anything lower nor came to an end.
    """

    seed: int
    text: str
    groups: tuple
    verdict: str = "ok"
    failures: list = field(default_factory=list)
    seconds: tuple = (0.0, 0.0)
    affordable: bool = True

    def fail(self, kind, text):
        self.failures.append((kind, text))

    def counted(self):
        """The columns of the summary that it counts in."""
        kinds = {kind for kind, _ in self.failures}
        return kinds | {self.verdict} if self.verdict == "warned" or not kinds else kinds


@dataclass
class Fit:
    """A fitted model beside its problem, in the shapes of the problem. error: that of float rows, where it matters."""

    model: object
    problem: Problem
    error: np.ndarray | None

    def __post_init__(self):
        self.w = np.atleast_2d(self.model.coef_).astype(np.float64).T
        self.b = np.ravel(self.model.intercept_).astype(np.float64)

    def rounding(self, w):
        """Root mean square change of residuals when a model of coefficients w is rounded to what coef_ holds."""
        size = self.problem.reach(w) + np.abs(self.problem.level)
        return 2 * np.finfo(self.model.coef_.dtype).eps * size

    def row_error(self, w):
        """The same for rows of which float32 holds other digits."""
        if self.error is None:
            return 0.0
        return np.linalg.norm(np.sqrt(self.problem.share)[:, None] * (self.error @ w), axis=0)

    def bound(self, w):
        """What a fit may be above a minimum at w.

        Rows that are off by E move the root of 2 J by |E w| at most, both at the fit and at the minimum, and the E of
        the package is another than this one.
        """
        best = np.abs(self.problem.objective(w))
        exact = 2 * self.model.tol * best + 2 * ZERO_PART * self.problem.zero
        exact += self.problem.noise + self.rounding(w) ** 2 / 2
        error = 4 * self.row_error(w)
        return exact + np.sqrt(2 * (best + exact)) * error + error**2 / 2


def gap(fit):
    """What the objective of every target is above the minimum, and may be; the minimum, and whether it is sure.

    With an l1 penalty the bound of the dual problem proves most fits right; only for others is the minimum looked for.
    """
    problem, w = fit.problem, fit.w
    shift = problem.shift(w, fit.b) ** 2 / 2
    if problem.l1 == 0:
        best = minimum(problem, fit.bound)
        return problem.rise(w, best) + shift, fit.bound(best), best, True
    R, r, l2 = factored(problem)
    allowed = fit.bound(w)
    most = dual_gap(R, r, l2, problem.l1, w) + shift
    if np.all(most <= allowed):
        return most, allowed, w, True
    best = descended(R, r, l2, problem.l1, w, allowed)
    above, allowed = problem.rise(w, best) + shift, fit.bound(best)
    return above, allowed, best, bool(np.all(above + dual_gap(R, r, l2, problem.l1, best) <= allowed))


def judge_gap(fit, outcome):
    """The distance from the minimum; with alpha=0 the norm."""
    above, allowed, best, sure = gap(fit)
    outcome.verdict = "ok" if sure else "unsure"
    problem = fit.problem
    worst = int(np.argmax(above - allowed))
    if not above[worst] <= allowed[worst]:
        objective, least = problem.objective(fit.w, fit.b)[worst], problem.objective(best)[worst]
        outcome.fail(
            "silent",
            f"objective {objective:.6g}, minimum {least:.6g}, zero model {problem.zero[worst]:.3g}: "
            f"{above[worst]:.3g} above, allowed {allowed[worst]:.3g}",
        )
    if problem.l2 == problem.l1 == 0:
        unseen = unseen_part(problem, fit.w)
        if unseen is not None and not unseen.max() <= UNSEEN:
            outcome.fail("norm", f"{unseen.max():.3g} of coef_ is where no row reaches")


def judge_objective(fit, outcome):
    """The objective itself, reported and real."""
    problem, losses = fit.problem, np.asarray(fit.model.loss_curve_)
    real, zero = problem.objective(fit.w, fit.b), problem.zero + problem.noise
    slack = np.sqrt(2 * np.abs(real)) * (fit.rounding(fit.w) + 2 * fit.row_error(fit.w))
    slack += (fit.rounding(fit.w) + 2 * fit.row_error(fit.w)) ** 2 + problem.noise
    off = abs(losses[-1] - real.sum())
    if not off <= LOSS * abs(real.sum()) + LOSS_ZERO_PART * zero.sum() + slack.sum():
        outcome.fail("loss_curve_", f"ends with {losses[-1]:.9g}, objective {real.sum():.9g}")
    if problem.taken is None and losses.min() < 0:
        outcome.fail("negative", f"loss_curve_ has {losses.min():.3g}")
    above = real - zero * (1 + 1e-9) - slack
    if np.any(above > 0):
        worst = int(np.argmax(above))
        outcome.fail("above zero", f"objective {real[worst]:.6g}, that of the zero model {problem.zero[worst]:.6g}")


def judge(data, settings, model, problem, error, caught, outcome):
    """Everything that must hold of a fitted model."""
    with warnings.catch_warnings(record=True) as late, np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        predictions = [] if data.classifier else [model.predict(data.X)]
    values = [model.coef_, model.intercept_, model.loss_curve_, *predictions]
    if not all(np.isfinite(value).all() for value in values):
        outcome.fail("non-finite", f"coef_ up to {np.abs(model.coef_).max():.3g}")
        return
    for warning in (*caught, *late):
        if not issubclass(warning.category, (ConvergenceWarning, UserWarning)):
            outcome.fail("stray", f"{warning.category.__name__}: {warning.message} ({warning.filename})")
    fit = Fit(model, problem, error if len(problem.rows) > EXACT_ROWS else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            judge_objective(fit, outcome)
            if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
                outcome.verdict = "warned"
            else:
                judge_gap(fit, outcome)
        except ArithmeticError as unbounded:
            outcome.fail("unbounded", str(unbounded))
