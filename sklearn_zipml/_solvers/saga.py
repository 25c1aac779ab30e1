"""Anchored SAGA: epochs from an anchor, and from where they lead to the lowest point in reach."""

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import row_order as order_kernels
from .._kernels import tiles as kernels
from . import plane_search
from .anchor import Anchor
from .batches import batch_size_of, batches_of, n_batches, pass_bytes, sweeps, worthwhile_threads
from .certificate import Certifier
from .objective import Rule
from .options import HALVINGS, Result, step_size_of
from .stopping import Stopping

# One plane of the kernels is enough: what it rounds shrinks as it converges.
SAGA_BITS = 8
# Below this tolerance the gradient of the anchor has 32 bits.
FINE = 1e-6
# An epoch that rises by less than this part of tol has just converged.
NOTICED = 1e-3
# Part of the gain of an epoch that noise is to be, and what the step size is multiplied with to get there.
NOISE, LEAST_LEFT, MOST_LEFT = 1 / 3, 1 / 16, 1 / 2
# Part of the step that rounding the model's offset, or the change of the residuals, to so few bits leaves stable.
MODEL_STEP = {1: 0.2, 2: 0.35, 3: 0.6}
GRADIENT_STEP = {1: 0.5, 2: 0.2}


def run_saga(quadratic, options, seed, z, on_epoch):
    """Result of saga from z; see `solve`."""
    run = _Run(quadratic, options, seed, z)
    certify = Certifier(quadratic, options.tol)
    stop = Stopping(options.tol, run.anchor.objective)
    stopped, certified, checks, checked = False, None, 0, 0
    while run.epoch < options.max_iter and run.halvings <= HALVINGS:
        before = run.anchor.objective
        if not run.advance():
            continue
        stopped = on_epoch(run.epoch, run.position, float(run.losses[-1].sum()))
        if stopped:
            break
        certified = None
        # what `stop` says may be too soon: it is asked again after twice as many epochs
        if stop(before, run.anchor.objective) and run.epoch >= checked + checks:
            certified = certify(run.position)
            if certified.is_within(options.tol) or not stop.last.any():
                break
            checks, checked = 2 * checks + 1, run.epoch
            run.anchor.renew(certified.gradient, certified.objective)
    if certified is None:
        certified = certify(run.position)
    run.losses[-1] = certified.objective
    return Result(
        run.position,
        run.epoch,
        "saga",
        certified.objective,
        certified.gap,
        _ended(run.epoch, options.max_iter, run.halvings),
        losses=run.losses,
        bytes_read=run.bytes_read,
        stopped=bool(stopped),
        tol=options.tol,
    )


