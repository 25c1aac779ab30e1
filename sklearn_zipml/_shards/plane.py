"""Where to go from a point of the rounds: the lowest point in the plane of the last moves."""

from dataclasses import dataclass, field

import numpy as np

LEAST_CURVATURE = 1e-3  # of the largest in the plane of the moves: below, there is only rounding


@dataclass
class Plan:
    """Where to go from a target's point.

    Attributes
    ----------
    is_lost : bool, whether the last move showed no curvature for sure
    is_indefinite : bool, whether that is not by rounding errors, but for too much compensation
    pairs : list, the target's moves with the last one; empty without a move
    end : (point, slope, error), where they lead
    is_blurred : bool, whether too much of that may be rounding errors
    is_helped : bool, whether the error of the last message has a part in that, or in being lost
    gain, length : float, what the objective falls by, and how many times the last move should have been as long
    """

    is_lost: bool = False
    is_indefinite: bool = False
    pairs: list = field(default_factory=list)
    end: tuple | None = None
    is_blurred: bool = False
    is_helped: bool = False
    gain: float = 0.0
    length: float = 1.0


def lowest(moves, bends, slope):
    """Shares of moves that lead to the lowest point of their plane, and how far below it is."""
    size = np.sqrt((moves * bends).sum(axis=1).clip(np.finfo(float).tiny))
    moves, bends = moves / size[:, None], bends / size[:, None]
    matrix = moves @ bends.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > LEAST_CURVATURE * values[-1]
    along = vectors[:, kept].T @ (moves @ slope)
    return -(vectors[:, kept] @ (along / values[kept])) / size, float((along**2 / values[kept]).sum() / 2)
