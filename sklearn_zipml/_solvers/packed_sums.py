"""Second moments of packed rows and their targets as sums of integers: those of chunks or folds add up, exactly."""

from copy import copy
from dataclasses import dataclass

import numpy as np

from .._kernels import matmul, passes
from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .._storage import dither
from .._storage.grid import padded_table
from .._storage.statistics import code_noise
from .exact_sums import ExactSums, digits
from .gram import MOST_SQUARES, MOST_TOTAL, holds_outliers, position_sums

WEIGHT_BITS = 22  # of a digit of weights: products take them as integers of 23 bits
NOISE_STEPS = 255  # in which rounding variances by code are products' positions


@dataclass
class WeightedSums:
    """Sums over rows, weighted by integers.

    Attributes
    ----------
    total : int, of the weights
    products : int64 (columns, columns), of grid positions with each other
    positions : int64 (columns,)
    counts : int64 (columns, codes) of rows with each code; no columns where the noise does not depend on it
    """

    total: int
    products: np.ndarray
    positions: np.ndarray
    counts: np.ndarray

    def combined(self, other, sign):
        """These and others, or less others."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return WeightedSums(*(one + sign * another for one, another in pairs))


class PackedSums:
    """Sums over rows that were packed on the same grid.

    Parameters
    ----------
    n_columns, n_outputs : int

    Attributes
    ----------
    n_rows : int
    planes : dict of place -> WeightedSums, for the digits of the weights
    cross : ExactSums (outputs, n_columns + 1), of weight times target times position, and of weight times target
    squares : ExactSums (outputs,), of weight times squared target
    squared_weights : ExactSums (1,)
    noise_products : int64 (columns, columns), of squared errors with each other, not weighted, in NOISE_STEPS of the
        columns' largest; or (0, 0) where they depend on no code, or were not asked for
    """

    def __init__(self, n_columns, n_outputs):
        self.d, self.n_outputs, self.n_rows = n_columns, n_outputs, 0
        self.planes, self.cross, self.squares, self.squared_weights = {}, ExactSums(), ExactSums(), ExactSums()
        self.noise_products = np.zeros((0, 0), dtype=np.int64)

    @classmethod
    def of(cls, packed, targets, weights=None, threads=1, *, with_squares=True, with_noise_products=False):
        """Sums over all rows of a container.

        Parameters
        ----------
        packed : PackedRows
        targets : float64 (rows, outputs)
        weights : float64 (rows,) or None
        threads : int; nothing depends on it
        with_squares : bool, whether those of the targets are wanted
        with_noise_products : bool, whether noise_products are wanted, which take as long again
        """
        sums = cls(packed.shape[1], targets.shape[1])
        n, n_slots, order = len(packed), packed.tiles.n_tiles * kernels.TILE_ROWS, packed.order
        sums.n_rows = n
        with np.errstate(over="ignore"):
            weighted = targets.T if weights is None else targets.T * weights
            squares = np.minimum(weighted * targets.T, np.finfo(np.float64).max) if with_squares else None
        if not np.isfinite(weighted).all():
            raise ValueError("sample_weight times y exceeds the range of float64: rescale y or the weights.")
        sums.cross.add_products(packed.tiles, order.to_slots(weighted, n_slots, np.float64), threads)
        if with_squares:
            sums.squares.add(squares)
        sums.squared_weights.add(np.ones((1, n)) if weights is None else weights[None] ** 2)
        places = [(0, None)] if weights is None else digits(order.to_slots(weights, n_slots, np.float64), WEIGHT_BITS)
        for place, some in places:
            sums.planes[place] = _weighted_sums(packed, some, threads)
        if with_noise_products and packed.noise.shape[1]:
            sums.noise_products = position_sums(_noise_tiles(packed), 0, packed.tiles.n_tiles, threads)[0]
        return sums

    def combined(self, other, sign=1):
        """Sums over these rows and others, or over these less those of others among them."""
        out = PackedSums(self.d, self.n_outputs)
        out.n_rows = self.n_rows + sign * other.n_rows
        out.cross = self.cross.combined(other.cross, sign)
        out.squares = self.squares.combined(other.squares, sign)
        out.squared_weights = self.squared_weights.combined(other.squared_weights, sign)
        out.noise_products = self.noise_products + sign * other.noise_products
        out.planes = dict(self.planes)
        for place, plane in other.planes.items():
            mine = self.planes.get(place)
            if mine is None:
                mine = WeightedSums(*(0 * part for part in vars(plane).values()))
            out.planes[place] = mine.combined(plane, sign)
        return out

    def of_outputs(self, outputs):
        """Sums of some of the targets, an index array; the others are shared."""
        out = copy(self)
        out.n_outputs, out.cross, out.squares = len(outputs), self.cross.of_some(outputs), self.squares.of_some(outputs)
        return out

    def __add__(self, other):
        return self.combined(other)

    def __sub__(self, other):
        return self.combined(other, -1)

    @property
    def nbytes(self):
        """Memory of the integers."""
        planes = [part.nbytes for plane in self.planes.values() for part in (plane.products, plane.counts)]
        exact = (self.cross, self.squares, self.squared_weights)
        return sum(planes) + self.noise_products.nbytes + sum(p.nbytes for sums in exact for p in sums.planes.values())

    @property
    def is_full(self):
        """Whether the integers may not hold many more rows."""
        planes = self.planes.values()
        return any(
            plane.total > MOST_TOTAL // 2 or plane.products.diagonal().max(initial=0) > MOST_SQUARES for plane in planes
        )

    def _planes(self):
        """(worth of a unit of weight, WeightedSums), the heaviest first, so that sums of them are always the same."""
        return [(2.0 ** (WEIGHT_BITS * place), self.planes[place]) for place in sorted(self.planes, reverse=True)]

    @property
    def weight(self):
        """Sum of the weights."""
        return float(sum(unit * plane.total for unit, plane in self._planes()))

    @property
    def effective_rows(self):
        """Number of equally weighted rows whose mean is as certain."""
        squares = float(self.squared_weights.values(1)[0])
        return self.weight**2 / squares if squares > 0 else 0.0

    def mean(self):
        """Weighted mean grid position of each column."""
        return sum((unit * plane.positions for unit, plane in self._planes()), np.zeros(self.d)) / self.weight

    def second_moments(self, centre):
        """Weighted mean of (g - centre)(g - centre)', float64 (columns, columns)."""
        out, weight = np.zeros((self.d, self.d)), self.weight
        for unit, plane in self._planes():
            if plane.total == 0:
                continue
            moments = matmul.centre_moments(plane.products.copy(), plane.positions, plane.total, centre)
            if unit * plane.total == weight:
                return moments
            out += (unit * plane.total / weight) * moments
        return out

    def cross_moments(self, centre):
        """Weighted mean of target times (g - centre), (outputs, columns), of targets, and of their squares."""
        products, totals = self.cross.centred(centre, (self.n_outputs, self.d + 1))
        squares = self.squares.values(self.n_outputs)
        return products / self.weight, totals / self.weight, squares / self.weight

    def noise(self, noise_by_code):
        """Mean rounding variance of each column, `noise_by_code` being that of the grid's codes (see `NoiseModel`)."""
        if not noise_by_code.shape[1]:
            return np.zeros(self.d)
        if noise_by_code.shape[1] == 1:
            return noise_by_code[:, 0]
        sums = sum(unit * (plane.counts * noise_by_code).sum(axis=1) for unit, plane in self._planes())
        return np.maximum(sums, 0) / self.weight


