"""The exact minimum: one factorisation of second moments for all targets, or coordinate descent with an l1 penalty."""

import numpy as np

from .by_columns import solve_by_columns
from .by_orthogonal_factors import is_small_enough, solve_by_orthogonal_factors
from .by_rows import solve_by_rows
from .choice import by_rows
from .elastic_net import solve_elastic_net
from .options import ROUNDING


def solve_exactly(quadratic, start, tol):
    """The minimum of an objective, with an l1 penalty to a part tol of it, from a start (targets, columns).

    Returns
    -------
    z : float64 (targets, columns)
    objective, gap : float64 (targets,), and a bound on what it may still gain
    sweeps : int, of coordinate descent, else 1
    """
    quadratic.problem.centre_exactly()
    if quadratic.has_l1:
        return solve_elastic_net(quadratic, start, tol)
    return *_factored(quadratic, tol), 1


def lower_bound(quadratic, start, tol):
    """What an objective without compensation cannot be below, float64 (targets,), from a start (targets, columns).

    Its minimum less the gap that is left; nothing is changed on the way, so that epochs may go on.
    """
    if quadratic.has_l1:
        _, objective, gap, _ = solve_elastic_net(quadratic, start, tol)
    else:
        _, objective, gap = _factored(quadratic, tol)
    return objective - gap


def _factored(quadratic, tol):
    """The minimum from second moments, or from the rows themselves where these are few and moments do not get there."""
    is_small = not quadratic.is_compensated and is_small_enough(quadratic.problem)
    solve = solve_by_rows if by_rows(quadratic) else solve_by_columns
    found = solve(quadratic, singular_too=not is_small)
    if found is None:
        return solve_by_orthogonal_factors(quadratic)
    enough = tol * np.abs(found[1]) + ROUNDING * quadratic.at_zero
    if not is_small or np.all(found[2] <= enough):
        return found
    other = solve_by_orthogonal_factors(quadratic)
    return other if np.all(other[2] <= np.maximum(found[2], enough)) else found
