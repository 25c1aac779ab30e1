"""Least squares in chunks: the second moments of the rows seen, and the minimum of the objective that they give.

The moments are those of stored samples, so they carry the bias that rounding leaves on their diagonal; it is counted
and subtracted as in `fit` (see `compensation`). One chunk has the objective of `fit` on its rows. Of rows that were
packed together they are sums of integers: any division of these into chunks, in any order, gives the same bits.
"""

from copy import copy
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from .._storage.packed_rows import PackedRows
from .compensation import Compensation, dense_compensation, dense_ratio, noisy_columns, tau_of
from .factor import Factor
from .float_moments import FloatMoments
from .packed_sums import NOISE_STEPS, PackedSums, noise_by_code
from .problem import DENSE_COLUMNS, is_dense_cheap
from .rounding_loss import FittedMoments, SolvedInverse, WholeInverse, part_of

MOST_COLUMNS = 8192
# Exponent of two of weights beyond which their squares, and products, leave the range of float64: rows of these are
# joined in floats.
MOST_EXPONENT = 300
SLIGHTEST = 1e-12  # noise, as a part of a column's curvature, of which nothing is worth subtracting


@dataclass(frozen=True)
class SumsGrid:
    """What sums of packed rows stand for: rows of the same one were packed together, or as if they had been.

    Attributes
    ----------
    digest : bytes, of all that has to be the same
    offset, step : float64 (columns,)
    noise_by_code : float64 (columns, codes), see `PackedSums.noise`
    collision_probability : float, see `duplicates`
    """

    digest: bytes
    offset: np.ndarray
    step: np.ndarray
    noise_by_code: np.ndarray
    collision_probability: float

    @classmethod
    def of(cls, packed):
        """That of PackedRows."""
        noise, collision = noise_by_code(packed), float(packed.collision_probability[0])
        digest = sha256(repr((packed.scheme, collision)).encode())
        for array in (packed.offset, packed.step, packed.used, packed.table, packed.grid_levels, noise):
            digest.update(np.ascontiguousarray(array).tobytes())
        return cls(digest.digest(), packed.offset, packed.step, noise, collision)

    def float_moments(self, sums):
        """What the sums are in units of X."""
        d, weight, centre = sums.d, sums.weight, sums.mean()
        moments, noise = sums.second_moments(centre), sums.noise(self.noise_by_code)
        cross, level, squares = sums.cross_moments(centre)
        ratio = self._noise_ratio(sums, noise, np.diag(moments))
        scatter = np.zeros((d + sums.n_outputs, d + sums.n_outputs))
        with np.errstate(over="ignore", invalid="ignore"):  # `minimum` looks at them
            scatter[:d, :d] = moments * (weight * self.step) * self.step[:, None]
            scatter[d:, :d] = cross * (weight * self.step)
            diagonal = weight * np.maximum(squares - level**2, 0)
            noise = weight * noise * self.step**2
        scatter[:d, d:] = scatter[d:, :d].T
        scatter[np.arange(d, d + sums.n_outputs), np.arange(d, d + sums.n_outputs)] = diagonal
        mean = np.concatenate([self.offset + self.step * centre, level])
        return FloatMoments(sums.n_rows, weight, mean, scatter, noise, sums.n_rows**2 * ratio)

    def _noise_ratio(self, sums, noise, variance):
        """See `compensation.noise_ratio`; here of all rows, so that no division of them counts."""
        noisy = noisy_columns(np.divide(noise, variance, out=np.zeros(sums.d), where=variance > 0))
        count = int(noisy.sum())
        if not count:
            return 0.0
        spread = 1.0
        if sums.noise_products.size:
            size = self.noise_by_code.max(axis=1) / NOISE_STEPS / np.where(noisy, noise, np.inf)
            spread = float(size @ sums.noise_products @ size) / sums.n_rows / count**2
        own = 1 / sums.effective_rows
        return count * max(1.0, spread) * (own + (1 - own) * self.collision_probability)


