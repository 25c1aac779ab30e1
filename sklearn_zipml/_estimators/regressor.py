"""Linear regression on packed low-precision samples."""

from __future__ import annotations

from numbers import Real
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context
from sklearn.linear_model import ElasticNet, LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions

from .._packed_matrix import Samples
from .._typing import Levels, Outliers, RandomState, Sampling, Schedule
from .base import ZipMLModel
from .callbacks import FitTask
from .export import plain_regressor
from .fits_by_group import fit_by_groups
from .guard import all_or_nothing
from .handed_over import in_shape
from .missing_targets import groups_of
from .rounding import number_of_one
from .score import ScoreOfOwnTarget
from .validation import check_training_rows, check_weights, in_units


class ZipMLRegressor(ScoreOfOwnTarget, RegressorMixin, ZipMLModel):
    """Ridge regression trained on samples of 1 to 8 bits.

    Minimises, over coefficients w and intercept b, with f(x) = x' w + b and W = sum_i weight_i::

        1 / (2 W) * sum_i weight_i * (f(x_i) - y_i)**2
        + alpha * (1 - l1_ratio) / 2 * ||w||**2
        + alpha * l1_ratio * ||w||_1,

    the objective of ``Ridge(alpha=W * alpha)``, or ``ElasticNet(alpha, l1_ratio)`` with an l1 part. The training rows
    are rounded stochastically to a few levels per column, packed, and dropped; the model is fitted to the packed codes
    (ZipML, arXiv:1611.05402). Data may be raw: columns are centred and scaled inside, step sizes come from the data.
    Rows to predict on are never rounded. What rounding costs at so many bits is told by ``rounding_loss_``.

    scikit-learn's callbacks (1.9 and newer, ``set_callbacks``) are told of every epoch, with a model to score, and can
    end the fit.

    Parameters
    ----------
    sample_bits : int from 1 to 8 or None, default=4
        Bits stored for each value of X. None trains on float32 with the same solver. A :class:`PackedMatrix` wider
        than this is requantized for training; a narrower one is an error, except that the default takes it as it is.
    model_bits : int from 1 to 16 or None, default=None
        Bits of the model that moves through a training step (the paper's Q3): in ``saga`` its distance from the
        anchor. None means 8 bits in ``saga``, which reach the full-precision result in as many epochs, and 16-bit
        fixed point in ``sgd``; float samples stay unrounded.
    gradient_bits : int from 1 to 16 or None, default=None
        Bits of the gradient that moves through a training step (the paper's Q4): in ``saga`` the change of the
        residuals. None means the same.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code. "double": two independent draws packed as one code, the paper's unbiased double
        sampling. "compensated": one draw, and the known bias of the second moments is subtracted; also unbiased, and
        with twice the levels at the same bits. "dithered": the same, with less than half the rounding variance at 2
        bits, or 3/5 at 3, for a part of the rounding is known when codes are decoded. "auto": "dithered" there with
        optimal levels, "compensated" else, and for ``resample``. "naive": one draw, biased. "nearest": to nearest.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column: placed to minimise the rounding variance, or evenly spaced over the range.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``, see :class:`DoubleSamplingQuantizer`.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    resample : {"epoch"} or None, default=None
        "epoch" keeps 8 bits per value and draws new samples from them every epoch, the paper's setting; for studies,
        with ``solver="sgd"``. Fresh draws have no known dither: "dithered" is "compensated" there (``sampling_``).
    alpha : float, default=1e-4
        Strength of the penalty on ``coef_``, in units of X.
    l1_ratio : float from 0 to 1, default=0.0
        Share of the l1 penalty, applied by a proximal step with every batch; it gives exact zeros.
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
        Step size over the epochs. "constant" keeps it; "adaptive" halves it when an epoch gains nothing;
        "invscaling" divides it by ``epoch ** power_t``, the diminishing steps of ZipML's experiments. "auto" is
        constant for saga, which takes no other, and adaptive for sgd. Any step that diverges is halved.
    power_t : float, default=0.5
        Exponent of "invscaling".
    batch_size : {16, 32, 48, 64} or "auto", default="auto"
        Rows of a mini-batch. "auto" is 64 for saga with at least 2048 rows and no fewer than 8 bits for model and
        gradient, which takes as many epochs as 16 and half the time of each; else it is 16.
    max_iter : int, default=100
        Largest number of epochs.
    tol : float, default=1e-4
        Training ends when what the objective can still gain is estimated below tol times its value. 0 runs all
        max_iter epochs.
    early_stopping : bool, default=False
        Set aside part of the rows and stop when their score no longer improves by tol.
    validation_fraction : float, default=0.1
        That part.
    n_iter_no_change : int, default=5
        Epochs without improvement that end training with early stopping.
    warm_start : bool, default=False
        Start from the previous solution.
    missing_target : {"error", "drop"}, default="error"
        What values of y that are missing do (NaN, None, NA of pandas, masked). "drop" trains every target on the rows
        where it is known, as a fit of it alone on these would: targets that are known of the same rows together, in
        one fit for each set of rows. ``score`` leaves them out likewise.
    n_jobs : int or None, default=None
        Threads that pack the rows, train and predict from packed rows, where there are enough of them for it to pay.
        None means as many as scikit-learn's own compiled loops take (OpenMP's; ``threadpoolctl`` limits them, and
        inside a parallel search every fit has its share), unless in a ``joblib.parallel_config`` context; -1 all
        processors. Results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding, and the order of rows and batches.
    verbose : int, default=0
        Print the objective of every epoch.

    Attributes
    ----------
    coef_ : array of shape (n_features,) or (n_targets, n_features)
        Coefficients in units of X.
    intercept_ : float or array of shape (n_targets,)
        Intercept.
    n_iter_ : int
        Epochs run; 1 for a factorisation, sweeps for coordinate descent.
    solver_ : {"gram", "saga", "sgd", "cg"}
        What found the coefficients.
    loss_curve_ : list of float
        Objective on the packed samples before the first and after every epoch.
    bytes_read_curve_ : list of int
        Bytes of samples the solver had read by then; an epoch reads them twice, for its steps and for the loss.
    validation_scores_ : list of float
        R² on the held-out rows after every epoch, with early stopping.
    sample_bits_ : int or None
        Bits the training samples were stored in.
    sampling_ : str or None
        How they were rounded, one of those of ``sampling`` but "auto", or "joined" (:class:`PackedMatrix`); with
        ``resample`` those of an epoch; None without rounding.
    sample_nbytes_ : int
        Memory of the training samples, in bytes.
    rounding_loss_ : float or array of shape (n_targets,)
        Estimate, from the packed rows and the fit alone, of the R² on new rows that rounding X has cost against the
        same fit at full precision; 0 without rounding. :ref:`Good to a factor of two <estimated_loss>` from 2 bits on.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    Raises
    ------
    ValueError
        For settings that do not go together, or a PackedMatrix narrower than sample_bits.

    Warns
    -----
    ConvergenceWarning
        When max_iter epochs were not enough.
    RoundingWarning
        When so few bits make the model worse on new rows; it names the width that would do.

    See Also
    --------
    ZipMLLSSVC : The classifier.
    DoubleSamplingQuantizer : Packs once for many fits.
    sklearn.linear_model.Ridge : The same objective at full precision.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import ZipMLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ZipMLRegressor(sample_bits=4, random_state=0).fit(X, y)
    >>> round(model.score(X, y), 1)
    0.5
    """

    _parameter_constraints: dict = {
        **ZipMLModel._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "missing_target": [StrOptions({"error", "drop"})],
    }

    def __init__(
        self,
        sample_bits: int | None = 4,
        *,
        model_bits: int | None = None,
        gradient_bits: int | None = None,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        resample: Literal["epoch"] | None = None,
        alpha: float = 1e-4,
        l1_ratio: float = 0.0,
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
        missing_target: Literal["error", "drop"] = "error",
        n_jobs: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.sample_bits = sample_bits
        self.model_bits = model_bits
        self.gradient_bits = gradient_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.resample = resample
        self.alpha = alpha
        self.l1_ratio = l1_ratio
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
        self.missing_target = missing_target
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
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights; rows of weight 0 are left out. None for those of a PackedMatrix that has some.

        Returns
        -------
        self
        """
        names = getattr(y, "columns", None)
        X, y, sample_weight = check_training_rows(self, X, y, sample_weight, multi_output=True, y_numeric=True)
        weights, unit = in_units(check_weights(sample_weight, X), len(y))
        exact = np.float32 if y.dtype == np.float32 else np.float64
        targets = np.asarray(y, dtype=exact, order="C").reshape(len(y), -1)
        dtype = _coefficient_dtype(X)
        if self.missing_target == "drop":
            groups = groups_of(targets, weights, None if y.ndim == 1 else names)
            if len(groups) > 1:
                coef, intercept, attributes = fit_by_groups(self, X, targets, weights, groups)
                vars(self).update(attributes | _attributes(y, coef, intercept, dtype))
                self._total_weight *= unit
                return self
            weights, targets = groups[0].weights(weights, len(y)), groups[0].targets(targets)
        with FitTask(self, X, y, sample_weight, self.max_iter, lambda *model: _attributes(y, *model, dtype)) as task:
            model = self._fit_linear(X, targets, weights, lambda total: self.alpha, task, dtype)
            vars(self).update(_attributes(y, *model, dtype))
            self.rounding_loss_ = number_of_one(self.rounding_loss_, y.ndim == 1)
            self._total_weight *= unit
        return self

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Samples, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
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
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. May be left out if X is a PackedMatrix with a target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Row weights; rows of weight 0 are left out. None for those of a PackedMatrix that has some.

        Returns
        -------
        self

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import ZipMLRegressor
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(5000, 3))
        >>> y = X @ [1.0, 2.0, 3.0]
        >>> model = ZipMLRegressor(8, random_state=0)
        >>> for start in range(0, 5000, 1000):
        ...     model = model.partial_fit(X[start : start + 1000], y[start : start + 1000])
        >>> model.coef_.round(1)
        array([1., 2., 3.])
        """
        first = self._moments is None
        X, y, sample_weight = check_training_rows(
            self, X, y, sample_weight, reset=first, multi_output=True, y_numeric=True
        )
        weights, unit = in_units(check_weights(sample_weight, X), len(y), None if first else self._weight_unit)
        targets = np.asarray(y, dtype=np.float64, order="C").reshape(len(y), -1)
        if not first and np.shape(self.coef_)[:-1] != y.shape[1:]:
            raise ValueError(f"y has shape {y.shape}, but the chunks before had targets of another number.")
        dtype = _coefficient_dtype(X)
        coef, intercept = self._partial_fit_linear(X, targets, weights, lambda total: self.alpha, dtype)
        vars(self).update(_attributes(y, coef, intercept, dtype))
        self.rounding_loss_ = number_of_one(self.rounding_loss_, y.ndim == 1)
        self._weight_unit = unit
        self._total_weight *= unit
        return self

    def predict(self, X: Samples) -> np.ndarray:
        """Predict targets of rows as they are, without rounding them.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows. A PackedMatrix is not unpacked.

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets)
        """
        values = self._predictions(X).astype(self.coef_.dtype, copy=False)
        return values[:, 0] if self.coef_.ndim == 1 else values

    def to_sklearn(self) -> LinearRegression | Ridge | ElasticNet:
        """Make a fitted object of scikit-learn that predicts the same and does not need this package.

        Its parameters give the objective that this model minimised, so that a clone of it, fitted to the same rows,
        comes to the same coefficients but for the rounding. What rows and dtypes it takes is up to scikit-learn.

        Returns
        -------
        LinearRegression, Ridge, ElasticNet or Lasso
            ``Ridge(alpha=W * alpha)``, W the sum of the weights of the training rows (their number, without weights);
            ``LinearRegression`` for ``alpha=0``; ``ElasticNet(alpha, l1_ratio)`` and ``Lasso(alpha)`` with an l1 part.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import ZipMLRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> ZipMLRegressor(alpha=0.01, random_state=0).fit(X, y).to_sklearn()
        Ridge(alpha=4.42)
        """
        return plain_regressor(self)

    def _validation_score(self, predictions, targets, weights):
        shift = -np.frexp(np.abs(targets).max(axis=0))[1]  # squares of large and small targets leave the range
        return r2_score(np.ldexp(targets, shift), np.ldexp(predictions, shift), sample_weight=weights)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _coefficient_dtype(X):
    return np.float32 if X.dtype.type is np.float32 else np.float64


def _attributes(y, coef, intercept, dtype):
    """Fitted attributes in the shape of y."""
    return in_shape(coef, intercept, y.ndim == 1, dtype)
