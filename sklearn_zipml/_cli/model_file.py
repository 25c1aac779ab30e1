"""Fitted models as JSON: coefficients in units of the columns, and what is needed to predict with them."""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import log_loss

from .._estimators.labels import choose
from .._estimators.logistic import ZipMLLogisticRegression
from .._estimators.predict import linear_predictions
from .._solvers import softmax
from .._version import __version__


def write_model(model, task, feature_names, path):
    """Write a fitted estimator."""
    content = {
        "model": type(model).__name__,
        "version": __version__,
        "task": task,
        "feature_names": None if feature_names is None else list(feature_names),
        "coef": model.coef_.tolist(),
        "intercept": np.asarray(model.intercept_).tolist(),
        "classes": model.classes_.tolist() if task == "classification" else None,
    }
    Path(path).write_text(json.dumps(content))


def log_loss_of(targets, probabilities, classes):
    """The mean negative logarithm of the probabilities of what came."""
    return round(float(log_loss(targets, probabilities, labels=classes)), 6)


class LinearModel:
    """What a file of a model tells.

    Attributes
    ----------
    task : {"regression", "classification"}
    has_probabilities : bool, whether it is one of logistic regression
    feature_names : list of str or None
    coef : float64 (columns,) or (outputs, columns)
    intercept : float64 () or (outputs,)
    classes : array or None
    """

    def __init__(self, path):
        try:
            content = json.loads(Path(path).read_text())
            self.task, self.feature_names = content["task"], content["feature_names"]
            self.has_probabilities = content["model"] == ZipMLLogisticRegression.__name__
            self.coef = np.asarray(content["coef"], dtype=np.float64)
            self.intercept = np.asarray(content["intercept"], dtype=np.float64)
            self.classes = None if content["classes"] is None else np.asarray(content["classes"])
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a model that `fit -o` wrote: {type(error).__name__} {error}") from None

    def predict(self, X):
        """Predictions of rows, an array or PackedMatrix (rows, columns): numbers, or classes."""
        return self.decided(self.scores(X))

    def probabilities(self, X):
        """Those of the classes, (rows, classes)."""
        return softmax.probabilities(self.scores(X))

    def decided(self, scores):
        """The predictions that scores (rows, outputs) are of."""
        if self.task == "classification":
            return self.classes[choose(scores)]
        return scores[:, 0] if self.coef.ndim == 1 else scores

    def scores(self, X):
        """Values of the linear functions at rows, float64 (rows, outputs)."""
        if X.shape[1] != self.coef.shape[-1]:
            raise ValueError(f"The rows have {X.shape[1]} columns, and the model {self.coef.shape[-1]}.")
        return linear_predictions(X, np.atleast_2d(self.coef), np.ravel(self.intercept))
