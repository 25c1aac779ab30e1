"""Warnings that point at the caller's line, however deep in the package their reason is found."""

import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)
# Where scikit-learn wraps the methods of estimators.
_WRAPPERS = (str(Path("sklearn", "base.py")), str(Path("sklearn", "utils", "_set_output.py")))


def warn(message, category=UserWarning):
    """Warn as if the warning came from the first caller outside this package."""
    depth, frame = 1, sys._getframe(0)
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def _is_inside(path):
    return path.startswith(_PACKAGE) or path.endswith(_WRAPPERS)
