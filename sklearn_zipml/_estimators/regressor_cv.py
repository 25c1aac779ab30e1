"""Linear regression on packed rows, with penalty and width by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.utils._param_validation import StrOptions

from .._packed_matrix import Samples
from .._typing import Levels, Outliers, RandomState, Sampling
from .export import searched_regressor
from .guard import all_or_nothing
from .missing_targets import Known, groups_of
from .regressor import ZipMLRegressor, _attributes, _coefficient_dtype
from .rounding import number_of_one
from .score import ScoreOfOwnTarget
from .search import SHARED, Plan, ZipMLSearch
from .search_targets import SearchData
from .validation import check_training_rows, check_weights


class ZipMLRegressorCV(ScoreOfOwnTarget, RegressorMixin, ZipMLSearch):
    """ZipMLRegressor with ``alpha`` and ``sample_bits`` chosen by cross-validation, in one pass over the data.

    The rows are packed once, at the widest width, and narrowed to the others. Second moments of every fold are summed
    once, in integers; those of its training rows are the total less its own, and every alpha is one small linear
    system. The error of a candidate on the held-out rows is a quadratic form in their moments at the widest width, less
    what the rounding of these rows adds to it: an unbiased estimate of the error on the rows as they were given. Levels
    of the columns, which know nothing of y, are those of all rows.

    Parameters
    ----------
    alphas : sequence of float, default=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
        Penalties to try, see :class:`ZipMLRegressor`: of a mean over rows, ``Ridge(alpha=n_samples * alpha)``.
    sample_bits : int from 1 to 8, None, or a sequence of them, default=4
        Widths to try. None is float samples.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code. Rows are packed once, at the widest width, and narrowed to the others.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    scoring : str, callable or None, default=None
        None is the negative mean squared error, from moments. Any other scorer is called with a model for every
        candidate and the held-out rows, which are not rounded.
    cv : int, cross-validation generator or iterable, default=None
        Folds, as in :class:`~sklearn.model_selection.GridSearchCV`; None is 5.
    alpha_per_target : bool, default=False
        Whether to choose an alpha for each target, with ``scoring=None``. The width is one for all.
    missing_target : {"error", "drop"}, default="error"
        "drop" takes targets with missing values (NaN, None, NA, masked): each is trained on, and scored by, the rows
        where it is known, as in a search of its own over the rest of each fold. A scorer is called for targets that
        are known of the same rows at a time.
    n_jobs : int or None, default=None
        Threads, see :class:`ZipMLRegressor`.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding and the order of rows.

    Attributes
    ----------
    alpha_ : float or array of shape (n_targets,)
        Chosen penalty, or penalties with alpha_per_target.
    sample_bits_ : int or None
        Chosen width.
    sampling_ : str or None
        How values were rounded to it, see :class:`ZipMLRegressor`.
    best_score_ : float or array of shape (n_targets,)
        Mean score of the choice over the folds.
    cv_results_ : dict
        As of a GridSearchCV over alpha and sample_bits: ``params``, ``param_alpha``, ``param_sample_bits``,
        ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``, ``rank_test_score``; with
        alpha_per_target also ``mean_test_score_by_target``, of shape (n_candidates, n_targets).
    n_splits_ : int
        Number of folds.
    coef_ : array of shape (n_features,) or (n_targets, n_features)
        Coefficients of ``ZipMLRegressor`` with the chosen alpha and sample_bits and the other parameters of this
        object, fitted to the same rows with the same integer random_state: to the bit. With alpha_per_target, of one
        such fit for each alpha, to its targets.
    intercept_ : float or array of shape (n_targets,)
        Intercept of the same.
    rounding_loss_ : float or array of shape (n_targets,)
        Estimated R² that rounding has cost it, see :class:`ZipMLRegressor`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    See Also
    --------
    ZipMLRegressor : The regressor.
    ZipMLLSSVCCV : The same for classes.
    sklearn.linear_model.RidgeCV : The counterpart at full precision.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import ZipMLRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> search = ZipMLRegressorCV(sample_bits=[4, 8], random_state=0).fit(X, y)
    >>> search.alpha_ in search.alphas, search.sample_bits_ in (4, 8), round(search.score(X, y), 1)
    (True, True, 0.5)
    """

    _parameter_constraints: dict = {
        **ZipMLSearch._parameter_constraints,
        "alphas": ["array-like"],
        "alpha_per_target": ["boolean"],
        "missing_target": [StrOptions({"error", "drop"})],
    }

    def __init__(
        self,
        alphas: Sequence[float] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0),
        sample_bits: int | Sequence[int | None] | None = 4,
        *,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        fit_intercept: bool = True,
        scoring: str | Callable | None = None,
        cv: object = None,
        alpha_per_target: bool = False,
        missing_target: Literal["error", "drop"] = "error",
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.alphas = alphas
        self.sample_bits = sample_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.alpha_per_target = alpha_per_target
        self.missing_target = missing_target
        self.n_jobs = n_jobs
        self.random_state = random_state

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Samples, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **params: object
    ) -> Self:
        """Choose alpha and sample_bits, and fit to all rows.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Training rows, any real dtype, finite.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights, of fits and of held-out errors; rows of weight 0 are left out. None for those of a
            PackedMatrix that has some.
        **params : dict
            ``groups`` for the splitter; with metadata routing also what splitter and scorer ask for.

        Returns
        -------
        self
        """
        names = getattr(y, "columns", None)
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight, multi_output=True, y_numeric=True)
        weights, dtype = check_weights(sample_weight, X), _coefficient_dtype(X)
        targets = np.asarray(y, dtype=np.float64, order="C").reshape(len(y), -1)
        groups = [Known(np.arange(targets.shape[1]), None)]
        if self.missing_target == "drop":
            groups = groups_of(targets, weights, None if y.ndim == 1 else names)
        data = SearchData(X, y, targets, weights, sample_weight, groups)
        per_target, alphas = self._is_per_target(y), self._grid_of("alphas", self.alphas)

        def candidate(coef, intercept, alpha, bits):
            return self._fitted(ZipMLRegressor(bits, alpha=alpha), data, _attributes(y, coef, intercept, dtype))

        plan = Plan("alpha", alphas, self._widths(X), self._seeded(), lambda total: alphas, candidate)
        scores, packed = self._search(data, plan, params)
        best, width = self._best_of(plan, scores, per_target)
        settings = {name: getattr(self, name) for name in SHARED}
        coef, intercept = np.empty((targets.shape[1], X.shape[1])), np.empty(targets.shape[1])
        losses, totals = np.empty((2, targets.shape[1]))
        chosen = np.broadcast_to(best, targets.shape[1])
        for a in np.unique(chosen):
            model = ZipMLRegressor(plan.widths[width], alpha=alphas[a], random_state=plan.seed, **settings)
            model.missing_target = self.missing_target
            some = np.flatnonzero(chosen == a)
            is_whole = per_target and not np.isnan(targets[:, some]).all(axis=1).any()  # what a fit of these packs
            own = packed if is_whole or not per_target else None
            model = self._refit(model, own, replace(data, y=y if y.ndim == 1 else y[:, some]))
            coef[some], intercept[some], losses[some] = model.coef_, model.intercept_, model.rounding_loss_
            totals[some] = model._total_weight
        self.alpha_ = np.asarray(alphas)[best] if per_target else alphas[best]
        self.sample_bits_, self.sampling_ = model.sample_bits_, model.sampling_
        vars(self).update(_attributes(y, coef, intercept, dtype))
        self.rounding_loss_ = number_of_one(losses, y.ndim == 1)
        self._total_weight = totals if len(groups) > 1 else float(totals[0])
        return self

    def _is_per_target(self, y):
        if self.alpha_per_target and self.scoring is not None:
            raise ValueError(
                f"alpha_per_target=True needs the errors of every target, but scoring={self.scoring!r} gives one "
                "score for all; set scoring=None."
            )
        return self.alpha_per_target and y.ndim > 1

    predict = ZipMLRegressor.predict

    def to_sklearn(self) -> LinearRegression | Ridge:
        """Make a fitted object of scikit-learn that predicts the same and does not need this package.

        A clone of it, fitted to the same rows, comes to the same coefficients but for the rounding.

        Returns
        -------
        Ridge or LinearRegression
            ``Ridge(alpha=W * alpha_)``, W the sum of the weights of the training rows (their number, without weights),
            with an alpha for every target where they have some of their own; ``LinearRegression`` for ``alpha_=0``.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import ZipMLRegressorCV
        >>> X, y = load_diabetes(return_X_y=True)
        >>> search = ZipMLRegressorCV(alphas=[1e-3, 1e-2], random_state=0).fit(X, y)
        >>> search.alpha_, search.to_sklearn()
        (0.001, Ridge(alpha=0.442))
        """
        return searched_regressor(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
