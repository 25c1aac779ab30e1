"""Second moments of float rows and their targets, with the face of `PackedSums`: for samples that are not rounded."""

import numpy as np

from .._storage.blocks import sequential_blocks


def float_grid(X, rows=None):
    """Offset and step of every column, its mean and standard deviation (1 for constants), float64."""
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    offset, square = np.zeros(d), np.zeros(d)
    for block in sequential_blocks(X, np.float64, rows):
        offset += block.sum(axis=0) / n
    for block in sequential_blocks(X, np.float64, rows):
        square += ((block - offset) ** 2).sum(axis=0) / n
    deviation = np.sqrt(square)
    # what rounding leaves of a constant is no deviation
    varies = deviation > 1e-15 * np.abs(offset)
    return offset, np.where(varies, deviation, 1.0)


class FloatSums:
    """Weighted sums over rows about a common offset; they add up to rounding.

    Attributes
    ----------
    n_rows : int
    weight, squared_weight : float
    products : float64 (columns + outputs,) squared, of what follows with each other
    totals : float64 (columns + outputs,), of (x - offset) / step and of the targets
    """

    def __init__(self, n_columns, n_rows, weight, squared_weight, products, totals):
        self.d, self.n_rows, self.weight, self.squared_weight = n_columns, n_rows, weight, squared_weight
        self.products, self.totals = products, totals

    @classmethod
    def of(cls, X, rows, grid, targets, weights=None):
        """Sums over some rows of an array; targets (rows, outputs) and weights are those of these rows."""
        d, offset, step = X.shape[1], *grid
        side = d + targets.shape[1]
        products, totals = np.zeros((side, side)), np.zeros(side)
        weights, start = np.ones(len(targets)) if weights is None else weights, 0
        for block in sequential_blocks(X, np.float64, rows):
            stop = start + len(block)
            block = np.hstack([(block - offset) / step, targets[start:stop]])
            totals += weights[start:stop] @ block
            block *= np.sqrt(weights[start:stop])[:, None]
            products += block.T @ block
            start = stop
        return cls(d, len(targets), weights.sum(), weights @ weights, products, totals)

    def combined(self, other, sign=1):
        """Sums over these rows and others, or over these less those of others among them."""
        names = ("n_rows", "weight", "squared_weight", "products", "totals")
        return FloatSums(self.d, *(getattr(self, name) + sign * getattr(other, name) for name in names))

    def __add__(self, other):
        return self.combined(other)

    def __sub__(self, other):
        return self.combined(other, -1)

    @property
    def effective_rows(self):
        """Number of equally weighted rows whose mean is as certain."""
        return self.weight**2 / self.squared_weight

    def mean(self):
        """Weighted mean of each column."""
        return self.totals[: self.d] / self.weight

    def second_moments(self, centre):
        """Weighted mean of (g - centre)(g - centre)', float64 (columns, columns)."""
        shift = self.mean() - centre
        about_mean = self.products[: self.d, : self.d] / self.weight - np.outer(self.mean(), self.mean())
        diagonal = np.einsum("ii->i", about_mean)
        np.maximum(diagonal, 0, out=diagonal)
        return about_mean + np.outer(shift, shift)

    def cross_moments(self, centre):
        """Weighted mean of target times (g - centre), (outputs, columns), of targets, and of their squares."""
        targets = self.totals[self.d :] / self.weight
        products = self.products[self.d :, : self.d] / self.weight - targets[:, None] * centre
        return products, targets, np.diag(self.products)[self.d :] / self.weight

    def noise(self, noise_by_code):
        """Mean rounding variance of each column: none."""
        return np.zeros(self.d)
