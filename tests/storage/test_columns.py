"""Columns taken out of containers and put side by side, and rows below one another: nothing is decoded on the way."""

import pickle

import numpy as np
import pytest
from packing import assert_same_parts, pack
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import Ridge
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils import _safe_indexing

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import dispatch
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of

KINDS = [("compensated", bits) for bits in range(1, 9)] + [("double", 2), ("dithered", 2), ("double", 8), ("naive", 4)]
D = 37  # of no whole tile


def make(bits=2, sampling="compensated", n=300, d=D, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, d))
    return pack(X, Scheme.of(bits, sampling, "optimal"), seed)


COLUMNS = {
    "some": [3, 35, 0, 17],
    "twice": [5, 5, 36],
    "backwards": slice(None, None, -1),
    "slice": slice(2, 33, 3),
    "mask": np.arange(D) % 3 == 1,
    "many": np.random.default_rng(0).integers(-D, D, 100),
    "numbers of bytes": np.array([7, 30], dtype=np.uint8),
}


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize(("sampling", "bits"), KINDS)
@pytest.mark.parametrize("name", COLUMNS)
def test_columns(kernels, sampling, bits, name):
    """Values and all that is known of columns, of rows taken before, too; zeros behind the last column."""
    packed, key = make(bits, sampling), COLUMNS[name]
    values, own = np.asarray(packed), np.arange(D)[key]
    with dispatch.kernels(kernels):
        for some, expected in ((packed[:, key], values), (packed[::2][:, key], values[::2])):
            assert isinstance(some, PackedMatrix) and some.shape == expected[:, own].shape
            np.testing.assert_array_equal(np.asarray(some), expected[:, own])
    taken = packed[:, key]
    np.testing.assert_array_equal(taken.rounding_variance, packed.rounding_variance[own])
    np.testing.assert_array_equal(rows_of(taken).mean, rows_of(packed).mean[own])
    assert_same_parts(pickle.loads(pickle.dumps(taken)), taken)
    codes = np.unpackbits(rows_of(taken).codes).sum()
    with dispatch.kernels("portable"):
        assert np.unpackbits(rows_of(packed[:, key]).codes).sum() == codes
    assert codes == np.unpackbits(rows_of(taken[:, np.arange(len(own))]).codes).sum()
    assert_same_parts(packed[:, own], taken)


def test_a_part_of_a_file(tmp_path):
    """Mapped columns become columns in memory, which are saved as any."""
    packed = PackedMatrix.from_chunks(np.random.default_rng(0).normal(size=(500, D)), np.arange(500.0), random_state=0)
    packed.save(tmp_path / "all.zq")
    mapped = PackedMatrix.load(tmp_path / "all.zq")
    part = mapped[:, 5:9]
    part.save(tmp_path / "part.zq")
    again = PackedMatrix.load(tmp_path / "part.zq")
    assert again == packed[:, 5:9] and rows_of(part).file is None
    np.testing.assert_array_equal(again.target, np.arange(500.0))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)), np.asarray(packed)[:, 5:9])


def test_names_and_targets():
    """Go with columns and rows."""
    packed = PackedMatrix.from_chunks(np.eye(6) + np.arange(6), np.arange(6.0), random_state=0)
    rows = rows_of(packed)
    assert packed[:, [1, 4]].feature_names is None
    from sklearn_zipml._packed_matrix import matrix_of

    named = matrix_of(rows.named("abcdef"))
    assert named[:, [4, 1]].feature_names == ("e", "b")
    assert PackedMatrix.hstack([named[:, 4:], named[:, :1]]).feature_names == ("e", "f", "a")
    assert PackedMatrix.hstack([named, packed]).feature_names is None
    np.testing.assert_array_equal(PackedMatrix.vstack([named[4:], named[:3]]).target, [4, 5, 0, 1, 2])
    np.testing.assert_array_equal(PackedMatrix.hstack([named.with_target(None), packed]).target, np.arange(6.0))
    assert PackedMatrix.vstack([named[4:], packed[:3]]).feature_names == tuple("abcdef")


@pytest.mark.parametrize("kernels", dispatch.available_kernels())
@pytest.mark.parametrize(("sampling", "bits"), [kind for kind in KINDS if kind[0] != "dithered"])
def test_hstack(kernels, sampling, bits):
    """Of parts in other orders inside, too; by the class and by NumPy. Dither is in test_dithered_rows.py."""
    packed, other = make(bits, sampling), make(bits, sampling, d=19, seed=1)
    with dispatch.kernels(kernels):
        both = PackedMatrix.hstack([packed, other[::-1]])
        np.testing.assert_array_equal(np.asarray(both), np.hstack([np.asarray(packed), np.asarray(other)[::-1]]))
        assert PackedMatrix.hstack([packed[:, :11], packed[:, 11:]]) == packed
    for join in (np.hstack, lambda parts: np.concatenate(parts, axis=1), lambda parts: np.concatenate(parts, -1)):
        again = join([packed, other[::-1]])
        assert isinstance(again, PackedMatrix)
        assert_same_parts(again, both)
    variances = np.r_[packed.rounding_variance, other.rounding_variance]
    np.testing.assert_allclose(both.rounding_variance, variances, rtol=2e-3)  # counted anew, of the taken rows


