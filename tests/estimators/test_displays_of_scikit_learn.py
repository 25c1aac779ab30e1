"""Displays of scikit-learn with these estimators, as the guide tells which work."""

import numpy as np
import pytest
from sklearn.calibration import CalibrationDisplay
from sklearn.inspection import DecisionBoundaryDisplay, PartialDependenceDisplay
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    DetCurveDisplay,
    PrecisionRecallDisplay,
    PredictionErrorDisplay,
    RocCurveDisplay,
)
from sklearn.model_selection import LearningCurveDisplay, ValidationCurveDisplay

from sklearn_zipml import PackedMatrix, ZipMLLogisticRegression, ZipMLLSSVC, ZipMLRegressor

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 2))
Y = X.sum(axis=1) + RNG.standard_normal(300) / 4
LABELS = np.where(Y > 0, "high", "low")
PACKED = PackedMatrix.from_chunks(X, Y, sample_bits=8, random_state=0)
NAMED = PackedMatrix.from_chunks(X, LABELS, sample_bits=8, random_state=0)
REGRESSOR = ZipMLRegressor(random_state=0).fit(PACKED)
CLASSIFIERS = [ZipMLLSSVC(random_state=0).fit(NAMED), ZipMLLogisticRegression(random_state=0).fit(NAMED)]


@pytest.fixture(autouse=True)
def _closed():
    """No figure stays."""
    yield
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("rows", [X, PACKED], ids=["floats", "packed"])
def test_regressors(rows):
    """Errors of predictions, learning and validation curves."""
    errors = PredictionErrorDisplay.from_estimator(REGRESSOR, rows, Y)
    np.testing.assert_array_equal(errors.y_pred, REGRESSOR.predict(rows))
    learning = LearningCurveDisplay.from_estimator(REGRESSOR, rows, Y, cv=3)
    assert learning.test_scores[-1].mean() > 0.8
    validation = ValidationCurveDisplay.from_estimator(
        REGRESSOR, rows, Y, param_name="alpha", param_range=[1e-4, 1e-1], cv=3
    )
    assert validation.test_scores.shape == (2, 3)


@pytest.mark.parametrize("rows", [X, NAMED], ids=["floats", "packed"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=lambda model: type(model).__name__)
def test_classifiers(model, rows):
    """Confusions and curves of decisions."""
    assert ConfusionMatrixDisplay.from_estimator(model, rows, LABELS).confusion_matrix.sum() == 300
    for display in (RocCurveDisplay, PrecisionRecallDisplay, DetCurveDisplay):
        display.from_estimator(model, rows, LABELS)


def test_probabilities():
    """Calibration curves need them."""
    least_squares, logistic = CLASSIFIERS
    CalibrationDisplay.from_estimator(logistic, X, LABELS == "low")
    with pytest.raises(AttributeError, match="predict_proba"):
        CalibrationDisplay.from_estimator(least_squares, X, LABELS == "low")


def test_rows_that_are_changed():
    """Boundaries and dependence make rows of their own: these take floats."""
    DecisionBoundaryDisplay.from_estimator(CLASSIFIERS[0], X)
    PartialDependenceDisplay.from_estimator(REGRESSOR, X, [0])
    with pytest.raises(AttributeError, match="'PackedMatrix' object has no attribute 'copy'"):
        PartialDependenceDisplay.from_estimator(REGRESSOR, PACKED, [0])
