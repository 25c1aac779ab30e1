"""ZipMLLSSVC against closed forms, with labels of every kind."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from classification import EXACT, assert_same_model, grid_data
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import RidgeClassifier

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC

# Closed form


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [1e-7, 1e-2, 100])
@pytest.mark.parametrize("sample_bits", [None, 8])
def test_closed_form(sample_bits, C, fit_intercept, classes):
    """Saga at tol=1e-10 is RidgeClassifier to 1e-5 of the largest coefficient, samples being stored without loss."""
    X, y = grid_data(classes=classes)
    model = ZipMLLSSVC(sample_bits, C=C, fit_intercept=fit_intercept, **EXACT).fit(X, y)
    reference = RidgeClassifier(alpha=1 / C, fit_intercept=fit_intercept).fit(X, y)
    assert_same_model(model, reference, rtol=1e-5)
    outputs = 1 if classes == 2 else classes
    assert model.coef_.shape == (outputs, 6) and model.intercept_.shape == (outputs,)
    assert_array_equal(model.predict(X), reference.predict(X))
    assert model.decision_function(X).shape == ((400,) if classes == 2 else (400, 4))


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_one_against_the_rest(sample_bits):
    """Several classes are as many binary fits."""
    X, y = grid_data(classes=3)
    together = ZipMLLSSVC(sample_bits, **EXACT).fit(X, y)
    for k in range(3):
        alone = ZipMLLSSVC(sample_bits, **EXACT).fit(X, y == k)
        assert_allclose(together.coef_[k], alone.coef_[0], rtol=0, atol=1e-5 * np.abs(alone.coef_).max())
        assert_allclose(together.decision_function(X)[:, k], alone.decision_function(X), atol=1e-4)


@pytest.mark.parametrize(
    "load, sample_bits, worst",
    [
        (load_iris, 4, 0.78),
        (load_iris, None, 0.8),
        (load_breast_cancer, 2, 0.9),
        (load_digits, 1, 0.85),
        (load_digits, 4, 0.9),
    ],
)
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_scores(load, sample_bits, worst, solver):
    """Real data at few bits, on raw features."""
    X, y = load(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ZipMLLSSVC(sample_bits, solver=solver, random_state=0).fit(X, y)
    assert model.score(X, y) > worst


# Labels


@pytest.mark.parametrize("names", [["no", "yes"], ["a", "b", "c"], [-1, 1], [2.0, 7.0], [False, True]])
def test_label_kinds(names):
    """Labels come back as they went in; only their order matters."""
    X, y = grid_data(classes=len(names))
    labels = np.array(names)[y]
    model = ZipMLLSSVC(random_state=0).fit(X, labels)
    plain = ZipMLLSSVC(random_state=0).fit(X, y)
    assert_array_equal(model.classes_, np.unique(labels))
    assert_array_equal(model.coef_, plain.coef_)
    assert_array_equal(model.predict(X), np.array(names)[plain.predict(X)])
    assert model.predict(X).dtype == labels.dtype
    assert model.score(X, labels) > 0.8


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, lambda y: pd.Series(y, dtype="category")])
def test_label_containers(make):
    """Lists and series of strings."""
    X, y = grid_data()
    labels = np.array(["no", "yes"], dtype=object)[y]
    model = ZipMLLSSVC(random_state=0).fit(X, make(labels))
    assert_array_equal(model.coef_, ZipMLLSSVC(random_state=0).fit(X, labels).coef_)


def test_label_errors():
    """Continuous targets, several columns."""
    X, y = grid_data()
    with pytest.raises(ValueError, match="Unknown label type"):
        ZipMLLSSVC().fit(X, y + np.linspace(0, 0.5, len(y)))
    with pytest.raises(ValueError, match="1d array"):
        ZipMLLSSVC().fit(X, np.c_[y, 1 - y])
    with pytest.raises(NotFittedError):
        ZipMLLSSVC().predict(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3])
def test_dtypes(classes, dtype):
    """float32 stays float32."""
    X, y = grid_data(classes=classes)
    model = ZipMLLSSVC(random_state=0).fit(X.astype(dtype), y)
    assert model.coef_.dtype == model.intercept_.dtype == model.decision_function(X.astype(dtype)).dtype == dtype


# Training


@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_early_stopping(solver):
    """Stops earlier and keeps a good model; scores are accuracies."""
    X, y = load_digits(return_X_y=True)
    model = ZipMLLSSVC(solver=solver, tol=1e-12, max_iter=300, n_iter_no_change=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        full = clone(model).fit(X, y)
        early = clone(model).set_params(early_stopping=True).fit(X, y)
    assert early.n_iter_ < full.n_iter_
    assert len(early.validation_scores_) == early.n_iter_
    assert 0.8 < max(early.validation_scores_) <= 1
    assert early.score(X, y) > 0.85


def test_early_stopping_is_stratified():
    """A row of an identity matrix that is held out leaves its own coefficient at zero: a quarter of each class."""
    y = np.repeat([0, 1], [40, 8])
    model = ZipMLLSSVC(
        1, fit_intercept=False, early_stopping=True, validation_fraction=0.25, tol=1e-3, random_state=0
    ).fit(np.eye(48), y)
    held_out = model.coef_[0] == 0
    assert held_out[y == 0].sum() == 10 and held_out[y == 1].sum() == 2


def test_early_stopping_with_a_single_row_of_a_class():
    """Cannot be stratified, and says with which parameter."""
    X, y = grid_data()
    y = np.where(np.arange(len(y)) == 5, 2, y)
    with pytest.raises(ValueError, match=r"early_stopping=True.*least populated"):
        ZipMLLSSVC(early_stopping=True).fit(X, y)


def test_warm_start():
    """Takes fewer epochs; other classes are an error."""
    X, y = grid_data(classes=3)
    model = ZipMLLSSVC(8, solver="saga", warm_start=True, tol=1e-8, random_state=0).fit(X, y)
    epochs = model.n_iter_
    assert model.fit(X, y).n_iter_ < epochs
    for other in (np.minimum(y, 1), np.array(["a", "b", "c"])[y]):
        with pytest.raises(ValueError, match=r"warm_start=True.*classes"):
            model.fit(X, other)


def test_verbose_and_convergence_warning(capsys):
    """Named after the classifier."""
    X, y = grid_data()
    with pytest.warns(ConvergenceWarning, match=r"ZipMLLSSVC.*max_iter=1\b") as caught:
        ZipMLLSSVC(solver="saga", max_iter=1, verbose=1, random_state=0).fit(X, y)
    assert caught[0].filename == __file__
    assert capsys.readouterr().out.count("ZipMLLSSVC") == 1
    assert ZipMLLSSVC(max_iter=21, tol=0, random_state=0).fit(X, y).n_iter_ == 21


COMBINATIONS = [
    ({"resample": "epoch", "solver": "saga"}, ["resample='epoch'", "solver='saga'"]),
    ({"sampling": "double", "sample_bits": 1}, ["sampling='double'", "sample_bits=1"]),
    ({"C": 0}, ["C", "0"]),
    ({"class_weight": "even"}, ["class_weight", "even"]),
]


@pytest.mark.parametrize("params, parts", COMBINATIONS)
def test_parameter_errors(params, parts):
    """Every message names the parameter and its value."""
    X, y = grid_data()
    with pytest.raises(ValueError) as caught:
        ZipMLLSSVC(**params).fit(X, y)
    assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_model_and_gradient_bits(solver, bits):
    """Any width trains."""
    X, y = grid_data(classes=3)
    model = ZipMLLSSVC(8, model_bits=bits, gradient_bits=bits, solver=solver, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X, y) > 0.7


@pytest.mark.parametrize("sampling", ["compensated", "double", "naive", "nearest"])
def test_packed_rows(sampling):
    """Training and predicting on packed rows; decisions are those of the decoded array."""
    X, y = grid_data(classes=3)
    packed = DoubleSamplingQuantizer(4, sampling=sampling, random_state=0).fit_transform(X)
    model = ZipMLLSSVC(random_state=0).fit(packed, y)
    expected = model.decision_function(np.asarray(packed))
    assert_allclose(model.decision_function(packed), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert model.score(X, y) > 0.75
    with pytest.raises(ValueError, match=r"sample_bits=8.*PackedMatrix of 4 bits"):
        ZipMLLSSVC(8).fit(packed, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ZipMLLSSVC().fit(packed, y[1:])


@pytest.mark.parametrize("sample_bits", [None, 1, 4])
@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_hostile_data(sample_bits, solver):
    """Always finite, and no warning but for convergence."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 4)), np.arange(100) % 2
    hostile = [
        np.full((100, 4), 3.3),
        np.c_[X, X],
        X * 1e-12,
        X * 1e12,
        X + 1e9,
        rng.normal(size=(100, 300)),
        np.c_[y, y],
        X * [1e-12, 1, 1e12, 0],
    ]
    for case in hostile:
        for C in (1e-12, 1, 1e12):
            model = ZipMLLSSVC(sample_bits, C=C, solver=solver, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(case, y)
            assert np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()
            assert np.isfinite(model.decision_function(case)).all()
    two = ZipMLLSSVC(sample_bits, solver=solver, random_state=0).fit(X[:2], y[:2])
    assert np.isfinite(two.coef_).all()


@pytest.mark.parametrize("solver", ["saga", "sgd"])
def test_random_state_clone_and_pickle(solver):
    """Same seed, same model."""
    X, y = load_iris(return_X_y=True)
    model = ZipMLLSSVC(2, solver=solver, random_state=0, max_iter=5, tol=0).fit(X, y)
    assert_array_equal(clone(model).fit(X, y).coef_, model.coef_)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    other = clone(model).set_params(random_state=1).fit(X, y)
    assert not np.array_equal(other.coef_, model.coef_)