@dataclass(frozen=True)
class Fitted:
    """What the minimum was found from, in columns scaled to about one.

    Attributes
    ----------
    matrix : float64 (columns, columns), second moments with ridge, less the compensation
    ridge : float64 (columns,)
    taken : Compensation
    rows : float, independent ones
    models : float64 (outputs, columns)
    residual, squares, variance : float64 (outputs,), of the targets, mean squares of what is left of them, and theirs
    """

    matrix: np.ndarray
    ridge: np.ndarray
    taken: Compensation
    rows: float
    models: np.ndarray
    residual: np.ndarray
    squares: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Solution:
    """Coefficients (outputs, features), intercepts, and their objective summed over outputs."""

    coef: np.ndarray
    intercept: np.ndarray
    objective: float
    fitted: Fitted

    def rounding_loss(self):
        """See `rounding_loss.rounding_loss`."""
        fitted, noise = self.fitted, self.fitted.taken.noise
        loss = np.zeros(len(self.coef))
        if noise.any():
            models, d = fitted.models, len(noise)
            if fitted.rows <= d + 1:
                with np.errstate(over="ignore", invalid="ignore"):  # `part_of` looks at them
                    loss = models**2 @ noise
            else:
                matrix, lift = fitted.matrix, fitted.taken.lift
                whole = d <= DENSE_COLUMNS or lift.size
                inverse = WholeInverse(matrix) if whole else SolvedInverse(matrix.__matmul__, np.diag(matrix))
                moments = FittedMoments(inverse, noise, fitted.ridge, fitted.taken.tau, lift, fitted.rows)
                loss = moments.loss(models, np.maximum(0, fitted.residual))
        return part_of(loss, fitted.variance, fitted.squares)


