"""A fit that raises, or is interrupted, has not happened: the estimator is what it was before."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators import base, quantizer
from sklearn_zipml._estimators.guard import all_or_nothing
from sklearn_zipml._quantization.row_sample import RowSample


def frame(names="abc", n=60, seed=0):
    """Rows with names."""
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, len(names))), columns=list(names))


def target(model, n=60):
    """One that suits the model."""
    y = np.arange(n) % 2
    return y if isinstance(model, ZipMLLSSVC) else y.astype(float)


def classes_of(model):
    """What the first partial_fit of a classifier needs."""
    return {"classes": [0, 1]} if isinstance(model, ZipMLLSSVC) else {}


def with_value(value):
    """Rows of other names and width, one of which holds the value."""
    X = frame("wxyz", seed=1)
    X.iloc[7, 2] = value
    return X


BAD = {
    "NaN": with_value(np.nan),
    "infinity": with_value(-np.inf),
    "span": frame("wxyz").assign(x=np.resize([-1.7e308, 1.7e308], 60)),
    "strings": frame("wxyz").assign(x="a"),
    "empty": frame("wxyz")[:0],
    "one dimension": np.ones(60),
    "no columns": np.ones((60, 0)),
    "no rows packed": DoubleSamplingQuantizer(2, random_state=0).fit_transform(frame("wxyz"))[:0],
}
MODELS = {
    "regressor": lambda: ZipMLRegressor(random_state=0),
    "floats": lambda: ZipMLRegressor(None, random_state=0),
    "classifier": lambda: ZipMLLSSVC(random_state=0),
    "quantizer": lambda: DoubleSamplingQuantizer(random_state=0),
}


def state(thing):
    """Everything in it, as plain values."""
    if isinstance(thing, RowSample):  # the order in it, and what is left over behind it, are its own business
        return thing.n_seen, state(thing.values())
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.tolist()
    if isinstance(thing, list):
        return [state(value) for value in thing]
    return {name: state(value) for name, value in vars(thing).items()} if hasattr(thing, "__dict__") else repr(thing)


def assert_works(model, reference):
    """It predicts, or quantizes, as one that nothing has happened to."""
    X = frame(seed=2)
    if isinstance(model, DoubleSamplingQuantizer):
        assert model.quantize(X) == reference.quantize(X)
        assert model.quantize(X).feature_names == ("a", "b", "c")
    else:
        assert_array_equal(model.predict(X), reference.predict(X))
        assert model.score(X, target(model)) == reference.score(X, target(model))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize("make", MODELS)
def test_rows_that_are_refused(make, first, bad):
    """In fit, fit_transform and partial_fit, on a model that was fitted either way; and it goes on from there."""
    model, reference = MODELS[make](), MODELS[make]()
    chunk = classes_of(model) if first == "partial_fit" else {}
    for estimator in (model, reference):
        getattr(estimator, first)(frame(), target(model), **chunk)
    before = state(model)
    X, y = BAD[bad], target(model, len(BAD[bad]))
    calls = [model.fit, model.partial_fit, *([model.fit_transform] if make == "quantizer" else [])]
    for call in calls:
        with pytest.raises(ValueError), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            call(X, y)
        assert state(model) == before
    assert_works(model, reference)
    for estimator in (model, reference):
        estimator.partial_fit(frame(seed=3), target(model))
    assert_works(model, reference)


@pytest.mark.parametrize("make", MODELS)
def test_unfitted_stays_unfitted(make):
    """There is nothing to predict with, and no width to keep to."""
    model = MODELS[make]()
    for call in (model.fit, lambda X, y: model.partial_fit(X, y, **classes_of(model))):
        with pytest.raises(ValueError):
            call(BAD["NaN"], target(model))
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        assert not hasattr(model, "n_features_in_") and not hasattr(model, "feature_names_in_")
    model.fit(frame("ab"), target(model))
    assert model.n_features_in_ == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda model, X, y: model.fit(X, y[:-1]),
        lambda model, X, y: model.fit(X, np.where(np.arange(60) == 3, np.nan, y)),
        lambda model, X, y: model.fit(X, y, sample_weight=np.zeros(60)),
        lambda model, X, y: model.fit(X, y, sample_weight=np.full(60, np.nan)),
        lambda model, X, y: model.set_params(sample_bits=9).fit(X, y),
        lambda model, X, y: model.set_params(sampling="double", sample_bits=1).fit(X, y),
        lambda model, X, y: model.set_params(resample="epoch").partial_fit(X, y),
        lambda model, X, y: model.set_params(warm_start=True).fit(X, y),
        lambda model, X, y: model.set_params(early_stopping=True, validation_fraction=0.99).fit(X[:3], y[:3]),
        lambda model, X, y: model.fit(PackedMatrix.from_chunks(X, sample_bits=2, random_state=0)),
    ],
)
@pytest.mark.parametrize("make", ["regressor", "classifier"])
def test_everything_else_that_is_refused(make, change):
    """Targets, weights and settings; parameters that were set stay set."""
    model, reference = MODELS[make](), MODELS[make]()
    for estimator in (model, reference):
        estimator.fit(frame(), target(model))
    with pytest.raises(ValueError):
        change(model, frame("wxyz"), target(model))
    for name in ("coef_", "feature_names_in_", "loss_curve_"):
        assert_array_equal(getattr(model, name), getattr(reference, name))
    assert_works(model, reference)


def test_coefficients_that_overflow(monkeypatch):
    """Are found at the very end of fit and of partial_fit, when the rows have been counted."""
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.linspace(-1, 1, 60)
    model = ZipMLRegressor(8, alpha=0, random_state=0).partial_fit(X, y)
    before, minimum = state(model), base.NormalEquations.minimum
    monkeypatch.setattr(
        base.NormalEquations, "minimum", lambda *arguments: replace(minimum(*arguments), coef=np.full((1, 3), np.inf))
    )
    for call, rows, target in ((model.fit, X * 1e-200, y * 1e200), (model.partial_fit, X, y)):
        with pytest.raises(ValueError, match="exceed the range"):
            call(rows, target)
        assert state(model) == before


@pytest.mark.parametrize("make", MODELS)
def test_interrupts(make, monkeypatch):
    """Ctrl-C in the middle: after the new width is known, and after the rows have been counted."""
    model = MODELS[make]()
    model.partial_fit(frame(n=60), target(model), **classes_of(model))
    before = state(model)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    if make == "quantizer":
        monkeypatch.setattr(quantizer, "find_grid", interrupt)
        monkeypatch.setattr(quantizer.ColumnSketch, "find_grid", interrupt)
    else:
        monkeypatch.setattr(base, "solve", interrupt)
        monkeypatch.setattr(base.NormalEquations, "minimum", interrupt)
    for call, X in ((model.fit, frame("wxyz")), (model.partial_fit, frame(seed=5))):
        with pytest.raises(KeyboardInterrupt):
            call(X, target(model))
        assert state(model) == before


def test_many_chunks_and_one_that_fails():
    """The sample of rows that a quantizer keeps is not touched by a chunk that is refused, however full it is."""
    rng = np.random.default_rng(0)
    model, reference = (DoubleSamplingQuantizer(4, random_state=0) for _ in range(2))
    for _ in range(8):
        chunk = rng.normal(size=(3000, 2))
        reference.partial_fit(chunk)
        model.partial_fit(chunk)
        huge = np.array([[1e308, 0.0], [-1e308, 0.0]])
        with pytest.raises(ValueError, match="spans more"):
            model.partial_fit(np.vstack([rng.normal(size=(3000, 2)), huge]))
    assert_array_equal(model.levels_, reference.levels_)
    assert_array_equal(model._sketch.sample.values(), reference._sketch.sample.values())


def test_as_scikit_learn():
    """Ridge, too, predicts with what it has after a fit that failed."""
    X, y = frame(), np.arange(60.0)
    for model in (Ridge(), ZipMLRegressor(random_state=0)):
        model.fit(X, y)
        expected = model.predict(X)
        with pytest.raises(ValueError):
            model.fit(X.assign(a=np.nan), y)
        assert_array_equal(model.predict(X), expected)


def test_no_moment_without_attributes():
    """They are put back one by one, not removed first: another thread may be predicting."""
    seen = []

    class Watched(dict):
        def __delitem__(self, name):
            seen.append(name)
            super().__delitem__(name)

        def clear(self):
            raise AssertionError("it has no attributes now")

        def copy(self):
            return dict(self)

    class Model:
        @all_or_nothing
        def fit(self):
            vars(self).update(coef_=2, extra=1)
            raise RuntimeError

    model = Model()
    model.__dict__ = Watched(coef_=1)
    with pytest.raises(RuntimeError):
        model.fit()
    assert vars(model) == {"coef_": 1} and seen == ["extra"]
