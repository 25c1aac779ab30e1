"""Fits logistic regression: first without calibration, then with what that tells of it."""

from contextlib import nullcontext

import numpy as np

from .._kernels.threads import one_blas_thread
from . import softmax
from .batches import pass_bytes
from .calibration import calibration
from .options import PERFECT, Result
from .proximal_newton import descend_with_l1
from .quasi_newton import Descent, descend
from .rescaling import rescaled

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
    stages, metric = _Stages(objective, options, on_step), None
    if objective.problem.variance.any():
        # from the same start whatever the caller's, so that the objective does not depend on that
        found = stages.descend(objective.start(), NEAR)
        curvature = softmax.curvatures(objective.labels, found.point.slopes)
        stages.calibrate(calibration(objective.problem, objective.labels, found.point.slopes, curvature))
        if stages.objective.calibration is not None and not stages.is_over:
            found = stages.descend(found.point.model, NEAR)
            stages.calibrate(stages.objective.calibration.fitted_to(found.point))
            metric = found.metric
        begin = found.point.model
    else:
        begin = objective.start()
    if stages.is_over:
        found = stages.stay(begin)
    else:
        found = stages.descend(begin if start is None else start, options.tol, metric, verify=True)
    return _centred(stages.objective, rescaled(stages.objective, found.point)), stages.result(found)


class _Stages:
    """Descents one after the other, each with what the ones before told of the calibration.

    Attributes
    ----------
    objective : LogisticObjective, of the next one
    is_over : bool, whether there may be none: no steps are left, or the caller ended it
    """

    def __init__(self, objective, options, on_step):
        self.objective, self.options, self.on_step = objective, options, on_step
        self.n_iter, self.is_over, self._values, self._passes = 0, False, [], []

    def calibrate(self, found):
        """Have the objective calibrated from now on."""
        self.objective = self.objective.calibrated(found)

    def descend(self, model, tol, metric=None, verify=False):
        """The Descent from a model, with a metric to begin with."""
        done, most = self.n_iter, self.options.max_iter - self.n_iter

        def on_step(number, point):
            return self.on_step(done + number, point.model, point.value)

        if self.objective.has_l1:
            found = descend_with_l1(self.objective, model, tol, most, on_step, verify)
        else:
            found = descend(self.objective, model, tol, most, on_step, metric, verify)
        self.n_iter += found.n_iter
        before = self._passes[-1] if self._passes else 0
        self._values[-1:] = found.values
        self._passes[-1:] = [before + count for count in found.passes]
        self.is_over = found.stopped or self.n_iter == self.options.max_iter
        return found

    def stay(self, model):
        """The Descent that went no further, of a model whose value was that of another calibration."""
        found = Descent(self.objective.at(model), stopped=self.n_iter < self.options.max_iter)
        self._values[-1:] = [found.point.value]
        return found

    def result(self, found):
        """What is told of the fit, found by the last descent."""
        size = pass_bytes(self.objective.problem.tiles)
        return Result(
            np.zeros((1, 0)),
            self.n_iter,
            "newton",
            np.array([found.point.value]),
            np.array([found.gap]),
            losses=[np.array([value]) for value in self._values],
            bytes_read=[0, *(count * size for count in self._passes[1:])],
            stopped=found.stopped,
            tol=self.options.tol,
            rounding=PERFECT,
        )


def _centred(objective, model):
    """The model, of many outputs the one whose intercepts, and coefficients without a penalty, sum to zero."""
    if len(model) == 1:
        return model
    model = model.copy()
    model[:, -1] -= model[:, -1].mean()
    if not objective.ridge.any() and not objective.has_l1:
        model[:, :-1] -= model[:, :-1].mean(axis=0)
    return model
