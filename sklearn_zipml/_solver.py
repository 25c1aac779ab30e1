"""Step 5: anchored SAGA and SGD over packed tiles (DESIGN section 6).

The epochs run in `_loops`; here are what moves (`State`), the choice of step sizes, and the way back from a
divergence. `_quadratic` holds what stays fixed, `_convergence` the stopping rule.
"""

from dataclasses import dataclass, field

import numpy as np

from . import _epochs, _kernels, _loops
from ._convergence import FLOOR, Extrapolation, Stopping
from ._float_matrix import FLOAT_WIDTH
from ._quadratic import Quadratic, Rule
from ._schedule import Schedule
from ._threads import run_team

HALVINGS = 30
MIN_STEPS = 32
# One plane of the kernels is enough for saga: what it rounds shrinks as it converges.
SAGA_BITS = 8
# Tiles are shuffled in runs of at most so many bytes, and in at least so many runs.
RUN_BYTES = 1 << 17
MIN_RUNS = 256
# A rise of the objective above the best by this part of its start is a divergence.
RISE = 0.05
# Bits of the anchor, where the objective is taken: of 16 the rounding would move it by 1e-4 of its value at times.
ANCHOR_BITS = 24
# Below this tolerance it has more.
FINE = 1e-6
FINE_BITS = 32
# Rows of a mini-batch, and when large ones need no more epochs.
SMALL_BATCH, LARGE_BATCH = 16, 64
LARGE_BATCH_ROWS, LARGE_BATCH_BITS = 2048, 8
# Starting threads for a pass over fewer values costs more than they save.
THREADED_VALUES = 1 << 24
# No extrapolation while an epoch takes the objective below this part.
QUICK = 0.9
# A lengthened epoch that changes the objective by more than this part leaves the table behind.
FAR = 1e-7
# Part of saga's step that rounding the model's offset, or the change of the residuals, to so few bits leaves stable.
MODEL_STEP = {1: 0.2, 2: 0.35, 3: 0.6}
GRADIENT_STEP = {1: 0.5, 2: 0.2}


@dataclass(frozen=True)
class Options:
    """Solver settings: the estimators' parameters of the same names.

    Bits None mean SAGA_BITS in saga, 16-bit fixed point in sgd, and no rounding on float samples.
    """

    solver: str = "saga"
    learning_rate: object = "auto"
    schedule: str = "auto"
    power_t: float = 0.5
    batch_size: object = "auto"
    max_iter: int = 100
    tol: float = 1e-4
    model_bits: int | None = None
    gradient_bits: int | None = None
    threads: int = 1


@dataclass
class Result:
    """What a solver found: z (targets, columns) in code space and how it got there."""

    z: np.ndarray
    n_iter: int
    converged: bool
    losses: list = field(default_factory=list)
    bytes_read: list = field(default_factory=list)


