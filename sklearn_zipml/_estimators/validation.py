"""Input checks shared by the estimators: scikit-learn's own, without its float copy of X, and PackedMatrix as it is."""

from collections.abc import Iterable
from contextlib import contextmanager
from inspect import signature
from numbers import Real
from types import NoneType

import numpy as np
from sklearn import get_config
from sklearn.model_selection import check_cv
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, _check_y, validate_data

from .._feature_names import NamedRows, compare_names, of_estimator, set_names
from .._packed_matrix import PackedMatrix
from .._storage.blocks import is_foreign, is_real
from .._storage.decoded_rows import warn_of_decoded
from .._storage.finite import check_finite
from .missing_targets import has_missing, numbers_or_nan, refuse_missing

MOST_EXPONENT = 300  # of two, of weights that are taken as they are
# Before scikit-learn 1.8 there was no such check.
_ALL_ZERO = {"allow_all_zero_weights": True} if "allow_all_zero" in str(signature(_check_sample_weight)) else {}


def check_samples(estimator, X, reset, allow_nan=False):
    """Validated X of any real dtype, or the PackedMatrix itself; NaN and infinity are found when X is read."""
    X = _validated(estimator, X, reset)
    if not reset and not isinstance(X, PackedMatrix):
        check_finite(X, getattr(estimator, "feature_names_in_", None), type(estimator).__name__, allow_nan)
    return X


def check_samples_and_target(estimator, X, y, reset=True, **y_params):
    """The same with a target, which a PackedMatrix may bring along; y_params as for validate_data.

    Of an estimator with missing_target="drop", values of the target may be missing, and are NaN then.
    """
    y = target_of(estimator, X, y)
    _require_numpy(estimator, X=X, y=y)
    drops = getattr(estimator, "missing_target", "error") == "drop"
    if not drops:
        _refuse_masked(y=y)
    X = _validated(estimator, X, reset)
    if hasattr(estimator, "missing_target") and has_missing(y):
        if not drops:
            refuse_missing(y, estimator)
        y = _known_target(numbers_or_nan(y, estimator))
        check_consistent_length(X, y)
        return X, y
    if y_params.get("y_numeric", False):  # None is missing, and found as NaN
        _refuse_objects(y, "y", (str, bytes, Real, np.generic, NoneType), "give real numbers")
    else:
        check_labels(y)
    with in_range("y"):
        y = _check_y(y, estimator=estimator, **y_params)  # validate_data would take y without X for X without names
    check_consistent_length(X, y)
    if not isinstance(X, PackedMatrix):
        warn_of_decoded(X)
    return X, _known_target(y, **y_params)


def check_training_rows(estimator, X, y, sample_weight, reset=True, **y_params):
    """The same with weights: of a PackedMatrix, which then has none, those that it brought along if none are given."""
    X, y = check_samples_and_target(estimator, X, y, reset, **y_params)
    if isinstance(X, PackedMatrix) and X.sample_weight is not None:
        X, own = X.with_sample_weight(None), X.sample_weight
        sample_weight = own if sample_weight is None else sample_weight
    return X, y, sample_weight


def _known_target(y, y_numeric=False, **_):
    """The target, if it is all known: scikit-learn takes times for numbers, and the lack of one for a very low one."""
    if y.dtype.kind in "mM" and y_numeric:
        raise ValueError(f"y has dtype {y.dtype}; give real numbers (integers, floats or booleans).")
    if y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError("Input y contains NaT: leave out rows whose label is missing.")
    if y_numeric:  # scikit-learn makes NaN of None after it has looked for NaN
        assert_all_finite(y, input_name="y")
    return y


@contextmanager
def in_range(name):
    """Refuse integers that float64 does not reach, which Python finds when they become floats."""
    try:
        yield
    except OverflowError:
        raise ValueError(f"{name} holds an integer that is too large for float64.") from None


def check_labels(y, name="y"):
    """Refuse labels that cannot be told apart or sorted."""
    _refuse_objects(y, name, (str, bytes, Real, np.generic), "labels are strings, numbers or booleans")
    labels = np.asarray(y)
    if labels.dtype.kind == "O" and len({_kind_of_labels(own) for own in set(map(type, labels.ravel()))}) > 1:
        raise ValueError(f"{name} mixes labels of kinds that have no order: give all as strings, or all as numbers.")