def noise_by_code(packed):
    """Rounding variance in squared steps, float64 (columns, codes); or (columns, 1) where it depends on no code."""
    return code_noise(packed) if packed.noise.shape[1] else packed.rounding_variance.astype(np.float64)[:, None]


def _weighted_sums(packed, weights, threads):
    tiles, d = packed.tiles, packed.shape[1]
    if not holds_outliers(tiles.outliers, 1 if weights is None else 1 << WEIGHT_BITS):
        raise ValueError(
            "The outliers of X are too many and too far from its other values for exact sums with sample_weight: clip "
            "them, or pack the rows with outliers='none'."
        )
    integers = None if weights is None else weights.astype(np.int32)
    total = len(packed) if weights is None else int(integers[: len(packed)].sum(dtype=np.int64))
    products, positions = position_sums(tiles, 0, tiles.n_tiles, threads, integers)
    counts = np.zeros((0, 0), dtype=np.int64)
    if packed.noise.shape[1]:
        if weights is None:
            counts = sum(in_threads(tiles.counts, tiles.n_tiles, THREAD_TILES, threads))
        else:
            counts = passes.code_weights(tiles, weights)
        counts = np.asarray(counts).reshape(d, -1).astype(np.int64)
    return WeightedSums(total, products, positions, counts)


def _noise_tiles(packed):
    """The codes with a table that says how large their errors are."""
    noise, scheme = code_noise(packed), packed.scheme
    largest = noise.max(axis=1, keepdims=True, initial=0)
    table = np.divide(NOISE_STEPS * noise, largest, out=np.zeros(noise.shape), where=largest > 0)
    table = np.rint(table).astype(np.uint8)
    if scheme.is_dithered:
        table = dither.table_by_code(table)
    codes = padded_table(table, scheme).reshape(-1)
    return kernels.Tiles(packed.codes, codes, len(packed), packed.shape[1], scheme.format)
