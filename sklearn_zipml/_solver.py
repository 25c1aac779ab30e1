"""Step 5: anchored SAGA and SGD over packed tiles (DESIGN section 6).

The epochs run in `_loops`; here are their fixed inputs (`Rule`), what moves (`State`), the choice of step sizes and
the stopping rule.
"""

from dataclasses import dataclass, field

import numpy as np

from . import _kernels, _loops
from ._compensation import shrinkage

# What is left to gain is judged against the objective, but not against less than this part of its start.
FLOOR = 0.01
HALVINGS = 30


@dataclass(frozen=True)
class Options:
    """Solver settings: the estimators' parameters of the same names; bits None means 16-bit fixed point."""

    solver: str = "saga"
    learning_rate: object = "auto"
    batch_size: int = 16
    max_iter: int = 100
    tol: float = 1e-4
    model_bits: int | None = None
    gradient_bits: int | None = None


@dataclass
class Result:
    """What a solver found: z (targets, columns) in code space and how it got there."""

    z: np.ndarray
    n_iter: int
    converged: bool
    losses: list = field(default_factory=list)


@dataclass(frozen=True)
class Rule:
    """One step size made into per-column factors.

    ridge (alpha / s_j²) and noise (tau D_j) are diagonals in the scaled columns. Both act on every step: the ridge
    implicitly, for it can dwarf the rest, the noise explicitly, for it is bounded by the curvature.
    """

    keep: np.ndarray
    step: np.ndarray

    @classmethod
    def of(cls, step_size, ridge, noise, unit, padded):
        shrink = 1 / (1 + step_size * ridge)
        keep, step = np.zeros(padded, dtype=np.float32), np.zeros(padded, dtype=np.float32)
        keep[: len(unit)] = (1 + step_size * noise) * shrink
        step[: len(unit)] = step_size * unit**2 * shrink
        return cls(keep, step)


class Quadratic:
    """Objective of one fit: the problem, its targets, penalty and compensation."""

    def __init__(self, problem, targets, alpha, tau):
        self.problem = problem
        d, padded = problem.d, problem.tiles.padded
        self.padded = padded
        self.targets = targets
        self.rows = _loops.Rows(targets, problem.weights)
        unit = problem.unit
        self.top = problem.largest_curvature()
        with np.errstate(over="ignore", divide="ignore"):
            ridge = (np.sqrt(alpha) * unit / problem.step) ** 2 if alpha > 0 else np.zeros(d)
        # beyond this a coefficient is zero to ten digits anyway
        self.ridge = np.minimum(ridge, 1e10 * self.top)
        self.noise = tau * problem.variance * unit**2
        # the same diagonals on z
        pull = np.divide(self.ridge - self.noise, unit**2, out=np.zeros(d), where=unit > 0)
        self.pull = self._pad(pull)
        self.centre = self._pad(problem.centre).astype(np.float32)
        self.unit = self._pad(unit).astype(np.float32)

    def _pad(self, values):
        out = np.zeros(self.padded)
        out[: len(values)] = values
        return out

    def objective(self, loss, anchor):
        """Objective of every target from its summed loss and z."""
        return np.asarray(loss) / self.problem.n + (self.pull * anchor**2).sum(axis=1) / 2


