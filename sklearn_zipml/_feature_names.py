"""Names of columns, and what is said where they are not the expected ones: scikit-learn's rules and words."""

from typing import NamedTuple

import numpy as np

from ._warnings import warn

SHOWN = 5


class Expected(NamedTuple):
    """Names that columns should have.

    Attributes
    ----------
    names : tuple of str or None
    with_names, without_names : str, that the place they come from has some or none
    those, seen, order : str, that place in the sentences of an error
    """

    names: tuple | None
    with_names: str
    without_names: str
    those: str
    seen: str
    order: str


def of_estimator(estimator):
    """The names that an estimator was fitted with."""
    names, name = getattr(estimator, "feature_names_in_", None), type(estimator).__name__
    return Expected(
        None if names is None else tuple(names),
        f"{name} was fitted with feature names",
        f"{name} was fitted without feature names",
        "that were passed during fit",
        "at fit time",
        "they were in fit",
    )


def of_file(names):
    """The names that a file has."""
    phrases = ("of the file", "in the file", "they are in the file")
    return Expected(names, "the file has some", "the file has none", *phrases)


def compare_names(names, expected):
    """Raise, or warn, where names of columns (tuple of str or None) do not go with the expected ones."""
    if names is None and expected.names is not None:
        warn(f"X does not have valid feature names, but {expected.with_names}")
    elif names is not None and expected.names is None:
        warn(f"X has feature names, but {expected.without_names}")
    elif names != expected.names:
        raise ValueError(_mismatch(names, expected))


def _mismatch(names, expected):
    new, missing = sorted(set(names) - set(expected.names)), sorted(set(expected.names) - set(names))
    lines = [f"The feature names should match those {expected.those}."]
    if new:
        lines += [f"Feature names unseen {expected.seen}:", *_listed(new)]
    if missing:
        lines += [f"Feature names seen {expected.seen}, yet now missing:", *_listed(missing)]
    if not new and not missing:
        lines.append(f"Feature names must be in the same order as {expected.order}.")
    return "\n".join(lines) + "\n"


def _listed(names):
    return [*(f"- {name}" for name in names[:SHOWN]), *(["- ..."] if len(names) > SHOWN else [])]


class NamedRows(np.ndarray):
    """An array that tells the next step of a pipeline the names of its columns; any view or copy of it has none."""

    feature_names = None

    @classmethod
    def of(cls, rows, names):
        """The rows, an array, as a view with names."""
        named = rows.view(cls)
        named.feature_names = tuple(names)
        return named


def set_names(estimator, names):
    """Give an estimator that is fitted anew the names of its columns."""
    estimator.feature_names_in_ = np.array(names, dtype=object)


def string_names(labels):
    """Labels of columns as names, or None if they are not strings; an error for a mixture.

    Parameters
    ----------
    labels : sequence or None
    """
    kinds = sorted({type(label).__qualname__ for label in labels or ()})
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(
            "Feature names are only supported if all input features have string names, "
            f"but your input has {kinds} as feature name / column name types. "
            "If you want feature names to be stored and validated, you must convert "
            "them all to strings, by using X.columns = X.columns.astype(str) for "
            "example. Otherwise you can remove feature / column names from your input "
            "data, or convert them all to a non-string data type."
        )
    return tuple(labels) if kinds == ["str"] else None
