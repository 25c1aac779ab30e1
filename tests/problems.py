"""Problems of solvers, of packed random rows."""

import numpy as np

from sklearn_zipml._quantization.encoder import pack
from sklearn_zipml._quantization.float_rows import FloatRows
from sklearn_zipml._scheme import Scheme
from sklearn_zipml._solvers.problem import Problem


def data(n=300, d=9, seed=0):
    """Correlated columns of several scales, away from zero, and a target."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    X = X * np.logspace(-1, 1, d) + rng.normal(size=d) * 3
    return X, (X - X.mean(0)) / X.std(0) @ rng.normal(size=d) + 0.5 * rng.normal(size=n)


def problem_of(X, y, bits, *, sampling="compensated", weights=None, centred=True, seed=3):
    """A problem and its targets, centred, in slot order."""
    matrix = FloatRows(X, seed) if bits is None else pack(X, Scheme.of(bits, sampling, "optimal"), seed)
    problem = Problem(matrix, weights, centred)
    y = np.atleast_2d(y)
    centre = np.average(y, axis=1, weights=weights)[:, None] if centred else 0
    return problem, matrix.order.to_slots(y - centre, problem.n_slots, np.float32)


def stored_rows(problem):
    """What the tiles hold, (slots, padded columns), zero in the padding."""
    tiles = problem.tiles
    if tiles.width == 32:
        return np.ascontiguousarray(tiles.floats.transpose(0, 2, 1)).reshape(problem.n_slots, tiles.padded)
    out = np.zeros((problem.n_slots, tiles.padded), dtype=np.int64)
    out[: problem.n, : problem.d] = tiles.positions(0, tiles.n_tiles)
    return out
