"""Rounding variances of columns of weighted rows, out of what parts tell in few bits beside those without weights."""

from dataclasses import dataclass

import numpy as np

from .messages import decoded, encoded, float32_bytes

NOISE_BITS = 8


@dataclass(frozen=True)
class WeightedNoise:
    """What some parts tell.

    Attributes
    ----------
    told : tuple of (weight, bytes), of each: the message of what its variances are more than those of all rows without
        weights, in parts of these
    """

    told: tuple

    @classmethod
    def of(cls, weight, noise, plain, seed):
        """That of a part, noise and plain being float64 (columns,)."""
        more = np.divide(noise, plain, out=np.ones(len(noise)), where=plain > 0) - 1
        return cls(((weight, encoded(more[None], NOISE_BITS, seed)),))

    def __add__(self, other):
        return WeightedNoise(self.told + other.told)

    def means(self, plain):
        """Rounding variances of all parts, float64 (columns,)."""
        total = sum(weight for weight, _ in self.told)
        more = sum(weight * decoded(message)[0] for weight, message in self.told) / total
        return plain * np.maximum(1 + more, 0.0)

    @property
    def nbytes(self):
        """What it takes to send it; its weights are told besides."""
        return sum(len(message) for _, message in self.told)

    @property
    def float32_nbytes(self):
        """What that would take in float32."""
        return sum(float32_bytes(1, decoded(message).size) for _, message in self.told)


class WithNoise:
    """What it takes to send statistics among which is a WeightedNoise or None, `noise`, beside `_n_beside` bytes."""

    @property
    def nbytes(self):
        """What it takes to send it."""
        return self._n_beside + (0 if self.noise is None else self.noise.nbytes)

    @property
    def float32_nbytes(self):
        """What that would take with float32 in its messages."""
        return self._n_beside + (0 if self.noise is None else self.noise.float32_nbytes)
