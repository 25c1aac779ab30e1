"""Least squares in chunks: the second moments of the rows seen, and the minimum of the objective that they give.

The moments are those of stored samples, so they carry the bias that rounding leaves on their diagonal; it is counted
chunk by chunk and subtracted as in `fit` (see `compensation`). One chunk has the objective of `fit` on its rows.
"""

import numpy as np

from .._kernels.tiles import TILE_ROWS
from .._storage.blocks import block_rows, sequential_blocks
from .._storage.packed_rows import PackedRows
from .compensation import Compensation, dense_compensation, dense_ratio, noise_ratio, noisy_columns, tau_of
from .factor import Factor
from .problem import Problem, is_dense_cheap

MOST_COLUMNS = 8192


class Moments:
    """Weighted mean and scatter of features and targets over all rows seen.

    Parameters
    ----------
    n_columns, n_outputs : int
    seed : int, 64 bits, of the first chunk's draws

    Attributes
    ----------
    total : float, sum of the weights
    mean : float64 (features + targets,)
    scatter : float64 (features + targets,) squared, sum of weight times product of deviations from the mean
    noise : float64 (features,), sum of weight times rounding variance
    """

    def __init__(self, n_columns, n_outputs, seed):
        if n_columns > MOST_COLUMNS:
            raise ValueError(
                f"partial_fit keeps n_features² numbers, for at most {MOST_COLUMNS} features, but X has {n_columns}: "
                "pack all chunks with PackedMatrix.from_chunks and call fit."
            )
        self.d, self.seed, self.n_chunks, self.n_rows, self.total = n_columns, seed, 0, 0, 0.0
        self.mean = np.zeros(n_columns + n_outputs)
        self.scatter = np.zeros((n_columns + n_outputs, n_columns + n_outputs))
        self.noise = np.zeros(n_columns)
        self._noisy_rows = 0.0

    def add(self, matrix, targets, weights):
        """Take rows into account.

        Parameters
        ----------
        matrix : PackedRows, or array that is not to be rounded, (rows, features)
        targets : float64 (rows, outputs)
        weights : float64 (rows,), all positive
        """
        self.n_chunks += 1
        self.n_rows += len(targets)
        if isinstance(matrix, PackedRows):
            self._add_noise(matrix, weights)
            blocks = _decoded_blocks(matrix)
        else:
            blocks = _array_blocks(matrix)
        for rows, block in blocks:
            self._add_block(np.hstack([block, targets[rows]]), weights[rows])

    def _add_block(self, block, weights):
        """Join the moments of a block to the others (Chan, Golub, LeVeque 1979)."""
        total = weights.sum()
        mean = weights @ block / total
        block -= mean
        difference = mean - self.mean
        block *= np.sqrt(weights)[:, None]
        self.scatter += block.T @ block
        self.scatter += np.outer(difference, difference * (self.total * total / (self.total + total)))
        self.total += total
        self.mean += difference * (total / self.total)

    def _add_noise(self, packed, weights):
        problem = Problem(packed, None if np.ptp(weights) == 0 else weights, True)
        self.noise += weights.sum() * problem.variance * packed.step**2
        noise = problem.variance * problem.unit**2
        noisy = noisy_columns(noise)
        if noisy.any():
            self._noisy_rows += len(packed) ** 2 * noise_ratio(problem, noisy)

    def minimum(self, alpha, centred, dtype):
        """The minimum of the objective.

        Parameters
        ----------
        alpha : float, ridge penalty on coefficients in units of X
        centred : bool, whether an intercept is fitted
        dtype : dtype that the coefficients will have

        Returns
        -------
        coef (outputs, features), intercept (outputs,), objective summed over outputs
        """
        moments = self.scatter / self.total
        if not centred:
            moments = moments + np.outer(self.mean, self.mean)
        gram, cross, square = moments[: self.d, : self.d], moments[: self.d, self.d :], moments[self.d :, self.d :]
        scale = np.sqrt(np.diag(gram) + alpha)
        used = scale > 1e-15 * np.abs(self.mean[: self.d])
        used &= scale > 0
        scale = np.where(used, scale, 1.0)
        scaled = gram / scale[:, None] / scale
        ridge, noise = alpha / scale**2, np.where(used, self.noise / self.total / scale**2, 0.0)
        taken = self._compensation(scaled + np.diag(ridge), noise)
        scaled[np.diag_indices(self.d)] += ridge - taken.tau * noise
        scaled += taken.lift @ taken.lift.T
        coef = np.zeros((self.d, cross.shape[1]))
        factor = Factor(scaled[np.ix_(used, used)], 1 / scale[used] ** 2)
        coef[used] = factor.least_norm(factor.solve((cross / scale[:, None])[used].T)).T / scale[used, None]
        coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what coef_ will hold
        intercept = self.mean[self.d :] - self.mean[: self.d] @ coef if centred else np.zeros(cross.shape[1])
        in_scale = coef * scale[:, None]
        quadratic = (in_scale * (scaled @ in_scale)).sum()
        return coef.T, intercept, float(np.trace(square) - 2 * (coef * cross).sum() + quadratic) / 2

    def _compensation(self, curvature, noise):
        """That of `fit` on as many rows, on dense moments."""
        noisy = noisy_columns(noise)
        if not noisy.any():
            return Compensation.even(0.0, noise)
        ratio = self._noisy_rows / self.n_rows**2
        if ratio < 0.25 and is_dense_cheap(self.n_rows, self.d):
            return dense_compensation(curvature, noise, noisy, ratio)
        return Compensation.even(tau_of(ratio, lambda: dense_ratio(curvature, noise, noisy)), noise)


def _decoded_blocks(packed):
    """Row numbers and decoded rows, float64."""
    tiles = max(1, block_rows(packed.shape[1], np.float64) // TILE_ROWS)
    for first in range(0, packed.tiles.n_tiles, tiles):
        positions = packed.tiles.positions(first, min(first + tiles, packed.tiles.n_tiles))
        rows = packed.order.rows(first * TILE_ROWS, first * TILE_ROWS + len(positions))
        yield rows, positions * packed.step + packed.offset


def _array_blocks(X):
    start = 0
    for block in sequential_blocks(X, np.float64):
        yield slice(start, start + len(block)), block
        start += len(block)
