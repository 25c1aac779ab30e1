"""Fitted models as objects of scikit-learn: what they predict, and what a refit of them minimises."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLLSSVCCV, ZipMLRegressor, ZipMLRegressorCV

WEIGHTS = np.tile([1.0, 2.0, 4.0], 100)
NAMES = np.array(["left", "middle", "right"])


def rows(dtype=np.float64, n=300):
    """Uncentred columns of different sizes."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, 4)) * [1, 10, 0.1, 2] + [5, 0, 1, -3]).astype(dtype)


def target(X):
    """Linear with noise."""
    return X @ [1.0, 0.2, -8.0, 0.5] + np.random.default_rng(1).normal(size=len(X))


def labels(X, n_classes=3):
    """Names by the height of the target."""
    y = target(X)
    return NAMES[np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))]


REGRESSORS = [
    (ZipMLRegressor(4, alpha=0.1), Ridge),
    (ZipMLRegressor(4, alpha=0), LinearRegression),
    (ZipMLRegressor(4, alpha=0, l1_ratio=0.5), LinearRegression),
    (ZipMLRegressor(4, alpha=0.1, fit_intercept=False), Ridge),
    (ZipMLRegressor(4, alpha=0.1, l1_ratio=0.3), ElasticNet),
    (ZipMLRegressor(None, alpha=0.1, l1_ratio=1), Lasso),
    (ZipMLRegressor(4, early_stopping=True), Ridge),
]
CLASSIFIERS = [
    (ZipMLLSSVC(4, C=0.1), RidgeClassifier),
    (ZipMLLSSVC(4, fit_intercept=False, class_weight="balanced"), RidgeClassifier),
    (ZipMLLSSVC(None, class_weight={"left": 3}), RidgeClassifier),
    (ZipMLLSSVC(4, C=0.1, l1_ratio=0.5), SGDClassifier),
]


def assert_exported(model, plain, X):
    """The same attributes, copied, and nothing of this package inside."""
    for name in ("coef_", "intercept_", "n_features_in_"):
        assert_array_equal(getattr(plain, name), getattr(model, name))
    assert plain.coef_.dtype == model.coef_.dtype == X.dtype
    assert not np.shares_memory(plain.coef_, model.coef_)
    assert b"zipml" not in pickle.dumps(plain).lower()
    assert repr(clone(plain)) == repr(plain)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(300,), (300, 1), (300, 2)])
