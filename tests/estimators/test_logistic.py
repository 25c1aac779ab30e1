"""ZipMLLogisticRegression beside LogisticRegression in float64: optimum, probabilities, what rounding costs."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLogisticRegression, recommend_bits
from sklearn_zipml._solvers.logistic_objective import LogisticObjective

EXACT = {"tol": 1e-8, "max_iter": 300, "random_state": 0}


def data(n_classes=2, n=600, d=6, scale=1.0):
    """Uncentred columns of different sizes, and classes drawn by a softmax."""
    rng = np.random.default_rng(n_classes)
    Z = rng.normal(size=(n, d))
    scores = scale * Z @ rng.normal(size=(d, n_classes)) + rng.gumbel(size=(n, n_classes))
    return Z * np.geomspace(0.01, 100, d) + np.linspace(-5, 5, d), scores.argmax(axis=1)


def objective(model, X, y, C, weights=None):
    """That of LogisticRegression, in float64."""
    losses = log_loss(y, model.predict_proba(X), sample_weight=weights, normalize=False, labels=model.classes_)
    return (model.coef_**2).sum() / 2 + C * losses


def reference(X, y, weights=None, **settings):
    """LogisticRegression at its optimum: scaled inside, as lbfgs does not get there on columns of unlike units."""
    return LogisticRegression(tol=1e-12, max_iter=20000, solver="newton-cholesky", **settings).fit(X, y, weights)


# The optimum at full precision


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_optimum_of_floats(n_classes, C, fit_intercept):
    """Within 1e-6 of it."""
    X, y = data(n_classes)
    settings = {"C": C, "fit_intercept": fit_intercept}
    plain = reference(X, y, **settings)
    model = ZipMLLogisticRegression(None, **settings, **EXACT).fit(X, y)
    assert objective(model, X, y, C) <= objective(plain, X, y, C) * (1 + 1e-6)
    assert model.coef_.shape == plain.coef_.shape and model.intercept_.shape == plain.intercept_.shape
    assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_weights(n_classes):
    """Of rows and classes, and rows of weight zero are left out."""
    X, y = data(n_classes)
    weights = np.tile([0.0, 1.0, 3.0], 200)
    by_class = {0: 2.0}
    plain = reference(X, y, weights, class_weight=by_class)
    model = ZipMLLogisticRegression(None, class_weight=by_class, **EXACT).fit(X, y, weights)
    assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-4)
    kept = weights > 0
    again = ZipMLLogisticRegression(None, class_weight=by_class, **EXACT).fit(X[kept], y[kept], weights[kept])
    assert_allclose(model.coef_, again.coef_, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_more_columns_than_rows(n_classes):
    """Of which there are none to spare for a calibration."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 300))
    y = np.arange(60) % n_classes
    plain = LogisticRegression(C=0.1, tol=1e-10, max_iter=5000).fit(X, y)
    model = ZipMLLogisticRegression(None, C=0.1, **EXACT).fit(X, y)
    assert objective(model, X, y, 0.1) <= objective(plain, X, y, 0.1) * (1 + 1e-6)


def test_many_columns():
    """Where second moments are not factored."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2500))
    y = (X[:, :5].sum(axis=1) + rng.normal(size=500) > 0).astype(int)
    plain = LogisticRegression(C=0.01, tol=1e-10, max_iter=5000).fit(X, y)
    model = ZipMLLogisticRegression(None, C=0.01, **EXACT).fit(X, y)
    assert objective(model, X, y, 0.01) <= objective(plain, X, y, 0.01) * (1 + 1e-6)


def test_rare_class_far_columns_collinear():
    """1 row of 200, columns far from zero, and one that is another twice."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 5))
    y = (X[:, 0] + rng.logistic(size=4000) > 6).astype(int)
    assert 5 < y.sum() < 50
    X = np.c_[X, 2 * X[:, :1]] + 1e4
    model = ZipMLLogisticRegression(None, **EXACT).fit(X, y)
    plain = reference(X - 1e4, y)
    assert objective(model, X, y, 1.0) == pytest.approx(objective(plain, X - 1e4, y, 1.0), rel=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("bits", [None, 2])
def test_separable(n_classes, bits):
    """No penalty holds it back: finite, right, and told of; of packed rows there is a minimum all the same.

    But not of three classes, the outer two of which 2 bits keep apart: there every step moves margins by as much and
    gains a factor e less, down to rounding, and that of BLAS decides whether the last one is told of.
    """
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = np.digitize(X[:, 0], [-0.5, 0.5][: n_classes - 1])
    X[:, 0] += 5 * y
    lowest = np.inf
    for C in (1e6, np.inf):
        model = ZipMLLogisticRegression(bits, C=C, max_iter=5, random_state=0)
        if C == np.inf and bits is None:
            with pytest.warns(ConvergenceWarning, match="max_iter"):
                model.fit(X, y)
        else:
            with warnings.catch_warnings():
                if C == np.inf and n_classes == 3:
                    warnings.simplefilter("ignore", ConvergenceWarning)
                model.set_params(max_iter=200).fit(X, y)
            assert model.loss_curve_[-1] < lowest * (1 + 1e-6)  # without a penalty there is less to minimise
            lowest = model.loss_curve_[-1]
        assert np.isfinite(model.coef_).all()
        assert log_loss(y, model.predict_proba(X)) < 0.2


# What rounding costs


@pytest.mark.parametrize("bits, most", [(8, 0.002), (4, 0.003), (3, 0.008), (2, 0.03)])
@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "strong", "classes"])
def test_log_loss_of_packed_rows(kind, bits, most):
    """On rows that are not rounded, above the optimum in float64."""
    rng = np.random.default_rng(1)
    Z = rng.standard_t(5, size=(16000, 12)) if kind == "heavy" else rng.normal(size=(16000, 12))
    n_classes, scale = (4 if kind == "classes" else 2), (3.0 if kind == "strong" else 1.0)
    y = (scale * Z @ rng.normal(size=(12, n_classes)) / 3 + rng.gumbel(size=(16000, n_classes))).argmax(axis=1)
    X = StandardScaler().fit_transform(np.exp(Z) if kind == "skewed" else Z)
    train, test = slice(None, 8000), slice(8000, None)
    C = 1000 / 8000
    plain = LogisticRegression(C=C).fit(X[train], y[train])
    model = ZipMLLogisticRegression(bits, C=C, random_state=0).fit(X[train], y[train])
    loss = log_loss(y[test], model.predict_proba(X[test])) - log_loss(y[test], plain.predict_proba(X[test]))
    assert loss < most
    if bits > 2:
        assert model.score(X[test], y[test]) > plain.score(X[test], y[test]) - 0.004


