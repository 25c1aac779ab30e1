"""Ridge regression on the partitions of a Dask collection."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions

from .._estimators.guard import all_or_nothing
from .._estimators.handed_over import in_shape
from .._estimators.missing_targets import has_missing, numbers_or_nan, r2_of_known, refuse_missing
from .._estimators.regressor import ZipMLRegressor
from .._shards.targets import TargetCode
from ._base import DaskZipMLModel

if TYPE_CHECKING:
    from .._typing import Levels, Outliers, RandomState, Sampling


class DaskZipMLRegressor(RegressorMixin, DaskZipMLModel):
    """Ridge regression on packed partitions that stay on the workers of a Dask cluster.

    The objective is that of :class:`.ZipMLRegressor`. Partitions are packed where they lie, on levels that all of them
    share. With up to some thousands of columns one round is enough: exact second moments, integers, are summed over
    the workers, and the coefficients are those of ``ZipMLRegressor.partial_fit`` on all rows in one piece, to the bit,
    whatever the partitions and the workers. With more columns the model goes out and the gradient comes back, in
    ``model_bits`` and ``gradient_bits``, until nothing is to be gained.

    Parameters
    ----------
    sample_bits : int from 1 to 8, default=4
        Bits stored for each value of X.
    model_bits : int from 4 to 16, default=8
        Bits of a number of the model on its way to the workers, in rounds.
    gradient_bits : int from 4 to 16, default=8
        Bits of a number of the gradient on its way back, in rounds.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code, see :class:`.ZipMLRegressor`.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    quantizer : DoubleSamplingQuantizer or None, default=None
        Fitted: its levels, settings and draws are taken, and X is read once instead of twice.
    alpha : float, default=1e-4
        Ridge penalty on ``coef_``, which is in units of X.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    solver : {"auto", "gram", "rounds"}, default="auto"
        "gram" is the one round, "rounds" the exchange of models and gradients. "auto" takes "gram" for up to 4096
        columns.
    max_iter : int, default=100
        Rounds at most.
    tol : float, default=1e-4
        Part of the objective that it may still lie above its minimum after rounds.
    missing_target : {"error", "drop"}, default="error"
        "drop" takes targets with missing values: each is trained on the rows where it is known, as by
        ``ZipMLRegressor(missing_target="drop").partial_fit``, to the bit. It takes the one round, up to 8192 columns;
        there are as many second moments as patterns of holes. Rows where no target is known are left out.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding.
    client : distributed.Client or None, default=None
        None for the current one when ``fit`` is called. It is not pickled.

    Attributes
    ----------
    coef_ : array of shape (n_features,) or (n_targets, n_features)
        Coefficients, in units of X.
    intercept_ : float or array of shape (n_targets,)
        Intercept.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array of shape (n_features,)
        Names of the columns, if all are strings.
    n_iter_ : int
        Rounds.
    solver_ : str
        Which of "gram" and "rounds" it was.
    loss_curve_ : list of float
        Objective: at the end, or in rounds before the first and after each that moved the model.
    sample_bits_ : int
        Bits of the packed samples.
    sampling_ : str
        How they were rounded.
    bytes_sent_ : int
        Bytes that were exchanged to fit the packed rows, headers included.
    float32_bytes_ : int
        Bytes that the same messages would take in float32.

    See Also
    --------
    DaskZipMLLSSVC : The classifier.
    DaskPackedMatrix : Shards that stay on the workers, for several fits.

    Examples
    --------
    >>> import numpy as np
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from sklearn_zipml.dask import DaskZipMLRegressor
    >>> client = Client(processes=False, dashboard_address=":0")
    >>> X = da.from_array(np.random.default_rng(0).normal(size=(10_000, 8)), chunks=(1000, 8))
    >>> y = X.sum(axis=1)
    >>> model = DaskZipMLRegressor(random_state=0, client=client).fit(X, y)
    >>> bool(abs(model.predict(X) - y).max().compute() < 0.1)
    True
    >>> client.close()
    """

    _parameter_constraints: dict = {
        **DaskZipMLModel._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "missing_target": [StrOptions({"error", "drop"})],
    }
    _plain, _own = ZipMLRegressor, ("alpha", "missing_target")

    def __init__(
        self,
        sample_bits: int = 4,
        *,
        model_bits: int = 8,
        gradient_bits: int = 8,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        quantizer: object = None,
        alpha: float = 1e-4,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "rounds"] = "auto",
        max_iter: int = 100,
        tol: float = 1e-4,
        missing_target: Literal["error", "drop"] = "error",
        random_state: RandomState = None,
        client: object = None,
    ) -> None:
        self.sample_bits = sample_bits
        self.model_bits = model_bits
        self.gradient_bits = gradient_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.quantizer = quantizer
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.missing_target = missing_target
        self.random_state = random_state
        self.client = client

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: object, y: object = None, *, sample_weight: object = None) -> Self:
        """Pack the partitions and fit the model; waits for the result.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or DaskPackedMatrix
            Training rows. Arrays and data frames in memory are taken for one partition.
        y : Dask array, data frame or series, list of delayed chunks, or array
            Targets, in the same partitions. Left out if X is a DaskPackedMatrix.
        sample_weight : the same, or None, default=None
            Row weights; rows of weight 0 are left out.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight)

    def predict(self, X: object) -> object:
        """Predict targets of rows as they are, when they are asked for.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.

        Returns
        -------
        Dask array, series or data frame, list of Delayed; or array
            As X is. Nothing is computed, unless X is in memory.
        """
        return self._lazily(X, "predict")

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Compute R² of the predictions; with ``missing_target="drop"`` on the rows where each target is known.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.
        y : Dask array, data frame or series, list of delayed chunks, or array
            True targets.
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
        >>> from sklearn_zipml.dask import DaskZipMLRegressor
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 4)), chunks=(250, 4))
        >>> y = X.sum(axis=1)
        >>> DaskZipMLRegressor(random_state=0).fit(X, y).score(X, y) > 0.9
        True
        >>> client.close()
        """
        predicted, y, sample_weight = self._truth(X, y, sample_weight)
        if self.missing_target == "drop" and has_missing(y):
            return r2_of_known(numbers_or_nan(y, self), np.asarray(predicted), sample_weight)
        return r2_score(y, predicted, sample_weight=sample_weight)

    def _check_known(self, targets):
        if targets.has_missing and self.missing_target == "error":
            refuse_missing(None, self)

    def _code(self, targets, has_weights):
        """The TargetCode, and fitted attributes that come with it."""
        unit = self._unit_of(targets.heaviest) if has_weights else 1.0
        return TargetCode(unit=unit, has_missing=targets.has_missing), {}

    def _penalty_in(self, unit):
        return lambda total: self.alpha

    def _shaped(self, fitted, targets, dtype):
        return in_shape(fitted.coef, fitted.intercept, targets.n_outputs == (), dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
