"""Weights that a PackedMatrix brings along are those of `fit`, where it is given none."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    PackedMatrix,
    ZipMLLogisticRegression,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLRegressor,
    ZipMLRegressorCV,
)

RNG = np.random.default_rng(0)
X = RNG.integers(0, 4, (400, 5)).astype(float)  # which two bits hold without loss
Y = X @ np.arange(5.0) + RNG.standard_normal(400) * (1 + X[:, 0])
LABELS = np.where(Y > np.median(Y), "high", "low")
WEIGHTS = RNG.integers(0, 4, 400) / 2.0
ESTIMATORS = [
    ZipMLRegressor(2, alpha=0.01, random_state=0),
    ZipMLLSSVC(2, class_weight="balanced", random_state=0),
    ZipMLLogisticRegression(2, random_state=0),
    ZipMLRegressorCV([1e-3, 1e-1, 10.0], 2, random_state=0),
    ZipMLLSSVCCV([1e-3, 1.0], 2, random_state=0),
]


def packed(y, weights=WEIGHTS):
    """The rows with targets and weights."""
    return PackedMatrix.from_chunks(X, y, sample_weight=weights, sample_bits=2, random_state=0)


def target(model):
    """What a model learns."""
    return LABELS if hasattr(model, "C") or hasattr(model, "Cs") else Y


@pytest.mark.parametrize("model", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_fit_takes_them(model):
    """To the bit what weights that are given do; those come first, and no weights are another fit."""
    y = target(model)
    given = clone(model).fit(packed(y, None), sample_weight=WEIGHTS)
    own = clone(model).fit(packed(y))
    np.testing.assert_array_equal(own.coef_, given.coef_)
    np.testing.assert_array_equal(clone(model).fit(packed(y, WEIGHTS[::-1]), y, WEIGHTS).coef_, given.coef_)
    assert not np.array_equal(clone(model).fit(packed(y, None)).coef_, given.coef_)


@pytest.mark.parametrize("constant", [np.ones(400), np.full(400, 3.0)])
def test_given_ones_come_first_in_searches(constant):
    """A search whose weights do not differ fits without any, not with those of the rows."""
    model = ZipMLRegressorCV([1e-3, 1.0], [2], random_state=0)
    given = clone(model).fit(packed(Y), Y, constant)
    expected = clone(model).fit(packed(Y, None), Y, constant)
    np.testing.assert_array_equal(given.coef_, expected.coef_)
    np.testing.assert_allclose(given.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=0)


def test_against_ridge():
    """The minimum of scikit-learn, on values that are stored without loss."""
    model = ZipMLRegressor(2, alpha=0.01, tol=1e-12, random_state=0).fit(packed(Y))
    expected = Ridge(alpha=0.01 * WEIGHTS.sum()).fit(X, Y, WEIGHTS)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-5)


def test_partial_fit():
    """Chunks of packed rows bring theirs."""
    rows, model = packed(Y), ZipMLRegressor(2, random_state=0)
    given = ZipMLRegressor(2, random_state=0)
    for part in (slice(0, 100), slice(100, 400)):
        model.partial_fit(rows[part])
        given.partial_fit(rows.with_sample_weight(None)[part], Y[part], WEIGHTS[part])
    np.testing.assert_array_equal(model.coef_, given.coef_)


def test_cross_validation_and_pipelines():
    """Training rows keep their weights; `score` counts rows alike, unless it is told otherwise."""
    rows, model, folds = packed(Y), ZipMLRegressor(2, random_state=0), KFold(4)
    scores = cross_val_score(model, rows, cv=folds)
    for score, (train, test) in zip(scores, folds.split(X), strict=True):
        fold = clone(model).fit(X[train], Y[train], WEIGHTS[train])
        assert score == pytest.approx(fold.score(X[test], Y[test]), abs=1e-6)
    search = GridSearchCV(make_pipeline(DoubleSamplingQuantizer(2, random_state=0), model), {}, cv=folds).fit(rows)
    assert search.best_score_ == pytest.approx(scores.mean())
    own = model.fit(rows)
    weighted = own.score(rows, sample_weight=rows.sample_weight)
    assert weighted == pytest.approx(own.score(X, Y, WEIGHTS))
    assert own.score(rows) == pytest.approx(own.score(X, Y))


def test_targets_with_holes():
    """Outputs that are known of other rows take the weights of theirs."""
    y = np.stack([Y, Y[::-1]], axis=1)
    y[::3, 0] = np.nan
    model = ZipMLRegressor(2, missing_target="drop", random_state=0)
    own = clone(model).fit(packed(y))
    given = clone(model).fit(packed(y, None), y, WEIGHTS)
    np.testing.assert_array_equal(own.coef_, given.coef_)


def test_all_zero():
    """Is an error of the fit, as with weights that are given."""
    with pytest.raises(ValueError, match="all weights are zero"):
        ZipMLRegressor(2).fit(packed(Y, np.zeros(400)))
