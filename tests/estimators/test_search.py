"""Selection of rows, searches and caches on arrays and on packed rows; test_compositions has all combinations."""

import warnings

import numpy as np
import pytest
from joblib import Memory
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import resample, shuffle

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor

BITS = [1, 2, 4, 8]


def data(n=400, d=6):
    """A linear target with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, X @ np.arange(1.0, d + 1) + rng.normal(size=n)


def classes(n=400, d=6):
    """Three of them."""
    X, y = data(n, d)
    return X, np.digitize(y, np.quantile(y, [0.33, 0.67]))


def pack(X, bits=8):
    """Compensated codes, so that one bit can be requantized to."""
    return DoubleSamplingQuantizer(bits, sampling="compensated", random_state=0).fit_transform(X)


def as_array(X):
    """Rows as they are."""
    return X


@pytest.fixture
def never_decoded(monkeypatch):
    """Make decoding an error."""

    def refuse(self, dtype=None, copy=None):
        raise AssertionError("a PackedMatrix was decoded")

    monkeypatch.setattr(PackedMatrix, "__array__", refuse)


@pytest.mark.parametrize("kind", [as_array, pack])
def test_multi_output(kind):
    """One model per column equals one model of both."""
    X, y = data()
    Y = np.c_[y, X[:, 0]]
    rows = kind(X)
    model = MultiOutputRegressor(ZipMLRegressor(8, tol=1e-10, random_state=0)).fit(rows, Y)
    together = ZipMLRegressor(8, tol=1e-10, random_state=0).fit(rows, Y)
    assert_allclose([inner.coef_ for inner in model.estimators_], together.coef_, atol=1e-4)
    assert model.score(rows, Y) > 0.9


def test_multi_output_keeps_rows_packed(never_decoded):
    """Also with weights."""
    X, y = data()
    packed = pack(X)
    model = MultiOutputRegressor(ZipMLRegressor(2, random_state=0))
    model.fit(packed, np.c_[y, y], sample_weight=np.linspace(1, 2, len(y)))
    assert model.predict(packed).shape == (len(y), 2)


@pytest.mark.parametrize("kind", [as_array, pack])
def test_meta_estimators_that_decode(kind):
    """Bagging and one-vs-one validate X themselves, which decodes packed rows; the result is as good."""
    X, y = data()
    rows = kind(X)
    model = BaggingRegressor(ZipMLRegressor(random_state=0), n_estimators=3, max_samples=0.5, random_state=0)
    assert model.fit(rows, y).score(rows, y) > 0.9
    X, y = classes()
    assert OneVsOneClassifier(ZipMLLSSVC(random_state=0)).fit(kind(X), y).score(X, y) > 0.7


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", [as_array, pack])
def test_grid_search(kind, n_jobs):
    """More bits score better; packed rows are requantized for each candidate."""
    X, y = data()
    search = GridSearchCV(ZipMLRegressor(random_state=0), {"sample_bits": BITS}, cv=3, n_jobs=n_jobs)
    search.fit(kind(X), y)
    scores = search.cv_results_["mean_test_score"]
    assert np.all(np.diff(scores) > 0)
    assert search.best_params_ == {"sample_bits": 8}
    assert search.best_estimator_.sample_bits_ == 8
    assert search.score(X, y) > 0.95


def test_n_jobs_changes_nothing():
    """Two workers, same scores."""
    X, y = data()
    packed = pack(X)
    results = [
        cross_validate(ZipMLRegressor(2, random_state=0), packed, y, cv=4, n_jobs=n_jobs, return_estimator=True)
        for n_jobs in (1, 2)
    ]
    assert_array_equal(results[0]["test_score"], results[1]["test_score"])
    for one, other in zip(results[0]["estimator"], results[1]["estimator"], strict=True):
        assert_array_equal(one.coef_, other.coef_)


def test_workers_read_memory_mapped_rows():
    """Above a megabyte joblib hands out read-only memory maps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 60)).astype(np.float32)
    y = X[:, 0] + X[:, 1]
    packed = pack(X)
    assert packed.nbytes > 1_000_000
    result = cross_validate(ZipMLRegressor(4, max_iter=3, tol=0, random_state=0), packed, y, cv=2, n_jobs=2)
    assert result["test_score"].min() > 0.9


def test_selection_keeps_rows_packed(never_decoded):
    """Splits, curves, searches and predictions only ever take rows."""
    X, y = data()
    packed = pack(X)
    model = ZipMLRegressor(2, random_state=0)
    search = GridSearchCV(model, {"sample_bits": BITS}, cv=3).fit(packed, y)
    assert search.predict(packed).shape == (400,)
    halving = HalvingGridSearchCV(model, {"sample_bits": BITS}, cv=3, random_state=0, min_resources=100).fit(packed, y)
    assert halving.best_params_["sample_bits"] in (4, 8)
    assert cross_validate(model, packed, y, return_train_score=True)["train_score"].min() > 0.8
    assert np.corrcoef(cross_val_predict(model, packed, y), y)[0, 1] > 0.9
    _, _, scores = learning_curve(model, packed, y, train_sizes=[0.2, 1.0], shuffle=True, random_state=0)
    assert scores.mean(axis=1)[1] > 0.8
    _, scores = validation_curve(model, packed, y, param_name="sample_bits", param_range=[1, 8])
    assert scores.mean(axis=1)[1] > scores.mean(axis=1)[0]
    for part in [*train_test_split(packed, random_state=0), shuffle(packed), resample(packed, n_samples=10)]:
        assert isinstance(part, PackedMatrix)


