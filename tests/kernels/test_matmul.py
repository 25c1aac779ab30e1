"""Products with many vectors at once: exact, the same with all kernels, threads and cuts into runs of tiles."""

import numpy as np
import pytest

from sklearn_zipml._kernels import matmul, products
from sklearn_zipml._kernels import tiles as bindings
from sklearn_zipml._kernels.dispatch import available_kernels, kernels
from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers import gram

SHAPES = [(1, 1), (3, 2), (15, 70), (17, 16), (33, 5), (63, 17), (64, 32), (65, 33), (97, 64), (300, 48), (1200, 31)]
WIDTHS = [1, 2, 4, 8]


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels(request.param):
        yield request.param


LEVELS, FEW_LEVELS = (0, 1, 77, 128, 254, 255), (0, 1, 8, 15)  # of few positions more products go at once


def random_tiles(n, d, width, seed=0, levels=LEVELS):
    """Tiles of random codes, also in rows and columns that are not there, with the extreme levels among the levels."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (-(-n // 64), bindings.tile_bytes(d, width)), dtype=np.uint8)
    size = (bindings.padded_columns(d) << width) if width < 8 else 0
    table = rng.choice(np.array(levels, dtype=np.uint8), size)
    return bindings.Tiles(codes, table, n, d, width)


def positions_of(tiles, first=0, last=None):
    """Grid positions by the other road, the decoder."""
    return tiles.positions(first, tiles.n_tiles if last is None else last).astype(np.int64)


def product(one, other):
    """one' @ other of integers, exact, by BLAS: in float64 as long as the sums are below 2^53."""
    assert len(one) * np.abs(one).max(initial=0).astype(float) * np.abs(other).max(initial=0) < 2**53
    return (one.T.astype(np.float64) @ other.astype(np.float64)).astype(np.int64)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("levels", [LEVELS, FEW_LEVELS])
def test_position_sums(force, n, d, width, levels):
    tiles = random_tiles(n, d, width, levels=levels)
    positions = positions_of(tiles)
    sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    assert sums.dtype == totals.dtype == np.int64
    np.testing.assert_array_equal(sums, product(positions, positions))
    np.testing.assert_array_equal(totals, positions.sum(axis=0))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (63, 17), (300, 48), (1200, 31), (640, 600)])
def test_weighted_position_sums(force, n, d, width):
    """Rows weighted by integers, the largest and zero among them; weights in padding count for nothing."""
    tiles = random_tiles(n, d, width)
    positions = positions_of(tiles)
    rng = np.random.default_rng(n)
    weights = rng.integers(0, matmul.MOST_WEIGHT + 1, 64 * tiles.n_tiles, dtype=np.int32)
    weights[::7], weights[1::5] = matmul.MOST_WEIGHT, 0
    own = weights[:n, None].astype(np.int64)
    for threads in (1, 3):
        sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, threads, weights)
        np.testing.assert_array_equal(sums, product(positions, own * positions))
        np.testing.assert_array_equal(totals, (own * positions).sum(axis=0))
    first = tiles.n_tiles // 2
    rows = slice(64 * first, None)
    sums = gram.position_sums(tiles, first, tiles.n_tiles, 1, weights)[0]
    np.testing.assert_array_equal(sums, product(positions[rows], own[rows] * positions[rows]))


@pytest.mark.parametrize("n_draws", [2, 3])
@pytest.mark.parametrize("bits", range(1, 9))
def test_position_sums_of_packed_rows(force, bits, n_draws):
    """All bits and several draws of a value."""
    if bits == 1 or n_draws >= 1 << bits:
        n_draws, sampling = 1, "compensated"
    else:
        sampling = "double"
    X = np.random.default_rng(bits).normal(size=(333, 21))
    scheme = Scheme.of(bits, sampling, "optimal", n_draws)
    tiles = pack(X, scheme, 0).tiles
    positions = positions_of(tiles)
    assert tiles.width == scheme.width
    np.testing.assert_array_equal(gram.position_sums(tiles, 0, tiles.n_tiles, 1)[0], product(positions, positions))


