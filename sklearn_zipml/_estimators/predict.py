"""Linear predictions for arrays, block by block, and for packed rows without unpacking them."""

import numpy as np

from .._kernels import passes
from .._kernels.products import MANY, products_many
from .._kernels.threads import in_threads
from .._kernels.tiles import TILE_ROWS
from .._packed_matrix import PackedMatrix
from .._storage.blocks import sequential_blocks
from .._storage.packed_rows import rows_of
from .._underflow import underflow_is_zero

# Values that a thread takes for the least.
SPAN_VALUES = 1 << 22
# Tiles of taken rows that are copied at a time.
AT_ONCE = 16


@underflow_is_zero
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
        return _packed_predictions(rows_of(X), coef, n_jobs) + intercept
    out = np.empty((X.shape[0], len(coef)))
    start = 0
    for block in sequential_blocks(X, np.float64):
        out[start : start + len(block)] = block @ coef.T
        start += len(block)
    return out + intercept


def _packed_predictions(packed, coef, n_jobs):
    """Offsets and grid positions apart: sum_j offset_j x_j + sum_j g_ij step_j x_j."""
    z, n_tiles = np.ascontiguousarray(coef * packed.step), -(-len(packed) // TILE_ROWS)

    def share(first, last):
        pieces = packed.samples.pieces(first, last, AT_ONCE)
        if len(z) >= MANY:
            return np.concatenate([products_many(tiles, z, *span) for tiles, *span in pieces], axis=1)
        return np.concatenate([[passes.products(tiles, row, *span) for row in z] for tiles, *span in pieces], axis=1)

    span = max(1, SPAN_VALUES // (TILE_ROWS * max(1, packed.shape[1])))
    parts = np.concatenate(in_threads(share, n_tiles, span, n_jobs), axis=1)
    return packed.order.to_rows(parts).T + packed.offset @ coef.T
