"""Where a fit stands: a model, and the gradient and objective there, followed exactly as it moves."""

from dataclasses import dataclass

import numpy as np

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.products import MANY, MOST_BYTES, fixed_point, gradients_many, products_many
from .problem import PARTS


@dataclass
class Direction:
    """A move of z, and what it adds to the gradient of the objective's smooth part, float64 (targets, padded columns).

    move . hessian_product is the curvature along it.
    """

    move: np.ndarray
    hessian_product: np.ndarray


class Anchor:
    """z of every target with its mean gradient and objective.

    z moves along directions that are rounded to what the kernels multiply with exactly. The gradient is linear in z and
    the objective, an l1 penalty apart, quadratic, so both follow by addition: no residuals are kept, and a combination
    of directions costs no pass over the samples. That takes a quadratic loss.

    Parameters
    ----------
    quadratic : Quadratic
    start : float64 (targets, columns)
    limbs : int, 16-bit parts that the gradient takes the changes of the rows in: 1 leaves out 1e-5 of the first change

    Attributes
    ----------
    z, gradient : float64 (targets, padded columns); gradient is that of the mean loss
    objective : float64 (targets,)
    passes : int, over all samples so far
    """

    def __init__(self, quadratic, start, limbs=1):
        self.quadratic, self.limbs = quadratic, limbs
        self.passes = 0
        shape = len(quadratic.targets), quadratic.padded
        self.z, self.gradient = np.zeros(shape), np.zeros(shape)
        is_many = shape[0] >= MANY
        self.smooth = self._begin_many() if is_many else np.array([self._begin(k) for k in range(shape[0])])
        if start.any():
            self.move(start)
            self.move(start)  # what rounding left

    @property
    def objective(self):
        """Its smooth part and the l1 penalty."""
        return self.smooth + (self.quadratic.l1 * np.abs(self.z)).sum(axis=1)

    @property
    def reported(self):
        """The objective, for a loss curve: of a sum of squares, what addition leaves below zero is rounding."""
        return self.objective if self.quadratic.is_compensated else np.maximum(self.objective, 0)

    def move(self, z):
        """Go to z (targets, columns), but for 1e-5 of the way; False if that is not finite."""
        direction = self.toward(z)
        if direction is not None:
            self.advance(direction, [(0.0, 1.0)] * len(z))
        return direction is not None

    def toward(self, z):
        """The direction to z (targets, columns), rounded; None if that is not finite."""
        q = self.quadratic
        move, hessian_product = np.zeros(self.z.shape), np.zeros(self.z.shape)
        move[:, : z.shape[1]] = z - self.z[:, : z.shape[1]]
        if len(move) >= MANY:
            return self._toward_many(move)
        for k in range(len(move)):
            step = passes.Move(q.problem.tiles, move[k], q.centre)  # rounds it
            if not step.finite:
                return None
            hessian_product[k] = self._mean(*q.problem.sums_of(step, self.limbs))
            self.passes += 1
        return Direction(move, hessian_product + q.penalty_gradient(move))

    def _toward_many(self, move):
        """The same for many targets, at 31 bits, in passes of all at once."""
        q, problem = self.quadratic, self.quadratic.problem
        move = fixed_point(move, MOST_BYTES)
        if not np.isfinite(move).all():
            return None
        z, shift = move[:, : problem.d], move @ q.centre.astype(np.float64)
        hessian_product = np.zeros(move.shape)
        for tiles, slots in problem.spans_of_many(len(z)):
            image = products_many(problem.tiles, z, *tiles, threads=problem.threads)[:, : slots.stop - slots.start]
            image -= shift[:, None]
            hessian_product += self._mean_of_many(image, tiles, 2 * self.limbs)
        self.passes += len(z)
        return Direction(move, hessian_product + q.penalty_gradient(move))

    def advance(self, direction, factors, past=None):
        """Move by factors[k][1] times a direction and factors[k][0] times a past one; the Direction that makes."""
        of_past, of_new = np.array(factors, dtype=np.float64).T[:, :, None]
        made = Direction(of_new * direction.move, of_new * direction.hessian_product)
        if past is not None:
            made = Direction(made.move + of_past * past.move, made.hessian_product + of_past * past.hessian_product)
        self.smooth = self.smooth + self.rise_along(made)
        self.z += made.move
        self.gradient += made.hessian_product - self.quadratic.penalty_gradient(made.move)
        return made

    def slope(self):
        """Gradient of the objective's smooth part, float64 (targets, padded columns)."""
        return self.gradient + self.quadratic.penalty_gradient(self.z)

    def rise_along(self, direction):
        """What the objective's smooth part rises by along a direction, every target."""
        return (direction.move * (self.slope() + direction.hessian_product / 2)).sum(axis=1)

    def rise_to_end(self, direction):
        """What the objective would rise by at the end of a direction, every target."""
        l1 = self.quadratic.l1 * (np.abs(self.z + direction.move) - np.abs(self.z))
        return self.rise_along(direction) + l1.sum(axis=1)

    def renew(self, gradient, objective):
        """Take the gradient of the mean loss and the objective as the rows give them, not as addition does."""
        self.gradient[:, : gradient.shape[1]] = gradient
        self.smooth = self.smooth + (objective - self.objective)

    def _begin(self, k):
        """The mean loss of z = 0 and, at 32 bits, its gradient."""
        q = self.quadratic
        problem = q.problem
        sums, totals, losses = np.zeros((PARTS, q.padded)), np.zeros(PARTS), np.zeros(PARTS)

        def add(bounds, first, last):
            for part in range(first, last):
                for tiles in problem.spans(bounds[part], bounds[part + 1]):
                    slots = slice(tiles[0] * kernels.TILE_ROWS, tiles[1] * kernels.TILE_ROWS)
                    residual = q.loss.residuals(0.0, q.targets[k, slots])
                    weighted = problem.unit_weights(*tiles) * residual
                    sums[part, : problem.d] += problem.column_sums(weighted, *tiles, limbs=2)
                    totals[part] += weighted.sum()
                    losses[part] += weighted @ residual / 2

        problem.in_parts(add)
        self.passes += 1
        self.gradient[k] = self._mean(sums.sum(axis=0), totals.sum())
        return losses.sum() / problem.n

    def _begin_many(self):
        """The same for all of many targets: their mean losses."""
        q, problem = self.quadratic, self.quadratic.problem
        losses = np.zeros(len(q.targets))
        for tiles, slots in problem.spans_of_many(len(losses)):
            residual = q.loss.residuals(0.0, q.targets[:, slots])
            weights = problem.unit_weights(*tiles)[: residual.shape[1]]
            losses += np.einsum("ki,ki,i->k", residual, residual, weights) / 2
            self.gradient += self._mean_of_many(residual, tiles, 4)
        self.passes += len(losses)
        return losses / problem.n

    def _mean_of_many(self, values, tiles, n_bytes):
        """What rows of tiles add to the mean of w_i p_i (g_ij - centre_j), values p (targets, rows), in place."""
        problem = self.quadratic.problem
        if len(problem.weights):
            values *= problem.unit_weights(*tiles)[: values.shape[1]]
        sums, totals = gradients_many(problem.tiles, values, *tiles, n_bytes=n_bytes, threads=problem.threads)
        padded = np.zeros(self.z.shape)
        padded[:, : problem.d] = sums
        return self._mean(padded, totals[:, None])

    def _mean(self, sums, total):
        """The mean over rows of w_i p_i (g_ij - centre_j)."""
        q = self.quadratic
        return (sums - q.centre.astype(np.float64) * total) / q.problem.n
