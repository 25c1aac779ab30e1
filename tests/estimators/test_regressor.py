"""ZipMLRegressor against closed forms, and what comes of hostile data."""

import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from regression import EXACT, SAMPLINGS, assert_same_model, grid_data
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Ridge

from sklearn_zipml import ZipMLRegressor

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
import signal
import numpy as np
from sklearn_zipml import ZipMLRegressor
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
rng = np.random.default_rng(0)
X, y = rng.normal(size=(50_000, 64)).astype(np.float32), rng.normal(size=50_000)
ZipMLRegressor({bits}, solver={solver!r}, tol=0, max_iter=10**9, random_state=0, verbose=1).fit(X, y)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one child")
@pytest.mark.parametrize("solver, bits", [("saga", 4), ("sgd", None)])
def test_keyboard_interrupt(solver, bits):
    """Ctrl-C ends a long fit within a second, or what it took to start where the machine is busy."""
    command = [sys.executable, "-P", "-u", "-c", SCRIPT.format(bits=bits, solver=solver)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begun = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert "epoch 1" in process.stdout.readline()
            patience = max(1, time.monotonic() - begun)
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            _, errors = process.communicate(timeout=10)
            assert time.monotonic() - start < patience
        finally:
            process.kill()
    assert errors.rstrip().endswith("KeyboardInterrupt")