def sorted_labels(labels, name):
    """Different labels, in order."""
    check_labels(labels, name)
    labels = np.unique(np.asarray(labels))
    if (labels != labels).any():
        raise ValueError(f"{name}={labels} contains NaN, which is no label.")
    return labels


def _kind_of_labels(own):
    """What labels of a type have to have in common with others to be sorted."""
    return next((kind for kind in (str, bytes) if issubclass(own, kind)), Real)


def _refuse_objects(y, name, kinds, remedy):
    """Refuse an array of Python objects with others than these in it."""
    y = np.asarray(y)
    odd = [v for v in y.ravel() if not isinstance(v, kinds)] if y.dtype.kind == "O" else []
    if odd:
        raise ValueError(f"{name} holds {odd[0]!r} of type {type(odd[0]).__name__}; {remedy}.")


def splitter_of(cv, y, classifier):
    """scikit-learn's splitter of what `cv` is given; folds that are listed are looked at."""
    if classifier and y is not None:
        check_labels(y)  # which scikit-learn would sort
    if isinstance(cv, Iterable) and (isinstance(cv, bytes) or not hasattr(cv, "split")):
        rows = np.arange(len(y))
        try:
            cv = list(cv)
            lists = [rows[part].ndim == 1 for train, test in cv for part in (train, test)]
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(f"cv={cv!r} must hold pairs of the rows of training and test: {error}.") from None
        if not cv:
            raise ValueError(f"cv={cv!r} makes no folds.")
        if not all(lists):
            raise ValueError(f"cv={cv!r} must hold pairs of lists of rows, those of training and test.")
    return check_cv(cv, y, classifier=classifier)


def _refuse_masked(**arrays):
    """Refuse values that are masked, which scikit-learn would take for the numbers behind the mask."""
    for name, array in arrays.items():
        if np.ma.is_masked(array):
            raise ValueError(
                f"Input {name} is a masked array with masked values: fill them, for example with SimpleImputer of "
                "scikit-learn, or leave those rows out."
            )


def _validated(estimator, X, reset):
    """X as an array of numbers, or the PackedMatrix itself; width and names are set, or go with those of fit."""
    _require_numpy(estimator, X=X)
    is_packed, X = isinstance(X, PackedMatrix), _plain_frame(X)
    if not is_packed:
        _refuse_masked(X=X)
    names = X.feature_names if isinstance(X, PackedMatrix | NamedRows) else None
    checks = {"skip_check_array": True} if is_packed else {"dtype": _accepted(X), "ensure_all_finite": False}
    if names is not None and not reset:
        compare_names(names, of_estimator(estimator))
    with in_range("X"):
        if names is None or reset or not hasattr(estimator, "feature_names_in_"):
            checked = validate_data(estimator, X, reset=reset, **checks)  # which finds no such names
        else:
            checked = X if is_packed else check_array(X, **checks, estimator=estimator, input_name="X")
    if names is not None and reset:
        set_names(estimator, names)
    if is_packed:
        _require_samples(estimator, X)
    elif not is_real(checked.dtype):  # what scikit-learn does not know either
        raise ValueError(f"X has dtype {checked.dtype}; give real numbers (integers, floats or booleans).")
    return checked


def _plain_frame(X):
    """X, or a pandas frame whose columns of ml_dtypes are float64."""
    dtypes = getattr(X, "dtypes", None)
    if not hasattr(dtypes, "items"):
        return X
    for name, dtype in dtypes.items():
        if getattr(dtype, "kind", "") in "mM":
            raise ValueError(
                f"X: column {name!r} has dtype {dtype}; give real numbers: leave it out, or make it a number of days "
                "or seconds."
            )
    odd = {name: np.float64 for name, dtype in dtypes.items() if isinstance(dtype, np.dtype) and is_foreign(dtype)}
    return X.astype(odd) if odd else X


