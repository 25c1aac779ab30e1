"""Targets with holes on a cluster: the bits of the local fit of chunks, from any partitions."""

import numpy as np
import pytest
from collections_of_rows import array_in, pieces, rows
from dask import array as da
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge

from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
from sklearn_zipml.dask import DaskPackedMatrix, DaskZipMLLSSVC, DaskZipMLRegressor


def with_holes():
    """Rows, five targets of four patterns of holes, some rows without any, and weights, some of them zero."""
    X, y, weights = rows()
    rng = np.random.default_rng(1)
    Y = np.c_[y, y[:, ::-1] + 1, y[:, :1] ** 2]
    Y[rng.uniform(size=len(Y)) < 0.3, :2] = np.nan
    Y[rng.uniform(size=len(Y)) < 0.6, 2] = np.nan
    Y[1000:1700, 3] = np.nan
    Y[1200:1400] = np.nan
    return X, Y, weights


def model(**settings):
    return DaskZipMLRegressor(random_state=0, missing_target="drop", **settings)


def local(**settings):
    return ZipMLRegressor(random_state=0, missing_target="drop", **settings)


def assert_same(one, other):
    assert_array_equal(one.coef_, other.coef_)
    assert_array_equal(one.intercept_, other.intercept_)


@pytest.mark.parametrize(
    ("parts", "is_weighted", "settings"),
    [(1, True, {}), (2, False, {"sample_bits": 2}), (7, True, {"fit_intercept": False}), (5, False, {})],
)
def test_any_partitions_are_the_local_fit(client, parts, is_weighted, settings):
    """To the bit, in the order of a target too, which puts the rows without it into partitions of their own."""
    X, Y, weights = with_holes()
    order = np.argsort(Y[:, 2], kind="stable")
    X, Y, weights = X[order], Y[order], weights[order] if is_weighted else None
    expected = local(**settings).partial_fit(X, Y, weights)
    dX, dY, *dw = array_in(parts, X, Y, *([weights] if is_weighted else []))
    found = model(**settings).fit(dX, dY, sample_weight=dw[0] if is_weighted else None)
    assert_same(found, expected)
    assert found.solver_ == "gram" and found.bytes_sent_ > 0
    assert_allclose(found.score(dX, dY), expected.score(X, Y), rtol=1e-12)
    assert_allclose(found.to_local().to_sklearn().alpha, expected.to_sklearn().alpha)


def test_each_output_is_fitted_to_its_own_rows(client):
    """Against Ridge in float64 on the decoded rows that are kept, of integers that 2 bits hold; also of one target."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(900, 6)).astype(float)
    Y = X @ rng.normal(size=(6, 3)) + rng.normal(size=(900, 3))
    Y[rng.uniform(size=Y.shape) < [0.0, 0.3, 0.9]] = np.nan
    found = model(sample_bits=2, alpha=0.1).fit(*array_in(4, X, Y))
    one = model(sample_bits=2, alpha=0.1).fit(*array_in(3, X, Y[:, 2]))
    for j in range(3):
        known = ~np.isnan(Y[:, j])
        ridge = Ridge(0.1 * known.sum()).fit(X[known], Y[known, j])
        assert_allclose(found.coef_[j], ridge.coef_, rtol=1e-9)
        assert_allclose(found.intercept_[j], ridge.intercept_, rtol=1e-9)
    assert_allclose(one.coef_, ridge.coef_, rtol=1e-9)
    assert_allclose(one.to_local().to_sklearn().alpha, 0.1 * known.sum())


def test_packed_shards(client, tmp_path):
    """Holes stay with shards, and with their files; rows without any target are packed and left out of the fit."""
    X, Y, weights = with_holes()
    quantizer = DoubleSamplingQuantizer(4, random_state=1).fit(X)
    packed = DaskPackedMatrix.pack(*array_in(3, X, Y, weights), quantizer=quantizer)
    kept = weights > 0
    expected = local().partial_fit(quantizer.quantize(X[kept]), Y[kept], weights[kept])
    found = model().fit(packed)
    assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    packed.save(tmp_path)
    again = DaskPackedMatrix.load(tmp_path)
    assert_same(model().fit(again), found)
    with pytest.raises(ValueError, match="Set missing_target='drop' of DaskZipMLRegressor"):
        DaskZipMLRegressor().fit(packed)
    labels = DaskPackedMatrix.pack(*array_in(3, X, np.where(np.arange(len(X)) % 7, np.sign(Y[:, 4]), np.nan)))
    with pytest.raises(ValueError, match="Input y contains NaN: leave out rows whose label is missing"):
        DaskZipMLLSSVC().fit(labels)
    for one in (packed, again, labels):
        one.release()


def test_a_full_target_is_as_ever(client):
    """To the bit, in rounds too, where nothing is missing but rows that have no target at all."""
    X, Y, _ = with_holes()
    Y = np.nan_to_num(Y)
    dX, dY = array_in(3, X, Y)
    assert_same(model().fit(dX, dY), DaskZipMLRegressor(random_state=0).fit(dX, dY))
    holes = Y.copy()
    holes[::3] = np.nan
    one = model(solver="rounds").fit(pieces(X, (3000,)), pieces(holes, (3000,)))
    kept = np.arange(len(X)) % 3 > 0
    other = DaskZipMLRegressor(random_state=0, solver="rounds")
    assert_same(one, other.fit(pieces(X[kept], (2000,)), pieces(Y[kept], (2000,))))


def test_errors(client):
    """Holes that were not asked for, outputs of which nothing is known, rounds, no target at all."""
    X, Y, weights = with_holes()
    dX, dY, dw = array_in(3, X, Y, weights)
    with pytest.raises(ValueError, match=r"Input y contains NaN: values of it are missing. Set missing_target='drop'"):
        DaskZipMLRegressor().fit(dX, dY)
    with pytest.raises(ValueError, match=r"missing_target='drop': targets that are known of different rows"):
        model(solver="rounds").fit(dX, dY)
    with pytest.raises(ValueError, match="Output 3 of y has no value that is known: leave it out"):
        model().fit(dX, da.where(da.arange(5, chunks=5) == 3, np.nan, dY))
    with pytest.raises(ValueError, match="y has no value that is known in rows of positive weight"):
        model().fit(dX, da.full_like(dY, np.nan))
    with pytest.raises(ValueError, match="y has no value that is known in rows of positive weight"):
        model().fit(dX, da.where(dw[:, None] > 0, np.nan, dY), sample_weight=dw)
    with pytest.raises(ValueError, match="'missing_target' parameter of DaskZipMLRegressor"):
        model(solver="gram").set_params(missing_target="mean").fit(dX, dY)
