"""Known dither is what 2 and 3 bits are by default, wherever it can be had."""

import warnings

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline

from sklearn_zipml import (
    DoubleSamplingQuantizer,
    PackedMatrix,
    ZipMLLogisticRegression,
    ZipMLLSSVC,
    ZipMLLSSVCCV,
    ZipMLRegressor,
    ZipMLRegressorCV,
)
from sklearn_zipml._storage.packed_rows import rows_of


def data(n=2000, d=12):
    X = np.random.default_rng(0).standard_normal((n, d))
    return X, X @ np.arange(1.0, d + 1) + np.random.default_rng(1).standard_normal(n)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_auto(bits):
    """It is one of the others, bit for bit."""
    X, _ = data()
    auto, same = (
        DoubleSamplingQuantizer(bits, **sampling, random_state=0).fit_transform(X)
        for sampling in ({}, {"sampling": "dithered" if bits in (2, 3) else "compensated"})
    )
    assert auto == same and auto.sampling == same.sampling
    uniform = DoubleSamplingQuantizer(bits, levels="uniform", random_state=0).fit_transform(X)
    assert uniform.sampling == "compensated"


@pytest.mark.parametrize("sampling", ["auto", "dithered"])
@pytest.mark.parametrize("kind", ["lattice", "integers", "missing", "constant"])
def test_no_seeds_where_no_column_gains(sampling, kind):
    """Rows are those of "compensated" then, and a column that gains brings the seeds of all."""
    X = np.random.default_rng(0).integers(0, 3, (500, 8)).astype(np.uint8 if kind == "integers" else np.float64)
    missing = {"missing": "mean"} if kind == "missing" else {}
    if kind == "missing":
        X = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, np.random.default_rng(2).random(X.shape))
    if kind == "constant":
        X[:] = 2.5
    packed, plain = (
        DoubleSamplingQuantizer(2, sampling=own, random_state=0, **missing).fit_transform(X)
        for own in (sampling, "compensated")
    )
    assert packed == plain and packed.sampling == "compensated" and packed.nbytes == plain.nbytes
    chunks = PackedMatrix.from_chunks(
        lambda: [X[:300], X[300:]], sample_bits=2, sampling=sampling, random_state=0, **missing
    )
    assert chunks.sampling == "compensated"
    both = np.c_[X, np.random.default_rng(3).standard_normal(500)]
    wide = DoubleSamplingQuantizer(2, random_state=0, **missing).fit_transform(both)
    assert wide.sampling == "dithered"
    assert rows_of(wide).codes.shape[1] == 2 * rows_of(plain).codes.shape[1]


def test_narrowing():
    """What a store of many bits becomes is said by whoever narrows it."""
    X, y = data()
    for sampling in ("auto", "compensated", "dithered"):
        wide = DoubleSamplingQuantizer(8, sampling=sampling, random_state=0).fit_transform(X)
        assert wide.requantize(2, random_state=0).sampling == "dithered"
        assert wide.requantize(2, sampling="compensated", random_state=0).sampling == "compensated"
        models = [ZipMLRegressor(2, sampling=own, random_state=0).fit(wide, y) for own in ("auto", "compensated")]
        assert models[0].sample_nbytes_ > models[1].sample_nbytes_
    double = DoubleSamplingQuantizer(8, sampling="double", random_state=0).fit_transform(X)
    assert double.requantize(2, random_state=0).sampling == "double"
    with pytest.raises(ValueError, match=r"'sampling' parameter of PackedMatrix\.requantize"):
        double.requantize(2, sampling="double")


def test_from_wider_stores_as_from_floats():
    """Searches, pipelines and fits of what 8 bits hold lose what a fit of the rows loses, and not twice as much."""
    X, y = data(4000, 40)
    X_test = np.random.default_rng(2).standard_normal((2000, 40))
    y_test = X_test @ np.arange(1.0, 41)
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)

    def loss(model, rows, **settings):
        scores = [model.set_params(random_state=k, **settings).fit(rows, y).score(X_test, y_test) for k in range(8)]
        return 1 - np.mean(scores)

    direct, plain = loss(ZipMLRegressor(2), X), loss(ZipMLRegressor(2, sampling="compensated"), X)
    assert direct < 0.7 * plain
    for model in (ZipMLRegressor(2), ZipMLRegressorCV([1e-4], 2, cv=3)):
        assert loss(model, packed) < 1.3 * direct
    search = GridSearchCV(ZipMLRegressor(), {"sample_bits": [2], "random_state": range(8)}, cv=2, refit=False)
    scores = search.fit(packed, y).cv_results_["mean_test_score"]
    plain = search.set_params(estimator__sampling="compensated").fit(packed, y).cv_results_["mean_test_score"]
    assert 1 - scores.mean() < 0.75 * (1 - plain.mean())


