"""Weights so small or so large that sums of their products leave the range of float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import RidgeClassifier

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLLSSVC, ZipMLRegressor

SCALES = [1e-305, 1e-310, 1e-320, 1e200, 1e305]


def data():
    """Rows, targets and weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    return X, X @ [1.0, 2.0, 3.0] + rng.normal(size=200), rng.integers(1, 5, 200) / 4


REGRESSORS = [
    ZipMLRegressor(random_state=0),
    ZipMLRegressor(None, random_state=0),
    ZipMLRegressor(solver="sgd", random_state=0),
    ZipMLRegressor(l1_ratio=0.5, alpha=0.1, random_state=0),
    ZipMLRegressor(early_stopping=True, random_state=0),
]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("model", REGRESSORS)
def test_a_regression_does_not_depend_on_their_scale(model, scale):
    """1e-310 of them all gives the coefficients of them all."""
    X, y, weights = data()
    scaled = weights * scale
    plain = clone(model).fit(X, y, sample_weight=scaled / scale)  # which is not exact for subnormal numbers
    fitted = clone(model).fit(X, y, sample_weight=scaled)
    assert_allclose(fitted.coef_, plain.coef_, rtol=1e-3)
    # which Ridge's penalty is made of
    assert fitted._total_weight / scaled.sum() == pytest.approx(plain._total_weight / (scaled / scale).sum())


@pytest.mark.parametrize("scale", SCALES)
def test_packed_rows(scale):
    """The same."""
    X, y, weights = data()
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    fitted, plain = (
        ZipMLRegressor(random_state=0).fit(packed, y, sample_weight=own) for own in (weights * scale, weights)
    )
    assert_allclose(fitted.coef_, plain.coef_, rtol=1e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_chunks(scale):
    """Are weighed against each other; one that is nothing beside the others is refused."""
    X, y, weights = data()
    plain, scaled = ZipMLRegressor(random_state=0), ZipMLRegressor(random_state=0)
    for rows, factor in ((slice(0, 100), 1), (slice(100, 150), 8), (slice(150, 200), 0.125)):
        plain.partial_fit(X[rows], y[rows], sample_weight=factor * weights[rows])
        scaled.partial_fit(X[rows], y[rows], sample_weight=factor * weights[rows] * scale)
    assert_allclose(scaled.coef_, plain.coef_, rtol=1e-3)
    if scale < 1:
        before = scaled.coef_.copy()
        with pytest.raises(ValueError, match=r"sample_weight: those of this chunk are up to .* times the first"):
            scaled.partial_fit(X, y)
        assert_array_equal(scaled.coef_, before)
    else:
        scaled.partial_fit(X, -y)  # weights of 1 beside 1e200 are nothing
        assert_allclose(scaled.coef_, plain.coef_, rtol=1e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_a_classifier_weighs_them_against_its_penalty(scale):
    """C times them is what counts, as in RidgeClassifier."""
    X, y, weights = data()
    labels = y > 0
    scaled = weights * scale
    if 1e-308 < scale < 1e300:
        plain = ZipMLLSSVC(8, random_state=0).fit(X, labels, sample_weight=weights)
        fitted = ZipMLLSSVC(8, C=1 / scale, random_state=0).fit(X, labels, sample_weight=scaled)
        assert_allclose(fitted.coef_, plain.coef_, rtol=1e-6)
    for fitted in (
        ZipMLLSSVC(8, random_state=0).fit(X, labels, sample_weight=scaled),
        ZipMLLSSVC(8, random_state=0).partial_fit(X, labels, classes=[0, 1], sample_weight=scaled),
        ZipMLLSSVC(8, class_weight={0: scale, 1: scale}, random_state=0).fit(X, labels, sample_weight=weights),
    ):
        plain = RidgeClassifier().fit(X, labels, sample_weight=scaled)
        assert_allclose(fitted.coef_, np.atleast_2d(plain.coef_), rtol=0.02, atol=1e-12)
