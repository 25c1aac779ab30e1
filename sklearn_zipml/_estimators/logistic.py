"""Logistic regression on packed low-precision samples."""

from functools import partial
from numbers import Integral, Real
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._kernels.threads import N_JOBS, threads_of
from .._packed_matrix import Samples
from .._scheme import CONSTRAINTS, check_draws
from .._seeds import draw_seed
from .._solvers import softmax
from .._solvers.logistic import fit_logistic
from .._solvers.logistic_objective import LogisticObjective, limbs_of
from .._solvers.options import Options
from .._solvers.problem import Problem
from .._solvers.proximal_newton import MOST_COLUMNS, MOST_VALUES, is_affordable
from .._state import StableState
from .._typing import Levels, Outliers, RandomState, Sampling
from .._warnings import warn
from .callbacks import CallbackSupportMixin, FitTask
from .convergence import not_converged
from .doc_link import DocumentationLink
from .export import logistic_regression
from .guard import CheckedParameters, all_or_nothing
from .labels import check_two_classes, check_warm_classes, choose
from .predict import linear_predictions
from .score import ScoreOfOwnTarget
from .training_rows import tell_samples, training_rows
from .validation import check_samples, check_training_rows, check_weights, in_units, weights_of_classes

_Base = (ScoreOfOwnTarget, ClassifierMixin, StableState, CheckedParameters, DocumentationLink, CallbackSupportMixin)


