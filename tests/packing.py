"""Rows packed by the encoder, as the container that users see."""

import numpy as np

from sklearn_zipml._packed_matrix import matrix_of
from sklearn_zipml._quantization import encoder
from sklearn_zipml._storage import packed_rows


def pack(X, scheme, seed, **settings):
    """A PackedMatrix of the rows of X."""
    return matrix_of(encoder.pack(X, scheme, seed, **settings))


def pack_on_grid(X, grid, seed, **settings):
    """The same on given levels."""
    return matrix_of(encoder.pack_on_grid(X, grid, seed, **settings))


def assert_same_parts(one, other):
    """Every stored number of two PackedMatrix is the same, not only the decoded values."""
    one, other = (packed_rows.rows_of(packed).parts() for packed in (one, other))
    for name in packed_rows.ARRAYS:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
