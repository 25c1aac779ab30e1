"""Targets that packed rows take along."""

import numpy as np

from .blocks import is_foreign


def check_target(y, n_rows):
    """Targets as an array that can be kept in a file: numbers, booleans or strings, a row for each row."""
    if np.ma.is_masked(y):
        raise ValueError("The target is a masked array with masked values: fill them, or leave those rows out.")
    y = np.asarray(y)
    if y.dtype.kind == "O" and all(isinstance(value, str) for value in y.ravel()):
        y = y.astype(np.str_)
    if is_foreign(y.dtype):
        y = y.astype(np.float32)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"The target has dtype {y.dtype}; it must be of numbers, booleans or strings.")
    if y.ndim not in (1, 2) or len(y) != n_rows:
        raise ValueError(f"The target has shape {y.shape}, which does not fit {n_rows} rows.")
    return y
