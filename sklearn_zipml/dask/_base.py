"""What the Dask estimators share: parameters, the way from collections to a fitted estimator, lazy predictions."""

from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from dask import array as da
from dask import compute
from dask.base import is_dask_collection
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._estimators.convergence import not_reached
from .._estimators.handed_over import handed_over, refuse_narrow
from .._estimators.validation import in_units
from .._scheme import CONSTRAINTS, Scheme, check_draws
from .._seeds import draw_seed
from .._shards.messages import FEWEST_BITS, MOST_BITS
from .._state import StableState
from .._warnings import warn
from . import _tasks
from ._collections import is_frame, listed
from ._engine import Engine, checked_client, task
from ._fitting import Task, fit
from ._packed import DaskPackedMatrix, target_report
from ._packing import Packing, pack

SHARED = (
    "sample_bits",
    "sampling",
    "levels",
    "n_draws",
    "outliers",
    "fit_intercept",
    "max_iter",
    "tol",
    "random_state",
)


class DaskZipMLModel(StableState, BaseEstimator):
    """Linear models of packed partitions; see DaskZipMLRegressor, DaskZipMLLSSVC and DaskZipMLLogisticRegression."""

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        "model_bits": [Interval(Integral, FEWEST_BITS, MOST_BITS, closed="both")],
        "gradient_bits": [Interval(Integral, FEWEST_BITS, MOST_BITS, closed="both")],
        "quantizer": "no_validation",
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "gram", "rounds"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "client": "no_validation",
    }

    # What there is of a plain estimator: its class, names of parameters of its own, and whether targets are labels.
    _plain = None
    _own: tuple = ()
    _of_labels = False

    def __getstate__(self):
        return {**super().__getstate__(), "client": None}  # a connection is not pickled

    def __sklearn_clone__(self):
        parameters = self.get_params(deep=False)
        client = parameters.pop("client")
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()}, client=client)

    def _unfitted(self):
        """The plain estimator with the parameters that both have."""
        return self._plain(**{name: getattr(self, name) for name in (*SHARED, *self._own)})

    def _fit(self, X, y, sample_weight):
        """Fit; see the fit of both."""
        check_draws(self.sample_bits, self.sampling, self.n_draws)
        random_state = check_random_state(self.random_state)
        seeds = draw_seed(random_state), draw_seed(random_state)
        plain = self._unfitted()
        if isinstance(X, DaskPackedMatrix):
            if y is not None or sample_weight is not None:
                raise ValueError(
                    "X is a DaskPackedMatrix, which has targets and weights of its own: leave out y and sample_weight."
                )
            client, shards, common, has_weights, known = X.__zipml_shards__()
            refuse_narrow(self.sample_bits, X.sample_bits)
            with Engine(client) as engine:
                targets = target_report(engine, shards, self._of_labels, known)
                self._check_known(targets)
                return self._fit_shards(engine, shards, (common, known), targets, seeds, has_weights, plain)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        with Engine(self.client) as engine:
            scheme = Scheme.of(self.sample_bits, self.sampling, self.levels, self.n_draws, self.outliers)
            checks = _tasks.Checks(plain, self._of_labels)
            packed = pack(engine, X, y, sample_weight, Packing(checks, scheme, seeds[0], self.quantizer))
            common, *_ = engine.result(engine.submit(_tasks.describe, packed.shards[0]))
            has_weights = sample_weight is not None
            return self._fit_shards(engine, packed.shards, (common, {}), packed.targets, seeds, has_weights, plain)

    def _check_known(self, targets):
        """Refuse labels that are missing in shards, of a TargetReport."""
        if targets.has_missing:
            raise ValueError("Input y contains NaN: leave out rows whose label is missing.")

    def _fit_shards(self, engine, shards, about, targets, seeds, has_weights, plain):
        """Fit the shards on the workers, and take over what was found; about: their Description, and what is known."""
        common, known = about
        code, attributes = self._code(targets, has_weights)
        has_weights = has_weights or code.of_labels is not None
        todo = Task(code, self._penalty_in(code.unit), self, seeds, has_weights, known)
        fitted = fit(engine, shards, common, todo)
        if fitted.gap is not None:
            warn(not_reached(self, fitted.gap), ConvergenceWarning)
        attributes |= self._shaped(fitted, targets, common.dtype)
        attributes |= {"n_iter_": fitted.n_iter, "solver_": fitted.solver, "loss_curve_": fitted.losses}
        total = np.ravel(fitted.total)[0] if targets.n_outputs == () else fitted.total
        local = handed_over(plain, attributes, targets.n_used, total * code.unit)
        self._take_over(local, attributes, common)
        self.bytes_sent_, self.float32_bytes_ = fitted.bytes_sent, fitted.float32_bytes
        return self

    def _take_over(self, local, attributes, common):
        """Have the attributes of a fit, which the plain estimator is given, too."""
        attributes |= {"n_features_in_": len(common.grid.step), "sample_bits_": common.scheme.sample_bits}
        attributes["sampling_"] = common.scheme.meant_sampling
        if common.feature_names is not None:
            attributes["feature_names_in_"] = np.array(common.feature_names, dtype=object)
        vars(local).update(attributes)
        self._local = local
        for name in ("feature_names_in_", "classes_"):
            vars(self).pop(name, None)
        vars(self).update(attributes)

    @staticmethod
    def _unit_of(heaviest):
        return in_units(np.array([heaviest]), 1)[1]

    def to_local(self):
        """Make the plain estimator, fitted, which knows nothing of Dask.

        Returns
        -------
        ZipMLRegressor, ZipMLLSSVC or ZipMLLogisticRegression
            With the parameters and fitted attributes that both have.

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import numpy as np
        >>> from dask import array as da
        >>> from distributed import Client
        >>> from sklearn_zipml.dask import DaskZipMLRegressor
        >>> client = Client(processes=False, dashboard_address=":0")
        >>> X = da.from_array(np.random.default_rng(0).normal(size=(1000, 4)), chunks=(250, 4))
        >>> DaskZipMLRegressor(random_state=0).fit(X, X.sum(axis=1)).to_local()
        ZipMLRegressor(random_state=0)
        >>> client.close()
        """
        check_is_fitted(self)
        return deepcopy(self._local)

    def _lazily(self, X, method):
        """What a method of the plain estimator says of rows: of the kind of X, computed when it is asked for."""
        check_is_fitted(self)
        model = self.to_local()
        values = np.asarray(getattr(model, method)(_of_zeros(model)))
        if isinstance(X, da.Array):
            X = X if X.numblocks[1] == 1 else X.rechunk({1: -1})
            chunks = (X.chunks[0], *((n,) for n in values.shape[1:]))
            axis = {} if values.ndim == 2 else {"drop_axis": 1}
            given = {"model": model, "method": method, "like": values[:0]}
            return X.map_blocks(_values, **given, **axis, chunks=chunks, meta=values[:0])
        if is_frame(X):
            given = {"model": model, "method": method, "like": values[:0]}
            return X.map_partitions(_values_of_frame, **given, meta=_labelled(X._meta.iloc[:0], values[:0]))
        if (chunks := listed(X)) is not None:
            found = [task(_values)(chunk, model, method, values[:0]) for chunk in chunks]
            return found if isinstance(X, (list, tuple)) else found[0]
        if is_dask_collection(X):
            raise ValueError(f"X is a {type(X).__name__}; give a Dask array, a Dask data frame or delayed chunks.")
        return getattr(model, method)(X)

    def _truth(self, X, y, sample_weight):
        """Predictions, targets and weights, computed."""
        check_is_fitted(self)
        found = self.predict(X), y, sample_weight
        chunks = [listed(one) for one in found]
        if not any(is_dask_collection(one) or own is not None for one, own in zip(found, chunks, strict=True)):
            return found
        given = [one if own is None else own for one, own in zip(found, chunks, strict=True)]
        computed = compute(*given, scheduler=checked_client(self.client))
        return tuple(
            one if own is None else np.concatenate([np.asarray(part) for part in one])
            for one, own in zip(computed, chunks, strict=True)
        )


def _of_zeros(model):
    """A row of zeros, as the model's rows are."""
    zeros = np.zeros((1, model.n_features_in_))
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return zeros
    import pandas as pd

    return pd.DataFrame(zeros, columns=names)


def _values(X, model, method, like):
    return getattr(model, method)(X) if len(X) else like


def _values_of_frame(X, model, method, like):
    return _labelled(X, _values(X, model, method, like))


def _labelled(X, values):
    """Values as a series or frame with the index of X."""
    import pandas as pd

    return pd.Series(values, index=X.index) if values.ndim == 1 else pd.DataFrame(values, index=X.index)
