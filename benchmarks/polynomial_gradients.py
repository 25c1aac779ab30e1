"""Logistic regression as the paper does it: gradients of a polynomial of margins, each factor from a draw of its own.

With independent unbiased draws q_1 ... q_k of a row, the product of their margins is right on average for the k-th
power of the row's margin, so that a polynomial in place of the logistic function (Chebyshev interpolation, over as far
as margins go) has unbiased stochastic gradients from rounded rows (ZipML, arXiv:1611.05402, classification losses). The
variance of the products is what it costs; naive rounding takes one draw for all and the logistic function as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import expit

DEGREE, EPOCHS, BATCH = 5, 30, 64


@dataclass
class Draws:
    """Stochastic rounding of standardized columns to uniform levels."""

    bits: int
    low: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, X, bits):
        """Levels between the ends of every column."""
        low, high = X.min(axis=0), X.max(axis=0)
        return cls(bits, low, np.maximum(high - low, 1e-12) / ((1 << bits) - 1))

    def __call__(self, X, rng):
        """A draw of rows."""
        return self.low + np.floor((X - self.low) / self.step + rng.random(X.shape)) * self.step


@np.errstate(over="ignore", invalid="ignore")  # products of many draws may run away: that is a result
def descend(X, labels, C, gradient, rng):
    """Averaged SGD on C * log loss + |w|² / 2, by rows; gradient(rows, labels, w) -> mean over rows of a batch.

    X has a last column of ones, whose coefficient has no penalty.
    """
    n, d = X.shape
    curvature = np.linalg.norm(X[: min(n, 2000)], 2) ** 2 / min(n, 2000) / 4
    penalty = np.append(np.full(d - 1, 1 / (C * n)), 0.0)
    w, mean, steps, last = np.zeros(d), np.zeros(d), 0, EPOCHS * (-(-n // BATCH))
    for _ in range(EPOCHS):
        order = rng.permutation(n)
        for first in range(0, n, BATCH):
            rows = order[first : first + BATCH]
            steps += 1
            size = 0.5 / curvature / (1 + steps / (0.05 * last))
            w = w - size * (gradient(X[rows], labels[rows], w) + penalty * w)
            if steps > last / 2:
                mean += (w - mean) / (steps - last / 2)
    return mean


def fit_naive(X, labels, C, bits, seed):
    """One draw of every row, as if it were the row."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([Draws.of(X, bits)(X, rng), np.ones(len(X))])

    def gradient(rows, labels, w):
        return (expit(rows @ w) - labels) @ rows / len(rows)

    return descend(X, labels, C, gradient, rng)


def fit_polynomial(X, labels, C, bits, reach, seed):
    """Fresh draws for every power of the margin, which lies within `reach`, and another for the row."""
    rng, draws = np.random.default_rng(seed), Draws.of(X, bits)
    powers = chebyshev.cheb2poly(chebyshev.chebinterpolate(lambda m: expit(reach * m), DEGREE))

    def gradient(rows, labels, w):
        total, product = np.full(len(rows), powers[0]), np.ones(len(rows))
        for power in powers[1:]:
            product = product * (draws(rows[:, :-1], rng) @ w[:-1] + w[-1]) / reach
            total += power * product
        last = np.column_stack([draws(rows[:, :-1], rng), np.ones(len(rows))])
        return (total - labels) @ last / len(rows)

    return descend(np.column_stack([X, np.ones(len(X))]), labels, C, gradient, rng)