@pytest.mark.parametrize(("sampling", "bits"), KINDS)
def test_vstack(sampling, bits):
    """Rows of one quantizer in their order, shuffled inside."""
    X = np.random.default_rng(0).normal(size=(300, D))
    quantizer = DoubleSamplingQuantizer(bits, sampling=sampling, random_state=0).fit(X)
    whole, parts = quantizer.quantize(X), [quantizer.quantize(X[:77]), quantizer.quantize(X[77:])]
    both = np.vstack(parts)
    assert isinstance(both, PackedMatrix) and both == whole and np.concatenate(parts) == whole
    assert rows_of(both).order.rows().tolist() != list(range(300))
    np.testing.assert_allclose(rows_of(both).mean, rows_of(whole).mean, rtol=1e-5)
    np.testing.assert_allclose(rows_of(both).deviation, rows_of(whole).deviation, rtol=1e-4)
    np.testing.assert_allclose(both.rounding_variance, whole.rounding_variance, rtol=2e-3)
    assert PackedMatrix.vstack([whole[200:], whole[:200]])[np.r_[100:300, :100]] == whole


def test_numpy_on_packed_matrices():
    """What else NumPy does is done to decoded values."""
    packed = make()
    values = np.asarray(packed)
    np.testing.assert_array_equal(np.hstack([packed, values]), np.hstack([values, values]))
    np.testing.assert_array_equal(np.concatenate([packed, packed], axis=None), np.concatenate([values] * 2, axis=None))
    np.testing.assert_array_equal(
        np.vstack([packed, packed], dtype=np.float32), np.vstack([values] * 2, dtype=np.float32)
    )
    np.testing.assert_array_equal(np.mean(packed, axis=0), values.mean(axis=0))
    np.testing.assert_array_equal(np.stack([packed, packed]), np.stack([values, values]))
    assert np.shape(packed) == packed.shape and np.ndim(packed) == 2


def test_matrices_that_do_not_go_together():
    """Are named, and so is what to do."""
    packed = make()
    for join, parts, message in [
        (PackedMatrix.hstack, [packed, make(4)], "Matrix 0 has sample_bits=2 and matrix 1 has sample_bits=4: requant"),
        (PackedMatrix.hstack, [packed, packed, packed[1:]], "Matrix 0 has 300 rows and matrix 2 has 299"),
        (PackedMatrix.vstack, [packed, packed[:, 1:]], "Matrix 0 has 37 columns and matrix 1 has 36"),
        (PackedMatrix.vstack, [packed, make(seed=1)], "Matrix 1 has other levels .*quantize"),
        (PackedMatrix.vstack, [packed, make(2, "naive")], "sampling='compensated' and matrix 1 has sampling='naive'"),
        (PackedMatrix.vstack, [packed, packed.with_target(np.zeros(300))], "Matrix 0 brings no target"),
        (
            PackedMatrix.hstack,
            [packed.with_target(np.ones(300)), packed.with_target(np.zeros(300))],
            "Matrices 0 and 1 bring different targets",
        ),
        (PackedMatrix.hstack, [packed, np.zeros((300, 1))], "matrix 1 is of type ndarray: pack it"),
        (PackedMatrix.vstack, [], "needs at least one matrix"),
    ]:
        with pytest.raises(ValueError, match=message):
            join(parts)


def integers(n=400, d=12):
    """Rows that 2 bits hold without loss, and a target."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(n, d)).astype(float)
    return X, X @ rng.normal(size=d) + rng.normal(size=n)


def test_leave_columns_out():
    """Models of some columns are ridge regression's, group by group."""
    X, y = integers()
    packed, groups = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X), np.arange(12) // 4
    for group in range(3):
        model = ZipMLRegressor(2, alpha=0.1, tol=1e-10, random_state=0).fit(packed[:, groups != group], y)
        ridge = Ridge(alpha=0.1 * len(X)).fit(X[:, groups != group], y)
        np.testing.assert_allclose(model.coef_, ridge.coef_, rtol=1e-5)


def test_scikit_learn_stays_packed(monkeypatch):
    """Masks of selectors, ColumnTransformer and FeatureUnion: no values on the way."""
    X, y = integers()
    packed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X)
    mask = SelectKBest(f_regression, k=5).fit(X, y).get_support()
    monkeypatch.setattr(PackedMatrix, "__array__", lambda *_, **__: pytest.fail("decoded"))
    assert _safe_indexing(packed, mask, axis=1) == packed[:, np.flatnonzero(mask)]
    columns = ColumnTransformer([("some", "passthrough", mask), ("more", DoubleSamplingQuantizer(2), [0, 1])])
    out = columns.fit_transform(packed)
    assert isinstance(out, PackedMatrix) and out == packed[:, np.r_[np.flatnonzero(mask), 0, 1]]
    assert columns.transform(packed) == out
    union = FeatureUnion([("all", "passthrough"), ("some", ColumnTransformer([("few", "passthrough", [3])]))])
    assert union.fit_transform(packed) == packed[:, [*range(12), 3]]
    model = make_pipeline(columns, ZipMLRegressor(2, random_state=0)).fit(packed, y)
    assert model.predict(packed).shape == y.shape
