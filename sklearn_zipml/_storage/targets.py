"""Targets and weights that packed rows take along."""

import numpy as np

from .blocks import is_foreign, is_real

BY_ROW = ("target", "sample_weight")  # by their names in files and pickles


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


def check_row_weights(weights, n_rows):
    """Weights of rows as float64 that can be kept in a file: finite, 0 or more, one for each row."""
    if np.ma.is_masked(weights):
        raise ValueError("sample_weight is a masked array with masked values: fill them, or leave those rows out.")
    weights = np.asarray(weights)
    if not is_real(weights.dtype):
        raise ValueError(f"sample_weight has dtype {weights.dtype}; give real numbers.")
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weights.shape}; {n_rows} rows need as many weights.")
    weights = weights.astype(np.float64, copy=False)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        raise ValueError(f"sample_weight holds {weights[wrong[0]]}; weights are finite numbers, 0 or more.")
    return weights
