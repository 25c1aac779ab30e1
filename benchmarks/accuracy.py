"""Scores at every width against full precision, with default parameters on raw data.

Run: python benchmarks/accuracy.py [--data FOLDER] [--seeds 5] [--sampling auto]

FOLDER holds cadata.csv.gz and winequality_white.csv.gz (last column the target); without it these are left out. Large
sets: test R² of a 75/25 split, minus that of Ridge(alpha=n * 1e-4) on float64, and what ``rounding_loss_`` estimates of
that from the training rows. Small sets: 10-fold cross-validation,
minus Ridge's or RidgeClassifier's, and the standard error of that.
"""

import argparse
import pathlib
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from sklearn_zipml import RoundingWarning, ZipMLLSSVC, ZipMLRegressor

BITS = (None, 8, 4, 3, 2)


def read_table(path):
    """Features and target of a CSV file whose last column is the target."""
    table = np.genfromtxt(path, delimiter=",", skip_header=1)
    return table[:, :-1], table[:, -1]


def large_sets(folder):
    """Name and (X, y) of every set with a train/test split."""
    if folder:
        yield "cadata", read_table(folder / "cadata.csv.gz")
        yield "wine", read_table(folder / "winequality_white.csv.gz")
    X, digit = load_digits(return_X_y=True)
    yield "digits", (X[:, X.std(0) > 0], np.where(digit % 2 == 0, 1.0, -1.0))
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20000, 200))
    yield "Gaussian", (X, X @ rng.standard_normal(200) / np.sqrt(200) + 0.1 * rng.standard_normal(20000))


def split(X, y):
    """Shuffled 75/25 split."""
    order = np.random.default_rng(0).permutation(len(y))
    k = int(0.75 * len(y))
    return X[order[:k]], y[order[:k]], X[order[k:]], y[order[k:]]


def row(name, reference, columns):
    """Print one line of the table."""
    print(f"{name:>14} {reference:>16} " + " ".join(f"{column:>30}" for column in columns), flush=True)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sampling", default="auto")
    options = parser.parse_args()
    for category in (ConvergenceWarning, RoundingWarning):  # what rounding costs is the table
        warnings.simplefilter("ignore", category)
    seeds = range(options.seeds)
    row("score - full", "full (std. error)", [f"{bits or 'float32'}: mean (worst) est" for bits in BITS])
    for name, (X, y) in large_sets(options.data):
        X, y, X_test, y_test = split(X, y)
        full = Ridge(alpha=len(y) * 1e-4).fit(X, y).score(X_test, y_test)
        columns = []
        for bits in BITS:
            models = [ZipMLRegressor(bits, sampling=options.sampling, random_state=s).fit(X, y) for s in seeds]
            loss = np.array([model.score(X_test, y_test) for model in models]) - full
            estimate = np.mean([model.rounding_loss_ for model in models])
            columns.append(f"{loss.mean():+.4f} ({loss.min():+.4f}) est {-estimate:+.4f}")
        row(name, f"{full:.4f}", columns)
    small = {
        "diabetes": (load_diabetes, lambda n: Ridge(alpha=n * 1e-4), ZipMLRegressor, KFold),
        "breast cancer": (load_breast_cancer, lambda n: RidgeClassifier(), ZipMLLSSVC, StratifiedKFold),
    }
    for name, (load, reference, estimator, folds) in small.items():
        X, y = load(return_X_y=True)
        cv = folds(10, shuffle=True, random_state=0)
        full = cross_val_score(reference(len(y) * 0.9), X, y, cv=cv)
        columns = []
        for bits in BITS:
            models = [estimator(bits, sampling=options.sampling, random_state=s) for s in seeds]
            loss = np.array([cross_val_score(model, X, y, cv=cv).mean() for model in models]) - full.mean()
            columns.append(f"{loss.mean():+.4f} ({loss.min():+.4f})")
        row(name, f"{full.mean():.4f} ({full.std(ddof=1) / np.sqrt(10):.4f})", columns)


if __name__ == "__main__":
    main()