class _Run:
    """Where a fit is: its anchor, the step size, and what was seen on the way.

    Attributes
    ----------
    anchor : Anchor
    position : float64 (targets, columns), the anchor with the exact zeros of an l1 penalty
    epoch, halvings : int, epochs so far, and how often the step size was reduced
    losses, bytes_read : lists, see Result
    """

    def __init__(self, quadratic, options, seed, z):
        problem = quadratic.problem
        self.quadratic, self.options, self.seed = quadratic, options, seed
        self.batch_size = batch_size_of(problem, options)
        self.batches = n_batches(problem, self.batch_size)
        damping = min(MODEL_STEP.get(options.model_bits, 1), GRADIENT_STEP.get(options.gradient_bits, 1))
        damping *= quadratic.kept_curvature() ** 2  # the noise of a batch is that of all, its curvature what is kept
        largest = problem.largest_norm() * self.batches / problem.n
        self.step_size = step_size_of(options, damping / (3 * quadratic.loss.curvature * (quadratic.top + largest)))
        self.team = epoch_kernels.Team(quadratic.padded, self.batch_size, worthwhile_threads(problem, self.batches))
        self.anchor = Anchor(quadratic, z, 1 if options.tol > FINE else 2)
        self.scale = np.maximum(np.abs(self.anchor.objective), np.finfo(float).tiny)
        self.table_residual = np.zeros(quadratic.targets.shape, dtype=np.float32)
        self.position, self.begun, self.past = z, z, None
        self.epoch = self.halvings = 0
        self.losses, self.bytes_read = [], []
        self._record()

    def advance(self):
        """Run an epoch and go to the lowest point in reach; False if it left float range, and the step was halved."""
        self.epoch += 1
        anchor, d = self.anchor, self.quadratic.problem.d
        offset = _offset(anchor, self.position)
        direction = None
        if self._steps(offset) and np.isfinite(offset).all():
            ended = self.quadratic.completed(anchor.z[:, :d], _end(anchor, offset))
            direction = anchor.toward(ended)
        if direction is None:
            self.halvings += 1
            self.step_size /= 2
            self._record()
            return False
        rise = anchor.rise_to_end(direction)
        if self.halvings < HALVINGS and np.any(rise > NOTICED * self.options.tol * self.scale):  # less far is better
            self.halvings += 1
            self.step_size *= _reduction(anchor, direction)
        factors = plane_search.factors(anchor, direction, self.past, (self.begun, self.position, ended), rise)
        self.past = anchor.advance(direction, factors, self.past)
        self.begun, self.position = self.position, _position(anchor, self.position, ended, factors)
        self._record()
        return True

    def _steps(self, offset):
        """The steps of an epoch, which change the offset from the anchor; whether all were finite."""
        quadratic, options = self.quadratic, self.options
        rule = Rule.of(self.step_size, quadratic, quadratic.steady_noise)
        bits = 0 if quadratic.problem.tiles.width == kernels.FLOAT_WIDTH else SAGA_BITS
        self.table_residual[:] = 0  # the table holds the residuals at the anchor
        key, l1 = order_kernels.mix(self.seed, self.epoch << 16 | 1), rule.shrinkage(self.anchor.z)
        return epoch_kernels.saga_epoch(
            batches_of(quadratic, quadratic.problem.tiles, self.batch_size, self.seed, self.epoch),
            epoch_kernels.Steps(
                rule.keep, rule.step, options.model_bits or bits, options.gradient_bits or bits, key, l1
            ),
            self.table_residual,
            quadratic.penalty_gradient(self.anchor.z),
            self.anchor.gradient.copy(),
            offset,
            self.team,
        )

    def _record(self):
        self.losses.append(self.anchor.reported)
        passes = self.anchor.passes + self.epoch * sweeps(self.batches)
        self.bytes_read.append(passes * pass_bytes(self.quadratic.problem.tiles))


def _ended(epochs, most, halvings):
    """Why epochs ended where they did not converge."""
    if halvings > HALVINGS:
        return "every step size diverged"
    if epochs == most:
        return f"max_iter={most} epochs were not enough"
    return f"it came to the resolution of its arithmetic after {epochs} epochs"


def _reduction(anchor, direction):
    """Factor of the step size after an epoch that rose, whose direction has its lowest point a part `reach` of it away.

    Epochs that step too far are mostly noise, in proportion to the step: 1 / reach - 1 times what they gain.
    """
    curvature, slope = (float((direction.move * image).sum()) for image in (direction.hessian_product, anchor.slope()))
    if anchor.quadratic.has_l1 or curvature <= 0:
        return MOST_LEFT
    reach = min(-slope / curvature, 0.5)
    return min(MOST_LEFT, max(LEAST_LEFT, NOISE * reach / (1 - reach)))


def _offset(anchor, position):
    """Offset of the position from the anchor, float32 (targets, padded columns), exact where it is zero."""
    offset = np.zeros(anchor.z.shape, dtype=np.float32)
    if anchor.quadratic.has_l1:
        d = position.shape[1]
        offset[:, :d] = np.where(position == 0, -anchor.z[:, :d].astype(np.float32), position - anchor.z[:, :d])
    return offset


def _end(anchor, offset):
    """Where an epoch ended, (targets, columns), with the zeros of the proximal step."""
    z = anchor.z + offset
    if anchor.quadratic.has_l1:
        z[offset == -anchor.z.astype(np.float32)] = 0
    return z[:, : anchor.quadratic.problem.d]


def _position(anchor, position, ended, factors):
    """The anchor, or what it stands for: with an l1 penalty zeros are exact."""
    z = anchor.z[:, : position.shape[1]].copy()
    if not anchor.quadratic.has_l1:
        return z
    for k, (of_past, of_new) in enumerate(factors):
        if of_new == 0 and of_past == 0:
            z[k] = position[k]
        elif of_past == 0 and of_new == 1:
            z[k] = ended[k]
        else:
            z[k, ended[k] == 0] = 0
    return z
