"""Decode tables as the kernels take them."""

import numpy as np

GROUP_COLUMNS, DITHER_TABLE = 4, 10


def interleaved(table):
    """A decode table of columns with known dither, uint8 (padded columns, DITHER_TABLE), as that of groups of four."""
    groups = np.asarray(table).reshape(-1, GROUP_COLUMNS, DITHER_TABLE)
    parts = [groups[:, :, first:last].reshape(len(groups), -1) for first, last in ((0, 4), (4, 8), (8, 10))]
    return np.concatenate(parts, axis=1).reshape(-1)
