"""Logistic regression of parts in rounds of few bits, without any engine: known right answers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from test_class_parts import classes, fitted
from test_parts import SEED

from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._shards.logistic_rounds import is_short
from sklearn_zipml._solvers import softmax

NEAREST = Scheme.of(8, "nearest", "optimal", outliers="none")
COMPENSATED = Scheme.of(4, "compensated", "optimal", outliers="auto")


def mean_loss(coef, intercept, X, y, weights=None):
    """Log loss and accuracy of a model."""
    logs = softmax.log_probabilities(X @ coef.T + intercept)
    losses, hits = -logs[np.arange(len(y)), y], logs.argmax(axis=1) == y
    return np.average(losses, weights=weights), np.average(hits, weights=weights)


def objective(coef, intercept, X, y, weights, C):
    """That of LogisticRegression, over C and the sum of weights."""
    total = len(y) if weights is None else weights.sum()
    return mean_loss(coef, intercept, X, y, weights)[0] + (coef**2).sum() / (2 * C * total)


def least(X, y, weights, C, fit_intercept=True):
    """The minimum of it on what the codes of the rows stand for, in float64, and these."""
    decoded = np.asarray(matrix_of(pack(X, NEAREST, SEED)), dtype=np.float64)
    settings = {"tol": 1e-10, "max_iter": 3000, "solver": "newton-cholesky"}
    plain = LogisticRegression(C=C, fit_intercept=fit_intercept, **settings).fit(decoded, y, weights)
    return objective(plain.coef_, plain.intercept_, decoded, y, weights, C), decoded


@pytest.mark.parametrize("bits", [4, 8, 16])
@pytest.mark.parametrize(
    ("n_classes", "weighted", "settings", "kind"),
    [
        (2, False, {}, {"order": "sorted"}),
        (2, True, {"fit_intercept": False}, {}),
        (3, False, {"C": 10.0}, {}),
        (4, True, {"C": 0.01}, {"order": "sorted"}),
    ],
)
def test_rounds_end_at_the_minimum(bits, n_classes, weighted, settings, kind):
    """That of LogisticRegression in float64 on what the codes stand for, as nothing is compensated."""
    X, y, weights = classes(n_classes=n_classes, **kind)
    weights = weights if weighted else None
    C, fit_intercept = settings.get("C", 1.0), settings.get("fit_intercept", True)
    found = fitted(X, y, weights, NEAREST, 5, C=C, fit_intercept=fit_intercept, tol=1e-5, bits=bits)
    lowest, decoded = least(X, y, weights, C, fit_intercept)
    reached = objective(found.coef, found.intercept, decoded, y, weights, C)
    assert found.result.converged
    assert lowest * (1 - 1e-9) <= reached <= lowest * (1 + 2e-5)
    assert found.result.losses[-1][0] == pytest.approx(reached, rel=1e-4)
    assert np.all(np.diff(np.ravel(found.result.losses)) < 0)
    assert len(found.result.losses) == len(found.result.bytes_read)


def hostile(seed):
    """Rows of many conditions and sizes, labels between noise and certainty, and a penalty."""
    rng = np.random.default_rng(seed)
    d, n_classes = int(np.exp(rng.uniform(0, 3))), int(rng.choice([2, 2, 3, 5]))
    n = int(rng.integers(5, 30)) * d + 100
    Z = rng.standard_normal((n, d)) @ (np.eye(d) + rng.choice([0, 0.5]) * rng.standard_normal((d, d)) / np.sqrt(d))
    if rng.random() < 0.3:
        Z = Z**3
    scores = Z @ rng.standard_normal((d, n_classes)) * rng.choice([0.3, 2, 30]) / np.sqrt((Z**2).sum(axis=1).mean())
    scores = scores + rng.choice([0, 3]) * rng.standard_normal(n_classes)
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    y[:n_classes] = np.arange(n_classes)
    if rng.random() < 0.5:
        order = np.argsort(y, kind="stable")
        Z, y = Z[order], y[order]
    weights = rng.exponential(size=n) + 1e-3 if rng.random() < 0.3 else None
    X = Z * 10 ** rng.uniform(-2, 2, d) + rng.choice([0, 30]) * rng.standard_normal(d)
    return X, y, weights, 10 ** rng.uniform(-4, 1), int(rng.integers(1, 6))


@pytest.mark.parametrize("bits", [4, 8])
def test_done_only_near_the_minimum(bits):
    """Within twice `tol` of it, or not done; most are. No anchor is higher than the one before."""
    done = 0
    for seed in range(16):
        X, y, weights, C, parts = hostile(seed)
        found = fitted(X, y, weights, NEAREST, parts, C=C, tol=1e-4, bits=bits, seed=seed)
        lowest, decoded = least(X, y, weights, C)
        reached = objective(found.coef, found.intercept, decoded, y, weights, C)
        assert not found.result.converged or reached <= lowest * (1 + 2e-4), seed
        assert np.all(np.diff(np.ravel(found.result.losses)) < 0), seed
        done += found.result.converged
    assert done >= 15


@pytest.mark.parametrize(("n_classes", "sample_bits"), [(2, 4), (3, 4), (2, 3), (2, 2)])
def test_rounding_is_made_good_for(n_classes, sample_bits):
    """As in the fit in floats, on correlated columns, where naive rounding costs several times the bar."""
    rng = np.random.default_rng(1)
    n, d = 28_000, 30
    Z = rng.standard_normal((n, 6)) @ rng.standard_normal((6, d)) / np.sqrt(6) + 0.3 * rng.standard_normal((n, d))
    y = (2 * Z @ rng.standard_normal((d, n_classes)) / np.sqrt(d) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    train, test = slice(0, 8000), slice(8000, n)
    scheme = Scheme.of(sample_bits, "compensated", "optimal", outliers="auto")
    C = 1000 / 8000
    local = fitted(Z[train], y[train], None, scheme, 4, C=C, tol=1e-4)
    expected, accuracy = mean_loss(local.coef, local.intercept, Z[test], y[test])
    for bits, bar in ((8, 0.002), (4, 0.01)):
        found = fitted(Z[train], y[train], None, scheme, 4, C=C, tol=1e-4, bits=bits)
        loss, hits = mean_loss(found.coef, found.intercept, Z[test], y[test])
        assert loss <= expected + bar
        assert hits >= accuracy - bar


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("bits", "share"), [(8, 1 / 4), (4, 1 / 8)])
def test_bytes(bits, share, weighted):
    """All that is exchanged, headers included, of a thousand columns and more."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 1200)) * np.arange(1, 1201) ** -0.3
    y = (X[:, :50].sum(axis=1) + rng.standard_normal(3000) > 0).astype(int)
    weights = rng.exponential(size=3000) + 0.1 if weighted else None
    found = fitted(X, y, weights, COMPENSATED, 4, C=0.03, tol=1e-4, bits=bits)
    assert found.result.converged
    assert found.bytes_sent <= share * found.float32_bytes
    assert not is_short(1200, 2)


