"""Logistic regression of packed parts with messages of a few bits: the descent, and what is done about rounding."""

import numpy as np

from .._kernels.row_order import mix
from .._solvers.logistic_objective import limbs_of
from .._solvers.objective import MOST_RIDGE
from .._solvers.options import PERFECT, Result
from .._solvers.part_problem import SharedProblem
from . import class_rounds
from .class_calibration import Correction
from .logistic import FittedClasses, SharedLabels, SharedObjective
from .newton_rounds import Descent

LEAST_CURVATURE = 1e-6
# Coefficients, of all outputs, whose second moments a worker sends in less time than scheduling a round takes: 2 MB.
SHORT = 512
_SURVEY = 1 << 41  # number of the first message that tells of rounding variances


def is_short(n_columns, n_classes):
    """Whether Newton steps with second moments take less time than rounds, about."""
    return (n_columns + 1) * (n_classes if n_classes > 2 else 1) <= SHORT


def fit_parts_in_rounds(sites, firsts, common, setting):
    """The FittedClasses of the shards of all sites, as `logistic.fit_parts` has it."""
    seeds = sites.spread([mix(setting.seed, _SURVEY + k) for k in range(len(sites.shards))])
    surveys = sites.ask(class_rounds.survey, sites.shards, setting.code, setting.has_weights, seeds)
    seen, noise, tilt = class_rounds.joined(surveys)
    objective, frame, ridge = _framed(seen, noise, common, setting)
    shared = sites.share(frame)
    parts = sites.keep(class_rounds.part, sites.shards, firsts, setting.code, shared)
    descent = Descent(sites, parts, frame, shared, ridge, setting)
    descent.run()
    descent.close()
    correction = Correction(descent, objective, seen, tilt)
    model = centred(correction.model())
    coef, intercept = objective.coefficients(model, common.dtype)
    framing = len(sites.shards) * frame.nbytes
    sent = framing + descent.bytes_sent + correction.bytes_sent + sum(found.nbytes for found in surveys)
    in_float32 = framing + descent.float32_bytes + correction.float32_bytes
    in_float32 += sum(found.float32_nbytes for found in surveys)
    result = _result(descent, frame.curvature, seen.pass_bytes, setting)
    result.n_iter += correction.n_rounds
    return FittedClasses(coef, intercept, seen.weight, result, seen.sample_nbytes, sent, in_float32)


def _framed(seen, noise, common, setting):
    """The objective, the RoundFrame, and the penalty of the model as one vector, over the frame's curvature."""
    variance = common.rounding_variance if noise is None else noise.means(common.rounding_variance)
    statistics = common.mean, common.deviation, variance
    shares, n_classes = seen.counts / seen.counts.sum(), len(seen.counts)
    labels = SharedLabels(n_classes if n_classes > 2 else 1, shares)
    p = shares if setting.fit_intercept else np.full(n_classes, 1 / n_classes)
    curvature = max(float((p * (1 - p)).mean()), LEAST_CURVATURE)
    alpha = setting.alpha(seen.weight)
    centre, about, size = class_rounds.scaling(common.grid, *statistics[:2], alpha / curvature, setting.fit_intercept)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.divide(size**2, about, out=np.zeros(len(size)), where=about > 0)
    reach = centre - spread, centre + spread
    problem = SharedProblem(seen.n_rows, common.grid, statistics, reach, setting.fit_intercept)
    objective = SharedObjective(problem, labels, alpha, limbs_of(seen.n_rows, float(setting.tol)))
    objective.collisions = common.grid.collision_probability
    objective.ridge = np.minimum((np.sqrt(alpha) * problem.unit / problem.step) ** 2, MOST_RIDGE)
    scale = seen.n_rows / seen.weight if seen.has_weights else None
    intercepts = objective.start()[:, -1]
    size = seen.n_rows, labels.n_outputs, setting.fit_intercept, scale, objective.limbs
    frame = class_rounds.RoundFrame(*size, alpha / curvature, curvature, intercepts)
    return objective, frame, np.tile(np.append(objective.ridge / curvature, 0.0), labels.n_outputs)


def centred(model):
    """The model, of many outputs the one whose intercepts sum to zero."""
    if len(model) > 1:
        model = model.copy()
        model[:, -1] -= model[:, -1].mean()
    return model


def _result(descent, curvature, size, setting):
    values = [np.array([curvature * value]) for value in descent.values]
    return Result(
        np.zeros((1, 0)),
        descent.n_rounds,
        "rounds",
        values[-1],
        np.array([curvature * descent.gap]),
        losses=values,
        bytes_read=[0, *(count * size for count in descent.passes[1:])],
        tol=setting.tol,
        rounding=PERFECT,
    )
