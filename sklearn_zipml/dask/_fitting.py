"""Models of packed shards: in one round, from second moments, or in rounds, from gradients of a few bits."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from dask.base import tokenize

from .._kernels.row_order import mix
from .._shards import gradient, moments
from .._shards.frame import coefficients, frame_of
from .._shards.rounds import Rounds
from .._solvers.normal_equations import MOST_COLUMNS
from . import _tasks

MOST_KEPT = 1 << 26  # bytes of second moments that are kept for the next fit of the same shards
MOST_AT_ONCE = 4096  # columns whose second moments solver="auto" sends


@dataclass(frozen=True)
class Task:
    """What is to be fitted.

    Attributes
    ----------
    code : TargetCode
    penalty : callable(total weight) -> alpha, of coefficients in units of X
    settings : the Dask estimator
    seeds : (of packing, of rounding in rounds), 64 bits each
    has_weights : bool
    known : dict, what other fits of the same shards have found out, and second moments that this one does
    """

    code: object
    penalty: object
    settings: object
    seeds: tuple
    has_weights: bool
    known: dict


@dataclass
class Fitted:
    """A model, and how it was come to.

    Attributes
    ----------
    coef, intercept : float64 (outputs, features) and (outputs,)
    total : float, sum of the weights; float64 (outputs,) where values of targets are missing
    solver : str
    n_iter, bytes_sent, float32_bytes : int
    losses : list of float
    gap : float64 (outputs,) or None, part of the objective that may still be gained, where that is too much
    """

    coef: np.ndarray
    intercept: np.ndarray
    total: float
    solver: str
    n_iter: int
    bytes_sent: int
    float32_bytes: int
    losses: list = field(default_factory=list)
    gap: np.ndarray | None = None


def fit(engine, shards, common, task):
    """The Fitted model of shards, futures; common is their Description."""
    columns, chosen = len(common.grid.step), task.settings.solver
    if chosen == "gram" and columns > MOST_COLUMNS:
        raise ValueError(
            f"solver='gram' sends n_features² numbers, for at most {MOST_COLUMNS} features, but X has {columns}: "
            "set solver='rounds'."
        )
    has_missing = task.code.has_missing
    if has_missing and (chosen == "rounds" or columns > MOST_COLUMNS):
        raise ValueError(
            "missing_target='drop': targets that are known of different rows take second moments, solver='gram', up to "
            f"{MOST_COLUMNS} features, but solver={chosen!r} and X has {columns} features; fit targets that are known "
            "of the same rows by themselves."
        )
    in_one = chosen == "gram" or (chosen == "auto" and (has_missing or columns <= MOST_AT_ONCE))
    fitted = (_in_one_round if in_one else _in_rounds)(engine, shards, common, task)
    if not (np.isfinite(fitted.coef).all() and np.isfinite(fitted.intercept).all()):
        raise ValueError("The coefficients exceed the range of float64: rescale X or y.")
    return fitted


def _in_one_round(engine, shards, common, task):
    """From exact second moments, summed over the workers: what `partial_fit` makes of all rows, to the bit."""
    key, sent = tokenize(task.code), 0
    equations = task.known.get(key)
    if equations is None:
        equations, n_sites = _summed(engine, shards, task)
        sent = n_sites * equations.nbytes
        if equations.nbytes <= MOST_KEPT:
            task.known[key] = equations
    total = equations.total
    if not np.all(total):
        raise ValueError(f"Output {int(np.argmin(total))} of y has no value that is known: leave it out.")
    found = equations.minimum(task.penalty(total), task.settings.fit_intercept, common.dtype)
    return Fitted(found.coef, found.intercept, total, "gram", 1, sent, sent // 2, [found.objective])


def _summed(engine, shards, task):
    """The NormalEquations of all rows, and how many there were to be joined."""
    found = partial(moments.moments, code=task.code, seed=task.seeds[0])
    sums = [engine.submit(found, site) for site in engine.sites(shards)]
    future = engine.merged(sums, moments.merged)
    equations = engine.result(future)
    engine.release([*sums, future])
    return equations, len(sums)


def _in_rounds(engine, shards, common, task):
    """The model out and the gradient back, in few bits, until nothing is to be gained."""
    sites = engine.sites(shards)
    settings, code = task.settings, task.code
    look = partial(gradient.survey, code=code, has_weights=task.has_weights)
    surveys = engine.results([engine.submit(look, site, seed=mix(task.seeds[1], k)) for k, site in enumerate(sites)])
    seen = _tasks.join(surveys)
    frame, ridge, compensated, noise = frame_of(seen, common, task.penalty(seen.weight), settings.fit_intercept)
    bits = settings.model_bits, settings.gradient_bits
    rounds = Rounds(ridge, compensated, len(frame.target_mean), len(sites), bits, task.seeds[1], settings.tol, noise)
    framing = len(sites) * frame.nbytes
    sent = framing + sum(found.nbytes for found in surveys)
    in_float32 = framing + sum(found.float32_nbytes for found in surveys)
    held = engine.submit(_same, frame)
    answers = [None] * len(sites)
    while rounds.n_rounds < settings.max_iter and not rounds.is_done:
        answers = _round(engine, sites, (code, held), answers, rounds)
    model = rounds.model if rounds.targets is not None else rounds.known
    coef, intercept = coefficients(model, frame, common, common.dtype)
    scale = np.where(np.isfinite(frame.target_scale), frame.target_scale, 0.0)
    losses = [float(objective @ scale**2) for objective in rounds.objective]
    gap = None if rounds.is_done else rounds.gap / np.maximum(rounds.objective[-1], np.finfo(float).tiny)
    sent, in_float32 = sent + rounds.bytes_sent, in_float32 + rounds.float32_bytes
    return Fitted(coef, intercept, seen.weight, "rounds", rounds.n_rounds, sent, in_float32, losses, gap)


def _round(engine, sites, given, before, rounds):
    """The futures of the answers to the next move, whose messages `rounds` has taken."""
    move, (code, frame) = rounds.move(), given
    answers = [
        engine.submit(gradient.answer, site, code, frame, one, move, rounding)
        for site, one, rounding in zip(sites, before, map(rounds.rounding, range(len(sites))), strict=True)
    ]
    replies = [engine.submit(gradient.reply, answer) for answer in answers]
    rounds.receive(*gradient.replied(engine.results(replies), len(rounds.known)))
    engine.release([*replies, *(one for one in before if one is not None)])
    return answers


def _same(thing):
    return thing
