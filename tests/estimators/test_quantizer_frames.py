"""What a quantizer gives where frames are asked for."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from quantizing import data
from sklearn import __version__, config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor


def test_feature_names():
    """One in, one out."""
    X = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    assert list(DoubleSamplingQuantizer().fit(X).get_feature_names_out()) == [f"x{i}" for i in range(5)]
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(frame)
    assert list(quantizer.get_feature_names_out()) == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        quantizer.transform(frame[list("edcba")])


@pytest.mark.parametrize("kind, frame", [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
@pytest.mark.parametrize("where", ["local", "global", "pipeline"])
@pytest.mark.parametrize("quantize_unseen", [True, False])
@pytest.mark.parametrize("given", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_set_output(given, quantize_unseen, where, kind, frame):
    """Rows that are passed on become the frame that is asked for; packed rows stay packed, with the frame's names."""
    X = data() if given is np.asarray else given({name: data()[:, j] for j, name in enumerate("abcde")})
    plain = DoubleSamplingQuantizer(quantize_unseen=quantize_unseen, random_state=0)
    packed = plain.fit_transform(X)
    quantizer = clone(plain)
    if where == "pipeline":
        quantizer = make_pipeline(quantizer)
    if where != "global":
        quantizer.set_output(transform=kind)
    with config_context(transform_output=kind if where == "global" else "default"):
        fitted, passed = quantizer.fit_transform(X), quantizer.transform(X)
    # scikit-learn before 1.9 does not read the names of polars 2
    names = tuple(getattr(StandardScaler().fit(X), "feature_names_in_", ["x0", "x1", "x2", "x3", "x4"]))
    assert given is not pd.DataFrame or names == tuple("abcde")
    assert fitted == packed and fitted.feature_names == names
    if quantize_unseen:
        assert passed == packed and passed.feature_names == names
    else:
        assert isinstance(passed, frame) and tuple(passed.columns) == names
        assert_array_equal(passed.to_numpy(), data())


def test_set_output_keeps_the_index():
    """Of pandas frames, as scikit-learn's transformers do."""
    X = pd.DataFrame(data(), columns=list("abcde"), index=np.arange(300)[::-1])
    quantizer = DoubleSamplingQuantizer(random_state=0).set_output(transform="pandas").fit(X)
    pd.testing.assert_frame_equal(quantizer.transform(X), X)


def test_set_output_back_to_default():
    """And packed again; a local setting wins over the global one."""
    quantizer = DoubleSamplingQuantizer(random_state=0).set_output(transform="default")
    with config_context(transform_output="pandas"):
        assert isinstance(quantizer.fit(data()).transform(data()), np.ndarray)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_do_not_undo_the_compensation(kind):
    """A pipeline that is asked for frames learns what it learns without, at 2 bits."""
    if kind == "polars" and parse_version(__version__) < parse_version("1.9"):
        pytest.skip("scikit-learn before 1.9 does not read the names of polars 2")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(5000, 10)), columns=[f"c{j}" for j in range(10)])
    y = X.to_numpy().sum(axis=1)
    pipeline = make_pipeline(DoubleSamplingQuantizer(2, random_state=0), ZipMLRegressor(2, random_state=0))
    plain = clone(pipeline).fit(X, y)
    framed = clone(pipeline).set_output(transform=kind).fit(X, y)
    assert_array_equal(framed[-1].coef_, plain[-1].coef_)
    assert framed.score(X, y) == plain.score(X, y) > 0.99


def test_subclasses_keep_packed_rows():
    """Methods that a subclass defines are not wrapped either."""

    class Quantizer(DoubleSamplingQuantizer):
        def fit_transform(self, X, y=None):
            return super().fit_transform(X, y)

    assert isinstance(Quantizer(random_state=0).set_output(transform="pandas").fit_transform(data()), PackedMatrix)


@pytest.mark.parametrize("kind", ["default", "pandas"])
def test_beside_other_transformers(kind):
    """ColumnTransformer and FeatureUnion put arrays together, so they decode, in any output setting."""
    X = pd.DataFrame(data(), columns=list("abcde"))
    quantizer = DoubleSamplingQuantizer(8, random_state=0)
    decoded = np.asarray(quantizer.fit_transform(X[["a", "b"]]))
    columns = ColumnTransformer([("packed", quantizer, ["a", "b"])], remainder="passthrough")
    union = FeatureUnion([("packed", quantizer), ("plain", FunctionTransformer(feature_names_out="one-to-one"))])
    for transformer in (columns, union):
        out = np.asarray(transformer.set_output(transform=kind).fit_transform(X))
        assert_array_equal(out[:, :2], decoded if transformer is columns else out[:, :2])
        assert_array_equal(out[:, -3:], X[["c", "d", "e"]])
