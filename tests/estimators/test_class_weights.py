"""Weights of rows and of classes."""

import numpy as np
import pytest
from classification import EXACT, assert_same_model, grid_data
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_zipml import ZipMLLSSVC


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("sample_bits", [None, 8])
def test_integer_weights_are_repetitions(sample_bits, classes):
    """Same optimum as repeated rows and as weighted RidgeClassifier, to 1e-4 of the largest coefficient."""
    X, y = grid_data(classes=classes)
    weights = np.random.default_rng(1).integers(1, 5, size=len(y))
    model = ZipMLLSSVC(sample_bits, C=1e-3, **EXACT)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    reference = RidgeClassifier(alpha=1e3).fit(X, y, sample_weight=weights)
    assert_same_model(weighted, reference, rtol=1e-4)
    assert_same_model(repeated, reference, rtol=1e-4)


@pytest.mark.parametrize("sample_bits", [None, 2, 8])
def test_zero_weights_are_removals(sample_bits):
    """Rows of weight zero have no influence at all."""
    X, y = grid_data(classes=3)
    weights = np.random.default_rng(1).integers(0, 3, size=len(y))
    kept = weights > 0
    model = ZipMLLSSVC(sample_bits, random_state=0)
    zero = clone(model).fit(X, y, sample_weight=weights)
    removed = clone(model).fit(X[kept], y[kept], sample_weight=weights[kept])
    assert_array_equal(zero.coef_, removed.coef_)
    assert_array_equal(zero.intercept_, removed.intercept_)


def unbalanced(classes=2):
    """Class 0 is rare."""
    X, y = grid_data(n=900, classes=classes)
    keep = (y != 0) | (np.arange(len(y)) % 8 == 0)
    keep[:2] = True
    return X[keep], y[keep]


@pytest.mark.parametrize("class_weight", ["balanced", {0: 10}, {0: 3.5, 1: 0.25}])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("sample_bits", [None, 8])
def test_class_weights(sample_bits, classes, class_weight):
    """They multiply sample weights, exactly, and are those of RidgeClassifier."""
    X, y = unbalanced(classes)
    weights = np.random.default_rng(1).uniform(0.5, 2, size=len(y))
    by_class = compute_sample_weight(class_weight, y)
    model = ZipMLLSSVC(sample_bits, **EXACT)
    for own in (None, weights):
        given = clone(model).set_params(class_weight=class_weight).fit(X, y, sample_weight=own)
        manual = clone(model).fit(X, y, sample_weight=by_class if own is None else own * by_class)
        assert_array_equal(given.coef_, manual.coef_)
        assert_array_equal(given.intercept_, manual.intercept_)
        reference = RidgeClassifier(alpha=1, class_weight=class_weight).fit(X, y, sample_weight=own)
        assert_same_model(given, reference, rtol=1e-4)


def test_balanced_finds_the_rare_class():
    """More of the rare class is recalled."""
    X, y = unbalanced()
    plain = ZipMLLSSVC(random_state=0).fit(X, y).predict(X[y == 0])
    balanced = ZipMLLSSVC(random_state=0, class_weight="balanced").fit(X, y).predict(X[y == 0])
    assert (balanced == 0).mean() > (plain == 0).mean() + 0.1


def test_class_weight_with_string_labels():
    """Keys are labels."""
    X, y = unbalanced()
    labels = np.array(["rare", "usual"])[y]
    model = ZipMLLSSVC(class_weight={"rare": 5}, random_state=0).fit(X, labels)
    assert_array_equal(model.coef_, ZipMLLSSVC(class_weight={0: 5}, random_state=0).fit(X, y).coef_)
    with pytest.raises(ValueError, match="not in class_weight"):
        ZipMLLSSVC(class_weight={"other": 5}).fit(X, labels)


def test_weight_errors():
    """Nothing is left."""
    X, y = grid_data()
    with pytest.raises(ValueError, match=r"(?i)weights.*zero"):
        ZipMLLSSVC().fit(X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match="zero"):
        ZipMLLSSVC(class_weight={0: 0}).fit(X, y, sample_weight=1 - y)


