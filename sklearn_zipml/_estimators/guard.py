"""A fit that fails has not happened."""

from functools import wraps

from .._underflow import underflow_is_zero


def all_or_nothing(method):
    """Decorate a method that fits: when it raises, or is interrupted, the estimator has the attributes it had before.

    What attributes refer to is not copied, so the method must not change it in place.
    """

    @wraps(method)
    @underflow_is_zero
    def guarded(estimator, *args, **kwargs):
        state = vars(estimator)
        before = state.copy()
        try:
            return method(estimator, *args, **kwargs)
        except BaseException:
            state.update(before)
            for name in state.keys() - before.keys():
                del state[name]
            raise

    return guarded