class NormalEquations:
    """Moments of all rows seen, and the minimum that they give.

    Methods leave the arrays of an object as they are, so that a copy of it is a state to go back to.

    Parameters
    ----------
    n_columns, n_outputs : int
    seed : int, 64 bits, of the first chunk's draws

    Attributes
    ----------
    n_chunks : int
    """

    def __init__(self, n_columns, n_outputs, seed):
        if n_columns > MOST_COLUMNS:
            raise ValueError(
                f"partial_fit keeps n_features² numbers, for at most {MOST_COLUMNS} features, but X has {n_columns}: "
                "pack all chunks with PackedMatrix.from_chunks and call fit."
            )
        self.d, self.seed, self.n_chunks = n_columns, seed, 0
        # of rows of all grids but the last, and sums of those of the last
        self._settled, self._grid, self._sums = FloatMoments.of_nothing(n_columns, n_outputs), None, None

    def __setstate__(self, state):
        if "scatter" in state:  # of a version that had floats only
            named = {name: state[name] for name in ("n_rows", "total", "mean", "scatter", "noise")}
            settled = FloatMoments(**named, noisy_rows=state["_noisy_rows"])
            state = {name: state[name] for name in ("d", "seed", "n_chunks")}
            state |= {"_settled": settled, "_grid": None, "_sums": None}
        vars(self).update(state)

    def add(self, rows, targets, weights, threads=1):
        """Take rows into account.

        Parameters
        ----------
        rows : PackedRows, or array that is not to be rounded, (rows, features)
        targets : float64 (rows, outputs)
        weights : float64 (rows,), all positive
        threads : int; nothing depends on it
        """
        self.n_chunks += 1
        if isinstance(rows, PackedRows):
            exponent, grid = int(np.frexp(weights.max())[1]), SumsGrid.of(rows)
            is_far = abs(exponent) > MOST_EXPONENT
            weights = weights * 2.0**-exponent if is_far else None if np.all(weights == 1) else weights
            sums = PackedSums.of(rows, targets, weights, threads, with_noise_products=True)
            if is_far:
                self._settled = self._settled.joined(grid.float_moments(sums).scaled(2.0**exponent))
            else:
                self._add_sums(grid, sums)
        else:
            self._settled = self._settled.joined(FloatMoments.of_array(rows, targets, weights))

    def merge(self, other):
        """The normal equations of the rows of both, exact for rows of the same grid.

        Parameters
        ----------
        other : NormalEquations of as many columns and outputs

        Returns
        -------
        NormalEquations, with the seed of this one
        """
        mine, others = self._settled, other._settled
        if mine.scatter.shape != others.scatter.shape or self.d != other.d:
            raise ValueError(
                f"normal equations of {mine.mean.shape} and {others.mean.shape} numbers are not to be merged"
            )
        out = copy(self)
        out.n_chunks, out._settled = self.n_chunks + other.n_chunks, mine.joined(others)
        if other._sums is not None:
            out._add_sums(other._grid, other._sums)
        return out

    def of_outputs(self, outputs):
        """The normal equations of some of the targets, an index array."""
        out = copy(self)
        out._settled = self._settled.of_outputs(self.d, outputs)
        out._sums = None if self._sums is None else self._sums.of_outputs(outputs)
        return out

    def _add_sums(self, grid, sums):
        if self._sums is not None and (self._grid.digest != grid.digest or self._sums.is_full):
            self._settled, self._sums = self._seen(), None
        self._grid, self._sums = grid, sums if self._sums is None else self._sums + sums

    def _seen(self):
        """Moments of all rows."""
        return self._settled if self._sums is None else self._settled.joined(self._grid.float_moments(self._sums))

    @property
    def nbytes(self):
        """Memory of the moments."""
        return self._settled.scatter.nbytes + (0 if self._sums is None else self._sums.nbytes)

    @property
    def n_rows(self):
        """Number of rows."""
        return self._settled.n_rows + (0 if self._sums is None else self._sums.n_rows)

    @property
    def total(self):
        """Sum of their weights."""
        return float(self._settled.total + (0.0 if self._sums is None else self._sums.weight))

    @property
    def n_outputs(self):
        """Number of targets."""
        return len(self._settled.mean) - self.d

    def minimum(self, alpha, centred, dtype):
        """The minimum of the objective.

        Parameters
        ----------
        alpha : float, ridge penalty on coefficients in units of X
        centred : bool, whether an intercept is fitted
        dtype : dtype that the coefficients will have

        Returns
        -------
        Solution
        """
        seen = self._seen()
        self._check_range(seen)
        moments = seen.scatter / seen.total
        if not centred:
            moments = moments + np.outer(seen.mean, seen.mean)
        gram, cross, square = moments[: self.d, : self.d], moments[: self.d, self.d :], moments[self.d :, self.d :]
        scale = np.sqrt(np.diag(gram) + alpha)
        used = scale > 1e-15 * np.abs(seen.mean[: self.d])
        used &= scale > 0
        scale = np.where(used, scale, 1.0)
        scaled = gram / scale[:, None] / scale
        ridge, noise = alpha / scale**2, np.where(used, seen.noise / seen.total / scale**2, 0.0)
        noise[noise < SLIGHTEST] = 0
        taken = _compensation(scaled + np.diag(ridge), noise, seen)
        scaled[np.diag_indices(self.d)] += ridge - taken.tau * noise
        scaled += taken.lift @ taken.lift.T
        coef = np.zeros((self.d, cross.shape[1]))
        factor = Factor(scaled[np.ix_(used, used)], 1 / scale[used] ** 2)
        coef[used] = factor.least_norm(factor.solve((cross / scale[:, None])[used].T)).T / scale[used, None]
        coef = coef.astype(dtype).astype(np.float64)  # the intercept goes with what coef_ will hold
        intercept = seen.mean[self.d :] - seen.mean[: self.d] @ coef if centred else np.zeros(cross.shape[1])
        in_scale = coef * scale[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            quadratic = (in_scale * (scaled @ in_scale)).sum()
            loss = float(np.trace(square) - 2 * (coef * cross).sum() + quadratic) / 2
            residual = np.diag(square) - 2 * (coef * cross).sum(axis=0) + ((gram @ coef) * coef).sum(axis=0)
        targets = np.diag(square), np.diag(seen.scatter)[self.d :] / seen.total
        fitted = Fitted(scaled, ridge, taken, _independent_rows(seen, noise), in_scale.T, residual, *targets)
        return Solution(coef.T, intercept, loss if np.isfinite(loss) else np.finfo(np.float64).max, fitted)

    def _check_range(self, seen):
        """Refuse columns whose squares leave the range of float64, which is known when all rows are."""
        sums = seen.scatter[: self.d]
        far = np.flatnonzero(~(np.isfinite(sums).all(axis=1) & np.isfinite(seen.noise)))
        if far.size:
            raise ValueError(
                f"partial_fit keeps sums of squares and products of X and y, and those of column {far[0]} of X exceed "
                "the range of float64: rescale X or y."
            )


def _compensation(curvature, noise, seen):
    """That of `fit` on as many rows, on dense moments."""
    noisy = noisy_columns(noise)
    if not noisy.any():
        return Compensation.even(0.0, noise)
    ratio = seen.noisy_rows / seen.n_rows**2
    if ratio < 0.25 and is_dense_cheap(seen.n_rows, len(noise)):
        return dense_compensation(curvature, noise, noisy, ratio)
    return Compensation.even(tau_of(ratio, lambda: dense_ratio(curvature, noise, noisy)), noise)


def _independent_rows(seen, noise):
    """Rows, less what repeated ones and heavy tails take off them: those of the ratio that the compensation goes by."""
    count = noisy_columns(noise).sum()
    return seen.n_rows if not count else min(seen.n_rows, count * seen.n_rows**2 / seen.noisy_rows)


Moments = NormalEquations  # their name in pickles of older versions
