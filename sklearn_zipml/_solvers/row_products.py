"""Products of rows with each other as products of integers, where columns stand on whole numbers of one step.

So integers, genotypes and codes do. A register holds 8 numbers that BLAS multiplies, and 64 bytes.
"""

from collections import deque

import numpy as np

from .._kernels import matmul, passes
from .._kernels import row_products as kernels
from .._kernels import tiles as tile_kernels
from .._kernels.threads import THREAD_TILES, in_threads, run_team, threads_of

# Tiles whose products with as many others a thread makes at a time: their sums stay near the core.
BLOCK_TILES = 8
# Parts of the largest step that positions are tried to be whole numbers of.
MOST_PARTS = 8
# What whole numbers may be off, in parts of the largest one, or of the deviation of columns: as rounding leaves steps.
EXACT = 1e-12


def whole_positions(problem, size, most_error):
    """Tiles whose positions are, to a factor, those of columns of that size (d,), and the factor.

    Parameters
    ----------
    problem : Problem
    size : float64 (n_features,), what a step of each column is
    most_error : float, what the root mean square of their errors may be, in parts of that of the deviations; up to
        `EXACT` there are none

    Returns
    -------
    (Tiles, factor), with factor * their positions = size * those of the problem; or None where there are none
    """
    tiles, matrix = problem.tiles, problem.matrix
    if tiles.width > 8 or tiles.format == tile_kernels.DITHERED or tiles.outliers is not None or not size.any():
        return None
    if tiles.width == 8:
        # of constant columns, or those of zeros, nothing is left
        some = size[(matrix.deviation > 0) | (not problem.is_centred) & (matrix.mean > 0)]
        return (tiles, float(some[0])) if len(some) and (some == some[0]).all() else None
    largest = size.max()
    reached = matrix.table[: problem.d] * (size / largest)[:, None]
    spread, shares = np.linalg.norm(size / largest * matrix.deviation), None
    for parts in range(1, min(MOST_PARTS, int(255.5 / reached.max(initial=1.0))) + 1):
        positions = np.rint(parts * reached)
        errors = positions / parts - reached
        if shares is None and np.abs(errors).max(initial=0) > EXACT * reached.max(initial=0):
            shares = sum(in_threads(tiles.counts, tiles.n_tiles, THREAD_TILES, problem.threads)) / problem.n
        if shares is None or np.sqrt((shares * errors**2).sum()) <= max(EXACT, most_error) * spread:
            table = np.zeros_like(matrix.table)
            table[: problem.d] = positions
            others = tile_kernels.Tiles(matrix.codes, table.reshape(-1), problem.n, problem.d, tiles.width)
            return others, largest / parts
    return None


def integer_row_gram(problem, size, most_error=0.0):
    """sum_j size_j² (g_ij - c_j)(g_kj - c_j) for all pairs of rows, float64 in slot order; None where they do not suit.

    See `whole_positions`. Each sum is rounded once, and again where the centres come off.
    """
    found = whole_positions(problem, size, most_error)
    if found is None:
        return None
    tiles, factor = found
    products = np.empty((problem.n, problem.n))
    _fill(tiles, products, problem.threads)
    matmul.mirror(products.view(np.int64))
    if problem.is_centred:  # about the weighted mean, whatever was rounded
        weights = problem.unit_weights()[: problem.n]
        along = products @ (weights / weights.sum())
        constant = along @ weights / weights.sum()
    else:
        centre = problem.centre * size / factor
        along, constant = passes.products(tiles, centre, 0, tiles.n_tiles, 3)[: problem.n], centre @ centre
    products -= (along - constant)[:, None]
    products -= along
    products *= factor**2
    return products


def _fill(tiles, products, threads):
    """The lower triangle."""
    blocks = [(first, min(first + BLOCK_TILES, tiles.n_tiles)) for first in range(0, tiles.n_tiles, BLOCK_TILES)]
    pairs = [(rows, others) for k, rows in enumerate(blocks) for others in blocks[: k + 1]]
    pairs.sort(key=lambda pair: pair[0] == pair[1])  # the larger ones first
    tasks = deque(pairs)

    def work(_member):
        while tasks:
            try:
                rows, others = tasks.popleft()
            except IndexError:  # another thread was faster
                return
            kernels.row_gram(tiles, rows, others, products)

    run_team(min(max(1, threads_of(threads)), len(pairs)), work, tasks.clear)
