"""Everything works under numpy.errstate(all="raise"), with the results of the default."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor, recommend_bits
from sklearn_zipml._underflow import underflow_is_zero

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*did not converge",
    "ignore:One grid",
    "ignore:Most values of",
    "ignore:.*outside the range",
    "ignore:fit_",
)


def cases():
    """Rows and targets of many sizes and shapes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0]
    for scale in (1e-300, 1e-150, 1e-40, 1e-12, 1, 1e12, 1e40, 1e150):
        yield f"X times {scale}", X * scale, y
    for scale in (1e-310, 1e-200, 1e-12, 1e12):
        yield f"y times {scale}", X, y * scale
    yield "subnormal values", np.where(X > 0, X, 1e-320), y
    yield "single", X.astype(np.float32), y
    yield "outliers", np.exp(10 * X), y
    yield "far away", X + 1e8, y
    yield "no spread", np.ones((50, 3)), np.arange(50.0)
    yield "nothing", np.zeros((50, 3)), np.arange(50.0)
    yield "one target", X, np.ones(120)
    yield "one-hot", np.eye(4)[rng.integers(0, 4, 120)], y
    yield "wide", rng.normal(size=(10, 40)), rng.normal(size=10)
    yield "two rows", X[:2], np.array([0.0, 1.0])
    yield "two targets", X, np.c_[y, y * 1e-200]


CASES = {name: data for name, *data in cases()}
SETTINGS = [
    {},
    {"sample_bits": None},
    {"sample_bits": 2, "sampling": "double"},
    {"sample_bits": 8, "levels": "uniform"},
    {"solver": "sgd"},
    {"l1_ratio": 0.5, "alpha": 0.1},
    {"early_stopping": True},
    {"alpha": 1e-300},
    {"fit_intercept": False},
]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("settings", SETTINGS, ids=repr)
def test_models(settings, name):
    """Coefficients and predictions, with weights that are next to nothing."""
    X, y = CASES[name]
    if len(X) < 10 and "early_stopping" in settings:
        pytest.skip("too few rows to set some aside")
    weights = np.linspace(0, 1, len(X))
    weights[-2] = 1e-310
    model = ZipMLRegressor(**{"max_iter": 10, "random_state": 0} | settings)
    expected = model.fit(X, y, sample_weight=weights)
    coef, predictions = expected.coef_, expected.predict(X)
    with np.errstate(all="raise"):
        model.fit(X, y, sample_weight=weights)
        assert_array_equal(model.predict(X), predictions)
    assert_array_equal(model.coef_, coef)


@pytest.mark.parametrize("name", [name for name in CASES if "e+" not in name])
def test_the_rest(tmp_path, name):
    """Packing, decoding, requantizing, files, chunks, labels."""
    X, y = CASES[name]
    labels = y.reshape(len(y), -1)[:, 0] > np.median(y)
    with np.errstate(all="raise"):
        quantizer = DoubleSamplingQuantizer(4, random_state=0)
        packed = quantizer.fit_transform(X)
        np.asarray(packed), packed.rounding_variance, repr(packed), list(packed[:3])
        quantizer.quantize(X * 0.5)
        DoubleSamplingQuantizer(2, random_state=0).partial_fit(X).partial_fit(X)
        made = PackedMatrix.from_chunks([X[: len(X) // 2], X[len(X) // 2 :]], y, random_state=0)
        made.save(tmp_path / "rows.zq")
        PackedMatrix.append(tmp_path / "rows.zq", X, y, random_state=0)
        half = made[::2].requantize(2, random_state=0)
        model = ZipMLRegressor(max_iter=10, random_state=0).fit(half)
        model.predict(half), model.predict(made)
        ZipMLRegressor(random_state=0).partial_fit(made).partial_fit(X, y)
        ZipMLLSSVC(class_weight="balanced", max_iter=10, random_state=0).fit(X, labels).predict(X)


def test_tools():
    """scikit-learn's and ours around them."""
    X, y = CASES["X times 1"]
    pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0))
    with np.errstate(all="raise"):
        assert cross_val_score(pipeline, X, y).min() > 0.5
        assert recommend_bits(X, y, tolerance=0.1).sample_bits in (1, 2, 3, 4)


def test_other_errors_are_reported():
    """Only underflow is none."""

    @underflow_is_zero
    def product(a, b):
        return np.float64(a) * np.float64(b)

    with np.errstate(all="raise"):
        assert product(1e-200, 1e-200) == 0
        with pytest.raises(FloatingPointError, match="overflow"):
            product(1e200, 1e200)


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1, 1e12, 1e200])
def test_early_stopping_on_targets_of_any_size(scale):
    """R² of the held-out rows does not depend on it."""
    X, y = CASES["X times 1"]
    model = ZipMLRegressor(8, early_stopping=True, random_state=0).fit(X, y * scale)
    plain = ZipMLRegressor(8, early_stopping=True, random_state=0).fit(X, y)
    assert model.validation_scores_[-1] == pytest.approx(plain.validation_scores_[-1], rel=1e-6)
    assert plain.validation_scores_[-1] > 0.9
