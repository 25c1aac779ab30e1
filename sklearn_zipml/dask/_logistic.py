"""Logistic regression on the partitions of a Dask collection."""

from __future__ import annotations

from itertools import accumulate
from numbers import Real
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from .._estimators.convergence import not_converged
from .._estimators.guard import all_or_nothing
from .._estimators.handed_over import in_shape
from .._estimators.labels import check_two_classes
from .._estimators.logistic import ZipMLLogisticRegression
from .._shards.logistic import Setting, fit_parts
from .._shards.logistic_rounds import fit_parts_in_rounds, is_short
from .._warnings import warn
from ._classes import DaskZipMLClassifier
from ._sites import Sites

if TYPE_CHECKING:
    from .._typing import Levels, Outliers, RandomState, Sampling


class DaskZipMLLogisticRegression(DaskZipMLClassifier):
    """Logistic regression on packed partitions that stay on the workers of a Dask cluster.

    The objective is that of :class:`.ZipMLLogisticRegression`, what rounding does to the model taken into account. With
    few columns, so are the steps: models go out to the workers, and the loss, its gradient and, every few steps, second
    moments weighted by its curvature come back, sums over their rows. The coefficients are
    those of the local estimator on the same packed rows in one place, but for the rounding of sums, whatever the
    partitions and workers. With more than 512 coefficients second moments would be more bytes than all else: the model
    goes out and gradients come back in ``model_bits`` and ``gradient_bits``, until nothing is to be gained, in Newton
    steps that each take a few rounds, and that end lower than they began, by the loss in float64.

    Parameters
    ----------
    sample_bits : int from 1 to 8, default=4
        Bits stored for each value of X.
    C : float, default=1.0
        Weight of the loss against the penalty on ``coef_``, which is in units of X; ``numpy.inf`` is no penalty.
    l1_ratio : float from 0 to 1, default=0.0
        Share of the l1 penalty, as in scikit-learn's elastic net: 0 is the l2 penalty, 1 the lasso. With some,
        coefficients become exactly zero. It takes ``solver="newton"``, which "auto" is then: up to 2048 columns, or
        some thousand coefficients of more than two classes.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in scikit-learn, all of them positive.
    model_bits : int from 4 to 16 or None, default=8
        Bits of a number of the model on its way to the workers, in rounds. None, which goes with
        ``gradient_bits=None``, is float64, and ``solver="newton"``.
    gradient_bits : int from 4 to 16 or None, default=8
        Bits of a number of the gradient on its way back, in rounds.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        How a value becomes a code. Only of the first four is known what rounding does, so that it is made good for.
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
    solver : {"auto", "newton", "rounds"}, default="auto"
        "newton" exchanges float64 and takes the steps of the local estimator, "rounds" exchanges a few bits. "auto"
        takes "newton" up to 512 coefficients, those of all classes and intercepts.
    max_iter : int, default=100
        Largest number of steps, or of rounds; each reads the packed rows twice.
    tol : float, default=1e-4
        How far above its minimum the objective may be, in parts of itself, and by 1e-13 of that of the zero model.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding and the order of the rows.
    client : distributed.Client or None, default=None
        None for the current one when ``fit`` is called. It is not pickled.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Class labels.
    coef_ : array of shape (1, n_features) or (n_classes, n_features)
        Coefficients in units of X; of two classes, those of the second.
    intercept_ : array of shape (1,) or (n_classes,)
        Intercepts.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : array of shape (n_features,)
        Names of the columns, if all are strings.
    n_iter_ : int
        Steps taken, or rounds.
    solver_ : str
        Which of "newton" and "rounds" it was.
    loss_curve_ : list of float
        The objective, divided by C and the sum of weights, before the first and after every step; in rounds that of
        the packed rows as they are, before anything is done about what rounding does to the model.
    bytes_read_curve_ : list of int
        Bytes of samples that all workers together had read by then.
    sample_bits_ : int
        Bits of the packed samples.
    sampling_ : str
        How they were rounded.
    sample_nbytes_ : int
        Memory of the packed samples on all workers, in bytes.
    bytes_sent_ : int
        Bytes that were exchanged to fit the packed rows: of numbers in float64, or of messages, headers included.
    float32_bytes_ : int
        Bytes that the same numbers or messages would take in float32.

    Warns
    -----
    ConvergenceWarning
        When max_iter steps or rounds were not enough.

    See Also
    --------
    DaskZipMLLSSVC : Least squares, in one round and without probabilities.
    DaskPackedMatrix : Shards that stay on the workers, for several fits.

    Examples
    --------
    >>> import numpy as np
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from sklearn_zipml.dask import DaskZipMLLogisticRegression
    >>> client = Client(processes=False, dashboard_address=":0")
    >>> X = da.from_array(np.random.default_rng(0).normal(size=(10_000, 8)), chunks=(1000, 8))
    >>> y = X.sum(axis=1) > 0
    >>> model = DaskZipMLLogisticRegression(C=0.1, random_state=0, client=client).fit(X, y)
    >>> model.predict_proba(X[:2]).compute().shape
    (2, 2)
    >>> client.close()
    """

    _parameter_constraints: dict = {
        **DaskZipMLClassifier._parameter_constraints,
        "model_bits": [*DaskZipMLClassifier._parameter_constraints["model_bits"], None],
        "gradient_bits": [*DaskZipMLClassifier._parameter_constraints["gradient_bits"], None],
        "solver": [StrOptions({"auto", "newton", "rounds"})],
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }
    _plain, _own = ZipMLLogisticRegression, ("C", "l1_ratio", "class_weight")

    def __init__(
        self,
        sample_bits: int = 4,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        class_weight: object = None,
        model_bits: int | None = 8,
        gradient_bits: int | None = 8,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        quantizer: object = None,
        fit_intercept: bool = True,
        solver: Literal["auto", "newton", "rounds"] = "auto",
        max_iter: int = 100,
        tol: float = 1e-4,
        random_state: RandomState = None,
        client: object = None,
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

    def predict_proba(self, X: object) -> object:
        """Predict probabilities of the classes, when they are asked for.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.

        Returns
        -------
        Dask array or data frame, list of Delayed; or array
            As X is, a column for each of ``classes_``. Nothing is computed, unless X is in memory.

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskZipMLLogisticRegression
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 4)), chunks=(250, 4))
        >>> model = DaskZipMLLogisticRegression(C=0.1, random_state=0).fit(X, X.sum(axis=1) > 0)
        >>> bool(abs(model.predict_proba(X).sum(axis=1) - 1).max().compute() < 1e-12)
        True
        >>> client.close()
        """
        return self._lazily(X, "predict_proba")

    def predict_log_proba(self, X: object) -> object:
        """Predict logarithms of the probabilities, when they are asked for.

        Parameters
        ----------
        X : Dask array or data frame of shape (n_samples, n_features), list of delayed chunks, or array in memory
            Rows.

        Returns
        -------
        Dask array or data frame, list of Delayed; or array
            As X is, a column for each of ``classes_``. Nothing is computed, unless X is in memory.

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskZipMLLogisticRegression
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 4)), chunks=(250, 4))
        >>> model = DaskZipMLLogisticRegression(C=0.1, random_state=0).fit(X, X.sum(axis=1) > 0)
        >>> bool(model.predict_log_proba(1000 * X).min().compute() > -float("inf"))
        True
        >>> client.close()
        """
        return self._lazily(X, "predict_log_proba")

    def _fit_shards(self, engine, shards, about, targets, seeds, has_weights, plain):
        """Fit the shards on the workers, and take over what was found; about: their Description, and what is known."""
        common, _ = about
        check_two_classes(self, targets.labels)
        code = self._code_of(targets, has_weights, _numbers)
        has_weights = has_weights or code.of_labels is not None
        bits = self._bits_of(len(common.grid.step), len(targets.labels))
        limits = self.max_iter, self.tol, bits, seeds[1]
        penalty = self._penalty_in(code.unit)
        setting = Setting(code, penalty, self.fit_intercept, has_weights, *limits, l1_ratio=self.l1_ratio)
        found = (fit_parts_in_rounds if bits else fit_parts)(*_sites(engine, shards), common, setting)
        if not (np.isfinite(found.coef).all() and np.isfinite(found.intercept).all()):
            raise ValueError("The coefficients exceed the range of float64: rescale X.")
        result = found.result
        if not result.converged:
            warn(not_converged(self, result), ConvergenceWarning)
        attributes = {"classes_": targets.labels, **in_shape(found.coef, found.intercept, False, common.dtype)}
        attributes |= {"n_iter_": result.n_iter, "loss_curve_": [float(value[0]) for value in result.losses]}
        attributes |= {"bytes_read_curve_": result.bytes_read, "sample_nbytes_": found.sample_nbytes}
        attributes |= {"solver_": "rounds" if bits else "newton"}
        self._take_over(plain, attributes, common)
        self.bytes_sent_, self.float32_bytes_ = found.bytes_sent, found.float32_bytes
        return self

    def _bits_of(self, n_columns, n_classes):
        """(model_bits, gradient_bits) of rounds, or None where there are none."""
        bits = self.model_bits, self.gradient_bits
        if (bits[0] is None) != (bits[1] is None):
            raise ValueError(
                f"model_bits={bits[0]} and gradient_bits={bits[1]}: give both numbers of bits, or None for both."
            )
        if self.solver == "rounds" and bits[0] is None:
            raise ValueError(
                "solver='rounds' exchanges a few bits, but model_bits=None: set model_bits and gradient_bits."
            )
        if self.solver == "rounds" and self.l1_ratio > 0:
            raise ValueError(
                f"l1_ratio={self.l1_ratio} takes steps with second moments, and solver='rounds' has none: set "
                "solver='newton', or l1_ratio=0."
            )
        in_floats = self.solver == "newton" or bits[0] is None or self.l1_ratio > 0
        return None if in_floats or (self.solver == "auto" and is_short(n_columns, n_classes)) else bits

    def _penalty_in(self, unit):
        return lambda total: 1 / (self.C * float(total)) / unit


def _sites(engine, shards):
    """Where the shards lie, and for each place the numbers that the first rows of its shards have among those of all.

    They have numbers in the order of the partitions.
    """
    lengths = engine.results([engine.submit(len, shard) for shard in shards])
    first = dict(zip([shard.key for shard in shards], [0, *accumulate(lengths)][:-1], strict=True))
    lists = engine.sites(shards)
    sites = Sites(engine, lists)
    return sites, sites.spread(tuple(first[shard.key] for shard in own) for own in lists)


def _numbers(numbers, n_classes):
    """Class numbers as targets."""
    return numbers[:, None].astype(np.float64)
