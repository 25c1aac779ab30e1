"""Rows that are packed with known dither, and what they are packed as."""

import numpy as np

from sklearn_zipml._quantization.levels import find_grid
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of

ERROR_RATE = 1e-6  # of a statistical test


def scheme(outliers="auto", bits=2):
    return Scheme.of(bits, "dithered", "optimal", outliers=outliers)


def rows(n=1000, d=20, seed=0, dtype=np.float64):
    """Columns with and without outliers, some that are stored exactly, one constant."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, 1::5] = rng.lognormal(size=X[:, 1::5].shape)
    X[:, 2::5] = rng.random(X[:, 2::5].shape) < 0.2
    X[:, 3::5] = rng.integers(0, 20, X[:, 3::5].shape)
    X[:, 4::5] = 3.5
    return X.astype(dtype)


def grid_of(X, outliers="auto", bits=2):
    return find_grid(X, scheme(outliers, bits), np.arange(len(X)))


def positions(packed):
    """Grid positions in the order of rows, int64."""
    own = rows_of(packed)
    out = np.empty(packed.shape, dtype=np.int64)
    out[own.order.rows()] = own.tiles.positions(0, own.tiles.n_tiles)
    return out
