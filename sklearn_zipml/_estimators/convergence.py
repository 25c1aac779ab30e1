"""What is said of a fit that did not come to its minimum."""

import numpy as np

HELP = {
    "saga": "Set solver='auto', increase max_iter, or raise tol.",
    "sgd": "Set solver='auto' or 'saga', which converge to full precision, increase max_iter, or raise tol.",
    "cg": "Increase max_iter or alpha, or raise tol.",
    "newton": "Increase max_iter, decrease C, or raise tol.",
    "rounds": "Increase max_iter, model_bits and gradient_bits, or raise tol.",
    "gram": "Increase alpha or drop collinear columns, or raise tol.",
}


def not_converged(estimator, result):
    """The message for a Result whose gap exceeds tol times its objective."""
    share = np.divide(
        result.gap, np.abs(result.objective), out=np.full(len(result.gap), np.inf), where=result.objective != 0
    )
    return not_reached(estimator, share, result.solver, f": {result.ended}" if result.ended else "")


def not_reached(estimator, share, solver="rounds", how=""):
    """The message for parts of the objectives that may still be gained, an array."""
    return (
        f"{type(estimator).__name__} did not converge{how}. The objective may lie {_percent(share.max())} above its "
        f"minimum, and tol={estimator.tol} asks for {_percent(float(estimator.tol))}. {HELP[solver]}"
    )


def _percent(share):
    return f"{100 * share:.3g} %" if np.isfinite(share) else "far"
