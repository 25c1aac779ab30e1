"""The estimators inside scikit-learn's searches, pipelines and ensembles: every combination of two things is fitted.

Each is compared with the same composition of Ridge or RidgeClassifier, on an array and on packed rows. What is counted
on the way: the fits, what the rows were that they got, and how often packed rows were decoded.
"""

import functools
import operator
from dataclasses import dataclass, field
from itertools import product

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._estimators.base import ZipMLModel
from sklearn_zipml._packed_matrix import matrix
from sklearn_zipml._storage import decode, packed_rows

N, FOLDS = 750, 3


@functools.cache
def data(labels):
    """Rows whose last column is one of three categories, and a target or three classes."""
    rng = np.random.default_rng(0)
    Z = np.c_[rng.normal(size=(N, 4)), rng.integers(0, 3, N)]
    targets = Z @ rng.normal(size=(5, 3)) + 0.3 * rng.normal(size=(N, 3))
    targets -= targets.mean(axis=0)
    X = Z * [1, 10, 0.1, 2, 1] + [0, 5, 0, -3, 0]
    return X, np.array(["a", "b", "c"])[targets.argmax(axis=1)] if labels else targets[:, 0]


def rows_of(kind, X):
    """As they are, or packed in 8 bits."""
    return X if kind == "array" else DoubleSamplingQuantizer(8, random_state=0).fit_transform(X)


@dataclass
class Log:
    """What happened: kinds of the training rows of every fit, and decoded matrices."""

    fits: list = field(default_factory=list)
    decoded: int = 0


@pytest.fixture
def log(monkeypatch):
    """Listen to all fits of this package's models, and to the decoding of packed rows, whole or by columns."""
    found, fit, decoding = Log(), ZipMLModel._fit_linear, decode.decode

    def counted_fit(self, X, *args, **kwargs):
        found.fits.append(type(X))
        return fit(self, X, *args, **kwargs)

    def counted_decode(packed, columns, dtype):
        found.decoded += 1
        return decoding(packed, columns, dtype)

    monkeypatch.setattr(ZipMLModel, "_fit_linear", counted_fit)
    for module in (decode, matrix):
        monkeypatch.setattr(module, "decode", counted_decode)
    return found


def zipml(labels, **params):
    """The model of this package."""
    return (ZipMLLSSVC if labels else ZipMLRegressor)(random_state=0, **params)


def plain(labels, **params):
    """The same objective in scikit-learn, for folds of the rows."""
    if labels:
        return RidgeClassifier(alpha=1 / params.get("C", 1.0))
    return Ridge(alpha=params.get("alpha", 1e-4) * N * (FOLDS - 1) / FOLDS)


# Searches and curves: each gives the fits it makes, and the mean score of every value of a parameter that it got to

CV = StratifiedKFold(FOLDS, shuffle=True, random_state=0)


def folds(y):
    """The same for all tools; those of a regression are stratified by size."""
    ranks = np.digitize(y, np.quantile(y, [0.25, 0.5, 0.75])) if y.dtype.kind == "f" else y
    return list(CV.split(ranks, ranks))


def by_value(search, param):
    """Scores of a search."""
    results = search.cv_results_
    return dict(zip(results[f"param_{param}"].tolist(), results["mean_test_score"], strict=True))


def grid_search(model, X, y, param, values):
    """Every value."""
    search = GridSearchCV(model, {param: values}, cv=folds(y)).fit(X, y)
    assert search.best_score_ == max(by_value(search, param).values())
    assert search.best_estimator_.score(X, y) > 0.7
    return len(values) * FOLDS + 1, by_value(search, param)


def randomized_search(model, X, y, param, values):
    """All but one of them."""
    tried = len(values) - 1
    search = RandomizedSearchCV(model, {param: values}, n_iter=tried, cv=folds(y), random_state=0).fit(X, y)
    assert len(by_value(search, param)) == tried
    return tried * FOLDS + 1, by_value(search, param)


