"""ZipMLRegressor against closed forms, and on every kind of input."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import ElasticNet, Ridge

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor

EXACT = {"tol": 1e-10, "max_iter": 1000, "random_state": 0}
SAMPLINGS = ["compensated", "double", "naive", "nearest"]


def grid_data(n=400, d=6, targets=1, seed=0, top=255):
    """Rows on the grid 0..top, both ends in every column, so that 8 bits hold them without loss, and noisy targets."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, top + 1, size=(n, d)).astype(np.float64)
    X[0], X[1] = 0, top
    y = X @ rng.normal(size=(d, targets)) + top / 10 * rng.normal(size=(n, targets)) + 100
    return X, y[:, 0] if targets == 1 else y


def assert_same_model(model, reference, rtol):
    """Coefficients relative to the largest one, and what the intercept does to predictions."""
    assert_allclose(model.coef_, reference.coef_, rtol=0, atol=rtol * np.abs(reference.coef_).max())
    # on the grid 0..255 an error of the intercept is up to 255 d times that of the coefficients
    atol = 2000 * rtol * np.abs(reference.coef_).max()
    assert_allclose(model.intercept_, reference.intercept_, rtol=0, atol=atol)


# Closed form


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0, 1e-2, 1e3])
@pytest.mark.parametrize("sample_bits", [None, 8])
def test_closed_form(sample_bits, alpha, fit_intercept, targets):
    """Saga at tol=1e-10 is Ridge to 1e-5 of the largest coefficient, samples being stored without loss."""
    X, y = grid_data(targets=targets)
    model = ZipMLRegressor(sample_bits, alpha=alpha, fit_intercept=fit_intercept, **EXACT).fit(X, y)
    reference = Ridge(alpha=len(X) * alpha, fit_intercept=fit_intercept).fit(X, y)
    assert_same_model(model, reference, rtol=1e-5)
    assert np.shape(model.coef_) == np.shape(reference.coef_)
    assert np.shape(model.intercept_) == np.shape(y)[1:] if fit_intercept else not np.any(model.intercept_)
    assert model.sample_bits_ == sample_bits


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_closed_form_sgd(sample_bits):
    """SGD stops at the noise floor of its smallest step, so the tolerance is that of its predictions."""
    X, y = grid_data()
    model = ZipMLRegressor(sample_bits, solver="sgd", **EXACT).fit(X, y)
    reference = Ridge(alpha=len(X) * 1e-4).fit(X, y)
    assert_allclose(model.predict(X), reference.predict(X), rtol=0, atol=0.02 * np.std(y))


@pytest.mark.parametrize("sample_bits", [None, 8, 4])
@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.1, 1.0), (1.0, 1.0), (0.01, 0.5), (0.5, 0.5)])
def test_elastic_net(alpha, l1_ratio, sample_bits):
    """scikit-learn's objective, its zeros exact; quantized samples come near. Two targets are two problems."""
    X, y = load_diabetes(return_X_y=True)
    Y = np.c_[y, -1e3 * X[:, 2]]
    model = ZipMLRegressor(sample_bits, alpha=alpha, l1_ratio=l1_ratio, tol=1e-9, max_iter=1000, random_state=0)
    model.fit(X, Y)
    for k in range(2):
        exact = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-10, max_iter=100_000).fit(X, Y[:, k])

        def objective(coef, intercept, target=Y[:, k]):
            penalty = l1_ratio * np.abs(coef).sum() + (1 - l1_ratio) / 2 * (coef**2).sum()
            return np.mean((X @ coef + intercept - target) ** 2) / 2 + alpha * penalty

        best = objective(exact.coef_, exact.intercept_)
        found = objective(model.coef_[k], model.intercept_[k])
        assert found <= best * (1 + {None: 1e-7, 8: 1e-4, 4: 2e-2}[sample_bits])
        if sample_bits is None:
            assert_array_equal(model.coef_[k] == 0, exact.coef_ == 0)


