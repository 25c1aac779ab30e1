"""Dense second moments of packed columns against float64 ones."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._quantization.float_rows import FloatRows
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import gram
from sklearn_zipml._solvers.gram import second_moments
from sklearn_zipml._storage.take import take


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (700, 5), (9000, 20)])
@pytest.mark.parametrize("threads", [1, 3])
def test_second_moments(bits, n, d, threads):
    """The same for any threads: of all tiles, and of some."""
    X = np.random.default_rng(0).exponential(size=(n, d))
    tiles = pack(X, Scheme.of(bits, "compensated", "optimal"), 0).tiles
    positions = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    centre = positions.mean(axis=0) + 0.25
    for last in {1, tiles.n_tiles}:
        rows = positions[: 64 * last] - centre
        found = second_moments(tiles, last, centre, threads)
        np.testing.assert_allclose(found, rows.T @ rows / len(rows), rtol=1e-11, atol=1e-10)
        np.testing.assert_array_equal(found, second_moments(tiles, last, centre, 1))


def test_constant_columns_have_none():
    """Exactly: what is left of them would be divided by."""
    X = np.random.default_rng(0).integers(0, 2, size=(5000, 3)).astype(float)
    X[:, 1] = 1
    packed = pack(X, Scheme.of(8, "compensated", "optimal"), 0)
    packed = take(packed, np.flatnonzero(X[:, 0] == 1))  # a column of its highest level
    positions = packed.tiles.positions(0, packed.tiles.n_tiles)
    assert (positions[:, :2] == positions[0, :2]).all() and positions[0, 0] > 0
    moments = second_moments(packed.tiles, packed.tiles.n_tiles, positions.mean(axis=0), 1)
    assert not moments[:2].any() and moments[2, 2] > 0


@pytest.mark.parametrize("bits", [1, 4, 8, None])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (65, 3), (130, 333)])
def test_row_gram(bits, n, d, monkeypatch):
    monkeypatch.setattr(gram, "ROW_BLOCK_VALUES", 48 * n)
    rng = np.random.default_rng(1)
    X = rng.exponential(size=(n, d)) + rng.normal(size=d)
    if bits is None:
        tiles = FloatRows(X, 0).tiles
        values = tiles.floats.transpose(0, 2, 1).reshape(-1, tiles.padded)[:n, :d].astype(np.float64)
    else:
        tiles = pack(X, Scheme.of(bits, "compensated", "optimal"), 0).tiles
        values = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    centre, unit = rng.normal(size=d) + 100, rng.exponential(size=d)
    scaled = (values - centre) * unit
    expected = scaled @ scaled.T
    for threads in (1, 3):
        found = gram.row_gram(tiles, centre, unit, threads=threads)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_array_equal(found, found.T)
        single = gram.row_gram(tiles, centre, unit, np.float32, threads)
        size = np.sqrt(np.diag(expected))
        assert single.dtype == np.float64
        assert (np.abs(single - expected) <= 1e-6 * np.outer(size, size)).all()


@pytest.mark.parametrize("kind", ["uniform", "two classes", "zeros"])
def test_weighted_moments(kind):
    """To 1e-6 of the geometric mean of the diagonal, and exactly none in constant columns."""
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(3000, 9))
    X[:, 4] = rng.random(3000) < 0.01
    X[:, 5] = 3
    weights = {
        "uniform": rng.uniform(0.13, 1, 3000),
        "two classes": np.where(rng.random(3000) < 0.9, 1 / 1.8, 1 / 0.2 / 0.7),
        "zeros": rng.uniform(0.2, 1, 3000) * (rng.random(3000) < 0.5),
    }[kind]
    packed = pack(X, Scheme.of(4, "compensated", "optimal"), 0)
    tiles = packed.tiles
    slots = packed.order.to_slots(weights, 64 * tiles.n_tiles, np.float64)
    positions = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    w = slots[:3000, None]
    centre = (w * positions).sum(axis=0) / w.sum()
    whole = gram.integer_weights(slots, 3000)
    if kind == "two classes":
        assert whole is None  # 1 : 12.9
        return
    found = gram.second_moments(tiles, tiles.n_tiles, centre, 1, whole)
    rows = positions - centre
    expected = rows.T @ (w * rows) / w.sum()
    size = np.sqrt(np.diag(expected))
    assert (np.abs(found - expected) <= 1e-6 * np.outer(size, size)).all()
    assert not found[5].any() and found[4, 4] > 0


def test_weights_that_integers_do_not_hold():
    assert gram.integer_weights(np.array([1.0, 8.1]), 2) is None
    assert gram.integer_weights(np.array([1.0, 8.1]), 1) is not None
    assert gram.integer_weights(np.zeros(3), 3) is None
    np.testing.assert_array_equal(gram.integer_weights(np.array([0.5, 0, 1]), 3) > 0, [True, False, True])
