"""Arrays that nobody can change."""

import numpy as np


def frozen(array):
    """A read-only view; a fresh array where there is nothing, whose strides survive pickling for joblib to hash."""
    if array.size == 0:
        array = np.frombuffer(b"", dtype=array.dtype).reshape(array.shape)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def owned(array):
    """A copy that nobody can change."""
    array = np.array(array)
    array.flags.writeable = False
    return array.view()  # who owns its memory could make it writeable again


def kept(parts, fresh=False):
    """Parts whose arrays nobody else can change: copied where somebody could, unless they are fresh."""
    out = dict(parts)
    for name, part in parts.items():
        if isinstance(part, np.ndarray) and not _is_constant(part):
            out[name] = part if fresh and part.flags.owndata else part.copy()
            out[name].flags.writeable = False  # of itself, so that no view of it can be made writeable
    return out


def _is_constant(array):
    """Whether neither an array nor what it is a view of can be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    while isinstance(array, memoryview):  # a read-only one may be of what can be written to
        array = array.obj
    try:
        return array is None or memoryview(array).readonly
    except TypeError:
        return False
