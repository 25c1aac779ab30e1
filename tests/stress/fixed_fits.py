"""What a fixed list of fits, packings and files gives, as one hash each: same seed, same bits after a change.

Run on two commits and compare what is printed:

    python tests/stress/fixed_fits.py > before.txt; ...; python tests/stress/fixed_fits.py | diff before.txt -

Only public names are used, so that the script of one commit runs on another. With ``--kernels NAME ...`` everything is
done once for each instruction set, and a difference between two of them is an error. The last line is the hash of all
others.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import warnings
from itertools import product
from pathlib import Path

import numpy as np

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

SAMPLINGS = ("compensated", "double", "naive", "nearest")
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
N_ROWS, N_COLUMNS = 700, 37


def data(seed=0, n=N_ROWS, d=N_COLUMNS, dtype=np.float32):
    """Rows of mixed columns (normal, heavy-tailed, few values, zero and one, constant), two targets, weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * 10 ** rng.uniform(-2, 2, d) + rng.uniform(-3, 3, d)
    X[:, 1::7] = rng.standard_t(3, X[:, 1::7].shape)
    X[:, 2::7] = rng.integers(0, 4, X[:, 2::7].shape)
    X[:, 3::7] = rng.random(X[:, 3::7].shape) < 0.3
    X[:, -1] = 2.5
    y = (X / (1 + np.abs(X).max(axis=0))) @ rng.standard_normal((d, 2)) + rng.standard_normal((n, 2)) / 4
    weights = rng.integers(0, 4, n) / 2
    return X.astype(dtype), y, weights


def digest(*values):
    """Hash of arrays, numbers and strings, and of lists and tuples of them; dtypes and shapes count."""
    whole = hashlib.sha256()

    def add(value):
        if isinstance(value, (list, tuple)):
            whole.update(b"[")
            for item in value:
                add(item)
        elif isinstance(value, np.ndarray):
            whole.update(f"{value.dtype.str}{value.shape}".encode())
            whole.update(np.ascontiguousarray(value).tobytes())
        else:
            whole.update(repr(value).encode())

    add(values)
    return whole.hexdigest()[:16]


def of_matrix(packed):
    """Hash of a PackedMatrix: codes, tables, levels, statistics, order of rows, target and names."""
    state = packed.__getstate__()
    return digest([(name, state[name]) for name in sorted(state)], np.asarray(packed))


def of_model(model, X):
    """Hash of coefficients, curves and predictions."""
    names = ("coef_", "intercept_", "loss_curve_", "n_iter_", "bytes_read_curve_", "sample_bits_", "validation_scores_")
    return digest([(name, getattr(model, name, None)) for name in names], model.predict(X))


def packings():
    """(name, hash) of every sampling and width, for both kinds of levels, and of what is made of packed rows."""
    X = data()[0]
    for sampling, bits, levels in product(SAMPLINGS, WIDTHS, ("optimal", "uniform")):
        if sampling == "double" and bits == 1:
            continue
        settings = {"sampling": sampling, "levels": levels, "random_state": 1}
        packed = DoubleSamplingQuantizer(bits, **settings).fit_transform(X)
        yield f"pack {bits} {sampling} {levels}", of_matrix(packed)
        rows = np.random.default_rng(bits).permutation(N_ROWS)
        for name, taken in (("slice", packed[37:555]), ("few", packed[rows[:40]]), ("twice", packed[rows % 500])):
            yield f"take {name} {bits} {sampling} {levels}", of_matrix(taken)
        for fewer in (1, 2, 4, 6):
            if fewer < bits and (sampling, fewer) != ("double", 1):
                found = packed.requantize(fewer, random_state=2), packed[10:690].requantize(fewer, random_state=2)
                yield f"requantize {bits} to {fewer} {sampling} {levels}", digest([of_matrix(made) for made in found])
    for n_draws, bits in ((3, 4), (4, 6), (16, 8)):
        settings = {"sampling": "double", "n_draws": n_draws, "random_state": 1}
        packed = DoubleSamplingQuantizer(bits, **settings).fit_transform(X.astype(np.float64))
        yield f"pack {bits} of {n_draws} draws", of_matrix(packed)
    quantizer = DoubleSamplingQuantizer(3, random_state=1)
    for start in range(0, N_ROWS, 150):
        quantizer.partial_fit(X[start : start + 150])
    yield "quantizer partial_fit", digest(quantizer.levels_, of_matrix(quantizer.quantize(X * np.float32(1.1))))
    yield "many rows", of_matrix(DoubleSamplingQuantizer(2, random_state=1).fit_transform(data(5, 20_000, 9)[0]))
    yield "wide", of_matrix(DoubleSamplingQuantizer(2, random_state=1).fit_transform(data(6, 200, 2100)[0]))


def streams(folder):
    """(name, hash) of packing in chunks, of files, and of appending to them."""
    X, y, _ = data()
    for sampling, bits in product(SAMPLINGS, (2, 4, 6, 8)):
        settings = {"sample_bits": bits, "sampling": sampling, "random_state": 3}

        def chunks():
            return ((X[start : start + 90], y[start : start + 90]) for start in range(0, N_ROWS, 90))

        twice = PackedMatrix.from_chunks(chunks, **settings)
        once = PackedMatrix.from_chunks(chunks(), **settings)
        yield f"chunks {bits} {sampling}", digest(of_matrix(twice), of_matrix(once))
        path = Path(folder, f"{sampling}{bits}.zq")
        twice.save(path)
        yield f"file {bits} {sampling}", digest(path.read_bytes(), of_matrix(PackedMatrix.load(path)))
        longer = PackedMatrix.append(path, X[:333] * np.float32(0.9), y[:333], random_state=4)
        longer = PackedMatrix.append(path, X[:64] * np.float32(0.8), y[:64], random_state=5)
        yield f"append {bits} {sampling}", digest(path.read_bytes(), of_matrix(longer), of_matrix(longer[5:901]))
        model = ZipMLRegressor(bits, sampling=sampling, random_state=0).fit(longer)
        yield f"fit appended {bits} {sampling}", of_model(model, X)


