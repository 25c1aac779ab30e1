"""A fit that fails has not happened, and begins with good parameters."""

from functools import wraps

from sklearn import get_config

from .._parameters import check_parameters
from .._underflow import underflow_is_zero


def all_or_nothing(method):
    """Decorate a method that fits: when it raises, or is interrupted, the estimator has the attributes it had before.

    What attributes refer to is not copied, so the method must not change it in place. Parameters of `partial_fit` are
    checked in every call: scikit-learn does it in the first one, but they may be set anew.
    """
    is_incremental = method.__name__ == "partial_fit"

    @wraps(method)
    @underflow_is_zero
    def guarded(estimator, *args, **kwargs):
        state = vars(estimator)
        before = state.copy()
        if is_incremental and not get_config()["skip_parameter_validation"]:
            estimator._validate_params()
        try:
            return method(estimator, *args, **kwargs)
        except BaseException:
            state.update(before)
            for name in state.keys() - before.keys():
                del state[name]
            raise

    return guarded


class CheckedParameters:
    """Mixin in front of BaseEstimator whose parameters are checked by `check_parameters`."""

    def _validate_params(self):
        check_parameters(self._parameter_constraints, self.get_params(deep=False), type(self).__name__)
