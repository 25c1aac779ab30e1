"""How many rows are the same: such rows get equal codes, and so share their rounding errors.

The collision probability of a container is that two of its rows, drawn at random, share their errors. Rounding
errors average out over as many rows as its inverse at most, which bounds what may be subtracted of their variance
(`compensation`).
"""

import numpy as np

SAMPLE_ROWS = 4096
SAMPLE_VALUES = 1 << 21


def sample_size(n_columns):
    """Rows that an estimate looks at."""
    return min(SAMPLE_ROWS, SAMPLE_VALUES // max(1, n_columns))


def of_keys(keys):
    """Estimate from the keys of rows drawn at random, which are the same of equal rows."""
    return of_counts(np.unique(keys, return_counts=True)[1])


def of_counts(counts):
    """The same from how often each row occurs: pairs of equal rows among all pairs."""
    total = float(counts.sum())
    return float((counts * (counts - 1.0)).sum() / (total * (total - 1))) if total > 1 else 0.0


def of_subset(parent, rows):
    """Coincidence of the rows of an index array, some of which may occur several times."""
    distinct = bool((rows[1:] > rows[:-1]).all())  # as the folds of a cross-validation are
    own = 0.0 if distinct else of_keys(rows)
    return own + (1 - own) * parent


def of_requantized(parent, before, after):
    """The same after independent rounding has raised the variances from `before` to `after`: only a part is shared."""
    noisy = after > 0
    return parent * float(((before[noisy] / after[noisy]) ** 2).mean()) if noisy.any() else parent


def of_sums(*errors):
    """The same of sums of independent errors, each given by its collision_probability and its variances."""
    total = sum(variances for _, variances in errors)
    noisy = total > 0
    if not noisy.any():
        return max(collision_probability for collision_probability, _ in errors)
    return min(1.0, sum(c * float(((variances[noisy] / total[noisy]) ** 2).mean()) for c, variances in errors))


def effective_rows(collision_probability, weights):
    """Number of equally weighted rows without any equal pair whose errors average out as well."""
    own = float(weights @ weights / weights.sum() ** 2)
    return 1 / (own + (1 - own) * collision_probability)
