"""What rounding the rows is estimated to cost a fitted model on new rows, from the packed rows and the fit alone.

With D the rounding variance, w the model and n the rows, three things add up (doc/user_guide/mathematics, Estimated
loss): residuals on packed rows have w'Dw more variance, which the degrees of freedom carry into the model; the second
moments have noise of their own, which adds degrees of freedom; and what is left of the bias pulls the model.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from .._kernels.threads import one_blas_thread
from .compensation import independent_rows
from .factor import Factor
from .spread import rounding_variance

# Rows by column, and rows at least, that products with the inverse are taken from where there is no dense matrix.
SAMPLE_BY_COLUMN, SAMPLE_ROWS = 8, 8192
# Of conjugate gradients: against 300 steps with all rows the loss is up to a fifth less (doc/user_guide/mathematics).
STEPS, ACCURACY = 15, 0.1
# Columns of matrices for which BLAS starts no threads.
TINY = 32
# Targets whose bias is solved for; that of others is in proportion.
MOST_SOLVED = 8
# Part of the rows that the degrees of freedom leave at least, for them to tell anything.
LEAST_LEFT = 0.02
# Variance of targets, as a part of their mean square, that is none.
CONSTANT = 1e-12


@dataclass(frozen=True)
class FittedMoments:
    """What a least-squares fit was made from, in the columns that it used, in any scale.

    Attributes
    ----------
    inverse : WholeInverse or SolvedInverse, A, of the second moments H + ridge - tau D + lift lift'
    noise, ridge : float64 (columns,), D and the l2 penalty
    tau : float, part of D that was subtracted
    lift : float64 (columns, directions)
    rows : float, as many independent ones as there are
    """

    inverse: object
    noise: np.ndarray
    ridge: np.ndarray
    tau: float
    lift: np.ndarray
    rows: float

    @np.errstate(over="ignore", invalid="ignore")  # `part_of` looks at what is beyond floats
    def loss(self, models, squares):
        """Estimated loss in squared units of the targets, float64 (targets,), not negative.

        Parameters
        ----------
        models : float64 (targets, columns)
        squares : float64 (targets,), mean squared residuals on the packed rows
        """
        from_noise = models**2 @ self.noise
        found = self.inverse.traces(self.noise, self.ridge, self.tau, self.lift)
        left, left_exact = (1 - (self.inverse.rank - trace + 1) / self.rows for trace in (found.all, found.ridge))
        if not min(left, left_exact) > LEAST_LEFT:
            return from_noise  # rows that are all but interpolated tell nothing more
        # by row: degrees of freedom on new packed rows, on exact rows, and those of a fit to exact rows
        packed = max(0.0, (1 - left) / left - found.all_within / (self.rows * left**2))
        clean = max(0.0, packed - found.noise_within / self.rows)
        exact = (1 - left_exact) / left_exact - found.ridge_within / (self.rows * left_exact**2)
        bias = self._bias(models, (left - self.tau) * self.noise)
        variance = squares / left**2 / (1 + packed)
        spread = np.clip(from_noise - variance * found.noise_within / self.rows, 0, variance)
        residual = np.maximum(variance - spread - bias, 0)
        return (variance - residual) * clean + residual * max(0.0, clean - exact) + bias

    def _bias(self, models, kept):
        """What the part `kept` of D, and the lift, which full precision has not, take off the models."""
        pull = models * kept + (models @ self.lift) @ self.lift.T
        moved = self.inverse.of(pull)
        shrunk = self.ridge * self.inverse.diagonal
        own = (moved * pull - self.ridge * moved**2).sum(axis=1)
        with_ridge = 2 * (moved * models) @ (self.ridge * np.maximum(0, 1 - shrunk))
        return np.maximum(own + with_ridge, 0)


@dataclass(frozen=True)
class Traces:
    """Traces of products with the inverse A; M is all that was added to H, and G what is left of H without ridge.

    all : tr A M; all_within : tr A H A M; noise_within : tr A H A D; ridge : tr A ridge; ridge_within : tr A G A ridge.
    """

    all: float
    all_within: float
    noise_within: float
    ridge: float
    ridge_within: float


class WholeInverse:
    """The inverse of a dense matrix, columns with a diagonal of zero left out.

    Attributes
    ----------
    rank : int
    diagonal : float64 (columns,), its own
    """

    def __init__(self, matrix):
        factor = Factor(matrix, np.ones(len(matrix)))
        self._inverse = factor.solve(np.eye(len(matrix)))
        self.diagonal = np.diag(self._inverse)
        self.rank = int((np.diag(matrix) > 0).sum()) - factor.n_left_out

    def of(self, right):
        """Solutions for right sides (targets, columns)."""
        return right @ self._inverse

    def traces(self, noise, ridge, tau, lift):
        """The Traces."""
        added, squares, lifted = ridge - tau * noise, self._inverse**2, self._inverse @ lift
        along = (lifted**2).sum(axis=1)
        twice = added @ squares @ added + 2 * added @ along + ((lift.T @ lifted) ** 2).sum()
        total, of_ridge = self.diagonal @ added + (lift * lifted).sum(), self.diagonal @ ridge
        of_noise = self.diagonal @ noise - noise @ squares @ added - noise @ along
        return Traces(total, total - twice, of_noise, of_ridge, of_ridge - ridge @ squares @ ridge)


class SolvedInverse:
    """Products with the inverse by conjugate gradients, and traces from one vector of random signs.

    Of many columns one such vector tells a trace to a few percent.

    Parameters
    ----------
    apply : callable, product of a vector with the matrix
    diagonal : float64 (columns,), that of the matrix
    size : float, what the inverse is multiplied by

    Attributes
    ----------
    rank, diagonal : see `WholeInverse`; the diagonal is that of a diagonal matrix
    """

    def __init__(self, apply, diagonal, size=1.0):
        d = len(diagonal)
        self._size, self._matrix = size, LinearOperator((d, d), apply, dtype=np.float64)
        inverse = np.divide(1.0, diagonal, out=np.zeros(d), where=diagonal > 0)
        self._conditioner = LinearOperator((d, d), lambda v: inverse * v, dtype=np.float64)
        self.rank, self.diagonal = int((diagonal > 0).sum()), size * inverse

    def _solve(self, right):
        if not right.any():
            return np.zeros(len(right))
        return self._size * cg(self._matrix, right, rtol=ACCURACY, maxiter=STEPS, M=self._conditioner)[0]

    def of(self, right):
        """Solutions for right sides (targets, columns)."""
        rough = right * self.diagonal
        solved = np.array([self._solve(row) for row in right[:MOST_SOLVED]])
        size, found = (rough[:MOST_SOLVED] * right[:MOST_SOLVED]).sum(), (solved * right[:MOST_SOLVED]).sum()
        return np.concatenate([solved, rough[MOST_SOLVED:] * (found / size if size > 0 else 1.0)])

    def traces(self, noise, ridge, tau, lift):
        """The Traces, those of the ridge from the diagonal; there is no lift."""
        signs = np.where(np.random.default_rng(0).random(len(noise)) < 0.5, -1.0, 1.0)
        image = self._solve(np.sqrt(noise) * signs)
        share = np.minimum(1, self.diagonal * ridge)
        once, twice = np.sqrt(noise) * signs @ image, image @ (noise * image)
        both = image @ (ridge * image)
        of_ridge, ridge_twice = share.sum(), share @ share
        total = of_ridge - tau * once
        all_twice = ridge_twice - 2 * tau * both + tau**2 * twice
        return Traces(total, total - all_twice, once - both + tau * twice, of_ridge, of_ridge - ridge_twice)


def rounding_loss(quadratic, z, objective):
    """Estimated part of the variance of each target that rounding makes a model lose on new rows, float64 (targets,).

    Parameters
    ----------
    quadratic : Quadratic
    z : float64 (targets, columns), its minimum or near it
    objective : float64 (targets,), there
    """
    problem = quadratic.problem
    noise = rounding_variance(problem) * problem.unit**2
    squares, variance = _second_moments(quadratic)
    loss = np.zeros(len(z))
    if noise.any() and z.any():
        models = np.divide(z, problem.unit, out=np.zeros_like(z), where=problem.unit > 0)
        residual = np.maximum(0, 2 * (objective - quadratic.penalty(z)))
        used = z.any(axis=0) if quadratic.has_l1 else problem.unit > 0
        # small products, for which several threads take longer to meet than they save, and tiny ones have one anyway
        with one_blas_thread() if used.sum() > TINY else nullcontext():
            moments = _moments(quadratic, noise, used)
            loss = models**2 @ noise if moments is None else moments.loss(models[:, used], residual)
    return part_of(loss, variance, squares)


def part_of(loss, variance, squares):
    """A loss in parts of the variance of targets: none where these are constant, and no more than all of it.

    Of targets whose squares are beyond floats nothing is known, which counts as all, as long as anything was rounded.
    """
    known = variance > CONSTANT * squares
    with np.errstate(over="ignore", invalid="ignore"):
        part = np.divide(loss, variance, out=np.zeros(len(loss)), where=known)
    part[(loss != 0) & ~np.isfinite(squares)] = 1.0
    return np.nan_to_num(part, nan=1.0).clip(0, 1)


def _second_moments(quadratic):
    """Mean squares of the targets, and their variances."""
    problem, squares = quadratic.problem, 2 * quadratic.at_zero
    if problem.is_centred:
        return squares, squares
    weights = problem.unit_weights()[: problem.n]
    mean = quadratic.row_targets @ weights / weights.sum()
    return squares, squares - mean**2


def _moments(quadratic, noise, used):
    """The FittedMoments, or None where there are fewer rows than columns."""
    problem, tau = quadratic.problem, quadratic.tau
    rows = independent_rows(problem, problem.tiles.n_tiles)
    if rows <= used.sum() + 1:
        return None
    noise, ridge = noise[used], quadratic.ridge[used]
    if problem.is_dense_cheap():
        inverse = WholeInverse(quadratic.matrix()[np.ix_(used, used)])
        return FittedMoments(inverse, noise, ridge, tau, quadratic.lift[used], rows)
    inverse = _solved_inverse(quadratic, noise, used, rows)
    return FittedMoments(inverse, noise, ridge, tau, np.zeros((len(noise), 0)), rows)


def _solved_inverse(quadratic, noise, used, rows):
    """The inverse by products with rows: with those of a sample, whose noise makes it larger than that of all.

    With a penalty M it is, on the mean, about that of left times the second moments of all rows there may be, plus M;
    `left` is the part of the rows that degrees of freedom leave. So M times the ratio of the two gives the same but
    for that ratio (Marchenko and Pastur).
    """
    problem, ridge = quadratic.problem, quadratic.ridge[used]
    added, last = ridge - quadratic.tau * noise, problem.sample_tiles(SAMPLE_ROWS, SAMPLE_BY_COLUMN)
    own = problem.diagonal[used]
    freedom = np.divide(own, own + added, out=np.zeros(len(own)), where=own + added > 0).sum() + 1
    sampled = independent_rows(problem, last)
    ratio = max(0.0, 1 - freedom / sampled) / max(1 - freedom / rows, LEAST_LEFT)
    return SolvedInverse(partial(_product, problem, used, ratio * added, last), own + ratio * added, ratio)


def _product(problem, used, added, last, v):
    v = np.ravel(v)
    whole = np.zeros(problem.d)
    whole[used] = v
    return problem.curvature(whole, 0, last)[used] + added * v