class ZipMLLogisticRegression(*_Base, BaseEstimator):
    """Logistic regression trained on samples of 1 to 8 bits.

    Minimises the objective of :class:`~sklearn.linear_model.LogisticRegression`, over coefficients w and intercept b::

        (1 - l1_ratio) / 2 * ||w||**2 + l1_ratio * ||w||_1 + C * sum_i weight_i * log_loss(y_i, x_i' w + b),

    with the softmax of all classes for more than two. What rounding the rows does to the model is taken into account:
    each row stands for what it tells of the values before, and probabilities for what is not known of them, so the
    coefficients are those for rows that are not rounded (:doc:`/internals`).

    Parameters
    ----------
    sample_bits : int from 1 to 8 or None, default=4
        Bits stored for each value of X. None trains on float32 with the same solver. A :class:`PackedMatrix` wider
        than this is requantized for training; a narrower one is an error, except that the default takes it as it is.
    C : float, default=1.0
        Weight of the loss against the penalty on ``coef_``, which is in units of X; ``numpy.inf`` is no penalty.
    l1_ratio : float from 0 to 1, default=0.0
        Share of the l1 penalty, as in scikit-learn's elastic net: 0 is the l2 penalty, 1 the lasso. With some,
        coefficients become exactly zero; X may have at most 2048 columns then, or 8388608 values.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code. Only of the first four is known what rounding does, so that it is made good for.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    max_iter : int, default=100
        Largest number of steps; each reads the packed rows twice.
    tol : float, default=1e-4
        How far above its minimum the objective may be, in parts of itself, and by 1e-13 of that of the zero model.
    warm_start : bool, default=False
        Start from the previous solution.
    n_jobs : int or None, default=None
        Threads, as in :class:`ZipMLRegressor`. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding and the order of the rows.
    verbose : int, default=0
        Print the objective after every step.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Coefficients in units of X; of two classes, those of the second.
    intercept_ : array of shape (1,) or (n_classes,)
        Intercepts.
    n_iter_ : int
        Steps taken.
    loss_curve_ : list of float
        The objective, divided by C and the sum of weights, before the first and after every step.
    bytes_read_curve_ : list of int
        Bytes of samples the solver had read by then.
    sample_bits_ : int or None
        Bits the training samples were stored in.
    sampling_ : str or None
        How they were rounded, one of those of ``sampling`` but "auto", or "joined"; None without rounding.
    sample_nbytes_ : int
        Memory of the training samples, in bytes.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    Raises
    ------
    ValueError
        For a single class, settings that do not go together, negative weights, a PackedMatrix narrower than
        sample_bits, or more columns than an l1 penalty can take.

    Warns
    -----
    ConvergenceWarning
        When max_iter steps were not enough.

    See Also
    --------
    ZipMLLSSVC : Least squares, in less time and without probabilities.
    sklearn.linear_model.LogisticRegression : The same objective at full precision.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_zipml import ZipMLLogisticRegression
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ZipMLLogisticRegression(sample_bits=4, C=1e-3, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    >>> model.predict_proba(X[:1]).round(1)
    array([[1., 0., 0., 0., 0., 0., 0., 0., 0., 0.]])
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "sample_bits": [*CONSTRAINTS["sample_bits"], None],
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        sample_bits: int | None = 4,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        class_weight: dict | Literal["balanced"] | None = None,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        fit_intercept: bool = True,
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.sample_bits = sample_bits
        self.C = C
        self.l1_ratio = l1_ratio
        self.class_weight = class_weight
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Samples, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Quantize X and fit the model.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Training rows, any real dtype, finite. No float copy of X is made.
        y : array-like of shape (n_samples,)
            Class labels. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights; rows of weight 0 are left out. None for those of a PackedMatrix that has some.

        Returns
        -------
        self
        """
        check_draws(self.sample_bits, self.sampling, self.n_draws)
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight)
        check_classification_targets(y)
        weights = check_weights(sample_weight, X)
        classes, numbers = np.unique(y, return_inverse=True)
        check_two_classes(self, classes)
        weights, unit = in_units(weights_of_classes(self.class_weight, y, weights), len(y))
        dtype = np.float32 if X.dtype.type is np.float32 else np.float64

        def attributes(coef, intercept):
            return {"classes_": classes, "coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype)}

        with FitTask(self, X, y, sample_weight, self.max_iter, attributes) as task:
            start = self._start(classes, X.shape[1])
            seed = draw_seed(check_random_state(self.random_state))
            rows = None if weights is None or weights.all() else np.flatnonzero(weights)
            matrix = training_rows(self, X, rows, self.sample_bits, seed)
            objective = self._objective(matrix, numbers, weights, rows, (len(classes), unit))
            coef, intercept = self._minimum(objective, start, task, dtype)
            if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
                raise ValueError("The coefficients exceed the range of float64: rescale X.")
            tell_samples(self, matrix)
            vars(self).update(attributes(coef, intercept))
        return self

    def _objective(self, matrix, numbers, weights, rows, classes_and_unit):
        """What is minimised on packed rows, given class numbers and weights of all rows."""
        n_classes, unit = classes_and_unit
        if rows is not None:
            numbers, weights = numbers[rows], weights[rows]
        total = float(len(numbers) if weights is None else weights.sum())
        if weights is not None and np.ptp(weights) == 0:
            weights = None
        threads = threads_of(self.n_jobs)
        problem = Problem(matrix, weights, self.fit_intercept, threads)
        slots = matrix.order.to_slots(numbers[None].astype(np.float64), problem.n_slots, np.float64, self.n_jobs)
        n_outputs = n_classes if n_classes > 2 else 1
        row_weights = problem.weights[: problem.n].astype(np.float64, copy=False)
        labels = softmax.Labels(slots[0, : problem.n].astype(np.intp), n_outputs, row_weights, threads)
        limbs = limbs_of(problem.n, float(self.tol))
        alpha = 1 / (self.C * total) / unit
        objective = LogisticObjective(problem, labels, alpha * (1 - self.l1_ratio), limbs, l1=alpha * self.l1_ratio)
        if objective.has_l1 and not is_affordable(objective):
            raise ValueError(
                f"l1_ratio={self.l1_ratio} takes at most {MOST_COLUMNS} columns, or {MOST_VALUES} values, and X has "
                f"{problem.n} rows of {problem.d} columns: use l1_ratio=0, or choose columns first (SelectKBest)."
            )
        return objective

    def _minimum(self, objective, start, task, dtype):
        """Coefficients and intercepts at the minimum, float64, and the attributes that tell how the fit went."""
        coefficients = partial(objective.coefficients, dtype=dtype)

        def on_step(number, model, value):
            if self.verbose:
                print(f"[{type(self).__name__}] step {number}: objective {value:.6g}")
            return task.end_epoch(number, lambda: coefficients(model))

        task.begin_epoch()
        options = Options(max_iter=self.max_iter, tol=float(self.tol))
        begin = None if start is None else objective.model(*start)
        model, result = fit_logistic(objective, options, start=begin, on_step=on_step)
        if not result.converged:
            warn(not_converged(self, result), ConvergenceWarning)
        self.n_iter_ = result.n_iter
        self.loss_curve_ = [float(value[0]) for value in result.losses]
        self.bytes_read_curve_ = result.bytes_read
        return coefficients(model)

    def _start(self, classes, n_features):
        """Coefficients and intercepts of the last fit if warm_start, else None."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        check_warm_classes(self, classes)
        if self.coef_.shape[1] != n_features:
            raise ValueError(
                f"warm_start=True: the previous fit had {self.coef_.shape[1]} features, this one has {n_features}; "
                "set warm_start=False."
            )
        return self.coef_.astype(np.float64), self.intercept_.astype(np.float64)

    def decision_function(self, X: Samples) -> np.ndarray:
        """Predict log odds of the second of two classes, or the scores that a softmax takes of more.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded; a PackedMatrix is not unpacked.

        Returns
        -------
        array of shape (n_samples,) with two classes, else (n_samples, n_classes)
        """
        values = self._decisions(X).astype(self.coef_.dtype, copy=False)
        return values[:, 0] if values.shape[1] == 1 else values

    def predict(self, X: Samples) -> np.ndarray:
        """Predict class labels.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded.

        Returns
        -------
        array of shape (n_samples,)
        """
        chosen = choose(np.atleast_2d(self.decision_function(X).T).T)
        return self.classes_[chosen]

    def predict_proba(self, X: Samples) -> np.ndarray:
        """Predict probabilities of the classes.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded; a PackedMatrix is not unpacked.

        Returns
        -------
        array of shape (n_samples, n_classes), in the order of ``classes_``

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn_zipml import ZipMLLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = ZipMLLogisticRegression(8, C=0.1, random_state=0).fit(X, y)
        >>> p = model.predict_proba(X)
        >>> p.shape, bool(abs(p.sum(axis=1) - 1).max() < 1e-12)
        ((569, 2), True)
        """
        return softmax.probabilities(self._decisions(X)).astype(self.coef_.dtype, copy=False)

    def predict_log_proba(self, X: Samples) -> np.ndarray:
        """Predict logarithms of the probabilities, finite where those are zero in floating point.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded; a PackedMatrix is not unpacked.

        Returns
        -------
        array of shape (n_samples, n_classes), in the order of ``classes_``

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn_zipml import ZipMLLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = ZipMLLogisticRegression(8, C=0.1, random_state=0).fit(X, y)
        >>> bool(model.predict_log_proba(1000 * X).min() > -float("inf"))
        True
        """
        return softmax.log_probabilities(self._decisions(X)).astype(self.coef_.dtype, copy=False)

    def _decisions(self, X):
        """Decision values, float64 (n_samples, outputs)."""
        check_is_fitted(self)
        X = check_samples(self, X, reset=False)
        return linear_predictions(X, self.coef_, self.intercept_, self.n_jobs)

    def to_sklearn(self) -> LogisticRegression:
        """Make a fitted object of scikit-learn with the same probabilities, which does not need this package.

        A clone of it, fitted to the same rows, comes to the same coefficients but for the rounding.

        Returns
        -------
        LogisticRegression

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn_zipml import ZipMLLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = ZipMLLogisticRegression(C=0.1, random_state=0).fit(X, y)
        >>> model.to_sklearn()
        LogisticRegression(C=0.1)
        """
        return logistic_regression(self)
