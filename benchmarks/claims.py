"""The claims of ZipML's abstract (arXiv:1611.05402), measured: writes doc/claims.rst and its plots.

Run: python benchmarks/claims.py [--data FOLDER] [--fetch] [--seeds 5] [--out doc]

Data: Synthetic 10, 100 and 1000 as the paper makes them (Gaussian features, 10,000 training rows); the digits that come
with scikit-learn; from FOLDER cadata, YearPredictionMSD, cpusmall_scale, cod-rna and gisette_scale when they are there
(claims_data.py tells the files, --check tries them). --fetch takes the California housing of scikit-learn for cadata.
Needs matplotlib. Takes a few minutes.
"""

import argparse
import pathlib
import warnings

import matplotlib
import numpy as np
from claims_data import ALPHA, check, settings
from polynomial_gradients import fit_naive, fit_polynomial
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sklearn_zipml import DoubleSamplingQuantizer, RoundingWarning, ZipMLLogisticRegression

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# The same result: a loss of test R² or accuracy below this.
SAME = 0.01
EPOCHS = (1, 2, 3, 5, 8, 12, 20)
FRESH = {"solver": "sgd", "resample": "epoch", "max_iter": 60}


def losses(data, seeds, **params):
    """Test score of the closed form minus that of fits with every seed."""
    full = data.full()
    return np.array(
        [full - data.estimator(s, **params).fit(data.X, data.y).score(data.X_test, data.y_test) for s in range(seeds)]
    )


# Claims: functions (data, seeds) -> (measured, verdict)

HOLDS, FAILS = "holds", "**does not**"


def verdict(holds):
    """The word for it."""
    return HOLDS if holds else FAILS


def same_result(**params):
    """A claim that nothing is lost with these parameters."""

    def claim(data, seeds):
        loss = losses(data, seeds, **params)
        return f"{-loss.mean():+.4f} ({-loss.max():+.4f})", verdict(loss.mean() <= SAME)

    return claim


def gradient_bias(data, sampling, draws=40, bits=2):
    """Bias of the gradient at the optimum x, as the ridge on standardized columns that it acts like, and its size in
    standard errors: the mean over encodings of its component along x, in parts of x.
    """
    model = data.reference()
    x = np.ravel(model.coef_)
    y = np.where(data.y == data.y.max(), 1.0, -1.0) if data.classes else data.y.astype(np.float64)
    X, rows = data.X[:2000].astype(np.float64), slice(0, 2000)
    X, y = X - X.mean(axis=0), (y - y.mean())[rows]
    scale = X.std(axis=0)
    X, x = X[:, scale > 0] / scale[scale > 0], (x * scale)[scale > 0]
    exact, found = X.T @ (X @ x - y) / len(X), []
    for seed in range(draws):
        packed = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=seed).fit_transform(X)
        q = np.asarray(packed)
        found.append(q.T @ (q @ x - y) / len(X) - packed.rounding_variance * x)
    along = (np.array(found) - exact) @ x / (x @ x)
    return along.mean(), along.mean() / (along.std(ddof=1) / np.sqrt(draws))


def unbiased(sampling, expected):
    """The claim that a representation is unbiased at 2 bits, or that it is not."""

    def claim(data, seeds):
        bias, errors = gradient_bias(data, sampling)
        return f"{bias:+.4f} ({abs(errors):.1f})", verdict((abs(errors) < 4) == expected)

    return claim


def naive_converges_elsewhere(data, seeds):
    """Fresh naive samples at 2 bits lose, fresh double samples give the same result."""
    naive = losses(data, 1, sample_bits=2, sampling="naive", **FRESH).mean()
    double = losses(data, 1, sample_bits=2, sampling="double", **FRESH).mean()
    text = f"{-naive:+.4f}, {-double:+.4f}"
    return text, "no difference" if naive <= SAME else verdict(double <= SAME)


def smallest_width(data, seeds, levels):
    """Bits of compensated samples at which the result is the same."""
    widths = range(1, 9)
    return next((b for b in widths if losses(data, seeds, sample_bits=b, levels=levels).mean() <= SAME), 16)


def optimal_levels_save(data, seeds):
    """Optimal levels need fewer bits than uniform ones for the same result."""
    uniform, optimal = (smallest_width(data, min(2, seeds), levels) for levels in ("uniform", "optimal"))
    saved = uniform / optimal
    word = HOLDS if saved >= 1.7 else "less" if saved > 1 else "nothing"
    return f"{saved:.1f}x ({uniform}, {optimal} bits)", word