@pytest.mark.parametrize(("solver", "bits"), [("saga", None), ("saga", 4), ("saga", 2), ("sgd", None), ("sgd", 4)])
def test_l1_gives_zeros(solver, bits):
    """At every precision of samples, model and gradient: columns that do not matter are left out exactly."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 20))
    y = X[:, 0] - X[:, 1] + 0.1 * rng.normal(size=2000)
    model = ZipMLRegressor(
        bits, model_bits=bits, gradient_bits=bits, alpha=0.2, l1_ratio=1.0, solver=solver, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert_array_equal(np.flatnonzero(model.coef_), [0, 1])
    assert_allclose(model.coef_[:2], [0.8, -0.8], atol=0.1)


@pytest.mark.parametrize("schedule", ["auto", "constant", "adaptive", "invscaling"])
def test_schedules(schedule):
    """Every schedule of sgd comes near the optimum, and they differ."""
    X, y = load_diabetes(return_X_y=True)
    model = ZipMLRegressor(None, solver="sgd", schedule=schedule, power_t=0.6, max_iter=200, random_state=0).fit(X, y)
    assert model.score(X, y) > Ridge(1e-4 * len(y)).fit(X, y).score(X, y) - 0.02
    other = clone(model).set_params(schedule="invscaling" if schedule != "invscaling" else "constant").fit(X, y)
    assert np.any(other.coef_ != model.coef_)


def test_intercept_goes_with_the_rounded_coefficients():
    """float32 coefficients of columns around 1e6 would shift the predictions by far more than the noise."""
    rng = np.random.default_rng(0)
    X = (1e6 + 1e3 * rng.normal(size=(500, 8))).astype(np.float32)
    y = (X.astype(np.float64) - 1e6) @ np.full(8, 1 / 3) / 1e3
    model = ZipMLRegressor(None, random_state=0).fit(X, y)
    assert model.coef_.dtype == np.float32
    residual = X.astype(np.float64) @ model.coef_.astype(np.float64) + np.float64(model.intercept_) - y
    assert abs(residual.mean()) < 1e-3


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_few_distinct_values_are_lossless(sampling):
    """A column with as many values as levels costs nothing at any sampling."""
    X, y = grid_data(top=1)
    model = ZipMLRegressor(2, sampling=sampling, **EXACT).fit(X, y)
    assert_same_model(model, Ridge(alpha=len(X) * 1e-4).fit(X, y), rtol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_multi_target_equals_single_targets(order):
    """Every target is the fit of its own."""
    X, Y = grid_data(targets=3)
    together = ZipMLRegressor(8, **EXACT).fit(X, np.asarray(Y, order=order))
    for k in range(3):
        alone = ZipMLRegressor(8, **EXACT).fit(X, Y[:, k])
        assert_allclose(together.coef_[k], alone.coef_, rtol=1e-5)
    column = ZipMLRegressor(8, **EXACT).fit(X, Y[:, :1])
    assert column.coef_.shape == (1, X.shape[1]) and column.intercept_.shape == (1,)
    assert column.predict(X).shape == (len(X), 1)


@pytest.mark.parametrize("sample_bits, worst", [(1, 0.25), (2, 0.35), (3, 0.43), (4, 0.45), (8, 0.45)])
@pytest.mark.parametrize("sampling", ["compensated", "double"])
def test_scores_on_diabetes(sample_bits, worst, sampling):
    """Low precision scores near full precision (R² 0.52) on real data."""
    if (sample_bits, sampling) == (1, "double"):
        pytest.skip("two draws need two bits")
    X, y = load_diabetes(return_X_y=True)
    scores = [ZipMLRegressor(sample_bits, sampling=sampling, random_state=s).fit(X, y).score(X, y) for s in range(3)]
    assert np.mean(scores) > (worst if sampling == "compensated" else worst - 0.1)


# Types


@pytest.mark.parametrize("dtype, expected", [(np.float32, np.float32), (np.float64, np.float64), (np.int8, np.float64)])
@pytest.mark.parametrize("sample_bits", [None, 4])
def test_dtypes(sample_bits, dtype, expected):
    """float32 stays float32, everything else becomes float64."""
    X, y = grid_data(top=15)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X.astype(dtype), y)
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(X.astype(dtype)).dtype == expected
    model.fit(X.astype(dtype), np.c_[y, y])
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(X.astype(dtype)).dtype == expected


def _memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def _read_only(X, folder):
    X = X.copy()
    X.flags.writeable = False
    return X


INPUTS = {
    "list": lambda X, folder: X.tolist(),
    "tuple of rows": lambda X, folder: tuple(map(tuple, X)),
    "F order": lambda X, folder: np.asfortranarray(X),
    "strided": lambda X, folder: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "reversed": lambda X, folder: X[::-1, ::-1].copy()[::-1, ::-1],
    "big endian": lambda X, folder: X.astype(">f8"),
    "pandas": lambda X, folder: pd.DataFrame(X, columns=list("abcdef")),
    "pandas nullable": lambda X, folder: pd.DataFrame(X.astype(int), columns=list("abcdef")).astype("Int64"),
    "polars": lambda X, folder: pl.DataFrame(X, schema=list("abcdef")),
    "memmap": _memmap,
    "read-only": _read_only,
    **{name: (lambda X, folder, name=name: X.astype(name)) for name in ("float16", "float32", "float64")},
    **{name: (lambda X, folder, name=name: X.astype(name)) for name in ("int8", "uint8", "int32", "int64", "uint64")},
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("sample_bits", [None, 2])
def test_input_kinds(sample_bits, kind, tmp_path):
    """The same numbers give the same model, however they come."""
    X, y = grid_data(n=200, top=15)
    given = INPUTS[kind](X, tmp_path)
    expected = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(given, y)
    assert_array_equal(model.coef_, expected.coef_.astype(model.coef_.dtype))
    assert_allclose(model.predict(given), expected.predict(X), rtol=1e-5, atol=1e-4)
    if kind.startswith("pandas"):
        assert list(model.feature_names_in_) == list("abcdef")
    if kind == "polars":  # scikit-learn before 1.9 does not read the names of polars 2
        names = getattr(Ridge().fit(given, y), "feature_names_in_", None)
        assert_array_equal(getattr(model, "feature_names_in_", None), names)


@pytest.mark.parametrize("sample_bits", [None, 1])
def test_bool_input(sample_bits):
    """Booleans are 0 and 1."""
    X, y = grid_data(top=1)
    expected = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X.astype(bool), y)
    assert_array_equal(model.coef_, expected.coef_)
    assert_allclose(model.predict(X.astype(bool)), expected.predict(X))


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, lambda y: y.astype(np.float32)])
def test_target_kinds(make):
    """Targets too."""
    X, y = grid_data(n=200)
    y = np.rint(y)
    expected = ZipMLRegressor(random_state=0).fit(X, y)
    assert_array_equal(ZipMLRegressor(random_state=0).fit(X, make(y)).coef_, expected.coef_)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "y", "sample_weight", "predict"])
@pytest.mark.parametrize("sample_bits", [None, 4])
def test_non_finite_input(sample_bits, where, bad):
    """NaN and infinity are errors that name them and the input."""
    X, y = grid_data(n=200)
    given = {"X": X.copy(), "y": y.copy(), "sample_weight": np.ones(len(y)), "predict": X.copy()}
    given[where].flat[777 % given[where].size] = bad
    model = ZipMLRegressor(sample_bits, random_state=0)
    message = r"(?i)Input (X|y|sample_weight)\b.*contains (NaN|infinity)" if where != "sample_weight" else "(?i)weight"
    with pytest.raises(ValueError, match=message):
        model.fit(given["X"], given["y"], given["sample_weight"]).predict(given["predict"])


# Packed input


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sample_bits", [2, 3, 4, 8])
def test_packed_predictions_are_those_of_the_decoded_array(sample_bits, sampling, dtype):
    """Predicting on codes is predicting on what they decode to, to 1e-5 of the largest prediction."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(150, 9)) * 10.0 ** np.arange(-4, 5)).astype(dtype)
    y = X[:, 2] * 100 + X[:, 6] / 100
    packed = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0).fit_transform(X)
    model = ZipMLRegressor(sample_bits, sampling=sampling, random_state=0).fit(packed, y)
    expected = model.predict(np.asarray(packed))
    assert_allclose(model.predict(packed), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert model.predict(packed).dtype == model.coef_.dtype == dtype


def test_wide_packed_matrix_is_narrowed():
    """A wider container is requantized for training; the default takes a narrower one as it is."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    model = ZipMLRegressor(3, random_state=0).fit(packed, y)
    assert model.sample_bits_ == 3 and packed.sample_bits == 8
    assert model.score(X, y) > 0.9
    two = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    assert ZipMLRegressor(random_state=0).fit(two, y).sample_bits_ == 2


@pytest.mark.parametrize("sample_bits, stored, parts", [(8, 4, ["sample_bits=8", "4 bits"]), (None, 4, ["None", "4"])])
def test_packed_width_errors(sample_bits, stored, parts):
    """A narrower container, or one where floats are wanted, is an error naming both widths."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(stored, random_state=0).fit_transform(X)
    with pytest.raises(ValueError) as caught:
        ZipMLRegressor(sample_bits).fit(packed, y)
    assert all(part in str(caught.value) for part in ["PackedMatrix", *parts])


def test_packed_lengths_and_widths():
    """The standard messages for y of another length and rows of another width."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ZipMLRegressor().fit(packed, y[:-1])
    model = ZipMLRegressor(random_state=0).fit(packed, y)
    with pytest.raises(ValueError, match="X has 5 features, but ZipMLRegressor is expecting 6"):
        model.predict(DoubleSamplingQuantizer(random_state=0).fit_transform(X[:, :5]))
    with pytest.raises(ValueError, match="0 sample"):
        ZipMLRegressor().fit(packed[:0], y[:0])
    with pytest.raises(NotFittedError):
        ZipMLRegressor().predict(packed)


# Weights


@pytest.mark.parametrize("sample_bits", [None, 8])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_integer_weights_are_repetitions(sample_bits, fit_intercept):
    """Same optimum as repeated rows and as weighted Ridge, to 1e-4 of the largest coefficient."""
    X, y = grid_data()
    weights = np.random.default_rng(1).integers(1, 5, size=len(y))
    model = ZipMLRegressor(sample_bits, fit_intercept=fit_intercept, alpha=1, **EXACT)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    reference = Ridge(alpha=weights.sum(), fit_intercept=fit_intercept).fit(X, y, sample_weight=weights)
    assert_same_model(weighted, reference, rtol=1e-4)
    assert_same_model(repeated, reference, rtol=1e-4)


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_uneven_weights(sample_bits):
    """Weights over six orders of magnitude."""
    X, y = grid_data()
    weights = 10 ** np.random.default_rng(1).uniform(-3, 3, size=len(y))
    model = ZipMLRegressor(sample_bits, **EXACT).fit(X, y, sample_weight=weights)
    assert_same_model(model, Ridge(alpha=1e-4 * weights.sum()).fit(X, y, sample_weight=weights), rtol=1e-3)


@pytest.mark.parametrize("solver", ["saga", "sgd"])
@pytest.mark.parametrize("sample_bits", [None, 2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_zero_weights_are_removals(packed, sample_bits, solver):
    """Rows of weight zero have no influence at all, given the random state."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.normal(size=300)
    if packed and sample_bits is None:
        pytest.skip("floats are not packed")
    weights = rng.uniform(size=300) * (rng.uniform(size=300) < 0.7)
    kept = weights > 0
    X[~kept] *= 100
    given = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X) if packed else X
    model = ZipMLRegressor(sample_bits, solver=solver, random_state=0, max_iter=5, tol=0)
    zero = clone(model).fit(given, y, sample_weight=weights)
    removed = clone(model).fit(given[kept], y[kept], sample_weight=weights[kept])
    assert_array_equal(zero.coef_, removed.coef_)
    assert zero.intercept_ == removed.intercept_


