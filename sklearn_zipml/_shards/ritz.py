"""The smallest curvature that moves of the rounds have shown, a Ritz value."""

import numpy as np

from .plane import LEAST_CURVATURE

FEWEST_SEEN = 4  # directions that the smallest curvature is looked for among, or all columns
FEWEST_SHOWN = 8  # moves that it is believed by for what is taken off, or as many as columns
SURELY = 0.9  # of what they show


def least_curvature(seen, metric, penalty):
    """The smallest that moves have shown, over that of a Metric; None if too few have.

    Parameters
    ----------
    seen : list of (move, change of the slope, its error)
    metric : Metric
    penalty : float64 (numbers,), on the diagonal, that changes do not have
    """
    if not seen:
        return None
    moves, changes, _ = (np.stack(part) for part in zip(*seen, strict=True))
    basis = _orthonormal(moves @ metric.bent(moves).T)
    if len(basis) < min(FEWEST_SEEN, moves.shape[1]):
        return None
    matrix = basis @ (moves @ (changes + penalty * moves).T) @ basis.T
    found = np.linalg.eigvalsh(matrix + matrix.T) / 2
    return found[found > 0].min(initial=found[-1])


def smallest_ratio(moves, changes, errors, ridge, variance):
    """The smallest ratio of curvature to variance that moves show, of the most that show it for sure, or None.

    Parameters
    ----------
    moves, changes : float64 (moves, numbers)
    errors : float64 (moves,), of the changes
    ridge, variance : float64 (numbers,)
    """
    order, found = np.argsort(errors), None
    bends, size = changes + ridge * moves, moves.shape[1]
    for count in range(min(FEWEST_SHOWN, size), len(moves) + 1):
        some = order[:count]
        basis = _orthonormal((moves[some] * variance) @ moves[some].T)
        if not len(basis):
            continue
        matrix = basis @ (moves[some] @ bends[some].T) @ basis.T
        ratios, shares = np.linalg.eigh((matrix + matrix.T) / 2)
        shares = shares[:, 0] @ basis
        error = np.linalg.norm(shares @ moves[some]) * np.linalg.norm(shares * errors[some]) / np.sqrt(size)
        if error > (1 - SURELY) * ratios[0]:
            break
        found = ratios[0]
    return found


def _orthonormal(products):
    """Combinations of moves that are orthonormal by what their products are of; not those that only rounding makes."""
    values, vectors = np.linalg.eigh(products)
    kept = values > LEAST_CURVATURE * max(values[-1], np.finfo(float).tiny)
    return (vectors[:, kept] / np.sqrt(values[kept])).T