def test_any_parts_come_to_the_same():
    """Within the tolerance, whatever the partitions and seeds."""
    X, y, _ = classes(n_classes=3, order="sorted")
    models = [fitted(X, y, None, NEAREST, parts, bits=8, tol=1e-6, seed=parts) for parts in (1, 2, 7)]
    for model in models[1:]:
        scale = np.abs(models[0].coef).max()
        assert_allclose(model.coef, models[0].coef, atol=0.01 * scale)


def test_the_same_seed_gives_the_same_bits():
    """Rounding is keyed by the seed, the round and the site."""
    X, y, _ = classes()
    one, other, third = (fitted(X, y, None, COMPENSATED, 3, bits=4, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.coef, other.coef)
    assert one.bytes_sent == other.bytes_sent
    assert np.any(one.coef != third.coef)


@pytest.mark.parametrize("most", [1, 4, 9])
def test_too_few_rounds(most):
    """What is left to gain is told, and the model is no worse than that of intercepts alone."""
    X, y, _ = classes(d=20)
    found = fitted(X, y, None, NEAREST, 2, tol=1e-8, bits=4, max_iter=most)
    assert not found.result.converged
    assert found.result.gap[0] > 1e-8 * found.result.objective[0]
    lowest, decoded = least(X, y, None, 1.0)
    shares = np.bincount(y) / len(y)
    assert lowest < objective(found.coef, found.intercept, decoded, y, None, 1.0) <= -(shares @ np.log(shares)) + 1e-9


@pytest.mark.parametrize("settings", [{"C": np.inf}, {"C": 1e6}, {"C": 1e-12}])
def test_classes_that_are_told_apart(settings):
    """Or that nothing may be told of: finite, lower than before, and never done far from the minimum."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3))
    y = (X[:, 0] > 0).astype(int)
    found = fitted(X, y, None, NEAREST, 3, tol=1e-4, bits=8, max_iter=150, **settings)
    assert np.isfinite(found.coef).all()
    if settings["C"] == np.inf:  # the minimum is 0, infinitely far
        assert mean_loss(found.coef, found.intercept, X, y)[0] < 0.02
        assert not found.result.converged
    else:
        lowest, decoded = least(X, y, None, settings["C"])
        assert objective(found.coef, found.intercept, decoded, y, None, settings["C"]) <= lowest * (1 + 2e-4)


def test_products_of_second_derivatives():
    """Against differences of gradients."""
    rng = np.random.default_rng(0)
    for n_outputs in (1, 4):
        numbers = rng.integers(0, max(2, n_outputs), 500)
        labels = softmax.Labels(numbers, n_outputs, rng.exponential(size=500))
        margins, image = rng.standard_normal((2, n_outputs, 500))
        slopes, low, high = (np.empty_like(margins) for _ in range(3))
        softmax.evaluate(labels, 1.0, margins, slopes)
        softmax.evaluate(labels, 1.0, margins - 1e-5 * image, low)
        softmax.evaluate(labels, 1.0, margins + 1e-5 * image, high)
        assert_allclose(softmax.curved(labels, slopes, image), (high - low) / 2e-5, atol=1e-8)


def test_second_moments_or_rounds():
    """By the number of coefficients: of two classes there is one output."""
    assert is_short(511, 2)
    assert not is_short(512, 2)
    assert is_short(50, 10)
    assert not is_short(200, 10)
