"""The exact minimum: one factorisation of second moments for all targets, or coordinate descent with an l1 penalty."""

from .by_columns import solve_by_columns
from .by_orthogonal_factors import is_small_enough, solve_by_orthogonal_factors
from .by_rows import solve_by_rows
from .choice import by_rows
from .elastic_net import solve_elastic_net


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
    return *_factored(quadratic), 1


def _factored(quadratic):
    if not by_rows(quadratic):
        return solve_by_columns(quadratic)
    found = solve_by_rows(quadratic)
    if found is None and is_small_enough(quadratic.problem):
        return solve_by_orthogonal_factors(quadratic)
    return found or solve_by_rows(quadratic, singular_too=True)
