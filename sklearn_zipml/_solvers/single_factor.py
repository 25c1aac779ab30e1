"""A positive definite matrix factored in float32, for refinement by residuals that are exact."""

import numpy as np
from scipy.linalg.lapack import spocon, spotrf, spotrs

from .._kernels.threads import lapack


class SingleFactor:
    """A symmetric matrix, scaled to a unit diagonal and factored in float32.

    Parameters
    ----------
    matrix : float32 (rows, rows), which is overwritten

    Attributes
    ----------
    rcond : float, estimated reciprocal condition number of the scaled matrix; 0 if it is not positive definite
    """

    def __init__(self, matrix):
        self.inverse = 1 / np.sqrt(np.maximum(np.diag(matrix), np.finfo(np.float32).tiny))
        matrix *= self.inverse[:, None]
        matrix *= self.inverse
        norm = max(float(np.abs(rows).sum(axis=1).max()) for rows in np.array_split(matrix, 1 + len(matrix) // 64))
        self._cholesky, failed = lapack(spotrf, matrix.T, lower=0, overwrite_a=1)
        self.rcond = 0.0 if failed else float(lapack(spocon, self._cholesky, norm, uplo="U")[0])

    def explained(self, right):
        """The part of right sides in the span of the matrix: all of them."""
        return right

    def solve(self, right):
        """The solution for right sides (targets, rows), float64 of the same shape."""
        size = np.abs(right).max(axis=1, initial=0, keepdims=True)
        scaled = np.divide(right, size, out=np.zeros_like(right), where=size > 0)
        scaled = np.multiply(scaled, self.inverse, dtype=np.float32)
        return lapack(spotrs, self._cholesky, scaled.T, lower=0)[0].T * self.inverse * size
