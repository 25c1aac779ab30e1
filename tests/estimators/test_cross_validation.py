"""ZipMLRegressorCV and ZipMLLSSVCCV: the scores of a search in full precision, and the fits that it stands for."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import PackedMatrix, ZipMLLSSVC, ZipMLLSSVCCV, ZipMLRegressor, ZipMLRegressorCV

ALPHAS = np.geomspace(1e-5, 10, 7)
FOLDS = KFold(4, shuffle=True, random_state=0)


def data(n=1500, d=12, seed=0):
    """Correlated columns of several scales away from zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3) * np.geomspace(0.1, 10, d) + 5
    return X, X @ rng.standard_normal(d) / 9 + rng.standard_normal(n)


def mean_errors(X, y, alphas=ALPHAS, folds=FOLDS, weights=None, **settings):
    """Mean over folds of the mean squared errors of ridge regression at full precision, (alphas,) or with targets."""
    errors = []
    for train, test in folds.split(X, y):
        w, v = (None, None) if weights is None else (weights[train], weights[test])
        total = len(train) if weights is None else w.sum()
        fits = [Ridge(total * alpha, **settings).fit(X[train], y[train], w) for alpha in alphas]
        errors.append([np.average((fit.predict(X[test]) - y[test]) ** 2, axis=0, weights=v) for fit in fits])
    return np.mean(errors, axis=0)


@pytest.mark.parametrize(("bits", "within"), [(None, 1e-9), (8, 3e-4), (4, 5e-3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_full_precision(bits, within, weighted):
    """In parts of the target's variance; and the same alpha is chosen, or one as good."""
    for X, y in (data(), load_diabetes(return_X_y=True)):
        weights = np.random.default_rng(1).integers(0, 9, len(y)).astype(float) if weighted else None
        expected = mean_errors(X, y, weights=weights)
        model = ZipMLRegressorCV(ALPHAS, bits, cv=FOLDS, random_state=0).fit(X, y, weights)
        tolerance = within * y.var() * (3 if weighted or len(y) < 1000 else 1)  # of fewer rows
        np.testing.assert_allclose(-model.cv_results_["mean_test_score"], expected, atol=tolerance)
        assert expected[list(ALPHAS).index(model.alpha_)] <= expected.min() + tolerance


@pytest.mark.parametrize("settings", [{"fit_intercept": False}, {"sampling": "double"}, {"levels": "uniform"}])
def test_settings(settings):
    """They reach the packing and the solutions."""
    X, y = data()
    X = X - 5
    intercept = {"fit_intercept": settings.get("fit_intercept", True)}
    model = ZipMLRegressorCV(ALPHAS, 8, cv=FOLDS, random_state=0, **settings).fit(X, y)
    expected = mean_errors(X, y, **intercept)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], expected, atol=1e-3 * y.var())
    fitted = ZipMLRegressor(8, alpha=model.alpha_, random_state=0, **settings).fit(X, y)
    np.testing.assert_array_equal(model.coef_, fitted.coef_)


def test_no_better_than_the_moments_of_decoded_rows():
    """With sampling="nearest" nothing is compensated: ridge regression on the decoded rows, to rounding."""
    X, y = data()
    packed = PackedMatrix.from_chunks(X, sample_bits=3, sampling="nearest", random_state=0)
    model = ZipMLRegressorCV(ALPHAS, 3, sampling="nearest", cv=FOLDS, random_state=0).fit(packed, y)
    expected = mean_errors(np.asarray(packed), y)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], expected, rtol=1e-7)
    assert model.alpha_ == ALPHAS[expected.argmin()]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients_are_those_of_the_estimator(packed, weighted):
    """To the bit, whatever was chosen."""
    X, y = data()
    weights = np.random.default_rng(1).integers(0, 3, len(y)).astype(float) if weighted else None
    rows = PackedMatrix.from_chunks(X, sample_bits=8, random_state=3) if packed else X
    for bits in ([2], [2, 8], [4, 6]):
        model = ZipMLRegressorCV(ALPHAS, bits, random_state=0).fit(rows, y, weights)
        fitted = ZipMLRegressor(model.sample_bits_, alpha=model.alpha_, random_state=0).fit(rows, y, weights)
        np.testing.assert_array_equal(model.coef_, fitted.coef_)
        assert model.intercept_ == fitted.intercept_
        np.testing.assert_array_equal(model.predict(X), fitted.predict(X))


