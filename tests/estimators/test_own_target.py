"""A PackedMatrix that brings its target needs no y, wherever scikit-learn passes none on."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

KINDS = ["one", "several", "labels"]
CV = KFold(3, shuffle=True, random_state=0)  # of an integer, classifiers make other folds when they see y


def case(kind):
    """A model, packed rows with a target, and the target."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = X @ rng.normal(size=(4, 2)) + 0.3 * rng.normal(size=(300, 2))
    y = {"one": y[:, 0], "several": y, "labels": np.where(y[:, 0] > 0, "up", "down")}[kind]
    model = ZipMLLSSVC(random_state=0) if kind == "labels" else ZipMLRegressor(random_state=0)
    return model, PackedMatrix.from_chunks(X, y, random_state=0), y


def in_a_pipeline(model):
    """Behind a quantizer that requantizes."""
    return make_pipeline(DoubleSamplingQuantizer(2, random_state=0), model)


GRID = {"fit_intercept": [True, False]}
WORK = {
    "fit and score": lambda model, *data: model.fit(*data).score(*data),
    "early stopping": lambda model, *data: clone(model).set_params(early_stopping=True).fit(*data).score(*data),
    "cross_val_score": lambda model, *data: cross_val_score(model, *data, cv=CV),
    "cross_validate": lambda model, *data: cross_validate(model, *data, cv=CV, return_train_score=True)["train_score"],
    "time series": lambda model, *data: cross_val_score(model, *data, cv=TimeSeriesSplit(3)),
    "two processes": lambda model, *data: cross_val_score(model, *data, cv=CV, n_jobs=2),
    "cross_val_predict": lambda model, *data: cross_val_predict(model, *data, cv=CV),
    "learning_curve": lambda model, X, y=None: learning_curve(model, X, y, cv=CV)[2],
    "validation_curve": lambda model, X, y=None: validation_curve(
        model, X, y, cv=CV, param_name="fit_intercept", param_range=[True, False]
    )[1],
    "grid": lambda model, *data: GridSearchCV(model, GRID, cv=CV).fit(*data).cv_results_["mean_test_score"],
    "score of a search": lambda model, *data: GridSearchCV(model, GRID, cv=CV).fit(*data).score(*data),
    "random search": lambda model, *data: RandomizedSearchCV(model, GRID, n_iter=2, cv=CV).fit(*data).best_score_,
    "halving": lambda model, *data: (
        HalvingGridSearchCV(model, GRID, cv=CV, min_resources=60, random_state=0).fit(*data).best_score_
    ),
    "callable scorer": lambda model, *data: cross_val_score(
        model, *data, cv=CV, scoring=lambda model, X, y=None: model.score(X, y) ** 2
    ),
    "pipeline": lambda model, *data: in_a_pipeline(model).fit(*data).score(*data),
    "pipeline in a search": lambda model, *data: cross_val_score(in_a_pipeline(model), *data, cv=CV),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("work", WORK)
def test_no_target_is_needed(work, kind):
    """The result is the one of the target given apart."""
    model, packed, y = case(kind)
    assert_array_equal(WORK[work](model, packed), WORK[work](model, packed, y))


@pytest.mark.parametrize("kind", KINDS)
def test_targets_and_weights_go_with_the_rows(kind):
    """Folds of packed rows have the targets and the weights of these rows."""
    model, packed, y = case(kind)
    weights = np.tile([0.0, 1.0, 3.0], 100)
    wrong = np.where(weights[:, None] == 0, np.roll(y.reshape(300, -1), 1, axis=0), y.reshape(300, -1)).reshape(y.shape)
    with config_context(enable_metadata_routing=True):
        asking = model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        results = [
            cross_validate(asking, *data, cv=CV, params={"sample_weight": weights}, return_estimator=True)
            for data in ((packed,), (packed, y), (packed.with_target(wrong),))
        ]
    for other in results[1:]:
        assert_array_equal(other["test_score"], results[0]["test_score"])
        for one, two in zip(results[0]["estimator"], other["estimator"], strict=True):
            assert_array_equal(one.coef_, two.coef_)
    plain = cross_val_score(model, packed, cv=CV)
    assert not np.array_equal(plain, results[0]["test_score"])


@pytest.mark.parametrize("kind", KINDS)
def test_score_of_some_rows(kind):
    """With weights, and with another target than theirs."""
    model, packed, y = case(kind)
    model.fit(packed)
    rows, weights = np.arange(0, 300, 7), np.linspace(0, 1, 43)
    for score in (model.score(packed[rows]), model.score(packed[rows], sample_weight=weights)):
        assert 0.5 < score < 1.0001
    decoded = model.score(np.asarray(packed[rows]), y[rows], weights)
    assert model.score(packed[rows], None, weights) == pytest.approx(decoded, abs=1e-9)
    assert model.score(packed[rows], np.roll(y[rows], 1, axis=0)) < model.score(packed[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_chunks(kind):
    """partial_fit takes the target of each."""
    model, packed, y = case(kind)
    classes = {"classes": np.unique(y)} if kind == "labels" else {}
    own, given = clone(model), clone(model)
    for rows in (slice(0, 100), slice(100, None)):
        own.partial_fit(packed[rows], **classes)
        given.partial_fit(packed[rows], y[rows], **classes)
    assert_array_equal(own.coef_, given.coef_)
    assert own.score(packed) == given.score(packed, y)


def test_without_any_target():
    """The same message as from fit, wherever it is missing."""
    model, packed, y = case("one")
    model.fit(packed)
    for rows in (packed.with_target(None), np.asarray(packed)):
        for work in (model.fit, model.partial_fit, model.score, make_pipeline(model).score):
            with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
                work(rows)
    with pytest.raises(ValueError, match="requires y to be passed"):  # which decodes them
        make_pipeline(StandardScaler(), model).fit(packed)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(packed, y[:-1])


def test_scorers_by_name_need_the_target():
    """scikit-learn calls them without y, an error; packed.target is what they want."""
    model, packed, _ = case("one")
    with pytest.raises(TypeError, match="y_true"):
        cross_val_score(model, packed, scoring="r2", error_score="raise")
    named = cross_val_score(model, packed, packed.target, scoring="r2")
    assert_array_equal(named, cross_val_score(model, packed))
