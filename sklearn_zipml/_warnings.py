"""Warnings that point at the caller's line, however deep in the package their reason is found."""

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)
# Where scikit-learn wraps the methods of estimators.
_WRAPPERS = (str(Path("sklearn", "base.py")), str(Path("sklearn", "utils", "_set_output.py")))


class RoundingWarning(UserWarning):
    """Warns that samples of so few bits make a model worse on new rows.

    Raised by ``fit`` where its ``rounding_loss_`` is above .01, and above the standard error that R² has on as many
    rows. It names the loss, the width, and the width that would do.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn_zipml import RoundingWarning, ZipMLRegressor
    >>> X = np.random.default_rng(0).normal(size=(500, 50))
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", RoundingWarning)
    ...     model = ZipMLRegressor(2, random_state=0).fit(X, X.sum(axis=1))
    >>> model.rounding_loss_ > 0.01
    True
    """


def warn(message, category=UserWarning):
    """Warn as if the warning came from the first caller outside this package."""
    depth, frame = 1, sys._getframe(0)
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def _is_inside(path):
    return path.startswith(_PACKAGE) or path.endswith(_WRAPPERS)
