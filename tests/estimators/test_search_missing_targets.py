"""Searches of targets with holes: each output as a search of it alone over the rows where it is known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor, ZipMLRegressorCV

N, D, OUTPUTS, ALPHAS = 500, 10, 5, [1e-4, 1e-2, 0.1, 3.0]


@pytest.fixture(scope="module")
def data():
    """Genotypes, targets of four patterns of holes and units of their own, and weights."""
    rng = np.random.default_rng(1)
    X = rng.integers(0, 3, size=(N, D)).astype(np.int8)
    Y = (X @ rng.normal(size=(D, OUTPUTS)) + rng.normal(size=(N, OUTPUTS)) * 4) * [1, 1, 1e3, 1e-3, 1]
    Y[rng.uniform(size=N) < 0.2, :2] = np.nan
    Y[rng.uniform(size=N) < 0.5, 2] = np.nan
    Y[rng.uniform(size=N) < 0.8, 4] = np.nan
    return X, Y, rng.integers(0, 3, size=N).astype(float)


def search(**settings):
    defaults = {"alphas": ALPHAS, "sample_bits": 2, "random_state": 0, "missing_target": "drop"}
    return ZipMLRegressorCV(**defaults | settings)


def folds_of(rows, cv=3):
    """The folds of all rows, by the places of their rows among these."""
    place = np.cumsum(rows) - 1
    return [tuple(place[part[rows[part]]] for part in fold) for fold in KFold(cv).split(np.zeros((N, 1)))]


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_rounded", [False, True])
def test_each_output_as_a_search_of_its_own(data, is_rounded, is_weighted):
    """Scores, choices, coefficients and what rounding cost, of rows on the same levels."""
    X, Y, weights = data
    if is_rounded:
        X = X + np.random.default_rng(2).normal(size=X.shape)
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    weights = weights if is_weighted else None
    found = search(cv=KFold(3), alpha_per_target=True).fit(packed, Y, weights)
    for outputs in ([0, 1], [2], [3], [4]):
        rows = ~np.isnan(Y[:, outputs[0]])
        own = None if weights is None else weights[rows]
        settings = {"cv": folds_of(rows), "alpha_per_target": True, "missing_target": "error"}
        kept = packed if rows.all() else packed[np.flatnonzero(rows)]
        alone = search(**settings).fit(kept, Y[rows][:, outputs], own)
        scores = (one.cv_results_["mean_test_score_by_target"] for one in (found, alone))
        both = next(scores)[:, outputs], next(scores)
        assert_allclose(*both, rtol=1e-12)
        assert_array_equal(found.alpha_[outputs], alone.alpha_)
        assert_allclose(found.best_score_[outputs], alone.best_score_, rtol=1e-12)
        assert_allclose(found.coef_[outputs], alone.coef_, rtol=1e-10)
        assert_allclose(found.intercept_[outputs], alone.intercept_, rtol=1e-10)
        assert_allclose(found.rounding_loss_[outputs], alone.rounding_loss_)


def test_scores_are_those_of_ridge(data):
    """In float64, of what 2 bits hold: mean squared errors on the held-out rows that have a target."""
    X, Y, weights = data
    found = search(cv=KFold(3), sample_bits=[8, 2]).fit(X, Y, weights)
    expected = np.zeros((len(ALPHAS), 3, OUTPUTS))
    for a, alpha in enumerate(ALPHAS):
        for k, (train, test) in enumerate(KFold(3).split(X)):
            for j in range(OUTPUTS):
                known = [part[~np.isnan(Y[part, j]) & (weights[part] > 0)] for part in (train, test)]
                w, v = (weights[part] for part in known)
                ridge = Ridge(alpha * w.sum()).fit(X[known[0]].astype(float), Y[known[0], j], w)
                error = mean_squared_error(Y[known[1], j], ridge.predict(X[known[1]]), sample_weight=v)
                expected[a, k, j] = -error
    for width in (0, 1):
        for k in range(3):
            scores = found.cv_results_[f"split{k}_test_score"][width::2]
            assert_allclose(scores, expected[:, k].mean(axis=1), rtol=1e-6)
    assert found.alpha_ == ALPHAS[int(expected.mean(axis=(1, 2)).argmax())]


@pytest.mark.parametrize("scoring", [None, "r2"])
@pytest.mark.parametrize("way", ["array", "chunks", "floats", "one"])
def test_the_fit_is_that_of_the_estimator(data, way, scoring):
    """With the choices: of arrays, packed rows, float samples and one target; also of rows that have no target."""
    X, Y, weights = data
    Y = np.where(np.arange(N)[:, None] % 50 == 0, np.nan, Y)
    X, y = X.astype(float), Y[:, 4] if way == "one" else Y
    bits = None if way == "floats" else 2
    given = (PackedMatrix.from_chunks(X, y, sample_bits=2, random_state=0), None) if way == "chunks" else (X, y)
    found = search(sample_bits=bits, scoring=scoring, cv=3).fit(*given, weights)
    settings = {"alpha": found.alpha_, "missing_target": "drop", "random_state": 0}
    model = ZipMLRegressor(bits, **settings).fit(*given, weights)
    assert_array_equal(found.coef_, model.coef_)
    assert_array_equal(found.intercept_, model.intercept_)
    assert_allclose(found.score(*given), model.score(*given))
    assert_allclose(found.to_sklearn().alpha, model.to_sklearn().alpha)
    assert np.all(np.isfinite(found.cv_results_["mean_test_score"]))


def test_penalties_of_their_own_of_an_array(data):
    """As fits of the targets that have a penalty in common, where rows without a target are left out, too."""
    X, Y, _ = data
    Y = np.where(np.arange(N)[:, None] % 50 == 0, np.nan, Y)
    X = X + np.random.default_rng(3).normal(size=X.shape)
    found = search(alpha_per_target=True, cv=3).fit(X, Y)
    for alpha in np.unique(found.alpha_):
        some = np.flatnonzero(found.alpha_ == alpha)
        model = ZipMLRegressor(2, alpha=alpha, missing_target="drop", random_state=0).fit(X, Y[:, some])
        assert_array_equal(found.coef_[some], model.coef_)
    known = (~np.isnan(Y)).sum(axis=0)
    assert_allclose(found.to_sklearn().alpha, known * found.alpha_)


def test_a_full_target_is_as_ever(data):
    """Nothing else comes of missing_target where nothing is missing."""
    X, Y, weights = data
    Y = np.nan_to_num(Y)
    one, other = search(cv=3).fit(X, Y, weights), search(cv=3, missing_target="error").fit(X, Y, weights)
    assert_array_equal(one.coef_, other.coef_)
    assert_array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])


def test_errors(data):
    """Folds without a value of an output; holes that were not asked for; outputs of which nothing is known."""
    X, Y, _ = data
    few = Y.copy()
    few[: 2 * N // 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"missing_target='drop': no value of output 1 of y is known in the test rows"):
        search(cv=KFold(3)).fit(X, few)
    with pytest.raises(ValueError, match="Set missing_target='drop' of ZipMLRegressorCV"):
        search(missing_target="error").fit(X, Y)
    with pytest.raises(ValueError, match="Output 3 of y has no value that is known"):
        search().fit(X, np.where(np.arange(OUTPUTS) == 3, np.nan, Y))
    with pytest.raises(ValueError, match="'missing_target' parameter of ZipMLRegressorCV"):
        search(missing_target="mean").fit(X, Y)
