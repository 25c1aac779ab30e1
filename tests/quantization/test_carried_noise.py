"""A PackedMatrix as a source: its rounding errors, its target and its names are not forgotten."""

import numpy as np
import pytest

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import code_noise, weighted

FIRST = [(1, "compensated"), (2, "compensated"), (3, "double"), (6, "double"), (8, "compensated")]


def data(n=20_000, d=14, seed=0):
    """Rows, one column with heavy tails, one of two values and one constant, and their sum."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, 1], X[:, 2], X[:, 3] = X[:, 1] ** 3, X[:, 2] > 0, 7
    return X, X.sum(axis=1) + 0.1 * rng.standard_normal(n)


def pack(X, y=None, bits=4, sampling="compensated", seed=0, **settings):
    """Packed rows."""
    settings = {"outliers": "none"} | settings
    return PackedMatrix.from_chunks(X, y, sample_bits=bits, sampling=sampling, random_state=seed, **settings)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("then", [(1, "compensated"), (2, "double"), (4, "compensated"), (8, "compensated")])
def test_errors_add_up(first, then):
    """The rounding variance is the mean squared distance from what was packed first, by column and by code."""
    X, _ = data()
    packed = pack(X, bits=first[0], sampling=first[1])
    again = pack(packed, bits=then[0], sampling=then[1], seed=1)
    error = (np.asarray(again) - X) ** 2
    np.testing.assert_allclose(again.rounding_variance, error.mean(axis=0), rtol=0.03, atol=1e-9)
    np.testing.assert_allclose(weighted(rows_of(again))[2], rows_of(again).rounding_variance, rtol=1e-3, atol=1e-6)
    if rows_of(again).scheme.width < 8:  # column 1 has tails, where errors are others than in the middle
        codes = np.asarray(again)[:, 1]
        table = rows_of(again).offset[1] + rows_of(again).step[1] * rows_of(again).table[1].astype(float)
        for value in np.unique(codes):
            own = codes == value
            if own.sum() > 1000:
                expected = code_noise(rows_of(again))[1][np.isclose(table, value)][0] * rows_of(again).step[1] ** 2
                assert error[own, 1].mean() == pytest.approx(expected, rel=0.35)


def test_the_same_for_any_chunks():
    """Of a matrix, of its parts, of a generator; in any order of reading."""
    X, y = data(3000)
    packed = pack(X, y, 2)
    whole = pack(packed, bits=3, seed=1)
    for source in ([packed[:7], packed[7:2000], packed[2000:]], lambda: iter([packed[:64], packed[64:]])):
        parts = pack(source, bits=3, seed=1)
        assert parts == whole
        np.testing.assert_array_equal(parts.target, y)
        np.testing.assert_allclose(rows_of(parts).rounding_variance, rows_of(whole).rounding_variance, rtol=1e-5)
        np.testing.assert_allclose(rows_of(parts).noise, rows_of(whole).noise, rtol=2e-3)


@pytest.mark.parametrize("first", [2, 4])
@pytest.mark.parametrize("then", [2, 8])
def test_coefficients_are_unbiased(first, then):
    """Before, they shrank as if the first errors had been signal."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 6))
    again = pack(pack(X, X.sum(axis=1), first), bits=then, seed=1)
    coef = ZipMLRegressor(then, alpha=0, tol=1e-6, random_state=0).fit(again).coef_
    assert coef.mean() == pytest.approx(1, abs=0.05)


def test_few_distinct_codes():
    """Rows whose codes are equal are no equal rows: they get draws of their own."""
    X = np.random.default_rng(0).uniform(size=(40_000, 2))
    again = pack(pack(X, X.sum(axis=1), 2), bits=1, seed=1)
    assert rows_of(again).collision_probability[0] == 0
    error = (np.asarray(again) - X) ** 2
    np.testing.assert_allclose(again.rounding_variance, error.mean(axis=0), rtol=0.02)
    coef = ZipMLRegressor(1, alpha=0, tol=1e-6, random_state=0).fit(again).coef_
    np.testing.assert_allclose(coef, 1, atol=0.1)


def test_appended_rows(tmp_path):
    """Files are joined by appending one to the other."""
    X, y = data()
    path = tmp_path / "data.zq"
    two = pack(X, y, 2)
    two[:10_000].save(path)
    joined = PackedMatrix.append(path, two[10_000:], random_state=1)
    assert joined.shape == X.shape
    np.testing.assert_array_equal(np.asarray(joined), np.asarray(two))
    np.testing.assert_array_equal(joined.target, y)
    np.testing.assert_allclose(joined.rounding_variance, two.rounding_variance, rtol=0.01, atol=1e-12)
    np.testing.assert_allclose(rows_of(joined).noise, rows_of(two).noise, rtol=0.1, atol=0.5)


