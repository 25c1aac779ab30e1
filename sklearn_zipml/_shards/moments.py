"""One round: exact second moments of the parts, which add up to those of all rows, whatever the parts."""

import numpy as np

from .._solvers.moments_by_target import MomentsByTarget
from .._solvers.normal_equations import NormalEquations
from .._underflow import underflow_is_zero


@underflow_is_zero
def moments(shards, code, seed):
    """The NormalEquations of some parts.

    Parameters
    ----------
    shards : sequence of Shard, at least one
    code : TargetCode
    seed : int, 64 bits

    Returns
    -------
    NormalEquations; or MomentsByTarget, where values of targets are missing, which are NaN
    """
    equations = None
    for shard in shards:
        targets, weights = code(shard)
        if equations is None:
            equations = NormalEquations(shard.rows.shape[1], targets.shape[1], seed)
            equations = MomentsByTarget.of(equations) if code.has_missing else equations
        equations.add(shard.rows, targets, np.ones(len(targets)) if weights is None else weights)
    return equations


def merged(parts):
    """Those of all rows of several, which agree to the bit for any parts of rows that were packed on the same grid."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.merge(part)
    return whole
