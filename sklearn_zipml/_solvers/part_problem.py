"""The problem of all rows where they lie in parts: that of a part, and what is known of the whole."""

from copy import copy

import numpy as np

from .._kernels import passes
from .._kernels.tiles import TILE_ROWS
from .._storage.constant import frozen
from .._storage.take import scattered
from .problem import Problem


class PartProblem(Problem):
    """Rows of a part, whose columns are centred and scaled as those of all rows.

    Parameters
    ----------
    matrix : PackedRows
    weights : float64 (slots,), of mean one over all rows, or empty
    centre, unit : float64 (columns,), see Problem
    """

    def __init__(self, matrix, weights, centre, unit):
        self.matrix, self.threads, self._dense = matrix, 1, None
        self.d, self.offset, self.step = matrix.shape[1], matrix.offset, matrix.step
        self.centre, self.unit = centre, unit
        self._hold(matrix.tiles, len(matrix), weights)

    def _hold(self, tiles, n, weights):
        self.tiles, self.n, self.n_slots, self.weights = tiles, n, tiles.n_tiles * TILE_ROWS, weights
        self.rows = passes.Rows(np.zeros((0, 0), dtype=np.float32), weights.astype(np.float32))

    def taken(self, slots):
        """The same of the rows in some slots, in their order."""
        codes, outliers = scattered(self.tiles, slots)
        tiles = self.matrix.samples.tiles_of(frozen(codes), len(slots), outliers)
        weights = self.weights
        if len(weights):
            weights = np.zeros(tiles.n_tiles * TILE_ROWS)
            weights[: len(slots)] = self.weights[slots]
        other = copy(self)
        other._hold(tiles, len(slots), weights)
        return other

    def moment_sums(self):
        """Weighted sum of products of the scaled columns, and sum of the weights."""
        total = self.unit_weights().sum()
        return total * self.curvature_about(self.centre), total


class SharedProblem(Problem):
    """What is known of all rows of some parts; sums over them are asked for.

    Parameters
    ----------
    n_rows : int
    grid : SumsGrid
    statistics : (mean, deviation, variance), float64 (columns,), of all rows, weighted, in grid steps
    reach : (lowest, highest grid position), of the columns
    centred : bool

    Attributes
    ----------
    moment_sums : callable(tiles) -> sums of `PartProblem.moment_sums` over the rows of tiles 0..tiles-1 of all rows
    """

    def __init__(self, n_rows, grid, statistics, reach, centred):
        self.n, self.d, self.n_slots = n_rows, len(grid.step), -(-n_rows // TILE_ROWS) * TILE_ROWS
        self.offset, self.step, self.is_centred = grid.offset, grid.step, centred
        self.moment_sums = None
        mean, deviation, self.variance = statistics
        self.scale_columns(mean, deviation, *reach)

    def dense_curvature(self, last=None):
        """Second moments of the rows of tiles 0..last-1 of all rows."""
        sums, total = self.moment_sums(self.n_tiles if last is None else last)
        return sums / total