class State:
    """What moves during a fit: anchor and offset of the model, residuals, the table's lag and mean gradient."""

    def __init__(self, quadratic, z):
        k, slots = quadratic.targets.shape
        self.quadratic = quadratic
        self.anchor = np.zeros((k, quadratic.padded))
        self.offset = np.zeros((k, quadratic.padded), dtype=np.float32)
        self.residual = np.zeros((k, slots), dtype=np.float32)
        self.lag = np.zeros((k, slots), dtype=np.float32)
        self.mean = np.zeros((k, quadratic.padded))
        self.restart(z)

    def restart(self, z):
        """Begin at z with a fresh table."""
        q = self.quadratic
        self.move(z)
        centre = q.centre.astype(np.float64)
        for k in range(len(z)):
            sums, total = _loops.fill_table(q.problem.tiles, q.rows, k, self.residual, self.lag)
            self.mean[k] = (sums - centre * total) / q.problem.n

    def move(self, z):
        """Put the anchor near z, the offset at what is left, and take the residuals there."""
        q = self.quadratic
        loss = []
        for k in range(len(z)):
            self.anchor[k, : z.shape[1]] = z[k]
            loss.append(_loops.anchor_pass(q.problem.tiles, q.rows, k, self.anchor[k], q.centre, self.residual, self.lag))
        self.offset[:, : z.shape[1]] = z - self.anchor[:, : z.shape[1]]
        self.objective = q.objective(loss, self.anchor)

    @property
    def z(self):
        return (self.anchor + self.offset)[:, : self.quadratic.problem.d]


class Stopping:
    """Ends a fit when what is left to gain is small.

    The decreases of a linearly converging objective are geometric: with ratio q of the last two, d q / (1 - q) is
    left. Two epochs in a row must agree.
    """

    def __init__(self, tol, start):
        self.tol, self.start = tol, np.abs(start)
        self.last = None
        self.agreed = 0

    def __call__(self, before, after):
        if self.tol <= 0:
            return False
        decrease = np.abs(before - after)
        target = self.tol * np.maximum(np.abs(after), FLOOR * self.start)
        if self.last is None:
            left = np.where(decrease > 0, np.inf, 0)
        else:
            ratio = np.clip(np.divide(decrease, self.last, out=np.zeros_like(decrease), where=self.last > 0), 0, 0.999)
            left = np.maximum(decrease * ratio / (1 - ratio), 0)
        self.last = decrease
        fine = bool(np.all((left <= target) & (decrease <= 10 * target)))
        self.agreed = self.agreed + 1 if fine else 0
        return self.agreed >= 2 or bool(np.all(decrease == 0))


def solve(problem, targets, alpha, options, seed, *, start=None, on_epoch=None):
    """Minimise the quantized objective.

    Parameters
    ----------
    problem : Problem
    targets : float32 (targets, slots), centred and in slot order
    alpha : float, ridge penalty on the coefficients in units of X
    options : Options
    seed : int, 64 bits: order of the tiles and rounding of model and gradient
    start : float64 (targets, columns) or None, initial z
    on_epoch : callable(epoch, z, loss) -> bool or None; True ends the fit

    Returns
    -------
    Result, always finite
    """
    quadratic = Quadratic(problem, targets, alpha, shrinkage(problem))
    z = np.zeros((len(targets), problem.d)) if start is None else start
    run = _run_saga if options.solver == "saga" else _run_sgd
    return run(quadratic, options, seed, z, on_epoch or (lambda epoch, z, loss: False))


