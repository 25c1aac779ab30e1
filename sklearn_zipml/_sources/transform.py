"""Features that a fitted transformer of scikit-learn makes of rows, a chunk at a time."""

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted


def check_transformer(transform):
    """Refuse what is no fitted transformer.

    Raises
    ------
    TypeError
        If it cannot transform.
    NotFittedError
        If it is not fitted.
    """
    if not hasattr(transform, "transform"):
        raise TypeError(
            f"transform={transform!r} must be a fitted transformer of scikit-learn, with a method `transform`."
        )
    try:
        check_is_fitted(transform)
    except TypeError:
        raise TypeError(
            f"transform={transform!r} is no estimator: give a fitted transformer of scikit-learn."
        ) from None


def transformed(transform, X):
    """What the transformer makes of rows, an array (rows, columns), and labels of its columns or None.

    Raises
    ------
    TypeError
        If it makes a sparse matrix.
    """
    made = transform.transform(X)
    if issparse(made):
        raise TypeError(
            f"transform={transform!r} makes sparse matrices, and packed rows are dense: set sparse_output=False in its "
            "encoders, or sparse_threshold=0 in its ColumnTransformer."
        )
    labels = getattr(made, "columns", None)
    if labels is None and hasattr(transform, "get_feature_names_out") and hasattr(X, "columns"):
        labels = transform.get_feature_names_out()
    values = made.to_numpy() if hasattr(made, "to_numpy") else np.asarray(made)
    return values, None if labels is None else tuple(map(str, labels))
