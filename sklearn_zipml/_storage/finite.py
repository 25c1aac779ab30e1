"""scikit-learn's error for NaN and infinity, with the place of the first such value."""

import numpy as np
from sklearn import config_context
from sklearn.utils import assert_all_finite

from .blocks import block_dtype, block_rows, is_foreign, sequential_blocks


def check_finite(X, column_names=None, estimator_name=None, allow_nan=False):
    """Raise for NaN and infinity in an array, unless scikit-learn is told to assume that there are none."""
    if is_foreign(X.dtype):
        blocks = sequential_blocks(X, block_dtype(X.dtype))
    else:  # an interrupt waits for a block, not for all
        size = block_rows(X.shape[1], X.dtype)
        blocks = (X[first : first + size] for first in range(0, len(X), size))
    try:
        for block in blocks:
            assert_all_finite(block, allow_nan=allow_nan)
    except ValueError:
        refuse_non_finite(X, column_names=column_names, estimator_name=estimator_name, allow_nan=allow_nan)


def refuse_non_finite(X, rows=None, column_names=None, first=0, estimator_name=None, allow_nan=False):
    """Raise for the first value that is NaN or infinite.

    Parameters
    ----------
    X : array (rows, columns) that has such a value
    rows : int array or None, the rows to look at
    column_names : sequence of str or None
    first : int, number of the first row of X
    allow_nan : bool, whether only infinity is refused
    estimator_name : str or None, for what scikit-learn says of an estimator
    """
    start = 0
    for block in sequential_blocks(X, block_dtype(X.dtype), rows):
        bad = np.isinf(block) if allow_nan else ~np.isfinite(block)
        if bad.any():
            i = int(bad.any(axis=1).argmax())
            j, row = int(bad[i].argmax()), int(start + i if rows is None else rows[start + i])
            value = block[i, j] if is_foreign(X.dtype) else X[row, j]
            _refuse(value, f"column {column_label(j, column_names)}, row {first + row}", estimator_name)
        start += len(block)


def _refuse(value, place, estimator_name):
    try:
        with config_context(assume_finite=False):
            assert_all_finite(np.array([[value]]), estimator_name=estimator_name, input_name="X")
    except ValueError as error:
        what, *more = str(error).split("\n", 1)
        raise ValueError("\n".join([f"{what} The first is in {place}.", *more])) from None


def column_label(j, column_names):
    """A column for a message."""
    return str(j) if column_names is None else f"{column_names[j]!r} ({j})"


def listed(columns, column_names=None):
    """The first few columns, for a message."""
    return ", ".join(column_label(j, column_names) for j in columns[:5]) + (", ..." if len(columns) > 5 else "")