def test_calibrated_beats_naive():
    """What is known of the rounding is worth something."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8000, 20))
    y = (rng.random(8000) < expit(X @ rng.normal(size=20))).astype(int)
    losses = [
        log_loss(y, ZipMLLogisticRegression(3, C=0.1, sampling=sampling, random_state=0).fit(X, y).predict_proba(X))
        for sampling in ("compensated", "naive")
    ]
    assert losses[0] < losses[1] - 0.005


@pytest.mark.parametrize("bits", [3, 2, 1])
def test_few_rows_are_no_worse_than_naive(bits):
    """Where there are too few of them to tell what rounding does."""
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    compensated, naive = (
        ZipMLLogisticRegression(bits, sampling=sampling, random_state=0).fit(X[::2], y[::2])
        for sampling in ("compensated", "naive")
    )
    loss = log_loss(y[1::2], compensated.predict_proba(X[1::2]))
    assert loss < log_loss(y[1::2], naive.predict_proba(X[1::2])) + 0.02


# Behaviour


def test_binary_is_a_softmax_of_two():
    """Decisions are log odds, probabilities sum to one."""
    X, y = data()
    model = ZipMLLogisticRegression(random_state=0).fit(X, np.array(["no", "yes"])[y])
    p = model.predict_proba(X)
    assert model.decision_function(X).shape == (600,) and p.shape == (600, 2)
    assert_allclose(p[:, 1], expit(model.decision_function(X)))
    assert_allclose(p.sum(axis=1), 1)
    assert_allclose(np.exp(model.predict_log_proba(X)), p)
    assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])


def test_log_probabilities_stay_finite():
    """Where probabilities are zero."""
    X, y = data(3)
    model = ZipMLLogisticRegression(random_state=0).fit(X, y)
    logs = model.predict_log_proba(1e6 * X)
    assert np.isfinite(logs).all() and model.predict_proba(1e6 * X).min() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_dtypes(dtype):
    """Coefficients and probabilities of float32 rows are float32."""
    X, y = data()
    model = ZipMLLogisticRegression(random_state=0).fit(X.astype(dtype), y)
    expected = np.float32 if dtype == np.float32 else np.float64
    assert model.coef_.dtype == model.intercept_.dtype == model.predict_proba(X.astype(dtype)).dtype == expected


def test_packed_rows_and_threads():
    """The same model from an array and from its packed rows, with a target of their own, for any number of threads."""
    X, y = data(3, n=20000)
    packed = PackedMatrix.from_chunks(X, y, sample_bits=4, random_state=0)
    model = ZipMLLogisticRegression(random_state=0, n_jobs=1).fit(packed)
    assert_array_equal(model.coef_, clone(model).set_params(n_jobs=2).fit(packed, y).coef_)
    assert model.score(packed) > 0.7
    assert_allclose(model.predict_proba(packed), model.predict_proba(np.asarray(packed)), atol=1e-9)
    narrow = ZipMLLogisticRegression(2, random_state=0).fit(packed)
    assert narrow.sample_bits_ == 2
    with pytest.raises(ValueError, match="sample_bits=8"):
        ZipMLLogisticRegression(8).fit(packed)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_warm_start(n_classes):
    """From the last solution, one step or none; other classes and columns are refused."""
    X, y = data(n_classes)
    model = ZipMLLogisticRegression(None, warm_start=True, random_state=0).fit(X, y)
    cold, steps = model.coef_.copy(), model.n_iter_
    model.fit(X, y)
    assert model.n_iter_ <= 1 < steps
    assert_allclose(model.coef_, cold, rtol=0.02, atol=1e-3)
    with pytest.raises(ValueError, match=r"warm_start=True.*classes"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match=r"warm_start=True.*features"):
        model.fit(X[:, :3], y)


def test_the_objective_never_rises():
    """And the last one is that of the model."""
    X, y = load_digits(return_X_y=True)
    model = ZipMLLogisticRegression(None, random_state=0).fit(X, y)
    assert (np.diff(model.loss_curve_) < 0).all()
    assert objective(model, X, y, 1.0) / len(y) == pytest.approx(model.loss_curve_[-1], rel=1e-5)
    assert len(model.bytes_read_curve_) == len(model.loss_curve_) == model.n_iter_ + 1


def test_convergence_warning_and_verbose(capsys):
    """With the gap, and what helps."""
    X, y = data(3, scale=3.0)
    with pytest.warns(ConvergenceWarning, match=r"ZipMLLogisticRegression did not converge.*above its minimum"):
        ZipMLLogisticRegression(max_iter=1, verbose=1, random_state=0).fit(X, y)
    assert capsys.readouterr().out.count("ZipMLLogisticRegression") == 1


@pytest.mark.parametrize(
    "params, message",
    [
        ({"l1_ratio": 1.5}, "'l1_ratio'"),
        ({"C": 0}, "'C'"),
        ({"sample_bits": 9}, "'sample_bits'"),
        ({"tol": -1}, "'tol'"),
        ({"sample_bits": 1, "sampling": "double"}, "sample_bits=1"),
    ],
)
def test_bad_parameters(params, message):
    """Are named."""
    X, y = data()
    with pytest.raises(ValueError, match=message):
        ZipMLLogisticRegression(**params).fit(X, y)


def test_a_failed_fit_changes_nothing():
    """Neither a model nor that there is none."""
    X, y = data()
    model = ZipMLLogisticRegression(random_state=0)
    for before in ({}, vars(clone(model).fit(X, y))):
        vars(model).update(before)
        state = dict(vars(model))
        with pytest.raises(ValueError, match="NaN"):
            model.fit(np.where(X > 5, np.nan, X), 1 - y)
        assert vars(model) == state


def test_bad_targets():
    """A single class, and none at all."""
    X, y = data()
    with pytest.raises(ValueError, match="only one class: 3"):
        ZipMLLogisticRegression().fit(X, np.full(len(y), 3))
    with pytest.raises(ValueError, match="Unknown label type"):
        ZipMLLogisticRegression().fit(X, y + np.linspace(0, 0.5, len(y)))
    with pytest.raises(NotFittedError):
        ZipMLLogisticRegression().predict_proba(X)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_to_sklearn(n_classes, l1_ratio):
    """The same probabilities without this package; a refit minimises the same."""
    X, y = data(n_classes)
    X = StandardScaler().fit_transform(X)
    model = ZipMLLogisticRegression(None, C=0.3, class_weight="balanced", l1_ratio=l1_ratio, **EXACT).fit(X, y)
    plain = model.to_sklearn()
    assert type(plain) is LogisticRegression and b"zipml" not in pickle.dumps(plain).lower()
    assert_allclose(plain.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert_array_equal(plain.predict(X), model.predict(X))
    again = clone(plain).set_params(tol=1e-8).fit(X, y)
    assert_allclose(again.coef_, model.coef_, atol=1e-3)
    with pytest.raises(NotFittedError):
        ZipMLLogisticRegression().to_sklearn()


def test_soft_voting_and_recommended_bits():
    """What needs probabilities, and what looks for a width."""
    X, y = data(2, n=1200)
    models = [(name, ZipMLLogisticRegression(bits, random_state=0)) for name, bits in (("a", 2), ("b", 8))]
    assert VotingClassifier(models, voting="soft").fit(X, y).score(X, y) > 0.7
    found = recommend_bits(X, y, estimator=ZipMLLogisticRegression(random_state=0), scoring="neg_log_loss", cv=3)
    assert found.sample_bits in range(1, 9)


def test_quantizer_in_front():
    """The width that it has chosen is taken."""
    X, y = data()
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    assert ZipMLLogisticRegression(random_state=0).fit(packed, y).sample_bits_ == 2


@pytest.mark.parametrize(("n_classes", "expected"), [(2, 1 << 15), (10, 3500)])
def test_rows_that_tell_the_size_of_a_model(n_classes, expected, monkeypatch):
    """Ten classes have ten intercepts: a part of 3500 rows would cost .008 of their log loss."""
    looked_at, shown = [], LogisticObjective.shown
    monkeypatch.setattr(LogisticObjective, "shown", lambda *args: looked_at.append(args[2]) or shown(*args))
    rng = np.random.default_rng(0)
    n = 3500 if n_classes > 2 else 40_000
    X = rng.standard_normal((n, 8))
    y = (3 * X @ rng.standard_normal((8, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    ZipMLLogisticRegression(2, C=1000 / n, random_state=0).fit(X, y)
    assert looked_at[-1] == expected  # the last look is the one at the size
