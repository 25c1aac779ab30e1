"""Results that are too small for a float are zero in this package, whatever ``numpy.errstate`` says outside."""

from functools import wraps

import numpy as np


def underflow_is_zero(function):
    """Decorate a function inside which no underflow is reported; other floating-point errors are as outside."""

    @wraps(function)
    def quiet(*args, **kwargs):
        with np.errstate(under="ignore"):
            return function(*args, **kwargs)

    return quiet
