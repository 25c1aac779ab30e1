"""What pickles of estimators hold, so that later versions read them.

An older state is completed when it is loaded: a parameter that came later gets its default, which has to mean what was
done before there was the parameter; a fitted attribute that came later needs a class attribute of its name as default.
What these two cannot express raises FORMAT and is translated in `__setstate__`. Pickles refer to public classes by
their public place (see `__init__`), so files may be renamed; helper classes that fitted estimators keep may not.
``tests/data`` holds pickles of every release, which the tests load.
"""

import inspect

from ._version import __version__

FORMAT = 1
_KEY = "_sklearn_zipml"  # format and version


class StableState:
    """Mixin that marks the state of an estimator with its format, and completes one that an older version wrote."""

    def __getstate__(self):
        return {**super().__getstate__(), _KEY: (FORMAT, __version__)}

    def __setstate__(self, state):
        state = dict(state)
        written, version = state.pop(_KEY, (FORMAT, None))
        check_format(type(self).__name__, written, FORMAT, version)
        for name, parameter in inspect.signature(type(self)).parameters.items():
            state.setdefault(name, parameter.default)
        super().__setstate__(state)


def check_format(name, written, known, version=None):
    """Refuse what a later version wrote.

    Parameters
    ----------
    name : str, of the class
    written, known : int, formats of the state and of this version
    version : str or None, that wrote it

    Raises
    ------
    ValueError
    """
    if not isinstance(written, int):
        raise ValueError(f"This is not the state of a {name}: it is of no format.")
    if written > known:
        by = "" if version is None else f" by sklearn_zipml {version}"
        raise ValueError(
            f"This {name} was pickled in format {written}{by}; this sklearn_zipml reads up to {known}. Upgrade it."
        )
