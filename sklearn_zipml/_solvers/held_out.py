"""Errors of models on rows that were held out: a quadratic form in the second moments of these."""

from dataclasses import dataclass

import numpy as np

# Rounding of a quadratic form, in parts of its value, that is put up with.
TOLERATED = 1e-3
ROUNDING = 8 * np.finfo(float).eps


@dataclass(frozen=True)
class Models:
    """Models of standardized targets, in units of X.

    Attributes
    ----------
    coef : float64 (models, outputs, columns)
    point : float64 (columns,), a row
    level : float64 (models, outputs) or broadcastable to it, predictions there
    """

    coef: np.ndarray
    point: np.ndarray
    level: np.ndarray


class HeldOut:
    """Moments of held-out rows, and errors on them.

    With G, C and D moments, cross moments and rounding variance of the rows, the mean squared error of w on them is
    w'Gw - 2 w'C + mean of squared targets. Less w'Dw, which is what their rounding adds to it on average, whatever w
    (it knows nothing of their errors), it is an unbiased estimate of the error on the rows before they were rounded.

    Parameters
    ----------
    sums : PackedSums or FloatSums
    grid : (offset, step), float64 (columns,) each
    noise_by_code : float64 (columns, codes), see `PackedSums.noise`
    """

    def __init__(self, sums, grid, noise_by_code):
        self.offset, self.step = grid
        self.mean = sums.mean()
        self.moments = sums.second_moments(self.mean)
        self.noise = sums.noise(noise_by_code)
        self.cross, self.level, squares = sums.cross_moments(self.mean)
        self.spread = np.maximum(squares - self.level**2, 0)
        self.size = np.sqrt(np.diag(self.moments))

    def errors(self, models):
        """Mean squared errors, compensated.

        Returns
        -------
        float64 (models, outputs), and where rounding may matter, bool
        """
        with np.errstate(over="ignore", invalid="ignore"):
            z = models.coef * self.step
            image = z.reshape(-1, z.shape[-1]) @ self.moments
            quadratic = np.einsum("kj,kj->k", image, z.reshape(image.shape)).reshape(z.shape[:-1])
            off = models.level - self.level + z @ (self.mean - (models.point - self.offset) / self.step)
            linear = (z * self.cross).sum(axis=-1)
            plain = quadratic - 2 * linear + self.spread + off**2
            rounding = ROUNDING * ((np.abs(z) @ self.size) ** 2 + self.spread)
            return plain - z**2 @ self.noise, ~(rounding <= TOLERATED * plain)
