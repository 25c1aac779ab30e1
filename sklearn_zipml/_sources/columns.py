"""Which columns of the data are wanted, and as what."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from .._parameters import is_integer
from .._warnings import warn
from .transform import check_transformer, transformed


@dataclass
class Columns:
    """Which columns of the data are target and weights, and which are features; how these are read and made.

    Attributes
    ----------
    target : label, list of labels or None
    columns : list of labels or None
    weight : label or None, of the weights of rows
    header, delimiter : see `open_source`
    transform : fitted transformer of the features, or None
    missing : bool, whether features may have nulls, which become NaN
    """

    target: object = None
    columns: list | None = None
    weight: str | int | None = None
    header: bool | None = None
    delimiter: str | None = None
    transform: object = None
    missing: bool = False

    def __post_init__(self):
        if self.transform is not None:
            check_transformer(self.transform)
        if self.columns is not None:
            self.columns = _labels(self.columns, "columns")
        if isinstance(self.target, list | tuple | np.ndarray):
            self.target = _labels(self.target, "target")
        elif not isinstance(self.target, Hashable):
            raise TypeError(f"target={self.target!r} must be a name, an index, a list of them, or None.")
        self.single = self.target is not None and not isinstance(self.target, (list, tuple))
        self._has_warned = self.found_decoded = False
        self.targets = [] if self.target is None else [self.target] if self.single else list(self.target)
        self.weights = [] if self.weight is None else [self.weight]

    def split(self, available, index=(), where=""):
        """Labels of features and targets among those available.

        Columns of `index`, which are the index of a data frame, are left out unless they are asked for, with a warning;
        where tells, for messages, what the data is.
        """
        numbered = isinstance(available, range)
        beside = [*self.targets, *self.weights]
        asked = [*beside, *(self.columns or [])]
        # of arrays neither 1.0 nor True is a column, though both equal one
        missing = [name for name in asked if name not in available or (numbered and not is_integer(name))]
        if missing:
            near = get_close_matches(str(missing[0]), [str(name) for name in available], 1)
            hint = f"did you mean {near[0]!r}? It" if near else "it"
            raise ValueError(f"The data has no column {missing[0]!r}; {hint} has {some_names(available)}.")
        if self.columns is not None:
            return self._checked([name for name in self.columns if name not in beside], available)
        left_out = [name for name in index if name not in beside]
        if left_out and not self._has_warned:
            self._has_warned = True
            warn(
                f"Column(s) {some_names(left_out)}{where} are left out, as they are the index of a data frame; name "
                "them in `columns` to pack them."
            )
        apart = {*beside, *left_out}
        return self._checked([name for name in available if name not in apart], available)

    def _checked(self, features, available):
        """Features and targets; an error if there are none to pack, or columns that are not known from their name."""
        if not features:
            raise ValueError(
                f"The data has {some_names(available)}, of which target={self.target!r} and columns={self.columns!r} "
                "leave no features to pack; at least one is needed."
            )
        numbered = isinstance(available, range)
        there = Counter([] if numbered else available)
        beside = [*self.targets, *self.weights]
        picked = Counter(beside if numbered and self.columns is None else [*features, *beside])
        repeated = [name for name in picked if max(picked[name], there[name]) > 1]
        if repeated:
            raise ValueError(
                f"Column {repeated[0]!r} is there, or is asked for, more than once: give every column its own name, "
                "and name each once in `target`, `sample_weight` and `columns`."
            )
        return features, self.targets

    def of_array(self, block):
        """Features, target and weights of rows (rows, columns)."""
        features, targets = self.split(range(block.shape[1]))
        y = None if not targets else block[:, targets[0]] if self.single else block[:, targets]
        X = block if len(features) == block.shape[1] else block[:, features]
        return X, y, None if self.weight is None else block[:, self.weight]

    def transformed(self, X):
        """Features after the transformer and their labels or None; as they are, without a transformer."""
        return (X, None) if self.transform is None else transformed(self.transform, X)


def _labels(given, parameter):
    """Names or indices of columns as a list."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | dict | set)
    labels = list(given) if is_list and getattr(given, "ndim", 1) == 1 else None
    if labels is None or not all(isinstance(label, Hashable) for label in labels):
        raise TypeError(f"{parameter}={given!r} must be a list of names or indices of columns.")
    return labels


def some_names(names):
    """The first of some names, or a range of numbers, for a message."""
    if not len(names):
        return "no columns"
    if isinstance(names, range):
        return f"columns 0 to {len(names) - 1}"
    shown = [repr(name) for name in names[:8]]
    return ", ".join(shown) + (", ..." if len(names) > 8 else "")
