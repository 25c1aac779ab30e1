"""Input checks shared by the estimators: scikit-learn's own, without its float copy of X, and PackedMatrix as it is."""

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._packed_matrix import PackedMatrix


def check_samples(estimator, X, reset):
    """Validated X of any real dtype, or the PackedMatrix itself; NaN and infinity are found when X is read."""
    if isinstance(X, PackedMatrix):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        _require_samples(estimator, X)
        return X
    _require_numpy(estimator, X=X)
    return validate_data(estimator, X, reset=reset, dtype="numeric", ensure_all_finite=not reset)


def check_samples_and_target(estimator, X, y, reset=True, **y_params):
    """The same with a target, which a PackedMatrix may bring along; y_params as for validate_data."""
    name = type(estimator).__name__
    if y is None and isinstance(X, PackedMatrix):
        y = X.target
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None.")
    _require_numpy(estimator, X=X, y=y)
    if isinstance(X, PackedMatrix):
        check_samples(estimator, X, reset=reset)
        y = validate_data(estimator, y=y, **y_params)
        if len(y) != len(X):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[len(X), len(y)]}")
        return X, y
    return validate_data(estimator, X, y, reset=reset, dtype="numeric", ensure_all_finite=False, **y_params)


def check_weights(sample_weight, X):
    """Row weights as float64, or None if they are all the same; at least one is positive."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight: all weights are zero; at least one row must have a positive weight.")
    return weights


def check_settings(sample_bits, sampling, levels, n_draws):
    """The same checks of quantizing settings as an estimator's, for functions."""
    from .quantizer import DoubleSamplingQuantizer

    DoubleSamplingQuantizer(sample_bits, sampling=sampling, levels=levels, n_draws=n_draws)._validate_params()
    check_bits(sample_bits, sampling, n_draws)


def check_bits(sample_bits, sampling, n_draws):
    """Refuse a width that cannot hold the draws, and draws of a sampling that has one."""
    if sampling != "double" and n_draws != 2:
        raise ValueError(
            f"n_draws={n_draws} is of sampling='double', got sampling={sampling!r}, which draws once; set "
            "sampling='double', or leave n_draws=2."
        )
    if sampling == "double" and n_draws > 2 and sample_bits is not None and n_draws >= 1 << sample_bits:
        raise ValueError(
            f"sample_bits={sample_bits} cannot hold n_draws={n_draws} draws, of which 0 to {n_draws} go up: use "
            f"sample_bits={n_draws.bit_length()} or more, or n_draws={2**sample_bits - 1} or less."
        )
    if sampling == "double" and sample_bits == 1:
        raise ValueError(
            "sample_bits=1 cannot hold the two draws of sampling='double'; use sample_bits=2 or more, "
            "or sampling='compensated'."
        )


def _require_numpy(estimator, **arrays):
    """Refuse arrays that scikit-learn would leave in another library's memory."""
    if not get_config()["array_api_dispatch"]:
        return
    for name, array in arrays.items():
        if hasattr(array, "__array_namespace__") and not isinstance(array, (np.ndarray, np.generic, PackedMatrix)):
            raise TypeError(
                f"{type(estimator).__name__} computes on NumPy arrays, but array_api_dispatch=True and {name} is of "
                f"type {type(array).__module__}.{type(array).__qualname__}: pass numpy.asarray({name}), or set "
                "array_api_dispatch=False."
            )


def _require_samples(estimator, X):
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required by "
            f"{type(estimator).__name__}."
        )
