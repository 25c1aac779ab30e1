"""Anchored SAGA: epochs from an anchor, and from where they lead to the lowest point in reach."""

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import tiles as kernels
from .._quantization.float_rows import FLOAT_WIDTH
from . import plane_search
from .anchor import Anchor
from .batches import batch_rows, epoch_arguments, n_batches, pass_bytes, sweeps, worthwhile_threads
from .certificate import certificate
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
    problem = quadratic.problem
    rows = batch_rows(problem, options)
    batches = n_batches(problem, rows)
    calm = min(MODEL_STEP.get(options.model_bits, 1), GRADIENT_STEP.get(options.gradient_bits, 1))
    calm *= quadratic.kept_curvature() ** 2  # the noise of a batch is that of all, its pull only what is kept
    step_size = step_size_of(options, calm / (3 * (quadratic.top + problem.largest_norm() * batches / problem.n)))
    team = epoch_kernels.Team(quadratic.padded, rows, worthwhile_threads(problem, batches))
    anchor = Anchor(quadratic, z, 1 if options.tol > FINE else 2)
    stop = Stopping(options.tol, anchor.objective)
    bits = 0 if problem.tiles.width == FLOAT_WIDTH else SAGA_BITS
    bytes_read, losses, size = [], [], pass_bytes(problem.tiles)
    # the position is the anchor with the exact zeros of an l1 penalty
    position, begun, past = z, z, None
    scale = np.maximum(np.abs(anchor.objective), np.finfo(float).tiny)
    lag = np.zeros(quadratic.targets.shape, dtype=np.float32)

    def record(epochs):
        losses.append(anchor.objective)
        bytes_read.append((anchor.passes + epochs * sweeps(batches)) * size)

    record(0)
    epoch = halvings = checks = checked = 0
    stopped, certified = False, None
    while epoch < options.max_iter and halvings <= HALVINGS:
        epoch += 1
        before = anchor.objective
        rule = Rule.of(step_size, quadratic, quadratic.steady_noise)
        lag[:] = 0  # the table holds the residuals at the anchor
        offset = _offset(anchor, position)
        finite = epoch_kernels.saga_epoch(
            *epoch_arguments(quadratic, problem.tiles, rule, rows, seed, epoch),
            1 / problem.n,
            options.model_bits or bits,
            options.gradient_bits or bits,
            kernels.mix(seed, epoch << 16 | 1),
            lag,
            quadratic.pull(anchor.z),
            anchor.gradient.copy(),
            offset,
            rule.shrinkage(anchor.z),
            team,
        )
        direction = None
        if finite and np.isfinite(offset).all():
            ended = quadratic.completed(anchor.z[:, : problem.d], _end(anchor, offset))
            direction = anchor.toward(ended)
        if direction is None:
            halvings += 1
            step_size /= 2
            record(epoch)
            continue
        rise = anchor.rise_to_end(direction)
        if halvings < HALVINGS and np.any(rise > NOTICED * options.tol * scale):  # less far is better
            halvings += 1
            step_size *= _reduction(anchor, direction)
        factors = plane_search.factors(anchor, direction, past, (begun, position, ended), rise)
        past = anchor.advance(direction, factors, past)
        begun, position = position, _position(anchor, position, ended, factors)
        record(epoch)
        stopped = on_epoch(epoch, position, float(losses[-1].sum()))
        if stopped:
            break
        certified = None
        # what `stop` says may be too soon: it is asked again after twice as many epochs
        if stop(before, anchor.objective) and epoch >= checked + checks:
            certified = certificate(quadratic, position, options.tol)
            if certified.is_within(options.tol) or not stop.last.any():
                break
            checks, checked = 2 * checks + 1, epoch
            anchor.renew(certified.gradient, certified.objective)
    if certified is None:
        certified = certificate(quadratic, position, options.tol)
    losses[-1] = certified.objective
    found = position, epoch, "saga", certified.objective, certified.gap, _ended(epoch, options.max_iter, halvings)
    return Result(*found, losses=losses, bytes_read=bytes_read, stopped=bool(stopped), tol=options.tol)


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
    bend, slope = (float((direction.move * bent).sum()) for bent in (direction.bend, anchor.slope()))
    if anchor.quadratic.has_l1 or bend <= 0:
        return MOST_LEFT
    reach = min(-slope / bend, 0.5)
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