def test_results_are_those_of_a_grid_search():
    """Keys, candidates, their order, and ranks."""
    X, y = data(300)
    model = ZipMLRegressorCV([0.1, 1.0], [2, None, 8], cv=3, random_state=0).fit(X, y)
    grid = GridSearchCV(ZipMLRegressor(random_state=0), {"alpha": [0.1, 1.0], "sample_bits": [2, None, 8]}, cv=3)
    expected = grid.fit(X, y).cv_results_
    assert set(model.cv_results_) == {key for key in expected if "time" not in key}
    assert model.cv_results_["params"] == expected["params"]
    for name in ("param_alpha", "param_sample_bits"):
        np.testing.assert_array_equal(model.cv_results_[name], expected[name])
    best = model.cv_results_["rank_test_score"].argmin()
    assert model.cv_results_["params"][best] == {"alpha": model.alpha_, "sample_bits": model.sample_bits_}
    assert model.best_score_ == model.cv_results_["mean_test_score"].max()
    assert model.n_splits_ == 3


def test_scorers_see_rows_that_are_not_rounded():
    """The scores of a grid search over float samples."""
    X, y = data(400)
    settings = {"cv": FOLDS, "scoring": "r2"}
    model = ZipMLRegressorCV(ALPHAS, None, random_state=0, **settings).fit(X, y)
    grid = GridSearchCV(ZipMLRegressor(None, solver="gram", random_state=0), {"alpha": ALPHAS}, **settings).fit(X, y)
    expected = grid.cv_results_["mean_test_score"]
    np.testing.assert_allclose(model.cv_results_["mean_test_score"], expected, atol=1e-6)
    assert model.alpha_ == grid.best_params_["alpha"]


def test_any_folds():
    """Folds that leave rows out, overlap, or come as an iterable of masks."""
    X, y = data()
    shuffled = ShuffleSplit(3, test_size=0.2, train_size=0.5, random_state=0)
    model = ZipMLRegressorCV(ALPHAS, 8, cv=shuffled, random_state=0).fit(X, y)
    expected = mean_errors(X, y, folds=shuffled)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], expected, atol=1e-3 * y.var())
    masks = [(np.isin(np.arange(len(y)), train), np.isin(np.arange(len(y)), test)) for train, test in FOLDS.split(X)]
    scores = [ZipMLRegressorCV(ALPHAS, cv=cv, random_state=0).fit(X, y).best_score_ for cv in (masks, FOLDS)]
    assert scores[0] == scores[1]


def test_groups():
    """Go to the splitter, with metadata routing and without."""
    X, y = data(300)
    groups = np.arange(300) % 7
    expected = list(GroupKFold(3).split(X, y, groups))
    plain = ZipMLRegressorCV(ALPHAS, cv=expected, random_state=0).fit(X, y)
    model = ZipMLRegressorCV(ALPHAS, cv=GroupKFold(3), random_state=0)
    assert clone(model).fit(X, y, groups=groups).best_score_ == plain.best_score_
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        model.fit(X, y, parts=groups)
    with sklearn.config_context(enable_metadata_routing=True):
        assert clone(model).fit(X, y, groups=groups).best_score_ == plain.best_score_
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        nested = make_pipeline(scaler, clone(model).set_fit_request(sample_weight=True))
        nested.fit(X, y, sample_weight=np.ones(300), groups=groups)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        labels = (y > y.mean()).astype(int)
        weighted = ZipMLLSSVCCV(scoring=scorer, cv=3, random_state=0).fit(X, labels, sample_weight=np.arange(300))
        assert 0.5 < weighted.best_score_ <= 1


