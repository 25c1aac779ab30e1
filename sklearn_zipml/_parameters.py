"""Checks of parameters: scikit-learn's, and of the numbers that it takes for others or cannot compare."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

PLAIN = (int, float, np.integer, np.floating, np.bool_)


def check_parameters(constraints, values, owner):
    """Raise scikit-learn's error for the first value that its constraints refuse.

    Parameters
    ----------
    constraints : dict, as scikit-learn's _parameter_constraints; names that are not in it are let pass
    values : dict
    owner : str, what the parameters are of
    """
    for name, value in values.items():
        if is_number(value) and not is_plain(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {owner} must be a plain number, an int or a float. Got {value!r} of type "
                f"{type(value).__name__} instead."
            )
    validate_parameter_constraints(constraints, values, caller_name=owner)


def is_number(value):
    """Whether Python takes it for a real number; NumPy's durations are among them."""
    return isinstance(value, Real)


def is_plain(value):
    """Whether it is a number that NumPy computes with as such."""
    return isinstance(value, PLAIN) and not isinstance(value, np.timedelta64)


def is_integer(value):
    """Whether it is an integer, and no truth value or duration."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.timedelta64)
