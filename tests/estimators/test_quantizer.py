"""DoubleSamplingQuantizer as a transformer; what its codes are worth is in test_encoder."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from packing import assert_same_parts
from sklearn import __version__, config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._quantization import requantize
from sklearn_zipml._storage import blocks

SAMPLINGS = ["double", "compensated", "naive", "nearest"]


def data(n=300, d=5, seed=0):
    """Columns of different scales."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 10.0 ** np.arange(-2, d - 2) + 3


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sample_bits", [2, 3, 4, 8])
@pytest.mark.parametrize("levels", ["optimal", "uniform"])
def test_fit_and_quantize_is_fit_transform(sample_bits, sampling, levels):
    """Training rows get the same codes either way, in any order and subset."""
    X = data()
    quantizer = DoubleSamplingQuantizer(sample_bits, sampling=sampling, levels=levels, random_state=0)
    packed = quantizer.fit_transform(X)
    assert isinstance(packed, PackedMatrix)
    assert (packed.shape, packed.sample_bits, packed.sampling) == (X.shape, sample_bits, sampling)
    decoded = np.asarray(packed)
    fitted = clone(quantizer).fit(X)
    assert fitted.quantize(X) == packed
    assert_array_equal(np.asarray(fitted.quantize(X[::-1])), decoded[::-1])
    assert_array_equal(np.asarray(fitted.quantize(X[17:40])), decoded[17:40])
    assert_array_equal(fitted.levels_[0], quantizer.levels_[0])


@pytest.mark.parametrize("sampling", ["compensated", "naive", "nearest"])
def test_values_are_levels(sampling):
    """Decoded values are the two levels around the value, in the range of the column."""
    X = data()
    quantizer = DoubleSamplingQuantizer(3, sampling=sampling, random_state=0)
    decoded = np.asarray(quantizer.fit_transform(X))
    for j, levels in enumerate(quantizer.levels_):
        assert len(levels) <= 8 and np.all(np.diff(levels) > 0)
        assert_allclose(levels[[0, -1]], [X[:, j].min(), X[:, j].max()], rtol=1e-9)
        nearest = np.abs(decoded[:, j, None] - levels).argmin(axis=1)
        assert_allclose(decoded[:, j], levels[nearest], rtol=1e-9)
        # half a grid step of slack: values are put on the grid first
        slack = quantizer.step_[j]
        above = np.minimum(np.searchsorted(levels, X[:, j] - slack), len(levels) - 1)
        below = np.maximum(np.searchsorted(levels, X[:, j] + slack) - 1, 0)
        assert np.all((nearest >= np.minimum(above, below) - 1) & (nearest <= np.maximum(above, below) + 1))


def test_transform_passes_new_rows_through():
    """As they are, by default."""
    X, new = data(), data(seed=1)
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    assert_array_equal(quantizer.transform(new), new)
    assert isinstance(quantizer.transform(new), np.ndarray)
    assert quantizer.transform(new.astype(np.float32)).dtype == np.float32
    packed = quantizer.quantize(new)
    assert quantizer.transform(packed) is packed


def test_quantize_unseen():
    """Packs in transform too, with the codes of quantize."""
    X, new = data(), data(seed=1)
    quantizer = DoubleSamplingQuantizer(quantize_unseen=True, random_state=0)
    packed = quantizer.fit_transform(X)
    assert quantizer.transform(X) == packed
    assert isinstance(quantizer.transform(new), PackedMatrix)
    assert quantizer.transform(new) == quantizer.quantize(new)
    assert quantizer.transform(X[:1]).shape == (1, 5)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sample_bits", [2, 4, 8])
def test_clipping(sample_bits, sampling):
    """Values outside the range seen in fit go to its ends."""
    X = data()
    quantizer = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0).fit(X)
    far = np.array([[-1e9] * 5, [1e9] * 5, [-1e300] * 5, [1e300] * 5])
    decoded = np.asarray(quantizer.quantize(far))
    for row, ends in zip(decoded, [X.min(0), X.max(0)] * 2, strict=True):
        assert_allclose(row, ends, rtol=1e-9)


