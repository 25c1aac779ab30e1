"""The minimum with an l1 penalty by active sets, where coordinate descent crawls along columns that look alike.

Feature-sign search (Lee, Battle, Raina, Ng, "Efficient sparse coding algorithms", NIPS 2006): with the signs of the
coefficients held, the minimum is that of a linear system; on the way to it, a coefficient that reaches zero leaves, and
at it, the column whose slope exceeds the penalty most enters. The objective never rises.
"""

import numpy as np
from scipy.linalg import qr, solve_triangular

from .._kernels.threads import lapack, poll

# Multiplications that the systems of one search take at most, and changes of the set: about a second.
MOST_PRODUCTS = 2e9
MOST_CHANGES = 5000
EPS = np.finfo(float).eps
# Part by which a slope has to exceed the penalty for its column to enter.
EXCESS = 1e-9


def search_signs(rows, target, l1, ridge, start):
    """Coefficients of an objective that is not above that of the start: |rows w - target|²/2 + l1 |w|_1 + ridge |w|²/2.

    Parameters
    ----------
    rows : float64 (rows, columns)
    target : float64 (rows,)
    l1, ridge : float, not negative
    start : float64 (columns,)

    Returns
    -------
    float64 (columns,), the minimum unless the search ended at its bounds
    """
    norm = np.sqrt(np.einsum("ij,ij->j", rows, rows) + ridge)
    w, sign = start.copy(), np.sign(start)
    spent = 0.0
    for _ in range(MOST_CHANGES):
        active = np.flatnonzero(sign)
        # a ridge adds a row for every active column
        spent += (len(rows) + (len(active) if ridge > 0 else 0)) * float(len(active)) ** 2
        if spent > MOST_PRODUCTS:
            break
        poll()
        if len(active):
            direction, is_minimum = _step(rows[:, active], target, l1 * sign[active], ridge, norm[active], w[active])
            length, leaving = _first_zero(w[active], direction, sign[active], is_minimum)
            if length is None:  # nothing bounds the step: what is left of the slope is rounding
                break
            w[active] += length * direction
            if leaving is not None:
                w[active[leaving]] = sign[active[leaving]] = 0
                continue
        slope = rows.T @ (target - rows @ w)
        excess = np.where(sign == 0, np.abs(slope) - l1 * (1 + EXCESS), 0) / np.where(norm > 0, norm, np.inf)
        enters = int(np.argmax(excess))
        if excess[enters] <= 0:
            break
        sign[enters] = np.sign(slope[enters])
    return w


def _step(rows, target, penalty_gradient, ridge, norm, w):
    """Direction to the minimum with signs held, and True; or one in which the objective falls for ever, and False."""
    scaled = rows / norm
    if ridge > 0:
        scaled = np.concatenate([scaled, np.diag(np.sqrt(ridge) / norm)])
    q, r, order = lapack(qr, scaled, mode="economic", pivoting=True, overwrite_a=True, check_finite=False)
    size = np.abs(np.diag(r))
    rank = int((size > EPS * max(scaled.shape) * size.max(initial=0)).sum())
    left = np.zeros(len(scaled))
    left[: len(target)] = target - rows @ w
    if ridge > 0:
        left[len(target) :] = -np.sqrt(ridge) * w
    slope = (penalty_gradient / norm)[order]
    direction = np.zeros(len(w))
    if rank < len(w):
        # of the null space, [-R^-1 S; 1], the directions in which the penalty falls
        null = np.concatenate([-solve_triangular(r[:rank, :rank], r[:rank, rank:]), np.eye(len(w) - rank)])
        fall = -null.T @ slope
        if np.linalg.norm(fall) > 1e-9 * np.linalg.norm(slope) * np.linalg.norm(null):
            direction[order] = null @ fall
            return direction / norm, False
    root = r[:rank, :rank]
    along = q[:, :rank].T @ left - solve_triangular(root, slope[:rank], trans="T")
    direction[order[:rank]] = solve_triangular(root, along)
    return direction / norm, True


def _first_zero(w, direction, sign, is_minimum):
    """Length of the step and which coefficient it brings to zero, or None; a length of None if nothing ends it."""
    toward = direction * sign < 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lengths = np.where(toward, np.abs(w / direction), np.inf)
    leaving = int(np.argmin(lengths))
    if lengths[leaving] < 1 or (not is_minimum and np.isfinite(lengths[leaving])):
        return lengths[leaving], leaving
    return (1.0, None) if is_minimum else (None, None)
