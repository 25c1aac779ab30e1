"""What the Dask classifiers share: labels and their weights, decisions, predictions and accuracy."""

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions

from .._estimators.validation import weights_of_classes
from .._shards.targets import TargetCode
from ._base import DaskZipMLModel


class DaskZipMLClassifier(ClassifierMixin, DaskZipMLModel):
    """A linear classifier on packed partitions; see DaskZipMLLSSVC and DaskZipMLLogisticRegression."""

    _parameter_constraints: dict = {
        **DaskZipMLModel._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _of_labels = True

    def decision_function(self, X: object) -> object:
        """Compute the decision values of the plain estimator, when they are asked for.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.

        Returns
        -------
        Dask array, series or data frame, list of Delayed; or array
            As X is. Nothing is computed, unless X is in memory.
        """
        return self._lazily(X, "decision_function")

    def predict(self, X: object) -> object:
        """Predict class labels, when they are asked for.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.

        Returns
        -------
        Dask array or series, list of Delayed; or array
            As X is. Nothing is computed, unless X is in memory.
        """
        return self._lazily(X, "predict")

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Compute the accuracy of the predictions.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), or array in memory
            Rows.
        y : Dask array or series, or array
            True labels.
        sample_weight : the same, or None, default=None
            Row weights.

        Returns
        -------
        float

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskZipMLLSSVC
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 4)), chunks=(250, 4))
        >>> y = X.sum(axis=1) > 0
        >>> DaskZipMLLSSVC(random_state=0).fit(X, y).score(X, y) > 0.9
        True
        >>> client.close()
        """
        predicted, y, sample_weight = self._truth(X, y, sample_weight)
        return accuracy_score(y, predicted, sample_weight=sample_weight)

    def _code_of(self, targets, has_weights, coded):
        """The TargetCode of labels that are coded so."""
        by_label = None if self.class_weight is None else self._weights_of(targets)
        heaviest = targets.heaviest * (1.0 if by_label is None else by_label.max())
        unit = 1.0 if by_label is None and not has_weights else self._unit_of(heaviest)
        return TargetCode(targets.labels, coded, by_label, unit)

    def _weights_of(self, targets):
        """Weights of the labels."""
        if self.class_weight == "balanced":
            # what scikit-learn computes of the labels themselves, of their counts
            return targets.counts.sum() / (len(targets.labels) * targets.counts.astype(np.float64))
        weights = weights_of_classes(self.class_weight, targets.labels, None)
        if not weights.all():
            raise ValueError(
                f"class_weight={self.class_weight!r}: a weight of 0 leaves rows out, which Dask estimators do by "
                "sample_weight only; set it to 0 for those rows."
            )
        return weights
