"""Random search for data that make a fit fail without a word.

Run: OMP_NUM_THREADS=1 python benchmarks/hostile.py [--sets 200] [--seed 0] [--only K] [--verbose]

Data set K is made from seed K and fitted with four settings: the defaults on float32 and on 4 bits, and two random
ones. Every fit is judged on its own training rows, with the objective in float64 on the original data:

* failures: non-finite coefficients or predictions, an exception that is not a documented ValueError, a fit without any
  warning that is much worse than its bits explain, and numerical warnings that leak out of the package;
* reported only: silent losses at two levels (1 bit, 2 bits of double sampling), with naive or nearest rounding, or
  with a model or gradient of 1 bit.

Exit status 1 if there are failures. ``--only K`` repeats one data set.
"""

import argparse
import sys
import time
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor

# Loss of R² that samples of so many bits explain, from 4 on .05; the same bars for a quantized model or gradient.
BARS = {2: 0.35, 3: 0.15}
# Excess of the objective, in parts of the zero model's, that is a failure where nothing is quantized.
EXACT = 1e-3
# How far below the closed form on naive samples a fit may stay.
NAIVE_MARGIN = 0.05
DOCUMENTED = ("spans more than float64", "one class", "classes", "cannot hold the two draws")


# Columns: functions (rng, n, d) -> float64 (n, about d)


def gaussian(rng, n, d):
    """Well-behaved columns, of different scales now and then."""
    return rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2, d) ** rng.integers(0, 2)


