"""Means and scatter of features and targets in float64, in units of X: those of chunks can be joined, to rounding."""

from dataclasses import dataclass, replace

import numpy as np

from .._storage.blocks import sequential_blocks


@dataclass(frozen=True)
class FloatMoments:
    """Moments of some rows.

    Attributes
    ----------
    n_rows : int
    total : float, sum of the weights
    mean : float64 (features + targets,)
    scatter : float64 (features + targets,) squared, sum of weight times product of deviations from the mean; of targets
        with each other the diagonal is enough
    noise : float64 (features,), sum of weight times rounding variance
    noisy_rows : float, of chunks, squared rows times the ratio of noisy columns to independent rows
    """

    n_rows: int
    total: float
    mean: np.ndarray
    scatter: np.ndarray
    noise: np.ndarray
    noisy_rows: float

    @classmethod
    def of_nothing(cls, n_columns, n_outputs):
        """Those of no rows."""
        side = n_columns + n_outputs
        return cls(0, 0.0, np.zeros(side), np.zeros((side, side)), np.zeros(n_columns), 0.0)

    @classmethod
    def of_array(cls, X, targets, weights):
        """Those of rows that are not rounded; weights are positive."""
        out, start = cls.of_nothing(X.shape[1], targets.shape[1]), 0
        for block in sequential_blocks(X, np.float64):
            rows = slice(start, start + len(block))
            out = out.joined(cls._of_block(np.hstack([block, targets[rows]]), weights[rows], X.shape[1]))
            start += len(block)
        return out

    @classmethod
    def _of_block(cls, block, weights, n_columns):
        total = weights.sum()
        mean = weights @ block / total
        block -= mean
        block *= np.sqrt(weights)[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # whoever asks for the minimum looks at them
            scatter = block.T @ block
        return cls(len(block), total, mean, scatter, np.zeros(n_columns), 0.0)

    def joined(self, other):
        """Those of all rows of both (Chan, Golub, LeVeque 1979)."""
        if not other.n_rows or not self.n_rows:
            return self if self.n_rows else other
        total, difference = self.total + other.total, other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            scatter = np.outer(difference, difference * (self.total * (other.total / total)))
            scatter += self.scatter
            scatter += other.scatter
        return FloatMoments(
            self.n_rows + other.n_rows,
            total,
            self.mean + difference * (other.total / total),
            scatter,
            self.noise + other.noise,
            self.noisy_rows + other.noisy_rows,
        )

    def of_outputs(self, n_columns, outputs):
        """Those of some of the targets, an index array."""
        kept = np.concatenate([np.arange(n_columns), n_columns + outputs])
        return replace(self, mean=self.mean[kept], scatter=self.scatter[np.ix_(kept, kept)])

    def scaled(self, weight):
        """Those of the same rows with so many times their weight."""
        return FloatMoments(
            self.n_rows, self.total * weight, self.mean, self.scatter * weight, self.noise * weight, self.noisy_rows
        )
