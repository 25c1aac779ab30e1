"""Log loss, calibration, optimum and time of ZipMLLogisticRegression beside LogisticRegression.

Run: python benchmarks/logistic.py [quality] [optimum] [time] [--scale 1.0]

quality: test log loss and accuracy against LogisticRegression on float64, expected calibration error, mean of two
seeds, C = 1000 / n on standardized columns; ! marks what misses its bar. optimum: objectives at sample_bits=None. time:
whole fits from float32 arrays, those of all models taking turns, wall clock and processor seconds, with the log loss on
the training rows; --scale makes them smaller.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import ZipMLLogisticRegression

BARS = {8: 0.002, 4: 0.003, 3: 0.008, 2: 0.03}
SEEDS = (0, 1)


def labels_of(X, n_classes, rng, strength=1.0):
    """Classes drawn by a softmax of linear scores."""
    scores = strength * X @ rng.standard_normal((X.shape[1], n_classes)) / np.sqrt(X.shape[1])
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


def quality_sets():
    """Name and (X, y) of sets to judge probabilities on."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20000, 100))
    yield "normal", X, labels_of(X, 2, rng)
    X = rng.standard_normal((20000, 30))
    yield "strong", X, labels_of(X, 2, rng, 5.0)
    X = X @ rng.standard_normal((30, 30)) * 0.8 ** np.arange(30) + 0.3 * rng.standard_normal(X.shape)
    yield "correlated", X, labels_of(X, 2, rng, 3.0)
    X = rng.standard_t(4, (20000, 20))
    yield "t, 4 degrees", X, labels_of(X, 2, rng, 2.0)
    X = rng.standard_normal((20000, 20))
    yield "log-normal", np.exp(X), labels_of(X, 2, rng, 2.0)
    yield "5 classes", X, labels_of(X, 5, rng, 2.0)
    X = rng.standard_normal((100000, 10))
    yield "1 : 1000", X, (X[:, 0] + rng.logistic(size=100000) > 7.5).astype(int)
    X, y = load_digits(return_X_y=True)
    yield "digits", X[:, X.std(0) > 0], y
    yield "even digits", X[:, X.std(0) > 0], y % 2
    yield "breast cancer", *load_breast_cancer(return_X_y=True)
    yield "wine", *load_wine(return_X_y=True)


