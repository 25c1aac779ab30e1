"""Targets with holes: each output is what a fit of it alone, on the rows where it is known, gives."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor, ZipMLRegressorCV

N, D, OUTPUTS, ALPHA = 600, 12, 5, 0.01
WAYS = ["array", "float array", "packed", "chunks"]


@pytest.fixture(scope="module")
def data():
    """Genotypes, which 2 bits hold, targets of four patterns of holes, and weights, some zero."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(N, D)).astype(np.int8)
    Y = X @ rng.normal(size=(D, OUTPUTS)) + rng.normal(size=(N, OUTPUTS)) + 3
    Y[rng.uniform(size=N) < 0.2, :2] = np.nan
    Y[rng.uniform(size=N) < 0.5, 2] = np.nan
    Y[rng.uniform(size=N) < 0.9, 4] = np.nan
    weights = rng.integers(0, 3, size=N).astype(float)
    return X, Y, weights


def model(**settings):
    defaults = {"sample_bits": 2, "alpha": ALPHA, "tol": 1e-12, "random_state": 0, "missing_target": "drop"}
    return ZipMLRegressor(**defaults | settings)


def given(way, X, Y):
    """X and y as a way of giving them has it."""
    if way == "packed":
        return PackedMatrix.from_codes(X, random_state=0), Y
    if way == "chunks":
        return PackedMatrix.from_chunks(X, Y, sample_bits=2, random_state=0), None
    return (X.astype(np.float64) if way == "float array" else X), Y


def assert_each_is_ridge(fitted, X, Y, weights=None, rtol=1e-9):
    """Every output is Ridge on its own rows, in float64."""
    for j in range(Y.shape[1]):
        rows = ~np.isnan(Y[:, j])
        own = np.ones(N) if weights is None else weights
        ridge = Ridge(ALPHA * own[rows].sum()).fit(X[rows].astype(np.float64), Y[rows, j], own[rows])
        assert_allclose(fitted.coef_[j], ridge.coef_, rtol=rtol, atol=rtol)
        assert_allclose(fitted.intercept_[j], ridge.intercept_, rtol=rtol)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_each_output_is_fitted_to_its_own_rows(data, way, is_weighted):
    """Against Ridge on the rows that are kept; what the fit tells is of all of them."""
    X, Y, weights = data
    weights = weights if is_weighted else None
    before = Y.copy()
    fitted = model().fit(*given(way, X, Y), weights)
    assert_each_is_ridge(fitted, X, Y, weights)
    assert_array_equal(Y, before)
    assert fitted.solver_ == "gram" and fitted.n_iter_ == 1 and fitted.sample_bits_ == 2
    assert len(fitted.loss_curve_) == len(fitted.bytes_read_curve_) == 2 and fitted.sample_nbytes_ > 0
    again = fitted.to_sklearn()
    assert_allclose(again.predict(X), fitted.predict(X))
    own = np.ones(N) if weights is None else weights
    assert_allclose(again.alpha, ALPHA * (~np.isnan(Y) * own[:, None]).sum(axis=0))


@pytest.mark.parametrize("settings", [{}, {"solver": "saga", "tol": 1e-4}, {"l1_ratio": 0.5, "alpha": 0.1}])
def test_as_separate_fits_to_packed_rows(data, settings):
    """To the bit: rounded rows, every solver."""
    X, Y, _ = data
    X = X + np.random.default_rng(1).normal(size=X.shape)
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    fitted = model(**settings).fit(packed, Y)
    for outputs in ([0, 1], [2], [3], [4]):
        rows = np.flatnonzero(~np.isnan(Y[:, outputs[0]]))
        own = packed if len(rows) == N else packed[rows]
        alone = model(missing_target="error", **settings).fit(own, Y[rows][:, outputs])
        assert_array_equal(fitted.coef_[outputs], alone.coef_)
        assert_array_equal(fitted.intercept_[outputs], alone.intercept_)
        assert_array_equal(fitted.rounding_loss_[outputs], alone.rounding_loss_)


