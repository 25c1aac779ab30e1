"""Fit logistic regression to hostile data, and compare every objective with the minimum in float64.

Run: OMP_NUM_THREADS=1 python tests/stress/logistic_problems.py [--problems 300] [--seed 0] [--only K] [--jobs 2]

Problem K is made from seed K (`hostile_data`), of two classes or more, with weights or without, C over ten decades. The
rows are exact (``sample_bits=None``) or rounded without what makes good for it (``sampling="naive"``), so that the
objective is LogisticRegression's of the very rows that are stored. Its minimum is found by damped Newton steps in
float64, of columns scaled to the same curvature. A fit fails if its objective is more than 2 tol above that, and it did
not say so by a ConvergenceWarning; if it is above that of the zero model; or if anything of it is not finite.
"""

import argparse
import sys
import warnings
from collections import Counter

import numpy as np
from hostile_data import LARGEST_SIZE, make_data
from joblib import Parallel, delayed
from judge import float_rows, packed_rows
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLogisticRegression

MOST_COEFFICIENTS = 600
MOST_STEPS = 300
ACCURATE = 1e-10
# What counts for nothing, in parts of the objective of the zero model: ten times what the fit is told.
ROUNDING = 1e-12


class Logistic:
    """C times weighted logistic loss plus penalty, divided by C and the weights, of rows and one-hot labels."""

    def __init__(self, rows, labels, weights, C, fit_intercept):
        reach = np.abs(rows).max(axis=0)
        reach[reach == 0] = 1
        self.size = reach * np.sqrt(np.maximum(((rows / reach) ** 2).mean(axis=0), 1 / len(rows)))
        self.rows = np.column_stack([rows / self.size, np.ones(len(rows))]) if fit_intercept else rows / self.size
        self.labels, self.weights, self.has_intercept = labels, weights / weights.sum(), fit_intercept
        with np.errstate(over="ignore"):
            penalty = np.minimum(1 / (C * weights.sum()) / self.size / self.size, 1e290)
        self.penalty = np.append(penalty, 0.0) if fit_intercept else penalty

    def scaled(self, coef, intercept):
        """Coefficients of the scaled rows, (columns, outputs)."""
        coef = np.asarray(coef, dtype=np.float64) * self.size
        return np.column_stack([coef, intercept]).T if self.has_intercept else coef.T

    def scores(self, model):
        """Margins, (rows, classes): of two classes with one output, those of the first are zero."""
        margins = self.rows @ model
        return np.column_stack([np.zeros(len(margins)), margins]) if model.shape[1] == 1 else margins

    def value(self, model):
        """The objective."""
        loss = -(self.labels * log_softmax(self.scores(model), axis=1)).sum(axis=1)
        return self.weights @ loss + 0.5 * (self.penalty @ (model**2).sum(axis=1))

    def minimum(self):
        """The least value that damped Newton steps come to."""
        outputs = 1 if self.labels.shape[1] == 2 else self.labels.shape[1]
        d = self.rows.shape[1]
        model, ridge = np.zeros((d, outputs)), 1e-14
        value = self.value(model)
        for _ in range(MOST_STEPS):
            share = softmax(self.scores(model), axis=1)[:, -outputs:]
            slope = self.weights[:, None] * (share - self.labels[:, -outputs:])
            gradient = self.rows.T @ slope + self.penalty[:, None] * model
            curvature = self._curvature(share)
            while True:
                try:
                    lifted = curvature + ridge * np.diag(np.diag(curvature) + np.finfo(float).tiny)
                    move = -cho_solve(cho_factor(lifted), gradient.T.ravel()).reshape(outputs, d).T
                except LinAlgError:
                    ridge *= 10
                    continue
                length = 1.0
                while length > 1e-6 and not self.value(model + length * move) < value:
                    length /= 2
                break
            if length <= 1e-6:
                if ridge > 1:
                    break
                ridge *= 1e4
                continue
            model = model + length * move
            before, value = value, self.value(model)
            if before - value < ACCURATE * value and length == 1.0 and ridge < 1e-9:
                break
            ridge = max(1e-14, ridge / 10)
        return value

    def _curvature(self, share):
        """The Hessian, outputs one after the other."""
        outputs, d = share.shape[1], self.rows.shape[1]
        out = np.zeros((outputs, d, outputs, d))
        for a in range(outputs):
            for b in range(a + 1):
                part = share[:, a] * ((a == b) - share[:, b])
                out[a, :, b] = out[b, :, a] = (self.rows * (self.weights * part)[:, None]).T @ self.rows
            out[a, :, a] += np.diag(self.penalty)
        return out.reshape(outputs * d, outputs * d)


