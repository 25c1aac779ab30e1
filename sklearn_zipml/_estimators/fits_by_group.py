"""Fits of targets that are known of different rows: one for each set of rows, on rows that are packed once."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from .._packed_matrix import PackedMatrix, matrix_of
from .._seeds import draw_seed
from .training_rows import training_rows


def fit_by_groups(estimator, X, targets, weights, groups):
    """Fit a model to every group of targets.

    Parameters
    ----------
    estimator : ZipMLRegressor, of which fitted attributes of before are read only
    X : validated array or PackedMatrix
    targets : float64 (n_samples, outputs), with NaN
    weights : float64 (n_samples,) or None
    groups : list of Known

    Returns
    -------
    coef (outputs, features), intercept (outputs,), dict of the other fitted attributes
    """
    if getattr(estimator, "_skl_callbacks", None):
        raise ValueError(
            "Callbacks follow one fit, and targets that are known of different rows take one each: fit them by "
            "themselves, or take the callbacks off."
        )
    settings, start = estimator.get_params(deep=False), _start_of(estimator, targets.shape[1])
    settings["random_state"] = seed = _integer_seed(estimator.random_state)
    X, rows = _packed_once(estimator, X, targets, weights, seed)
    models = []
    for group in groups:
        model = type(estimator)(**settings)
        if start is not None:
            model.coef_ = start[group.outputs]
        y, weight = group.targets(targets), group.weights(weights, len(targets))
        if rows is not None:
            y, weight = y[rows], None if weight is None else weight[rows]
        models.append(model.fit(X, y, weight))
    coef, intercept, attributes = _joined(models, groups)
    return coef, intercept, attributes | {"_moments": None}


def _start_of(estimator, n_outputs):
    """Coefficients to start from, (outputs, features), or None."""
    if not estimator.warm_start or not hasattr(estimator, "coef_"):
        return None
    coef = np.atleast_2d(estimator.coef_)
    if len(coef) != n_outputs:
        raise ValueError(
            f"warm_start=True: the previous fit had {len(coef)} outputs, this one has {n_outputs}; set "
            "warm_start=False."
        )
    return coef


def _integer_seed(random_state):
    """One seed for all fits."""
    if isinstance(random_state, Integral):
        return random_state
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _packed_once(estimator, X, targets, weights, seed):
    """Rows that any target is known of, packed; and which they are, None for all. X itself where it is read again."""
    reads_again = estimator.sample_bits is None or estimator.early_stopping or estimator.resample is not None
    if isinstance(X, PackedMatrix) or reads_again:
        return X, None
    counts = ~np.isnan(targets).all(axis=1)
    if weights is not None:
        counts &= weights > 0
    rows = None if counts.all() else np.flatnonzero(counts)
    packed = training_rows(estimator, X, rows, estimator.sample_bits, draw_seed(check_random_state(seed)))
    return matrix_of(packed), rows


def _joined(models, groups):
    """Coefficients of all targets, and how the fits went: of `n_iter_` and `solver_` the longest tells."""
    place = np.argsort(np.concatenate([group.outputs for group in groups]))
    coef = np.concatenate([model.coef_ for model in models])[place]
    intercept = np.concatenate([model.intercept_ for model in models])[place]
    losses = np.concatenate([np.atleast_1d(model.rounding_loss_) for model in models])[place]
    totals = [np.full(len(group.outputs), model._total_weight) for model, group in zip(models, groups, strict=True)]
    longest = max(models, key=lambda model: model.n_iter_)
    own = {name: getattr(longest, name) for name in ("n_iter_", "solver_", "sample_bits_", "sampling_")}
    own["_n_rows"], own["_total_weight"] = max(model._n_rows for model in models), np.concatenate(totals)[place]
    own["rounding_loss_"] = losses
    own["sample_nbytes_"] = max(model.sample_nbytes_ for model in models)
    own["loss_curve_"] = _summed([model.loss_curve_ for model in models])
    own["bytes_read_curve_"] = _summed([model.bytes_read_curve_ for model in models])
    if longest.early_stopping:
        share = [len(group.outputs) / len(place) for group in groups]
        scores = [k * np.array(model.validation_scores_) for k, model in zip(share, models, strict=True)]
        own["validation_scores_"] = _summed(scores)
    return coef, intercept, own


def _summed(curves):
    """Sum of curves over the epochs, each of which stays where it ended."""
    longest = max(map(len, curves))
    with np.errstate(over="ignore"):
        total = np.sum([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves], axis=0)
    return np.minimum(total, np.finfo(np.float64).max).tolist() if total.dtype.kind == "f" else total.tolist()