def test_early_stopping_keeps_rows_packed(never_decoded):
    """So do the estimators' own splits."""
    X, y = data()
    assert ZipMLRegressor(early_stopping=True, random_state=0).fit(pack(X), y).score(pack(X), y) > 0.9
    X, y = classes()
    model = ZipMLLSSVC(2, early_stopping=True, class_weight="balanced", random_state=0).fit(pack(X), y)
    assert model.score(pack(X), y) > 0.6


def test_train_test_split_rows():
    """Row i of a part is the row it was."""
    X, y = data()
    packed = pack(X)
    train, test, i, j = train_test_split(packed, np.arange(len(y)), random_state=0)
    assert_array_equal(np.asarray(train), np.asarray(packed)[i])
    assert_array_equal(np.asarray(test), np.asarray(packed)[j])


def test_narrowing_gives_the_candidate_its_bits():
    """A fit on 8 packed bits at sample_bits=b is a fit on b bits, close to one on the floats."""
    X, y = data(n=3000)
    packed = pack(X)
    for bits in BITS:
        requantized = ZipMLRegressor(bits, max_iter=1000, random_state=0).fit(packed, y)
        direct = ZipMLRegressor(bits, max_iter=1000, random_state=0).fit(X, y)
        assert requantized.sample_bits_ == bits
        # one bit is luck within a tenth or two
        assert requantized.score(X, y) > direct.score(X, y) - (0.2 if bits == 1 else 0.05)


def test_search_over_a_pipeline():
    """Parameters of both steps; scores are on float rows."""
    X, y = data()
    pipeline = make_pipeline(StandardScaler(), DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0))
    grid = {
        "doublesamplingquantizer__sample_bits": [2, 4],
        "doublesamplingquantizer__sampling": ["double", "compensated"],
        "zipmlregressor__alpha": [1e-4, 10.0],
    }
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_params_["zipmlregressor__alpha"] == 1e-4
    assert search.best_params_["doublesamplingquantizer__sample_bits"] == 4
    assert search.score(X, y) > 0.95


def test_search_over_classifiers():
    """Stratified folds, C and bits."""
    X, y = classes()
    search = GridSearchCV(ZipMLLSSVC(random_state=0), {"sample_bits": [2, 8], "C": [1e-6, 1.0]}, cv=3).fit(pack(X), y)
    assert search.best_params_["C"] == 1.0
    assert search.score(X, y) > 0.7


class Counting(TransformerMixin, BaseEstimator):
    """Pass through and count the fits."""

    fits = 0

    def fit(self, X, y=None):
        """Count."""
        type(self).fits += 1
        return self

    def transform(self, X):
        """Pass."""
        return X


def test_pipeline_memory(tmp_path):
    """Packed rows are cached on disk and come back the same, memory-mapped or not."""
    X, y = data()
    coefs, before = [], Counting.fits
    for mmap_mode in (None, "r"):
        memory = Memory(tmp_path, mmap_mode=mmap_mode, verbose=0)
        for _ in range(3):
            model = ZipMLRegressor(random_state=0)
            pipeline = make_pipeline(DoubleSamplingQuantizer(random_state=0), Counting(), model, memory=memory)
            coefs.append(pipeline.fit(X, y)[-1].coef_)
            assert pipeline.score(X, y) > 0.9
    for coef in coefs[1:]:
        assert_array_equal(coef, coefs[0])
    # the step behind the quantizer saw equal packed rows every time, so that its fit was cached too
    assert Counting.fits - before == 1


def test_column_transformer_in_front():
    """Quantize last: whatever joins columns makes an array."""
    X, y = data()
    columns = ColumnTransformer([("a", StandardScaler(), [0, 1, 2])], remainder="passthrough")
    pipeline = make_pipeline(columns, DoubleSamplingQuantizer(random_state=0), ZipMLRegressor(random_state=0))
    assert pipeline.fit(X, y).score(X, y) > 0.9


def test_other_estimators_decode():
    """Any estimator of scikit-learn trains on the decoded array."""
    X, y = data()
    packed = pack(X)
    assert_allclose(Ridge().fit(packed, y).coef_, Ridge().fit(np.asarray(packed), y).coef_)
    labels = (y > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make_pipeline(DoubleSamplingQuantizer(8, random_state=0), LogisticRegression()).fit(X, labels)
    assert model.score(X, labels) > 0.9