def test_fresh_draws_have_none():
    """As their errors average out: the results of "compensated"."""
    settings = {"solver": "sgd", "resample": "epoch", "max_iter": 3, "tol": 0, "random_state": 0}
    for bits, columns in ((2, 5), (2, 12), (3, 5)):
        X, y = data(300, columns)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            plain, *others = (
                ZipMLRegressor(bits, sampling=sampling, **settings).fit(X, y).coef_
                for sampling in ("compensated", "auto", "dithered")
            )
        for other in others:
            np.testing.assert_array_equal(other, plain)


@pytest.mark.parametrize("model", [ZipMLRegressor(2), ZipMLLSSVC(2), ZipMLLogisticRegression(2)])
@pytest.mark.parametrize("kind", ["columns", "union"])
def test_columns_packed_apart(model, kind):
    """Transformers pack columns apart; a model behind them trains on these as they are, as well as on X at once."""
    X, y = data(3000)
    if not isinstance(model, ZipMLRegressor):
        y = y > 0
    parts = [(str(k), DoubleSamplingQuantizer(2, random_state=k), slice(6 * k, 6 * k + 6)) for k in (0, 1)]
    transformer = ColumnTransformer(parts) if kind == "columns" else FeatureUnion([part[:2] for part in parts])
    packed = transformer.fit_transform(X)
    assert (packed.sampling, packed.sample_bits) == ("joined", 2)
    pipeline = make_pipeline(transformer, model.set_params(random_state=0)).fit(X, y)
    assert pipeline[-1].sample_nbytes_ == packed.nbytes
    if kind == "columns":
        alone = type(model)(2, random_state=0).fit(X, y)
        assert abs(pipeline.score(X, y) - alone.score(X, y)) < 0.01


@pytest.mark.filterwarnings("ignore::sklearn_zipml.RoundingWarning")
def test_estimators_tell():
    """Which sampling the rows that they were trained on have: given rows, packed ones, and new ones in every epoch."""
    X, y = data()
    labels = y > 0
    for bits, given, ran in [
        (2, "auto", "dithered"),
        (3, "auto", "dithered"),
        (4, "auto", "compensated"),
        (4, "dithered", "compensated"),
        (3, "compensated", "compensated"),
        (3, "double", "double"),
        (2, "nearest", "nearest"),
    ]:
        settings = {"sampling": given, "random_state": 0}
        models = [
            ZipMLRegressor(bits, **settings).fit(X, y),
            ZipMLRegressor(bits, **settings).partial_fit(X, y),
            ZipMLLSSVC(bits, **settings).fit(X, labels),
            ZipMLLogisticRegression(bits, **settings).fit(X, labels),
        ]
        if given != "nearest":
            models += [ZipMLRegressorCV(sample_bits=bits, **settings).fit(X, y)]
            models += [ZipMLLSSVCCV(sample_bits=bits, **settings).fit(X, labels)]
        assert {model.sampling_ for model in models} == {ran}
    assert ZipMLRegressor(None).fit(X, y).sampling_ is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fresh = {"resample": "epoch", "solver": "sgd", "max_iter": 2, "random_state": 0}
        assert ZipMLRegressor(2, **fresh).fit(X, y).sampling_ == "compensated"
        assert ZipMLRegressor(2, sampling="dithered", **fresh).fit(X, y).sampling_ == "compensated"
    exact = np.random.default_rng(0).integers(0, 3, X.shape).astype(float)
    assert ZipMLRegressor(2, random_state=0).fit(exact, y).sampling_ == "compensated"
    wide = DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)
    assert ZipMLRegressor(3, random_state=0).fit(wide, y).sampling_ == "dithered"
    apart = [DoubleSamplingQuantizer(2, random_state=k).fit_transform(X[:, k : k + 6]) for k in (0, 6)]
    assert ZipMLRegressor(2, random_state=0).fit(np.hstack(apart), y).sampling_ == "joined"
    holes = np.c_[y, np.where(np.arange(len(y)) % 3, y, np.nan)]
    assert ZipMLRegressor(2, missing_target="drop", random_state=0).fit(X, holes).sampling_ == "dithered"