def test_weights_are_repetitions():
    """Of rows that 8 bits store whole: scores, choice and coefficients."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 20, (120, 4)).astype(float)
    y, weights = X @ [1.0, -1, 2, 0] + rng.standard_normal(120), rng.integers(0, 4, 120)
    parts, repeated = rng.integers(0, 3, 120), np.repeat(np.arange(120), weights)

    def fit(rows, weights=None):
        folds = [(np.flatnonzero(parts[rows] != k), np.flatnonzero(parts[rows] == k)) for k in range(3)]
        return ZipMLRegressorCV(ALPHAS, 8, cv=folds, random_state=0).fit(X[rows], y[rows], weights)

    one, other = fit(np.arange(120), weights.astype(float)), fit(repeated)
    np.testing.assert_allclose(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"], rtol=1e-6)
    assert one.alpha_ == other.alpha_
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)


def test_alpha_per_target():
    """Each target as if it were alone, at a width for all."""
    X, y = data()
    targets = np.stack([y, np.random.default_rng(1).standard_normal(len(y)), 1e6 * X[:, 0]], axis=1)
    settings = {"alphas": ALPHAS, "sample_bits": 8, "cv": FOLDS, "random_state": 0}
    model = ZipMLRegressorCV(alpha_per_target=True, **settings).fit(X, targets)
    alone = [ZipMLRegressorCV(**settings).fit(X, target) for target in targets.T]
    np.testing.assert_array_equal(model.alpha_, [one.alpha_ for one in alone])
    np.testing.assert_allclose(model.best_score_, [one.best_score_ for one in alone], rtol=1e-6)
    np.testing.assert_allclose(model.coef_, [one.coef_ for one in alone], rtol=1e-6)
    common = ZipMLRegressorCV(**settings).fit(X, targets)
    expected = mean_errors(X, targets).mean(axis=1)
    tolerance = 3e-4 * targets.var(axis=0).mean()
    np.testing.assert_allclose(-common.cv_results_["mean_test_score"], expected, atol=tolerance)
    with pytest.raises(ValueError, match="alpha_per_target=True"):
        ZipMLRegressorCV(alpha_per_target=True, scoring="r2").fit(X, targets)


@pytest.mark.parametrize("shape", [(40, 100), (60, 600)])
def test_fewer_rows_than_columns(shape):
    """The same scores as at full precision, by columns and by rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape) * np.geomspace(1, 0.01, shape[1])
    y = X[:, :5].sum(axis=1) + 0.1 * rng.standard_normal(shape[0])
    model = ZipMLRegressorCV(ALPHAS, None, cv=FOLDS, random_state=0).fit(X, y)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], mean_errors(X, y), rtol=1e-4)


@pytest.mark.parametrize("bits", [8, None])
def test_errors_next_to_nothing(bits):
    """Where a quadratic form would have rounding alone, the rows that are held out are predicted on."""
    X = np.random.default_rng(0).integers(0, 20, (200, 4)).astype(float)
    y, alphas = X @ [1.0, -1, 2, 0] + 1e6, [1e-9, 1e-3]
    model = ZipMLRegressorCV(alphas, bits, cv=FOLDS, random_state=0).fit(X, y)
    expected = mean_errors(X, y, alphas)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], expected, rtol=1e-3, atol=1e-15)
    assert model.alpha_ == 1e-9


