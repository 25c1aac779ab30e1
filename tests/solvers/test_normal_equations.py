"""partial_fit: the objective of fit on all rows so far, whatever the chunks and their order."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._solvers.normal_equations import MOST_COLUMNS, NormalEquations
from sklearn_zipml._storage.packed_rows import rows_of

EXACT = {"tol": 1e-10, "max_iter": 3000}


def data(n=4000, d=10, seed=0, offset=5):
    """Correlated columns away from zero, and a target."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3) * np.geomspace(0.1, 10, d) + offset
    return X, X @ rng.standard_normal(d) + rng.standard_normal(n)


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_bits": 4},
        {"sample_bits": 2},
        {"sample_bits": 4, "sampling": "double"},
        {"sample_bits": 4, "sampling": "naive"},
        {"sample_bits": 8, "fit_intercept": False},
        {"sample_bits": 4, "alpha": 10.0},
        {"sample_bits": None},
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_one_chunk_is_fit(settings, weighted):
    """The closed form of the objective that fit minimises, on the same codes."""
    X, y = data(offset=5 if settings.get("fit_intercept", True) else 0)
    weights = np.random.default_rng(1).integers(0, 3, len(y)).astype(float) if weighted else None
    fitted = ZipMLRegressor(**settings, **EXACT, random_state=0).fit(X, y, weights)
    model = ZipMLRegressor(**settings, random_state=0).partial_fit(X, y, weights)
    spread = X.std(axis=0) / y.std()
    np.testing.assert_allclose(model.coef_ * spread, fitted.coef_ * spread, atol=2e-3)
    assert model.sample_bits_ == fitted.sample_bits_
    np.testing.assert_allclose(model.score(X, y), fitted.score(X, y), atol=1e-4)


def test_float_chunks_are_ridge():
    """Without rounding: the closed form of all rows, in any order, to rounding errors."""
    X, y = data()
    order = np.argsort(y)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y))
    model = ZipMLRegressor(None, alpha=0.1)
    for rows in np.array_split(order, 7):
        model.partial_fit(X[rows], y[rows], weights[rows])
    ridge = Ridge(alpha=0.1 * weights.sum()).fit(X, y, weights)
    np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.intercept_, ridge.intercept_, rtol=1e-8)
    objective = 0.5 * np.average((y - ridge.predict(X)) ** 2, weights=weights) + 0.05 * (ridge.coef_**2).sum()
    assert model.loss_curve_[-1] == pytest.approx(objective)
    assert len(model.loss_curve_) == 7


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_sorted_chunks(bits, packed):
    """Chunks in the order of y, as arrays or packed, end where fit does."""
    X, y = data(20_000)
    order = np.argsort(y)
    model = ZipMLRegressor(bits, random_state=0)
    for rows in np.array_split(order, 10):
        chunk = PackedMatrix.from_chunks(X[rows], y[rows], sample_bits=bits, random_state=1) if packed else X[rows]
        model.partial_fit(chunk, None if packed else y[rows])
    assert model.score(X, y) > ZipMLRegressor(bits, random_state=0).fit(X, y).score(X, y) - 0.002


@pytest.mark.parametrize("settings", [{}, {"fit_intercept": False}])
@pytest.mark.parametrize("bits", [2, 8])
@pytest.mark.parametrize("weighted", [False, True])
def test_any_division_of_packed_rows(bits, weighted, settings):
    """The same bits, from heavy tails and repeated rows too; and those of fit but for how noise by code is stored."""
    X, y = data(3000, offset=0)
    X[:, 3] **= 3
    X[1000:1200], order = X[:200], np.random.default_rng(1).permutation(3000)
    weights = np.random.default_rng(2).uniform(0.5, 2, 3000) if weighted else np.ones(3000)
    packed = PackedMatrix.from_chunks(X, sample_bits=bits, random_state=0)
    whole = ZipMLRegressor(bits, alpha=0.1, **settings).partial_fit(packed, y, weights)
    for parts in (2, 9):
        model = ZipMLRegressor(bits, alpha=0.1, **settings)
        for rows in np.array_split(order, parts):
            model.partial_fit(packed[rows], y[rows], weights[rows])
        np.testing.assert_array_equal(model.coef_, whole.coef_)
        assert (model.intercept_, model.loss_curve_[-1]) == (whole.intercept_, whole.loss_curve_[-1])
    fitted = ZipMLRegressor(bits, alpha=0.1, solver="gram", **settings).fit(packed, y, weights)
    np.testing.assert_allclose(whole.predict(X), fitted.predict(X), atol=2e-3 * y.std())


