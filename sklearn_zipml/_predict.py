"""Linear predictions for arrays, block by block, and for packed rows without unpacking them."""

import numpy as np

from . import _loops
from ._blocks import sequential_blocks
from ._packed_matrix import PackedMatrix
from ._threads import in_threads

# Tiles that a thread takes at a time, for the least.
SPAN_TILES = 1024


def linear_predictions(X, coef, intercept, n_jobs=None):
    """X coef' + intercept.

    Parameters
    ----------
    X : array or PackedMatrix of shape (n_samples, n_features)
    coef : array of shape (n_outputs, n_features)
    intercept : array of shape (n_outputs,)
    n_jobs : int or None, threads for packed rows; for arrays the threads of BLAS decide

    Returns
    -------
    float64 array of shape (n_samples, n_outputs)
    """
    coef = np.asarray(coef, dtype=np.float64)
    if isinstance(X, PackedMatrix):
        return _packed_predictions(X, coef, n_jobs) + intercept
    out = np.empty((X.shape[0], len(coef)))
    start = 0
    for block in sequential_blocks(X, np.float64):
        out[start : start + len(block)] = block @ coef.T
        start += len(block)
    return out + intercept


def _packed_predictions(packed, coef, n_jobs):
    """Offsets and grid positions apart: sum_j offset_j x_j + sum_j g_ij step_j x_j."""
    z, tiles = coef * packed._step, packed._tiles

    def share(first, last):
        return [_loops.products(tiles, row, first, last) for row in z]

    parts = np.concatenate(in_threads(share, tiles.n_tiles, SPAN_TILES, n_jobs), axis=1)
    return packed._order.to_rows(parts).T + packed._offset @ coef.T