def halving_search(model, X, y, param, values):
    """All on half of the rows, the better half of them on all rows."""
    search = HalvingGridSearchCV(
        model, {param: values}, factor=2, min_resources=N // 2, cv=FOLDS, refit=False, random_state=0
    ).fit(X, y)
    tried = len(values) + -(-len(values) // 2)
    assert search.n_candidates_ == [len(values), tried - len(values)]
    last = search.cv_results_["iter"] == 1
    tried_values, scores = search.cv_results_[f"param_{param}"][last], search.cv_results_["mean_test_score"][last]
    return tried * FOLDS, dict(zip(tried_values.tolist(), scores, strict=True))


def cross_validation(model, X, y, param, values):
    """One call for each value."""
    scores = {}
    for value in values:
        result = cross_validate(clone(model).set_params(**{param: value}), X, y, cv=folds(y), return_train_score=True)
        assert result["train_score"].min() > 0.7
        scores[value] = result["test_score"].mean()
    return len(values) * FOLDS, scores


def learning(model, X, y, param, values):
    """The end of the curve of each value."""
    scores = {}
    for value in values:
        changed = clone(model).set_params(**{param: value})
        sizes, _, tests = learning_curve(changed, X, y, train_sizes=[0.5, 1.0], cv=folds(y))
        assert sizes.tolist() == [N // FOLDS, N // FOLDS * 2]
        scores[value] = tests[-1].mean()
    return len(values) * 2 * FOLDS, scores


def permutations(model, X, y, param, values):
    """No permutation of the target is learned."""
    scores = {}
    for value in values:
        changed = clone(model).set_params(**{param: value})
        scores[value], shuffled, p = permutation_test_score(
            changed, X, y, cv=folds(y), n_permutations=1, random_state=0
        )
        assert shuffled.max() < 0.5 and p == 1 / 2
    return len(values) * FOLDS * 2, scores


def curve(model, X, y, param, values):
    """All at once."""
    _, tests = validation_curve(model, X, y, param_name=param, param_range=values, cv=folds(y))
    return len(values) * FOLDS, dict(zip(values, tests.mean(axis=1), strict=True))


TOOLS = [grid_search, randomized_search, halving_search, cross_validation, learning, permutations, curve]
PARAMS = {
    "sample_bits": [2, 4, 8],
    "model_bits": [4, 8, None],
    "gradient_bits": [4, 8, None],
    "sampling": ["compensated", "double", "naive", "nearest"],
    "alpha": [1e-4, 0.03, 0.3],
}


@functools.cache
def reference(labels, kind, param, value):
    """Cross-validated score at full precision, on the values that packed rows stand for."""
    X, y = data(labels)
    X = np.asarray(rows_of(kind, X))
    params = {param: value} if param in ("alpha", "C") else {}
    return cross_val_score(plain(labels, **params), X, y, cv=folds(y)).mean()


def combinations():
    """One tool with everything; of the others, which set parameters as it does, every two things meet."""
    places = list(product((False, True), ("array", "packed")))
    for (i, tool), (j, param), (k, place) in product(*map(enumerate, (TOOLS, PARAMS, places))):
        if tool is grid_search or (i + j) % len(places) == k:
            model = "classifier" if place[0] else "regressor"
            yield pytest.param(tool, param, *place, id=f"{tool.__name__}-{param}-{model}-{place[1]}")


@pytest.mark.parametrize(("tool", "param", "labels", "kind"), list(combinations()))
def test_searches(tool, param, labels, kind, log):
    """As many fits as asked for, scores as at full precision, and packed rows stay packed."""
    values = PARAMS[param]
    if labels and param == "alpha":
        param, values = "C", [1e-3, 0.1, 10.0]
    X, y = data(labels)
    fits, scores = tool(zipml(labels), rows_of(kind, X), y, param, values)
    assert log.fits == [np.ndarray if kind == "array" else PackedMatrix] * fits
    assert log.decoded == 0
    assert scores.keys() <= set(values) and len(scores) >= 2
    for value, score in scores.items():
        # halving has folds of its own; 2 bits, and one draw uncorrected, cost a little
        slack = 0.05 if tool is halving_search or value in (2, "double", "naive") else 0.02
        assert score == pytest.approx(reference(labels, kind, param, value), abs=slack), value


# Pipelines: whatever makes columns needs values, so packed rows in front of it are decoded, and packed again behind it

CATEGORY = ColumnTransformer([("category", OneHotEncoder(sparse_output=False), [4])], remainder=StandardScaler())
UNION = FeatureUnion([("scaled", StandardScaler()), ("ranks", QuantileTransformer(n_quantiles=20))])
HEADS = {
    "none": [],
    "StandardScaler": [StandardScaler()],
    "OneHotEncoder": [CATEGORY],
    "FeatureUnion": [UNION],
    "both": [CATEGORY, UNION],
}


@functools.cache
def pipeline_reference(head, labels, kind):
    """Score of the same pipeline with Ridge."""
    X, y = data(labels)
    X = np.asarray(rows_of(kind, X))
    return make_pipeline(*HEADS[head], plain(labels)).fit(X, y).score(X, y)


@pytest.mark.parametrize("kind", ["array", "packed"])
@pytest.mark.parametrize("labels", [False, True], ids=["regressor", "classifier"])
@pytest.mark.parametrize("cached", [False, True], ids=["", "memory"])
@pytest.mark.parametrize("quantizer", [[], [DoubleSamplingQuantizer(random_state=0)]], ids=["", "quantizer"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.filterwarnings("ignore:Persisting input arguments took")  # of joblib, on a busy machine
def test_pipelines(head, quantizer, cached, labels, kind, log, tmp_path):
    """Scores as with Ridge at the end; what the model trains on is packed if a quantizer is in front."""
    X, y = data(labels)
    rows, memory = rows_of(kind, X), joblib.Memory(tmp_path, verbose=0) if cached else None
    model = make_pipeline(*HEADS[head], *quantizer, zipml(labels), memory=memory)
    packed = bool(quantizer) or (head == "none" and kind == "packed")
    fitted = [clone(model).fit(rows, y) for _ in range(2 if cached else 1)]
    assert log.fits == [PackedMatrix if packed else np.ndarray] * len(fitted)
    assert (log.decoded == 0) == (kind == "array" or head == "none")
    assert_array_equal(fitted[0][-1].coef_, fitted[-1][-1].coef_)  # what comes out of the cache is what went in
    # three samples in a hundred, either way
    assert fitted[-1].score(rows, y) == pytest.approx(pipeline_reference(head, labels, kind), abs=0.03)


# Ensembles and wrappers: builder, fits, and whether scikit-learn decodes packed rows before it takes some

REGRESSORS = {
    "bagging": (lambda model: BaggingRegressor(model, n_estimators=3, max_samples=0.5, random_state=0), 3, True),
    "several targets": (MultiOutputRegressor, 2, False),
    "stacking": (lambda model: StackingRegressor([("a", model), ("b", clone(model))], Ridge(), cv=3), 8, False),
    "voting": (lambda model: VotingRegressor([("a", model), ("b", clone(model))]), 2, False),
    "transformed target": (lambda model: TransformedTargetRegressor(model, transformer=StandardScaler()), 1, False),
    "search": (lambda model: GridSearchCV(model, {}, cv=3), 4, False),
}
CLASSIFIERS = {
    "bagging": (lambda model: BaggingClassifier(model, n_estimators=3, max_samples=0.5, random_state=0), 3, True),
    "several targets": (MultiOutputClassifier, 2, False),
    "one against the rest": (OneVsRestClassifier, 3, False),
    "calibrated": (lambda model: CalibratedClassifierCV(model, cv=3), 3, False),
    "calibrated at the end": (lambda model: CalibratedClassifierCV(model, cv=3, ensemble=False), 4, False),
    "stacking": (lambda model: StackingClassifier([("a", model)], RidgeClassifier(), cv=3), 4, False),
    "voting": (lambda model: VotingClassifier([("a", model), ("b", clone(model))]), 2, False),
}
WRAPPERS = [(name, False) for name in REGRESSORS] + [(name, True) for name in CLASSIFIERS]


@pytest.mark.parametrize("kind", ["array", "packed"])
@pytest.mark.parametrize("head", [[], [DoubleSamplingQuantizer(random_state=0)]], ids=["", "quantizer"])
@pytest.mark.parametrize("name, labels", WRAPPERS)
def test_wrappers(name, labels, head, kind, log):
    """Scores as with Ridge inside, alone and as the end of a pipeline that packs."""
    X, y = data(labels)
    rows = rows_of(kind, X)
    wrap, fits, decodes = (CLASSIFIERS if labels else REGRESSORS)[name]
    if name == "several targets":
        y = np.c_[y, y[::-1]] if labels else np.c_[y, X[:, 0]]

    def score(model):
        predictions = model.predict(rows)
        if labels:
            return np.mean(predictions == y)
        return 1 - ((predictions - y) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum()

    model = wrap(make_pipeline(*head, zipml(labels))).fit(rows, y)
    packed = bool(head) or (kind == "packed" and not decodes)
    assert log.fits == [PackedMatrix if packed else np.ndarray] * fits
    ours = score(model)
    assert (log.decoded > 0) == (kind == "packed" and decodes)
    assert ours == pytest.approx(score(wrap(plain(labels)).fit(np.asarray(rows), y)), abs=0.02)


# Folds know nothing of each other


@pytest.mark.parametrize("labels", [False, True], ids=["regressor", "classifier"])
@pytest.mark.parametrize("head", [[], [DoubleSamplingQuantizer(random_state=0)]], ids=["", "quantizer"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_no_leakage(bits, head, labels):
    """Levels and scales of a fold come of its training rows: whatever the others are, the model is the same."""
    X, y = data(labels)
    model = make_pipeline(*head, zipml(labels)).set_params(**{f"{step}__sample_bits": bits for step in names(head)})
    for fold in folds(y):
        train, test = fold
        strange = X.copy()
        strange[test] *= -1e6  # would stretch every column's range
        results = [
            cross_validate(model, rows, y, cv=[fold], return_estimator=True)["estimator"][0] for rows in (X, strange)
        ]
        alone = clone(model).fit(X[train], y[train])
        for result in results:
            assert_array_equal(result[-1].coef_, alone[-1].coef_)
            assert_array_equal(result[-1].intercept_, alone[-1].intercept_)
        if head:
            low, high = X[train].min(axis=0), X[train].max(axis=0)
            if bits == 2:  # positions reach beyond the end rungs, which are 128 of the 255 steps apart
                low, high = low - (high - low), high + (high - low)
            assert all(
                levels[0] >= least - 1e-9 and levels[-1] <= most + 1e-9
                for levels, least, most in zip(results[1][0].levels_, low, high, strict=True)
            )


def names(head):
    """Steps that have a width, besides the model: it takes what the quantizer makes."""
    return ["doublesamplingquantizer"] if head else []


# Workers


def test_workers_map_packed_rows(tmp_path):
    """joblib passes the codes by the name of a file: no copy in any worker, and no writing to them."""
    rng = np.random.default_rng(0)
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(rng.normal(size=(20_000, 64)))
    assert packed.nbytes > 1 << 20 and type(packed_rows.rows_of(packed).codes) is np.ndarray
    kind = joblib.delayed(operator.attrgetter("_rows.codes.__class__"))
    assert joblib.Parallel(n_jobs=2)(kind(packed) for _ in range(4)) == [np.memmap] * 4
    joblib.dump(packed, tmp_path / "packed.joblib")
    loaded = joblib.load(tmp_path / "packed.joblib", mmap_mode="r")
    codes = packed_rows.rows_of(loaded).codes
    assert type(codes) is np.memmap and not codes.flags.writeable
    y = rng.normal(size=len(packed))
    params = {"max_iter": 2, "tol": 0, "random_state": 0}
    models = [ZipMLRegressor(4, **params).fit(rows, y) for rows in (packed, loaded)]
    assert_array_equal(models[0].coef_, models[1].coef_)