@pytest.mark.parametrize("model, kind", REGRESSORS)
def test_regressor(model, kind, shape, dtype):
    """Predictions, with their shape and dtype, for one target and several."""
    X = rows(dtype)
    y = np.resize(target(X), shape[::-1]).T
    model = clone(model).set_params(random_state=0).fit(X, y)
    plain = model.to_sklearn()
    assert type(plain) is kind
    assert_exported(model, plain, X)
    predictions = plain.predict(X)
    assert predictions.shape == shape and predictions.dtype == dtype
    assert_allclose(predictions, model.predict(X), rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model, kind", CLASSIFIERS)
def test_classifier(model, kind, n_classes, dtype):
    """Decision values and labels."""
    X = rows(dtype)
    model = clone(model).set_params(random_state=0).fit(X, labels(X, n_classes))
    plain = model.to_sklearn()
    assert type(plain) is kind
    assert_exported(model, plain, X)
    assert_array_equal(plain.classes_, model.classes_)
    decisions = plain.decision_function(X)
    assert decisions.shape == model.decision_function(X).shape and decisions.dtype == dtype
    assert_allclose(decisions, model.decision_function(X), atol=1e-5)
    assert_array_equal(plain.predict(X), model.predict(X))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("model", [model for model, _ in REGRESSORS if not model.early_stopping])
def test_a_refit_of_the_regressor_minimises_the_same(model, weights):
    """Its parameters stand for the objective, with weights and without."""
    X = rows()
    y = target(X)
    model = clone(model).set_params(sample_bits=None, tol=1e-9, max_iter=1000, random_state=0)
    plain = model.fit(X, y, weights).to_sklearn()
    again = clone(plain).fit(X, y, weights)
    assert_allclose(again.coef_, model.coef_, rtol=1e-4, atol=1e-4)
    assert_allclose(again.intercept_, model.intercept_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("model", [ZipMLLSSVC(C=0.01), ZipMLLSSVC(C=1.0, class_weight="balanced")])
def test_a_refit_of_the_classifier_minimises_the_same(model):
    """The one of RidgeClassifier."""
    X = StandardScaler().fit_transform(rows())
    y = labels(X)
    model = clone(model).set_params(sample_bits=None, tol=1e-9, max_iter=1000, random_state=0).fit(X, y)
    again = clone(model.to_sklearn()).fit(X, y)
    assert_allclose(again.coef_, model.coef_, rtol=1e-4, atol=1e-5)
    assert_allclose(again.intercept_, model.intercept_, rtol=1e-4, atol=1e-5)


def test_a_refit_of_the_l1_classifier_minimises_the_same():
    """The one of SGDClassifier, up to its noise: a strong penalty decides which coefficients are zero."""
    X = StandardScaler().fit_transform(rows())
    y = labels(X, 2)
    model = ZipMLLSSVC(None, C=0.01, l1_ratio=0.9, tol=1e-9, max_iter=1000, random_state=0).fit(X, y)
    plain = model.to_sklearn()
    steps = {"learning_rate": "invscaling", "eta0": 0.01, "max_iter": 300, "tol": None, "random_state": 0}
    again = clone(plain).set_params(**steps).fit(X, y)
    assert 0 < np.count_nonzero(model.coef_) < 4
    assert_allclose(again.coef_, model.coef_, atol=0.01)


@pytest.mark.parametrize("per_target", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_refit_of_the_searched_regressor_minimises_the_same(weights, per_target):
    """With the penalty that was chosen, or one for every target."""
    X = rows()
    y = np.c_[target(X), np.random.default_rng(2).normal(size=300)]
    search = ZipMLRegressorCV([1e-3, 0.1, 10.0], None, alpha_per_target=per_target, random_state=0)
    plain = search.fit(X, y, weights).to_sklearn()
    assert np.size(plain.alpha) == (2 if per_target else 1)
    assert_exported(search, plain, X)
    assert_allclose(plain.predict(X), search.predict(X), rtol=1e-12)
    again = clone(plain).fit(X, y, weights)
    assert_allclose(again.coef_, search.coef_, rtol=1e-6, atol=1e-9)
    nothing = ZipMLRegressorCV([0.0], None, random_state=0).fit(X, y[:, 0])
    assert_allclose(clone(nothing.to_sklearn()).fit(X, y[:, 0]).coef_, nothing.coef_, rtol=1e-6)


def test_a_refit_of_the_searched_classifier_minimises_the_same():
    """That of RidgeClassifier, with the C that was chosen."""
    X = StandardScaler().fit_transform(rows())
    y = labels(X)
    search = ZipMLLSSVCCV([1e-4, 0.01, 1.0], None, class_weight="balanced", random_state=0).fit(X, y)
    plain = search.to_sklearn()
    assert_exported(search, plain, X)
    assert_array_equal(plain.predict(X), search.predict(X))
    again = clone(plain).fit(X, y)
    assert_allclose(again.coef_, search.coef_, rtol=1e-5, atol=1e-7)


def test_partial_fit_counts_the_rows_of_all_chunks():
    """So alpha is that of all rows."""
    X = rows()
    y = target(X)
    model = ZipMLRegressor(alpha=0.1, random_state=0).partial_fit(X[:100], y[:100]).partial_fit(X[100:], y[100:])
    assert model.to_sklearn().alpha == pytest.approx(30)


def test_feature_names():
    """A frame's columns are remembered, and other ones refused."""
    X = pd.DataFrame(rows(), columns=list("abcd"))
    model = ZipMLRegressor(random_state=0).fit(X, target(X.to_numpy()))
    plain = model.to_sklearn()
    assert_array_equal(plain.feature_names_in_, ["a", "b", "c", "d"])
    assert_allclose(plain.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="feature names"):
        plain.predict(X[list("dcba")])


def test_a_fitted_pipeline_goes_on_without_this_package():
    """The quantizer passes rows through when predicting, so it is left out."""
    X = rows()
    model = make_pipeline(StandardScaler(), DoubleSamplingQuantizer(4, random_state=0), ZipMLRegressor(random_state=0))
    model.fit(X, target(X))
    plain = make_pipeline(*model[:-2], model[-1].to_sklearn())
    assert_allclose(plain.predict(X), model.predict(X))
    assert b"zipml" not in pickle.dumps(plain).lower()


@pytest.mark.parametrize("model", [ZipMLRegressor(), ZipMLLSSVC(), ZipMLRegressorCV(), ZipMLLSSVCCV()])
def test_unfitted(model):
    """There is nothing to export yet."""
    with pytest.raises(NotFittedError):
        model.to_sklearn()
