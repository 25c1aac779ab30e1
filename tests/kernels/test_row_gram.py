"""Products of rows with each other: exact, the same with all kernels and in blocks of any size."""

import numpy as np
import pytest
from test_matmul import FEW_LEVELS, LEVELS, random_tiles

from sklearn_zipml._kernels import row_products
from sklearn_zipml._kernels.dispatch import available_kernels, kernels

SHAPES = [(1, 1), (63, 17), (64, 32), (65, 33), (300, 48), (200, 1100)]


@pytest.mark.parametrize("name", available_kernels())
@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("levels", [LEVELS, FEW_LEVELS])
def test_products_of_rows_are_exact(name, width, n, d, levels):
    """To the bit, whatever stands in columns and rows that are not there."""
    tiles = random_tiles(n, d, width, levels=levels)
    positions = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    expected = np.tril(positions @ positions.T)
    for at_once in (1, 2, 8):
        found = np.full((n, n), np.nan)
        with kernels(name):
            blocks = [(first, min(tiles.n_tiles, first + at_once)) for first in range(0, tiles.n_tiles, at_once)]
            for k, rows in enumerate(blocks):
                for others in blocks[: k + 1]:
                    row_products.row_gram(tiles, rows, others, found)
        np.testing.assert_array_equal(np.tril(found), expected)
        assert np.isnan(found[np.triu_indices(n, 1)]).all()  # left as it was


def test_refuses_what_it_cannot_hold():
    tiles = random_tiles(70, 3, 2)
    with pytest.raises(ValueError, match="no room"):
        row_products.row_gram(tiles, (0, 1), (0, 1), np.zeros((69, 70)))
    with pytest.raises(ValueError, match="tiles that there are not"):
        row_products.row_gram(tiles, (1, 3), (0, 1), np.zeros((70, 70)))
