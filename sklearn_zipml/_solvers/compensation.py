"""How much of the rounding variance may be subtracted from a stored sample.

The bias of the second-moment matrix of one stored draw is the known diagonal D. The noise of a finite sample is not
exactly D, though: subtracting all of it can leave a matrix with negative eigenvalues. So a part of it is subtracted,
and curvature is kept in the few directions where that leaves next to nothing. doc/internals tells how the rule was
found.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.lapack import dsygvd

from .._kernels.threads import in_threads, lapack
from .._kernels.tiles import TILE_ROWS
from .._storage.duplicates import effective_rows
from .._storage.statistics import code_noise

SAMPLE_TILES = 64
LOOKUP_TILES = 16  # that a thread is given at least
# Rows a column, steps, and relative residual of an estimate of the smallest ratio of wide matrices.
SAMPLE_BY_COLUMN = 8
LANCZOS_STEPS = 40
# What of tau need not be known: the search for the smallest ratio ends where it is.
NEAR_TAU = 0.05
# Columns with at most this part of noise need no search.
SLIGHT = 0.03
# Directions that fall short by less are left to the next epoch.
LEAST_GAIN = 1.02
NEAR = 0.02


@dataclass(frozen=True)
class Compensation:
    """What is taken off the second moments H + ridge: tau D - lift lift'.

    Attributes
    ----------
    tau : float from 0 to 1
    lift : float64 (n_features, directions), in the scaled columns
    directions, gains : float64 (n_features, directions) and (directions,)
        Directions, orthonormal in units of D, and how many times less curvature they have than H + ridge. A step to a
        minimum of that is so many times too short.
    noise : float64 (n_features,), D
    """

    tau: float
    lift: np.ndarray
    directions: np.ndarray
    gains: np.ndarray
    noise: np.ndarray

    @classmethod
    def even(cls, tau, noise):
        """The same part of D in every direction."""
        none = np.zeros((len(noise), 0))
        return cls(tau, none, none, np.zeros(0), noise)

    def completed(self, move):
        """A move (targets, n_features) to a minimum with the curvature of H + ridge, made one to that with all."""
        return move + (move * self.noise) @ self.directions * (self.gains - 1) @ self.directions.T


def compensation(problem, ridge, diagonal=False):
    """The Compensation of a problem, R being the ratio of noisy columns to rows (`noise_ratio`).

    Where the second-moment matrix is cheap it is that of `dense_compensation`. Else, or if it has to be diagonal, tau =
    min(1 - 4 R, mu - sqrt(R)), not below 0, and nothing is lifted. mu is the smallest generalized eigenvalue of
    (H + ridge, D), columns without noise eliminated; where no column has much noise, it is taken to be as small as that
    of nothing but noise, (1 - sqrt(R))², for any tau will do. As rows are added all of that goes to 1: no bias stays.

    Parameters
    ----------
    problem : Problem
    ridge : float64 (n_features,), diagonal in the scaled columns
    diagonal : bool

    Returns
    -------
    Compensation
    """
    noise = problem.variance * problem.unit**2
    noisy = noisy_columns(noise)
    if not noisy.any():
        return Compensation.even(0.0, noise)
    ratio = noise_ratio(problem, noisy)
    if not problem.is_dense_cheap() and np.all(noise <= SLIGHT * (problem.diagonal + ridge)):
        return Compensation.even(tau_of(ratio, lambda: (1 - np.sqrt(ratio)) ** 2), noise)
    if diagonal or ratio >= 0.25 or not problem.is_dense_cheap():
        return Compensation.even(tau_of(ratio, lambda: smallest_ratio(problem, ridge, noise, noisy, ratio)), noise)
    return dense_compensation(problem.dense_curvature() + np.diag(ridge), noise, noisy, ratio)


def dense_compensation(gram, noise, noisy, ratio):
    """The Compensation of a dense matrix H + ridge, R below 1 / 4.

    tau = 1 - 4 R. In units of D, a direction of generalized eigenvalue l has l - tau left, and is lifted to
    min(2 sqrt(R), mu) where that is more. l is not known better: the eigenvalues of pure noise spread over
    1 - 2 sqrt(R) to 1 + 2 sqrt(R), but for R itself (Marchenko and Pastur).
    """
    tau, floor = tau_and_floor(ratio)
    matrix = in_units_of_noise(gram, noise, noisy)
    if lapack(np.linalg.eigvalsh, matrix)[0] >= tau + floor:
        return Compensation.even(tau, noise)
    values, vectors = lapack(np.linalg.eigh, matrix)
    floor = min(floor, max(values[0], 0.0))
    directions = _directions(vectors, noise, noisy)
    lift = _lift_of(values, directions, noise, tau, floor)
    gains = values / np.maximum(values - tau, floor) if floor > 0 else np.ones(len(values))
    used = gains > LEAST_GAIN
    return Compensation(tau, lift, directions[:, used], gains[used], noise)


def lift(gram, noise, noisy, ratio):
    """The lift of `dense_compensation` alone, where it is known that there is one."""
    tau, floor = tau_and_floor(ratio)
    matrix = in_units_of_noise(gram, noise, noisy)
    values, vectors = lapack(eigh, matrix, subset_by_value=(-np.inf, tau + floor))
    floor = min(floor, max(values[0], 0.0)) if values.size else floor
    return _lift_of(values, _directions(vectors, noise, noisy), noise, tau, floor)


def tau_and_floor(ratio):
    """The part of D that is subtracted, and what is left of a direction at least, if it has so much; R below 1 / 4."""
    return 1 - 4 * ratio, 2 * np.sqrt(ratio)


def _directions(vectors, noise, noisy):
    """Eigenvectors in units of the columns, float64 (columns, vectors)."""
    directions = np.zeros((len(noise), vectors.shape[1]))
    directions[noisy] = vectors / np.sqrt(noise[noisy])[:, None]
    return directions


def _lift_of(values, directions, noise, tau, floor):
    """What lifts the eigenvalues below it to the floor, float64 (columns, such directions)."""
    low = values - tau < floor
    return noise[:, None] * directions[:, low] * np.sqrt(floor + tau - values[low])


def bounded_compensation(problem, ridge, noise, tau):
    """At most tau of D, and at most 0.9 of the smallest ratio of the whole dense matrix."""
    matrix = problem.dense_curvature() + np.diag(ridge)
    return Compensation.even(max(0.0, min(tau, 0.9 * dense_ratio(matrix, noise, noisy_columns(noise)))), noise)


def noisy_columns(noise):
    """Mask of the columns whose rounding variance, on the scaled columns, counts beside the largest."""
    return noise > 1e-9 * noise.max(initial=0)


def tau_of(ratio, smallest):
    """The diagonal rule of `compensation` for R and mu, mu given by a callable needed only where R leaves room."""
    if ratio >= 0.25:
        return 0.0
    return max(0.0, min(1 - 4 * ratio, smallest() - np.sqrt(ratio)))


def noise_ratio(problem, noisy):
    """The ratio R of noisy columns to independent rows (`duplicates`), or what heavy-tailed noise makes of it.

    With t_i = sum_j E[e_ij² | code] / D_j, from a sample of tiles, it is at least the mean of t_i² over rows times the
    number of noisy columns.
    """
    count = int(noisy.sum())
    rows = independent_rows(problem, problem.tiles.n_tiles)
    if not problem.matrix.noise.shape[1]:  # every code stands for the same error, and t_i is the number of columns
        return count / rows
    table = code_noise(problem.matrix)[noisy] / problem.variance[noisy, None]
    columns, last = np.flatnonzero(noisy), min(problem.tiles.n_tiles, SAMPLE_TILES)

    def totals(*tiles):
        return problem.tiles.lookup(*tiles, columns, table)

    total = np.concatenate(in_threads(totals, last, LOOKUP_TILES, problem.threads))
    return max(count / rows, float((total**2).mean()) / (rows * count))


def independent_rows(problem, last):
    """How many independent rows tiles 0..last-1 are worth."""
    shared = float(problem.matrix.collision_probability[0])
    if len(problem.weights):
        return effective_rows(shared, problem.unit_weights(0, last))
    own = 1 / min(problem.n, last * TILE_ROWS)
    return 1 / (own + (1 - own) * shared)


def smallest_ratio(problem, ridge, noise, noisy, ratio):
    """Smallest generalized eigenvalue of (H + ridge, D), min of x'(H + ridge)x / x'Dx, as far as tau needs it."""
    if problem.is_dense_cheap():
        return dense_ratio(problem.dense_curvature() + np.diag(ridge), noise, noisy)
    last = problem.sample_tiles(by_column=SAMPLE_BY_COLUMN)
    rows = [independent_rows(problem, tiles) for tiles in (last, problem.tiles.n_tiles)]

    def of_all(value):
        return value if value >= 1 or last == problem.tiles.n_tiles else of_all_rows(value, *rows)

    def is_known(least, most):
        """Whether the ratio in the sample, between two bounds, gives about the same tau."""
        low, high = (tau_of(ratio, lambda value=value: of_all(value)) for value in (least, most))
        return most < 1 and high - low <= NEAR_TAU

    value = iterative_ratio(
        lambda v: problem.curvature(v, 0, last) + ridge * v,
        np.where(noisy, noise, 0.0),
        problem.diagonal + ridge,
        is_known,
    )
    return of_all(value)


def of_all_rows(value, sample, rows):
    """The smallest ratio among all rows, from below, out of that among a sample of so many independent ones.

    The smallest eigenvalue is concave: that of all rows is no less than the mean over samples. What is missing to 1
    is due to directions in which there is nothing but noise, where the ratio is (1 - sqrt(dimensions / rows))²
    (Marchenko-Pastur).
    """
    return (1 - (1 - np.sqrt(max(0.0, value))) * np.sqrt(sample / rows)) ** 2


def dense_ratio(gram, noise, noisy):
    """The same from the dense matrix."""
    return float(lapack(np.linalg.eigvalsh, in_units_of_noise(gram, noise, noisy))[0])


def in_units_of_noise(gram, noise, noisy):
    """The matrix of the noisy columns, the others eliminated, in units in which D is the identity."""
    clean = ~noisy & (np.diag(gram) > 0)
    reduced = gram[np.ix_(noisy, noisy)]
    if clean.any():
        cross, own = gram[np.ix_(noisy, clean)], gram[np.ix_(clean, clean)]
        own = own + 1e-9 * np.trace(own) / len(own) * np.eye(len(own))
        reduced = reduced - cross @ lapack(np.linalg.solve, own, cross.T)
    scale = np.sqrt(noise[noisy])
    return reduced / scale[:, None] / scale


def iterative_ratio(curvature, noise, diagonal, is_known=lambda least, most: False):
    """The same for wide matrices by a locally optimal conjugate gradient descent of the quotient.

    Every quotient is an upper bound; the residual of its vector is subtracted, but no more than a fifth. The descent is
    slow where few directions are without signal; but then their noise spreads little, and the ratio is near 1.
    `diagonal` is that of H + ridge; noise is zero in columns without. is_known(least, most) ends it early.

    A. Knyazev, Toward the optimal preconditioned eigensolver, SIAM J. Sci. Comput. 23 (2001).
    """
    noisy = noise > 0
    inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    x = np.zeros(len(noise))
    x[noisy] = np.random.default_rng(0).standard_normal(int(noisy.sum())) / np.sqrt(noise[noisy])
    x /= np.sqrt(x @ (noise * x))
    images = curvature(x)
    direction = image = None
    value = left = np.inf
    for _ in range(LANCZOS_STEPS):
        value = x @ images
        residual = images - value * noise * x
        left = np.sqrt((residual[noisy] ** 2 / noise[noisy]).sum())
        # the rest of the residual is what columns without noise can still take off the quotient
        if left <= NEAR * value and residual[~noisy] ** 2 @ inverse[~noisy] <= NEAR * value:
            break
        if is_known(max(value - left, 0.8 * value), value):
            break
        search = inverse * residual
        search /= np.sqrt(search @ (diagonal * search))
        basis, products = [x, search], [images, curvature(search)]
        if direction is not None:
            basis.append(direction)
            products.append(image)
        basis, products = np.array(basis), np.array(products)
        weights = _best_combination(basis, products, noise)
        direction, image = weights[1:] @ basis[1:], weights[1:] @ products[1:]
        x, images = weights[0] * x + direction, weights[0] * images + image
        size = np.sqrt(x @ (noise * x))
        x, images = x / size, images / size
        size = max(np.sqrt(direction @ (diagonal * direction)), 1e-300)
        direction, image = direction / size, image / size
    return float(value - min(left, value / 5))


def _best_combination(basis, products, noise):
    """Coefficients of the combination of a few vectors with the smallest quotient."""
    h = basis @ products.T
    inverse = 1 / np.sqrt(np.maximum(h.diagonal(), 1e-300))
    scale = inverse[:, None] * inverse
    h = (h + h.T) * (scale / 2)
    d = (basis * noise) @ basis.T * scale
    # largest x'Dx / x'Hx: H is positive definite where D need not be
    if _volume(h) > 1e-6:
        return inverse * dsygvd(d, h)[1][:, -1]
    values, vectors = np.linalg.eigh(h)
    keep = values > 1e-9 * values[-1]
    root = vectors[:, keep] / np.sqrt(values[keep])
    _, inner = np.linalg.eigh(root.T @ d @ root)
    return inverse * (root @ inner[:, -1])


def _volume(h):
    """Determinant of a matrix with unit diagonal of two or three vectors."""
    if len(h) == 2:
        return 1 - h[0, 1] ** 2
    a, b, c = h[0, 1], h[0, 2], h[1, 2]
    return 1 + 2 * a * b * c - a * a - b * b - c * c
