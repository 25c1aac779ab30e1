"""Codes of 3 bits with known dither, which live in 4: the lowest bit is the dither, see csrc/format/dither.h.

A column that has dither uses all 16 codes, numbers of positions in ascending order. What is rounded to are the rungs,
means of neighbouring positions. Columns that dither does not pay for have up to 8 positions.
"""

import numpy as np

from .._kernels.tiles import PARITY_RUNGS as RUNGS

N_CODES, N_LEVELS = 16, 8


def table_of(rungs, spread, plain):
    """Positions of the codes, uint8 (columns, 16), of rungs from the first one on, and the distance of the first two.

    They are `plain` where that is 0.
    """
    wide = np.zeros(plain.shape, dtype=np.int64)
    wide[:, 1] = spread
    for k in range(1, RUNGS):  # two neighbours have a rung for their mean
        wide[:, k + 1] = 2 * rungs[:, k] + spread - wide[:, k]
    return np.where((spread > 0)[:, None], wide, plain).astype(np.uint8)


def rungs_of(table, used):
    """Rungs, or levels, uint8 (columns, 15), and distances of the first two positions, uint8 (columns,)."""
    wide, has_dither = table.astype(np.int64), used > N_LEVELS
    rungs = (wide[:, :-1] + wide[:, 1:] - wide[:, :1] - wide[:, 1:2]) // 2
    levels = np.where(has_dither[:, None], rungs, wide[:, :RUNGS]).astype(np.uint8)
    return levels, np.where(has_dither, wide[:, 1], 0).astype(np.uint8)


def is_table(table, used):
    """Whether positions (columns, 16) are those of codes of which so many are used."""
    wide, has_dither = table.astype(np.int64), used > N_LEVELS
    own = wide[has_dither]
    return bool(
        (used[has_dither] == N_CODES).all()
        and (own[:, 0] == 0).all()
        and (own % 2 == 0).all()
        and (np.diff(own, axis=1) > 0).all()
    )
