"""How ZipMLRegressor trains: when it stops, goes on, warns, and what it reports."""

import tracemalloc
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from regression import EXACT, grid_data
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor


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
    stored = once
    if sample_bits == 2:  # seeds of rows are read as 8 columns, and padded to 16
        stored, once = 2 * once, once * 3 // 2
    assert model.sample_nbytes_ == pytest.approx(stored, rel=0.1, abs=5000)
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


@pytest.mark.parametrize("bits", [2, 4])
def test_resample_leaves_outliers_out(bits):
    """Fresh draws begin at the first level, wherever that is among the positions of the store: no bias comes of it."""
    rng = np.random.default_rng(0)
    X, coef = rng.standard_normal((20_000, 6)), np.array([3.0, -2.0, 1.0, 0.5, -0.5, 0.0])
    y = X @ coef + 0.1 * rng.standard_normal(len(X))
    model = ZipMLRegressor(bits, solver="sgd", resample="epoch", max_iter=40, random_state=0).fit(X, y)
    assert_allclose(model.coef_, coef, atol=0.04)
    assert abs(model.intercept_) < 0.04


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


@pytest.mark.parametrize("weighted", [False, True])
def test_memory_of_a_column_at_eight_bits(weighted):
    """Nothing is kept of a column by code, which would take 2 KB for each such array."""
    n, d = 64, 1 << 14
    X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    y, weights = X[:, :50].sum(axis=1), np.arange(1.0, n + 1) if weighted else None
    tracemalloc.start()
    try:
        ZipMLRegressor(8, alpha=1.0, random_state=0, max_iter=2, tol=1.0).fit(packed, y, weights)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1200 * d  # that of blocks of columns included; before, 4.2 and 8.2 KB a column