def polynomial_gradients(data, seeds):
    """The logistic loss of 2-bit samples by polynomials of fresh draws is that of floats; beside naive rounding and us.

    Classes of a real target are its halves; C = 1000 / n on standardized columns.
    """
    middle = data.y.max() - 0.5 if data.classes else np.median(data.y)
    labels, truth = (data.y > middle).astype(float), data.y_test > middle
    mean, scale = data.X.mean(axis=0), data.X.std(axis=0)
    X, X_test = ((rows[:, scale > 0] - mean[scale > 0]) / scale[scale > 0] for rows in (data.X, data.X_test))
    C = 1000 / len(labels)
    exact = LogisticRegression(C=C, max_iter=1000).fit(X, labels)
    reach = np.abs(exact.decision_function(X)).max()
    ours = ZipMLLogisticRegression(2, C=C, random_state=0).fit(X, labels)
    margins = [
        X_test @ w[:-1] + w[-1] for w in (fit_polynomial(X, labels, C, 2, reach, 0), fit_naive(X, labels, C, 2, 0))
    ]
    margins.append(ours.decision_function(X_test))
    least = log_loss(truth, exact.predict_proba(X_test))
    above = [log_loss(truth, expit(m)) - least if np.isfinite(m).all() else np.inf for m in margins]
    return ", ".join(f"{loss:+.4f}" for loss in above), verdict(above[0] <= SAME)


def bytes_saved(data, seeds):
    """The stored samples are 16 times smaller than float32."""
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(data.X)
    ratio = 4 * data.X.size / packed.nbytes
    return f"{ratio:.1f}x", HOLDS if ratio > 15 else "less"


CLAIMS = {
    "Samples of 2 bits: the same result": same_result(sample_bits=2),
    "Samples of 2 bits, without known dither: the same": same_result(sample_bits=2, sampling="compensated"),
    "Samples of 2 bits, drawn anew every epoch (paper)": same_result(sample_bits=2, **FRESH),
    "Samples of 2 bits, double sampling: the same": same_result(sample_bits=2, sampling="double"),
    "Samples of 3 bits: the same result": same_result(sample_bits=3),
    "Gradient of 2 bits: the same result": same_result(sample_bits=None, gradient_bits=2),
    "Model of 2 bits: the same result": same_result(sample_bits=None, model_bits=2),
    "8 bits end to end are robust": same_result(sample_bits=8, model_bits=8, gradient_bits=8),
    "6 bits for the samples alone are robust": same_result(sample_bits=6),
    "4 bits end to end (ours): the same result": same_result(sample_bits=4, model_bits=4, gradient_bits=4),
    "Rounding samples naively is biased": unbiased("naive", expected=False),
    "Double sampling is unbiased": unbiased("double", expected=True),
    "One compensated draw (ours) is unbiased": unbiased("compensated", expected=True),
    "One draw with known dither (ours) is unbiased": unbiased("dithered", expected=True),
    "Naive samples end elsewhere, double do not": naive_converges_elsewhere,
    "Optimal levels save up to 1.7x in bits": optimal_levels_save,
    "Log loss by polynomials of 2-bit draws (paper): the same": polynomial_gradients,
    "2-bit samples take 16 times less memory": bytes_saved,
}


# Plots


def training_losses(data, bits):
    """Objective on the float rows after every number of epochs of EPOCHS, over that of the closed form, and bytes."""
    X, out = data.X.astype(np.float64), []
    y = np.where(data.y == data.y.max(), 1.0, -1.0) if data.classes else data.y

    def objective(model):
        error = X @ np.ravel(model.coef_) + np.ravel(model.intercept_) - y
        return np.mean(error**2) / 2 + ALPHA / 2 * np.sum(np.square(model.coef_))

    best = objective(data.reference())
    for epochs in EPOCHS:
        model = data.estimator(sample_bits=bits, max_iter=epochs, tol=0).fit(data.X, data.y)
        out.append(objective(model) / best - 1)
    size = 4 * X.size if bits is None else DoubleSamplingQuantizer(bits, random_state=0).fit_transform(data.X).nbytes
    return np.maximum(out, 1e-7), 2 * size * np.array(EPOCHS)


def plot(data, path):
    """Excess training loss against epochs and against bytes of samples read, a line a width."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    colours = plt.colormaps["viridis"](np.linspace(0, 0.9, 5))
    for bits, colour in zip((None, 8, 4, 3, 2), colours, strict=True):
        excess, read = training_losses(data, bits)
        label = "float32" if bits is None else f"{bits} bits"
        axes[0].plot(EPOCHS, excess, "o-", ms=4, color=colour, label=label)
        axes[1].plot(read / 2**20, excess, "o-", ms=4, color=colour, label=label)
    axes[0].set(xlabel="epochs", ylabel="training loss above the optimum (relative)", yscale="log", title=data.name)
    axes[1].set(xlabel="samples read (MiB)", xscale="log", title=f"{data.name}: the same against bytes")
    axes[0].legend(frameon=False)
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


# The page

DEFAULT_SEEDS = 5
HEAD = """:html_theme.sidebar_secondary.remove: true

