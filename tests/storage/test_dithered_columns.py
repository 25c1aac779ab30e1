"""Columns of 2 bits side by side: of the same seeds of rows, of others, and without dither."""

import pickle

import numpy as np
import pytest
from dithering import rows, scheme
from packing import assert_same_parts, pack

from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix, ZipMLRegressor
from sklearn_zipml._kernels import passes
from sklearn_zipml._kernels.dispatch import available_kernels
from sklearn_zipml._kernels.dispatch import kernels as kernels_named
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of
from sklearn_zipml._storage.statistics import weighted

PLAIN = Scheme.of(2, "compensated", "optimal", outliers="auto")


def parts(n=1000):
    """Rows with known dither that were packed apart, and some without."""
    return [pack(rows(n, 21), scheme(), 0), pack(rows(n, 7, seed=1), scheme(), 3), pack(rows(n, 5, seed=2), PLAIN, 1)]


def together(some):
    return np.hstack([np.asarray(part) for part in some])


@pytest.mark.parametrize("kernel", available_kernels())
@pytest.mark.parametrize("n", [1, 63, 64, 1000])
def test_joined_without_loss(kernel, n):
    """What they decode to, the variance of their errors, and 4 bits a value."""
    some = parts(n)
    with kernels_named(kernel):
        joined = np.hstack(some)
        np.testing.assert_array_equal(np.asarray(joined), together(some))
    # one row is constant, and has no dither
    assert (joined.sample_bits, joined.sampling) == (2, "joined" if n > 1 else "compensated")
    assert rows_of(joined).codes.nbytes == -(-n // 64) * 64 * 48 // (2 if n > 1 else 4)
    for name in ("rounding_variance",):
        expected = np.concatenate([getattr(part, name) for part in some])
        np.testing.assert_array_equal(getattr(joined, name), expected)
    own = rows_of(joined)
    assert (own.low == np.concatenate([rows_of(part).low for part in some])).all()
    assert (own.high == np.concatenate([rows_of(part).high for part in some])).all()


def test_joined_rows_and_statistics():
    """Rows and columns are taken as of any others, and what is told of their errors is what was."""
    some = parts()
    joined, values = np.hstack(some), together(some)
    chosen = np.random.default_rng(0).permutation(1000)[:600]
    np.testing.assert_array_equal(np.asarray(joined[chosen]), values[chosen])
    np.testing.assert_array_equal(np.asarray(joined[:, [30, 2, 22]]), values[:, [30, 2, 22]])
    weights = np.random.default_rng(1).random(1000)
    for own in (None, weights):
        told = weighted(rows_of(joined), None if own is None else own[rows_of(joined).order.rows()])
        for k in range(3):
            expected = np.concatenate(
                [weighted(p, None if own is None else own[p.order.rows()])[k] for p in map(rows_of, some)]
            )
            np.testing.assert_allclose(told[k], expected, rtol=0.02, atol=1e-3)
    tiles, z = rows_of(joined).tiles, np.random.default_rng(2).standard_normal(33)
    positions = (values - rows_of(joined).offset) / rows_of(joined).step
    products = np.empty(1000)
    products[rows_of(joined).order.rows()] = passes.products(tiles, z, 0, tiles.n_tiles)[:1000]
    np.testing.assert_allclose(products, positions @ z, atol=1e-6 * np.abs(positions).max())


def test_same_seeds_stay_two_bits():
    """Columns without dither take a place beside those that have it, in any order."""
    some = parts()
    packed, plain = some[0], some[2]
    for order in ([packed[:, :4], plain, packed[:, 4:]], [plain, packed]):
        joined = np.hstack(order)
        assert joined.sampling == "dithered"
        np.testing.assert_array_equal(np.asarray(joined), together(order))
        expected = np.concatenate([part.rounding_variance for part in order])
        np.testing.assert_array_equal(joined.rounding_variance, expected)
        assert_same_parts(PackedMatrix(**rows_of(joined).parts()), joined)
    assert np.hstack([plain, plain]).sampling == "compensated"
    shuffled = np.hstack([packed[::-1], plain])  # of other slots
    np.testing.assert_array_equal(np.asarray(shuffled), together([packed[::-1], plain]))
    with pytest.raises(ValueError, match="pack both with the same settings"):
        np.hstack([packed, pack(rows(1000, 3), Scheme.of(2, "compensated", "uniform"), 0)])


def test_joined_files_and_more(tmp_path):
    """Files, pickles, appended rows, rows below others, columns beside others, and one bit."""
    some, y = parts(), np.arange(1000.0)
    joined = np.hstack(some).with_target(y)
    joined.save(tmp_path / "some.zq")
    loaded = PackedMatrix.load(tmp_path / "some.zq", verify=True)
    assert loaded == joined and loaded.sampling == "joined"
    assert_same_parts(loaded, joined)
    assert_same_parts(pickle.loads(pickle.dumps(joined)), joined)
    X, more = together(some), np.hstack([rows(77, d, seed=k) for k, d in enumerate((21, 7, 5))])
    PackedMatrix.append(tmp_path / "some.zq", more, y[:77], random_state=1)
    longer = np.asarray(PackedMatrix.load(tmp_path / "some.zq"))
    np.testing.assert_array_equal(longer[:1000], X)
    error = longer[1000:] - more
    assert (np.abs(error) <= 260 * rows_of(joined).step).all()
    assert abs((error.sum(axis=0) / np.sqrt(77 * joined.rounding_variance + 1e-12)).max()) < 6
    np.testing.assert_array_equal(np.asarray(np.vstack([joined, joined[:99]])), np.vstack([X, X[:99]]))
    wider = np.hstack([joined, some[0]])
    np.testing.assert_array_equal(np.asarray(wider), np.hstack([X, np.asarray(some[0])]))
    made = [np.asarray(joined.requantize(1, random_state=k)) for k in range(200)]
    # of means of 200 draws each, errors are normal
    deviation = np.std(made, axis=0) / np.sqrt(200) + 1e-12
    assert np.mean(np.abs(np.mean(made, axis=0) - X) <= 3.3 * deviation + 1e-3 * np.ptp(X, axis=0)) > 0.998


@pytest.mark.parametrize("solver", ["gram", "saga"])
def test_joined_columns_train_as_they_are(solver):
    """An estimator of 2 bits takes them without another rounding, to the closed form of values less their errors."""
    n, d = 3000, 12
    X = np.random.default_rng(0).standard_normal((n, d))
    y = X @ np.arange(1.0, d + 1)
    some = [DoubleSamplingQuantizer(2, sampling="dithered", random_state=k).fit_transform(X[:, k::2]) for k in (0, 1)]
    joined = np.hstack(some)
    model = ZipMLRegressor(2, alpha=0, solver=solver, tol=1e-6, max_iter=500, random_state=0).fit(joined, y)
    values = np.asarray(joined)
    centred = values - values.mean(axis=0)
    noise = np.concatenate([part.rounding_variance for part in some])
    moments = centred.T @ centred / n - np.diag(noise)
    expected = np.linalg.solve(moments, centred.T @ (y - y.mean()) / n)
    np.testing.assert_allclose(model.coef_, expected, rtol=0.03)
    assert model.sample_nbytes_ == joined.nbytes


def test_damaged():
    """What no join makes is refused."""
    made = rows_of(np.hstack(parts())).parts()
    for change in ({"sample_bits": 3}, {"levels": "uniform"}, {"sampling": "dithered"}):
        with pytest.raises(ValueError, match="These are not the parts"):
            PackedMatrix(**made | change)


def test_narrowed_columns():
    """To 1 bit, which has no dither, whatever the wider codes had: they go beside such as were packed to it."""
    X = rows(300, 8)
    narrowed = DoubleSamplingQuantizer(2, random_state=0).fit_transform(X[:, :5]).requantize(1, random_state=0)
    packed = DoubleSamplingQuantizer(1, random_state=1).fit_transform(X[:, 5:])
    for parts in ([narrowed, packed], [packed, narrowed]):
        both = np.hstack(parts)
        assert isinstance(both, PackedMatrix)
        np.testing.assert_array_equal(np.asarray(both), np.hstack([np.asarray(part) for part in parts]))


@pytest.mark.parametrize("n", [1, 1000])
def test_three_bits(n):
    """Codes of 3 bits have their dither with them: they stand beside any of 3 bits, of the same rows or not."""
    plain = Scheme.of(3, "compensated", "optimal", outliers="auto")
    some = [
        pack(rows(n, 21), scheme(bits=3), 0),
        pack(rows(n, 7, seed=1), plain, 3),
        pack(rows(n, 5), scheme(bits=3), 1),
    ]
    joined = np.hstack(some)
    np.testing.assert_array_equal(np.asarray(joined), together(some))
    assert (joined.sample_bits, joined.sampling) == (3, "dithered" if n > 1 else "compensated")
    assert rows_of(joined).codes.nbytes == -(-n // 64) * 64 * 48 // 2
    expected = np.concatenate([part.rounding_variance for part in some])
    np.testing.assert_array_equal(joined.rounding_variance, expected)
    assert_same_parts(pickle.loads(pickle.dumps(joined)), joined)
    with pytest.raises(ValueError, match="sample_bits"):
        np.hstack([some[0], pack(rows(n, 7), scheme(), 0)])