def test_merge():
    """In any order: exact for rows of one grid, as good for others; what was merged stays what it was."""
    X, y = data(3000)
    packed, other = (PackedMatrix.from_chunks(X, sample_bits=4, random_state=seed) for seed in (0, 1))

    def seen(*parts):
        equations = NormalEquations(10, 1, 0)
        for matrix, rows in parts:
            equations.add(rows_of(matrix[rows]), y[rows, None], np.ones(len(rows)))
        return equations

    def minimum(equations):
        found = equations.minimum(0.1, True, np.float64)
        return found.coef, found.intercept, found.objective

    parts = np.array_split(np.random.default_rng(1).permutation(3000), 4)
    whole, shares = minimum(seen((packed, np.arange(3000)))), [seen((packed, rows)) for rows in parts]
    before = minimum(shares[1])
    for merged in (
        shares[0].merge(shares[1]).merge(shares[2]).merge(shares[3]),
        shares[3].merge(shares[1]).merge(shares[2].merge(shares[0])),
    ):
        assert (merged.n_rows, merged.total, merged.n_chunks) == (3000, 3000.0, 4)
        for one, another in zip(minimum(merged), whole, strict=True):
            np.testing.assert_array_equal(one, another)
    np.testing.assert_array_equal(minimum(shares[1])[0], before[0])
    mixed = seen((packed, parts[0]), (other, parts[1])).merge(seen((other, parts[2]), (packed, parts[3])))
    apart = seen((packed, parts[0]), (packed, parts[3]), (other, parts[1]), (other, parts[2]))
    np.testing.assert_allclose(minimum(mixed)[0], minimum(apart)[0], rtol=2e-3)  # how much is compensated
    with pytest.raises(ValueError, match="not to be merged"):
        shares[0].merge(NormalEquations(10, 2, 0))


def test_single_rows():
    """One at a time, least-norm before there are enough."""
    X, y = data(60, 3)
    model = ZipMLRegressor(random_state=0)
    for k in range(60):
        model.partial_fit(X[k : k + 1], y[k : k + 1])
        assert np.isfinite(model.coef_).all()
    np.testing.assert_allclose(model.coef_, Ridge(alpha=60 * 1e-4).fit(X, y).coef_, rtol=1e-6)


def test_several_targets_and_float32():
    """Shapes and dtypes of fit."""
    X, y = data()
    targets = np.stack([y, -y, X[:, 0]], axis=1)
    model = ZipMLRegressor(random_state=0).partial_fit(X[:2000].astype(np.float32), targets[:2000])
    model.partial_fit(X[2000:].astype(np.float32), targets[2000:])
    assert (model.coef_.shape, model.coef_.dtype, model.intercept_.shape) == ((3, 10), np.float32, (3,))
    with pytest.raises(ValueError, match="another number"):
        model.partial_fit(X, y)


def test_classes():
    """Chunks of one class each."""
    X, y = load_digits(return_X_y=True)
    model = ZipMLLSSVC(random_state=0)
    for label in range(10):
        model.partial_fit(X[y == label], y[y == label], classes=np.arange(10))
    assert model.score(X, y) == pytest.approx(ZipMLLSSVC(random_state=0).fit(X, y).score(X, y), abs=0.01)
    assert model.coef_.shape == (10, 64)


