"""What is said of a fit that did not come to its minimum."""

import numpy as np

HELP = {
    "saga": "Set solver='auto', increase max_iter, or raise tol.",
    "sgd": "Set solver='auto' or 'saga', which converge to full precision, increase max_iter, or raise tol.",
    "cg": "Increase max_iter or alpha, or raise tol.",
    "newton": "Increase max_iter, decrease C, or raise tol.",
    "gram": "Increase alpha or drop collinear columns, or raise tol.",
}


def not_converged(estimator, result):
    """The message for a Result whose gap exceeds tol times its objective."""
    share = np.divide(
        result.gap, np.abs(result.objective), out=np.full(len(result.gap), np.inf), where=result.objective != 0
    )
    name = type(estimator).__name__
    how = f": {result.ended}" if result.ended else ""
    return (
        f"{name} did not converge{how}. The objective may lie {_percent(share.max())} above its minimum, and tol="
        f"{estimator.tol} asks for {_percent(estimator.tol)}. {HELP[result.solver]}"
    )


def _percent(share):
    return f"{100 * share:.3g} %" if np.isfinite(share) else "far"
