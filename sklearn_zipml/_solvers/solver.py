"""Step 5: the solvers (DESIGN section 6). `objective` holds what they minimise."""

from contextlib import nullcontext

import numpy as np

from .._kernels.threads import one_blas_thread
from .objective import Quadratic
from .options import Options, Result
from .saga import run_saga
from .sgd import run_sgd

__all__ = ["Options", "Result", "solve"]


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
    on_epoch = on_epoch or (lambda epoch, z, loss: False)
    # products of dense second moments are worth the threads of BLAS, others are small
    with one_blas_thread() if problem.threads > 1 and not problem.is_dense_cheap() else nullcontext():
        quadratic = Quadratic(problem, targets, alpha, l1, diagonal=options.solver == "sgd")
        z = np.zeros((len(targets), problem.d)) if start is None else np.where(problem.unit > 0, start, 0.0)
        if options.solver == "saga":
            return run_saga(quadratic, options, seed, z, on_epoch)
        return run_sgd(quadratic, options, seed, z, on_epoch, draw)
