"""Weights that come with rows: a column, an array beside them, the third part of a chunk."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import PackedMatrix
from sklearn_zipml._sources.source import open_source

pytest.importorskip("pyarrow")

N = 300
WEIGHTS = np.random.default_rng(1).integers(0, 5, N) / 4


@pytest.fixture
def frame():
    """Two features, a target and weights."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(size=N), "w": WEIGHTS, "b": rng.normal(size=N), "y": np.arange(N) / 2})


def packed(source, *arguments, **settings):
    """The rows of a source, packed."""
    return PackedMatrix.from_chunks(source, *arguments, random_state=0, **settings)


def tables(frame, folder):
    """The same rows as whatever has names of columns."""
    import polars as pl
    import pyarrow as pa

    frame.to_parquet(folder / "rows.parquet")
    frame.to_csv(folder / "rows.csv", index=False)
    frame[:100].to_csv(folder / "part0.csv", index=False)
    frame[["y", "b", "w", "a"]][100:].to_csv(folder / "part1.csv", index=False)
    yield from (frame, pl.from_pandas(frame), pl.from_pandas(frame).lazy(), pa.Table.from_pandas(frame))
    yield from (folder / "rows.parquet", str(folder / "rows.csv"), folder / "part*.csv")
    yield from ([frame[:7], frame[7:]], lambda: iter([frame[:100], frame[100:]]))


def test_column_of_a_table(tmp_path, frame):
    """Taken out of the features, in the order of rows, of any kind of table."""
    for table in tables(frame, tmp_path):
        matrix = packed(table, target="y", sample_weight="w")
        assert matrix.feature_names == ("a", "b")
        np.testing.assert_array_equal(matrix.sample_weight, WEIGHTS)
        np.testing.assert_array_equal(matrix.target, frame["y"])


def test_column_of_an_array(tmp_path, frame):
    """By its index; the rest, or `columns`, are features."""
    np.save(tmp_path / "rows.npy", frame.to_numpy())
    for array in (frame.to_numpy(), tmp_path / "rows.npy"):
        matrix = packed(array, target=3, sample_weight=1)
        assert matrix.shape == (N, 2)
        np.testing.assert_array_equal(matrix.sample_weight, WEIGHTS)
        assert packed(array, sample_weight=np.int64(1), columns=[0, 1]).shape == (N, 1)


def test_beside_the_rows(frame):
    """Arrays, lists and series; in every chunk of an iterable; through a transformer."""
    X, y = frame[["a", "b"]].to_numpy(), frame["y"].to_numpy()
    for weights in (WEIGHTS, WEIGHTS.tolist(), frame["w"], WEIGHTS.astype(np.float32)):
        matrix = packed(X, y, sample_weight=weights)
        np.testing.assert_array_equal(matrix.sample_weight, WEIGHTS)
        assert matrix.sample_weight.dtype == np.float64 and not matrix.sample_weight.flags.writeable
    parts = [(X[k : k + 100], y[k : k + 100], WEIGHTS[k : k + 100]) for k in range(0, N, 100)]
    np.testing.assert_array_equal(packed(parts).sample_weight, WEIGHTS)
    np.testing.assert_array_equal(packed([(X, None, WEIGHTS)]).sample_weight, WEIGHTS)
    scaler = make_pipeline(StandardScaler()).fit(frame[["a", "b"]])
    matrix = packed(frame, target="y", sample_weight="w", transform=scaler)
    np.testing.assert_array_equal(matrix.sample_weight, WEIGHTS)
    assert matrix.shape == (N, 2)


def test_do_not_change_codes(frame):
    """Levels and rounding are those of the rows alone."""
    X = frame[["a", "b"]].to_numpy()
    assert packed(X, sample_weight=WEIGHTS) == packed(X)


def test_of_packed_rows(frame):
    """They come along, unless a column holds others or an array does."""
    matrix = packed(frame, target="y", sample_weight="w", sample_bits=8)
    np.testing.assert_array_equal(packed(matrix).sample_weight, WEIGHTS)
    np.testing.assert_array_equal(packed([matrix, matrix]).sample_weight, np.tile(WEIGHTS, 2))
    np.testing.assert_array_equal(packed(matrix, sample_weight=np.ones(N)).sample_weight, np.ones(N))
    whole = packed(frame[["a", "w"]], sample_bits=8)
    np.testing.assert_array_equal(packed(whole, sample_weight="w").sample_weight, np.asarray(whole)[:, 1])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(N - 1), "has 300 rows and sample_weight has 299"),
        (np.ones((N, 1)), r"sample_weight has shape \(300, 1\)"),
        (np.where(np.arange(N) == 7, -1.0, 1.0), "sample_weight holds -1.0"),
        (np.where(np.arange(N) == 7, np.nan, 1.0), "sample_weight holds nan"),
        (np.full(N, "heavy"), "sample_weight has dtype <U5"),
        (np.ma.masked_equal(np.arange(N), 3), "masked"),
        (2.0, "sample_weight=2.0 is one value"),
        ("v", "no column 'v'; did you mean"),
        ("y", "'y' is there, or is asked for, more than once"),
    ],
)
def test_what_is_refused(frame, weights, message):
    """Before any row is packed, by name."""
    with pytest.raises(ValueError, match=message):
        packed(frame.rename(columns={"w": "vv"}), target="y", sample_weight=weights)


def test_some_chunks_without(frame):
    """All have weights, or none."""
    X = frame[["a", "b"]].to_numpy()
    with pytest.raises(ValueError, match="Some chunks have weights and some have none"):
        list(open_source([(X, None, WEIGHTS), X]).chunks())
    with pytest.raises(ValueError, match="300 rows need as many weights"):
        list(open_source([(X, None, WEIGHTS[1:])]).chunks())
