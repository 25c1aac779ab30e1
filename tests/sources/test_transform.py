"""Rows that a fitted transformer makes features of while they stream in."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor


@pytest.fixture
def table():
    """Two numbers, one with holes, a category, and a target."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"area": rng.lognormal(size=600), "age": rng.uniform(0, 90, 600)})
    frame["kind"] = rng.choice(["flat", "house", "hut"], 600)
    frame["price"] = frame["area"] + (frame["kind"] == "house") + 0.1 * rng.standard_normal(600)
    frame.loc[::7, "age"] = np.nan
    return frame


def preprocessor(frame, output="default"):
    """Fitted on the first rows, as it would be."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    made = make_column_transformer(
        (numbers, ["area", "age"]),
        (OneHotEncoder(sparse_output=False), ["kind"]),
        sparse_threshold=0,
    )
    return made.set_output(transform=output).fit(frame[:300].drop(columns="price"))


@pytest.mark.parametrize("kind", ["frame", "parquet", "csv", "chunks"])
def test_features_are_those_of_the_transformer(table, kind, tmp_path):
    """The codes are those of the transformed rows in one array, and the names are the transformer's."""
    transform = preprocessor(table)
    source = table
    if kind in ("parquet", "csv"):
        pytest.importorskip("pyarrow")
        source = tmp_path / f"rows.{kind}"
        table.to_parquet(source) if kind == "parquet" else table.to_csv(source, index=False)
    if kind == "chunks":
        source = [table[:100], table[100:450], table[450:]]
    packed = PackedMatrix.from_chunks(source, target="price", transform=transform, random_state=0)
    X = transform.transform(table.drop(columns="price"))
    expected = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    np.testing.assert_array_equal(np.asarray(packed), np.asarray(expected))
    assert list(packed.feature_names) == list(transform.get_feature_names_out())
    np.testing.assert_allclose(packed.target, table["price"])
    assert ZipMLRegressor(random_state=0).fit(packed).score(packed, packed.target) > 0.9


def test_arrays_and_frames_of_transformers(table):
    """Arrays have no names; transformers that give frames give theirs."""
    X = np.random.default_rng(0).normal(3, 2, size=(500, 4))
    scaler = StandardScaler().fit(X)
    packed = PackedMatrix.from_chunks(X, transform=scaler, sample_bits=8, random_state=0)
    expected = DoubleSamplingQuantizer(8, random_state=0).fit_transform(scaler.transform(X))
    np.testing.assert_array_equal(np.asarray(packed), np.asarray(expected))
    assert packed.feature_names is None
    transform = preprocessor(table, "pandas")
    named = PackedMatrix.from_chunks(table, target="price", transform=transform, random_state=0)
    assert list(named.feature_names) == list(transform.get_feature_names_out())


def test_what_cannot_be_taken(table):
    """Transformers that are not fitted, make sparse matrices, or are none; and packed rows."""
    with pytest.raises(NotFittedError):
        PackedMatrix.from_chunks(table, target="price", transform=StandardScaler())
    with pytest.raises(TypeError, match="transform='scale'"):
        PackedMatrix.from_chunks(table, target="price", transform="scale")
    sparse = OneHotEncoder().fit(table[["kind"]])
    with pytest.raises(TypeError, match="sparse_output=False"):
        PackedMatrix.from_chunks(table, columns=["kind"], transform=sparse)
    X = np.random.default_rng(0).normal(size=(100, 2))
    packed = DoubleSamplingQuantizer(random_state=0).fit_transform(X)
    with pytest.raises(ValueError, match="Packed rows take no transform"):
        PackedMatrix.from_chunks(packed, transform=StandardScaler().fit(X))


def test_lazy_frame(table):
    """In batches, with names and target."""
    polars = pytest.importorskip("polars")
    numbers = table[["area", "price"]].astype(np.float32)
    lazy = polars.from_pandas(numbers).lazy()
    packed = PackedMatrix.from_chunks(lazy, target="price", random_state=0)
    expected = PackedMatrix.from_chunks(numbers, target="price", random_state=0)
    assert packed == expected
    assert packed.feature_names == expected.feature_names == ("area",)
    np.testing.assert_array_equal(packed.target, expected.target)


def test_progress_bar(table, capsys, monkeypatch):
    """Shown if it is asked for; an error without tqdm."""
    pytest.importorskip("tqdm")
    X = np.ones((40, 2))
    PackedMatrix.from_chunks(X, random_state=0, progress=True)
    assert "40/40" in capsys.readouterr().err.replace("40.0", "40")
    PackedMatrix.from_chunks(X, random_state=0)
    assert capsys.readouterr().err == ""
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with pytest.raises(ImportError, match="needs tqdm"):
        PackedMatrix.from_chunks(X, random_state=0, progress=True)
