"""Mini-batch SGD, with the mean of an epoch's iterates as its outcome and halved steps."""

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import row_order as order_kernels
from .anchor import Anchor
from .batches import batch_size_of, batches_of, n_batches, pass_bytes, sweeps, worthwhile_threads
from .certificate import Certifier
from .objective import Rule
from .options import HALVINGS, Result, step_size_of
from .step_schedule import Schedule

# A rise of the objective above the best by this part of its start is a divergence.
RISE = 0.05
# A gain of an epoch counts beside the objective, but not beside less than this part of its start.
FLOOR = 0.01


class _Run:
    """Where a fit is, its best model so far, losses, and the halving of a step size that diverges.

    Attributes
    ----------
    anchor : Anchor, that follows the means of epochs
    model, average : (targets, padded columns), the iterate and the mean of an epoch's
    best, best_z : objectives and z of the best mean so far
    losses, bytes_read : lists, see Result
    """

    def __init__(self, quadratic, options, seed, z, draw):
        problem = quadratic.problem
        self.quadratic, self.options, self.seed = quadratic, options, seed
        self.draw = draw or (lambda epoch: problem.matrix)
        self.batch_size = batch_size_of(problem, options)
        self.batches = n_batches(problem, self.batch_size)
        self.step_size = step_size_of(options, self._automatic_step())
        self.team = epoch_kernels.Team(quadratic.padded, self.batch_size, worthwhile_threads(problem, self.batches))
        self.anchor = Anchor(quadratic, z)
        self.first = self.best = self.anchor.objective
        self.best_z = z
        self.losses, self.bytes_read = [self.first], [0]
        self.halvings = 0
        self.unit = np.divide(1, quadratic.unit, out=np.zeros_like(quadratic.unit), where=quadratic.unit > 0)
        self.average = np.zeros((len(z), quadratic.padded))
        self.origin = np.zeros(self.average.shape)
        self.model = np.zeros(self.average.shape, dtype=np.float32)
        self.model[:, : problem.d] = z

    def _automatic_step(self):
        """What the curvature and the noise of a batch leave stable."""
        quadratic, problem = self.quadratic, self.quadratic.problem
        noise, mean_norm = _sample_noise(quadratic, self.draw(0)), problem.mean_norm()
        if self.draw(0) is not problem.matrix:  # fresh draws are noisier than the store they come from
            mean_norm += noise.sum()
        curvature = quadratic.loss.curvature
        return 0.5 / (curvature * (quadratic.top + noise.max(initial=0) + 3 * mean_norm * self.batches / problem.n))

    def advance(self, epoch, factor):
        """Run an epoch, of the step size times a factor; whether all stayed finite and within bounds."""
        quadratic, options, problem = self.quadratic, self.options, self.quadratic.problem
        sample = self.draw(epoch)
        rule = Rule.of(self.step_size * factor, quadratic, _sample_noise(quadratic, sample))
        key, l1 = order_kernels.mix(self.seed, epoch << 16 | 1), rule.shrinkage(self.origin)
        finite = epoch_kernels.sgd_epoch(
            batches_of(quadratic, sample.tiles, self.batch_size, self.seed, epoch, _centre_of(quadratic, sample)),
            epoch_kernels.Steps(rule.keep, rule.step, options.model_bits or 0, options.gradient_bits or 0, key, l1),
            self.unit,
            self.model,
            self.average,
            self.team,
        )
        self.bytes_read.append(self.bytes_read[-1] + sweeps(self.batches) * pass_bytes(sample.tiles))
        finite = finite and np.isfinite(self.average).all()
        if finite:
            finite = self.anchor.move(_shrunk(self.average, self.model, rule)[:, : problem.d])
            self.bytes_read[-1] += pass_bytes(problem.tiles)
        return not self.diverged(finite)

    def restart(self):
        """Begin again from the best mean."""
        self.anchor = Anchor(self.quadratic, self.best_z)  # what was added from far is not exact
        self.go_to_best()
        self.bytes_read[-1] += 2 * pass_bytes(self.quadratic.problem.tiles)
        self.losses.append(self.anchor.reported)

    def go_to_best(self):
        """Put the iterate on the best mean."""
        self.model[:, : self.best_z.shape[1]] = self.best_z

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

    def record(self):
        """Keep the loss of an epoch, and its mean if it is the best. Returns the gain over the best before."""
        z = self.average[:, : self.best_z.shape[1]].copy()
        self.losses.append(self.anchor.reported)
        gain = float(self.best.sum() - self.losses[-1].sum())
        if gain >= 0:
            self.best, self.best_z = self.anchor.objective, z
        return gain


def run_sgd(quadratic, options, seed, z, on_epoch, draw):
    """Result of sgd from z; see `solve`."""
    run = _Run(quadratic, options, seed, z, draw)
    # the noise of a model of two values per component hides the gain of every other epoch
    patience = 2 if options.model_bits == 1 else 1
    schedule = Schedule(options.schedule, options.power_t, options.tol, patience)
    epoch, stopped = 0, False
    while epoch < options.max_iter:
        epoch += 1
        if not run.advance(epoch, schedule.factor(epoch)):
            if run.gave_up():
                break
            run.restart()
            continue
        gain = run.record()
        stopped = on_epoch(epoch, run.best_z, float(run.losses[-1].sum()))
        if stopped:
            break
        if options.tol > 0:
            floor = options.tol * max(abs(float(run.losses[-1].sum())), FLOOR * abs(float(run.first.sum())))
            if schedule.is_over(gain > floor):
                break
            if schedule.is_adaptive and gain <= floor:
                run.go_to_best()
    certified = Certifier(quadratic, options.tol)(run.best_z)
    run.losses[-1] = certified.objective
    found = run.best_z, epoch, "sgd", certified.objective, certified.gap, run.ended(epoch, options.max_iter)
    read = run.bytes_read[: len(run.losses)]
    return Result(*found, losses=run.losses, bytes_read=read, stopped=bool(stopped), tol=options.tol)


def _shrunk(average, model, rule):
    """The average of an epoch's models, changed in place: zero where the l1 penalty has shrunk the last one to zero."""
    if rule.threshold is not None:
        average[np.abs(model) <= rule.threshold] = 0
    return average


def _centre_of(quadratic, sample):
    """The centre of columns in positions of `sample`: grids of fresh draws that leave out outliers begin later."""
    problem = quadratic.problem
    if sample is problem.matrix:
        return quadratic.centre
    begun = np.rint((sample.offset - problem.matrix.offset) / sample.step)
    return problem.padded(problem.centre - begun)


def _sample_noise(quadratic, sample):
    """Compensated diagonal, in scaled columns, for training on `sample`: all of it if it is drawn anew each epoch."""
    if sample is quadratic.problem.matrix:
        return quadratic.noise
    return sample.rounding_variance * quadratic.problem.unit**2
