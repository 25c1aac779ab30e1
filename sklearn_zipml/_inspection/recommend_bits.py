"""How few bits are enough."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch
from sklearn.utils._param_validation import Interval

from .._estimators.base import ZipMLModel
from .._estimators.classifier import ZipMLLSSVC
from .._estimators.regressor import ZipMLRegressor
from .._packed_matrix import Samples
from .._parameters import check_parameters
from .bit_widths import Steps, cross_validate_widths, target_of


def recommend_bits(
    X: Samples,
    y: ArrayLike | None = None,
    *,
    tolerance: float = 0.01,
    estimator: ZipMLModel | None = None,
    bits: ArrayLike | None = None,
    cv: object = 5,
    scoring: str | Callable | None = None,
    groups: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> Bunch:
    """Find the smallest ``sample_bits`` whose score is that of full precision, within a tolerance.

    Every fold packs its training rows once, at 8 bits, and requantizes them to every width, which rounds without bias
    again; so a requantized value is distributed like one rounded to that width at once. Scores are on rows that are not
    rounded.

    Parameters
    ----------
    X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
        Training rows. A PackedMatrix has no full precision; its own width stands for it.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
        Targets. May be left out if X is a PackedMatrix with a target.
    tolerance : float, default=0.01
        What the mean score may lose, in units of the score.
    estimator : ZipMLRegressor, ZipMLLSSVC, ZipMLLogisticRegression, Pipeline that ends in one, or None, default=None
        What to fit. None stands for a ZipMLRegressor if y holds floats, and for a ZipMLLSSVC if it holds integers,
        booleans or strings, both with ``random_state=0``.
    bits : sequence of int from 1 to 8 or None, default=None
        Widths to try. None tries 1, 2, 3, 4 and 8, as far as the sampling of the estimator and the width of a
        PackedMatrix allow.
    cv : int, cross-validation generator or iterable, default=5
        Folds, as in :func:`sklearn.model_selection.cross_validate`.
    scoring : str, callable or None, default=None
        Scorer; None is the score of the estimator, R² or accuracy.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups for the cross-validation generator.
    n_jobs : int or None, default=None
        Folds that run at the same time.

    Returns
    -------
    Bunch
        ``sample_bits``, the recommended width (None, or the width of a PackedMatrix, if no smaller one is good
        enough), ``tolerance`` as given, and ``cv_results_``, the evidence, a dict in the form searches use:
        ``param_sample_bits``, ``mean_test_score``, ``std_test_score``, ``split0_test_score`` and so on,
        ``mean_sample_nbytes``, ``mean_n_iter``, ``mean_fit_time``, and of least squares ``mean_rounding_loss``, the
        estimate ``rounding_loss_`` of the fits, which unlike a score does not depend on the test rows; the last entry
        is full precision.
        ``BitWidthCurveDisplay.from_cv_results`` draws it.

    Raises
    ------
    TypeError
        If the estimator is none of those above.
    ValueError
        If bits is empty, or holds a width that the estimator or a PackedMatrix does not allow; if there is no target.

    See Also
    --------
    BitWidthCurveDisplay : The picture of the same scores.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import recommend_bits
    >>> X, y = load_diabetes(return_X_y=True)
    >>> recommendation = recommend_bits(X, y, tolerance=0.02)
    >>> recommendation.sample_bits
    2
    >>> recommendation.cv_results_["param_sample_bits"]
    array([1, 2, 3, 4, 8, None], dtype=object)
    >>> recommendation.cv_results_["mean_test_score"].round(2)
    array([0.4 , 0.47, 0.48, 0.48, 0.48, 0.48])
    """
    tolerances = {"tolerance": [Interval(Real, 0, None, closed="left")]}
    check_parameters(tolerances, {"tolerance": tolerance}, "recommend_bits")
    y = target_of(X, y)
    if estimator is None:
        is_regression = np.asarray(y).dtype.kind == "f"
        estimator = ZipMLRegressor(random_state=0) if is_regression else ZipMLLSSVC(random_state=0)
    results = cross_validate_widths(
        Steps(estimator, "sample_bits", X), X, y, bits=bits, cv=cv, scoring=scoring, n_jobs=n_jobs, groups=groups
    )
    scores = results["mean_test_score"]
    good = scores >= scores[-1] - tolerance
    by_width = np.argsort(results["param_sample_bits"][:-1].astype(int), kind="stable")
    enough = [results["param_sample_bits"][i] for i in by_width if good[i]]
    return Bunch(
        sample_bits=enough[0] if enough else results["param_sample_bits"][-1],
        cv_results_=results,
        tolerance=tolerance,
    )
