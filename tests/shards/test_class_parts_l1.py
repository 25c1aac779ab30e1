"""Logistic regression of parts with an l1 penalty: the local fit of the same packed rows, with its zeros."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from test_class_parts import fitted
from test_parts import SEED

from sklearn_zipml import ZipMLLogisticRegression
from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme


def sparse_classes(n=2500, d=12, n_classes=2, unlike=1.0):
    """Correlated columns of units that may be unlike, a few of which tell of the classes, sorted, and weights."""
    rng = np.random.default_rng(n_classes)
    Z = rng.standard_normal((n, d)) @ (np.eye(d) + 0.2)
    y = (2 * Z[:, :3] @ rng.standard_normal((3, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    order = np.argsort(y, kind="stable")
    return Z[order] * np.geomspace(1, 10, d) ** unlike + 2 * unlike, y[order], rng.exponential(size=n) + 0.1


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(
    ("parts", "n_classes", "weighted", "settings"),
    [
        (1, 2, False, {"l1_ratio": 1.0}),
        (5, 2, True, {"l1_ratio": 0.5}),
        (4, 2, False, {"l1_ratio": 0.9, "fit_intercept": False}),
        (5, 3, False, {"l1_ratio": 1.0}),
        (3, 4, True, {"l1_ratio": 0.7}),
    ],
)
def test_any_parts_are_the_local_fit(parts, n_classes, weighted, settings, bits):
    """Calibrated as that is, with the same zeros."""
    X, y, weights = sparse_classes(n_classes=n_classes)
    weights = weights if weighted else None
    scheme = Scheme.of(bits, "compensated", "optimal", outliers="auto")
    settings = {"C": 0.02, "tol": 1e-8, "max_iter": 300, **settings}
    found = fitted(X, y, weights, scheme, parts, **settings)
    local = ZipMLLogisticRegression(bits, **settings).fit(matrix_of(pack(X, scheme, SEED)), y, weights)
    assert found.result.converged
    assert_array_equal(found.coef == 0, local.coef_ == 0)
    assert 0 < (found.coef == 0).sum() < found.coef.size
    assert_allclose(found.coef, local.coef_, rtol=1e-3, atol=1e-4 * np.abs(local.coef_).max())
    assert_allclose(found.intercept, local.intercept_, rtol=1e-3, atol=1e-4)
    assert found.result.losses[-1][0] == pytest.approx(local.loss_curve_[-1], rel=1e-7)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_minimum_in_float64(n_classes):
    """That of LogisticRegression on what the codes stand for, as nothing is compensated; also of few rows."""
    scheme = Scheme.of(8, "nearest", "optimal", outliers="none")
    for n, d in ((2500, 12), (60, 90)):
        X, y, _ = sparse_classes(n, d, n_classes, unlike=0.0)
        C = 50 / n
        found = fitted(X, y, None, scheme, 3, C=C, l1_ratio=0.8, tol=1e-6)
        decoded = np.asarray(matrix_of(pack(X, scheme, SEED)), dtype=np.float64)
        plain = LogisticRegression(C=C, l1_ratio=0.8, solver="saga", tol=1e-6, max_iter=100_000)
        if plain.penalty == "l2":
            plain.penalty = "elasticnet"
        plain.fit(decoded, y)
        values = []
        for coef, intercept in ((found.coef, found.intercept), (plain.coef_, plain.intercept_)):
            scores = decoded @ coef.T + intercept
            scores = np.c_[np.zeros(n), scores] if n_classes == 2 else scores
            logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
            penalty = 0.8 * np.abs(coef).sum() + 0.1 * (coef**2).sum()
            values.append(-logs[np.arange(n), y].mean() + penalty / (C * n))
        assert found.result.converged
        assert values[0] <= values[1] * (1 + 2e-6)


def test_what_is_too_much():
    """Columns and classes beyond second moments of all."""
    rng = np.random.default_rng(0)
    scheme = Scheme.of(4, "compensated", "optimal", outliers="auto")
    for d, n_classes in ((2100, 2), (1500, 8)):
        with pytest.raises(ValueError, match=rf"l1_ratio=0.5 takes .* X has {d} columns and y {n_classes} classes"):
            fitted(rng.standard_normal((200, d)), np.arange(200) % n_classes, None, scheme, 2, l1_ratio=0.5)
