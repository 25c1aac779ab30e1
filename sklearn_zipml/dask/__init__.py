"""The estimators on Dask: rows are packed where they lie, and what is exchanged is small.

Needs the extra ``dask``: ``pip install "sklearn_zipml[dask]"``. Dask starts, schedules and moves everything; nothing
here opens a connection or a thread.
"""

try:
    import dask as _dask
    import distributed as _distributed
except ImportError as error:
    raise ImportError(
        'sklearn_zipml.dask needs dask and distributed: pip install "sklearn_zipml[dask]" (or dask distributed).'
    ) from error

from ._classifier import DaskZipMLLSSVC
from ._logistic import DaskZipMLLogisticRegression
from ._packed import DaskPackedMatrix
from ._regressor import DaskZipMLRegressor

__all__ = ["DaskPackedMatrix", "DaskZipMLLSSVC", "DaskZipMLLogisticRegression", "DaskZipMLRegressor"]

# Pickles and messages name the public place of a class.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name, _dask, _distributed
