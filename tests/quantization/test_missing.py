"""Missing values: means of their columns, on levels of their own, counted."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from packing import assert_same_parts
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._cli import main
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._storage.packed_rows import rows_of

N, D = 3000, 7


def data(kind="normal", share=0.05, seed=0):
    """Rows with holes, but for one column without and one that is constant; which values are missing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, D)) + 3 if kind == "normal" else rng.integers(0, 3, size=(N, D)) * 1.0
    X[:, 5] = 2.0
    absent = rng.uniform(size=X.shape) < share
    absent[:, 1] = False
    return np.where(absent, np.nan, X), absent


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize("sampling", ["compensated", "double", "nearest"])
@pytest.mark.parametrize("bits", [3, 4, 6, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_means(kernels, sampling, bits, dtype):
    """To half a step of 1/254 of the range, without noise of their own; counted for each column."""
    X, absent = data()
    X = X.astype(dtype)
    with dispatch.kernels(kernels):
        quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, missing="mean", random_state=0)
        packed = quantizer.fit_transform(X)
    values, means = np.asarray(packed), np.nanmean(X.astype(float), axis=0)
    reach = np.nanmax(X, axis=0).astype(float) - np.nanmin(X, axis=0)
    for j in range(D):
        own = np.unique(values[absent[:, j], j])
        assert len(own) == (j != 1) and (np.abs(own - means[j]) <= reach[j] / 254 + 1e-6).all()
    np.testing.assert_array_equal(packed.missing_count, absent.sum(axis=0))
    np.testing.assert_array_equal(packed[:, [0, 1]].missing_count, absent.sum(axis=0)[:2])
    assert packed[:10].missing_count is None
    if sampling == "compensated":
        error = np.where(absent, 0, values - X)
        np.testing.assert_allclose(packed.rounding_variance, (error**2).mean(axis=0), rtol=0.02, atol=1e-6)
    filled = quantizer.transform(X)
    np.testing.assert_allclose(filled[absent], np.broadcast_to(means, X.shape)[absent], atol=reach.max() / 254)
    np.testing.assert_array_equal(filled[~absent], X[~absent])


@pytest.mark.parametrize("sampling", ["compensated", "nearest"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_whole_numbers_stay_exact(sampling, bits):
    """Genotypes of 2 bits: three values and a missing one."""
    X, absent = data("whole")
    packed = DoubleSamplingQuantizer(bits, sampling=sampling, missing="mean", random_state=0).fit_transform(X)
    values = np.asarray(packed)
    np.testing.assert_allclose(values[~absent], X[~absent], atol=1e-12)
    expected = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
    np.testing.assert_allclose(values[absent], expected[absent], atol=2 / 254)
    assert packed.rounding_variance.max() < 1e-12


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_chunks(bits, tmp_path):
    """Are the whole to the bit, from sketches and quantizers too, in files too."""
    X, absent = data("whole")
    quantizer = DoubleSamplingQuantizer(bits, missing="mean", random_state=0)
    packed = quantizer.fit_transform(X)
    for source in (X, [X[:100], X[100:101], X[101:]]):
        again = PackedMatrix.from_chunks(source, sample_bits=bits, missing="mean", random_state=0)
        assert_same_parts(again, packed)
        np.testing.assert_array_equal(again.missing_count, absent.sum(axis=0))
    assert PackedMatrix.from_chunks(iter([X[:70], X[70:]]), quantizer=quantizer) == packed
    chunked = DoubleSamplingQuantizer(bits, missing="mean", random_state=0)
    for start in range(0, N, 500):
        chunked.partial_fit(X[start : start + 500])
    assert chunked.quantize(X) == packed
    packed.save(tmp_path / "holes.zq")
    again = PackedMatrix.load(tmp_path / "holes.zq")
    np.testing.assert_array_equal(again.missing_count, packed.missing_count)
    assert again == packed
    one = PackedMatrix.from_chunks(iter([X]), sample_bits=bits, missing="mean", random_state=0)
    np.testing.assert_array_equal(one.missing_count, absent.sum(axis=0))


def test_new_rows():
    """With holes where there were none: the mean, at random between its neighbours."""
    X, _ = data()
    quantizer = DoubleSamplingQuantizer(4, missing="mean", random_state=0).fit(X)
    new = np.random.default_rng(1).normal(size=(2000, D)) + 3
    new[:, 1] = np.nan
    packed = quantizer.quantize(new)
    np.testing.assert_array_equal(packed.missing_count, [0, 2000, 0, 0, 0, 0, 0])
    assert abs(np.asarray(packed)[:, 1].mean() - X[:, 1].mean()) < 0.05


def test_as_good_as_imputing():
    """R² is that of SimpleImputer and ridge regression in float64."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 20)) @ rng.normal(size=(20, 20))
    y = X @ rng.normal(size=20) + rng.normal(size=20_000)
    X[rng.uniform(size=X.shape) < 0.05] = np.nan
    train, test = slice(0, 15_000), slice(15_000, None)
    quantizer = DoubleSamplingQuantizer(4, missing="mean", random_state=0)
    model = make_pipeline(quantizer, ZipMLRegressor(alpha=1e-3, random_state=0)).fit(X[train], y[train])
    ridge = make_pipeline(SimpleImputer(), Ridge(alpha=15)).fit(X[train], y[train])
    assert abs(model.score(X[test], y[test]) - ridge.score(X[test], y[test])) < 0.003


def test_what_is_refused():
    """NaN unless asked for, infinity, columns of nothing, and too few levels."""
    X, _ = data()
    with pytest.raises(ValueError, match="NaN"):
        DoubleSamplingQuantizer().fit(X)
    with pytest.raises(ValueError, match="NaN"):
        PackedMatrix.from_chunks(X)
    quantizer = DoubleSamplingQuantizer(missing="mean", random_state=0).fit(X)
    for bad in (np.where(np.arange(D) == 2, np.inf, X), np.where(np.arange(D) == 2, -np.inf, X)):
        for call in (quantizer.fit, quantizer.quantize, quantizer.transform):
            with pytest.raises(ValueError, match="infinity"):
                call(bad)
    empty = np.where(np.arange(D) == 3, np.nan, X)
    for call in (
        DoubleSamplingQuantizer(missing="mean").fit,
        lambda X: PackedMatrix.from_chunks(X, missing="mean"),
    ):
        with pytest.raises(ValueError, match="Column 3 of X has no values"):
            call(empty)
    with pytest.raises(ValueError, match="missing='mean' needs 3 levels, and sample_bits=1"):
        DoubleSamplingQuantizer(1, missing="mean").fit(X)
    with pytest.raises(ValueError, match="'missing' parameter"):
        PackedMatrix.from_chunks(X, missing="median")
    packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(np.nan_to_num(X))
    assert packed.missing_count is None and rows_of(packed).missing_count is None


def tables(X, folder):
    """Rows with holes as tables that have nulls, or NA, in columns of integers, booleans and floats."""
    absent = np.isnan(X)
    frame = pd.DataFrame(
        {
            "whole": pd.array(np.where(absent[:, 0], 0, X[:, 0]).astype(int), dtype="Int8"),
            "flag": pd.array(X[:, 2] > 0, dtype="boolean"),
            "wide": pd.array(np.where(absent[:, 3], 0, X[:, 3]).astype(int), dtype="Int64"),
            "real": pd.array(X[:, 4], dtype="Float64"),
        }
    )
    for name, column in zip(frame, (0, 2, 3, 4), strict=True):
        frame.loc[absent[:, column], name] = pd.NA
    frame.to_parquet(folder / "rows.parquet")
    numbers = frame.astype("Float64")
    return {
        "pandas": frame,
        "numbers": numbers,
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "parquet": folder / "rows.parquet",
        "chunks": [frame[:1000], frame[1000:]],
    }


@pytest.mark.parametrize("kind", ["pandas", "numbers", "polars", "arrow", "parquet", "chunks"])
def test_nulls_of_tables(kind, tmp_path):
    """They are NaN where that may be; a quantizer takes them likewise, and so do its levels."""
    X, absent = data("whole")
    source = tables(X, tmp_path)[kind]
    expected = np.where(absent, np.nan, X)[:, [0, 2, 3, 4]]
    expected[:, 1] = np.where(absent[:, 2], np.nan, X[:, 2] > 0)
    packed = PackedMatrix.from_chunks(source, sample_bits=4, missing="mean", random_state=0)
    gone = np.isnan(expected)
    np.testing.assert_array_equal(packed.missing_count, gone.sum(axis=0))
    np.testing.assert_array_equal(np.asarray(packed)[~gone], expected[~gone])
    np.testing.assert_allclose(np.asarray(packed).mean(axis=0), np.nanmean(expected, axis=0), atol=0.001)
    assert packed.feature_names == ("whole", "flag", "wide", "real")
    quantizer = DoubleSamplingQuantizer(4, missing="mean", random_state=0).fit(
        pd.DataFrame(expected, columns=[*"abcd"])
    )
    if kind in ("pandas", "polars"):
        again = DoubleSamplingQuantizer(4, missing="mean", random_state=0).fit_transform(source)
        np.testing.assert_array_equal(again.missing_count, gone.sum(axis=0))
        np.testing.assert_array_equal(np.asarray(again)[~gone], expected[~gone])
    quantizer.feature_names_in_ = np.array(packed.feature_names, dtype=object)
    on_levels = PackedMatrix.from_chunks(source, quantizer=quantizer)
    np.testing.assert_array_equal(np.asarray(on_levels)[~gone], expected[~gone])
    with pytest.raises(ValueError, match=r"null|NaN|missing values"):
        PackedMatrix.from_chunks(source, sample_bits=4)


def test_text_is_no_missing_value(tmp_path):
    """A column of labels stays refused."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", None, "y"]})
    with pytest.raises(ValueError, match="Column 'b'"):
        PackedMatrix.from_chunks(frame, missing="mean", sample_bits=4)


def test_on_the_command_line(tmp_path, capsys):
    """--missing mean, and what info tells of it; an append takes none."""
    X, absent = data("whole")
    pd.DataFrame(X, columns=list("abcdefg")).to_csv(tmp_path / "rows.csv", index=False)
    pack = ["pack", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.zml"), "--bits", "2", "--json"]
    assert main(pack) == 1
    assert "null" in capsys.readouterr().err
    assert main([*pack, "--missing", "mean", "--seed", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == absent.sum()
    np.testing.assert_array_equal(PackedMatrix.load(tmp_path / "out.zml").missing_count, absent.sum(axis=0))
    assert main([*pack[:4], "--append", "--missing", "mean"]) == 1
    assert "--missing mean does not go with --append" in capsys.readouterr().err
