"""Decoded rows are recognised when they are packed again, and rows that were never rounded are not taken for them."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._storage import decoded_rows
from sklearn_zipml._storage.decoded_rows import warn_of_decoded

MESSAGE = r"rows that a PackedMatrix has decoded\. They are rounded.*Pass the PackedMatrix itself"
N, D = 400, 5


@pytest.fixture(autouse=True)
def forget():
    """What other tests have decoded."""
    decoded_rows._decoded.clear()


def data(dtype=np.float64, n=N, seed=0):
    """Rows of continuous values."""
    return np.random.default_rng(seed).normal(size=(n, D)).astype(dtype)


def decoded(bits=2, sampling="compensated", levels="optimal", X=None):
    """The array that packed rows decode to."""
    X = data() if X is None else X
    return np.asarray(DoubleSamplingQuantizer(bits, sampling=sampling, levels=levels, random_state=0).fit_transform(X))


def is_known(X):
    """Whether it is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return warn_of_decoded(np.asarray(X))


KINDS = [
    (bits, sampling, levels)
    for bits in (1, 2, 3, 4, 5)
    for sampling in ("compensated", "double")
    for levels in ("optimal", "uniform")
    if (bits, sampling) != (1, "double")
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_any_form(kind, dtype):
    """The whole, parts, other orders, also in memory, float types and containers, and some of the columns."""
    X = data(dtype)
    Z = decoded(*kind, X=X)
    rng = np.random.default_rng(1)
    for rows in (
        Z,
        Z.copy(),
        np.asfortranarray(Z),
        Z.astype(np.float32),
        Z.astype(np.float64),
        Z[::-1],
        Z[100:200],
        Z[rng.integers(0, N, N)],
        pd.DataFrame(Z),
        pl.from_numpy(Z),
        Z[:, ::-1],
        Z[:, [2]],
        np.c_[X[:, 0] + 1, Z[:, 3]],
    ):
        assert is_known(rows)
    for rows in (X, X[:200], X[:, [2]], Z + 1e-3, Z[:10], Z * 2, np.vstack([Z, X])):
        assert not is_known(rows)


WAYS = {
    "asarray": np.asarray,
    "array": lambda packed: np.array(packed, dtype=np.float32),
    "inverse_transform": lambda packed: DoubleSamplingQuantizer(2).fit(packed).inverse_transform(packed),
    "iterated": lambda packed: np.array(list(packed)),
    "columns": lambda packed: np.asarray(packed[:, [3, 1]]),
    "take": lambda packed: np.asarray(np.take(packed, [0, 2, 4], axis=1)),
    "rows": lambda packed: np.asarray(packed[::2]),
    "pandas": lambda packed: pd.DataFrame(packed).to_numpy(),
    "a row at a time": lambda packed: np.array([row for row in packed[:100]]),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_decode(way):
    """All of them are remembered."""
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(data())
    assert is_known(WAYS[way](packed))


FITS = {
    "regressor": lambda X, y: ZipMLRegressor(2, random_state=0).fit(X, y),
    "floats": lambda X, y: ZipMLRegressor(None, random_state=0).fit(X, y),
    "classifier": lambda X, y: ZipMLLSSVC(random_state=0).fit(X, y > 0),
    "chunk": lambda X, y: ZipMLRegressor(2, random_state=0).partial_fit(X, y),
    "quantizer": lambda X, y: DoubleSamplingQuantizer().fit(X),
    "fit_transform": lambda X, y: DoubleSamplingQuantizer().fit_transform(X),
    "quantizer, a chunk": lambda X, y: DoubleSamplingQuantizer().partial_fit(X),
    "quantize": lambda X, y: DoubleSamplingQuantizer().fit(X * 2).quantize(X),
    "from_chunks": lambda X, y: PackedMatrix.from_chunks(X, y),
    "chunks": lambda X, y: PackedMatrix.from_chunks([np.asarray(X)[:150], np.asarray(X)[150:]]),
    "frame chunks": lambda X, y: PackedMatrix.from_chunks(pd.DataFrame(np.asarray(X))),
}


@pytest.mark.parametrize("kind", [np.asarray, lambda X: pd.DataFrame(X, columns=list("abcde"))], ids=["array", "frame"])
@pytest.mark.parametrize("fit", FITS)
def test_whatever_packs_them_warns(fit, kind):
    """Once, at the line of the caller; what only reads them does not."""
    y = data()[:, 0]
    with pytest.warns(UserWarning, match=MESSAGE) as record:
        FITS[fit](kind(decoded()), y)
    assert [warning.filename for warning in record] == [__file__]
    FITS[fit](kind(data()), y)  # is an error, if it warns


def test_predicting_does_not_warn():
    """Rounded rows are as good as others there."""
    X = data()
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    model = ZipMLRegressor(2, random_state=0).fit(packed, X[:, 0])
    model.score(np.asarray(packed), X[:, 0])
    DoubleSamplingQuantizer().fit(X).transform(np.asarray(packed))


@pytest.mark.parametrize(
    "transformer",
    [
        ColumnTransformer([("packed", DoubleSamplingQuantizer(2, random_state=0), [0, 1])], remainder="passthrough"),
        FeatureUnion([("packed", DoubleSamplingQuantizer(2, random_state=0)), ("plain", FunctionTransformer())]),
    ],
)
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_transformers_that_decode(transformer, output):
    """Beside other columns, in a pipeline."""
    X = pd.DataFrame(data(), columns=list("abcde"))
    pipeline = make_pipeline(transformer, ZipMLRegressor(random_state=0))
    if output == "default" or isinstance(transformer, ColumnTransformer):
        pipeline.set_output(transform=output)
    with pytest.warns(UserWarning, match=MESSAGE):
        pipeline.fit(X, X["a"])


def test_folds():
    """Of the decoded array; those of the packed rows are as they should be."""
    X = data(n=1000)
    y = X @ np.arange(5.0)
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    with pytest.warns(UserWarning, match=MESSAGE):
        cross_val_score(ZipMLRegressor(2, random_state=0), np.asarray(packed), y)
    cross_val_score(ZipMLRegressor(2, random_state=0), packed, y)
    Ridge().fit(packed, y)  # which decodes them, too
    ZipMLRegressor(2, random_state=0).fit(X, y)


@pytest.mark.parametrize("bits, sampling", [(8, "compensated"), (8, "double"), (4, "naive"), (4, "nearest")])
def test_rounding_that_does_not_matter(bits, sampling):
    """Eight bits, and samplings whose errors nobody knows."""
    ZipMLRegressor(8, random_state=0).fit(decoded(bits, sampling), data()[:, 0])


# Rows that were never rounded


def rows_of_all_kinds(n, d, rng):
    """What is on levels here and there, or everywhere."""
    amount = np.where(rng.uniform(size=n) < 0.6, 0, rng.gamma(1, size=n))
    age = rng.integers(18, 79, n)
    pixels = rng.integers(0, 256, (n, d))
    yield "normal", rng.normal(size=(n, d))
    yield "counts", rng.poisson(3, size=(n, d))
    yield "sparse counts", rng.poisson(3, size=(n, d)) * (rng.uniform(size=(n, d)) < 0.1)
    yield "heavy counts", np.floor(rng.pareto(1, size=(n, d)) * 3)
    yield "zero inflated", np.where(rng.uniform(size=(n, d)) < 0.7, 0, rng.normal(size=(n, d)))
    yield "capped", np.clip(rng.normal(size=(n, d)), -0.5, 0.5)
    yield "pixels", pixels
    yield "scaled pixels", pixels / 255
    yield "standardized pixels", (pixels - 127.3) / 74.2
    yield "ages", rng.integers(18, 79, (n, d))
    yield "standardized ages", (rng.integers(18, 79, (n, d)) - 41.7) / 13.3
    yield "prices", np.round(rng.gamma(2, 20, size=(n, d)), 2)
    yield "converted", rng.integers(0, 4096, (n, d)) * (3.3 / 4095)
    yield "one of many and an amount", np.c_[np.eye(d - 1)[rng.integers(0, d - 1, n)], amount]
    yield "flags and an amount", np.c_[rng.integers(0, 2, (n, d - 1)), amount]
    yield "flags and an age", np.c_[rng.integers(0, 2, (n, d - 1)), age]
    yield "half precision", rng.normal(size=(n, d)).astype(np.float16)
    yield "repeated", np.repeat(rng.normal(size=(n // 10, d)), 10, axis=0)
    yield "constant", np.full((n, d), 3.7)
    yield "far away", rng.normal(size=(n, d)) + 1e9


def parts_of(X, rng):
    """Some of the rows, among them all that have not been rounded in a column."""
    n, d = X.shape
    yield from (X, X[::2], X[rng.permutation(n)[: n // 3]], X[rng.integers(0, n, n)], X.astype(np.float32))
    yield from (X[:, ::-1], X[:, : d // 2], np.c_[X, X[:, :1]], np.unique(X, axis=0))
    for j in (0, d - 1):
        values, counts = np.unique(X[:, j], return_counts=True)
        for value in (values[counts.argmax()], values[0], values[-1]):
            yield X[X[:, j] == value]
        yield X[np.isin(X[:, j], values[[0, -1]])]
        yield X[X[:, j] <= np.quantile(X[:, j], 0.8)]
    yield X[X.max(axis=1) <= np.median(X.max(axis=1))]


@pytest.mark.filterwarnings("ignore:One grid step")
@pytest.mark.parametrize("shape", [(60, 3), (500, 4), (5000, 2)])
def test_no_false_alarm(shape):
    """Whatever has been decoded of them at any width, rows as they were are not warned of; what was decoded is."""
    rng = np.random.default_rng(0)
    for name, X in rows_of_all_kinds(*shape, rng):
        X, made = X.astype(np.float64), []
        for kind in KINDS[::3]:
            packed = DoubleSamplingQuantizer(kind[0], sampling=kind[1], levels=kind[2], random_state=0).fit_transform(X)
            noise = packed.rounding_variance / np.maximum(np.asarray(packed).var(axis=0), 1e-300)
            made.append((np.asarray(packed), noise.max(initial=0) > 2e-3))
        for rows in parts_of(X, rng):
            assert not is_known(rows), name
        for rows, is_rounded in made:
            assert is_known(rows) or not is_rounded or np.array_equal(rows, X) or name == "far away", name


def test_memory_is_bounded():
    """The oldest are forgotten."""
    first = decoded()
    assert is_known(first)
    for seed in range(decoded_rows.MATRICES):
        decoded(X=data(seed=1000 + seed))
    assert not is_known(first)
    assert len(decoded_rows._decoded) == decoded_rows.MATRICES


def test_other_kinds_of_numbers():
    """Integers and small floats are none that a PackedMatrix decodes to."""
    decoded()
    for dtype in (np.int64, np.float16, bool):
        assert not is_known(data().astype(dtype))
    assert not is_known(np.full((20, D), np.nan)) and not is_known(np.full((20, D), 1e300))