def _accepted(X):
    """What scikit-learn is to make of X: numbers. Those of ml_dtypes, which it takes for bytes, it leaves alone."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else X
    dtype = getattr(first, "dtype", None)
    return None if isinstance(dtype, np.dtype) and is_foreign(dtype) else "numeric"


def target_of(estimator, X, y):
    """y, or the target that a PackedMatrix brings along."""
    if y is None and isinstance(X, PackedMatrix):
        y = X.target
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    if getattr(y, "dtype", None) is not None and _accepted(y) is None:
        y = np.asarray(y, dtype=np.float64)
    return y


def check_target_part(estimator, y, **y_params):
    """The target of some of the rows, at least one, without these; y_params as for `check_samples_and_target`."""
    _require_numpy(estimator, y=y)
    if getattr(estimator, "missing_target", "error") == "drop" and has_missing(y):
        return _known_target(numbers_or_nan(y, estimator))
    _refuse_masked(y=y)
    if hasattr(estimator, "missing_target") and y_params.get("y_numeric", False) and has_missing(y):
        refuse_missing(y, estimator)
    return _known_target(_check_y(y, estimator=estimator, **y_params), **y_params)


def check_weights(sample_weight, X):
    """Row weights as float64, or None if they are all the same; at least one is positive."""
    weights = check_weights_part(sample_weight, X)
    if weights is not None and not weights.any():
        raise ValueError("sample_weight: all weights are zero; at least one row must have a positive weight.")
    return weights


def check_weights_part(sample_weight, X):
    """Weights of some of the rows, which may all be zero; None of None."""
    if sample_weight is None:
        return None
    _refuse_masked(sample_weight=sample_weight)
    dtype = getattr(sample_weight, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        raise ValueError(f"sample_weight has dtype {dtype}; give real numbers.")
    if isinstance(sample_weight, complex):  # of one number scikit-learn drops the imaginary part
        raise ValueError("sample_weight is complex; give real numbers.")
    with in_range("sample_weight"):
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True, **_ALL_ZERO)
    assert_all_finite(weights, input_name="sample_weight")  # of a single number it looks at the sign
    return weights


def weights_of_classes(class_weight, y, weights):
    """Row weights times those of their classes, or None if there are neither."""
    if class_weight is None:
        return weights
    if not isinstance(class_weight, str):
        for label, weight in class_weight.items():
            if not isinstance(weight, Real) or not 0 <= weight < np.inf:
                raise ValueError(
                    f"class_weight={class_weight!r}: the weight of class {label!r} is {weight!r}; weights of classes "
                    "are finite numbers, 0 or more."
                )
    by_class = compute_sample_weight(class_weight, y)
    weights = by_class if weights is None else weights * by_class
    if not weights.any():
        raise ValueError("class_weight and sample_weight: the product of all row weights is zero.")
    return weights


def in_units(weights, n_rows, unit=None):
    """Weights divided by a power of two, and that: 1, unless products of them would leave the range of float64.

    Parameters
    ----------
    weights : float64 (n_rows,) or None, which stands for ones
    n_rows : int
    unit : float or None, that of weights which these will be added to
    """
    if unit is None:
        exponent = 0 if weights is None else int(np.frexp(weights.max())[1]) - 1
        unit = 2.0**exponent if abs(exponent) > MOST_EXPONENT else 1.0
    if unit == 1:
        return weights, unit
    with np.errstate(over="ignore", under="ignore"):
        weights = (np.ones(n_rows) if weights is None else weights) / unit
    if weights.max() > 2.0**MOST_EXPONENT:
        raise ValueError(
            f"sample_weight: those of this chunk are up to {weights.max():.0e} times the first ones, which were about "
            f"{unit:.0e}; scale the weights of all chunks, or leave those rows out."
        )
    return weights, unit


def _require_numpy(estimator, **arrays):
    """Refuse arrays that scikit-learn would leave in another library's memory."""
    if not get_config()["array_api_dispatch"]:
        return
    for name, array in arrays.items():
        if hasattr(array, "__array_namespace__") and not isinstance(array, (np.ndarray, np.generic, PackedMatrix)):
            raise TypeError(
                f"{type(estimator).__name__} computes on NumPy arrays, but array_api_dispatch=True and {name} is of "
                f"type {type(array).__module__}.{type(array).__qualname__}: pass numpy.asarray({name}), or set "
                "array_api_dispatch=False."
            )


def _require_samples(estimator, X):
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required by "
            f"{type(estimator).__name__}."
        )