def calibration_error(p, y):
    """Expected calibration error: what the confidence of labels is off by, in ten bins."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    bins = np.minimum((confidence * 10).astype(int), 9)
    counts = np.bincount(bins, minlength=10)
    gaps = np.bincount(bins, confidence, minlength=10) - np.bincount(bins, right, minlength=10)
    return np.abs(gaps[counts > 0]).sum() / len(y)


def judged(model, X, y):
    """Log loss, accuracy and calibration error."""
    p = model.predict_proba(X)
    return np.array([log_loss(y, p, labels=model.classes_), model.score(X, y), calibration_error(p, y)])


def quality():
    """Log loss above the reference (naive rounding's in brackets), accuracy and calibration error less its own."""
    print(f"{'':14}" + "".join(f"{bits:>9} bits: loss (naive)  acc.   ece " for bits in BARS))
    for name, X, y in quality_sets():
        order = np.random.default_rng(1).permutation(len(y))
        train, test = order[: len(y) * 3 // 4], order[len(y) * 3 // 4 :]
        X = StandardScaler().fit(X[train]).transform(X)
        C = 1000 / len(train)
        reference = judged(LogisticRegression(C=C, tol=1e-6, max_iter=5000).fit(X[train], y[train]), X[test], y[test])
        line = f"{name:14}"
        for bits, bar in BARS.items():
            ours, naive = (
                np.mean(
                    [
                        judged(
                            ZipMLLogisticRegression(bits, C=C, sampling=sampling, random_state=seed).fit(
                                X[train], y[train]
                            ),
                            X[test],
                            y[test],
                        )
                        for seed in SEEDS
                    ],
                    axis=0,
                )
                - reference
                for sampling in ("compensated", "naive")
            )
            reached = ours[0] <= bar and ours[0] <= naive[0] + 0.002
            mark = " " if reached else "!"
            line += f"  {mark}{ours[0]:+8.4f} ({naive[0]:+7.4f}) {ours[1]:+6.3f} {ours[2]:+6.3f}"
        print(line, flush=True)


def objective(model, X, y, C):
    """That of LogisticRegression, in float64."""
    losses = log_loss(y, model.predict_proba(X), normalize=False, labels=model.classes_)
    return (model.coef_**2).sum() / 2 + C * losses


def optimum():
    """Relative excess of the objective at full precision, tol=1e-8, over LogisticRegression's; the bar is 1e-6."""
    for name, X, y in quality_sets():
        X = StandardScaler().fit_transform(X)
        for C in (1000 / len(y), 1.0):
            plain = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(X, y)
            model = ZipMLLogisticRegression(None, C=C, tol=1e-8, random_state=0).fit(X, y)
            excess = objective(model, X, y, C) / objective(plain, X, y, C) - 1
            print(f"{name:14} C={C:<9.4g} {excess:+.1e}, {model.n_iter_} steps", flush=True)


def timed_sets(scale):
    """Name, rows, labels, whether peers scale the columns, and the bar."""
    rng = np.random.default_rng(0)
    for n, d, n_classes, bar in ((100_000, 300, 2, 2.5), (1_000_000, 50, 2, 2), (50_000, 768, 100, 3)):
        n = int(n * scale)
        X = rng.standard_normal((n, d), dtype=np.float32)
        y = labels_of(X, n_classes, rng, 2.0)
        yield f"{n} x {d}, {n_classes} classes", X, y, False, bar
    n = int(100_000 * scale)
    X = rng.standard_t(4, (n, 300))
    y = labels_of(X, 2, rng)
    yield f"{n} x 300, unlike units", (X * 10.0 ** rng.uniform(-3, 3, 300)).astype(np.float32), y, True, 5


def timed(model, X, y):
    """Wall clock and processor seconds of a fit."""
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(X, y)
    return time.perf_counter() - wall, time.process_time() - processor


def times(scale):
    """Best of three fits each, in turns."""
    for name, X, y, scaled, bar in timed_sets(scale):
        C = 1000 / len(y)
        head = [StandardScaler()] if scaled else []
        own = C / float(X.var(axis=0).min()) if scaled else C  # no column has more of the penalty than scaled ones
        models = {
            "lbfgs": make_pipeline(*head, LogisticRegression(C=C)),
            "4 bits": ZipMLLogisticRegression(4, C=own, tol=1e-3, random_state=0),
        }
        if len(np.unique(y)) == 2:
            models["newton-cholesky"] = make_pipeline(*head, LogisticRegression(C=C, solver="newton-cholesky"))
        best = {key: (np.inf, np.inf) for key in models}
        for _ in range(3):
            for key, model in models.items():
                best[key] = tuple(np.minimum(best[key], timed(model, X, y)))
        for key, (wall, processor) in best.items():
            loss = log_loss(y, models[key].predict_proba(X))
            print(f"{name:28} {key:16} {wall:7.3f} s, {processor:7.3f} s of processors, log loss {loss:.4f}")
        ratio = min(wall for key, (wall, _) in best.items() if key != "4 bits") / best["4 bits"][0]
        print(f"{name:28} {ratio:.2f} times as fast as the fastest peer; the bar is {bar}", flush=True)


def main():
    """Run what is asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["quality", "optimum", "time", []])
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    parts = options.parts or ["quality", "optimum", "time"]
    if "quality" in parts:
        quality()
    if "optimum" in parts:
        optimum()
    if "time" in parts:
        times(options.scale)


if __name__ == "__main__":
    main()