def settings_of_fits():
    """Constructor parameters of the regressors."""
    for sampling, bits, solver in product(SAMPLINGS, WIDTHS, ("saga", "sgd")):
        if sampling != "double" or bits > 1:
            yield {"sample_bits": bits, "sampling": sampling, "solver": solver}
    for sampling, bits in product(SAMPLINGS[:3], (2, 4)):
        yield {"sample_bits": bits, "sampling": sampling, "solver": "sgd", "resample": "epoch"}
    for solver, model_bits, gradient_bits in product(("saga", "sgd"), (1, 2, 5, 8, 12, 16), (1, 4, 9, 16)):
        yield {"solver": solver, "model_bits": model_bits, "gradient_bits": gradient_bits, "max_iter": 6}
    for solver, batch_size, levels in product(("saga", "sgd"), (16, 32, 48, 64), ("optimal", "uniform")):
        yield {"solver": solver, "batch_size": batch_size, "levels": levels, "sample_bits": 8}
    for solver, l1_ratio, bits in product(("saga", "sgd"), (0.3, 1.0), (2, 4, 8, None)):
        yield {"solver": solver, "l1_ratio": l1_ratio, "alpha": 0.01, "sample_bits": bits}
    for solver, fit_intercept in product(("saga", "sgd"), (True, False)):
        yield {"solver": solver, "sample_bits": None, "fit_intercept": fit_intercept}
        yield {"solver": solver, "sample_bits": None, "model_bits": 4, "gradient_bits": 3, "max_iter": 5}
        yield {"solver": solver, "fit_intercept": fit_intercept, "early_stopping": True}
    for schedule in ("constant", "adaptive", "invscaling"):
        yield {"solver": "sgd", "schedule": schedule, "learning_rate": 0.7}
    yield {"sampling": "double", "n_draws": 5, "sample_bits": 8}
    yield {"tol": 1e-9, "alpha": 1e-6, "max_iter": 40}


def fits():
    """(name, hash) of regressors, classifiers and partial fits."""
    X, y, weights = data()
    for settings in settings_of_fits():
        model = ZipMLRegressor(**{"max_iter": 15, "random_state": 0, **settings})
        name = " ".join(f"{key}={value}" for key, value in settings.items())
        found = [of_model(model.fit(X, y[:, 0]), X), of_model(model.fit(X, y, sample_weight=weights), X)]
        yield f"fit {name}", digest(found)
    labels = np.digitize(y[:, 0], [-0.5, 0.5])
    for sampling, bits in product(SAMPLINGS, (2, 4, 8)):
        regressor, classifier = (
            kind(bits, sampling=sampling, random_state=0, max_iter=15) for kind in (ZipMLRegressor, ZipMLLSSVC)
        )
        yield f"classes {bits} {sampling}", of_model(classifier.fit(X, labels), X)
        for start in range(0, N_ROWS, 250):
            rows = slice(start, start + 250)
            regressor.partial_fit(X[rows], y[rows], sample_weight=weights[rows])
            classifier.partial_fit(X[rows], labels[rows], classes=np.arange(3))
        yield f"partial_fit {bits} {sampling}", digest(of_model(regressor, X), of_model(classifier, X))
        packed = DoubleSamplingQuantizer(8, sampling=sampling, random_state=0).fit_transform(X)
        yield f"fit packed {bits} {sampling}", of_model(regressor.fit(packed[60:], y[60:]), X)
        regressor.set_params(warm_start=True, alpha=0.1)
        yield f"warm start {bits} {sampling}", of_model(regressor.fit(packed[60:], y[60:]), X)
    balanced = ZipMLLSSVC(class_weight="balanced", solver="sgd", random_state=0, max_iter=15)
    yield "balanced", of_model(balanced.fit(X, labels, sample_weight=weights), X)
    for n_jobs in (1, 2):  # a team of threads
        large, target, _ = data(8, 6000, 3000)
        model = ZipMLRegressor(4, random_state=0, max_iter=2, tol=0, n_jobs=n_jobs)
        yield "many values", of_model(model.fit(large, target[:, 0]), large[:50])


def results():
    """(name, hash) of everything."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence: few epochs are enough here
        yield from packings()
        yield from streams(folder)
        yield from fits()


def main():
    """Print the hashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", nargs="+", help="instruction sets to compare with each other")
    names = parser.parse_args().kernels
    if names:
        outputs = {}
        for name in names:
            environment = os.environ | {"SKLEARN_ZIPML_KERNELS": name}
            command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), __file__]
            outputs[name] = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        lines = [output.splitlines() for output in outputs.values()]
        different = [pair for pair in zip(*lines, strict=True) if len(set(pair)) > 1]
        print(*(f"differs: {pair}" for pair in different), lines[0][-1], sep="\n")
        sys.exit(bool(different))
    whole = []
    for name, value in results():
        print(f"{value} {name}", flush=True)
        whole.append(value)
    print(f"{digest(whole)} all {len(whole)}")


if __name__ == "__main__":
    main()