def test_equal_weights_are_no_weights():
    """Only proportions count, alpha being per weight."""
    X, y = grid_data()
    model = ZipMLRegressor(random_state=0)
    plain = clone(model).fit(X, y).coef_
    for weight in (1, 7.5, 1e-12, 1e12):
        assert_array_equal(clone(model).fit(X, y, sample_weight=np.full(len(y), weight)).coef_, plain)
        assert_array_equal(clone(model).fit(X, y, sample_weight=weight).coef_, plain)


@pytest.mark.parametrize("weights, message", [(np.zeros(400), "(?i)weights.*zero"), (-np.ones(400), "(?i)negative")])
def test_weight_errors(weights, message):
    """All zero, or negative."""
    X, y = grid_data()
    with pytest.raises(ValueError, match=message):
        ZipMLRegressor().fit(X, y, sample_weight=weights)


# Training


def test_early_stopping_holds_rows_out():
    """A row of an identity matrix that is held out leaves its own coefficient at zero."""
    model = ZipMLRegressor(
        1, fit_intercept=False, early_stopping=True, validation_fraction=0.25, tol=1e-3, random_state=0
    ).fit(np.eye(40), np.ones(40) + np.arange(40) / 40)
    assert (model.coef_ == 0).sum() == 10


@pytest.mark.parametrize("sample_bits", [None, 4])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_early_stopping_stops_earlier(solver, sample_bits):
    """It ends before the last epoch, says what it saw, and keeps a good model."""
    X, y = load_diabetes(return_X_y=True)
    model = ZipMLRegressor(sample_bits, solver=solver, tol=1e-12, max_iter=500, n_iter_no_change=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        full = clone(model).fit(X, y)
        early = clone(model).set_params(early_stopping=True).fit(X, y)
    assert early.n_iter_ < full.n_iter_
    assert len(early.validation_scores_) == early.n_iter_
    assert early.score(X, y) > 0.4
    assert not hasattr(full, "validation_scores_")


def test_early_stopping_with_weights_and_packed_rows():
    """Rows of weight zero are neither trained nor validated on."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.normal(size=300)
    weights = (rng.uniform(size=300) < 0.7) * 1.0
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    model = ZipMLRegressor(early_stopping=True, random_state=0).fit(packed, y, sample_weight=weights)
    y[weights == 0] = 1e6
    other = ZipMLRegressor(early_stopping=True, random_state=0).fit(packed, y, sample_weight=weights)
    assert_array_equal(model.coef_, other.coef_)
    assert model.validation_scores_ == other.validation_scores_


def test_early_stopping_sets_two_rows_aside():
    """The R² of a single row is not defined."""
    X, y = grid_data(n=15)
    model = ZipMLRegressor(early_stopping=True, validation_fraction=0.01, random_state=0).fit(X, y)
    assert np.isfinite(model.validation_scores_).all()


def test_early_stopping_needs_rows():
    """Too few rows to set some aside is an error naming the parameters."""
    X, y = grid_data()
    with pytest.raises(ValueError, match=r"early_stopping=True.*validation_fraction=0\.1"):
        ZipMLRegressor(early_stopping=True).fit(X[:1], y[:1])


@pytest.mark.parametrize("sample_bits", [None, 4])
def test_warm_start(sample_bits):
    """Starting at the solution takes fewer epochs, and stays there."""
    X, y = grid_data()
    model = ZipMLRegressor(sample_bits, solver="saga", warm_start=True, tol=1e-8, random_state=0).fit(X, y)
    epochs, coef = model.n_iter_, model.coef_
    model.fit(X, y)
    assert model.n_iter_ < epochs
    assert_allclose(model.coef_, coef, rtol=1e-2)


def test_warm_start_continues():
    """Two fits of three epochs come as far as one of many."""
    X, y = grid_data()
    model = ZipMLRegressor(8, warm_start=True, tol=0, max_iter=1, random_state=0)
    errors = []
    for _ in range(3):
        model.fit(X, y)
        errors.append(model.loss_curve_[-1])
    assert errors[0] > errors[1] > errors[2] or np.ptp(errors) < 1e-9 * errors[0]


def test_warm_start_shape_errors():
    """Another number of outputs names the parameter."""
    X, y = grid_data()
    model = ZipMLRegressor(warm_start=True, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True.*1 outputs.*2"):
        model.fit(X, np.c_[y, y])
    for targets in (y, np.c_[y, y]):  # six coefficients are not two times three
        with pytest.raises(ValueError, match=r"warm_start.*features"):
            model.fit(X[:, :3], targets)


def test_verbose(capsys):
    """One line an epoch, and silence by default."""
    X, y = grid_data()
    ZipMLRegressor(random_state=0).fit(X, y)
    assert capsys.readouterr().out == ""
    model = ZipMLRegressor(random_state=0, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    assert all("ZipMLRegressor" in line and f"epoch {i}" in line for i, line in enumerate(lines, 1))


@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_convergence_warning(solver):
    """One epoch is not enough, and says so."""
    X, y = grid_data()
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1\b") as caught:
        model = ZipMLRegressor(solver=solver, max_iter=1, random_state=0).fit(X, y)
    assert model.n_iter_ == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sample_bits", [1, 2, 4, 8, None])
def test_defaults_converge(sample_bits, seed):
    """On Gaussian rows the default epochs are enough at any width: no warning, no rise of the objective."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 6))
    model = ZipMLRegressor(sample_bits, random_state=seed).fit(X, X @ np.arange(1.0, 7) + rng.normal(size=3000))
    assert model.n_iter_ <= 50
    assert max(model.loss_curve_) <= 1.05 * model.loss_curve_[0]


@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_tol_zero_runs_all_epochs(solver):
    """Without a warning."""
    X, y = grid_data()
    model = ZipMLRegressor(solver=solver, max_iter=37, tol=0, random_state=0).fit(X, y)
    assert model.n_iter_ == 37
    assert len(model.loss_curve_) == 38


@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_tol_decides_accuracy(solver):
    """A smaller tol takes more epochs and is more accurate, or warns."""
    X, y = grid_data()
    reference = Ridge(alpha=len(X) * 1e-4).fit(X, y)
    epochs, errors = [], []
    for tol in (1e-1, 1e-4, 1e-8):
        model = ZipMLRegressor(8, solver=solver, tol=tol, max_iter=1000, random_state=0).fit(X, y)
        epochs.append(model.n_iter_)
        errors.append(np.abs(model.coef_ - reference.coef_).max())
    assert epochs[0] < epochs[1] < epochs[2]
    assert errors[0] > errors[2]


def test_loss_curve():
    """It ends at the objective of the closed form."""
    X, y = grid_data()
    model = ZipMLRegressor(8, alpha=1.0, **EXACT).fit(X, y)
    residual = y - model.predict(X)
    expected = (residual**2).mean() / 2 + (model.coef_**2).sum() / 2
    assert_allclose(model.loss_curve_[-1], expected, rtol=1e-4)


@pytest.mark.parametrize("solver", ["saga", "sgd"])
@pytest.mark.parametrize("sample_bits", [1, 2, 4, 8, None])
def test_bytes_read(sample_bits, solver):
    """An epoch reads the samples twice, now and then once more; fewer bits are fewer bytes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64 * 50, 16))
    model = ZipMLRegressor(sample_bits, solver=solver, tol=0, max_iter=5, random_state=0).fit(X, X[:, 0])
    once = X.size * (sample_bits or 32) // 8
    assert model.sample_nbytes_ == pytest.approx(once, rel=0.1, abs=5000)
    assert len(model.bytes_read_curve_) == len(model.loss_curve_)
    assert len(model.bytes_read_curve_) == len(model.loss_curve_)
    passes = np.diff(model.bytes_read_curve_) / once
    assert np.all((passes >= 2) & (passes == passes.astype(int))) and np.median(passes) <= 3


@pytest.mark.parametrize("sampling", ["compensated", "double", "naive"])
def test_resample(sampling):
    """Fresh samples every epoch keep 8 bits and average the rounding out."""
    X, y = grid_data()
    model = ZipMLRegressor(4, solver="sgd", sampling=sampling, resample="epoch", random_state=0).fit(X, y)
    assert model.sample_bits_ == 8
    assert model.score(X, y) > 0.95


COMBINATIONS = [
    ({"resample": "epoch", "solver": "saga"}, ["resample='epoch'", "solver='saga'"]),
    ({"resample": "epoch", "solver": "sgd", "sample_bits": 8}, ["resample='epoch'", "sample_bits=8"]),
    ({"resample": "epoch", "solver": "sgd", "sample_bits": None}, ["resample='epoch'", "sample_bits=None"]),
    ({"resample": "epoch", "solver": "sgd", "sampling": "nearest"}, ["resample='epoch'", "sampling='nearest'"]),
    ({"sampling": "double", "sample_bits": 1}, ["sampling='double'", "sample_bits=1"]),
    ({"sample_bits": 0}, ["sample_bits"]),
    ({"sample_bits": 9}, ["sample_bits", "9"]),
    ({"sample_bits": 2.5}, ["sample_bits", "2.5"]),
    ({"model_bits": 17}, ["model_bits", "17"]),
    ({"gradient_bits": 0}, ["gradient_bits"]),
    ({"batch_size": 20}, ["batch_size", "20"]),
    ({"alpha": -1}, ["alpha", "-1"]),
    ({"solver": "adam"}, ["solver", "adam"]),
    ({"learning_rate": 0.0}, ["learning_rate", "0"]),
    ({"schedule": "adaptive", "solver": "saga"}, ["schedule='adaptive'", "solver='saga'"]),
    ({"schedule": "invscaling", "solver": "gram"}, ["schedule='invscaling'", "solver='gram'"]),
    ({"model_bits": 4, "solver": "gram"}, ["model_bits=4", "solver='gram'"]),
    ({"schedule": "optimal", "solver": "sgd"}, ["schedule", "'optimal'"]),
    ({"power_t": -0.5}, ["power_t", "-0.5"]),
    ({"l1_ratio": 1.5}, ["l1_ratio", "1.5"]),
]


@pytest.mark.parametrize("params, parts", COMBINATIONS)
def test_parameter_errors(params, parts):
    """Every message names the parameter and its value."""
    X, y = grid_data()
    with pytest.raises(ValueError) as caught:
        ZipMLRegressor(**params).fit(X, y)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("which", [["model_bits"], ["gradient_bits"], ["model_bits", "gradient_bits"]])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_model_and_gradient_bits(solver, which, bits):
    """Any width of model and gradient trains."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 8))
    y = X @ np.arange(1.0, 9) + rng.normal(size=600)
    model = ZipMLRegressor(8, solver=solver, random_state=0, **dict.fromkeys(which, bits))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) > (0.97 if bits < 4 else 0.99)


