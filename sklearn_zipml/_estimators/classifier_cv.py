"""Least-squares support vector classification on packed rows, with penalty and width by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.linear_model import RidgeClassifier
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from .._packed_matrix import Samples
from .._typing import Levels, Outliers, RandomState, Sampling
from .classifier import MOST_PENALTY, ZipMLLSSVC
from .export import ridge_classifier
from .guard import all_or_nothing
from .labels import coded
from .missing_targets import Known
from .score import ScoreOfOwnTarget
from .search import SHARED, Plan, ZipMLSearch
from .search_targets import SearchData
from .validation import check_training_rows, check_weights, weights_of_classes


class ZipMLLSSVCCV(ScoreOfOwnTarget, ClassifierMixin, ZipMLSearch):
    """ZipMLLSSVC with ``C`` and ``sample_bits`` chosen by cross-validation, in one pass over the data.

    How it is done is told in :class:`ZipMLRegressorCV`.

    Parameters
    ----------
    Cs : sequence of float, default=(1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
        Weights of the loss to try, see :class:`ZipMLLSSVC`: ``RidgeClassifier(alpha=1 / C)``.
    sample_bits : int from 1 to 8, None, or a sequence of them, default=4
        Widths to try. None is float samples.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn; "balanced" ones are those of all rows in every fold. They count in
        held-out errors too.
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
        None is the negative mean squared error of the decision values, against labels of -1 and 1 as in
        ``RidgeClassifierCV()``, from moments. Any other scorer, such as "accuracy", is called with a model for every
        candidate and the held-out rows, which are not rounded.
    cv : int, cross-validation generator or iterable, default=None
        Folds, as in :class:`~sklearn.model_selection.GridSearchCV`; None is 5, stratified.
    n_jobs : int or None, default=None
        Threads, see :class:`ZipMLRegressor`.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding and the order of rows.

    Attributes
    ----------
    C_ : float
        Chosen weight of the loss.
    sample_bits_ : int or None
        Chosen width.
    sampling_ : str or None
        How values were rounded to it, see :class:`ZipMLRegressor`.
    best_score_ : float
        Mean score of the choice over the folds.
    cv_results_ : dict
        As of a GridSearchCV over C and sample_bits: ``params``, ``param_C``, ``param_sample_bits``,
        ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``, ``rank_test_score``.
    n_splits_ : int
        Number of folds.
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Coefficients of ``ZipMLLSSVC`` with the chosen C and sample_bits and the other parameters of this object, fitted
        to the same rows with the same integer random_state: to the bit.
    intercept_ : array of shape (1,) or (n_classes,)
        Intercepts of the same.
    rounding_loss_ : float or array of shape (n_classes,)
        Estimated R² of decision values that rounding has cost it, see :class:`ZipMLLSSVC`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    See Also
    --------
    ZipMLLSSVC : The classifier.
    ZipMLRegressorCV : The same for numbers.
    sklearn.linear_model.RidgeClassifierCV : The counterpart at full precision.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_zipml import ZipMLLSSVCCV
    >>> X, y = load_digits(return_X_y=True)
    >>> search = ZipMLLSSVCCV(random_state=0).fit(X, y)
    >>> search.C_ in search.Cs, search.score(X, y) > 0.9
    (True, True)
    """

    _parameter_constraints: dict = {
        **ZipMLSearch._parameter_constraints,
        "Cs": ["array-like"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        Cs: Sequence[float] = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0),
        sample_bits: int | Sequence[int | None] | None = 4,
        *,
        class_weight: dict | Literal["balanced"] | None = None,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        fit_intercept: bool = True,
        scoring: str | Callable | None = None,
        cv: object = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.Cs = Cs
        self.sample_bits = sample_bits
        self.class_weight = class_weight
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Samples, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **params: object
    ) -> Self:
        """Choose C and sample_bits, and fit to all rows.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Training rows, any real dtype, finite.
        y : array-like of shape (n_samples,)
            Class labels. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights, of fits and of held-out errors; rows of weight 0 are left out. None for those of a
            PackedMatrix that has some.
        **params : dict
            ``groups`` for the splitter; with metadata routing also what splitter and scorer ask for.

        Returns
        -------
        self
        """
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight)
        check_classification_targets(y)
        weights = weights_of_classes(self.class_weight, y, check_weights(sample_weight, X))
        classes, labels = np.unique(y, return_inverse=True)
        targets = coded(labels, len(classes))
        data = SearchData(X, y, targets, weights, sample_weight, [Known(np.arange(targets.shape[1]), None)])
        Cs, dtype = self._grid_of("Cs", self.Cs), np.float32 if X.dtype.type is np.float32 else np.float64
        self.classes_ = classes

        def candidate(coef, intercept, C, bits):
            attributes = {"coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype), "classes_": classes}
            return self._fitted(ZipMLLSSVC(bits, C=C), data, attributes)

        def penalties(total):
            return [min(1 / (C * float(total)), MOST_PENALTY) for C in Cs]

        plan = Plan("C", Cs, self._widths(X), self._seeded(), penalties, candidate)
        scores, packed = self._search(data, plan, params)
        best, width = self._best_of(plan, scores)
        settings = {name: getattr(self, name) for name in (*SHARED, "class_weight")}
        model = ZipMLLSSVC(plan.widths[width], C=Cs[best], random_state=plan.seed, **settings)
        model = self._refit(model, packed, data)
        self.C_, self.sample_bits_, self.sampling_ = Cs[best], model.sample_bits_, model.sampling_
        self.coef_, self.intercept_, self.rounding_loss_ = model.coef_, model.intercept_, model.rounding_loss_
        return self

    decision_function = ZipMLLSSVC.decision_function
    predict = ZipMLLSSVC.predict

    def to_sklearn(self) -> RidgeClassifier:
        """Make a fitted object of scikit-learn that decides the same and does not need this package.

        A clone of it, fitted to the same rows, comes to the same coefficients but for the rounding.

        Returns
        -------
        RidgeClassifier
            With ``alpha=1 / C_``.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklearn_zipml import ZipMLLSSVCCV
        >>> X, y = load_digits(return_X_y=True)
        >>> search = ZipMLLSSVCCV(Cs=[0.01, 0.1], random_state=0).fit(X, y)
        >>> plain = search.to_sklearn()
        >>> plain.alpha == 1 / search.C_, bool((plain.predict(X) == search.predict(X)).all())
        (True, True)
        """
        return ridge_classifier(self)