def test_inverse_transform():
    """Decodes packed rows and leaves others."""
    X = data()
    quantizer = DoubleSamplingQuantizer(8, random_state=0)
    packed = quantizer.fit_transform(X)
    assert_array_equal(quantizer.inverse_transform(packed), np.asarray(packed))
    assert_array_equal(quantizer.inverse_transform(X), X)
    error = np.abs(quantizer.inverse_transform(packed) - X)
    assert np.all(error <= 2 * np.ptp(X, axis=0) / 127)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(dtype):
    """Decoded values have the dtype of the input."""
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(data().astype(dtype))
    assert packed.dtype == np.asarray(packed).dtype == dtype


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


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, np.ndarray.tolist, np.asfortranarray])
def test_input_kinds(kind):
    """Same rows, same codes."""
    X = data()
    expected = np.asarray(DoubleSamplingQuantizer(random_state=0).fit_transform(X))
    assert_array_equal(np.asarray(DoubleSamplingQuantizer(random_state=0).fit_transform(kind(X))), expected)


# Together with an estimator


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sample_bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pipeline_is_the_estimator_alone(dtype, sample_bits, sampling):
    """Quantizing in front gives the very coefficients of quantizing inside."""
    if (sample_bits, sampling) == (1, "double"):
        pytest.skip("two draws need two bits")
    X = data().astype(dtype)
    y = X @ (10.0 ** -np.arange(-2, 3)) + np.random.default_rng(1).normal(size=len(X))
    quantizer = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0)
    # the default of 4 bits takes narrower rows as they are; a wider store needs the number
    inner = ZipMLRegressor(random_state=0) if sample_bits <= 4 else ZipMLRegressor(sample_bits, random_state=0)
    pipeline = make_pipeline(quantizer, inner).fit(X, y)
    alone = ZipMLRegressor(sample_bits, sampling=sampling, random_state=0).fit(X, y)
    assert_array_equal(pipeline[-1].coef_, alone.coef_)
    assert pipeline[-1].intercept_ == alone.intercept_
    assert pipeline[-1].sample_bits_ == sample_bits
    new = data(seed=2).astype(dtype)
    assert_array_equal(pipeline.predict(new), alone.predict(new))
    assert pipeline.score(X, y) > (0.1 if sample_bits < 3 else 0.6)


def test_predictions_are_on_unquantized_rows():
    """Rounding the rows of inference costs what the guide says it costs."""
    X = np.random.default_rng(0).normal(size=(2000, 10))
    y = X.sum(axis=1)
    scores = [
        make_pipeline(
            DoubleSamplingQuantizer(2, sampling="compensated", quantize_unseen=unseen, random_state=0),
            ZipMLRegressor(random_state=0),
        )
        .fit(X, y)
        .score(X, y)
        for unseen in (False, True)
    ]
    assert scores[0] > scores[1] + 0.1


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_packed_input_is_narrowed(sampling):
    """A PackedMatrix goes to fewer bits, never to more."""
    X = data()
    wide = DoubleSamplingQuantizer(8, sampling=sampling, random_state=0).fit_transform(X)
    quantizer = DoubleSamplingQuantizer(3, sampling=sampling, random_state=0)
    narrow = quantizer.fit_transform(wide)
    assert narrow.sample_bits == 3 and narrow.sampling == sampling
    assert narrow.nbytes < wide.nbytes
    for j, levels in enumerate(quantizer.levels_):
        assert len(levels) == (4 if sampling == "double" else 8)
        assert np.isclose(np.asarray(narrow)[:, j, None], (levels[:, None] + levels).reshape(-1) / 2).any(axis=1).all()
    with pytest.raises(ValueError, match=r"sample_bits=4.*3 bits"):
        DoubleSamplingQuantizer(4, sampling=sampling).fit(narrow)


def test_same_width_packed_input_is_kept():
    """Nothing to do."""
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(data())
    assert DoubleSamplingQuantizer(4, random_state=1).fit_transform(packed) == packed


# Errors and warnings


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("method", ["fit", "fit_transform", "quantize", "transform", "inverse_transform"])
def test_non_finite_values(method, dtype, bad):
    """An error that says what and where from."""
    X = data(d=4).astype(dtype)
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(X)
    X[123, 3] = bad
    with pytest.raises(ValueError, match="(?i)Input X.*contains " + ("NaN" if np.isnan(bad) else "infinity")):
        getattr(quantizer, method)(X)


@pytest.mark.parametrize("method", ["quantize", "transform", "inverse_transform"])
def test_not_fitted(method):
    """NotFittedError, also for packed rows."""
    with pytest.raises(NotFittedError):
        getattr(DoubleSamplingQuantizer(), method)(data())
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(data())
    with pytest.raises(NotFittedError):
        getattr(DoubleSamplingQuantizer(), method)(packed)


