"""The objective of a model, its gradient and residuals, taken anew from the packed rows.

Solvers follow them by addition as a model moves, which is cheap and drifts; what a fit reports, and what decides
whether it has converged, is taken here.
"""

import numpy as np

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.products import MANY, gradients_many, products_many
from .problem import PARTS

# 16-bit parts of the model and of the residuals: about 46 bits of the largest of each.
LIMBS = 3


def images(problem, z, limbs=LIMBS):
    """sum_j (g_ij - centre_j) z_j, float64 (targets, rows) in slot order.

    Parameters
    ----------
    problem : Problem
    z : float64 (targets, columns)
    limbs : int, 16-bit parts that z is taken in
    """
    out = np.empty((len(z), problem.n))
    shift = z @ problem.centre
    if len(z) >= MANY:
        for tiles, slots in problem.spans_of_many(len(z)):
            product = products_many(problem.tiles, z, *tiles, n_bytes=2 * limbs, threads=problem.threads)
            np.subtract(product[:, : slots.stop - slots.start], shift[:, None], out=out[:, slots])
        return out

    def fill(bounds, first, last):
        for tiles, slots in _spans(problem, bounds, first, last):
            for k, row in enumerate(z):
                product = passes.products(problem.tiles, row, *tiles, limbs)
                out[k, slots] = product[: slots.stop - slots.start] - shift[k]

    problem.in_parts(fill)
    return out


def margins_of(problem, model, limbs=LIMBS):
    """Margins of the scaled rows, float64 (outputs, rows); model (outputs, columns + 1), the last one an intercept."""
    coef = model[:, :-1]
    if not coef.any():
        return np.repeat(model[:, -1:], problem.n, axis=1)
    out = images(problem, coef * problem.unit, limbs)
    out += model[:, -1:]
    return out


def residuals(quadratic, z, limbs=LIMBS):
    """Residuals of a model, by its loss, float64 (targets, rows) in slot order."""
    margins = images(quadratic.problem, z, limbs) if z.any() else 0.0
    return quadratic.loss.residuals(margins, quadratic.row_targets)


def row_combinations(problem, values, limbs=LIMBS, n_bytes=None):
    """Mean over rows of values_i (g_ij - centre_j), float64 (targets, columns); values (targets, rows).

    n_bytes, of the integers that the values of many targets become, is twice the limbs unless given.
    """
    if len(values) >= MANY:
        return _combinations_of_many(problem, values, n_bytes or 2 * limbs)
    sums = np.zeros((PARTS, len(values), problem.d))

    def add(bounds, first, last):
        for part in range(first, last):
            for tiles, slots in _spans(problem, bounds, part, part + 1):
                padded = np.zeros((tiles[1] - tiles[0]) * kernels.TILE_ROWS)
                for k, row in enumerate(values):
                    padded[: slots.stop - slots.start] = row[slots]
                    sums[part, k] += problem.column_sums(padded, *tiles, limbs)

    problem.in_parts(add)
    return (sums.sum(axis=0) - values.sum(axis=1, dtype=np.float64)[:, None] * problem.centre) / problem.n


def _combinations_of_many(problem, values, n_bytes):
    out = np.zeros((len(values), problem.d))
    for tiles, slots in problem.spans_of_many(len(values)):
        some = values[:, slots]
        sums, totals = gradients_many(problem.tiles, some, *tiles, n_bytes=n_bytes, threads=problem.threads)
        out += sums - totals[:, None] * problem.centre
    return out / problem.n


def objective(quadratic, z, residual):
    """The objective with penalties and compensation, float64 (targets,)."""
    return quadratic.loss.mean(residual, quadratic.row_targets, quadratic.problem.weights) + quadratic.penalty(z)


def loss_gradient(quadratic, residual, limbs=LIMBS, n_bytes=None):
    """Gradient of the mean loss with respect to z, float64 (targets, columns); n_bytes as of `row_combinations`."""
    problem = quadratic.problem
    weighted = residual * problem.unit_weights()[: problem.n] if len(problem.weights) else residual
    return row_combinations(problem, weighted, limbs, n_bytes)


def _spans(problem, bounds, first, last):
    """Bounds of runs of tiles of parts first..last-1, and the slots of their rows."""
    for part in range(first, last):
        for tiles in problem.spans(bounds[part], bounds[part + 1]):
            yield tiles, slice(tiles[0] * kernels.TILE_ROWS, min(problem.n, tiles[1] * kernels.TILE_ROWS))
