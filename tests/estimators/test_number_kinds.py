"""Rows of number types that NumPy does not know by itself: bfloat16 and float8 of embeddings, four-bit integers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn import __version__
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.fixes import parse_version

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators import validation
from sklearn_zipml._storage import blocks

ml_dtypes = pytest.importorskip("ml_dtypes")
KINDS = [
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    ml_dtypes.float8_e8m0fnu,
    ml_dtypes.float4_e2m1fn,
    ml_dtypes.int4,
    ml_dtypes.uint2,
]


def data(kind):
    """Rows of the kind, the same in float64, and a target."""
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    X = (np.abs(X) + 0.5 if kind in (ml_dtypes.float8_e8m0fnu, ml_dtypes.uint2) else 2 * X).astype(kind)
    plain = X.astype(np.float64)
    return X, plain, plain @ [1.0, 2.0, 3.0] + np.random.default_rng(1).normal(size=300)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(
    "model",
    [
        ZipMLRegressor(8, random_state=0),
        ZipMLRegressor(None, random_state=0),
        ZipMLRegressor(2, early_stopping=True, random_state=0),
        ZipMLLSSVC(random_state=0),
    ],
)
def test_models(model, kind):
    """Coefficients and predictions are those of the same numbers in float64, of arrays and of lists of rows."""
    X, plain, y = data(kind)
    y = y > 0 if isinstance(model, ZipMLLSSVC) else y
    expected = clone(model).fit(plain, y)
    for rows in (X, np.asfortranarray(X), list(X), pd.DataFrame(X)):
        fitted = clone(model).fit(rows, y)
        np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-5)
        assert fitted.coef_.dtype == np.float64
        assert len(fitted.predict(rows)) == 300
        np.testing.assert_allclose(fitted.score(rows, y), fitted.score(plain, y), rtol=1e-12)
    classes = {"classes": [False, True]} if isinstance(model, ZipMLLSSVC) else {}
    chunked = clone(model).partial_fit(X[:100], y[:100], **classes).partial_fit(X[100:], y[100:])
    in_float64 = clone(model).partial_fit(plain[:100], y[:100], **classes).partial_fit(plain[100:], y[100:])
    np.testing.assert_allclose(chunked.coef_, in_float64.coef_, rtol=1e-5)


def test_as_ridge():
    """It takes them, too."""
    X, _, y = data(ml_dtypes.bfloat16)
    model = ZipMLRegressor(8, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.coef_, Ridge(alpha=0.03).fit(X, y).coef_, rtol=0.02)


def assert_almost_all_equal(packed, other):
    """But for rows of which a coordinate, computed in float32 or in float64, is rounded in another way."""
    assert np.mean(np.any(np.asarray(packed) != np.asarray(other), axis=1)) <= 0.02


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_packing(kind):
    """At once and in chunks, among chunks of other types, and levels found in chunks."""
    X, plain, _ = data(kind)
    quantizer = DoubleSamplingQuantizer(3, random_state=0)
    packed = quantizer.fit_transform(X)
    assert packed.dtype == np.float64
    assert_almost_all_equal(packed, clone(quantizer).fit_transform(plain))
    assert PackedMatrix.from_chunks([X[:70], X[70:]], sample_bits=3, random_state=0) == packed
    assert PackedMatrix.from_chunks((rows for rows in (X[:70], X[70:])), quantizer=quantizer) == packed
    mixed = PackedMatrix.from_chunks([X[:70], plain[70:200], X[200:].astype(np.float32)], sample_bits=3, random_state=0)
    assert_almost_all_equal(mixed, packed)
    assert_array_equal(clone(quantizer).partial_fit(X[:70]).partial_fit(X[70:]).levels_[0], quantizer.levels_[0])
    assert_array_equal(quantizer.transform(X), X)


def test_no_copy_of_it_all(monkeypatch):
    """They are converted a block at a time."""
    X, plain, y = data(ml_dtypes.bfloat16)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64 * 3 * 8)
    largest, take = [], blocks.row_block
    monkeypatch.setattr(blocks, "row_block", lambda *rows: largest.append(len(take(*rows))) or take(*rows))
    model = ZipMLRegressor(8, random_state=0).fit(X, y)
    assert_array_equal(model.predict(X), model.predict(plain))
    assert largest and max(largest) <= 128
    given = validation.check_samples(model, X, reset=False)
    assert given is X


def test_targets_and_weights():
    """Are read as float64; a target that is kept is float32."""
    X, plain, y = data(ml_dtypes.bfloat16)
    small = y.astype(ml_dtypes.bfloat16)
    weights = np.abs(small)
    expected = ZipMLRegressor(random_state=0).fit(plain, small.astype(float), sample_weight=weights.astype(float))
    for rows in (X, PackedMatrix.from_chunks(X, random_state=0)):
        assert_array_equal(ZipMLRegressor(random_state=0).fit(rows, small, sample_weight=weights).coef_, expected.coef_)
    packed = PackedMatrix.from_chunks(X, small, random_state=0)
    assert packed.target.dtype == np.float32
    assert_array_equal(packed.target, small.astype(np.float32))
    assert_array_equal(expected.score(packed), expected.score(packed, small.astype(float)))
    bad = small.copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="Input y contains NaN"):
        ZipMLRegressor().fit(X, bad)


@pytest.mark.parametrize("kind", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_nan(kind):
    """Is found where they are read, in fit and in predict."""
    X, plain, y = data(kind)
    model = ZipMLRegressor(random_state=0).fit(plain, y)
    X[17, 1] = np.nan
    for work in (
        lambda: clone(model).fit(X, y),
        lambda: ZipMLRegressor(None).fit(X, y),
        lambda: clone(model).partial_fit(X, y),
        lambda: model.predict(X),
        lambda: PackedMatrix.from_chunks([X[:10], X[10:]]),
    ):
        with pytest.raises(ValueError, match=r"contains NaN.*column 1, row 17\."):
            work()


@pytest.mark.parametrize("output, frame", [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_frames_that_are_asked_for(output, frame):
    """Hold float32, which the next step knows."""
    X, plain, y = data(ml_dtypes.bfloat16)
    pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0))
    if output == "polars" and parse_version(__version__) < parse_version("1.9"):
        pytest.skip("scikit-learn before 1.9 does not read the names of polars 2")
    pipeline.set_output(transform=output).fit(X, y)
    passed = pipeline[0].transform(X)
    assert isinstance(passed, frame)
    assert_array_equal(passed.to_numpy(), plain.astype(np.float32), strict=True)
    assert_array_equal(pipeline.predict(X), pipeline[-1].predict(passed))


def test_frames_of_mixed_columns():
    """Those of known types stay what they are."""
    X, plain, y = data(ml_dtypes.bfloat16)
    mixed = pd.DataFrame({"a": X[:, 0], "b": plain[:, 1], "c": X[:, 2].astype(np.float32)})
    expected = ZipMLRegressor(random_state=0).fit(plain, y)
    assert_array_equal(ZipMLRegressor(random_state=0).fit(mixed, y).coef_, expected.coef_)


@pytest.mark.parametrize("dtype", ["V2", "S2", [("a", float), ("b", float)], complex, ml_dtypes.complex32], ids=str)
def test_what_is_no_number(dtype):
    """Raw bytes, text, records and complex numbers are refused."""
    X = np.zeros((5, 2), dtype)
    for work in (lambda: ZipMLRegressor().fit(X, np.ones(5)), lambda: PackedMatrix.from_chunks(X)):
        with pytest.raises((ValueError, TypeError)):
            work()