def test_packed_rows_fewer_than_columns():
    """By rows, at a width that rounds next to nothing."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 30, (60, 600)).astype(float)
    y = X[:, :5].sum(axis=1)
    model = ZipMLRegressorCV([1e-2, 100.0], 8, cv=FOLDS, random_state=0).fit(X, y)
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"], mean_errors(X, y, [1e-2, 100.0]), rtol=1e-4)


def test_singular_moments():
    """Copies of columns and tiny penalties: what the estimator itself makes of them."""
    X, y = data(300, 5)
    X = np.hstack([X, 1e6 * X[:, :2], np.ones((300, 1))])
    alphas = [0.0, 1e-12, 1e-2]
    model = ZipMLRegressorCV(alphas, None, cv=FOLDS, random_state=0).fit(X, y)
    expected = mean_errors(X, y, alphas[2:])
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"][2:], expected, rtol=1e-6)
    least = mean_errors(X[:, :5], y, [0.0])
    np.testing.assert_allclose(-model.cv_results_["mean_test_score"][:1], least, rtol=1e-3)


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits])
def test_classifier(load):
    """Errors of decision values are those of RidgeClassifier; any scorer sees labels."""
    X, y = load(return_X_y=True)
    Cs, folds = [1e-3, 1e-1], list(FOLDS.split(X))
    model = ZipMLLSSVCCV(Cs, 8, cv=folds, random_state=0).fit(X, y)
    by_label = ZipMLLSSVCCV(Cs, 8, cv=folds, scoring="accuracy", random_state=0).fit(X, y)
    for k, C in enumerate(Cs):
        errors, right = [], []
        for train, test in folds:
            ridge = RidgeClassifier(1 / C).fit(X[train], y[train])
            values = ridge.decision_function(X[test]).reshape(len(test), -1)
            coded = np.where(y[test][:, None] == (np.arange(10) if values.shape[1] > 1 else 1), 1.0, -1.0)
            errors.append(((values - coded) ** 2).mean())
            right.append(ridge.score(X[test], y[test]))
        assert -model.cv_results_["mean_test_score"][k] == pytest.approx(np.mean(errors), abs=2e-3)
        assert by_label.cv_results_["mean_test_score"][k] == pytest.approx(np.mean(right), abs=0.005)
    fitted = ZipMLLSSVC(8, C=model.C_, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.coef_, fitted.coef_)
    np.testing.assert_array_equal(model.predict(X), fitted.predict(X))


def test_packed_rows_and_files(tmp_path):
    """Rows bring their target along; a file is as good as memory; wider than they are is an error."""
    X, y = data()
    packed = PackedMatrix.from_chunks(X, y, sample_bits=4, random_state=0)
    packed.save(tmp_path / "rows.zq")
    settings = {"alphas": ALPHAS, "sample_bits": [2, 4], "random_state": 0}
    model = ZipMLRegressorCV(**settings).fit(packed)
    loaded = ZipMLRegressorCV(**settings).fit(PackedMatrix.load(tmp_path / "rows.zq"))
    np.testing.assert_array_equal(model.coef_, loaded.coef_)
    assert model.score(packed) > 0.5
    with pytest.raises(ValueError, match="which is narrower"):
        ZipMLRegressorCV(ALPHAS, [4, 8]).fit(packed)
    with pytest.raises(ValueError, match="float32"):
        ZipMLRegressorCV(ALPHAS, [4, None]).fit(packed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphas": []}, r"alphas=\[\]"),
        ({"alphas": [1.0, -1.0]}, r"alphas=\[1.0, -1.0\]"),
        ({"sample_bits": [4, 9]}, r"sample_bits=\[4, 9\].*got 9"),
        ({"sample_bits": []}, r"sample_bits=\[\] is empty"),
        ({"sample_bits": [4, 8], "sampling": "double", "n_draws": 3}, "n_draws=3"),
        ({"cv": [([0, 1], [])]}, "fold 0 has no test rows"),
        ({"cv": []}, "no folds"),
    ],
)
def test_errors(settings, message):
    """Name the parameter and the value."""
    X, y = data(60)
    with pytest.raises(ValueError, match=message):
        ZipMLRegressorCV(**settings).fit(X, y)


def test_threads_change_nothing():
    """Bit for bit."""
    X, y = data(3000, 70)
    one, two = (ZipMLRegressorCV(ALPHAS, [2, 8], n_jobs=n, random_state=0).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.cv_results_["split0_test_score"], two.cv_results_["split0_test_score"])
    np.testing.assert_array_equal(one.coef_, two.coef_)