def test_on_the_levels_of_a_quantizer():
    """However much narrower they are than the rows."""
    X, y = data(5000)
    quantizer = DoubleSamplingQuantizer(3, random_state=0).fit(X)
    again = PackedMatrix.from_chunks(pack(X, y, 2), quantizer=quantizer)
    error = (np.asarray(again) - X) ** 2
    np.testing.assert_allclose(again.rounding_variance, error.mean(axis=0), rtol=0.05, atol=1e-9)
    quantizer = DoubleSamplingQuantizer(3, random_state=0).fit(X * 1e-30)
    with pytest.warns(UserWarning, match="outside the range"):
        narrow = PackedMatrix.from_chunks(pack(X, y, 2), quantizer=quantizer)
    assert np.isfinite(rows_of(narrow).noise).all() and np.isfinite(rows_of(narrow).rounding_variance).all()


@pytest.mark.parametrize("sampling", ["naive", "nearest"])
def test_what_is_not_compensated(sampling):
    """Has no errors to carry, and carries none."""
    X, _ = data(1000)
    assert not rows_of(pack(pack(X, bits=2), bits=3, sampling=sampling, seed=1)).rounding_variance.any()
    packed = pack(X, bits=2, sampling=sampling, seed=2)  # other draws than those above, which were compensated
    of_exact, of_packed = pack(np.asarray(packed), bits=1, seed=1), pack(packed, bits=1, seed=1)
    np.testing.assert_allclose(rows_of(of_packed).rounding_variance, rows_of(of_exact).rounding_variance, rtol=0.15)


def test_target_and_names():
    """Come along, unless others are asked for; columns go by name or number."""
    X, y = data(500)
    packed = PackedMatrix(**rows_of(pack(X, y, 8)).parts() | {"feature_names": list("abcdefghijklmn")})
    again = pack(packed)
    np.testing.assert_array_equal(again.target, y)
    assert again.feature_names == tuple("abcdefghijklmn")
    np.testing.assert_array_equal(pack(packed, -y).target, -y)
    np.testing.assert_array_equal(pack([(packed, -y)]).target, -y)
    for target, columns in (("b", ["d", "a"]), (1, [3, 0])):
        some = pack(packed, target=target, columns=columns)
        assert some.feature_names == ("d", "a")
        np.testing.assert_allclose(some.target, np.asarray(packed)[:, 1])
        np.testing.assert_allclose(rows_of(some).rounding_variance[0], 0, atol=1e-12)
    assert pack(packed, target=["a", "b"]).target.shape == (500, 2)
    labels = packed.with_target(np.where(y > 0, "up", "down"))
    np.testing.assert_array_equal(pack(labels).target, labels.target)
    with pytest.raises(ValueError, match="no column 'z'"):
        pack(packed, columns=["z"])


def test_shared_errors_are_counted():
    """Errors that two rows shared before, they share; a part of the sum."""
    X, _ = data(4000)
    repeated = pack(np.repeat(X[:400], 10, axis=0), bits=2)
    assert rows_of(repeated).collision_probability[0] == pytest.approx(9 / 3999, rel=0.2)
    assert rows_of(pack(repeated, bits=8, seed=1)).collision_probability[0] == pytest.approx(
        rows_of(repeated).collision_probability[0], rel=0.2
    )
    coarse = pack(repeated, bits=1, seed=1)
    noisy = rows_of(coarse).rounding_variance > 0
    share = (repeated.rounding_variance[noisy] / coarse.rounding_variance[noisy]) ** 2
    assert rows_of(coarse).collision_probability[0] == pytest.approx(
        rows_of(repeated).collision_probability[0] * share.mean(), rel=0.2
    )


def test_a_grid_without_steps():
    """Rows that all stand on one level leave a constant column, without errors to count."""
    X = np.array([[0.0], [1.0]] * 50)
    packed = pack(np.r_[X, [[0.4]] * 3], bits=1)
    constant = packed[np.flatnonzero(np.asarray(packed)[:, 0] == 0)]
    again = pack(constant)
    assert rows_of(again).used[0] == 1 and rows_of(again).rounding_variance[0] == 0
