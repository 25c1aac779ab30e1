"""Codes with known dither, see csrc/format/dither.h: their decode table, and what it says.

The table of a column is 10 bytes: the positions of its 4 codes with dither 0, the offsets of its 4 dithers, a multiple
of `spread` each, and its multiplier, 16 bits. Columns that dither does not pay for have no offsets.
"""

import numpy as np

from .._kernels.tiles import RUNGS

N_CODES, N_DITHERS = 4, 4
_HALF = 1 << 14  # as many odd numbers below 2**15


def multipliers(n_columns):
    """A multiplier for each column, odd uint16: no two of 2**14 columns have one, or one the negative of the other.

    Dithers of two columns are the less correlated the larger the numbers are whose ratio is that of their multipliers.
    """
    x = (np.arange(n_columns, dtype=np.int64) + 0x1A2B) % _HALF
    for shift, factor in ((7, 0x1D4D), (5, 0x2F6B), (6, 0x3A35)):
        x = (x ^ x >> shift) * factor % _HALF
    return (2 * (x ^ x >> 7) + 1).astype(np.uint16)


def table_of(rungs, spread, multiplier):
    """The decode table, uint8 (columns, 10), of rungs (columns, 13), or levels where the spread is 0."""
    dithered = spread > 0
    levels = np.where(dithered[:, None], rungs[:, ::N_DITHERS], rungs[:, :N_CODES])
    offsets = spread[:, None].astype(np.uint8) * np.arange(N_DITHERS, dtype=np.uint8)
    halves = np.ascontiguousarray(multiplier, dtype="<u2").view(np.uint8).reshape(-1, 2)
    return np.concatenate([levels, offsets, halves], axis=1).astype(np.uint8)


def table_by_code(values):
    """The decode table of values of every code, uint8 (columns, 4), whatever the dither."""
    fixed = np.array([0, 0, 0, 0, 1, 0], dtype=np.uint8)
    return np.concatenate([values, np.broadcast_to(fixed, (len(values), len(fixed)))], axis=1)


def parts_of_table(table):
    """Levels uint8 (columns, 4), spread uint8 (columns,) and multipliers uint16 (columns,) of a decode table."""
    halves = np.ascontiguousarray(table[:, 8:10]).view("<u2").reshape(-1)
    return table[:, :N_CODES], table[:, N_CODES + 1], halves.astype(np.uint16)


def rungs_of(table):
    """Rungs, or levels, uint8 (columns, 13), of a decode table; unused ones repeat the last."""
    levels, spread, _ = parts_of_table(table)
    wide = levels.astype(np.int64)
    steps = np.diff(wide, axis=1)[:, :, None] * np.arange(N_DITHERS) // N_DITHERS
    rungs = np.concatenate([(wide[:, :-1, None] + steps).reshape(len(table), RUNGS - 1), wide[:, -1:]], axis=1)
    plain = np.concatenate([wide, np.repeat(wide[:, -1:], RUNGS - N_CODES, axis=1)], axis=1)
    return np.where(spread[:, None] > 0, rungs, plain).astype(np.uint8)


def positions_of(table):
    """Positions of code c of dither t at 4 t + c, uint8 (columns, 16)."""
    return (table[:, N_CODES : 2 * N_CODES, None] + table[:, None, :N_CODES]).reshape(len(table), -1)


def mean_positions(table):
    """Mean position of every code over the dithers, rounded, uint8 (columns, 4)."""
    return table[:, :N_CODES] + (table[:, N_CODES + 1] // 2 * 3)[:, None]


def is_table(table):
    """Whether an array (columns, 10) is a decode table of columns."""
    levels, spread, multiplier = parts_of_table(table)
    gaps, wide = np.diff(levels.astype(np.int64), axis=1), spread.astype(np.int64)
    offsets = (table[:, N_CODES : 2 * N_CODES] == wide[:, None] * np.arange(N_DITHERS)).all()
    highest = (levels[:, -1] + wide * (N_DITHERS - 1)).max(initial=0)
    rungs = ((gaps % N_DITHERS == 0) | (spread == 0)[:, None]).all()
    return bool(
        offsets
        and rungs
        and highest <= 255
        and (gaps >= 0).all()
        and (spread % 2 == 0).all()
        and (multiplier % 2 == 1).all()
        and (levels[:, 0] == 0)[spread > 0].all()
    )
