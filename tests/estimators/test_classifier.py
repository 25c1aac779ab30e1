"""ZipMLLSSVC against closed forms, with labels and weights of every kind."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC

EXACT = {"tol": 1e-10, "max_iter": 1000, "random_state": 0}


def grid_data(n=400, d=6, classes=2, seed=0):
    """Rows on the grid 0..255, which 8 bits hold without loss, and labels that are not quite linear in them."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, size=(n, d)).astype(np.float64)
    X[0], X[1] = 0, 255
    scores = (X - 127.5) @ rng.normal(size=(d, classes)) + 60 * rng.normal(size=(n, classes))
    return X, scores.argmax(axis=1)


def assert_same_model(model, reference, rtol):
    """Coefficients relative to the largest one, and what the intercept does to decisions."""
    size = np.abs(reference.coef_).max()
    assert_allclose(model.coef_, np.atleast_2d(reference.coef_), rtol=0, atol=rtol * size)
    assert_allclose(model.intercept_, reference.intercept_, rtol=0, atol=2000 * rtol * size)


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


# Weights


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
