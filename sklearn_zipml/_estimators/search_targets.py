"""Targets of a search by the rows where they are known, and the scores of all of them."""

from dataclasses import dataclass

import numpy as np

from .search_stores import Rows


@dataclass(frozen=True)
class SearchData:
    """Rows of a search.

    Attributes
    ----------
    X : validated array or PackedMatrix
    y : array as splitter and scorers get it
    targets : float64 (rows, outputs), with NaN where they are missing
    weights : float64 (rows,) or None, what rows count
    sample_weight : what of it scorers get
    groups : list of Known, of targets that are known of the same rows
    """

    X: object
    y: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    sample_weight: object
    groups: list

    def y_of(self, rows, known):
        """The target of some rows as scorers get it, of the outputs of a group."""
        y = self.y[rows]
        return y if y.ndim == 1 or len(known.outputs) == y.shape[1] else y[:, known.outputs]

    def counted(self):
        """The rows of positive weight where any target is known, int array; None for all rows."""
        counts = np.ones(len(self.y), dtype=bool) if self.weights is None else self.weights > 0
        if all(known.rows is not None for known in self.groups):
            counts = counts & np.any([known.rows for known in self.groups], axis=0)
        return None if counts.all() else np.flatnonzero(counts)


@dataclass(frozen=True)
class Group:
    """Targets that are known of the same rows, with these rows.

    Attributes
    ----------
    known : Known
    numbers : int array or None, the rows of X that count
    folds : list of (training rows, test rows), among these
    held_out : list of int array, test rows of X, those of weight zero too
    rows : Rows
    weight : float, of a row where all weigh the same; 1 otherwise
    """

    known: object
    numbers: np.ndarray | None
    folds: list
    held_out: list
    rows: Rows
    weight: float


def group_of(data, known, folds, centred):
    """The Group of targets.

    Parameters
    ----------
    data : SearchData
    known : Known
    folds : list of (training rows, test rows), each with a row of positive weight
    centred : bool, whether an intercept is fitted

    Raises
    ------
    ValueError
        If none of the training or of the test rows of a fold has a value of these targets.
    """
    weights, numbers, held_out = data.weights, None, [test for _, test in folds]
    counts = np.ones(len(data.y), dtype=bool) if weights is None else weights > 0
    if known.rows is not None:
        counts = counts & known.rows
        held_out = [test[known.rows[test]] for test in held_out]
    if not counts.all():
        numbers, place = np.flatnonzero(counts), np.cumsum(counts) - 1
        folds = [tuple(place[part[counts[part]]] for part in fold) for fold in folds]
    for k, fold in enumerate(folds):
        for name, part in zip(("training", "test"), fold, strict=True):
            if not len(part):
                raise ValueError(
                    f"missing_target='drop': no value of output {known.outputs[0]} of y is known in the {name} rows of "
                    f"fold {k}. Leave that output out, or give cv folds that have some of every output."
                )
    some = slice(None) if numbers is None else numbers
    targets, weight = known.targets(data.targets)[some], 1.0
    weights = None if weights is None else weights[some]
    if weights is not None and np.ptp(weights) == 0:
        weight, weights = float(weights[0]), None
    return Group(known, numbers, folds, held_out, Rows(targets, weights, centred), weight)


@dataclass(frozen=True)
class Scores:
    """What candidates reached.

    Attributes
    ----------
    array : float64 (candidates, folds, outputs), or (candidates, folds, 1) of a scorer
    unit : float; scores are in its square, which may leave the range of float64
    """

    array: np.ndarray
    unit: float

    def told(self, scores):
        """Scores in units of the targets; the largest floats beyond them."""
        with np.errstate(over="ignore"):
            most = np.finfo(np.float64).max
            return np.clip(np.asarray(scores) * self.unit * self.unit, -most, most)


def joined_scores(parts, groups):
    """The Scores of all targets; what a scorer made of a group counts once for each of its targets."""
    if len(parts) == 1:
        return parts[0]
    unit, n_outputs = max(part.unit for part in parts), sum(len(known.outputs) for known in groups)
    array = np.empty((*parts[0].array.shape[:2], n_outputs))
    for part, known in zip(parts, groups, strict=True):
        array[:, :, known.outputs] = part.array * (part.unit / unit) ** 2
    return Scores(array, unit)
