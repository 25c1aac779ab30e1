"""The Cholesky factor of a large matrix, in blocks that threads share and between which an interrupt comes in."""

from scipy.linalg.blas import get_blas_funcs
from scipy.linalg.lapack import get_lapack_funcs

from .._kernels.threads import in_threads, one_blas_thread, poll

BLOCK = 256  # rows and columns


def lower_cholesky(matrix, threads):
    """Overwrite the lower triangle of a symmetric matrix by its factor's; False if it is not positive definite.

    Nothing depends on the number of threads. LAPACK's own cannot be interrupted, and NumPy copies the matrix to it and
    back, column by column, which takes longer than to factor it.
    """
    (factor,) = get_lapack_funcs(("potrf",), (matrix,))
    with one_blas_thread():
        for start in range(0, len(matrix), BLOCK):
            own = slice(start, start + BLOCK)
            if start:
                _by_blocks(lambda rows, own=own: _subtract(matrix, rows, own), matrix, start, threads)
            corner, info = factor(matrix[own, own], lower=1, clean=1)
            if info:
                return False
            matrix[own, own] = corner
            divide = _divide_by(corner, own)
            _by_blocks(lambda rows, divide=divide: divide(matrix, rows), matrix, own.stop, threads)
    return True


def _by_blocks(work, matrix, first_row, threads):
    """work(rows) for blocks of rows from a first one on."""

    def share(first, last):
        for k in range(first, last):
            poll()
            work(slice(first_row + BLOCK * k, first_row + BLOCK * (k + 1)))

    in_threads(share, max(0, -(-(len(matrix) - first_row) // BLOCK)), 1, threads)


def _subtract(matrix, rows, columns):
    """What the columns before take from some of them."""
    before = slice(0, columns.start)
    matrix[rows, columns] -= matrix[rows, before] @ matrix[columns, before].T


def _divide_by(corner, columns):
    (solve,) = get_blas_funcs(("trsm",), (corner,))

    def divide(matrix, rows):  # X L' = A is L X' = A'
        matrix[rows, columns] = solve(1.0, corner, matrix[rows, columns].T, lower=1).T

    return divide
