"""Fits logistic regression: first without calibration, then with what that tells of it."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from .._kernels.threads import one_blas_thread
from . import softmax
from .batches import pass_bytes
from .calibration import calibration
from .options import Result
from .quasi_newton import descend

# Where the first fit of two is near enough to its minimum to tell which rows decide.
NEAR = 1e-2


# Columns from which on the threads of BLAS pay.
MANY_COLUMNS = 512


def fit_logistic(objective, options, *, start=None, on_step=None):
    """Minimise a LogisticObjective, calibrated for the rounding of its rows as far as they can tell.

    Parameters
    ----------
    objective : LogisticObjective, not calibrated
    options : Options: tol and max_iter
    start : float64 (outputs, columns + 1) or None
    on_step : callable(number of steps, model, value) -> bool; True ends the fit

    Returns
    -------
    model : float64 (outputs, columns + 1)
    result : Result, whose z is empty and whose objective and gap have one number
    """
    with nullcontext() if objective.d >= MANY_COLUMNS else one_blas_thread():
        return _fitted(objective, options, start, on_step or (lambda number, model, value: False))


def _fitted(objective, options, start, on_step):
    first, begin = None, objective.start()
    if objective.problem.variance.any():
        # from the same start whatever the caller's, so that the objective does not depend on that
        first = descend(
            objective, begin, NEAR, options.max_iter, lambda number, point: on_step(number, point.model, point.value)
        )
        curvature = softmax.curvatures(objective.labels, first.point.slopes)
        found = calibration(objective.problem, objective.labels, first.point.slopes, curvature)
        objective = objective.calibrated(found)
        begin = first.point.model
    done = first.n_iter if first is not None else 0
    if first is not None and (first.stopped or done == options.max_iter):
        found = _of_calibrated(objective, first)
        return _centred(objective, found.point.model), _result(objective, options, None, found)
    begin = begin if start is None else start
    found = descend(
        objective,
        begin,
        options.tol,
        options.max_iter - done,
        lambda number, point: on_step(done + number, point.model, point.value),
    )
    return _centred(objective, found.point.model), _result(objective, options, first, found)


def _of_calibrated(objective, first):
    """A descent that may not go on, with the value that its model has by an objective that is calibrated."""
    point = objective.at(first.point.model)
    return replace(first, point=point, gap=np.inf, values=[*first.values[:-1], point.value])


def _centred(objective, model):
    """The model, of many outputs the one whose intercepts, and coefficients without a penalty, sum to zero."""
    if len(model) == 1:
        return model
    model = model.copy()
    model[:, -1] -= model[:, -1].mean()
    if not objective.ridge.any():
        model[:, :-1] -= model[:, :-1].mean(axis=0)
    return model


def _result(objective, options, first, found):
    values = [*(first.values[:-1] if first is not None else []), *found.values]
    before = first.passes[-1] if first is not None else 0
    passes = [*(first.passes[:-1] if first is not None else []), *(before + count for count in found.passes)]
    size = pass_bytes(objective.problem.tiles)
    result = Result(
        np.zeros((1, 0)),
        found.n_iter + (first.n_iter if first is not None else 0),
        "newton",
        np.array([found.point.value]),
        np.array([found.gap]),
        losses=[np.array([value]) for value in values],
        bytes_read=[0, *(count * size for count in passes[1:])],
        tol=options.tol,
    )
    return replace(result, stopped=found.stopped)
