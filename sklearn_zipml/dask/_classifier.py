"""Least-squares support vector classification on the partitions of a Dask collection."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Literal, Self

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from .._estimators.classifier import MOST_PENALTY, ZipMLLSSVC
from .._estimators.guard import all_or_nothing
from .._estimators.handed_over import in_shape
from .._estimators.labels import coded
from ._classes import DaskZipMLClassifier

if TYPE_CHECKING:
    from .._typing import Levels, Outliers, RandomState, Sampling


class DaskZipMLLSSVC(DaskZipMLClassifier):
    """Linear least-squares SVM on packed partitions that stay on the workers of a Dask cluster.

    The objective is that of :class:`.ZipMLLSSVC`; the rest is as in :class:`DaskZipMLRegressor`.

    Parameters
    ----------
    sample_bits : int from 1 to 8, default=4
        Bits stored for each value of X.
    C : float, default=1.0
        Weight of the loss against the penalty on ``coef_``, which is in units of X.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn, all of them positive.
    model_bits : int from 4 to 16, default=8
        Bits of a number of the model on its way to the workers, in rounds.
    gradient_bits : int from 4 to 16, default=8
        Bits of a number of the gradient on its way back, in rounds.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column.
    n_draws : int from 2 to 255, default=2
        Draws of ``sampling="double"``.
    outliers : {"auto", "none"}, default="auto"
        "auto" keeps a few values of a column apart where it pays, see :class:`.DoubleSamplingQuantizer`; or "none".
    quantizer : DoubleSamplingQuantizer or None, default=None
        Fitted: its levels, settings and draws are taken, and X is read once instead of twice.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    solver : {"auto", "gram", "rounds"}, default="auto"
        "gram" is the one round, "rounds" the exchange of models and gradients. "auto" takes "gram" for up to 4096
        columns.
    max_iter : int, default=100
        Rounds at most.
    tol : float, default=1e-4
        Part of the objective that it may still lie above its minimum after rounds.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding.
    client : distributed.Client or None, default=None
        None for the current one when ``fit`` is called. It is not pickled.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Coefficients, in units of X.
    intercept_ : array of shape (1,) or (n_classes,)
        Intercepts.
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
    DaskZipMLRegressor : The regressor.
    DaskZipMLLogisticRegression : With probabilities.
    DaskPackedMatrix : Shards that stay on the workers, for several fits.

    Examples
    --------
    >>> import numpy as np
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from sklearn_zipml.dask import DaskZipMLLSSVC
    >>> client = Client(processes=False, dashboard_address=":0")
    >>> X = da.from_array(np.random.default_rng(0).normal(size=(10_000, 8)), chunks=(1000, 8))
    >>> y = X.sum(axis=1) > 0
    >>> model = DaskZipMLLSSVC(random_state=0, client=client).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    >>> client.close()
    """

    _parameter_constraints: dict = {
        **DaskZipMLClassifier._parameter_constraints,
        "C": [Interval(Real, 0, None, closed="neither")],
    }
    _plain, _own = ZipMLLSSVC, ("C", "class_weight")

    def __init__(
        self,
        sample_bits: int = 4,
        *,
        C: float = 1.0,
        class_weight: object = None,
        model_bits: int = 8,
        gradient_bits: int = 8,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        quantizer: object = None,
        fit_intercept: bool = True,
        solver: Literal["auto", "gram", "rounds"] = "auto",
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: RandomState = None,
        client: object = None,
    ) -> None:
        self.sample_bits = sample_bits
        self.C = C
        self.class_weight = class_weight
        self.model_bits = model_bits
        self.gradient_bits = gradient_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.quantizer = quantizer
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
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
        y : Dask array or series, list of delayed chunks, or array
            Class labels, in the same partitions. Left out if X is a DaskPackedMatrix.
        sample_weight : the same, or None, default=None
            Row weights; rows of weight 0 are left out.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight)

    def _code(self, targets, has_weights):
        """The TargetCode, and fitted attributes that come with it."""
        return self._code_of(targets, has_weights, coded), {"classes_": targets.labels}

    def _penalty_in(self, unit):
        return lambda total: min(1 / (self.C * float(total)) / unit, MOST_PENALTY)

    def _shaped(self, fitted, targets, dtype):
        return in_shape(fitted.coef, fitted.intercept, False, dtype)