@pytest.mark.parametrize("batch_size", [16, 32, 48, 64, "auto"])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_batch_sizes(solver, batch_size):
    """All reach the same solution."""
    X, y = grid_data()
    model = ZipMLRegressor(8, solver=solver, batch_size=batch_size, random_state=0).fit(X, y)
    assert_allclose(model.predict(X), Ridge(alpha=0.04).fit(X, y).predict(X), rtol=0, atol=0.05 * np.std(y))


@pytest.mark.parametrize("learning_rate", [1e-2, 0.5, 2.0, 1e3])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_learning_rates(solver, learning_rate):
    """Too small a step is slow and too large a one is halved; neither breaks."""
    X, y = grid_data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ZipMLRegressor(8, solver=solver, learning_rate=learning_rate, random_state=0).fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) > 0.5


# Repetition


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_random_state(solver, sampling):
    """It decides everything; n_jobs nothing."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.normal(size=300)

    def fit(**params):
        model = ZipMLRegressor(2, solver=solver, sampling=sampling, max_iter=3, tol=0, **params)
        return model.fit(X, y).coef_

    first = fit(random_state=0)
    assert_array_equal(fit(random_state=0), first)
    assert_array_equal(fit(random_state=0, n_jobs=2), first)
    assert_array_equal(fit(random_state=np.random.RandomState(0)), first)
    assert not np.array_equal(fit(random_state=1), first)


@pytest.mark.parametrize("sample_bits", [None, 4])
def test_clone_and_pickle(sample_bits):
    """A clone fits the same, a pickle predicts the same."""
    X, y = grid_data()
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    assert_array_equal(clone(model).fit(X, y).coef_, model.coef_)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    # a fitted model keeps no rows
    assert len(pickle.dumps(model)) < 5000


def test_input_is_left_alone():
    """X, y and weights are not written to."""
    X, y = grid_data()
    weights = np.linspace(0, 1, len(y))
    copies = X.copy(), y.copy(), weights.copy()
    ZipMLRegressor(random_state=0).fit(X, y, weights).predict(X)
    for now, before in zip((X, y, weights), copies, strict=True):
        assert_array_equal(now, before)


# Hostile data


def hostile():
    """Name -> (X, y, whether R² should still be near one at eight bits)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = X @ np.ones(5) + 0.1 * rng.normal(size=200)
    one_constant = X.copy()
    one_constant[:, 2] = 3.3
    outlier = X.copy()
    outlier[3] = 1e4
    return {
        "constant column": (one_constant, y - X[:, 2], True),
        "all columns constant": (np.full((200, 5), 3.3), y, False),
        "zeros": (np.zeros((200, 5)), y, False),
        "duplicated columns": (np.c_[X, X], y, True),
        "collinear columns": (np.c_[X, X.sum(axis=1), X[:, 0] - X[:, 1]], y, True),
        # alpha is in units of X: these are columns it forbids to use
        "scale 1e-12": (X * 1e-12, y, False),
        "scale 1e12": (X * 1e12, y, True),
        "scales 1e-300 to 1e300": (X * [1e-300, 1e-12, 1, 1e12, 1e300], y, False),
        "denormal": (X * 1e-310, y, False),
        "mean 1e9": (X + 1e9, y, True),
        "y constant": (X, np.full(200, 3.3), False),
        "y zero": (X, np.zeros(200), False),
        "y 1e200": (X, y * 1e200, True),
        "y 1e-200": (X, y * 1e-200, True),
        "y far away": (X, y + 1e9, True),
        "one row": (X[:1], y[:1], False),
        "two rows": (X[:2], y[:2], False),
        "two equal rows": (X[[0, 0]], y[:2], False),
        "n < d": (rng.normal(size=(5, 50)), y[:5], False),
        "one column": (X[:, :1], X[:, 0], True),
        "outlier in y": (X, np.where(np.arange(200) == 3, 1e12, y), False),
        "one row differs": (np.where(np.arange(200)[:, None] == 3, X, X[:1]), y, False),
        "integers near 2**62": ((100 * X).astype(np.int64) + 2**62, y, False),
    }


