"""Decode tables as the kernels take them."""

import numpy as np


def interleaved(table, group_columns, size):
    """A decode table of columns with known dither, uint8 (padded columns, size), as that of groups of columns."""
    groups = np.asarray(table).reshape(-1, group_columns, size)
    parts = [groups[:, :, first:last].reshape(len(groups), -1) for first, last in ((0, 16), (16, 18))]
    return np.concatenate(parts, axis=1).reshape(-1)
