"""Tiles of codes that are fetched row by row, their ranges, and the order of rows, are the same with all kernels."""

import numpy as np
import pytest
import reference

from sklearn_zipml._kernels import gathered, integers, row_order
from sklearn_zipml._kernels import tiles as bindings
from sklearn_zipml._kernels.dispatch import available_kernels, kernels
from sklearn_zipml._storage.tiles import aligned_tiles, turn_rows


@pytest.mark.parametrize("name", available_kernels())
@pytest.mark.parametrize("high_first", [True, False])
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (63, 7), (64, 16), (65, 129), (129, 512), (200, 517), (70, 1043)])
def test_tiles_of_fields(name, high_first, width, n, d):
    """Those that packed rows become, whatever memory held before; of rows that are apart, and in tiles off a line."""
    rng = np.random.default_rng(n * d)
    source = rng.integers(0, 256, size=(n + 9, -(-d * width // 8) + 3), dtype=np.uint8)[:, 2:-1]
    rows = rng.permutation(len(source))[:n]
    expected = aligned_tiles(n, d, width)
    with kernels("portable"):
        integers.encode_fields(source[rows], d, width, high_first, expected, np.arange(n))
        turn_rows(expected, d, width, 1)
    for offset in (0, 1):
        memory = np.full(expected.size + 1 + bindings.LINE, 255, dtype=np.uint8)
        start = -memory.ctypes.data % bindings.LINE + offset
        tiles = memory[start : start + expected.size].reshape(expected.shape)
        with kernels(name):
            gathered.tiles_of_fields(source, rows, d, width, high_first, tiles)
        np.testing.assert_array_equal(tiles, expected)
        assert (memory[:start] == 255).all() and (memory[start + expected.size :] == 255).all()


@pytest.mark.parametrize("name", available_kernels())
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (63, 7), (64, 16), (65, 129), (129, 512), (200, 517), (70, 1043)])
def test_tiles_of_integers(name, dtype, width, n, d):
    """Those that packed rows become, with signs and without; integers outside of what there are codes for included."""
    rng = np.random.default_rng(n * d)
    source = rng.integers(0, np.iinfo(dtype).max + 1, size=(n + 9, d + 3), dtype=dtype)[:, 2:-1]
    rows = rng.permutation(len(source))[:n]
    for is_signed in (False, True):
        top = rng.integers(0, 1 << width, size=d).astype(dtype)
        low = rng.integers(0, np.iinfo(dtype).max + 1, size=d).astype(dtype) // 2
        columns = low, top, 1, is_signed
        expected = aligned_tiles(n, d, width)
        with kernels("portable"):
            integers.encode_integers(source[rows], columns, width, expected, np.arange(n))
            turn_rows(expected, d, width, 1)
        tiles = np.full_like(expected, 255)
        with kernels(name):
            gathered.tiles_of_integers(source, rows, columns, width, tiles)
        np.testing.assert_array_equal(tiles, expected)


@pytest.mark.parametrize("name", available_kernels())
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 33), (7, 100), (4, 31)])
def test_ranges_of_integers(name, dtype, n, d):
    """NumPy's, of rows that are apart; nothing is asked of none."""
    info, rng = np.iinfo(dtype), np.random.default_rng(n * d)
    X = rng.integers(info.min, info.max + 1, size=(2 * n, d + 2)).astype(dtype)[::2, 1:-1]
    unsigned, sign = np.dtype(dtype.lstrip("u").replace("int", "uint")), -info.min
    low, high = np.full(d, np.iinfo(unsigned).max, unsigned), np.zeros(d, unsigned)
    with kernels(name):
        integers.range_of_integers(X[:0].view(unsigned), sign, low, high)
        assert (low == np.iinfo(unsigned).max).all() and not high.any()
        integers.range_of_integers(X.view(unsigned), sign, low, high)
    np.testing.assert_array_equal(low.astype(int) - sign, X.min(axis=0))
    np.testing.assert_array_equal(high.astype(int) - sign, X.max(axis=0))
    with pytest.raises(ValueError, match="other columns"):
        integers.range_of_integers(X.view(unsigned), sign, low[1:], high)
    if d > 1:
        with pytest.raises(ValueError, match="not contiguous"):
            integers.range_of_integers(np.repeat(X, 2, axis=1)[:, ::2].view(unsigned), sign, low, high)


def test_rows_end_where_memory_does():
    """Not a byte behind the last row is asked for; a sanitizer would tell."""
    source = np.random.default_rng(0).integers(0, 256, size=(64, 13), dtype=np.uint8)
    for name in available_kernels():
        found = []
        for given in (source, np.pad(source, ((0, 8), (0, 80)), constant_values=255)[:64, :13]):
            tiles = aligned_tiles(64, 101, 1)
            with kernels(name):
                gathered.tiles_of_fields(given, np.arange(64), 101, 1, True, tiles)
            found.append(tiles)
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": np.array([0, 5])}, "rows"),
        ({"width": 8}, "no such fields"),
        ({"n_columns": 25}, "fewer fields"),
        ({"tiles": aligned_tiles(65, 24, 1)}, "no room"),
        ({"source": np.zeros((5, 6), dtype=np.uint8)[:, ::2]}, "not contiguous"),
    ],
)
def test_what_is_refused(arguments, message):
    given = {
        "source": np.zeros((5, 3), dtype=np.uint8),
        "rows": np.array([0, 4]),
        "n_columns": 24,
        "width": 1,
        "high_first": True,
        "tiles": aligned_tiles(2, 24, 1),
    }
    with pytest.raises((ValueError, IndexError), match=message):
        gathered.tiles_of_fields(*(given | arguments).values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": np.array([0, 5])}, "rows"),
        ({"width": 3}, "no such codes"),
        ({"columns": (np.zeros(5, dtype=np.uint8), np.ones(5, dtype=np.uint8), 1, False)}, "another number"),
        ({"tiles": aligned_tiles(65, 6, 2)}, "no room"),
        ({"source": np.zeros((5, 12), dtype=np.uint8)[:, ::2]}, "not contiguous"),
    ],
)
def test_integers_that_are_refused(arguments, message):
    given = {
        "source": np.zeros((5, 6), dtype=np.uint8),
        "rows": np.array([0, 4]),
        "columns": (np.zeros(6, dtype=np.uint8), np.ones(6, dtype=np.uint8), 1, False),
        "width": 2,
        "tiles": aligned_tiles(2, 6, 2),
    }
    with pytest.raises((ValueError, IndexError), match=message):
        gathered.tiles_of_integers(*(given | arguments).values())


@pytest.mark.parametrize("name", available_kernels())
@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 100, 1000, 65_537])
def test_order_of_rows(name, n):
    """The twin's, and its inverse, from any slot on."""
    expected = reference.row_order(n, 12345)
    with kernels(name):
        for first in {0, n // 3, n - 1}:
            rows = row_order.permutation(n, 12345, first, n - first)
            np.testing.assert_array_equal(rows, expected[first:])
            np.testing.assert_array_equal(row_order.inverse_permutation(n, 12345, rows), np.arange(first, n))