def problem(seed):
    """Data of a seed small enough for the Hessian, labels, and the settings of the model."""
    rng = np.random.default_rng([seed, 7])
    data = make_data(seed, 10 ** rng.uniform(3, 7))
    X, y = data.X, np.asarray(data.y, dtype=np.float64)
    y = y[:, 0] if y.ndim == 2 else y
    if not data.classifier:
        cuts = [[0.5], [0.05], [0.3, 0.7], [0.2, 0.4, 0.6, 0.8]][rng.integers(4)]
        y = np.searchsorted(np.quantile(y, cuts), y)
    outputs = 1 if len(np.unique(y)) == 2 else len(np.unique(y))
    X = X[:, : max(1, MOST_COEFFICIENTS // outputs - 1)]
    weights = data.weights if data.weights is not None else (rng.exponential(1, len(y)) if rng.random() < 0.2 else None)
    settings = {
        "sample_bits": [None, None, 2, 4, 8][rng.integers(5)],
        "sampling": "naive",
        "C": float(10 ** rng.uniform(-4, 6)),
        "fit_intercept": bool(rng.random() < 0.8),
        "tol": float(rng.choice([1e-4, 1e-4, 1e-6])),
    }
    return data.name, X, y, weights, settings


def run(seed):
    """Verdict and one line on a problem."""
    name, X, y, weights, settings = problem(seed)
    about = (
        f"--only {seed} {name} {X.shape} {X.dtype}, {len(np.unique(y))} classes{', weights' * (weights is not None)}"
    )
    about += f", {settings}"
    used = np.arange(len(X)) if weights is None else np.flatnonzero(weights)
    if len(np.unique(y[used])) < 2:
        return "one class", about
    model = ZipMLLogisticRegression(random_state=seed, **settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if settings["sample_bits"] is None:
                model.fit(X[used], y[used], sample_weight=None if weights is None else weights[used])
                offset, rows, _ = float_rows(X[used])
            else:
                quantizer = DoubleSamplingQuantizer(settings["sample_bits"], sampling="naive", random_state=seed)
                packed = quantizer.fit_transform(X[used])
                model.fit(packed, y[used], sample_weight=None if weights is None else weights[used])
                offset, rows = packed_rows(quantizer, packed)
        except ValueError as error:
            return ("refused" if "spans more than float64" in str(error) else "exception"), f"{about}: {error}"
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        return "non-finite", about
    classes = np.unique(y[used])
    share = np.ones(len(used)) if weights is None else np.asarray(weights[used], dtype=np.float64)
    if not settings["fit_intercept"]:
        rows, offset = rows + offset, np.zeros(len(offset))
    truth = Logistic(rows, (y[used][:, None] == classes).astype(float), share, settings["C"], settings["fit_intercept"])
    intercept = model.intercept_ + np.asarray(model.coef_, dtype=np.float64) @ offset
    value, least = truth.value(truth.scaled(model.coef_, intercept)), truth.minimum()
    zero = truth.value(np.zeros((truth.rows.shape[1], len(model.coef_))))
    gap = (value - least) / least if least > 0 else np.inf * (value > least)
    about += f": {gap:.1e} above the minimum {least:.6g} of {zero:.3g}, {model.n_iter_} steps"
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        return "warned", about
    if value > zero * (1 + 1e-9):
        return "above zero", about
    return ("ok" if value - least <= 2 * settings["tol"] * least + ROUNDING * zero else "silent"), about


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the first problem")
    parser.add_argument("--only", type=int, help="one problem, of this seed")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.problems) if options.only is None else [options.only]
    found = Parallel(options.jobs, return_as="generator")(delayed(run)(seed) for seed in seeds)
    count = Counter()
    for verdict, about in found:
        count[verdict] += 1
        if verdict not in ("ok", "one class", "refused") or options.only is not None:
            print(f"{verdict}: {about}", flush=True)
    print(dict(count), f"of sets of up to {LARGEST_SIZE:,} values")
    bad = {"silent", "above zero", "non-finite", "exception"}
    return 1 if bad & set(count) or count["warned"] > max(1, 0.02 * len(seeds)) else 0


if __name__ == "__main__":
    sys.exit(main())
