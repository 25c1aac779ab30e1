"""Minimises the objective of a fit: chooses the solver, runs it, and says how near the minimum it came.

`objective` holds what is minimised.
"""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from .._kernels.threads import one_blas_thread
from .batches import pass_bytes
from .choice import blas_products, by_rows, chosen_solver, is_exact_affordable
from .conjugate_gradients import conjugate_gradients
from .exact import solve_exactly
from .objective import Quadratic
from .options import ROUNDING, Options, Result
from .saga import run_saga
from .sgd import run_sgd

# Products of an exact solution's own for which BLAS gets all its threads: a good part of a second in one.
THREADED_PRODUCTS = 1e10

__all__ = ["Options", "Result", "objective_of", "solve"]


def objective_of(problem, targets, alpha, options, l1=None):
    """What `solve` minimises.

    Parameters
    ----------
    problem : Problem
    targets : float64 or float32 (targets, slots), centred and in slot order
    alpha : float, l2 penalty on the coefficients in units of X
    options : Options
    l1 : float64 (targets,) or None, l1 penalty on the same, in units of each target

    Returns
    -------
    Quadratic; coefficients are in terms of its own `problem`
    """
    with _threads_of_blas(problem):
        return Quadratic(problem, targets, alpha, l1, diagonal=options.solver == "sgd")


def _threads_of_blas(problem):
    """Products of dense second moments are worth the threads of BLAS, others are small."""
    return one_blas_thread() if problem.threads > 1 and not problem.is_dense_cheap() else nullcontext()


def solve(quadratic, options, seed, *, start=None, on_epoch=None, draw=None):
    """Minimise the quantized objective.

    Parameters
    ----------
    quadratic : Quadratic, of `objective_of` these options
    options : Options
    seed : int, 64 bits: order of the tiles and rounding of model and gradient
    start : float64 (targets, columns) or None, initial z
    on_epoch : callable(epoch, z, loss) -> bool or None; True ends the fit
    draw : callable(epoch) -> PackedRows or None, fresh samples for every epoch of sgd

    Returns
    -------
    Result, always finite; its last loss is the objective of its z on the rows
    """
    on_epoch, problem = on_epoch or (lambda epoch, z, loss: False), quadratic.problem
    with _threads_of_blas(problem):
        solver = chosen_solver(quadratic, options)
        z = np.zeros((len(quadratic.targets), problem.d)) if start is None else np.where(problem.unit > 0, start, 0.0)
        if solver == "sgd":
            result = run_sgd(quadratic, options, seed, z, on_epoch, draw)
        elif solver == "saga":
            result = run_saga(quadratic, options, seed, z, on_epoch)
        elif blas_products(quadratic) < THREADED_PRODUCTS:
            return _exact(quadratic, options, z, on_epoch)
    if solver == "gram":
        return _exact(quadratic, options, z, on_epoch)
    if options.solver == "auto" and not result.converged:
        result = _finished(quadratic, options, result)
    if result.converged and not result.stopped:
        result = _of_least_norm(quadratic, result)
    return _no_worse_than_zero(quadratic, result)


def _exact(quadratic, options, z, on_epoch):
    start = quadratic.at_zero
    z, objective, gap, sweeps = solve_exactly(quadratic, z, options.tol)
    result = Result(z, sweeps, "gram", objective, gap, losses=[start, objective], tol=options.tol)
    result.bytes_read = [0, 2 * pass_bytes(quadratic.problem.tiles)]
    result.stopped = on_epoch(1, z, float(objective.sum()))
    return _no_worse_than_zero(quadratic, result)


def _finished(quadratic, options, result):
    """The result of a solver that did not converge, taken to the minimum by another way if there is one."""
    problem = quadratic.problem
    if is_exact_affordable(quadratic):
        z, objective, gap, _ = solve_exactly(quadratic, result.z, options.tol)
        by, passes = "gram", 2
    elif quadratic.has_l1:
        return result
    else:
        z, objective, gap = conjugate_gradients(quadratic, result.z, options.tol, options.max_iter)
        by, passes = "cg", options.max_iter
    if np.all(gap >= result.gap):
        return result
    losses = [*result.losses, objective]
    read = [*result.bytes_read, result.bytes_read[-1] + passes * pass_bytes(problem.tiles)]
    return replace(result, z=z, solver=by, objective=objective, gap=gap, losses=losses, bytes_read=read)


def _of_least_norm(quadratic, result):
    """The result of epochs, but where the rows leave the minimum open, the one of least norm in units of X.

    Epochs leave what they start from in directions that no row has, and move in units of their own.
    """
    is_open = not quadratic.has_ridge and not quadratic.has_l1 and by_rows(quadratic)
    if not is_open or result.solver == "gram" or not is_exact_affordable(quadratic):
        return result
    z, objective, gap, _ = solve_exactly(quadratic, result.z, result.tol)
    enough = result.tol * np.abs(result.objective) + ROUNDING * quadratic.at_zero
    if np.any(objective > result.objective + enough):
        return result
    return replace(result, z=z, objective=objective, gap=gap, losses=[*result.losses[:-1], objective])


# Objectives that differ by less are the same.
SAME = 1e-12


def _no_worse_than_zero(quadratic, result):
    """The result, but the zero model for targets that it is worse for."""
    zero = quadratic.at_zero
    worse = ~(result.objective <= zero * (1 + SAME))
    if worse.any():
        z = np.where(worse[:, None], 0.0, result.z)
        objective = np.where(worse, zero, result.objective)
        gap = np.where(worse, zero, result.gap)
        result = replace(result, z=z, objective=objective, gap=gap, losses=[*result.losses[:-1], objective])
    return result
