"""Rows with outliers, and what they are packed as."""

import numpy as np
from packing import pack

from sklearn_zipml._scheme import Scheme
from sklearn_zipml._storage.packed_rows import rows_of

SHAPES = [(700, 5), (3000, 40), (1000, 530)]


def rows(n=3000, d=40, seed=0, dtype=np.float64):
    """Columns of many kinds, some with outliers."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, 1::5] = rng.lognormal(size=X[:, 1::5].shape)
    X[:, 2::5] = rng.standard_cauchy(size=X[:, 2::5].shape) * 1e3 + 1e4
    X[:, 3::5] = X[:, 3::5] > 0
    X[:, 4::5] = rng.uniform(size=X[:, 4::5].shape)
    return X.astype(dtype)


def scheme(bits=2):
    return Scheme.of(bits, "compensated", "optimal", outliers="auto")


def packed_rows(n=3000, d=40, bits=2, seed=0):
    """PackedRows that have outliers."""
    packed = rows_of(pack(rows(n, d, seed), scheme(bits), seed))
    assert len(packed.samples.outliers)
    return packed


def beyond(X, own):
    """Which values lie beyond the levels of PackedRows or a Grid, by more than the rounding of the ends."""
    slack = 1e-6 * own.step
    return (X < own.offset - slack) | (X > own.offset + own.step * own.top + slack)


def values_of(packed):
    """Float64 grid positions in slot order, outliers among them."""
    return packed.tiles.positions(0, packed.tiles.n_tiles).astype(np.float64)