The paper's claims, measured
============================

A cell is the test R² (accuracy on classes) minus that of the closed form on float64: mean of {seeds} seeds, and the
worst in brackets, with default parameters unless the claim names others. *The same* is a mean loss of at most {same}.
Claims that fail somewhere come first; how the others are measured is told below.

"""
AFTER = """
- *Drawn anew every epoch*: ``resample="epoch"`` draws 2 bits from samples stored at 8 bits. It saves nothing, and shows
  what fresh draws give.
- *Biased*: the gradient at the optimum over 40 encodings of 2000 standardized rows, told as the ridge it acts like, and
  in brackets in standard errors; more than 4 are called biased.
- *Naive samples end elsewhere*: both at 2 bits, drawn anew every epoch; loss of naive and of double sampling.
- *Levels*: the smallest widths of uniform and of optimal levels that give the same result.
- *Log loss*: test log loss above that of ``LogisticRegression`` on float64 (halves of a real target as classes,
  C = 1000 / n, columns standardized), of SGD on gradients of a polynomial of degree 5 whose factors have draws of their
  own, of the same SGD with one naive draw, and of ``ZipMLLogisticRegression``. *inf* has run away.
- *Memory*: columns are padded to a multiple of 16, which few of them feel, the seed of a row's dither takes the room of
  8 columns, and outliers take .11 bits a value.

{missing} not measured: there are no files of them here.
Made by ``python benchmarks/claims.py --data FOLDER``; do not edit.

Loss against epochs and bytes
-----------------------------

Training loss on the float rows, relative to the closed form; an epoch of ``saga`` reads the samples twice.
"""


def matrix(names, cells):
    """A list table in reST: a row for a claim, a column for a data set; claims that fail most often first.

    Parameters
    ----------
    names : list of str, of the data sets
    cells : dict of claim to list of (measured, verdict)
    """
    lines = [
        ".. list-table::",
        "   :class: claims",
        "   :header-rows: 1",
        f"   :widths: 30 {' '.join(['14'] * len(names))}",
        "",
    ]

    def add(row):
        lines.extend(f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row))

    add(["Claim", *names])
    for claim in sorted(cells, key=lambda claim: -sum(word == FAILS for _, word in cells[claim])):
        add([claim, *(f"{word} {measured}" for measured, word in cells[claim])])
    return "\n".join(lines) + "\n"


def write_page(folder, found, missing, cells, seeds):
    """Write claims.rst and its plots into a folder."""
    (folder / "claims").mkdir(parents=True, exist_ok=True)
    page = HEAD.format(seeds=seeds, same=SAME) + matrix([data.name for data in found], cells)
    page += AFTER.format(missing=", ".join(missing) + (" was" if len(missing) == 1 else " were"))
    for data in found:
        file = data.name.lower().replace(" ", "_") + ".png"
        plot(data, folder / "claims" / file)
        page += (
            f"\n.. image:: claims/{file}\n   :alt: training loss of {data.name} against epochs and bytes, by width\n"
        )
    (folder / "claims.rst").write_text(page)


def main():
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS)
    parser.add_argument("--out", type=pathlib.Path, help="folder of the page; default: doc, if no other option is set")
    parser.add_argument("--fetch", action="store_true", help="let scikit-learn fetch what it can")
    parser.add_argument("--check", action="store_true", help="only check that files of every format are read")
    options = parser.parse_args()
    if options.check:
        check()
        return
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", RoundingWarning)  # what it costs is in the tables
    found, missing = settings(options.data, options.fetch)
    cells = {}
    for name, claim in CLAIMS.items():
        for data in found:
            cells.setdefault(name, []).append(claim(data, options.seeds))
            print(f"{name[:60]:60} {data.name:15} {cells[name][-1][0]:45} {cells[name][-1][1]}", flush=True)
    folder = options.out
    if folder is None and options.data and not options.fetch and options.seeds == DEFAULT_SEEDS:
        folder = pathlib.Path(__file__).parent.parent / "doc"
    if folder is None:
        print("The page stays as it is: these are not its settings. --out FOLDER writes one.")
    else:
        write_page(folder, found, missing, cells, options.seeds)


if __name__ == "__main__":
    main()