@pytest.mark.parametrize("way", WAYS)
def test_one_target(data, way):
    """Its rows without a value are left out: to the bit as if they were not there."""
    X, Y, _ = data
    y = Y[:, 2]
    rows = np.flatnonzero(~np.isnan(y))
    X, given_y = given(way, X, y)
    fitted = model().fit(X, given_y)
    alone = model(missing_target="error").fit(X[rows], y[rows])
    assert fitted.coef_.shape == (D,)
    assert_allclose(fitted.coef_, alone.coef_, rtol=1e-12)
    assert_allclose(fitted.score(X, given_y), alone.score(X[rows], y[rows]), rtol=1e-12)


def test_a_full_target_is_as_ever(data):
    """Nothing else comes of missing_target where nothing is missing."""
    X, Y, weights = data
    Y = np.nan_to_num(Y)
    one, other = model().fit(X, Y, weights), model(missing_target="error").fit(X, Y, weights)
    assert_array_equal(one.coef_, other.coef_)
    assert one.loss_curve_ == other.loss_curve_


@pytest.mark.parametrize("sample_bits", [None, 8])
def test_float_samples_early_stopping_and_warm_start(data, sample_bits):
    """Settings that read the rows as they were given."""
    X, Y, _ = data
    fitted = model(early_stopping=True, max_iter=20, sample_bits=sample_bits, tol=1e-4).fit(X, Y)
    assert fitted.score(X, Y) > 0.7 and len(fitted.validation_scores_) == fitted.n_iter_
    assert 0.5 < fitted.validation_scores_[-1] < 1
    plain = model(sample_bits=sample_bits).fit(X, Y)
    assert_each_is_ridge(plain, X, Y, rtol=1e-4)
    warm = model(solver="saga", warm_start=True, sample_bits=sample_bits, tol=1e-4).fit(X, Y)
    first = warm.n_iter_
    assert warm.fit(X, Y).n_iter_ < first
    with pytest.raises(ValueError, match="warm_start=True: the previous fit had 5 outputs, this one has 4"):
        warm.fit(X, Y[:, 1:])


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("way", ["array", "float array", "packed"])
def test_partial_fit(data, way, is_weighted):
    """Chunks whose holes differ; one in which an output is missing; sums of the same grid stay integers."""
    X, Y, weights = data
    Y = Y.copy()
    Y[200:400, 1] = np.nan
    weights = weights if is_weighted else None
    rows, _ = given(way, X, Y)
    fitted = model()
    for start in range(0, N, 200):
        some = slice(start, start + 200)
        fitted.partial_fit(rows[some], Y[some], None if weights is None else weights[some])
    assert_each_is_ridge(fitted, X, Y, weights)


def test_partial_fit_that_fails_has_not_happened(data):
    """Rows of nothing, an output that was never known, and holes that come after the parameter was changed."""
    X, Y, _ = data
    with pytest.raises(ValueError, match="Output 4 of y has no value that is known in the rows so far"):
        model().partial_fit(X, np.where(np.arange(OUTPUTS) == 4, np.nan, Y))
    fitted = model(missing_target="error").partial_fit(X[:100], np.nan_to_num(Y[:100]))
    with pytest.raises(ValueError, match="missing_target='drop'"):
        fitted.partial_fit(X[100:], Y[100:])
    fitted.set_params(missing_target="drop")
    before = fitted.coef_
    with pytest.raises(ValueError, match="y has no value that is known, all of these rows are missing"):
        fitted.partial_fit(X[100:], np.full((N - 100, OUTPUTS), np.nan))
    assert fitted.coef_ is before
    fitted.partial_fit(X[100:], Y[100:])
    assert_each_is_ridge(fitted, X, np.r_[np.nan_to_num(Y[:100]), Y[100:]])


