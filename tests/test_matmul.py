"""Products with many vectors at once: exact, the same with all kernels, threads and cuts into runs of tiles."""

import numpy as np
import pytest

from sklearn_zipml import _gram, _kernels, _matmul
from sklearn_zipml._dispatch import available_kernels, kernels
from sklearn_zipml._encoder import pack
from sklearn_zipml._tiles import code_width

SHAPES = [(1, 1), (3, 2), (15, 70), (17, 16), (33, 5), (63, 17), (64, 32), (65, 33), (97, 64), (300, 48), (1200, 31)]
WIDTHS = [1, 2, 4, 8]


@pytest.fixture(params=available_kernels())
def force(request):
    """Runs with each of the kernels."""
    with kernels(request.param):
        yield request.param


def random_tiles(n, d, width, seed=0):
    """Tiles of random codes, also in rows and columns that are not there, with the extreme levels among the levels."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (-(-n // 64), _kernels.tile_bytes(d, width)), dtype=np.uint8)
    size = (_kernels.padded_columns(d) << width) if width < 8 else 0
    table = rng.choice(np.array([0, 1, 77, 128, 254, 255], dtype=np.uint8), size)
    return _kernels.Tiles(codes, table, n, d, width)


def positions_of(tiles, first=0, last=None):
    """Grid positions by the other road, the decoder."""
    return tiles.positions(first, tiles.n_tiles if last is None else last).astype(np.int64)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_position_sums(force, n, d, width):
    tiles = random_tiles(n, d, width)
    positions = positions_of(tiles)
    sums, totals = _gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    assert sums.dtype == totals.dtype == np.int64
    np.testing.assert_array_equal(sums, positions.T @ positions)
    np.testing.assert_array_equal(totals, positions.sum(axis=0))


@pytest.mark.parametrize("n_draws", [2, 3])
@pytest.mark.parametrize("bits", range(1, 9))
def test_position_sums_of_packed_rows(force, bits, n_draws):
    """All bits and several draws of a value."""
    if bits == 1 or n_draws >= 1 << bits:
        n_draws, sampling = 1, "compensated"
    else:
        sampling = "double"
    X = np.random.default_rng(bits).normal(size=(333, 21))
    tiles = pack(X, bits, sampling, "optimal", 0, n_draws=n_draws)._tiles
    positions = positions_of(tiles)
    assert tiles.width == code_width(bits)
    np.testing.assert_array_equal(_gram.position_sums(tiles, 0, tiles.n_tiles, 1)[0], positions.T @ positions)


@pytest.mark.parametrize("block", [32, 64, 512])
@pytest.mark.parametrize("d", [70, 161])
def test_blocks_of_columns(force, d, block, monkeypatch):
    """Pairs of blocks, the last one narrower, in threads."""
    monkeypatch.setattr(_gram, "BLOCK_COLUMNS", block)
    monkeypatch.setattr(_gram, "LEAST_PRODUCTS", 1)
    tiles = random_tiles(900, d, 4)
    positions = positions_of(tiles)
    for threads in (1, 2, 5):
        sums, totals = _gram.position_sums(tiles, 0, tiles.n_tiles, threads)
        np.testing.assert_array_equal(sums, positions.T @ positions)
        np.testing.assert_array_equal(totals, positions.sum(axis=0))


def test_sums_of_runs_add_up(force):
    tiles = random_tiles(1000, 40, 2)
    whole = _gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    for cut in (1, 3, 8, 16):
        parts = [_gram.position_sums(tiles, *span, 1) for span in ((0, cut), (cut, tiles.n_tiles))]
        for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
            np.testing.assert_array_equal(sum(found), expected)


def test_sums_beyond_32_bits(force):
    """The largest that positions can add up to."""
    n, d = 64 * 1100, 16
    tiles = _kernels.Tiles(np.full((n // 64, 64 * d), 255, dtype=np.uint8), np.zeros(0, dtype=np.uint8), n, d, 8)
    sums, totals = _gram.position_sums(tiles, 0, tiles.n_tiles, 1)
    assert n * 255**2 > 2**32
    assert (sums == n * 255**2).all() and (totals == n * 255).all()


def test_float_samples_are_refused():
    tiles = _kernels.Tiles(np.zeros((1, 16 * 256), dtype=np.uint8), np.zeros(0, dtype=np.uint8), 64, 16, 32)
    with pytest.raises(ValueError, match="of 1 to 8 bits; these are of 32"):
        _matmul.gram_block(tiles, 0, 1, (0, 16), (0, 16))
