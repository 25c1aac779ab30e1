"""What is said of a fit that too few bits have made worse."""

import numpy as np

from .._warnings import RoundingWarning, warn

# Loss of R² that is warned of, and that a width may have that is advised.
WARNED = 0.01
MOST_BITS = 8
# The part of the variance of rounding that known dither leaves, about, by bits that have it (doc/internals.rst).
DITHER_LEAVES = {2: 0.45, 3: 0.61}


def number_of_one(losses, is_one):
    """Losses of targets, or the number of the only one."""
    return float(losses[0]) if is_one else losses


def warn_of_rounding(estimator, quadratic, objective):
    """Warn of the losses of an estimator, `rounding_loss_` of every target, if they are too large.

    Not for samplings that leave rounding its bias: they are there to be compared with, and bits are not what they lack.
    """
    packed, losses = quadratic.problem.matrix, estimator.rounding_loss_
    scheme = getattr(packed, "scheme", None)
    if scheme is None or not scheme.is_compensated or not len(losses):
        return
    most = np.maximum(WARNED, standard_error(quadratic, objective))
    worst = int(np.argmax(losses / most))
    if losses[worst] > most[worst]:
        of = f" of target {worst}" if len(losses) > 1 else ""
        warn(message(type(estimator).__name__, scheme, float(losses[worst]), of), RoundingWarning)


def standard_error(quadratic, objective):
    """Of R² on as many new rows as there are, float64 (targets,): no smaller loss can be seen there.

    Twice the part of the variance that is left to explain, by the root of the number of rows; all of it may be, where
    there are no more rows than columns.
    """
    problem, start = quadratic.problem, quadratic.at_zero
    freedom = 1 - np.count_nonzero(problem.unit) / problem.n
    known = (start > 0) & (freedom > 0)
    left = np.divide(objective, start * freedom, out=np.ones(len(start)), where=known)
    return 2 * np.clip(left, 0, 1) / np.sqrt(problem.n)


def message(name, scheme, loss, of=""):
    """The text of the warning for a loss of a Scheme's samples."""
    bits = scheme.sample_bits
    plain = loss / DITHER_LEAVES[bits] if scheme.knows_dithers else loss
    may_gain = scheme.knows_dithers or (bits not in DITHER_LEAVES and scheme.gains_dither)
    left = {b: DITHER_LEAVES.get(b, 1) if may_gain else 1 for b in range(bits + 1, MOST_BITS + 1)}
    expected = {b: plain * left[b] * spacing(scheme, b) ** 2 for b in left}
    enough = next((b for b in expected if expected[b] <= WARNED), None)
    cost = f"{name}: rounding X to {bits} bit{'s' * (bits > 1)} is estimated to cost {loss:.2g} of R²{of} on new rows"
    if enough is None:
        return f"{cost} (rounding_loss_). Train on more rows, or set sample_bits=None."
    return (
        f"{cost} (rounding_loss_); {enough} bits would cost about {expected[enough]:.1g}. Set "
        f"sample_bits={enough}, of the quantizer if X comes packed."
    )


def spacing(scheme, bits):
    """How far apart levels are at another width, in parts of what they are, evenly spaced."""
    now, then = (scheme.with_bits(b).n_levels - 1 for b in (scheme.sample_bits, bits))
    return now / then
