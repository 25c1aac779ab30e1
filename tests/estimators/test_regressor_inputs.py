"""ZipMLRegressor on every kind of input: types, packed rows and weights."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from regression import EXACT, SAMPLINGS, assert_same_model, grid_data
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor

# Types


@pytest.mark.parametrize("dtype, expected", [(np.float32, np.float32), (np.float64, np.float64), (np.int8, np.float64)])
@pytest.mark.parametrize("sample_bits", [None, 4])
def test_dtypes(sample_bits, dtype, expected):
    """float32 stays float32, everything else becomes float64."""
    X, y = grid_data(top=15)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X.astype(dtype), y)
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(X.astype(dtype)).dtype == expected
    model.fit(X.astype(dtype), np.c_[y, y])
    assert model.coef_.dtype == model.intercept_.dtype == model.predict(X.astype(dtype)).dtype == expected


def _memmap(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def _read_only(X, folder):
    X = X.copy()
    X.flags.writeable = False
    return X


INPUTS = {
    "list": lambda X, folder: X.tolist(),
    "tuple of rows": lambda X, folder: tuple(map(tuple, X)),
    "F order": lambda X, folder: np.asfortranarray(X),
    "strided": lambda X, folder: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "reversed": lambda X, folder: X[::-1, ::-1].copy()[::-1, ::-1],
    "big endian": lambda X, folder: X.astype(">f8"),
    "pandas": lambda X, folder: pd.DataFrame(X, columns=list("abcdef")),
    "pandas nullable": lambda X, folder: pd.DataFrame(X.astype(int), columns=list("abcdef")).astype("Int64"),
    "polars": lambda X, folder: pl.DataFrame(X, schema=list("abcdef")),
    "memmap": _memmap,
    "read-only": _read_only,
    **{name: (lambda X, folder, name=name: X.astype(name)) for name in ("float16", "float32", "float64")},
    **{name: (lambda X, folder, name=name: X.astype(name)) for name in ("int8", "uint8", "int32", "int64", "uint64")},
}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("sample_bits", [None, 2])
def test_input_kinds(sample_bits, kind, tmp_path):
    """The same numbers give the same model, however they come."""
    X, y = grid_data(n=200, top=15)
    given = INPUTS[kind](X, tmp_path)
    expected = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(given, y)
    assert_array_equal(model.coef_, expected.coef_.astype(model.coef_.dtype))
    assert_allclose(model.predict(given), expected.predict(X), rtol=1e-5, atol=1e-4)
    if kind.startswith("pandas"):
        assert list(model.feature_names_in_) == list("abcdef")
    if kind == "polars":  # scikit-learn before 1.9 does not read the names of polars 2
        names = getattr(Ridge().fit(given, y), "feature_names_in_", None)
        assert_array_equal(getattr(model, "feature_names_in_", None), names)


@pytest.mark.parametrize("sample_bits", [None, 1])
def test_bool_input(sample_bits):
    """Booleans are 0 and 1."""
    X, y = grid_data(top=1)
    expected = ZipMLRegressor(sample_bits, random_state=0).fit(X, y)
    model = ZipMLRegressor(sample_bits, random_state=0).fit(X.astype(bool), y)
    assert_array_equal(model.coef_, expected.coef_)
    assert_allclose(model.predict(X.astype(bool)), expected.predict(X))


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, lambda y: y.astype(np.float32)])
def test_target_kinds(make):
    """Targets too."""
    X, y = grid_data(n=200)
    y = np.rint(y)
    expected = ZipMLRegressor(random_state=0).fit(X, y)
    assert_array_equal(ZipMLRegressor(random_state=0).fit(X, make(y)).coef_, expected.coef_)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["X", "y", "sample_weight", "predict"])
@pytest.mark.parametrize("sample_bits", [None, 4])
def test_non_finite_input(sample_bits, where, bad):
    """NaN and infinity are errors that name them and the input."""
    X, y = grid_data(n=200)
    given = {"X": X.copy(), "y": y.copy(), "sample_weight": np.ones(len(y)), "predict": X.copy()}
    given[where].flat[777 % given[where].size] = bad
    model = ZipMLRegressor(sample_bits, random_state=0)
    message = r"(?i)Input (X|y|sample_weight)\b.*contains (NaN|infinity)" if where != "sample_weight" else "(?i)weight"
    with pytest.raises(ValueError, match=message):
        model.fit(given["X"], given["y"], given["sample_weight"]).predict(given["predict"])


# Packed input


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("sample_bits", [2, 3, 4, 8])
def test_packed_predictions_are_those_of_the_decoded_array(sample_bits, sampling, dtype):
    """Predicting on codes is predicting on what they decode to, to 1e-5 of the largest prediction."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(150, 9)) * 10.0 ** np.arange(-4, 5)).astype(dtype)
    y = X[:, 2] * 100 + X[:, 6] / 100
    packed = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0).fit_transform(X)
    model = ZipMLRegressor(sample_bits, sampling=sampling, random_state=0).fit(packed, y)
    expected = model.predict(np.asarray(packed))
    assert_allclose(model.predict(packed), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert model.predict(packed).dtype == model.coef_.dtype == dtype


def test_wide_packed_matrix_is_narrowed():
    """A wider container is requantized for training; the default takes a narrower one as it is."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    model = ZipMLRegressor(3, random_state=0).fit(packed, y)
    assert model.sample_bits_ == 3 and packed.sample_bits == 8
    assert model.score(X, y) > 0.9
    two = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    assert ZipMLRegressor(random_state=0).fit(two, y).sample_bits_ == 2


@pytest.mark.parametrize("sample_bits, stored, parts", [(8, 4, ["sample_bits=8", "4 bits"]), (None, 4, ["None", "4"])])
def test_packed_width_errors(sample_bits, stored, parts):
    """A narrower container, or one where floats are wanted, is an error naming both widths."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(stored, random_state=0).fit_transform(X)
    with pytest.raises(ValueError) as caught:
        ZipMLRegressor(sample_bits).fit(packed, y)
    assert all(part in str(caught.value) for part in ["PackedMatrix", *parts])


def test_packed_lengths_and_widths():
    """The standard messages for y of another length and rows of another width."""
    X, y = grid_data()
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ZipMLRegressor().fit(packed, y[:-1])
    model = ZipMLRegressor(random_state=0).fit(packed, y)
    with pytest.raises(ValueError, match="X has 5 features, but ZipMLRegressor is expecting 6"):
        model.predict(DoubleSamplingQuantizer(random_state=0).fit_transform(X[:, :5]))
    with pytest.raises(ValueError, match="0 sample"):
        ZipMLRegressor().fit(packed[:0], y[:0])
    with pytest.raises(NotFittedError):
        ZipMLRegressor().predict(packed)


# Weights


@pytest.mark.parametrize("sample_bits", [None, 8])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_integer_weights_are_repetitions(sample_bits, fit_intercept):
    """Same optimum as repeated rows and as weighted Ridge, to 1e-4 of the largest coefficient."""
    X, y = grid_data()
    weights = np.random.default_rng(1).integers(1, 5, size=len(y))
    model = ZipMLRegressor(sample_bits, fit_intercept=fit_intercept, alpha=1, **EXACT)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    reference = Ridge(alpha=weights.sum(), fit_intercept=fit_intercept).fit(X, y, sample_weight=weights)
    assert_same_model(weighted, reference, rtol=1e-4)
    assert_same_model(repeated, reference, rtol=1e-4)


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_uneven_weights(sample_bits):
    """Weights over six orders of magnitude."""
    X, y = grid_data()
    weights = 10 ** np.random.default_rng(1).uniform(-3, 3, size=len(y))
    model = ZipMLRegressor(sample_bits, **EXACT).fit(X, y, sample_weight=weights)
    assert_same_model(model, Ridge(alpha=1e-4 * weights.sum()).fit(X, y, sample_weight=weights), rtol=1e-3)


@pytest.mark.parametrize("solver", ["saga", "sgd"])
@pytest.mark.parametrize("sample_bits", [None, 2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_zero_weights_are_removals(packed, sample_bits, solver):
    """Rows of weight zero have no influence at all, given the random state."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 5)), rng.normal(size=300)
    if packed and sample_bits is None:
        pytest.skip("floats are not packed")
    weights = rng.uniform(size=300) * (rng.uniform(size=300) < 0.7)
    kept = weights > 0
    X[~kept] *= 100
    given = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X) if packed else X
    model = ZipMLRegressor(sample_bits, solver=solver, random_state=0, max_iter=5, tol=0)
    zero = clone(model).fit(given, y, sample_weight=weights)
    removed = clone(model).fit(given[kept], y[kept], sample_weight=weights[kept])
    assert_array_equal(zero.coef_, removed.coef_)
    assert zero.intercept_ == removed.intercept_


def test_equal_weights_are_no_weights():
    """Only proportions count, alpha being per weight."""
    X, y = grid_data()
    model = ZipMLRegressor(random_state=0)
    plain = clone(model).fit(X, y).coef_
    for weight in (1, 7.5, 1e-12, 1e12):
        assert_array_equal(clone(model).fit(X, y, sample_weight=np.full(len(y), weight)).coef_, plain)
        assert_array_equal(clone(model).fit(X, y, sample_weight=weight).coef_, plain)


@pytest.mark.parametrize("weights, message", [(np.zeros(400), "(?i)weights.*zero"), (-np.ones(400), "(?i)negative")])
def test_weight_errors(weights, message):
    """All zero, or negative."""
    X, y = grid_data()
    with pytest.raises(ValueError, match=message):
        ZipMLRegressor().fit(X, y, sample_weight=weights)
