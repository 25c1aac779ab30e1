"""NaN and infinity: scikit-learn's error, with the column and the row of the first one, wherever rows are read."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import config_context
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLLSSVC, ZipMLRegressor
from sklearn_zipml._storage import blocks

N, D = 500, 6
NAMES = list("abcdef")


def spoilt(value, at=((321, 4), (400, 1)), dtype=np.float64):
    """Rows with the value at some places."""
    X = np.random.default_rng(0).normal(size=(N, D)).astype(dtype)
    for place in at:
        X[place] = value
    return X


GOOD, Y = spoilt(0.0, ()), np.arange(N) % 2
READERS = {
    "fit": lambda X: ZipMLRegressor().fit(X, Y),
    "fit on floats": lambda X: ZipMLRegressor(None).fit(X, Y),
    "threads": lambda X: ZipMLRegressor(n_jobs=2).fit(X, Y),
    "early stopping": lambda X: ZipMLLSSVC(early_stopping=True, random_state=1).fit(X, Y),
    "partial_fit": lambda X: ZipMLRegressor(None).partial_fit(X, Y),
    "classifier": lambda X: ZipMLLSSVC().partial_fit(X, Y, classes=[0, 1]),
    "quantizer": lambda X: DoubleSamplingQuantizer().fit(X),
    "quantizer in chunks": lambda X: DoubleSamplingQuantizer().partial_fit(X),
    "predict": lambda X: fitted(ZipMLRegressor, X).predict(X),
    "score": lambda X: fitted(ZipMLRegressor, X).score(X, Y),
    "decision_function": lambda X: fitted(ZipMLLSSVC, X).decision_function(X),
    "transform": lambda X: fitted(DoubleSamplingQuantizer, X).transform(X),
    "quantize": lambda X: fitted(DoubleSamplingQuantizer, X).quantize(X),
    "from_chunks": PackedMatrix.from_chunks,
    "chunks": lambda X: PackedMatrix.from_chunks([X[:100], X[100:350], X[350:]]),
    "one pass": lambda X: PackedMatrix.from_chunks(chunk for chunk in (X[:100], X[100:350], X[350:])),
}


def fitted(estimator, X):
    """On good rows of the same kind."""
    return estimator(random_state=0).fit(pd.DataFrame(GOOD, columns=NAMES) if hasattr(X, "columns") else GOOD, Y)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, np.float32, pd.DataFrame])
@pytest.mark.parametrize("value, what", [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_the_first_place_is_named(reader, kind, value, what, monkeypatch):
    """Column and row as the caller counts them, whatever blocks, chunks and threads it is found in."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64 * D * 8)
    X = spoilt(value)
    if kind is pd.DataFrame:
        X, column = pd.DataFrame(X, columns=NAMES, index=np.arange(N)[::-1]), r"'e' \(4\)"
        if reader in ("chunks", "one pass"):
            X = X.iloc
            X = X[:]
    else:
        X, column = kind(X), "4"
    first = "early" not in reader  # held-out rows are not read
    place = rf"The first is in column {column}, row 321\." if first else r"The first is in column .*, row \d+\."
    with pytest.raises(ValueError, match=rf"^Input X contains {what}.*\. {place}"):
        READERS[reader](X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_rest_is_what_scikit_learn_says(value):
    """Of predict, and the first sentence of fit."""
    X = spoilt(value)
    for method in ("fit", "predict"):
        texts = []
        for model in (Ridge(), ZipMLRegressor(random_state=0)):
            arguments = (X, Y) if method == "fit" else (X,)
            if method == "predict":
                model.fit(GOOD, Y)
            with pytest.raises(ValueError) as error:
                getattr(model, method)(*arguments)
            texts.append(str(error.value))
        expected, own = texts
        own = own.replace(" The first is in column 4, row 321.", "").replace("ZipMLRegressor", "Ridge")
        assert own == (expected.split("\n")[0] if method == "fit" else expected)


def test_both_kinds():
    """The one that comes first is named."""
    X = spoilt(np.nan)
    X[17, 2] = np.inf
    with pytest.raises(ValueError, match=r"infinity.*column 2, row 17"):
        ZipMLRegressor().fit(X, Y)
    X[17, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN.*column 1, row 17"):
        ZipMLRegressor().fit(X, Y)


def test_rows_that_are_left_out():
    """Rows without weight are not looked at, and the others keep their numbers."""
    X = spoilt(np.nan, [(10, 0), (30, 5)])
    weights = np.ones(N)
    weights[:20] = 0
    for bits in (4, None):
        with pytest.raises(ValueError, match=r"NaN.*column 5, row 30\."):
            ZipMLRegressor(bits).fit(X, Y, sample_weight=weights)
        with pytest.raises(ValueError, match=r"NaN.*column 5, row 30\."):
            ZipMLRegressor(bits).partial_fit(X, Y, sample_weight=weights)
        weights[30] = 0
        ZipMLRegressor(bits, random_state=0).fit(X, Y, sample_weight=weights)
        weights[30] = 1


def test_appended_rows(tmp_path):
    """Are counted from their own beginning."""
    path = tmp_path / "rows.zq"
    PackedMatrix.from_chunks(GOOD[:101], random_state=0).save(path)
    with pytest.raises(ValueError, match=r"NaN.*column 4, row 321\."):
        PackedMatrix.append(path, [spoilt(np.nan)[:200], spoilt(np.nan)[200:]])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_chunks(frame):
    """Frames name their column."""
    X = spoilt(np.nan)
    chunks = [frame({name: X[rows, j] for j, name in enumerate(NAMES)}) for rows in (slice(0, 300), slice(300, None))]
    with pytest.raises(ValueError, match=r"NaN.*column 'e' \(4\), row 321\."):
        PackedMatrix.from_chunks(chunks)


def test_small_floats():
    """Of half precision, which the message calls what they are read as."""
    with pytest.raises(ValueError, match=r"infinity or a value too large for dtype\('float16'\).*column 4, row 321"):
        fitted(ZipMLRegressor, GOOD).predict(spoilt(np.inf, dtype=np.float16))


def test_told_to_assume_that_there_are_none():
    """predict does not look; fit cannot do without."""
    X = spoilt(np.nan)
    model = fitted(ZipMLRegressor, X)
    with config_context(assume_finite=True):
        assert np.isnan(model.predict(X)).sum() == 2
        with pytest.raises(ValueError, match=r"contains NaN.*column 4, row 321"):
            model.fit(X, Y)
