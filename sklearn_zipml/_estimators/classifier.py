"""Least-squares support vector classification on packed low-precision samples."""

from __future__ import annotations

from numbers import Real
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from .._packed_matrix import Samples
from .._typing import Levels, Outliers, RandomState, Sampling, Schedule
from .base import ZipMLModel
from .callbacks import FitTask
from .export import plain_classifier
from .guard import all_or_nothing
from .labels import check_warm_classes, choose, coded
from .rounding import number_of_one
from .score import ScoreOfOwnTarget
from .validation import check_training_rows, check_weights, in_units, sorted_labels, weights_of_classes

MOST_PENALTY = 1e300


class ZipMLLSSVC(ScoreOfOwnTarget, ClassifierMixin, ZipMLModel):
    """Linear least-squares SVM trained on samples of 1 to 8 bits.

    Minimises, over coefficients w and intercept b, with f(x) = x' w + b and labels y_i of -1 and 1::

        (1 - l1_ratio) / 2 * ||w||**2 + l1_ratio * ||w||_1
        + C / 2 * sum_i weight_i * (1 - y_i f(x_i))**2,

    with l1_ratio zero the objective of ``RidgeClassifier(alpha=1 / C)`` (ZipML, arXiv:1611.05402, least-squares SVM).
    More than two classes are taken one against the rest. :class:`ZipMLRegressor` tells more of common parameters.

    Parameters
    ----------
    sample_bits : int from 1 to 8 or None, default=4
        Bits stored for each value of X, see :class:`ZipMLRegressor`. None trains on float32 with the same solver.
    C : float, default=1.0
        Weight of the loss against the penalty on ``coef_``, which is in units of X.
    l1_ratio : float from 0 to 1, default=0.0
        Share of the l1 penalty in it.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn.
    model_bits : int from 1 to 16 or None, default=None
        Bits of the model that moves through a training step.
    gradient_bits : int from 1 to 16 or None, default=None
        Bits of the gradient that moves through a training step.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    resample : {"epoch"} or None, default=None
        Whether new samples are drawn every epoch.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    solver : {"auto", "gram", "saga", "sgd"}, default="auto"
        "gram" factors second moments of the packed rows once for all targets, or descends along coordinates with an l1
        penalty, and is exact; "saga" keeps residuals (12 bytes a row and target) and converges to full precision;
        "sgd" averages the iterates of an epoch, and stays at their noise. "auto" is "gram" where that is cheap for so
        many targets or there are few rows for the columns, else "saga", completed by "gram" or by conjugate gradients
        ("cg") where epochs do not get there; settings of epochs and callbacks mean "saga". See ``solver_``.
    learning_rate : "auto" or float, default="auto"
        A number multiplies the automatic step size.
    schedule : {"auto", "constant", "adaptive", "invscaling"}, default="auto"
        Step size over the epochs.
    power_t : float, default=0.5
        Exponent of "invscaling".
    batch_size : {16, 32, 48, 64} or "auto", default="auto"
        Rows of a mini-batch. "auto" is 64 for saga with at least 2048 rows and no fewer than 8 bits for model and
        gradient, which takes as many epochs as 16 and half the time of each; else it is 16.
    max_iter : int, default=100
        Largest number of epochs.
    tol : float, default=1e-4
        Relative gain of the objective below which training ends; 0 runs all max_iter epochs.
    early_stopping : bool, default=False
        Stop when the accuracy on rows set aside no longer improves by tol.
    validation_fraction : float, default=0.1
        Part of the rows set aside, the same of every class.
    n_iter_no_change : int, default=5
        Epochs without improvement that end training with early stopping.
    warm_start : bool, default=False
        Start from the previous solution.
    n_jobs : int or None, default=None
        Threads, as in :class:`ZipMLRegressor`. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding, and the order of rows and batches.
    verbose : int, default=0
        Print the objective of every epoch.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Coefficients in units of X.
    intercept_ : array of shape (1,) or (n_classes,)
        Intercepts.
    n_iter_ : int
        Epochs run; 1 for a factorisation, sweeps for coordinate descent.
    solver_ : {"gram", "saga", "sgd", "cg"}
        What found the coefficients.
    loss_curve_ : list of float
        Mean squared loss and penalty before the first and after every epoch.
    bytes_read_curve_ : list of int
        Bytes of samples the solver had read by then; an epoch reads them twice, for its steps and for the loss.
    validation_scores_ : list of float
        Accuracy on the held-out rows after every epoch, with early stopping.
    sample_bits_ : int or None
        Bits the training samples were stored in.
    sampling_ : str or None
        How they were rounded, see :class:`ZipMLRegressor`.
    sample_nbytes_ : int
        Memory of the training samples, in bytes.
    rounding_loss_ : float or array of shape (n_classes,)
        Estimated R² of decision values that rounding X has cost, see :class:`ZipMLRegressor`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    Raises
    ------
    ValueError
        For settings that do not go together, negative weights, or a PackedMatrix narrower than sample_bits.

    Warns
    -----
    ConvergenceWarning
        When max_iter epochs were not enough.
    RoundingWarning
        When so few bits make the model worse on new rows; it names the width that would do.

    See Also
    --------
    ZipMLRegressor : The regressor.
    sklearn.linear_model.RidgeClassifier : The same objective at full precision.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_zipml import ZipMLLSSVC
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ZipMLLSSVC(sample_bits=4, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _parameter_constraints: dict = {
        **ZipMLModel._parameter_constraints,
        "C": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        sample_bits: int | None = 4,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        class_weight: dict | Literal["balanced"] | None = None,
        model_bits: int | None = None,
        gradient_bits: int | None = None,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        resample: Literal["epoch"] | None = None,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "saga", "sgd"] = "auto",
        learning_rate: Literal["auto"] | float = "auto",
        schedule: Schedule = "auto",
        power_t: float = 0.5,
        batch_size: Literal[16, 32, 48, 64, "auto"] = "auto",
        max_iter: int = 100,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.sample_bits = sample_bits
        self.C = C
        self.l1_ratio = l1_ratio
        self.class_weight = class_weight
        self.model_bits = model_bits
        self.gradient_bits = gradient_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.resample = resample
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.power_t = power_t
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
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
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        weights, unit = in_units(weights_of_classes(self.class_weight, y, check_weights(sample_weight, X)), len(y))
        check_warm_classes(self, classes)
        targets = coded(labels, len(classes))
        dtype = np.float32 if X.dtype.type is np.float32 else np.float64

        def attributes(coef, intercept):
            return {"classes_": classes, "coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype)}

        with FitTask(self, X, y, sample_weight, self.max_iter, attributes) as task:
            model = self._fit_linear(X, targets, weights, self._penalty_in(unit), task, dtype, stratify=labels)
            vars(self).update(attributes(*model), rounding_loss_=number_of_one(self.rounding_loss_, len(model[0]) == 1))
        return self

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Samples,
        y: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit a chunk of rows in addition to those before.

        Takes the rows into account and sets the coefficients that minimise the objective on all rows seen so far: the
        result does not depend on how the rows are divided or in what order they come, but for the rounding, each chunk
        having its own levels. The rows are packed, their second moments are added to those kept (``n_features``²
        numbers, for at most 8192 features), and the rows are dropped; no epochs are run, so the parameters of the
        solver and of early stopping have no part in it. After ``fit`` it begins anew.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            The next rows, any real dtype, finite.
        y : array-like of shape (n_samples,)
            Class labels. May be left out if X is a PackedMatrix with a target.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that will ever come; required in the first call, unless ``fit`` came before.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights; rows of weight 0 are left out. None for those of a PackedMatrix that has some.

        Returns
        -------
        self

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn_zipml import ZipMLLSSVC
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = ZipMLLSSVC(random_state=0)
        >>> for rows in (slice(0, 300), slice(300, None)):
        ...     model = model.partial_fit(X[rows], y[rows], classes=[0, 1])
        >>> model.score(X, y) > 0.94
        True
        """
        first = self._moments is None
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight, reset=first)
        check_classification_targets(y)
        classes = self._incremental_classes(classes, first)
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(f"y holds the label(s) {unknown} that are not among the classes {classes}.")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} needs all labels at once: give partial_fit a dict, as "
                "sklearn.utils.class_weight.compute_class_weight makes it."
            )
        weights = weights_of_classes(self.class_weight, y, check_weights(sample_weight, X))
        weights, unit = in_units(weights, len(y), None if first else self._weight_unit)
        targets = coded(np.searchsorted(classes, y), len(classes))
        dtype = np.float32 if X.dtype.type is np.float32 else np.float64
        coef, intercept = self._partial_fit_linear(X, targets, weights, self._penalty_in(unit), dtype)
        self.classes_, self._weight_unit = classes, unit
        self.coef_, self.intercept_ = coef.astype(dtype), intercept.astype(dtype)
        self.rounding_loss_ = number_of_one(self.rounding_loss_, len(self.coef_) == 1)
        return self

    def _penalty_in(self, unit):
        """The ridge penalty for a total weight in a unit; nothing is left of coefficients long before its limit."""
        return lambda total: min(1 / (self.C * float(total)) / unit, MOST_PENALTY)

    def _incremental_classes(self, classes, first):
        """All classes, sorted; those of the first call to partial_fit, or of fit before it."""
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be given in the first call to partial_fit.")
        classes = known if classes is None else sorted_labels(classes, "classes")
        if not first and not np.array_equal(known, classes):
            raise ValueError(f"classes={classes} are not those of the first call to partial_fit, {known}.")
        if len(classes) < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 classes, got classes={classes}.")
        return classes

    def decision_function(self, X: Samples) -> np.ndarray:
        """Signed values of the hyperplanes.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows, not rounded; a PackedMatrix is not unpacked.

        Returns
        -------
        array of shape (n_samples,) with two classes, else (n_samples, n_classes)
        """
        values = self._predictions(X).astype(self.coef_.dtype, copy=False)
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
        return self.classes_[chosen if len(self.classes_) > 1 else np.zeros_like(chosen)]

    def to_sklearn(self) -> RidgeClassifier | SGDClassifier:
        """Make a fitted object of scikit-learn that decides the same and does not need this package.

        Its parameters give the objective that this model minimised, so that a clone of it, fitted to the same rows,
        comes to the same coefficients but for the rounding. What rows and dtypes it takes is up to scikit-learn.

        Returns
        -------
        RidgeClassifier or SGDClassifier
            ``RidgeClassifier(alpha=1 / C)``; with an l1 part, which that has not, ``SGDClassifier`` with the squared
            loss and ``alpha=1 / (C * n_samples)``.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sklearn_zipml import ZipMLLSSVC
        >>> X, y = load_digits(return_X_y=True)
        >>> model = ZipMLLSSVC(C=0.1, random_state=0).fit(X, y)
        >>> plain = model.to_sklearn()
        >>> plain, bool((plain.predict(X) == model.predict(X)).all())
        (RidgeClassifier(alpha=10.0), True)
        """
        return plain_classifier(self)

    def _validation_score(self, predictions, targets, weights):
        truth = choose(targets)
        return np.average(choose(predictions) == truth, weights=weights)
