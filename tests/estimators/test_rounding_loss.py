"""`rounding_loss_` is what rounding costs on new rows, to a factor of two, and fits with too few bits say so."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    PackedMatrix,
    RoundingWarning,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLRegressor,
    ZipMLRegressorCV,
)
from sklearn_zipml._estimators.rounding import message
from sklearn_zipml._scheme import Scheme

ALPHA = 1e-4
WARNED = pytest.mark.filterwarnings("error::sklearn_zipml.RoundingWarning")


def data(kind, n, d, noise=0.1, seed=0):
    """n rows to train on and 10,000 to test on, of a linear target whose variance is one without its noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + 10_000, d))
    if kind == "lognormal":
        X = np.exp(0.5 * X)
    if kind == "correlated":
        X += rng.standard_normal((len(X), 1))
    if kind == "one-hot":
        X[:, ::2] = X[:, ::2] > 1
    signal = X @ rng.standard_normal(d)
    y = signal / signal.std() + noise * rng.standard_normal(len(X))
    return X[:n], y[:n], X[n:], y[n:]


def losses(kind, n, d, noise, **settings):
    """What five fits lose against full precision on the test rows, and what they say they do."""
    X, y, X_test, y_test = data(kind, n, d, noise)
    full = Ridge(alpha=n * settings.get("alpha", ALPHA)).fit(X, y).score(X_test, y_test)
    models = [ZipMLRegressor(**settings, random_state=seed).fit(X, y) for seed in range(5)]
    return full - np.mean([m.score(X_test, y_test) for m in models]), np.mean([m.rounding_loss_ for m in models])


@pytest.mark.parametrize(
    ("kind", "n", "d", "noise", "settings"),
    [
        ("Gaussian", 2000, 20, 0.1, {"sample_bits": 2}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 2}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 3, "sampling": "compensated"}),
        ("Gaussian", 2000, 200, 0.1, {"sample_bits": 3}),
        ("Gaussian", 1500, 150, 0.1, {"sample_bits": 2}),
        ("Gaussian", 300, 200, 0.1, {"sample_bits": 2}),  # too few rows to compensate
        ("Gaussian", 4000, 100, 1.0, {"sample_bits": 2}),
        ("Gaussian", 8000, 520, 0.1, {"sample_bits": 2}),  # conjugate gradients on rows
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 2, "solver": "saga"}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 2, "alpha": 0.1}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 2, "alpha": 0.0}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 2, "sampling": "naive"}),
        ("Gaussian", 4000, 100, 0.1, {"sample_bits": 3, "sampling": "double"}),
        ("lognormal", 4000, 50, 0.1, {"sample_bits": 2}),
        ("correlated", 2000, 20, 0.1, {"sample_bits": 2}),
        ("one-hot", 4000, 50, 0.1, {"sample_bits": 2}),
    ],
)
def test_estimate_is_within_a_factor_of_two(kind, n, d, noise, settings):
    """Of the loss that is measured on new rows against Ridge on the rows as they were."""
    measured, estimated = losses(kind, n, d, noise, **settings)
    assert measured > 0.0015  # else the test is about chance
    assert measured / 2 < estimated < 2 * measured


def test_every_target_has_its_own():
    """That of a fit to it alone; in the shape of y, and of one class against the others."""
    X, y, *_ = data("Gaussian", 2000, 20)
    targets = np.c_[y, y + 3 * np.random.default_rng(1).standard_normal(2000), np.full(2000, 7.0)]
    found = ZipMLRegressor(2, random_state=0).fit(X, targets).rounding_loss_
    alone = [ZipMLRegressor(2, random_state=0).fit(X, target).rounding_loss_ for target in targets.T]
    np.testing.assert_allclose(found, alone, rtol=1e-6)
    assert isinstance(alone[0], float) and found[0] > found[1] > 0 and found[2] == 0
    assert ZipMLRegressor(2, random_state=0).fit(X, y[:, None]).rounding_loss_.shape == (1,)
    labels = np.digitize(y, [-0.5, 0.5])
    assert isinstance(ZipMLLSSVC(2, random_state=0).fit(X, y > 0).rounding_loss_, float)
    assert ZipMLLSSVC(2, random_state=0).fit(X, labels).rounding_loss_.shape == (3,)