@pytest.mark.parametrize("weight", [-1, -1e-300, np.nan, np.inf, "heavy"])
@pytest.mark.parametrize("fit", ["fit", "partial_fit"])
@pytest.mark.parametrize("sample_bits", [None, 4])
def test_class_weights_that_are_none(sample_bits, fit, weight):
    """The message names the parameter, the class and what it got, whether there are samples of the class or not."""
    X, y = grid_data()
    model = ZipMLLSSVC(sample_bits, random_state=0)
    for label in (0, 7):
        model.set_params(class_weight={label: weight, 1 - label: 1})
        arguments = {"classes": [0, 1]} if fit == "partial_fit" else {}
        with pytest.raises(ValueError, match=rf"class_weight=.*the weight of class {label} is {weight!r}"):
            getattr(model, fit)(X, y, **arguments)


@pytest.mark.parametrize("labels", [[5] * 40, ["a"] * 40, [False] * 40, [2.0] * 40], ids=repr)
@pytest.mark.parametrize("settings", [{}, {"fit_intercept": False}, {"class_weight": "balanced"}, {"solver": "sgd"}])
@pytest.mark.parametrize("sample_bits", [2, None])
def test_one_class(sample_bits, settings, labels):
    """As in RidgeClassifier: it is the negative one, and all that is predicted."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = ZipMLLSSVC(sample_bits, random_state=0, **settings).fit(X, labels)
    plain = RidgeClassifier(fit_intercept=model.fit_intercept, class_weight=model.class_weight).fit(X, labels)
    assert_array_equal(model.classes_, plain.classes_)
    assert (model.coef_.shape, model.intercept_.shape) == ((1, 3), (1,))
    assert model.decision_function(X).shape == plain.decision_function(X).shape == (40,)
    if model.fit_intercept:  # without one RidgeClassifier fails where the decision is positive
        assert_array_equal(model.decision_function(X), plain.decision_function(X))
        assert_array_equal(model.to_sklearn().predict(X), plain.predict(X))
    assert_array_equal(model.predict(-10 * X), labels)
    assert model.score(X, labels) == 1


def test_one_class_with_early_stopping():
    """Its accuracy is known from the beginning."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = ZipMLLSSVC(early_stopping=True, random_state=0).fit(X, np.ones(40))
    assert set(model.validation_scores_) == {1.0}


def test_one_class_of_two_has_weight():
    """The other one stays known, and is not predicted."""
    X, y = grid_data()
    for model, weight in ((ZipMLLSSVC(), y), (ZipMLLSSVC(class_weight={0: 0}), None)):
        model.set_params(random_state=0).fit(X, y, sample_weight=weight)
        assert_array_equal(model.classes_, [0, 1])
        assert_array_equal(model.coef_, np.zeros((1, X.shape[1])))
        assert_array_equal(model.predict(X), np.ones(len(X)))


def test_bagging_of_a_rare_class():
    """Bootstraps without it do not end the ensemble, which decides as one of RidgeClassifiers."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.r_[np.zeros(58), np.ones(2)].astype(int)
    X[-2:] += 3
    bagged, plain = (
        BaggingClassifier(model, 20, random_state=0).fit(X, y)
        for model in (ZipMLLSSVC(8, random_state=0), RidgeClassifier())
    )
    assert min(len(np.unique(y[rows])) for rows in bagged.estimators_samples_) == 1
    assert_array_equal(bagged.predict(X), plain.predict(X))
    assert_allclose(bagged.predict_proba(X), plain.predict_proba(X))


def test_class_without_weight_stays_known():
    """Two of three classes are enough, and classes_ has all."""
    X, y = grid_data(classes=3)
    model = ZipMLLSSVC(random_state=0).fit(X, y, sample_weight=(y > 0) * 1.0)
    assert_array_equal(model.classes_, [0, 1, 2])
    assert 0 not in model.predict(X)
    assert np.isfinite(model.coef_).all()
