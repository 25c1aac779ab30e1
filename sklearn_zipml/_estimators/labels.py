"""Class numbers as targets of least squares, and back."""

import numpy as np


def coded(labels, n_classes):
    """Targets of -1 and 1, (rows, outputs), of label numbers: one output for up to two classes, else one for each.

    One class alone is the negative one, as in RidgeClassifier.
    """
    positive = [1] if n_classes <= 2 else range(n_classes)
    return np.stack([np.where(labels == k, 1.0, -1.0) for k in positive], axis=1)


def check_two_classes(estimator, classes):
    """Refuse targets of one class."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs samples of at least 2 classes in y, but the data contains only one "
            f"class: {classes.tolist()[0]!r}."
        )


def check_warm_classes(estimator, classes):
    """Refuse a warm start from a fit of other classes."""
    if estimator.warm_start and hasattr(estimator, "coef_") and not np.array_equal(estimator.classes_, classes):
        raise ValueError(
            f"warm_start=True: the previous fit had the classes {estimator.classes_}, this one has {classes}; "
            "set warm_start=False."
        )


def choose(values):
    """Numbers of the classes that values of hyperplanes, or targets, stand for."""
    return (values[:, 0] > 0).astype(int) if values.shape[1] == 1 else values.argmax(axis=1)
