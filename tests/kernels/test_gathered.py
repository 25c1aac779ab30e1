"""Tiles of fields that are fetched row by row, and the order of rows, are the same with all kernels."""

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
