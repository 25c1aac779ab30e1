"""Linear predictions for arrays, block by block, and for packed rows without unpacking them."""

import numpy as np

from . import _loops
from ._blocks import sequential_blocks
from ._packed_matrix import PackedMatrix


def linear_predictions(X, coef, intercept):
    """X coef' + intercept.

    Parameters
    ----------
    X : array or PackedMatrix of shape (n_samples, n_features)
    coef : array of shape (n_outputs, n_features)
    intercept : array of shape (n_outputs,)

    Returns
    -------
    float64 array of shape (n_samples, n_outputs)
    """
    coef = np.asarray(coef, dtype=np.float64)
    if isinstance(X, PackedMatrix):
        return _packed_predictions(X, coef) + intercept
    out = np.empty((X.shape[0], len(coef)))
    start = 0
    for block in sequential_blocks(X, np.float64):
        out[start : start + len(block)] = block @ coef.T
        start += len(block)
    return out + intercept


def _packed_predictions(packed, coef):
    """Offsets and grid positions apart: sum_j offset_j x_j + sum_j g_ij step_j x_j."""
    z = coef * packed._step
    parts = [_loops.products(packed._tiles, row, 0, packed._tiles.n_tiles) for row in z]
    return packed._order.to_rows(np.array(parts)).T + packed._offset @ coef.T