@pytest.mark.parametrize("solver", ["saga", "sgd"])
@pytest.mark.parametrize("sample_bits", [None, 1, 2, 4, 8])
@pytest.mark.parametrize("name", hostile())
def test_hostile_data(name, sample_bits, solver):
    """Always finite, never worse than the mean, no warning but for convergence, and good where it can be."""
    X, y, learnable = hostile()[name]
    for fit_intercept in (True, False):
        model = ZipMLRegressor(sample_bits, solver=solver, fit_intercept=fit_intercept, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            if not fit_intercept:
                warnings.filterwarnings("ignore", "fit_intercept=False, and column", UserWarning)
            model.fit(X, y)
        assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_)
        predictions = model.predict(X)
        assert np.isfinite(predictions).all()
        if fit_intercept:
            size = np.abs(y).max() or 1
            error = np.mean((predictions / size - y / size) ** 2)
            # at 2**62 the rounding of x @ coef in float64 is as large as y
            assert error <= (3 if "2**62" in name else 1.05) * np.var(y / size) + 1e-10
            if learnable and sample_bits in (None, 8):
                assert error < 0.05 * np.var(y / size)


@pytest.mark.parametrize("sample_bits", [None, 4])
@pytest.mark.parametrize("n", [200, 100_000])
def test_constant_column_has_no_coefficient(n, sample_bits):
    """What the rounding of its mean leaves is not a spread."""
    rng = np.random.default_rng(0)
    X = np.c_[np.full(n, 3.3), rng.normal(size=n), np.full(n, -0.1)]
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X, X[:, 1])
    assert_array_equal(model.coef_[[0, 2]], 0)
    assert abs(model.intercept_) < 0.05