MISSING = {
    "nan": lambda y: y,
    "None": lambda y: [None if np.isnan(value) else value for value in y],
    "NA": lambda y: np.array([pd.NA if np.isnan(value) else value for value in y], dtype=object),
    "masked": lambda y: np.ma.masked_invalid(y),
    "Float64": lambda y: pd.Series(y, dtype="Float64"),
    "Int64": lambda y: pd.Series(np.rint(y), dtype="Int64"),
    "boolean": lambda y: pd.Series(y > 0).astype("boolean").mask(np.isnan(y)),
    "frame": lambda y: pd.DataFrame({"a": pd.Series(y, dtype="Float64"), "b": y}),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing(data, kind):
    """Every way to say that a value is missing; refused, with the way out, unless it is asked for."""
    X, Y, _ = data
    y = Y[:, 2]
    known, given_y = ~np.isnan(y), MISSING[kind](y)
    expected = {"Int64": np.rint(y), "boolean": (y > 0) * 1.0, "frame": np.c_[y, y]}.get(kind, y)[known]
    fitted, alone = model().fit(X, given_y), model().fit(X[known], expected)
    assert_allclose(fitted.coef_, alone.coef_, rtol=1e-9)
    assert_allclose(fitted.score(X, given_y), alone.score(X[known], expected))
    names = "masked array with masked values" if kind == "masked" else "Set missing_target='drop' of ZipMLRegressor"
    with pytest.raises(ValueError, match=names):
        model(missing_target="error").fit(X, given_y)
    with pytest.raises(ValueError, match="y"):
        clone(alone).set_params(missing_target="error").fit(X[known], expected).score(X, given_y)


def test_errors(data):
    """An output of which nothing is known, by name; a wrong parameter; infinity, text and a search."""
    X, Y, _ = data
    nothing = np.where(np.arange(OUTPUTS) == 3, np.nan, Y)
    with pytest.raises(ValueError, match="Output 3 of y has no value that is known: leave it out"):
        model().fit(X, nothing)
    with pytest.raises(ValueError, match="Output 'd' of y has no value"):
        model().fit(X, pd.DataFrame(nothing, columns=list("abcde")))
    with pytest.raises(ValueError, match=r"^y has no value that is known: leave it out"):
        model().fit(X, nothing[:, 3])
    with pytest.raises(ValueError, match="Output 0 of y has no value that is known in rows of positive weight"):
        model().fit(X, Y, np.isnan(Y[:, 0]).astype(float))
    with pytest.raises(ValueError, match="'missing_target' parameter of ZipMLRegressor"):
        model(missing_target="mean").fit(X, Y)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        model().fit(X, np.where(np.isnan(Y), Y, np.inf))
    with pytest.raises(ValueError, match="y holds 'a' of type str; give real numbers"):
        model().fit(X, ["a", None] * (N // 2))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        ZipMLRegressorCV().fit(X, Y)


def test_score(data):
    """The mean over outputs of R² on the rows where each is known, weighted or not; as `r2_score` where all are."""
    X, Y, weights = data
    fitted = model().fit(X, Y)
    predictions = fitted.predict(X)
    for own in (None, weights):
        scores = []
        for j in range(OUTPUTS):
            rows = ~np.isnan(Y[:, j])
            scores.append(r2_score(Y[rows, j], predictions[rows, j], sample_weight=None if own is None else own[rows]))
        assert_allclose(fitted.score(X, Y, own), np.mean(scores))
    full = np.nan_to_num(Y)
    assert_allclose(fitted.score(X, full), r2_score(full, predictions))
    with pytest.raises(ValueError, match="Output 1 of y has no value that is known, and so no score"):
        fitted.score(X, np.where(np.arange(OUTPUTS) == 1, np.nan, Y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(X, Y[:-1])


def test_searches_of_scikit_learn(data):
    """Cross-validation and searches by the score of the model."""
    X, Y, _ = data
    assert cross_val_score(model(), X, Y, cv=3).min() > 0.5
    packed = PackedMatrix.from_chunks(X, Y, sample_bits=2, random_state=0)
    search = GridSearchCV(model(), {"alpha": [0.01, 100.0]}, cv=3).fit(packed)
    assert search.best_params_ == {"alpha": 0.01}


def test_callbacks_follow_one_fit(data):
    """One set of rows is one fit; several are refused."""
    callback = pytest.importorskip("sklearn.callback")
    X, Y, _ = data
    heard = model(max_iter=3, tol=1e-3).set_callbacks(callback.ProgressBar())
    with pytest.raises(ValueError, match="Callbacks follow one fit"):
        heard.fit(X, Y)
