"""Fits without an estimator."""

from sklearn_zipml._solvers import solver


def solve(problem, targets, alpha, options, seed, l1=None, **settings):
    """The Result of a problem."""
    return solver.solve(solver.objective_of(problem, targets, alpha, options, l1), options, seed, **settings)
