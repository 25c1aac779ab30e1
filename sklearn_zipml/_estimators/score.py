"""Scores on packed rows that bring their target along."""

from __future__ import annotations

from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from .._packed_matrix import Samples
from .._underflow import underflow_is_zero
from .missing_targets import has_missing, numbers_or_nan, r2_of_known, refuse_missing
from .validation import check_labels, in_range, target_of


class ScoreOfOwnTarget:
    """Mixin in front of RegressorMixin or ClassifierMixin, whose score takes the target that packed rows have."""

    @underflow_is_zero
    def score(self, X: Samples, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Score the predictions: R² of a regressor, accuracy of a classifier.

        The searches and cross-validations of scikit-learn call it without y where they were given none, so a
        PackedMatrix with a target is all that they need. With ``missing_target="drop"`` it is the mean over targets of
        the R² on the rows where each is known. A scorer that is asked for by name (``scoring="r2"``) is
        called without y, too, and fails; give them ``packed.target`` then.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            True targets. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights; None for none, also where a PackedMatrix brings some along.

        Returns
        -------
        float

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.model_selection import cross_val_score
        >>> from sklearn_zipml import PackedMatrix, ZipMLRegressor
        >>> X = np.random.default_rng(0).normal(size=(1000, 4))
        >>> packed = PackedMatrix.from_chunks(X, X.sum(axis=1), random_state=0)
        >>> bool(cross_val_score(ZipMLRegressor(random_state=0), packed).min() > 0.9)
        True
        """
        y = target_of(self, X, y)
        if is_classifier(self):
            check_labels(y)
        if hasattr(self, "missing_target") and has_missing(y):
            if self.missing_target == "error":
                refuse_missing(y, self)
            return r2_of_known(numbers_or_nan(y, self), self.predict(X), sample_weight)
        try:
            with in_range("y or sample_weight"):
                return super().score(X, y, sample_weight)
        except TypeError as error:  # of values that cannot be compared, in scikit-learn's metrics
            raise TypeError(f"y or sample_weight cannot be used to score: {error}") from error