class State:
    """What moves during a fit: anchor and offset of the model, residuals, the table's lag and mean gradient.

    It also counts the bytes of samples that were read for it.
    """

    def __init__(self, quadratic, z, bits=16, threads=1):
        self.bits, self.threads = bits, threads
        k, slots = quadratic.targets.shape
        self.quadratic = quadratic
        self.bytes_read = 0
        self.anchor = np.zeros((k, quadratic.padded))
        self.offset = np.zeros((k, quadratic.padded), dtype=np.float32)
        self.residual = np.zeros((k, slots), dtype=np.float32)
        self.lag = np.zeros((k, slots), dtype=np.float32)
        self.mean = np.zeros((k, quadratic.padded))
        self.restart(z)

    def restart(self, z):
        """Begin at z with a fresh table."""
        self.move(z)
        self.refill()

    def refill(self):
        """Take the residuals at the anchor into the table."""
        q = self.quadratic
        centre = q.centre.astype(np.float64)
        for k in range(len(self.mean)):
            sums, total = _loops.fill_table(q.problem.tiles, q.rows, k, self.residual, self.lag)
            self.mean[k] = (sums - centre * total) / q.problem.n
        self.read(q.problem.tiles, len(self.mean))

    def read(self, tiles, times):
        """Count passes over tiles."""
        self.bytes_read += times * tiles.n_tiles * _kernels.tile_bytes(tiles.n_columns, tiles.width)

    def move(self, z):
        """Put the anchor near z, the offset at what is left, and take the residuals there."""
        q = self.quadratic
        loss = []
        for k in range(len(z)):
            self.anchor[k, : z.shape[1]] = z[k]
            loss.append(self._take_residuals(k))
        self.offset[:, : z.shape[1]] = z - self.anchor[:, : z.shape[1]]
        self.objective = q.objective(loss, self.anchor)
        self.read(q.problem.tiles, len(z))

    def _take_residuals(self, k):
        """Round the anchor of a target and take its residuals; their loss."""
        q, tiles = self.quadratic, self.quadratic.problem.tiles
        anchor = _loops.Anchor(tiles, self.anchor[k], q.centre, self.bits)
        if not anchor.finite:
            return np.nan
        losses = np.zeros(tiles.n_tiles)  # of every tile: their sum does not depend on who took which

        def share(member):
            first, last = (tiles.n_tiles * m // self.threads for m in (member, member + 1))
            anchor.residuals(tiles, q.rows, k, self.residual, self.lag, first, last, losses)

        run_team(self.threads, share, lambda: None)
        return losses.sum()

    @property
    def z(self):
        z = self.anchor + self.offset
        if self.quadratic.has_l1:  # the zeros of the proximal step, which knows the anchor as float32
            z[self.offset == -self.anchor.astype(np.float32)] = 0
        return z[:, : self.quadratic.problem.d]


def solve(problem, targets, alpha, options, seed, *, l1=None, start=None, on_epoch=None, draw=None):
    """Minimise the quantized objective.

    Parameters
    ----------
    problem : Problem
    targets : float32 (targets, slots), centred and in slot order
    alpha : float, l2 penalty on the coefficients in units of X
    options : Options
    seed : int, 64 bits: order of the tiles and rounding of model and gradient
    l1 : float64 (targets,) or None, l1 penalty on the same, in units of each target
    start : float64 (targets, columns) or None, initial z
    on_epoch : callable(epoch, z, loss) -> bool or None; True ends the fit
    draw : callable(epoch) -> PackedMatrix or None, fresh samples for every epoch of sgd

    Returns
    -------
    Result, always finite
    """
    quadratic = Quadratic(problem, targets, alpha, l1, diagonal=options.solver == "sgd")
    z = np.zeros((len(targets), problem.d)) if start is None else np.where(problem.unit > 0, start, 0.0)
    on_epoch = on_epoch or (lambda epoch, z, loss: False)
    if options.solver == "saga":
        return _run_saga(quadratic, options, seed, z, on_epoch)
    return _run_sgd(quadratic, options, seed, z, on_epoch, draw)


def _batch_size(problem, options):
    """Rows of a mini-batch."""
    if options.batch_size != "auto":
        return options.batch_size
    fewest = min(bits or LARGE_BATCH_BITS for bits in (options.model_bits, options.gradient_bits))
    large = options.solver == "saga" and problem.n >= LARGE_BATCH_ROWS and fewest >= LARGE_BATCH_BITS
    return LARGE_BATCH if large else SMALL_BATCH


def _batches(problem, batch_size):
    """Number of batches of an epoch."""
    full, rest = divmod(problem.n, _kernels.TILE_ROWS)
    return full * -(-_kernels.TILE_ROWS // batch_size) + -(-rest // batch_size)


def tile_order(tiles, batches, seed, epoch):
    """Tiles in the order of an epoch, every one as often as the others.

    Many small tiles are shuffled in runs, which memory delivers faster; the rows themselves were shuffled when packed.
    """
    n = tiles.n_tiles
    sweeps = range(_sweeps(batches))
    run = max(1, min(RUN_BYTES // max(1, _kernels.tile_bytes(tiles.n_columns, tiles.width)), n // MIN_RUNS))
    runs = -(-n // run)
    order = np.concatenate(
        [_kernels.permutation(runs, _kernels.mix(seed, epoch << 16 | k << 1), 0, runs) for k in sweeps]
    )
    tiles = (order[:, None] * run + np.arange(run)).reshape(-1)
    return tiles[tiles < n]


def _sweeps(batches):
    """Times an epoch visits every row: few rows several times, for an epoch is at least 32 steps."""
    return -(-MIN_STEPS // batches)


def _threads(problem, options, batches):
    """Threads that the passes of a fit are worth."""
    small = problem.n * problem.tiles.padded < THREADED_VALUES
    few = _sweeps(batches) > 1  # a team must not meet a tile twice in a row
    return 1 if small or few else options.threads


def _step_size(options, automatic):
    return automatic if options.learning_rate == "auto" else automatic * options.learning_rate


def _move(state, z, past, started):
    """Go where an epoch was heading, or to the extrapolation of the last ones if the objective is lower there."""
    before = state.objective
    completed = state.quadratic.completed(started, z)
    if completed is not None:
        state.move(completed)
    if completed is not None and state.objective.sum() < before.sum():
        z = completed
    else:
        state.move(z)
    plain = state.objective
    past.add(started, z)
    if not np.isfinite(plain).all() or np.all(plain <= QUICK * before):
        return
    better = past.propose()
    if better is None:
        return
    if state.quadratic.has_l1:  # a combination of epochs has the zeros of the last
        better = np.where(z == 0, 0.0, better)
    state.move(better)
    if not state.objective.sum() < plain.sum():
        past.paused = True
        state.move(z)


def _is_far(before, now):
    """Whether a lengthened epoch ended so far from the table that its noise would take back what that gained.

    Near the minimum the table's own rounding to 16 bits, which filling it anew would bring back, is the larger one.
    """
    return bool(np.any(np.abs(before - now) > FAR * np.abs(before)))


class _Run:
    """Best model so far, losses, and the halving of a step size that diverges."""

    def __init__(self, state, step_size):
        self.state, self.step_size = state, step_size
        self.first = self.best = state.objective
        self.best_z = state.z
        self.losses = [float(self.first.sum())]
        self.bytes_read = [state.bytes_read]
        self.halvings = 0
        self.converged = False

    def gave_up(self):
        """Halve the step size; True if that has been done too often."""
        self.halvings += 1
        self.step_size /= 2
        return self.halvings > HALVINGS

    def diverged(self, finite):
        """Whether the objective left all bounds, upwards or (not convex after all) downwards."""
        objective = self.state.objective
        if not finite or not np.isfinite(objective).all():
            return True
        scale = np.maximum(np.abs(self.first), np.finfo(float).tiny)
        return bool(np.any((objective > self.best + RISE * scale) | (objective < -0.5 * scale)))

    def record(self, z):
        """Keep the loss of an epoch, and its model if it is the best. Returns the gain over the best before."""
        self.losses.append(float(self.state.objective.sum()))
        self.bytes_read.append(self.state.bytes_read)
        gain = float(self.best.sum()) - self.losses[-1]
        if gain >= 0:
            self.best, self.best_z = self.state.objective, z
        return gain

    def result(self, epoch, options):
        """The outcome of a fit."""
        return Result(self.best_z, epoch, self.converged or options.tol <= 0, self.losses, self.bytes_read)


def _run_saga(quadratic, options, seed, z, on_epoch):
    problem = quadratic.problem
    batch_size = _batch_size(problem, options)
    batches = _batches(problem, batch_size)
    largest = problem.largest_norm()
    calm = min(MODEL_STEP.get(options.model_bits, 1), GRADIENT_STEP.get(options.gradient_bits, 1))
    step_size = _step_size(options, calm / (3 * (quadratic.top + largest * batches / problem.n)))
    threads = _threads(problem, options, batches)
    state = State(quadratic, z, ANCHOR_BITS if options.tol > FINE else FINE_BITS, threads)
    team = _epochs.Team(quadratic.padded, batch_size, threads)
    run = _Run(state, step_size)
    stop = Stopping(options.tol, run.first)
    past = Extrapolation(problem.unit)
    bits = 0 if problem.tiles.width == FLOAT_WIDTH else SAGA_BITS
    epoch = 0
    while epoch < options.max_iter and not run.converged:
        epoch += 1
        started, before = state.z, state.objective
        rule = Rule.of(run.step_size, quadratic, quadratic.steady_noise)
        finite = _epochs.saga_epoch(
            problem.tiles,
            quadratic.rows,
            tile_order(problem.tiles, batches, seed, epoch),
            batch_size,
            quadratic.centre,
            rule.keep,
            rule.step,
            batches / problem.n,
            1 / problem.n,
            options.model_bits or bits,
            options.gradient_bits or bits,
            _kernels.mix(seed, epoch << 16 | 1),
            state.lag,
            quadratic.pull(state.anchor),
            state.mean,
            state.offset,
            rule.shrinkage(state.anchor),
            team,
        )
        state.read(problem.tiles, _sweeps(batches))
        ended = state.z
        finite = finite and np.isfinite(ended).all()
        if finite:
            _move(state, ended, past, started)
            if quadratic.lengthens and _is_far(before, state.objective):
                state.refill()
        if run.diverged(finite):
            if run.gave_up():
                break
            state.restart(run.best_z)
            past.clear()
            continue
        run.record(state.z)
        run.converged = on_epoch(epoch, state.z, run.losses[-1])
        if not run.converged and stop(before, state.objective):
            run.converged = _is_optimal(quadratic, run, options.tol)
            if not run.converged and stop.last == 0:
                break  # stuck at the resolution of the arithmetic
    return run.result(epoch, options)


def _is_optimal(quadratic, run, tol):
    """Whether the best model can gain no more than a part tol of its objective: slow is not converged."""
    left = float(quadratic.gap(run.best_z).sum())
    return left <= tol * max(abs(float(run.best.sum())), FLOOR * abs(float(run.first.sum())))


def _run_sgd(quadratic, options, seed, z, on_epoch, draw):
    problem = quadratic.problem
    batch_size = _batch_size(problem, options)
    batches = _batches(problem, batch_size)
    draw = draw or (lambda epoch: problem.matrix)
    noise, mean_norm = _sample_noise(quadratic, draw(0)), problem.mean_norm()
    if draw(0) is not problem.matrix:  # fresh draws are noisier than the store they come from
        mean_norm += noise.sum()
    automatic = 0.5 / (quadratic.top + noise.max(initial=0) + 3 * mean_norm * batches / problem.n)
    threads = _threads(problem, options, batches)
    state = State(quadratic, z, threads=threads)
    team = _epochs.Team(quadratic.padded, batch_size, threads)
    run = _Run(state, _step_size(options, automatic))
    # the noise of a model of two values per component hides the gain of every other epoch
    patience = 2 if options.model_bits == 1 else 1
    schedule = Schedule(options.schedule, options.power_t, options.tol, patience)
    unit = np.divide(1, quadratic.unit, out=np.zeros_like(quadratic.unit), where=quadratic.unit > 0)
    average = np.zeros((len(z), quadratic.padded))
    origin = np.zeros(average.shape)
    model = np.zeros(average.shape, dtype=np.float32)
    model[:, : problem.d] = z
    epoch = 0
    while epoch < options.max_iter and not run.converged:
        epoch += 1
        sample = draw(epoch)
        rule = Rule.of(run.step_size * schedule.factor(epoch), quadratic, _sample_noise(quadratic, sample))
        finite = _epochs.sgd_epoch(
            sample._tiles,
            quadratic.rows,
            tile_order(problem.tiles, batches, seed, epoch),
            batch_size,
            quadratic.centre,
            rule.keep,
            rule.step,
            batches / problem.n,
            options.model_bits or 0,
            options.gradient_bits or 0,
            _kernels.mix(seed, epoch << 16 | 1),
            unit,
            model,
            average,
            rule.shrinkage(origin),
            team,
        )
        state.read(sample._tiles, _sweeps(batches))
        finite = finite and np.isfinite(average).all()
        if finite:
            if quadratic.has_l1:  # where the model is shrunk to zero, its average should be
                average[np.abs(model) <= rule.threshold] = 0
            state.move(average[:, : problem.d])
        if run.diverged(finite):
            if run.gave_up():
                break
            model[:, : problem.d] = run.best_z
            continue
        gain = run.record(average[:, : problem.d].copy())
        run.converged = on_epoch(epoch, run.best_z, run.losses[-1])
        if options.tol > 0 and not run.converged:
            floor = options.tol * max(abs(run.losses[-1]), FLOOR * abs(run.losses[0]))
            if schedule.is_over(gain > floor):
                # at the noise floor of the smallest steps
                run.converged = float(quadratic.gap(run.best_z).sum()) <= FLOOR * abs(float(run.first.sum()))
                break
            if schedule.is_adaptive and gain <= floor:
                model[:, : problem.d] = run.best_z
    return run.result(epoch, options)


def _sample_noise(quadratic, sample):
    """Compensated diagonal, in scaled columns, for training on `sample`: all of it if it is drawn anew each epoch."""
    if sample is quadratic.problem.matrix:
        return quadratic.noise
    return sample._variance * quadratic.problem.unit**2
