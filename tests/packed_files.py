"""Packed matrices to be saved."""

import numpy as np
from packing import assert_same_parts

from sklearn_zipml import PackedMatrix
from sklearn_zipml._storage.packed_rows import rows_of


def data(n=1000, d=9, seed=0):
    """Rows and a target."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)).astype(np.float32)
    return X, X.sum(axis=1) + rng.standard_normal(n)


def packed(n=1000, bits=4, sampling="compensated", **settings):
    """A container with a target."""
    X, y = data(n)
    return PackedMatrix.from_chunks(X, y, sample_bits=bits, sampling=sampling, **{"random_state": 0} | settings)


def assert_identical(one, other):
    """All parts, target and names included."""
    assert one == other
    assert_same_parts(one, other)
    np.testing.assert_array_equal(one.target, other.target)
    assert one.feature_names == other.feature_names
    assert rows_of(one).order.parts == rows_of(other).order.parts
