"""Targets that are not known of every row: each is trained on, and scored by, the rows where it is."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._missing import is_pandas_na


@dataclass(frozen=True)
class Known:
    """Targets that are known of the same rows.

    Attributes
    ----------
    outputs : int array, columns of y
    rows : bool (n_samples,), or None where they are all of them
    """

    outputs: np.ndarray
    rows: np.ndarray | None

    def targets(self, targets):
        """The targets of all rows, float64 (n_samples, these), with zeros where they are missing."""
        own = targets if len(self.outputs) == targets.shape[1] else targets[:, self.outputs]
        return own if self.rows is None else np.where(self.rows[:, None], own, 0.0)

    def weights(self, weights, n_rows):
        """Weights of all rows, zero where the targets are missing; None for equal weights of all."""
        if self.rows is None:
            return weights
        return self.rows.astype(np.float64) if weights is None else np.where(self.rows, weights, 0.0)


def has_missing(y):
    """Whether a target has NaN, masked values, or objects that stand for nothing: None, and NA of pandas."""
    values = np.asarray(y)
    if values.dtype.kind == "O":
        return any(map(_is_nothing, values.ravel()))
    return np.ma.is_masked(y) or (values.dtype.kind == "f" and bool(np.isnan(values).any()))


def _is_nothing(value):
    return value is None or is_pandas_na(value) or (isinstance(value, float) and np.isnan(value))


def numbers_or_nan(y, estimator):
    """A target of one dimension or two, float64, with NaN where it is missing."""
    values = np.asarray(y)
    if values.dtype.kind == "O":
        y = values.copy()
        y[np.reshape(list(map(_is_nothing, values.ravel())), values.shape)] = np.nan
        odd = [value for value in y.ravel() if not isinstance(value, Real | np.generic)]
        if odd:
            raise ValueError(f"y holds {odd[0]!r} of type {type(odd[0]).__name__}; give real numbers.")
    elif np.ma.is_masked(y):
        y = np.ma.filled(y.astype(np.float64), np.nan)
    checks = {"ensure_2d": False, "ensure_all_finite": "allow-nan", "input_name": "y", "estimator": estimator}
    return check_array(y, dtype=np.float64, **checks)


def refuse_missing(y, estimator):
    """Say how to train on a target that has missing values.

    Raises
    ------
    ValueError
    """
    raise ValueError(
        f"Input y contains NaN: values of it are missing. Set missing_target='drop' of {type(estimator).__name__}, to "
        "train and score every target on the rows where it is known, or leave out rows whose target is missing."
    )


def groups_of(targets, weights=None, names=None):
    """Targets by the rows where they are known.

    Parameters
    ----------
    targets : float64 (n_samples, outputs), with NaN
    weights : float64 (n_samples,) or None; of rows that have one, each target has to have values
    names : sequence of the labels of the targets, or None for their numbers

    Returns
    -------
    list of Known, by the first of their outputs
    """
    patterns = {}
    missing = np.isnan(targets)
    for j, pattern in enumerate(np.packbits(missing, axis=0).T):
        patterns.setdefault(pattern.tobytes(), []).append(j)
    groups = []
    for outputs in patterns.values():
        rows = ~missing[:, outputs[0]]
        if not (rows if weights is None else rows & (weights > 0)).any():
            label = outputs[0] if names is None else names[outputs[0]]
            what = "y" if targets.shape[1] == 1 and names is None else f"Output {label!r} of y"
            where = "" if weights is None else " in rows of positive weight"
            raise ValueError(f"{what} has no value that is known{where}: leave it out.")
        groups.append(Known(np.array(outputs), None if rows.all() else rows))
    return groups


def known_rows(targets):
    """Which rows have a value of any of the targets (n_samples, outputs), bool; at least one."""
    known = ~np.isnan(targets).all(axis=1)
    if not known.any():
        raise ValueError("y has no value that is known, all of these rows are missing: leave them out.")
    return known


def r2_of_known(y, predictions, sample_weight=None):
    """R² of every target on the rows where it is known, as `r2_score`; their mean."""
    check_consistent_length(y, predictions, sample_weight)
    y, predictions = (np.reshape(values, (len(values), -1)) for values in (y, predictions))
    scores = []
    for j, known in enumerate(~np.isnan(y.T)):
        if not known.any():
            raise ValueError(f"Output {j} of y has no value that is known, and so no score: leave it out.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        scores.append(r2_score(y[known, j], predictions[known, j], sample_weight=weights))
    return float(np.mean(scores))
