"""Sums over rows of float numbers, alone or times grid positions, exact: whatever the order and the division of rows.

A float64 is a sum of digits, integers times powers of two that stand at fixed places of the exponent. Which digits a
number has depends on nothing but the number, so sums of digits are integers that add up and can be taken off.
"""

import numpy as np

from .._kernels import matmul
from .._kernels import tiles as kernels
from .._kernels.products import VECTORS_AT_ONCE, exact_tiles
from .._kernels.threads import THREAD_TILES, in_threads
from .._scheme import MAX_STEPS

DIGIT_BITS = 30
LOW_BITS = 32
MOST_EXPONENT = 1000
_LOW = (1 << LOW_BITS) - 1


def digits(values, bits=DIGIT_BITS):
    """What finite float64 numbers are sums of.

    Parameters
    ----------
    values : float64 array
    bits : int, of a digit

    Yields
    ------
    place : int; digits of it are worth 2 ** (bits * place)
    digits : float64 array of integers, below 2 ** bits in magnitude; some are not zero
    """
    values = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0))
    place = (int(np.frexp(largest)[1]) - 1) // bits
    while values.any():
        places = np.trunc(_times_power(values, -bits * place))
        if places.any():
            yield place, places
            values = values - _times_power(places, bits * place)
        place -= 1


def _times_power(values, exponent):
    """Scale by 2**exponent, which ldexp takes much longer for."""
    return values * 2.0**exponent if abs(exponent) < MOST_EXPONENT else np.ldexp(values, exponent)


def rounded(values, bits):
    """Values rounded to so many bits of the largest, so that they have few digits."""
    exponent = int(np.frexp(np.abs(values).max(initial=0))[1]) - bits
    return np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)


class ExactSums:
    """Sums of float numbers as integers.

    Attributes
    ----------
    planes : dict of place -> int64 (2, ...), whose sum is the first times 2**32 plus the second
    """

    def __init__(self, planes=None):
        self.planes = {} if planes is None else planes

    def _add_plane(self, place, integers):
        pair = np.stack([integers >> LOW_BITS, integers & _LOW])
        self.planes[place] = self.planes[place] + pair if place in self.planes else pair

    def add(self, values):
        """Add numbers (..., rows), summed over rows."""
        for place, some in digits(values):
            self._add_plane(place, some.astype(np.int64).sum(axis=-1))

    def add_products(self, tiles, values, threads):
        """Add, for numbers (vectors, rows) in slot order, their sums and those times grid positions.

        The planes have the shape (vectors, n_columns + 1); the last column is the sums.
        """
        at_once = exact_tiles(tiles)
        for place, some in digits(values):
            for start in range(0, tiles.n_tiles, at_once):
                end = min(tiles.n_tiles, start + at_once)
                self._add_plane(place, _products(tiles, some[:, start * kernels.TILE_ROWS :], start, end, threads))

    def combined(self, other, sign=1):
        """These sums and others, or less others."""
        planes = {place: pair.copy() for place, pair in self.planes.items()}
        for place, pair in other.planes.items():
            planes[place] = planes[place] + sign * pair if place in planes else sign * pair
        return ExactSums(planes)

    def of_some(self, which):
        """The sums of some of the numbers, an index array."""
        return ExactSums({place: pair[:, which] for place, pair in self.planes.items()})

    def values(self, shape):
        """The sums, float64; of no numbers at all of a shape."""
        return self._valued(self.planes, shape)

    def centred(self, centre, shape):
        """Sums of numbers times positions less centres, and of the numbers; shape (vectors, n_columns + 1).

        The integers next to the centres are taken off in integers.
        """
        whole = np.clip(np.rint(centre), 0, MAX_STEPS).astype(np.int64)
        planes = {}
        for place, pair in self.planes.items():
            planes[place] = pair.copy()
            planes[place][..., :-1] -= whole * pair[..., -1:]
        values = self._valued(planes, shape)
        return values[..., :-1] - (centre - whole) * values[..., -1:], values[..., -1]

    @staticmethod
    def _valued(planes, shape):
        out = np.zeros(shape)
        for place in sorted(planes, reverse=True):
            high, low = planes[place]
            carried = high + (low >> LOW_BITS)
            with np.errstate(over="ignore"):
                out += np.ldexp(carried * 2.0**LOW_BITS + (low & _LOW), DIGIT_BITS * place)
        return out


def _products(tiles, values, first, last, threads):
    """Sums over the rows of tiles first..last-1, int64 (vectors, n_columns + 1); values from tile `first` on."""
    out = np.zeros((len(values), tiles.n_columns + 1), dtype=np.int64)
    ones = np.ones(VECTORS_AT_ONCE)
    for start in range(0, len(values), VECTORS_AT_ONCE):
        some = np.ascontiguousarray(values[start : start + VECTORS_AT_ONCE])

        def share(begin, end, some=some):
            rows = some[:, begin * kernels.TILE_ROWS :]
            return matmul.gradient_sums(tiles, rows, ones, 4, first + begin, first + end)

        for sums, totals in in_threads(share, last - first, THREAD_TILES, threads):
            out[start : start + len(some), :-1] += sums
            out[start : start + len(some), -1] += totals
    return out
