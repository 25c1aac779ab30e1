"""Fit random problems, hostile ones among them, and compare every objective with the minimum in float64.

Run: OMP_NUM_THREADS=1 python tests/stress/random_problems.py [--problems 3000] [--seed 0] [--only K] [--jobs 2]

Problem K is made from seed K (`hostile_data`, `random_settings`) and has a minimum that `least_squares` finds from the
very rows that are stored: those of a PackedMatrix, or float32 samples. For every fit, one of these must hold (`judge`):

* its objective, taken anew from the stored rows, is no more than a bound above the minimum, every target for itself;
  and with alpha=0 nothing of `coef_` lies where no row reaches (least norm in units of X); or
* it raised a ConvergenceWarning. Of problems with n d min(n, d) up to 2e10 and the default solver less than .5 % may.

Besides, of every fit: the last entry of `loss_curve_` is that objective, summed over targets; it is never above that of
the zero model, nor below zero where nothing is compensated; everything is finite; no warning leaks but those of the
package; and no exception comes but documented ValueErrors.

The bound on what a fit may be above the minimum J is the sum of

* 2 tol |J|;
* 2e-17 of the zero model's objective, for a perfect fit has no objective to be relative to: residuals 6e-9 of the
  targets are what second moments in float64 and one refinement reach;
* what it costs to round the coefficients of the minimum to the dtype of `coef_`, and the mean of targets in float64;
* for float32 samples of more than 1024 rows, which the package centres at the median of a sample of them, what float32
  rounding about the median of all changes. The rows of all other problems are known exactly.

For the classifier, J is the mean squared loss / 2 and penalty / (2 C total weight), as in `loss_curve_`.
"""

import argparse
import sys
import time
import warnings
from collections import Counter

import numpy as np
from hostile_data import make_data, with_weights
from joblib import Parallel, delayed
from judge import Outcome, float_rows, judge, packed_rows, subtracted
from least_squares import Problem
from random_settings import random_settings, targets_of
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_zipml import DoubleSamplingQuantizer

AFFORDABLE = 2e10
MOST_WARNED = 0.005
DOCUMENTED = ("spans more than float64", "one class")


# One problem


def problem_of(data, settings, model, rows, packed, used, weights):
    """The problem in float64, of offset and rows of the rows used."""
    share = np.ones(len(used)) if weights is None else weights[used]
    total = share.sum()
    problem = Problem(
        *rows,
        targets_of(data)[used],
        share / total,
        settings.alpha * (1 - settings.l1_ratio),
        settings.alpha * settings.l1_ratio,
        model.fit_intercept,
    )
    if not settings.is_exact:
        problem.taken, problem.lift = subtracted(
            model, packed, None if weights is None else weights[used], settings.alpha
        )
        if not problem.taken.any():
            problem.taken = problem.lift = None
    return problem


def run(seed, work=None):
    """Make, fit and judge problem `seed`; work bounds n * d * min(n, d)."""
    rng = np.random.default_rng([seed, 2])
    data = make_data(seed, work)
    if data.weights is None and rng.random() < 0.12:
        with_weights(rng, data)
    share = np.ones(len(data.X)) if data.weights is None else data.weights
    settings = random_settings(rng, data, share / share.sum())
    weights = data.weights
    if settings.class_weight:
        weights = share * compute_sample_weight(settings.class_weight, data.y)
    total = len(data.X) if weights is None else weights.sum()
    model = settings.model(data, total, seed)
    outcome = Outcome(seed, describe(data, settings), groups(data, settings), affordable=data.work() <= AFFORDABLE)
    started = time.perf_counter()
    try:
        fit_and_judge(data, settings, model, weights, outcome)
    except ValueError as error:
        if any(text in str(error) for text in DOCUMENTED):
            outcome.verdict = "refused"
        else:
            outcome.fail("exception", f"ValueError: {error}")
    except Exception as error:
        outcome.fail("exception", f"{type(error).__name__}: {error}")
    outcome.seconds = (outcome.seconds[0], time.perf_counter() - started - outcome.seconds[0])
    return outcome


