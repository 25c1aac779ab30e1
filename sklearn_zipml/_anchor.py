"""Where a fit stands: a model, and the residuals, gradient and objective there, followed exactly as it moves."""

from dataclasses import dataclass

import numpy as np

from . import _kernels, _loops
from ._problem import PARTS


@dataclass
class Direction:
    """A move of z and what it changes: the predictions, and the gradient of the objective's smooth part.

    move, bend : float64 (targets, padded columns); image : float32 (targets, slots)
    """

    move: np.ndarray
    image: np.ndarray
    bend: np.ndarray


class Anchor:
    """z of every target with its residuals, mean gradient and objective.

    z moves along directions that are rounded to what the kernels multiply with exactly. Everything else is linear in
    z, so it follows by addition, and a combination of directions costs no pass over the samples.

    Parameters
    ----------
    quadratic : Quadratic
    start : float64 (targets, columns)
    limbs : int, 16-bit parts that the gradient takes the changes of the rows in: 1 leaves out 1e-5 of the first
        change; 0 if nothing needs the gradient
    residual : float32 (targets, slots) or None, room for the residuals

    Attributes
    ----------
    z, gradient : float64 (targets, padded columns); gradient is that of the mean loss
    residual : float32 (targets, slots)
    objective : float64 (targets,)
    passes : int, over all samples so far
    """

    def __init__(self, quadratic, start, limbs=1, residual=None):
        self.quadratic, self.limbs = quadratic, limbs
        targets = quadratic.targets
        self.passes = 0
        self.z = np.zeros((len(targets), quadratic.padded))
        self.residual = np.negative(targets, out=residual)
        self.gradient = np.zeros(self.z.shape)
        loss = [self._take_loss(k) for k in range(len(targets))]
        self.objective = quadratic.objective(loss, self.z)
        if start.any():
            self.move(start)
            self.move(start)  # what rounding left

    def move(self, z):
        """Go to z (targets, columns), but for 1e-5 of the way; False if that is not finite."""
        direction = self.toward(z)
        if direction is not None:
            self.advance(direction, [(0.0, 1.0)] * len(z))
        return direction is not None

    def toward(self, z, image=None):
        """The direction to z (targets, columns), rounded; None if that is not finite. image is room for its image."""
        q = self.quadratic
        move = np.zeros(self.z.shape)
        move[:, : z.shape[1]] = z - self.z[:, : z.shape[1]]
        image = np.zeros(self.residual.shape, dtype=np.float32) if image is None else image
        bend = np.zeros(self.z.shape)
        for k in range(len(move)):
            step = _loops.Move(q.problem.tiles, move[k], q.centre)  # rounds it
            if not step.finite:
                return None
            sums, total = q.problem.sums_of(step, self.limbs, image[k])
            bend[k] = (sums - q.centre.astype(np.float64) * total) / q.problem.n
            self.passes += 1
        return Direction(move, image, bend + q.pull(move))

    def advance(self, direction, factors, past=None):
        """Move by factors[k, 1] times a direction and factors[k, 0] times a past one, which becomes this move."""
        q = self.quadratic
        past = Direction(*(np.zeros_like(x) for x in vars(direction).values())) if past is None else past
        loss = []
        for k, (of_past, of_new) in enumerate(factors):
            for old, new in ((past.move, direction.move), (past.bend, direction.bend)):
                old[k] = of_past * old[k] + of_new * new[k]
            loss.append(_loops.advance(past.image[k], direction.image[k], of_past, of_new, self.residual[k], q.rows))
        self.z += past.move
        self.gradient += past.bend - q.pull(past.move)
        self.objective = q.objective(loss, self.z)
        return past

    def slope(self):
        """Gradient of the objective's smooth part, float64 (targets, padded columns)."""
        return self.gradient + self.quadratic.pull(self.z)

    def gap(self, z, enough=np.inf):
        """Bound on what the objective of every target can still gain; z has exact zeros, see `Quadratic.gap`."""
        return self.quadratic.gap(z, self.gradient[:, : z.shape[1]], enough)

    def _take_loss(self, k):
        """The loss of the residuals, and their mean gradient at 32 bits."""
        q = self.quadratic
        problem = q.problem
        sums, totals, losses = np.zeros((PARTS, q.padded)), np.zeros(PARTS), np.zeros(PARTS)

        def add(bounds, first, last):
            for part in range(first, last):
                tiles = bounds[part], bounds[part + 1]
                residual = self.residual[k, tiles[0] * _kernels.TILE_ROWS : tiles[1] * _kernels.TILE_ROWS]
                weighted = problem.unit_weights(*tiles) * residual
                totals[part], losses[part] = weighted.sum(), weighted @ residual.astype(np.float64) / 2
                if self.limbs:
                    sums[part, : problem.d] = problem.column_sums(weighted, *tiles, limbs=2)

        problem.in_parts(add)
        if self.limbs:
            self.passes += 1
            self.gradient[k] = (sums.sum(axis=0) - q.centre.astype(np.float64) * totals.sum()) / problem.n
        return losses.sum()