def _batches(problem, batch_size):
    """Number of batches of an epoch."""
    full, rest = divmod(problem.n, _kernels.TILE_ROWS)
    return full * -(-_kernels.TILE_ROWS // batch_size) + -(-rest // batch_size)


def _order(quadratic, seed, epoch):
    return _kernels.permutation(quadratic.problem.tiles.n_tiles, _kernels.mix(seed, 2 * epoch), 0, quadratic.problem.tiles.n_tiles)


def _step_size(options, automatic):
    return automatic if options.learning_rate == "auto" else automatic * options.learning_rate


def _diverged(objective, best, start):
    """Whether the objective left all bounds, upwards or (not convex after all) downwards."""
    scale = np.maximum(np.abs(start), np.finfo(float).tiny)
    return not np.isfinite(objective).all() or bool(np.any((objective > 2 * best + scale) | (objective < -0.5 * scale)))


def _run_saga(quadratic, options, seed, z, on_epoch):
    problem = quadratic.problem
    batches = _batches(problem, options.batch_size)
    batch_rows = problem.n / batches
    largest = float(problem.row_norms().max(initial=0))
    step_size = _step_size(options, 1 / (3 * (quadratic.top + largest / batch_rows)))
    state = State(quadratic, z)
    first = state.objective
    best_z, best = state.z, state.objective
    stop = Stopping(options.tol, first)
    losses, halvings, converged = [float(first.sum())], 0, False
    epoch = 0
    while epoch < options.max_iter:
        epoch += 1
        rule = Rule.of(step_size, quadratic.ridge, quadratic.noise, problem.unit, quadratic.padded)
        finite = _loops.saga_epoch(
            problem.tiles,
            quadratic.rows,
            _order(quadratic, seed, epoch),
            options.batch_size,
            quadratic.centre,
            rule.keep,
            rule.step,
            batches / problem.n,
            1 / problem.n,
            options.model_bits or 0,
            options.gradient_bits or 0,
            _kernels.mix(seed, 2 * epoch + 1),
            state.lag,
            quadratic.pull * state.anchor,
            state.mean,
            state.offset,
        )
        before = state.objective
        if finite:
            state.move(state.z)
        if not finite or _diverged(state.objective, best, first):
            halvings += 1
            if halvings > HALVINGS:
                break
            step_size /= 2
            state.restart(best_z)
            continue
        losses.append(float(state.objective.sum()))
        if state.objective.sum() <= best.sum():
            best_z, best = state.z, state.objective
        if on_epoch(epoch, state.z, losses[-1]):
            best_z, converged = state.z, True
            break
        if stop(before, state.objective):
            best_z, converged = state.z, True
            break
    return Result(best_z, epoch, converged or options.tol <= 0, losses)


def _run_sgd(quadratic, options, seed, z, on_epoch):
    problem = quadratic.problem
    batches = _batches(problem, options.batch_size)
    mean_norm = float(problem.row_norms().mean()) if problem.n else 0.0
    step_size = _step_size(options, 0.5 / (quadratic.top + 3 * mean_norm * batches / problem.n))
    smallest = step_size / 64
    state = State(quadratic, z)
    first = state.objective
    model = np.zeros((len(z), quadratic.padded), dtype=np.float32)
    average = np.zeros((len(z), quadratic.padded))
    model[:, : problem.d] = z
    best_z, best = z, first
    losses, converged, halvings = [float(first.sum())], False, 0
    epoch = 0
    while epoch < options.max_iter:
        epoch += 1
        rule = Rule.of(step_size, quadratic.ridge, quadratic.noise, problem.unit, quadratic.padded)
        finite = _loops.sgd_epoch(
            problem.tiles,
            quadratic.rows,
            _order(quadratic, seed, epoch),
            options.batch_size,
            quadratic.centre,
            rule.keep,
            rule.step,
            batches / problem.n,
            options.model_bits or 0,
            options.gradient_bits or 0,
            _kernels.mix(seed, 2 * epoch + 1),
            np.divide(1, quadratic.unit, out=np.zeros_like(quadratic.unit), where=quadratic.unit > 0),
            model,
            average,
        )
        if finite:
            state.move(average[:, : problem.d])
        if not finite or _diverged(state.objective, best, first):
            halvings += 1
            if halvings > HALVINGS:
                break
            step_size /= 2
            model[:, : problem.d] = best_z
            continue
        losses.append(float(state.objective.sum()))
        gain = best.sum() - losses[-1]
        if gain > 0:
            best_z, best = average[:, : problem.d].copy(), state.objective
        if on_epoch(epoch, best_z, losses[-1]):
            converged = True
            break
        # at the noise floor of this step size: the next one is half as large
        if options.tol > 0 and gain <= options.tol * max(abs(losses[-1]), FLOOR * abs(losses[0])):
            if step_size <= smallest:
                converged = True
                break
            step_size /= 2
            model[:, : problem.d] = best_z
    return Result(best_z, epoch, converged or options.tol <= 0, losses)
