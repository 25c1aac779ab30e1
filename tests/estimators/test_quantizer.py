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
from quantizing import data
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._quantization import requantize
from sklearn_zipml._storage import blocks

SAMPLINGS = ["double", "compensated", "dithered", "naive", "nearest"]


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
    """Values outside the range seen in fit go to its ends, where outliers are not kept apart."""
    X = data()
    settings = {"sampling": sampling, "outliers": "none", "random_state": 0}
    quantizer = DoubleSamplingQuantizer(sample_bits, **settings).fit(X)
    far = np.array([[-1e9] * 5, [1e9] * 5, [-1e300] * 5, [1e300] * 5])
    decoded = np.asarray(quantizer.quantize(far))
    grid = quantizer.__zipml_packing__()[0]
    apart = 0 if grid.positions is None else grid.positions.max(axis=1) * grid.step / 2  # as far as dither goes
    for row, ends in zip(decoded, [X.min(0), X.max(0)] * 2, strict=True):
        assert (np.abs(row - ends) <= apart + 1e-9 * np.abs(ends)).all()


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
        assert len(levels) == {"double": 4, "dithered": 16}.get(sampling, 8)
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
        DoubleSamplingQuantizer(levels=levels, outliers="none", random_state=0).fit(X)
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
