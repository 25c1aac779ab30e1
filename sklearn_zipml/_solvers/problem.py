"""Step 4: the quadratic problem in the solver's coordinates.

Columns are centred implicitly and scaled by s_j = sqrt(max |a_j - centre_j| * std_j), a diagonal preconditioner
(doc/internals.rst, Solver). With g the stored grid position of a value, its scaled coordinate is (g_j - centre_j) *
unit_j.
The kernels work on z_j = step_j x_j, x being the coefficients in units of X.
"""

from copy import copy

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.matmul import MOST_WEIGHT
from .._kernels.threads import THREAD_TILES, in_threads, run_team
from .._storage.dither import positions_of
from .._storage.finite import listed
from .._storage.statistics import weighted
from .._warnings import warn
from .gram import holds_outliers, integer_weights, second_moments

DENSE_FLOPS = 2e9
DENSE_COLUMNS = 1024
SAMPLE_ROWS = 8192
SMALLEST = 1e-15
LANCZOS = 8
# Rows whose weights are kept in float64: of more they would count beside the packed rows.
MOST_EXACT_ROWS = 1 << 22
SPAN_TILES = 1024
# Of passes with many vectors, for which tiles are decoded once and vectors packed.
MANY_TILES = 256
# Sums over rows are made in so many parts, whatever the number of threads.
PARTS = 8
# Starting threads for a pass over fewer values costs more than they save.
THREADED_VALUES = 1 << 22
# Standard deviations from zero beyond which an uncentred column is warned of.
FAR = 1e4