def test_nothing_is_lost_without_rounding():
    """Floats, values that are levels, constant targets, columns that are constant, and targets nothing explains."""
    X, y, *_ = data("Gaussian", 500, 5)
    assert ZipMLRegressor(None).fit(X, y).rounding_loss_ == 0
    assert ZipMLRegressor(1).fit(X > 0, y).rounding_loss_ == 0
    assert ZipMLRegressor(1).fit(X, np.full(500, 0.1)).rounding_loss_ == 0
    assert ZipMLRegressor(1).fit(np.ones((500, 3)), y).rounding_loss_ == 0
    assert ZipMLRegressor(1, alpha=1e300).fit(X, y).rounding_loss_ == 0


@pytest.mark.filterwarnings("ignore::UserWarning")  # of outliers and far columns
@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 12, 60])
@pytest.mark.parametrize("settings", [{}, {"l1_ratio": 0.5, "alpha": 0.01}, {"alpha": 0}, {"sampling": "nearest"}])
def test_always_a_number_from_zero_to_one(n, settings):
    """With fewer rows than columns, as many, weights, no intercept, collinear columns and huge outliers, too."""
    rng = np.random.default_rng(n)
    X, y = rng.standard_normal((n, 5)), rng.standard_normal(n)
    for rows in (X, np.c_[X, X], np.where(rng.random(X.shape) < 0.1, 1e9, X), X + 1e3):
        for bits in (1, 2, 6):
            for more in ({}, {"fit_intercept": False}):
                model = ZipMLRegressor(bits, random_state=0, tol=1, **settings, **more)
                loss = model.fit(rows, y, sample_weight=1 + rng.random(n)).rounding_loss_
                assert 0 <= loss <= 1


def test_repeated_rows_and_weights_count_as_they_do_for_the_fit():
    """Rows that share their errors are one; ten of them tell no more than it does."""
    X, y, *_ = data("Gaussian", 1000, 20)
    once = ZipMLRegressor(2, random_state=0).fit(X, y).rounding_loss_
    repeated = ZipMLRegressor(2, random_state=0).fit(np.tile(X, (10, 1)), np.tile(y, 10)).rounding_loss_
    weighted = ZipMLRegressor(2, random_state=0).fit(X, y, sample_weight=np.full(1000, 10.0)).rounding_loss_
    uneven = ZipMLRegressor(2, random_state=0).fit(X, y, sample_weight=np.r_[np.ones(500), np.full(500, 1e-3)])
    assert 0.7 * once < repeated < 1.5 * once
    assert weighted == once
    assert uneven.rounding_loss_ > 1.5 * once


def test_partial_fit_knows_it_too():
    """Of rows in chunks; it falls as they come, and warns of nothing, for more may come."""
    X, y, *_ = data("Gaussian", 4000, 20)
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    whole = ZipMLRegressor(2, random_state=0).fit(packed, y).rounding_loss_
    model, seen = ZipMLRegressor(2, random_state=0), []
    for rows in np.array_split(np.arange(4000), 4):
        seen.append(model.partial_fit(packed[rows], y[rows]).rounding_loss_)
    assert seen[0] > 2 * seen[-1] and isinstance(seen[0], float)
    np.testing.assert_allclose(seen[-1], whole, rtol=0.15)  # errors of some rows are known by their codes only
    assert ZipMLLSSVC(2).partial_fit(packed, y > 0, classes=[False, True]).rounding_loss_ > 0