def one_hot(rng, n, d):
    """Full one-hot blocks: collinear with each other and with the intercept."""
    blocks = [np.eye(k)[rng.integers(0, k, n)] for k in rng.integers(2, 9, max(1, d // 5))]
    return np.hstack(blocks)


def ill_conditioned(rng, n, d):
    """Columns whose singular values span up to twelve orders of magnitude."""
    mix = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return rng.standard_normal((n, d)) * np.logspace(0, -rng.uniform(2, 12), d) @ mix


def heavy_tailed(rng, n, d):
    """Student's t of one or two degrees of freedom, or lognormal."""
    kind = rng.integers(0, 3)
    if kind == 2:
        return rng.lognormal(0, rng.uniform(1, 3), (n, d))
    return rng.standard_t(kind + 1, (n, d))


def repeated(rng, n, d):
    """Duplicated, negated and constant columns."""
    own = rng.standard_normal((n, max(1, d // 2)))
    constant = np.full((n, 1), rng.choice([0.0, 1.0, 0.1, 1e9, -1e-30]))
    return np.hstack([own, own, -3 * own[:, :1], constant])


def far_from_zero(rng, n, d):
    """A spread of one around a large mean."""
    return rng.choice([1e6, 1e9, -1e6]) + rng.standard_normal((n, d))


def tiny(rng, n, d):
    """Values that square to less than float32 holds."""
    return rng.standard_normal((n, d)) * rng.choice([1e-12, 1e-30])


def huge(rng, n, d):
    """Values that square to more than float32 holds."""
    return rng.standard_normal((n, d)) * rng.choice([1e12, 1e30])


def mostly_zero(rng, n, d):
    """Few values other than zero."""
    return rng.exponential(1, (n, d)) * (rng.random((n, d)) < rng.choice([0.1, 0.01]))


def counts(rng, n, d):
    """Integers and flags."""
    return rng.poisson(rng.choice([0.2, 3, 50]), (n, d)).astype(float)


COLUMNS = (
    gaussian,
    one_hot,
    ill_conditioned,
    heavy_tailed,
    repeated,
    far_from_zero,
    tiny,
    huge,
    mostly_zero,
    counts,
)


@dataclass
class Data:
    """One training set. y: (n,) or (n, targets), or labels; classifier: whether y holds labels."""

    name: str
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    classifier: bool

    def targets(self):
        """Targets as float64 (n, targets), labels as -1 and 1, one column a class."""
        if not self.classifier:
            return self.y.astype(np.float64).reshape(len(self.y), -1)
        classes = np.unique(self.y)
        classes = classes[1:] if len(classes) == 2 else classes
        return np.where(self.y[:, None] == classes, 1.0, -1.0)


# Modifiers: functions (rng, data) -> None, each makes a data set worse in one way


def with_outlier(rng, data):
    """One huge value, or one huge row."""
    row = rng.integers(len(data.X))
    columns = rng.integers(data.X.shape[1]) if rng.random() < 0.5 else slice(None)
    data.X[row, columns] = (1 + np.abs(data.X).max(axis=0)[columns]) * rng.choice([1e2, 1e4, 1e8])


def with_sorted_rows(rng, data):
    """Rows in the order of the target."""
    order = np.argsort(data.y if data.y.ndim == 1 else data.y[:, 0], kind="stable")
    data.X, data.y = data.X[order], data.y[order]


def with_duplicated_rows(rng, data):
    """Most rows the same."""
    rows = rng.integers(0, max(1, len(data.X) // 10), len(data.X))
    data.X, data.y = data.X[rows], data.y[rows]


def with_constant_target(rng, data):
    """The same target everywhere."""
    if not data.classifier:
        data.y[:] = rng.choice([0.0, 1.0, 0.1, -1e9, 1e30])


def with_scaled_target(rng, data):
    """A huge, tiny or far target."""
    if not data.classifier:
        data.y = data.y * rng.choice([1e-30, 1e-12, 1e12, 1e30]) if rng.random() < 0.7 else data.y + 1e6


def with_weights(rng, data):
    """Weights with zeros and ratios up to 1e16."""
    data.weights = 10.0 ** rng.uniform(-8, 8, len(data.X)) if rng.random() < 0.5 else rng.exponential(1, len(data.X))
    if rng.random() < 0.7:
        data.weights[1:] *= rng.random(len(data.X) - 1) < 0.7


def with_dtype(rng, data):
    """Another dtype, values clipped to what it holds."""
    dtype = np.dtype(rng.choice(["f2", "f4", "i1", "u1", "i4", "i8", "?"]))
    if dtype.kind == "f":
        limit = float(np.finfo(dtype).max) / 4
    else:
        limit = 1.0 if dtype.kind == "b" else np.iinfo(dtype).max / 2
    low = 0.0 if dtype.kind in "bu" else -limit
    data.X = np.clip(data.X, low, limit).astype(dtype)


MODIFIERS = {
    "outlier": with_outlier,
    "sorted rows": with_sorted_rows,
    "duplicated rows": with_duplicated_rows,
    "constant y": with_constant_target,
    "scaled y": with_scaled_target,
    "weights": with_weights,
    "dtype": with_dtype,
}
SHAPES = {"wide": lambda rng: (int(rng.integers(4, 40)), int(rng.integers(40, 150)))}
SHAPES["few rows"] = lambda rng: (int(rng.integers(1, 4)), int(rng.integers(1, 8)))
CATEGORIES = (*(f.__name__ for f in COLUMNS), *MODIFIERS, *SHAPES, "unbalanced", "mixture")


def usual_shape(rng):
    """Rows and columns where neither is hostile."""
    return int(10 ** rng.uniform(1.3, 3.3)), int(10 ** rng.uniform(0, 1.5))


def signal(rng, X, targets):
    """Linear targets of standardized columns, with noise."""
    deviation = X.std(axis=0)
    safe = np.where(deviation > 1e-14 * np.abs(X).max(axis=0), deviation, np.inf)
    beta = rng.standard_normal((X.shape[1], targets)) / np.sqrt(X.shape[1])
    return (X - X.mean(axis=0)) / safe @ beta + rng.choice([0.0, 0.1, 1.0]) * rng.standard_normal((len(X), targets))


def labels(rng, scores, unbalanced):
    """Labels from scores: two or three classes, each with at least one row."""
    score = scores[:, 0]
    cuts = [0.001] if unbalanced else [[0.5], [0.1], [0.3, 0.7]][rng.integers(3)]
    rank = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    found = (rank[:, None] >= [max(1, round(cut * len(rank))) for cut in cuts]).sum(axis=1)
    return found.astype(int)


def make_data(seed):
    """The data set of a seed; the categories take turns."""
    rng = np.random.default_rng([seed, 1])
    name = CATEGORIES[seed % len(CATEGORIES)]
    mixture, unbalanced = name == "mixture", name == "unbalanced"
    n, d = SHAPES.get(name, usual_shape)(rng)
    n = 2000 if unbalanced else n
    by_name = {f.__name__: f for f in COLUMNS}
    makers = rng.choice(COLUMNS, rng.integers(2, 5)) if mixture else [by_name.get(name, rng.choice(COLUMNS[:6]))]
    X = np.hstack([make(rng, n, max(1, d // len(makers))) for make in makers])
    scores = signal(rng, X, int(rng.choice([1, 1, 3])))
    classifier = unbalanced or (n > 3 and rng.random() < 0.3)
    if classifier:
        y = labels(rng, scores, unbalanced)
    else:
        y = scores[:, 0] if scores.shape[1] == 1 else scores
    data = Data(name, X, y, None, classifier)
    if name in MODIFIERS:
        MODIFIERS[name](rng, data)
    if mixture:
        for modify in rng.choice(list(MODIFIERS.values()), rng.integers(1, 4), replace=False):
            modify(rng, data)
    return data


# Settings


@dataclass
class Settings:
    """Parameters of one fit, alpha apart because the classifier takes C."""

    alpha: float = 1e-4
    params: dict = field(default_factory=dict)

    @property
    def bits(self):
        return self.params.get("sample_bits", 4)

    @property
    def sampling(self):
        return self.params.get("sampling", "compensated")

    def level_bits(self):
        """Bits that choose a level: a pair of draws needs one for itself. 16 for float32."""
        return 16 if self.bits is None else self.bits - (self.sampling == "double")

    def moving_bits(self):
        """The narrower of model and gradient, 16 for neither quantized."""
        return min(self.params.get(name) or 16 for name in ("model_bits", "gradient_bits"))

    def estimator(self, data, seed):
        """Unfitted estimator."""
        if not data.classifier:
            return ZipMLRegressor(alpha=self.alpha, random_state=seed, **self.params)
        total = len(data.X) if data.weights is None else data.weights.sum()
        return ZipMLLSSVC(C=1 / (max(self.alpha, 1e-8) * total), random_state=seed, **self.params)

    def penalty(self, data):
        """The alpha that was minimised with."""
        return max(self.alpha, 1e-8) if data.classifier else self.alpha


def random_settings(rng):
    """Anything that is allowed."""
    params = {
        "sample_bits": [None, 1, 2, 3, 4, 5, 6, 7, 8][rng.integers(9)],
        "sampling": str(rng.choice(["compensated", "compensated", "double", "naive", "nearest"])),
        "levels": str(rng.choice(["optimal", "optimal", "uniform"])),
        "fit_intercept": bool(rng.random() < 0.7),
        "solver": str(rng.choice(["saga", "saga", "sgd"])),
        "batch_size": int(rng.choice([16, 16, 64])),
    }
    if params["sampling"] == "double" and params["sample_bits"] == 1:
        params["sample_bits"] = 2
    for name in ("model_bits", "gradient_bits"):
        params[name] = [None, None, None, 1, 2, 3, 4, 8][rng.integers(8)]
    narrow = params["sample_bits"] is not None and params["sample_bits"] < 8
    if params["solver"] == "sgd" and narrow and params["sampling"] != "nearest" and rng.random() < 0.3:
        params["resample"] = "epoch"
    return Settings([0.0, 1e-4, 1e-4, 1.0, 1e4][rng.integers(5)], params)


def all_settings(seed):
    """The four settings of a seed."""
    rng = np.random.default_rng([seed, 2])
    return [Settings(params={"sample_bits": None}), Settings(), random_settings(rng), random_settings(rng)]


# Judging: everything in float64


class Reference:
    """The least squares problem of a data set and a penalty, and its minimum."""

    def __init__(self, data, alpha, fit_intercept):
        self.y, self.alpha = data.targets(), alpha
        n = len(self.y)
        weights = np.ones(n) if data.weights is None else data.weights
        self.share = (weights / weights.sum())[:, None]
        X = data.X.astype(np.float64)
        self.mean = (self.share * X).sum(axis=0) if fit_intercept else np.zeros(X.shape[1])
        self.level = (self.share * self.y).sum(axis=0) if fit_intercept else np.zeros(self.y.shape[1])
        self.rows = self._centred(X)
        self.zero = self._loss(self.y - self.level)
        resolution = np.finfo(np.float32 if data.X.dtype == np.float32 else np.float64).eps
        floor = (10 * resolution * np.abs(self.y).max(axis=0)) ** 2 / EXACT
        self.unit = np.maximum(np.maximum(self.zero, floor), np.finfo(float).tiny)
        self.best = self.objective(self.solution(X))

    def _centred(self, X):
        rows = X - self.mean
        # what rounding leaves of a constant column is nothing to learn from
        reach = np.abs(rows[self.share[:, 0] > 0]).max(axis=0)
        return np.where(reach > 4 * np.finfo(float).eps * np.abs(self.mean), rows, 0.0)

    def _loss(self, error):
        size = np.maximum(np.abs(error).max(axis=0), np.finfo(float).tiny)
        return size * (self.share * (error / size) ** 2).sum(axis=0) * size / 2

    def solution(self, X):
        """Coefficients (features, targets) of the optimum on the rows X (the data, or a rounding of them)."""
        rows = self._centred(X) * np.sqrt(self.share)
        size = np.hypot(np.linalg.norm(rows, axis=0), np.sqrt(self.alpha))
        size = np.where(size > 0, size, 1.0)
        system = np.vstack([rows / size, np.diag(np.sqrt(self.alpha) / size)])
        scale = np.maximum(np.abs(self.y - self.level).max(axis=0), np.finfo(float).tiny)
        right = np.vstack([np.sqrt(self.share) * (self.y - self.level) / scale, np.zeros((X.shape[1], len(scale)))])
        with np.errstate(over="ignore"):
            return np.linalg.lstsq(system, right, rcond=1e-13)[0] / size[:, None] * scale

    def residual(self, coef, intercept=None):
        """Errors of a model; the intercept left out is the best one."""
        level = self.level if intercept is None else intercept + self.mean @ coef
        return self.rows @ coef + level - self.y

    def objective(self, coef, intercept=None):
        """Penalized objective of every target."""
        size = np.maximum(np.abs(coef).max(axis=0, initial=0), np.finfo(float).tiny)
        penalty = self.alpha * size * ((coef / size) ** 2).sum(axis=0) * size / 2
        return self._loss(self.residual(coef, intercept)) + np.where(np.isfinite(penalty), penalty, 0.0)

    def r2(self, coef, intercept=None):
        """Training R² of every target, 1 being no error."""
        return 1 - self._loss(self.residual(coef, intercept)) / self.unit


@dataclass
class Outcome:
    """What one fit did: its verdict (ok, warned, silent, non-finite, exception, stray, report), and why."""

    verdict: str
    detail: str = ""
    seconds: float = 0.0
    n_iter: int = 0


def decoded(data, settings, sampling, seed):
    """The training rows as they are stored, float64; the same draws as those of a fit with this seed."""
    X = data.X if data.weights is None else data.X[data.weights > 0]
    quantizer = DoubleSamplingQuantizer(
        settings.bits, sampling=sampling, levels=settings.params.get("levels", "optimal"), random_state=seed
    )
    stored = data.X.astype(np.float64)
    stored[slice(None) if data.weights is None else data.weights > 0] = np.asarray(quantizer.fit_transform(X))
    return stored


def is_exact(data, settings, seed):
    """Whether the samples are stored without loss."""
    if settings.bits is None:
        return True
    X = data.X.astype(np.float64)
    used = slice(None) if data.weights is None else data.weights > 0
    distance = np.abs(X - np.median(X[used], axis=0))[used]
    # judged by the bulk of the values: an outlier makes any error small beside the range
    bulk = np.ma.median(np.ma.masked_equal(distance, 0), axis=0).filled(0)
    error = np.abs(decoded(data, settings, settings.sampling, seed) - X)[used]
    return bool(np.all(error <= 1e-6 * bulk))


def loss_of(data, settings, seed, model):
    """Loss of the fit, what is allowed, and a text. In parts of the zero model's objective, worst target first."""
    coef, intercept = np.atleast_2d(model.coef_).astype(np.float64).T, np.ravel(model.intercept_).astype(np.float64)
    reference = Reference(data, settings.penalty(data), model.fit_intercept)
    bar = EXACT if settings.moving_bits() == 16 else BARS.get(settings.moving_bits(), 0.05)
    if is_exact(data, settings, seed):
        excess = float(((reference.objective(coef, intercept) - reference.best) / reference.unit).max())
        return excess, bar, f"excess {excess:.3g}"
    bar = max(bar, BARS.get(settings.level_bits(), 0.05))
    full, own = reference.r2(reference.solution(data.X.astype(np.float64))), reference.r2(coef, intercept)
    stored = replace(data, X=decoded(data, settings, "naive", seed))
    rounded = Reference(stored, settings.penalty(data), model.fit_intercept)
    simple = rounded.solution(stored.X)
    naive = reference.r2(simple, rounded.level - rounded.mean @ simple)
    # not a loss if naive rounding does as badly
    loss = np.where(own < naive - NAIVE_MARGIN, full - own, 0.0)
    worst = int(np.argmax(full - own))
    return float(loss.max()), bar, f"R² {own[worst]:.3f}, full {full[worst]:.3f}, naive {naive[worst]:.3f}"


def judge(data, settings, seed, model, caught):
    """Verdict on a fitted model."""
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = model.predict(data.X)
    values = [model.coef_, model.intercept_] + ([] if data.classifier else [predictions])
    if not all(np.isfinite(value).all() for value in values):
        return Outcome("non-finite", f"coef_ up to {np.abs(model.coef_).max():.3g}")
    stray = [w for w in caught if not issubclass(w.category, (ConvergenceWarning, UserWarning))]
    if stray:
        return Outcome("stray", f"{stray[0].category.__name__}: {stray[0].message} ({stray[0].filename})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, bar, text = loss_of(data, settings, seed, model)
    if not loss > bar:
        return Outcome("warned" if caught else "ok", text)
    if caught:
        return Outcome("warned", f"loss {loss:.3g}: {text}")
    lenient = settings.level_bits() == 1 or settings.sampling in ("naive", "nearest") or settings.moving_bits() == 1
    return Outcome("report" if lenient and bar > EXACT else "silent", text)


def run(data, settings, seed):
    """Fit and judge."""
    started = time.perf_counter()
    model = settings.estimator(data, seed)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(data.X, data.y, sample_weight=data.weights)
        seconds = time.perf_counter() - started
        outcome = judge(data, settings, seed, model, caught)
    except ValueError as error:
        known = any(text in str(error) for text in DOCUMENTED)
        return Outcome("refused" if known else "exception", f"ValueError: {error}")
    except Exception as error:
        return Outcome("exception", f"{type(error).__name__}: {error}")
    outcome.seconds, outcome.n_iter = seconds, model.n_iter_
    return outcome


FAILURES = ("non-finite", "silent", "exception", "stray")
COLUMNS_SHOWN = ("ok", "warned", "refused", "report", *FAILURES)


def describe(seed, data, settings, outcome):
    """One line about a fit."""
    chosen = ", ".join(f"{name}={value!r}" for name, value in settings.params.items())
    kind = "LSSVC" if data.classifier else f"Regressor({data.targets().shape[1]})"
    return (
        f"{outcome.verdict:>10} --only {seed} {data.name} {kind} {data.X.shape} {data.X.dtype}"
        f"{'' if data.weights is None else ' weighted'} alpha={settings.alpha:g} {chosen or 'defaults'}: "
        f"{outcome.detail}; {outcome.n_iter} epochs, {outcome.seconds:.1f} s"
    )


def main():
    """Run the search and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.sets) if options.only is None else [options.only]
    table, lines, total = defaultdict(Counter), [], Counter()
    for seed in seeds:
        data = make_data(seed)
        for settings in all_settings(seed):
            outcome = run(data, settings, seed)
            table[data.name][outcome.verdict] += 1
            total[outcome.verdict] += 1
            line = describe(seed, data, settings, outcome)
            if outcome.verdict in (*FAILURES, "report"):
                lines.append(line)
            if options.verbose or options.only is not None:
                print(line, flush=True)
    print(f"{'category':>16} " + " ".join(f"{name:>10}" for name in COLUMNS_SHOWN))
    for name, verdicts in table.items():
        print(f"{name:>16} " + " ".join(f"{verdicts[verdict]:>10}" for verdict in COLUMNS_SHOWN))
    print(*lines, sep="\n")
    print(
        f"{sum(total.values())} fits of {len(seeds)} sets: {total['non-finite']} non-finite, {total['silent']} silent "
        f"failures, {total['exception']} exceptions, {total['stray']} stray warnings, {total['report']} reported"
    )
    return int(any(total[verdict] for verdict in FAILURES))


if __name__ == "__main__":
    sys.exit(main())