def fit_and_judge(data, settings, model, weights, outcome):
    """Pack the rows, fit the model to them, and judge it by them."""
    used = np.arange(len(data.X)) if weights is None else np.flatnonzero(weights)
    quantizer, packed = DoubleSamplingQuantizer(random_state=model.random_state), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if settings.levels["sample_bits"] is not None:
            quantizer.set_params(**settings.levels)
            whole = quantizer.fit_transform(data.X if settings.packed else data.X[used])
            packed = whole[used] if settings.packed and len(used) < len(data.X) else whole
    X = data.X if packed is None or not settings.packed else whole
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, data.y, sample_weight=data.weights)
    outcome.seconds = (time.perf_counter() - started, 0.0)
    if packed is None:
        *rows, error = float_rows(data.X[used])
    else:
        rows, error = packed_rows(quantizer, packed), None
    problem = problem_of(data, settings, model, rows, packed, used, weights)
    if problem.taken is not None:
        outcome.groups += ("compensated",)
    judge(data, settings, model, problem, error, caught, outcome)


def groups(data, settings):
    """The rows of the summary that a problem counts in."""
    n, d = data.X.shape
    solver = settings.params.get("solver", "default")
    yes = {
        "n < d": n < d,
        "n = d": n == d,
        "n > d": n > d,
        "alpha = 0": settings.alpha == 0,
        "l1": settings.l1_ratio > 0,
        "float32 samples": settings.levels["sample_bits"] is None,
        "classifier": data.classifier,
        "several outputs": targets_of(data).shape[1] > 1,
        "weights": data.weights is not None or settings.class_weight is not None,
        "model_bits, gradient_bits": bool({"model_bits", "gradient_bits"} & set(settings.params)),
        f"solver {solver}": True,
    }
    return ("all", *(name for name, value in yes.items() if value))


def describe(data, settings):
    """A problem in one line."""
    kind = "LSSVC" if data.classifier else "Regressor"
    weighted = "" if data.weights is None else " weighted"
    outputs = targets_of(data).shape[1]
    return f"{data.name}, {kind}({outputs}) {data.X.shape} {data.X.dtype}{weighted} {settings}"


# All problems


FAILURES = (
    "silent",
    "norm",
    "loss_curve_",
    "negative",
    "above zero",
    "non-finite",
    "unbounded",
    "stray",
    "exception",
)
VERDICTS = ("ok", "unsure", "warned", "refused", *FAILURES)


def line(outcome):
    """One line about a problem."""
    failures = "; ".join(f"{kind}: {text}" for kind, text in outcome.failures) or outcome.verdict
    return f"--only {outcome.seed} {outcome.text} [{outcome.seconds[0]:.2f} s, {outcome.seconds[1]:.2f} s]: {failures}"


def summary(outcomes):
    """Print the table and the problems that failed; whether all is well."""
    table = Counter((group, kind) for outcome in outcomes for group in outcome.groups for kind in outcome.counted())
    rows = dict.fromkeys(group for outcome in outcomes for group in outcome.groups)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.seed):
        if outcome.failures:
            print(line(outcome))
    print(f"\n{'':>26}" + "".join(f"{verdict:>12}" for verdict in VERDICTS))
    for group in rows:
        print(f"{group:>26}" + "".join(f"{table[group, verdict] or '':>12}" for verdict in VERDICTS))
    affordable = [outcome for outcome in outcomes if outcome.affordable and "solver default" in outcome.groups]
    warned = sum(outcome.verdict == "warned" for outcome in affordable)
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    fit, judged = (sum(outcome.seconds[k] for outcome in outcomes) for k in (0, 1))
    share = 100 * warned / max(1, len(affordable))
    print(
        f"\n{len(outcomes)} problems, {failed} failed; {warned} of {len(affordable)} that are affordable, with the "
        f"default solver, warned ({share:.2f} %); {fit:.0f} s of fits, {judged:.0f} s of judging"
    )
    return failed == 0 and warned <= max(1, MOST_WARNED * len(affordable))


def main():
    """Run the problems; exit status 1 if any failed, or too many warned."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--only", type=int, help="repeat one problem; with the same --work")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=float, help="bound on n * d * min(n, d)")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.problems) if options.only is None else [options.only]
    outcomes = []
    tasks = (delayed(run)(seed, options.work) for seed in seeds)
    for outcome in Parallel(options.jobs, return_as="generator_unordered")(tasks):
        outcomes.append(outcome)
        if options.verbose or options.only is not None:
            print(line(outcome), flush=True)
    return int(not summary(outcomes))


if __name__ == "__main__":
    sys.exit(main())
