"""Model and gradient in few bits too: scores against full precision, and epochs to the closed form.

Run: python benchmarks/end_to_end.py [--data FOLDER] [--seeds 5] [--solver saga]

First table: test R² minus that of the closed form, mean of the seeds and worst. Second: epochs to an excess objective
of 1e-8 of the optimum with float32 samples and tol=1e-10, for model and gradient not quantized and at 4, 3 and 2 bits.
Third: epochs until the test R² stays within .002 of the last epoch's, samples at 4 bits. Data and options as in
accuracy.py.
"""

import argparse
import pathlib
import warnings

import numpy as np
from accuracy import large_sets, row, split
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklearn_zipml import ZipMLRegressor

SETTINGS = {
    "gradient 2": (None, None, 2),
    "model 2": (None, 2, None),
    "8 / 8 / 8": (8, 8, 8),
    "6 / 6 / 6": (6, 6, 6),
    "4 / 4 / 4": (4, 4, 4),
    "3 / 3 / 3": (3, 3, 3),
    "2 / 2 / 2": (2, 2, 2),
}
ALPHA = 1e-4
EXCESS = 1e-8
NEAR = 0.002


def scores(data, seeds, solver):
    """Mean and worst loss of every setting."""
    X, y, X_test, y_test = data
    full = Ridge(alpha=len(y) * ALPHA).fit(X, y).score(X_test, y_test)
    for sample_bits, model_bits, gradient_bits in SETTINGS.values():
        bits = {"sample_bits": sample_bits, "model_bits": model_bits, "gradient_bits": gradient_bits}
        models = [ZipMLRegressor(**bits, solver=solver, random_state=s).fit(X, y) for s in range(seeds)]
        loss = np.array([model.score(X_test, y_test) for model in models]) - full
        yield f"{loss.mean():+.4f} ({loss.min():+.4f})"


def epochs_to_closed_form(data, bits, seed):
    """First epoch whose objective is within EXCESS of the best, from the curve the fit keeps."""
    X, y, _, _ = data
    params = {"model_bits": bits, "gradient_bits": bits, "max_iter": 500, "random_state": seed}
    exact = ZipMLRegressor(None, tol=1e-13, max_iter=1000, random_state=seed).fit(X, y).loss_curve_[-1]
    curve = ZipMLRegressor(None, tol=1e-10, **params).fit(X, y).loss_curve_
    near = np.flatnonzero(np.array(curve) <= exact * (1 + EXCESS))
    return near[0] if near.size else np.inf


def epochs_to_score(data, seed):
    """First epoch from which the test R² stays near that of a converged fit."""
    X, y, X_test, y_test = data
    final = ZipMLRegressor(random_state=seed, tol=1e-7, max_iter=500).fit(X, y).score(X_test, y_test)
    reached = 0
    for epoch in range(1, 31):
        score = ZipMLRegressor(random_state=seed, tol=0, max_iter=epoch).fit(X, y).score(X_test, y_test)
        if score < final - NEAR:
            reached = epoch
    return reached + 1


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--solver", choices=["saga", "sgd"], default="saga")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    sets = {name: split(X, y) for name, (X, y) in large_sets(options.data)}
    row("score - full", "", SETTINGS)
    for name, data in sets.items():
        row(name, "", scores(data, options.seeds, options.solver))
    if options.solver == "saga":
        row("epochs", f"to {EXCESS:g} at bits", ["none", "4", "3", "2"])
        for name, data in sets.items():
            found = [[epochs_to_closed_form(data, bits, s) for s in range(options.seeds)] for bits in (None, 4, 3, 2)]
            row(name, "", [f"{np.mean(counts):.1f}" for counts in found])
    row("epochs", f"to {NEAR} of R²", ["4 bits: mean (worst)"])
    for name, data in sets.items():
        counts = [epochs_to_score(data, s) for s in range(min(3, options.seeds))]
        row(name, "", [f"{np.mean(counts):.1f} ({max(counts)})"])


if __name__ == "__main__":
    main()
