"""Mini-batch SGD, with the mean of an epoch's iterates as its outcome and halved steps."""

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import tiles as kernels
from .anchor import Anchor
from .batches import batch_size_of, epoch_arguments, n_batches, pass_bytes, sweeps, worthwhile_threads
from .certificate import certificate
from .objective import Rule
from .options import HALVINGS, Result, step_size_of
from .step_schedule import Schedule

# A rise of the objective above the best by this part of its start is a divergence.
RISE = 0.05
# A gain of an epoch counts beside the objective, but not beside less than this part of its start.
FLOOR = 0.01


class _Run:
    """Where a fit is, its best model so far, losses, and the halving of a step size that diverges."""

    def __init__(self, anchor, z, step_size):
        self.anchor, self.step_size = anchor, step_size
        self.first = self.best = anchor.objective
        self.best_z = z
        self.losses = [self.first]
        self.halvings = 0

    def gave_up(self):
        """Halve the step size; True if that has been done too often."""
        self.halvings += 1
        self.step_size /= 2
        return self.halvings > HALVINGS

    def ended(self, epochs, most):
        """Why epochs ended where they did not converge."""
        if self.halvings > HALVINGS:
            return "every step size diverged"
        if epochs == most:
            return f"max_iter={most} epochs were not enough"
        return f"it came to the noise of its smallest steps after {epochs} epochs"

    def diverged(self, finite):
        """Whether the objective left all bounds, upwards or (not convex after all) downwards."""
        objective = self.anchor.objective
        if not finite or not np.isfinite(objective).all():
            return True
        scale = np.maximum(np.abs(self.first), np.finfo(float).tiny)
        return bool(np.any((objective > self.best + RISE * scale) | (objective < -0.5 * scale)))

    def record(self, z):
        """Keep the loss of an epoch, and its model if it is the best. Returns the gain over the best before."""
        self.losses.append(self.anchor.objective)
        gain = float(self.best.sum() - self.losses[-1].sum())
        if gain >= 0:
            self.best, self.best_z = self.anchor.objective, z
        return gain


def run_sgd(quadratic, options, seed, z, on_epoch, draw):
    """Result of sgd from z; see `solve`."""
    problem = quadratic.problem
    rows = batch_size_of(problem, options)
    batches = n_batches(problem, rows)
    draw = draw or (lambda epoch: problem.matrix)
    noise, mean_norm = _sample_noise(quadratic, draw(0)), problem.mean_norm()
    if draw(0) is not problem.matrix:  # fresh draws are noisier than the store they come from
        mean_norm += noise.sum()
    automatic = 0.5 / (quadratic.top + noise.max(initial=0) + 3 * mean_norm * batches / problem.n)
    team = epoch_kernels.Team(quadratic.padded, rows, worthwhile_threads(problem, batches))
    run = _Run(Anchor(quadratic, z), z, step_size_of(options, automatic))
    bytes_read = [0]
    # the noise of a model of two values per component hides the gain of every other epoch
    patience = 2 if options.model_bits == 1 else 1
    schedule = Schedule(options.schedule, options.power_t, options.tol, patience)
    unit = np.divide(1, quadratic.unit, out=np.zeros_like(quadratic.unit), where=quadratic.unit > 0)
    average = np.zeros((len(z), quadratic.padded))
    origin = np.zeros(average.shape)
    model = np.zeros(average.shape, dtype=np.float32)
    model[:, : problem.d] = z
    epoch, stopped = 0, False
    while epoch < options.max_iter:
        epoch += 1
        sample = draw(epoch)
        rule = Rule.of(run.step_size * schedule.factor(epoch), quadratic, _sample_noise(quadratic, sample))
        finite = epoch_kernels.sgd_epoch(
            *epoch_arguments(quadratic, sample.tiles, rule, rows, seed, epoch),
            options.model_bits or 0,
            options.gradient_bits or 0,
            kernels.mix(seed, epoch << 16 | 1),
            unit,
            model,
            average,
            rule.shrinkage(origin),
            team,
        )
        bytes_read.append(bytes_read[-1] + sweeps(batches) * pass_bytes(sample.tiles))
        finite = finite and np.isfinite(average).all()
        if finite:
            finite = run.anchor.move(_shrunk(average, model, rule)[:, : problem.d])
            bytes_read[-1] += pass_bytes(problem.tiles)
        if run.diverged(finite):
            if run.gave_up():
                break
            run.anchor = Anchor(quadratic, run.best_z)  # what was added from far is not exact
            model[:, : problem.d] = run.best_z
            bytes_read[-1] += 2 * pass_bytes(problem.tiles)
            run.losses.append(run.anchor.objective)
            continue
        gain = run.record(average[:, : problem.d].copy())
        stopped = on_epoch(epoch, run.best_z, float(run.losses[-1].sum()))
        if stopped:
            break
        if options.tol > 0:
            floor = options.tol * max(abs(float(run.losses[-1].sum())), FLOOR * abs(float(run.first.sum())))
            if schedule.is_over(gain > floor):
                break
            if schedule.is_adaptive and gain <= floor:
                model[:, : problem.d] = run.best_z
    certified = certificate(quadratic, run.best_z, options.tol)
    run.losses[-1] = certified.objective
    found = run.best_z, epoch, "sgd", certified.objective, certified.gap, run.ended(epoch, options.max_iter)
    return Result(
        *found, losses=run.losses, bytes_read=bytes_read[: len(run.losses)], stopped=bool(stopped), tol=options.tol
    )


def _shrunk(average, model, rule):
    """The average of an epoch's models, changed in place: zero where the l1 penalty has shrunk the last one to zero."""
    if rule.threshold is not None:
        average[np.abs(model) <= rule.threshold] = 0
    return average


def _sample_noise(quadratic, sample):
    """Compensated diagonal, in scaled columns, for training on `sample`: all of it if it is drawn anew each epoch."""
    if sample is quadratic.problem.matrix:
        return quadratic.noise
    return sample.rounding_variance * quadratic.problem.unit**2