@pytest.mark.parametrize("block", [32, 64, 512])
@pytest.mark.parametrize("d", [70, 161])
def test_blocks_of_columns(force, d, block, monkeypatch):
    """Pairs of blocks, the last one narrower, in threads."""
    monkeypatch.setattr(gram, "BLOCK_COLUMNS", block)
    monkeypatch.setattr(gram, "LEAST_PRODUCTS", 1)
    tiles = random_tiles(900, d, 4)
    positions = positions_of(tiles)
    for threads in (1, 2, 5):
        sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, threads)
        np.testing.assert_array_equal(sums, product(positions, positions))
        np.testing.assert_array_equal(totals, positions.sum(axis=0))


def test_sums_of_runs_add_up(force):
    tiles = random_tiles(1000, 40, 2)
    whole = gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    for cut in (1, 3, 8, 16):
        parts = [gram.position_sums(tiles, *span, 1) for span in ((0, cut), (cut, tiles.n_tiles))]
        for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
            np.testing.assert_array_equal(sum(found), expected)


def test_sums_beyond_32_bits(force):
    """The largest that positions can add up to."""
    n, d = 64 * 1100, 16
    tiles = bindings.Tiles(np.full((n // 64, 64 * d), 255, dtype=np.uint8), np.zeros(0, dtype=np.uint8), n, d, 8)
    sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    assert n * 255**2 > 2**32
    assert (sums == n * 255**2).all() and (totals == n * 255).all()


@pytest.mark.parametrize("position", [15, 16])
def test_sums_of_the_largest_of_few_positions(force, position):
    """Where all are 15, which still count as few, and the first that are not."""
    n, d = 64 * 9, 48
    table = np.full(d << 4, position, dtype=np.uint8)
    tiles = bindings.Tiles(np.full((n // 64, bindings.tile_bytes(d, 4)), 255, dtype=np.uint8), table, n, d, 4)
    sums, totals = gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    assert (sums == n * position**2).all() and (totals == n * position).all()


def test_float_samples_are_refused():
    tiles = bindings.Tiles(np.zeros((1, 16 * 256), dtype=np.uint8), np.zeros(0, dtype=np.uint8), 64, 16, 32)
    with pytest.raises(ValueError, match="of 1 to 8 bits; these are of 32"):
        gram.position_sums(tiles, 0, 1, 1)


def integers(rng, shape, n_bytes):
    """Floats that are fixed-point numbers of so many bytes, the extremes among them."""
    most = 127 * 256 ** (n_bytes - 1)
    values = rng.integers(-most, most + 1, shape).astype(float)
    values.reshape(len(values), -1)[:, 0] = most
    values[-1] = np.where(values[-1] < 0, -most, most)
    return values


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 4])
@pytest.mark.parametrize("n_vectors", [1, 3, 4, 5, 18, 33])
@pytest.mark.parametrize("width", WIDTHS)
def test_products_of_integers_are_exact(force, width, n_vectors, n_bytes):
    rng = np.random.default_rng(n_vectors)
    for n, d in ((1, 1), (65, 33), (300, 70), (97, 600)):
        tiles = random_tiles(n, d, width)
        positions = positions_of(tiles)
        z, r = integers(rng, (n_vectors, d), n_bytes), integers(rng, (n_vectors, n), n_bytes)
        found = products.products_many(tiles, z, n_bytes=n_bytes)
        np.testing.assert_array_equal(found[:, :n], z.astype(np.int64) @ positions.T)
        sums, totals = products.gradients_many(tiles, r, n_bytes=n_bytes)
        np.testing.assert_array_equal(sums, r.astype(np.int64) @ positions)
        np.testing.assert_array_equal(totals, r.sum(axis=1))


@pytest.mark.parametrize("width", [2, 8, 32])
def test_accuracy_spans_and_threads(width, monkeypatch):
    """Close to float64 products; the same in any number of threads, and as parts of all rows."""
    monkeypatch.setattr(products, "THREAD_TILES", 2)
    monkeypatch.setattr(products, "VECTORS_AT_ONCE", 5)
    rng = np.random.default_rng(3)
    n, d, n_vectors = 1234, 37, 12
    if width == 32:
        rows = rng.normal(size=(n, d)).astype(np.float32)
        codes = np.zeros((20, 48, 64), dtype=np.float32)
        for t in range(20):
            codes[t, :d, : len(rows[64 * t : 64 * t + 64])] = rows[64 * t : 64 * t + 64].T
        tiles = bindings.Tiles(codes.view(np.uint8).reshape(20, -1), np.zeros(0, dtype=np.uint8), n, d, 32)
    else:
        tiles = random_tiles(n, d, width)
        rows = positions_of(tiles)
    z = rng.normal(size=(n_vectors, d)) * np.logspace(-9, 9, n_vectors)[:, None]
    r = rng.normal(size=(n_vectors, 64 * tiles.n_tiles)) * np.logspace(9, -9, n_vectors)[:, None]
    exact_products, exact_sums = z @ rows.T.astype(float), r[:, :n] @ rows
    for n_bytes, rtol in ((2, 2e-5), (4, 3e-10)):
        found = products.products_many(tiles, z, n_bytes=n_bytes)
        assert (np.abs(found[:, :n] - exact_products) <= rtol * d * 255 * np.abs(z).max(axis=1)[:, None]).all()
        sums, totals = products.gradients_many(tiles, r, n_bytes=n_bytes)
        top = np.abs(r).max(axis=1)
        assert (np.abs(sums - exact_sums) <= rtol * n * 255 * top[:, None]).all()
        assert (np.abs(totals - r[:, :n].sum(axis=1)) <= rtol * n * top).all()
        for threads in (2, 3):
            np.testing.assert_array_equal(found, products.products_many(tiles, z, n_bytes=n_bytes, threads=threads))
            again = products.gradients_many(tiles, r, n_bytes=n_bytes, threads=threads)
            if width < 32:
                np.testing.assert_array_equal(again[0], sums)
        part = products.products_many(tiles, z, 3, 20, n_bytes=n_bytes)
        np.testing.assert_allclose(part, found[:, 3 * 64 :], rtol=1e-12 if width == 32 else 0)
        parts = [products.gradients_many(tiles, r[:, 64 * a :], a, b, n_bytes=n_bytes)[0] for a, b in ((0, 7), (7, 20))]
        assert (np.abs(sum(parts) - sums) <= rtol * n * 255 * top[:, None]).all()


def test_vectors_without_a_scale(force):
    """Zeros, and what is too small to divide by, give zeros; what is not finite gives what is not a number."""
    tiles = random_tiles(100, 20, 4)
    z = np.ones((4, 20))
    z[0], z[1], z[2, 7] = 0, 1e-320, np.inf
    found = products.products_many(tiles, z)[:, :100]
    assert not found[:2].any() and np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3], positions_of(tiles).sum(axis=1))
    r = np.ones((3, 128))
    r[0], r[1, 3] = 0, np.nan
    sums, totals = products.gradients_many(tiles, r)
    assert not sums[0].any() and np.isnan(sums[1]).all() and np.isnan(totals[1])
    np.testing.assert_allclose(sums[2], positions_of(tiles).sum(axis=0))


def test_no_rows_columns_or_vectors(force):
    tiles = random_tiles(100, 20, 4)
    assert products.products_many(tiles, np.zeros((0, 20))).shape == (0, 128)
    assert products.products_many(tiles, np.ones((2, 20)), 2, 2).shape == (2, 0)
    assert products.gradients_many(tiles, np.zeros((0, 100)))[0].shape == (0, 20)
    assert not products.gradients_many(tiles, np.ones((2, 0)), 2, 2)[0].any()
    assert not gram.position_sums(tiles, 1, 1, 1)[0].any()
    empty = bindings.Tiles(np.zeros((2, 0), dtype=np.uint8), np.zeros(0, dtype=np.uint8), 100, 0, 4)
    assert not products.products_many(empty, np.zeros((2, 0))).any()
    assert products.gradients_many(empty, np.ones((2, 100)))[0].shape == (2, 0)
    assert gram.position_sums(empty, 0, 2, 1)[0].shape == (0, 0)


def test_wrong_vectors_are_refused():
    tiles = random_tiles(100, 20, 4)
    with pytest.raises(ValueError, match="vectors of 19 components do not fit 20 columns"):
        products.products_many(tiles, np.zeros((2, 19)))
    with pytest.raises(ValueError, match="weights of 99 rows do not fit the 100 rows of tiles 0 to 2"):
        products.gradients_many(tiles, np.zeros((2, 99)))
    with pytest.raises(ValueError, match="1 to 4 bytes, not 0"):
        products.gradients_many(tiles, np.zeros((2, 100)), n_bytes=0)