class Problem:
    """Rows, centres, scales and curvature of min 1/(2n) sum_i w_i (a_i x - y_i)² + alpha/2 |x|².

    Parameters
    ----------
    matrix : PackedRows or FloatRows
    weights : float64 (n_samples,) or None, row weights in row order, all positive
    centred : bool, whether columns are centred (an intercept is fitted)
    threads : int, that passes over many samples are shared out among; nothing depends on it

    Attributes
    ----------
    centre, unit, variance : float64 (n_features,); centre and variance in grid steps
    is_far : bool, whether an uncentred column varies by next to nothing beside its mean
    diagonal : float64 (n_features,), that of the scaled second-moment matrix
    weights : float64 (slots,), or float32 of many rows, mean one, or empty
    """

    def __init__(self, matrix, weights, centred, threads=1):
        self.matrix, self.tiles, self.threads = matrix, matrix.tiles, threads
        self._dense, self.is_centred = None, centred
        self.n, self.d = matrix.shape
        self.n_slots = self.tiles.n_tiles * kernels.TILE_ROWS
        if weights is None:
            self.weights = np.zeros(0, dtype=np.float32)
        else:
            scaled = weights * (self.n / weights.sum())
            exact = np.float64 if self.n <= MOST_EXACT_ROWS else np.float32
            self.weights = matrix.order.to_slots(scaled, self.n_slots, exact)
        self.rows = passes.Rows(np.zeros((0, 0), dtype=np.float32), self.weights.astype(np.float32, copy=False))
        self.offset, self.step = matrix.offset, matrix.step
        mean, deviation, self.variance = self._statistics()
        self.scale_columns(mean, deviation, matrix.low, matrix.high)

    def scale_columns(self, mean, deviation, low, high):
        """Centres and scales of columns of these statistics and lowest and highest positions."""
        self.centre = mean if self.is_centred else -self.offset / self.step
        far = np.flatnonzero((deviation > 0) & (np.abs(mean - self.centre) > FAR * deviation))
        self.is_far = bool(far.size)
        _warn_far(far)
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        spread = np.maximum(np.abs(low - self.centre), np.abs(high - self.centre))
        about = np.hypot(deviation, mean - self.centre)
        size = np.sqrt(spread) * np.sqrt(about)
        # beyond these sizes, far outside what a grid can tell apart from a constant, a column is left out
        used = (size > SMALLEST) & (size < 1 / SMALLEST)
        self.unit = np.divide(1.0, size, out=np.zeros(self.d), where=used)
        self.diagonal = np.where(used, (self.unit * about) ** 2, 0.0)
        self._leave_out(~used)

    def _statistics(self):
        if self.tiles.width == kernels.FLOAT_WIDTH and len(self.weights):
            # rows whose mean is not quite zero would have one direction too many
            return self.exact_mean(), self.matrix.deviation, self.matrix.rounding_variance
        if len(self.weights):
            return weighted(self.matrix, self.unit_weights())
        parts = (self.matrix.mean, self.matrix.deviation, self.matrix.rounding_variance)
        return tuple(np.asarray(part, dtype=np.float64) for part in parts)

    def centre_exactly(self):
        """Take the means of unweighted packed columns anew: what the matrix holds of them are float32."""
        if self.is_centred and self.tiles.width < kernels.FLOAT_WIDTH and not len(self.weights):
            centre = np.where(self.unit > 0, self.exact_mean(), self.centre)
            if self._dense is not None:  # about the mean they are least, by the square of its distance
                moved = self.unit * (centre - self.centre)
                self._dense = self._dense - np.outer(moved, moved)
            self.centre = centre

    def exact_mean(self):
        """Weighted mean grid positions to float64, (n_features,)."""
        weights = self.unit_weights()
        return self.column_sums(weights, limbs=3) / weights.sum()

    def without(self, columns):
        """The same rows, shared, with the coefficients of the columns of a mask fixed at zero."""
        other = copy(self)
        other._leave_out(columns)
        return other

    def _leave_out(self, columns):
        if not columns.any():
            return
        self._dense = None
        self.unit = np.where(columns, 0.0, self.unit)
        self.centre = np.where(columns, 0.0, self.centre)
        self.variance = np.where(columns, 0.0, self.variance)
        self.diagonal = np.where(columns, 0.0, self.diagonal)

    def padded(self, columns):
        """Values of the columns as float32, with zeros for those that fill a tile up."""
        out = np.zeros(self.tiles.padded, dtype=np.float32)
        out[: self.d] = columns
        return out

    @property
    def n_tiles(self):
        """Tiles that the rows fill."""
        return self.n_slots // kernels.TILE_ROWS

    # Products with the data, in grid coordinates

    def column_sums(self, weights, first=0, last=None, limbs=1):
        """sum_i weights_i g_ij over tiles first..last-1; weights in slot order."""
        last = self.tiles.n_tiles if last is None else last
        return passes.row_sums(self.tiles, weights, first, last, limbs)[: self.d]

    def unit_weights(self, first=0, last=None):
        """Weights of the slots of tiles first..last-1, float64: ones for equal weights, zero in padding; mean one.

        They are made when asked for: kept, they would cost 8 bytes a row.
        """
        last = self.tiles.n_tiles if last is None else last
        start, stop = first * kernels.TILE_ROWS, last * kernels.TILE_ROWS
        if len(self.weights):
            return self.weights[start:stop].astype(np.float64)
        weights = np.ones(stop - start)
        weights[max(0, self.n - start) :] = 0
        return weights

    def spans(self, first=0, last=None):
        """Bounds of consecutive runs of tiles, so that passes in float64 hold a few rows at a time."""
        last = self.tiles.n_tiles if last is None else last
        for start in range(first, last, SPAN_TILES):
            yield start, min(start + SPAN_TILES, last)

    def spans_of_many(self, n_vectors):
        """Bounds of runs of tiles with as many float64 vectors of rows at a time, and the slots of their rows."""
        size = max(MANY_TILES, SPAN_TILES // max(1, n_vectors))
        for start in range(0, self.tiles.n_tiles, size):
            end = min(start + size, self.tiles.n_tiles)
            yield (start, end), slice(start * kernels.TILE_ROWS, min(self.n, end * kernels.TILE_ROWS))

    def curvature(self, v, first=0, last=None):
        """H v for the scaled second-moment matrix H = 1/n sum_i w_i a_i a_i', over tiles first..last-1."""
        last = self.tiles.n_tiles if last is None else last
        move = np.zeros(self.tiles.padded)
        move[: self.d] = self.unit * v
        step = passes.Move(self.tiles, move, self.padded(self.centre))
        sums, total = self.sums_of(step, 1, first, last)
        if len(self.weights):
            weight = self.unit_weights(first, last).sum()
        else:
            weight = min(self.n, last * kernels.TILE_ROWS) - first * kernels.TILE_ROWS
        return self.unit * (sums[: self.d] - self.centre * total) / weight

    def sums_of(self, step, limbs, first=0, last=None):
        """sum_i w_i p_i g_ij of the image p of a `passes.Move`, and sum_i w_i p_i."""
        sums, totals = np.zeros((PARTS, self.tiles.padded)), np.zeros(PARTS)

        def add(bounds, first, last):
            step.add(self.tiles, self.rows, bounds, first, last, limbs, sums, totals)

        self.in_parts(add, first, last)
        return sums.sum(axis=0), totals.sum()

    def in_parts(self, work, first=0, last=None):
        """work(bounds, part, end) for PARTS parts of tiles first..last-1, shared out among the threads.

        Part k has tiles bounds[k]..bounds[k + 1]-1. A member should drop the interpreter's lock once for all its parts:
        to get it back in between takes longer than a part.
        """
        last = self.tiles.n_tiles if last is None else last
        bounds = first + (last - first) * np.arange(PARTS + 1) // PARTS
        small = (last - first) * kernels.TILE_ROWS * self.tiles.padded < THREADED_VALUES
        threads = 1 if small else min(self.threads, PARTS)
        run_team(threads, lambda member: work(bounds, PARTS * member // threads, PARTS * (member + 1) // threads))

    # Constants of the step sizes

    def largest_norm(self):
        """Largest weighted squared norm of a scaled row; with fewer than 8 bits, squares may be rounded to 1/255."""
        norms = self._norms_by_table() if self.tiles.width < 8 else self._norms
        more = self._norms_of_outliers()

        def largest(first, last):
            found = [0.0]
            for start in range(first, last, SPAN_TILES):  # never an array of all rows
                slot = start * kernels.TILE_ROWS
                some = norms(start, min(start + SPAN_TILES, last))[: self.n - slot]
                some = some if more is None else some + more[slot : slot + len(some)]
                if len(self.weights):
                    some = some * self.weights[slot : slot + len(some)]
                found.append(float(some.max(initial=0)))
            return max(found)

        return max(in_threads(largest, self.tiles.n_tiles, THREAD_TILES, self.threads))

    def mean_norm(self):
        """Mean of the same, over rows."""
        return float(self.diagonal.sum())

    def _norms(self, first, last):
        return passes.row_norms(self.tiles, self.padded(self.centre), self.padded(self.unit), first, last)

    def _norms_of_outliers(self):
        """What outliers add to the squared norms of rows, (slots,), or None."""
        outliers = self.tiles.outliers if self.tiles.width < kernels.FLOAT_WIDTH else None
        if outliers is None:
            return None
        slots, columns, differences = outliers.decoded()
        about, differences = self.matrix.outlier_bases - self.centre[columns], differences.astype(np.float64)
        return np.bincount(slots, self.unit[columns] ** 2 * differences * (2 * about + differences), self.n_slots)

    def _norms_by_table(self):
        """Squared norms as products with a matrix that has the same codes for the squares of values."""
        table = self.matrix.table.copy()
        positions = positions_of(table[: self.d]) if self.matrix.scheme.is_dithered else table[: self.d]
        square = (positions - self.centre[:, None]) ** 2
        largest = square.max(axis=1, keepdims=True, initial=0)
        share = np.divide(255 * square, largest, out=np.zeros(square.shape), where=largest > 0)
        positions[:] = np.rint(share)  # a view of the table, which has the multipliers of known dither besides
        squares = kernels.Tiles(self.matrix.codes, table.reshape(-1), self.n, self.d, self.tiles.format)
        z = self.unit**2 * largest[: self.d, 0] / 255

        return lambda first, last: passes.products(squares, z, first, last, 1)

    def scaled_block(self, first, last, centre=None):
        """Scaled rows of tiles first..last-1, less a centre, times the root of their weights, float64."""
        centre = self.centre if centre is None else centre
        if self.tiles.width == kernels.FLOAT_WIDTH:
            rows = self.tiles.floats[first:last, : self.d].transpose(0, 2, 1).reshape(-1, self.d)
            rows = rows[: self.n - first * kernels.TILE_ROWS]
        else:
            rows = self.tiles.positions(first, last)
        rows = (rows - centre) * self.unit
        return rows * np.sqrt(self.unit_weights(first, last)[: len(rows)])[:, None] if len(self.weights) else rows

    def dense_curvature(self, last=None):
        """H of tiles 0..last-1 as a float64 array; that of all is kept."""
        if last is not None and last < self.tiles.n_tiles:
            return self._gram(last, self.centre)
        if self._dense is None:
            self._dense = self._gram(self.tiles.n_tiles, self.centre)
        return self._dense

    def curvature_about(self, mean):
        """Second moments of the scaled columns about other centres, float64 (columns, columns)."""
        return self._gram(self.tiles.n_tiles, mean)

    def _gram(self, last, centre):
        weights = self._integer_weights()
        if self.tiles.width < kernels.FLOAT_WIDTH and (weights is not None or not len(self.weights)):
            moments = second_moments(self.tiles, last, centre, self.threads, weights)
            moments *= self.unit  # in place: matrices of many columns take long to get memory for
            moments *= self.unit[:, None]
            return moments
        gram, total = np.zeros((self.d, self.d)), self.unit_weights(0, last).sum()
        chunk = max(1, (1 << 22) // (kernels.TILE_ROWS * 8 * max(1, self.d)))
        for first in range(0, last, chunk):
            block = self.scaled_block(first, min(first + chunk, last), centre)
            gram += block.T @ block
        return gram / total

    def _integer_weights(self):
        """Weights as integers, where they are fine enough and second moments in float64 would take long.

        Matrices that are cheap stay exact: the compensation and the gap take them as they are, without refinement.
        """
        is_large = self.tiles.width < kernels.FLOAT_WIDTH and float(self.n) * self.d**2 > DENSE_FLOPS
        if not len(self.weights) or not is_large or not holds_outliers(self.tiles.outliers, MOST_WEIGHT):
            return None
        return integer_weights(self.weights, self.n)

    @property
    def has_rounded_weights(self):
        """Whether the weights of the second moments are integers: off by 1e-6 at most."""
        return self._integer_weights() is not None

    def sample_tiles(self, least=SAMPLE_ROWS, by_column=4):
        """Number of tiles whose rows stand for all in an estimate of the curvature."""
        return min(self.n_tiles, max(least, by_column * self.d) // kernels.TILE_ROWS)

    def is_dense_cheap(self):
        """Whether the whole second-moment matrix costs no more than a few passes."""
        return is_dense_cheap(self.n, self.d)

    def largest_curvature(self):
        """Largest eigenvalue of H, from a sample of tiles, by Lanczos iterations or exactly."""
        if self.d == 0 or not self.unit.any():
            return 1.0
        value = self._largest_of_sample(self.sample_tiles())
        return value if value > 0 else 1.0

    def _largest_of_sample(self, last):
        if self.d <= 128:
            return float(np.linalg.eigvalsh(self.dense_curvature(last))[-1])
        start = np.random.default_rng(0).standard_normal(self.d) * (self.unit > 0)
        if not self.curvature(start, 0, last).any():
            return 0.0
        operator = LinearOperator((self.d, self.d), lambda v: self.curvature(v.reshape(-1), 0, last), dtype=np.float64)
        # as a rule it ends at its first check, a hundredth below the eigenvalue
        found = eigsh(operator, 1, which="LA", v0=start, ncv=LANCZOS, tol=0.1, return_eigenvectors=False)
        return 1.05 * float(found[0])


def is_dense_cheap(n_rows, n_columns):
    """Whether second moments of so many rows are taken whole."""
    return n_columns <= DENSE_COLUMNS and float(n_rows) * n_columns**2 <= DENSE_FLOPS


def _warn_far(columns):
    """Warn of uncentred columns that vary by next to nothing beside their distance from zero."""
    if columns.size:
        warn(
            f"fit_intercept=False, and column(s) {listed(columns)} of X lie farther from zero than {FAR:g} standard "
            "deviations: what they vary by is lost in what they share. Centre them, or set fit_intercept=True.",
        )