def test_two_classes_and_class_weight():
    """One output; weights of a dict are those of fit."""
    X, y = load_breast_cancer(return_X_y=True)
    names = np.array(["no", "yes"])[y]
    settings = {"sample_bits": 8, "class_weight": {"no": 5.0, "yes": 1.0}, "random_state": 0}
    model = ZipMLLSSVC(**settings).partial_fit(X, names, classes=["yes", "no"])
    fitted = ZipMLLSSVC(**settings, **EXACT).fit(X, names)
    assert model.coef_.shape == (1, 30)
    np.testing.assert_array_equal(model.classes_, ["no", "yes"])
    np.testing.assert_allclose(model.decision_function(X), fitted.decision_function(X), atol=0.02)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all labels"):
        ZipMLLSSVC(class_weight="balanced").partial_fit(X, y, classes=[0, 1])


def test_class_errors():
    """Classes missing, changed, unknown, or too few."""
    X, y = load_digits(return_X_y=True)
    with pytest.raises(ValueError, match="first call"):
        ZipMLLSSVC().partial_fit(X, y)
    with pytest.raises(ValueError, match="at least 2 classes"):
        ZipMLLSSVC().partial_fit(X, y, classes=[1])
    model = ZipMLLSSVC().partial_fit(X[y < 3], y[y < 3], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, y)


def test_after_fit_it_begins_anew():
    """And fit forgets it."""
    X, y = data()
    model = ZipMLRegressor(random_state=0).fit(-X, y).partial_fit(X, y)
    np.testing.assert_array_equal(model.coef_, ZipMLRegressor(random_state=0).partial_fit(X, y).coef_)
    model.fit(X, y)
    np.testing.assert_array_equal(model.coef_, ZipMLRegressor(random_state=0).fit(X, y).coef_)


def test_pickled_between_chunks():
    """The moments are part of the model."""
    X, y = data()
    whole = ZipMLRegressor(random_state=0).partial_fit(X[:999], y[:999])
    copy = pickle.loads(pickle.dumps(whole)).partial_fit(X[999:], y[999:])
    np.testing.assert_array_equal(copy.coef_, whole.partial_fit(X[999:], y[999:]).coef_)


def test_a_bad_chunk_changes_nothing():
    """The model goes on as if it had not come."""
    X, y = data()
    model = ZipMLRegressor(None).partial_fit(X, y)
    coef = model.coef_
    for bad in (X[:, :4], np.where(X == X[0, 0], np.nan, X)):
        with pytest.raises(ValueError, match=r"features|NaN"):
            model.partial_fit(bad, y)
    np.testing.assert_allclose(model.partial_fit(X, y).coef_, coef, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resample": "epoch", "solver": "sgd"}, "resample='epoch'"),
        ({"l1_ratio": 0.5}, "l1_ratio=0.5"),
    ],
)
def test_settings_without_a_meaning(settings, message):
    """Refused."""
    X, y = data(100)
    with pytest.raises(ValueError, match=message):
        ZipMLRegressor(**settings).partial_fit(X, y)


def test_too_many_columns():
    """The message says what to do instead."""
    with pytest.raises(ValueError, match=r"PackedMatrix.from_chunks"):
        NormalEquations(MOST_COLUMNS + 1, 1, 0)


# The quantizer


@pytest.mark.parametrize(("bits", "sampling"), [(2, "compensated"), (4, "double"), (8, "nearest")])
def test_levels_of_chunks_are_levels_of_all(bits, sampling):
    """Bit for bit, beyond the size of the sample too."""
    X = data(20_000, 4)[0] ** 3
    whole = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0).fit(X)
    quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0)
    for chunk in np.array_split(X, 9):
        quantizer.partial_fit(chunk)
    for levels, expected in zip(quantizer.levels_, whole.levels_, strict=True):
        np.testing.assert_array_equal(levels, expected)
    assert quantizer.quantize(X) == whole.quantize(X)


def test_quantizer_errors():
    """Another width, and packed rows."""
    X = data(100)[0]
    quantizer = DoubleSamplingQuantizer().partial_fit(X)
    with pytest.raises(ValueError, match="features"):
        quantizer.partial_fit(X[:, :3])
    with pytest.raises(ValueError, match="requantize"):
        quantizer.partial_fit(quantizer.quantize(X))
    assert quantizer.fit(X[:, :3]).n_features_in_ == 3
    assert quantizer.partial_fit(X).n_features_in_ == 10