@pytest.mark.parametrize("sample_bits", [None, 4])
@pytest.mark.parametrize("x_scale, y_scale", [(1.7e308, 1), (1, 1.7e308), (1e-200, 1e200)])
def test_beyond_float64(sample_bits, x_scale, y_scale):
    """Where float64 ends the answer is finite or a ValueError."""
    rng = np.random.default_rng(0)
    X, y = np.sign(rng.normal(size=(100, 3))) * x_scale, np.sign(rng.normal(size=100)) * y_scale
    try:
        with warnings.catch_warnings():
            # scikit-learn's own look for infinity adds y up
            warnings.filterwarnings("ignore", message="invalid value encountered in reduce")
            model = ZipMLRegressor(sample_bits, alpha=0, random_state=0).fit(X, y)
    except ValueError as error:
        # numpy's LinAlgError is one as well
        assert type(error) is ValueError and ("X" in str(error) or "y" in str(error))
    else:
        assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_)


def test_outlier_warning_of_the_estimator():
    """One value that takes the whole grid is worth a warning naming the column."""
    X, y = grid_data()
    X[3, 2] = 1e9
    with pytest.warns(UserWarning, match="outlier") as caught:
        ZipMLRegressor(random_state=0).fit(X, y)
    assert len(caught) == 1 and "column(s) 2 " in str(caught[0].message)


# Interruption

SCRIPT = """
import numpy as np
from sklearn_zipml import ZipMLRegressor
rng = np.random.default_rng(0)
X, y = rng.normal(size=(50_000, 64)).astype(np.float32), rng.normal(size=50_000)
ZipMLRegressor({bits}, solver={solver!r}, tol=0, max_iter=10**9, random_state=0, verbose=1).fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one child")
@pytest.mark.parametrize("solver, bits", [("saga", 4), ("sgd", None)])
def test_keyboard_interrupt(solver, bits):
    """Ctrl-C ends a long fit within a second."""
    command = [sys.executable, "-P", "-u", "-c", SCRIPT.format(bits=bits, solver=solver)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert "epoch 1" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            _, errors = process.communicate(timeout=10)
            assert time.monotonic() - start < 1
        finally:
            process.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt")