@pytest.mark.parametrize("method", ["quantize", "transform", "inverse_transform"])
def test_number_of_features(method):
    """The standard message, also for packed rows."""
    quantizer = DoubleSamplingQuantizer(random_state=0).fit(data())
    message = "X has 4 features, but DoubleSamplingQuantizer is expecting 5 features as input"
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(data()[:, :4])
    for X in (data()[:, :4], packed):
        with pytest.raises(ValueError, match=message):
            getattr(quantizer, method)(X)


@pytest.mark.parametrize(
    "params, parts",
    [
        ({"sample_bits": 1, "sampling": "double"}, ["sample_bits=1", "sampling='double'"]),
        ({"sample_bits": 0}, ["sample_bits", "0"]),
        ({"sample_bits": None}, ["sample_bits", "None"]),
        ({"sampling": "triple"}, ["sampling", "triple"]),
        ({"levels": "best"}, ["levels", "best"]),
    ],
)
def test_parameter_errors(params, parts):
    """Every message names the parameter and its value."""
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError) as caught:
            getattr(DoubleSamplingQuantizer(**params), method)(data())
        assert all(part in str(caught.value) for part in parts)


@pytest.mark.parametrize("levels", ["optimal", "uniform"])
@pytest.mark.parametrize("frame", [True, False])
@pytest.mark.parametrize("n", [300, 3000])
def test_one_outlier_warning(n, frame, levels):
    """One for all columns, naming them, whichever way the outlier lies."""
    X = data(n)
    X[7, 1], X[8, 3] = 1e9, -1e9
    X = pd.DataFrame(X, columns=list("abcde")) if frame else X
    with pytest.warns(UserWarning, match="outlier") as caught:
        DoubleSamplingQuantizer(levels=levels, random_state=0).fit(X)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert all(name in message for name in (("'b'", "'d'") if frame else (" 1, 3 ",)))


def test_sparse_columns_do_not_warn():
    """Mostly zeros, or heavy tails, are not outliers."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.uniform(size=2000) < 0.01, rng.exponential(size=2000), np.zeros(2000), rng.lognormal(size=2000)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DoubleSamplingQuantizer(random_state=0).fit_transform(X)


def test_random_state_and_pickle():
    """Same seed, same codes, and a pickled quantizer keeps them."""
    X = data()
    first = DoubleSamplingQuantizer(random_state=0).fit(X)
    assert DoubleSamplingQuantizer(random_state=0).fit_transform(X) == first.quantize(X)
    assert DoubleSamplingQuantizer(random_state=1).fit_transform(X) != first.quantize(X)
    assert pickle.loads(pickle.dumps(first)).quantize(X) == first.quantize(X)
    assert len(pickle.dumps(first)) < 5000
    unseeded = DoubleSamplingQuantizer().fit(X)
    assert unseeded.quantize(X) == unseeded.quantize(X)


@pytest.mark.parametrize("sample_bits", [2, 3, 8])
def test_default_pipeline_is_the_estimator(sample_bits):
    """With defaults everywhere the two ways to quantize are one: the same coefficients, scores on float rows."""
    X, y = data(), data()[:, 0]
    pipeline = make_pipeline(DoubleSamplingQuantizer(sample_bits, random_state=0), ZipMLRegressor(random_state=0))
    alone = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    if sample_bits > 4:  # the default width requantizes what is wider
        pipeline.set_params(zipmlregressor__sample_bits=sample_bits)
    assert_array_equal(pipeline.fit(X, y)[-1].coef_, alone.coef_)
    assert pipeline.score(X, y) == alone.score(X, y)


@pytest.mark.parametrize("sampling", ["compensated", "double"])
def test_threads_change_nothing(monkeypatch, sampling):
    """Levels, codes and statistics, requantizing too, whether n_jobs or a joblib configuration asks for threads."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(requantize, "THREAD_TILES", 1)
    monkeypatch.setattr(requantize, "THREAD_COLUMNS", 4)
    X = np.random.default_rng(0).normal(size=(1000, 9))
    quantizer = DoubleSamplingQuantizer(8, sampling=sampling, random_state=0)
    alone = quantizer.fit_transform(X)
    threaded = clone(quantizer).set_params(n_jobs=3).fit_transform(X)
    with parallel_config(n_jobs=2):
        configured = clone(quantizer).fit_transform(X)
    narrow = DoubleSamplingQuantizer(4, sampling=sampling, random_state=0)
    requantized = [narrow.set_params(n_jobs=n).fit_transform(alone) for n in (None, 3)]
    for one, other in ((alone, threaded), (alone, configured), requantized):
        assert_same_parts(one, other)
