"""Dense second moments of packed columns against float64 ones."""

import numpy as np
import pytest

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers.gram import centred_moments


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 3), (700, 5), (9000, 20)])
@pytest.mark.parametrize("threads", [1, 3])
def test_centred_moments(bits, n, d, threads):
    """The same for any threads: of all tiles, and of some."""
    X = np.random.default_rng(0).exponential(size=(n, d))
    tiles = pack(X, Scheme.of(bits, "compensated", "optimal"), 0)._tiles
    positions = tiles.positions(0, tiles.n_tiles).astype(np.float64)
    centre = positions.mean(axis=0) + 0.25
    for last in {1, tiles.n_tiles}:
        rows = positions[: 64 * last] - centre
        found = centred_moments(tiles, last, centre, threads)
        np.testing.assert_allclose(found, rows.T @ rows / len(rows), rtol=1e-11, atol=1e-10)
        np.testing.assert_array_equal(found, centred_moments(tiles, last, centre, 1))


def test_constant_columns_have_none():
    """Exactly: what is left of them would be divided by."""
    X = np.random.default_rng(0).integers(0, 2, size=(5000, 3)).astype(float)
    X[:, 1] = 1
    packed = pack(X, Scheme.of(8, "compensated", "optimal"), 0)[X[:, 0] == 1]  # a column of its highest level
    positions = packed._positions(0, packed._tiles.n_tiles)
    assert (positions[:, :2] == positions[0, :2]).all() and positions[0, 0] > 0
    moments = centred_moments(packed._tiles, packed._tiles.n_tiles, positions.mean(axis=0), 1)
    assert not moments[:2].any() and moments[2, 2] > 0
