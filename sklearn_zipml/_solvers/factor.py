"""A second-moment matrix factored once, for all targets."""

import numpy as np
from scipy.linalg import eigh, solve_triangular
from scipy.linalg.lapack import dpocon, dpotrf, dpotrs

from .._kernels.threads import lapack

# Reciprocal condition number of the matrix with a unit diagonal below which its eigenvectors are taken.
SINGULAR = 1e-11
EPS = np.finfo(float).eps


class Factor:
    """A symmetric positive semidefinite matrix, and solutions with it.

    Columns are scaled to a unit diagonal first, so that their units do not count. Where the matrix is singular to
    working precision, a solution lies in the span of the eigenvectors that are not; `least_norm` moves it along the
    others to where a weighted norm is least.

    Parameters
    ----------
    matrix : float64 (columns, columns)
    weights : float64 (columns,), positive where the diagonal is: those of the norm that is to be least
    singular_too : bool, whether there are to be solutions with a singular matrix, which takes its eigenvectors

    Attributes
    ----------
    rcond : float, estimated reciprocal condition number of the scaled matrix; 0 if it is not positive definite
    lowest : float, lowest eigenvalue of the scaled matrix, where eigenvectors were needed; else an upper bound
    """

    def __init__(self, matrix, weights, singular_too=True):
        diagonal = np.diag(matrix)
        self.inverse = np.zeros(len(matrix))
        used = diagonal > 0
        self.inverse[used] = 1 / np.sqrt(diagonal[used])
        scaled = matrix * self.inverse[:, None]
        scaled *= self.inverse
        scaled[np.diag_indices_from(scaled)] = 1.0
        norm = np.abs(scaled).sum(axis=0).max(initial=0)
        self.rcond, self.lowest, self._values, self._free = 0.0, 1.0, None, None
        if len(matrix) == 0:
            self._cholesky, self.rcond = scaled, 1.0
            return
        self._cholesky = _upper_cholesky(scaled)
        if self._cholesky is not None:
            self.rcond = float(lapack(dpocon, self._cholesky, norm, uplo="U")[0])
        if self.rcond < SINGULAR and singular_too:
            self._take_eigenvectors(scaled, weights)

    def _take_eigenvectors(self, scaled, weights):
        self._cholesky = None
        values, vectors = _eigenvectors(scaled)
        self.lowest = float(values[0])
        keep = values > 4 * len(values) * EPS * values[-1]
        self._values, self._vectors = values[keep], vectors[:, keep]
        if keep.all():
            return
        # in units of the norm that is to be least
        self._root = np.sqrt(weights) * self.inverse
        self._free = vectors[:, ~keep]
        self._basis, self._triangle = lapack(np.linalg.qr, self._root[:, None] * self._free)

    @property
    def is_singular(self):
        """Whether directions were left out."""
        return self._free is not None

    @property
    def n_left_out(self):
        """Number of these directions."""
        return self._free.shape[1] if self.is_singular else 0

    def solve(self, right):
        """The solution for right sides (targets, columns), of the same shape."""
        right = right * self.inverse
        if self._cholesky is not None:
            found = lapack(dpotrs, self._cholesky, right.T, lower=0)[0].T if right.size else right
        else:
            found = ((right @ self._vectors) / self._values) @ self._vectors.T
        return found * self.inverse

    def square_root(self, right):
        """R of R'R = the matrix, and t (targets, rows of R) of R't = right."""
        size = np.divide(1, self.inverse, out=np.zeros_like(self.inverse), where=self.inverse > 0)
        right = right * self.inverse
        if self._cholesky is not None:
            return self._cholesky * size, solve_triangular(self._cholesky, right.T, trans="T").T
        root = np.sqrt(self._values)
        return (self._vectors * root).T * size, (right @ self._vectors) / root

    def solve_root(self, right):
        """The solution x of R x = right, R that of `square_root`; not of a singular matrix."""
        return solve_triangular(self._cholesky, right.T).T * self.inverse

    def explained(self, right):
        """The part of right sides (targets, columns) in the span of the matrix."""
        if not self.is_singular:
            return right
        return (right @ self._vectors) @ self._vectors.T

    def least_norm(self, solution):
        """Solutions moved, along directions that the matrix does not see, to where their weighted norm is least."""
        if not self.is_singular:
            return solution
        scaled = np.divide(solution, self.inverse, out=np.zeros_like(solution), where=self.inverse > 0)
        along = np.linalg.lstsq(self._triangle, self._basis.T @ (self._root * scaled).T, rcond=None)[0]
        return solution - (self._free @ along).T * self.inverse


class ShiftedFactor:
    """The matrix S + m m', S factored, where m is so long that S would be lost in the sum.

    Parameters
    ----------
    factor : Factor of S, not singular
    mean : float64 (columns,), m

    Attributes
    ----------
    rcond : float, that of S
    """

    is_singular = False

    def __init__(self, factor, mean):
        self.rcond, self._factor, self._mean = factor.rcond, factor, mean
        self._direction = factor.square_root(mean[None])[1][0]
        self._length = np.linalg.norm(self._direction)
        self._direction /= self._length

    def solve(self, right):
        """The solution for right sides (targets, columns), of the same shape.

        With S = R'R and R'q = m the matrix is R'(1 + qq')R. What is along q is divided by a large number, so it is
        taken apart before anything else: the formula of Sherman and Morrison leaves its rounding errors as they are.
        """
        across, along = self._divided(right)
        return self._factor.solve_root(across + along / (1 + self._length**2))

    def _divided(self, right):
        """What R' takes to the right sides, across q and along it."""
        across = self._factor.square_root(right)[1]
        along = np.zeros_like(across)
        for _ in range(2):  # rounding leaves something the first time
            more = np.outer(across @ self._direction, self._direction)
            across, along = across - more, along + more
        return across, along

    def square_root(self, right):
        """R of R'R = the matrix, and t (targets, rows of R) of R't = right; R has a row more than columns."""
        root, _ = self._factor.square_root(right)
        across, along = self._divided(right)
        along = along @ self._direction / (1 + self._length**2)
        solved = across + np.outer(along, self._direction)
        along = along * self._length
        return np.vstack([root, self._mean]), np.column_stack([solved, along])


def is_positive_definite(matrix):
    """Whether a symmetric matrix has a Cholesky factor in float64."""
    return _upper_cholesky(matrix) is not None


def _eigenvectors(matrix):
    """Eigenvalues and eigenvectors of a symmetric matrix; where divide and conquer fails, by QR steps."""
    try:
        return lapack(np.linalg.eigh, matrix)
    except np.linalg.LinAlgError:
        return lapack(eigh, matrix, driver="ev")


def _upper_cholesky(matrix):
    """The upper Cholesky factor of a symmetric matrix in Fortran's order, or None.

    SciPy's lets other threads run, and with them an interrupt, and takes two thirds of the time of NumPy's.
    """
    factor, failed = lapack(dpotrf, matrix.T, lower=0, clean=1)
    return None if failed else factor
