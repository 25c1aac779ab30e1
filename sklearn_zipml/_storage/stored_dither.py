"""Codes of 3 bits with known dither, which live in 4: the lowest bit is the dither, see csrc/format/dither.h.

A column that has dither uses all 16 codes, numbers of positions in ascending order. What is rounded to are the rungs,
means of neighbouring positions. Columns that dither does not pay for have up to 8 positions.
"""

import numpy as np

N_CODES, N_LEVELS = 16, 8
RUNGS = N_CODES - 1


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
