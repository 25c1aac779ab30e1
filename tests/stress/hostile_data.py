"""Training sets that are hard on a least squares solver, from a seed.

A set is made of columns (functions of COLUMNS) that carry a linear signal, made worse by modifiers (MODIFIERS), in one
of three shapes: fewer rows than columns, as many, or more. `make_data` lets the columns and the modifiers take turns.
"""

from dataclasses import dataclass

import numpy as np

LARGEST = 5000  # rows, and columns
LARGEST_SIZE = 25_000_000  # values
# Largest n * d * min(n, d), and how many sets of 1000 may go that far.
WORK = ((2e8, 850), (2e9, 126), (2e10, 20), (1.3e11, 4))


@dataclass
class Data:
    """One training set. y: (n,) or (n, targets), or labels; classifier: whether y holds labels."""

    name: str
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    classifier: bool

    def work(self):
        n, d = self.X.shape
        return n * d * min(n, d)


# Columns: functions (rng, n, d) -> float64 (n, about d)


def gaussian(rng, n, d):
    """Well-behaved columns, of different scales now and then."""
    return rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2, d) ** rng.integers(0, 2)


def one_hot(rng, n, d):
    """Full one-hot blocks: collinear with each other and with the intercept."""
    blocks = [np.eye(k)[rng.integers(0, k, n)] for k in rng.integers(2, 9, max(1, d // 5))]
    return np.hstack(blocks)


def mixed(rng, columns):
    """Columns turned into each other by four reflections."""
    for _ in range(4):
        axis = rng.standard_normal(columns.shape[1])
        columns = columns - np.outer(columns @ axis, 2 * axis / (axis @ axis))
    return columns


def ill_conditioned(rng, n, d):
    """Columns whose singular values span up to twelve orders of magnitude."""
    return mixed(rng, rng.standard_normal((n, d)) * np.logspace(0, -rng.uniform(2, 12), d))


def low_rank(rng, n, d):
    """A few directions, and noise far below them."""
    rank = int(rng.integers(1, 1 + max(1, min(n, d) // 2)))
    columns = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    return columns + 10 ** rng.uniform(-12, -1) * rng.standard_normal((n, d))


def correlated(rng, n, d):
    """Neighbouring columns nearly alike, as pixels are."""
    steps = rng.standard_normal((n, d))
    keep = rng.choice([0.9, 0.99, 0.9999])
    for k in range(1, d):
        steps[:, k] = keep * steps[:, k - 1] + np.sqrt(1 - keep**2) * steps[:, k]
    return steps


def powers(rng, n, d):
    """Powers of one variable, up to the twelfth."""
    x = rng.uniform(rng.choice([-1.0, 0.0, 1.0]), 2, n)
    return x[:, None] ** (1 + np.arange(d) % 12) * rng.choice([1.0, -1.0], d)


def any_scale(rng, n, d):
    """Columns of scales from 1e-12 to 1e12."""
    return rng.standard_normal((n, d)) * 10 ** rng.uniform(-12, 12, d)


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
    return rng.choice([1e3, 1e6, 1e9, -1e6]) + rng.standard_normal((n, d))


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
    low_rank,
    correlated,
    powers,
    any_scale,
    heavy_tailed,
    repeated,
    far_from_zero,
    tiny,
    huge,
    mostly_zero,
    counts,
)


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


def with_duplicated_columns(rng, data):
    """Most columns the same, up to their sign."""
    d = data.X.shape[1]
    data.X = data.X[:, rng.integers(0, max(1, d // 3), d)] * rng.choice([1.0, -1.0], d)


def with_scaled_rows(rng, data):
    """Everything in other units."""
    data.X = data.X * 10 ** rng.uniform(-12, 12)


def with_constant_target(rng, data):
    """The same target everywhere."""
    if not data.classifier:
        data.y[:] = rng.choice([0.0, 1.0, 0.1, -1e9, 1e30])


def with_scaled_target(rng, data):
    """A huge, tiny or far target; of several targets, one."""
    if data.classifier:
        return
    some = slice(None) if data.y.ndim == 1 else rng.integers(data.y.shape[1])
    if rng.random() < 0.7:
        data.y[..., some] *= rng.choice([1e-30, 1e-12, 1e12, 1e30])
    else:
        data.y[..., some] += 1e6


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
    "duplicated columns": with_duplicated_columns,
    "scaled X": with_scaled_rows,
    "constant y": with_constant_target,
    "scaled y": with_scaled_target,
    "weights": with_weights,
    "dtype": with_dtype,
}
BY_NAME = {make.__name__: make for make in COLUMNS}
# Every kind of columns twice, once as it is and once modified at random; "mixture" puts several kinds side by side.
CATEGORIES = (*BY_NAME, *MODIFIERS, *(f"modified {name}" for name in BY_NAME), "unbalanced", "mixture")


# Shapes and targets


def shape(rng, work):
    """Rows and columns, at most LARGEST each: fewer rows than columns, as many, or more."""
    small, large = sorted(10 ** rng.uniform(0, np.log10(LARGEST), 2))
    n, d = [(small, large), (large, large), (large, small), (large, small)][rng.integers(4)]
    factor = min((work / (n * d * min(n, d))) ** (1 / 3), (LARGEST_SIZE / (n * d)) ** 0.5, LARGEST / max(n, d))
    factor = min(factor, 1.0) if work <= WORK[0][0] else factor  # the large ones are to be large
    return max(1, int(n * factor)), max(1, int(d * factor))


def signal(rng, X, targets):
    """Linear targets of standardized columns, with noise."""
    deviation = X.std(axis=0)
    safe = np.where(deviation > 1e-14 * np.abs(X).max(axis=0), deviation, np.inf)
    beta = rng.standard_normal((X.shape[1], targets)) / np.sqrt(X.shape[1])
    return (X - X.mean(axis=0)) / safe @ beta + rng.choice([0.0, 0.1, 1.0]) * rng.standard_normal((len(X), targets))


def labels(rng, scores, unbalanced):
    """Labels from scores: two to ten classes, each with at least one row."""
    score = scores[:, 0]
    cuts = [0.001] if unbalanced else [[0.5], [0.1], [0.3, 0.7], list(np.arange(0.1, 1, 0.1))][rng.integers(4)]
    rank = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    return (rank[:, None] >= [max(1, round(cut * len(rank))) for cut in cuts]).sum(axis=1)


def largest_work(rng):
    """How large a set may be: mostly little, the sum of WORK's shares being 1000."""
    share = rng.integers(1000)
    for work, count in WORK:
        if share < count:
            return work
        share -= count
    raise AssertionError("the shares of WORK do not sum to 1000")


def make_data(seed, work=None):
    """The data set of a seed, with n * d * min(n, d) up to `work`."""
    rng = np.random.default_rng([seed, 1])
    name = CATEGORIES[seed % len(CATEGORIES)]
    drawn = largest_work(rng)
    n, d = shape(rng, drawn if work is None else min(drawn, work))
    if name == "unbalanced":
        n = max(n, 1000) if n * d < LARGEST_SIZE / 1000 else n
    kind = name.removeprefix("modified ")
    makers = rng.choice(COLUMNS, rng.integers(2, 5)) if name == "mixture" else [BY_NAME.get(kind, rng.choice(COLUMNS))]
    X = np.hstack([make(rng, n, max(1, d // len(makers))) for make in makers])
    d = max(d, len(makers))
    X = np.ascontiguousarray(X[:, :d] if X.shape[1] > d else X)
    scores = signal(rng, X, int(rng.choice([1, 1, 3])))
    classifier = n > 3 and (name == "unbalanced" or rng.random() < 0.3)
    y = labels(rng, scores, name == "unbalanced") if classifier else scores[:, 0] if scores.shape[1] == 1 else scores
    data = Data(name, X, y.copy(), None, classifier)
    if name in MODIFIERS:
        MODIFIERS[name](rng, data)
    elif kind != name or name == "mixture":
        chosen = rng.choice(list(MODIFIERS.values()), rng.integers(1, 4), replace=False)
        for modify in sorted(chosen, key=lambda modify: modify is with_dtype):  # the dtype holds what the others made
            modify(rng, data)
    return data
