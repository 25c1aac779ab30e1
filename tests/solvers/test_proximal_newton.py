"""Logistic regression with an l1 penalty, judged by its optimality conditions and by a bound from below."""

import re

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sklearn_zipml import ZipMLLogisticRegression
from sklearn_zipml._solvers import proximal_newton
from sklearn_zipml._solvers.logistic_dual import dual_gap
from sklearn_zipml._solvers.logistic_objective import LogisticObjective

EXACT = {"tol": 1e-9, "random_state": 0}


def data(n=400, d=30, n_classes=3, seed=0):
    """Few columns that matter, of unlike scales, and float32 numbers."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-3, 4, d) + rng.integers(-2, 3, d)).astype(np.float32)
    score = ((X - X.mean(axis=0)) / X.std(axis=0)) @ (rng.standard_normal((d, n_classes)) * (rng.random((d, 1)) < 0.3))
    return X.astype(np.float64), (score + rng.gumbel(size=score.shape)).argmax(axis=1)


def scaled(*shape, **settings):
    """The same of a deviation of one, and a mean of one."""
    X, y = data(*shape, **settings)
    return ((X - X.mean(axis=0)) / X.std(axis=0) + 1).astype(np.float32).astype(np.float64), y


def decisions(model, X):
    """Scores of all classes."""
    scores = X @ model.coef_.T.astype(float) + model.intercept_
    return np.column_stack([np.zeros(len(X)), scores]) if scores.shape[1] == 1 else scores


def gain(model, X, y, weights=1.0):
    """What one coefficient or intercept alone could still gain, about, in parts of the objective."""
    coef, ratio = model.coef_.astype(float), model.l1_ratio
    p, weights = softmax(decisions(model, X), axis=1), np.reshape(weights, (-1, 1))
    residual = ((p - np.eye(len(model.classes_))[y]) * weights)[:, -len(coef) :]
    curvature = (p * (1 - p) * weights)[:, -len(coef) :]
    slope = model.C * residual.T @ X + (1 - ratio) * coef
    left = np.where(coef != 0, np.abs(slope + ratio * np.sign(coef)), np.maximum(np.abs(slope) - ratio, 0))
    gains = left**2 / (2 * (model.C * curvature.T @ X**2 + 1 - ratio))
    intercept = model.C * residual.sum(axis=0) ** 2 / (2 * curvature.sum(axis=0)) * model.fit_intercept
    return max(gains.max(), intercept.max()) / objective(model, X, y, weights)


def objective(model, X, y, weights=1.0):
    """That of scikit-learn."""
    logs, coef = log_softmax(decisions(model, X), axis=1), model.coef_.astype(float)
    penalty = model.l1_ratio * np.abs(coef).sum() + (1 - model.l1_ratio) / 2 * (coef**2).sum()
    return penalty - model.C * (np.ravel(weights) * logs[np.arange(len(y)), y]).sum()


# small, large and by rows; one matrix of all classes, and models by class
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n, d, n_classes", [(400, 30, 2), (40, 120, 2), (400, 30, 3)])
def test_optimality(n, d, n_classes, fit_intercept, l1_ratio):
    """Slopes are within the penalty, and at it where coefficients are not zero; some are zero."""
    X, y = scaled(n, d, n_classes)
    model = ZipMLLogisticRegression(None, C=0.3, l1_ratio=l1_ratio, fit_intercept=fit_intercept, **EXACT).fit(X, y)
    assert gain(model, X, y) < 1e-8
    assert 0 < (model.coef_ == 0).mean() < 1


def test_raw_columns():
    """Of scales from .001 to 1000, and as far as 2000 deviations from zero."""
    X, y = data()
    near = X - np.rint(X.mean(axis=0))  # exact, and with a free intercept the same minimum
    model = ZipMLLogisticRegression(None, C=0.01, l1_ratio=1.0, **EXACT)
    reached = objective(model.fit(X, y), X, y)
    assert gain(model.fit(near, y), near, y) < 1e-8
    assert reached == pytest.approx(objective(model, near, y), rel=1e-7)


def test_weights():
    """Weights of rows count as repeated rows do."""
    X, y = scaled(300, 10)
    times = np.random.default_rng(1).integers(0, 4, len(y))
    model = ZipMLLogisticRegression(None, C=0.1, l1_ratio=0.5, **EXACT)
    weighted = model.fit(X, y, sample_weight=times)
    assert gain(weighted, X, y, times) < 1e-8


@pytest.mark.parametrize("n_classes", [2, 4])
def test_beside_scikit_learn(n_classes):
    """The objective is not above that of its solver."""
    X, y = scaled(500, 15, n_classes)
    model = ZipMLLogisticRegression(None, C=0.2, l1_ratio=0.7, **EXACT).fit(X, y)
    plain = LogisticRegression(C=0.2, l1_ratio=0.7, solver="saga", tol=1e-6, max_iter=5000)
    if LogisticRegression().penalty == "l2":
        plain.set_params(penalty="elasticnet")
    assert objective(model, X, y) <= objective(plain.fit(X, y), X, y) * (1 + 1e-8)


def test_models_by_class(monkeypatch):
    """Where no matrix of all classes is affordable: the same minimum, and the gap is that of the dual."""
    X, y = scaled(600, 20, 6)
    best = ZipMLLogisticRegression(None, C=0.1, l1_ratio=1.0, **EXACT).fit(X, y)
    monkeypatch.setattr(proximal_newton, "MOST_UNKNOWNS", 0)
    model = ZipMLLogisticRegression(None, C=0.1, l1_ratio=1.0, random_state=0, tol=1e-3).fit(X, y)
    least = objective(best, X, y)
    assert least * (1 - 1e-9) <= objective(model, X, y) <= least * (1 + 1e-3)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("bits, n_classes", [(None, 2), (None, 4), (2, 2), (2, 4)])
def test_dual_gap(monkeypatch, bits, n_classes, l1_ratio):
    """Is never below what there is left to gain, and vanishes at the minimum, of calibrated objectives, too."""
    X, y = scaled(1500, 12, n_classes)
    points, line = [], LogisticObjective.line

    def recorded(self, point, move):
        points.append((self, point.value, dual_gap(self, point)))
        return line(self, point, move)

    monkeypatch.setattr(LogisticObjective, "line", recorded)
    model = ZipMLLogisticRegression(bits, C=0.1, l1_ratio=l1_ratio, **EXACT).fit(X, y)
    last, least = points[-1][0], model.loss_curve_[-1]
    gaps = [(value - least, gap) for objective, value, gap in points if objective is last]
    assert (last.calibration is None) == (bits is None)
    assert all(gap >= left * (1 - 1e-4) for left, gap in gaps)
    assert gaps[-1][1] < 1e-2 * points[0][2]


def test_models_by_class_own_up(monkeypatch):
    """What they promise is far less than what is left to gain, here 180 times: they warn, with a gap that holds."""
    X, y = make_classification(2000, 60, n_informative=20, n_redundant=0, n_classes=5, random_state=0)
    settings = {"C": 1.0, "l1_ratio": 0.5, "random_state": 0}
    best = ZipMLLogisticRegression(3, tol=1e-9, **settings).fit(X, y)
    monkeypatch.setattr(proximal_newton, "MOST_UNKNOWNS", 0)
    with pytest.warns(ConvergenceWarning, match="above its minimum") as caught:
        model = ZipMLLogisticRegression(3, tol=1e-5, max_iter=50, **settings).fit(X, y)
    least = best.loss_curve_[-1]
    told = float(re.search(r"may lie ([\d.e-]+) %", str(caught[0].message)).group(1)) / 100
    # each has a calibration that its own way there led to
    assert 1e-5 * least < model.loss_curve_[-1] - least < told * model.loss_curve_[-1] + 1e-5 * least


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_rows(bits):
    """Nearly the objective of full precision, of rows as they were."""
    X, y = scaled(4000, 20)
    model = ZipMLLogisticRegression(bits, C=0.01, l1_ratio=1.0, random_state=0).fit(X, y)
    best = ZipMLLogisticRegression(None, C=0.01, l1_ratio=1.0, random_state=0).fit(X, y)
    assert objective(model, X, y) < objective(best, X, y) * (1 + 2e-3)
    assert (model.coef_ == 0).any()


def test_too_large(monkeypatch):
    """More columns and values than it can take are an error, not a fit that does not end."""
    X, y = data(50, 30)
    monkeypatch.setattr(proximal_newton, "MOST_COLUMNS", 29)
    monkeypatch.setattr(proximal_newton, "MOST_VALUES", 1000)
    with pytest.raises(ValueError, match=r"l1_ratio=0\.5 takes at most .* columns.*50 rows of 30 columns"):
        ZipMLLogisticRegression(l1_ratio=0.5).fit(X, y)


def test_nothing_left():
    """With a penalty that leaves no column, probabilities are the shares of the classes."""
    X, y = scaled(200, 5)
    model = ZipMLLogisticRegression(C=1e-6, l1_ratio=1.0, random_state=0).fit(X, y)
    assert not model.coef_.any()
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_proba(X[:1])[0], shares, atol=1e-3)


def test_warm_start():
    """From the minimum there is nothing to do."""
    X, y = scaled(300, 10)
    model = ZipMLLogisticRegression(None, C=0.1, l1_ratio=0.5, warm_start=True, random_state=0).fit(X, y)
    before = model.coef_.copy()
    model.fit(X, y)
    assert model.n_iter_ <= 1
    np.testing.assert_allclose(model.coef_, before, atol=1e-2)
