"""Linear predictions for arrays, block by block, and for packed rows without unpacking them."""

import numpy as np

from . import _loops
from ._blocks import sequential_blocks
from ._kernels import TILE_ROWS
from ._packed_matrix import PackedMatrix
from ._products import products_many
from ._threads import in_threads

# Values that a thread takes for the least.
SPAN_VALUES = 1 << 22
# Tiles of taken rows that are copied at a time.
AT_ONCE = 16


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
    z, n_tiles = coef * packed._step, -(-len(packed) // TILE_ROWS)

    def share(first, last):
        pieces = packed._pieces(first, last, AT_ONCE)
        return np.concatenate([multiply(tiles, *span) for tiles, *span in pieces], axis=1)

    def multiply(tiles, first, last):
        if len(z) == 1:  # its products are made where samples are decoded
            return _loops.products(tiles, z[0], first, last)[None]
        return products_many(tiles, z, first, last)

    span = max(1, SPAN_VALUES // (TILE_ROWS * max(1, packed.shape[1])))
    parts = np.concatenate(in_threads(share, n_tiles, span, n_jobs), axis=1)
    return packed._order.to_rows(parts).T + packed._offset @ coef.T
