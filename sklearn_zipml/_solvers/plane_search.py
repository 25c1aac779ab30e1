"""How far to go: the minimum of the objective over the plane of an epoch's direction and the move before it.

Both are known with the curvature that the objective has along them, so this costs no pass over the samples. Epochs
combined so are conjugate gradients whose preconditioner is an epoch: what an epoch does slowly, they do in few.
"""

import numpy as np

# Directions that together have less curvature than this part of their own are one.
FLAT = 1e-9


def factors(anchor, direction, past, points, rise):
    """Of the past move and the direction for every target, float64 (targets, 2), that minimise the objective.

    Parameters
    ----------
    anchor : Anchor
    direction : Direction, of an epoch
    past : Direction or None, the move before
    points : three float64 (targets, columns)
        Where the past move and the epoch began, and where the epoch ended; with an l1 penalty with their exact zeros.
        With one, the objective is as smooth as without while no sign changes. Where one does, the epoch's end is
        taken as it is, if it is lower.
    rise : float64 (targets,), of the objective to the end of the direction
    """
    slopes, q = anchor.slope(), anchor.quadratic
    out = np.zeros((len(slopes), 2))
    for k, slope in enumerate(slopes):
        moves, products = direction.move[[k]], direction.hessian_product[[k]]
        before, now, ended = (np.sign(point[k]) for point in points)
        if past is not None and (not q.has_l1 or np.array_equal(before, now)):
            moves = np.vstack([past.move[k], moves])
            products = np.vstack([past.hessian_product[k], products])
        if not q.has_l1:
            out[k, -len(moves) :] = _minimum(products @ moves.T, moves @ slope)
            continue
        if np.array_equal(now, ended):
            # what rounding left of components that are zero does not count
            moves, products = moves[:, : len(now)] * (now != 0), products[:, : len(now)]
            found = _minimum(products @ moves.T, moves @ (slope[: len(now)] + q.l1[k, : len(now)] * now))
            if np.array_equal(np.sign(points[1][k] + found @ moves) * now, np.abs(now)):
                out[k, -len(moves) :] = found
                continue
        out[k, 1] = rise[k] <= 0
    return out


def _minimum(curvature, slope):
    """The c that minimises slope @ c + c @ curvature @ c / 2 for one or two directions, without those that are flat."""
    size = np.sqrt(np.maximum(np.diag(curvature), 0))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    slope = inverse * slope
    if len(slope) == 1:
        return -inverse * slope
    # directions of unit curvature: their sum and difference are the axes of the plane, with curvature 1 +- angle
    angle = (curvature[0, 1] + curvature[1, 0]) / 2 * inverse[0] * inverse[1]
    if not size.all():
        return -inverse * slope
    together = (slope[0] + slope[1]) / (1 + angle) / 2 if 1 + angle > FLAT else 0.0
    apart = (slope[0] - slope[1]) / (1 - angle) / 2 if 1 - angle > FLAT else 0.0
    return -inverse * (together + apart, together - apart)
