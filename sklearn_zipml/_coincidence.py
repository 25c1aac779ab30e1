"""How many rows are the same: equal rows get equal codes, and so share their rounding errors.

The coincidence of a container is the probability that two of its rows, drawn at random, share their errors. Rounding
errors average out over 1 / coincidence rows at most, which bounds what may be subtracted of their variance
(`_compensation`).
"""

import numpy as np

from . import _kernels

SAMPLE_ROWS = 4096
SAMPLE_VALUES = 1 << 21


def sample_size(n_columns):
    """Rows that an estimate looks at."""
    return min(SAMPLE_ROWS, SAMPLE_VALUES // max(1, n_columns))


def of_rows(sample):
    """Estimate from rows (samples, columns) of a float type drawn at random."""
    words = np.ascontiguousarray(sample).view(np.uint32)
    with np.errstate(over="ignore"):
        keys = words @ _multipliers(words.shape[1])
    return of_counts(np.unique(keys, return_counts=True)[1])


def of_counts(counts):
    """The same from how often each row occurs: pairs of equal rows among all pairs."""
    total = float(counts.sum())
    return float((counts * (counts - 1.0)).sum() / (total * (total - 1))) if total > 1 else 0.0


def of_subset(parent, rows):
    """Coincidence of the rows of an index array, some of which may occur several times."""
    distinct = bool((rows[1:] > rows[:-1]).all())  # as the folds of a cross-validation are
    own = 0.0 if distinct else of_counts(np.unique(rows, return_counts=True)[1])
    return own + (1 - own) * parent


def of_narrowed(parent, before, after):
    """The same after independent rounding has raised the variances from `before` to `after`: only a part is shared."""
    noisy = after > 0
    return parent * float(((before[noisy] / after[noisy]) ** 2).mean()) if noisy.any() else parent


def effective_rows(coincidence, weights):
    """Number of equally weighted rows without any equal pair whose errors average out as well."""
    own = float(weights @ weights / weights.sum() ** 2)
    return 1 / (own + (1 - own) * coincidence)


def _multipliers(n):
    return np.array([_kernels.mix(k, 0) | 1 for k in range(n)], dtype=np.uint64)