def test_searches_have_that_of_their_model():
    """And of each target where these have penalties of their own."""
    X, y, *_ = data("Gaussian", 1000, 10)
    search = ZipMLRegressorCV([1e-4, 1.0], 2, random_state=0).fit(X, y)
    assert search.rounding_loss_ == ZipMLRegressor(2, alpha=search.alpha_, random_state=0).fit(X, y).rounding_loss_
    both = ZipMLRegressorCV([1e-4, 1.0], 2, alpha_per_target=True, random_state=0).fit(X, np.c_[y, y[::-1]])
    assert both.rounding_loss_.shape == (2,) and np.all(both.rounding_loss_ >= 0)
    assert ZipMLLSSVCCV([1.0], sample_bits=2, random_state=0).fit(X, y > 0).rounding_loss_ > 0


def test_copies():
    """A clone has none, and a pickle the same."""
    X, y, *_ = data("Gaussian", 500, 5)
    model = ZipMLRegressor(2, random_state=0).fit(X, y)
    assert not hasattr(clone(model), "rounding_loss_")
    assert pickle.loads(pickle.dumps(model)).rounding_loss_ == model.rounding_loss_


# The warning


def test_warning_names_loss_and_widths():
    """Once, at the caller's line, with a width that keeps what it promises."""
    X, y, X_test, y_test = data("Gaussian", 2400, 100)
    with pytest.warns(RoundingWarning) as caught:
        model = ZipMLRegressor(2, random_state=0).fit(X, y)
    assert len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert f"ZipMLRegressor: rounding X to 2 bits is estimated to cost {model.rounding_loss_:.2g} of R² on new" in text
    assert text.endswith("3 bits would cost about 0.003. Set sample_bits=3, of the quantizer if X comes packed.")
    full = Ridge(alpha=2400 * ALPHA).fit(X, y).score(X_test, y_test)
    assert full - ZipMLRegressor(3, random_state=0).fit(X, y).score(X_test, y_test) < 0.01
    with pytest.warns(RoundingWarning, match=r"ZipMLLSSVC: rounding X to 1 bit is .* of target 2 on new rows"):
        ZipMLLSSVC(1, random_state=0).fit(X, np.digitize(y, [-2.5, -0.1]))


def test_warning_where_no_width_is_enough():
    """It says what else there is."""
    text = message("ZipMLRegressor", Scheme.of(8, "compensated", "optimal"), 0.5)
    assert text.endswith("0.5 of R² on new rows (rounding_loss_). Train on more rows, or set sample_bits=None.")
    for sampling in ("dithered", "joined"):  # which 3 bits have, too, and 4 do not
        scheme = Scheme(2, sampling, "optimal", 1)
        assert "3 bits would cost about 0.005" in message("ZipMLRegressor", scheme, 0.02)
        assert "4 bits would cost about 0.005" in message("ZipMLRegressor", scheme, 0.06)
    plain = Scheme.of(2, "compensated", "optimal")  # nor have 3 bits then
    assert "3 bits would cost about 0.007" in message("ZipMLRegressor", plain, 0.04)
    assert "3 bits would" in message("ZipMLRegressor", Scheme.of(1, "compensated", "optimal"), 0.25)


@WARNED
def test_no_warning():
    """With the default, of small losses, of few noisy rows, of samplings that are biased on purpose, and in chunks."""
    X, y, *_ = data("Gaussian", 2400, 100)
    ZipMLRegressor(random_state=0).fit(X, y)
    assert 0 < ZipMLRegressor(3, random_state=0).fit(X, y).rounding_loss_ < 0.01
    noise = np.random.default_rng(0).standard_normal(100)
    assert ZipMLRegressor(2, random_state=0).fit(X[:100, :10], noise).rounding_loss_ > 0.01
    for sampling in ("naive", "nearest"):
        assert ZipMLRegressor(1, sampling=sampling, random_state=0).fit(X, y).rounding_loss_ > 0.02
    assert ZipMLRegressor(2, random_state=0).partial_fit(X, y).rounding_loss_ > 0.01
    ZipMLRegressor(2, random_state=0).fit(PackedMatrix.from_chunks(X[:, :2], sample_bits=2, random_state=0), X[:, 0])
