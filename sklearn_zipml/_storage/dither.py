"""Codes of 2 bits with known dither, see csrc/format/dither.h: their decode table, and what it says.

The table of a column is 18 bytes: 16 positions, that of code c with dither t at 4 c + t, and its multiplier, 16 bits.
A column that dither does not pay for has one position for each code. Rungs, means of four neighbours, are whole steps.
"""

import numpy as np

N_CODES, N_DITHERS, N_POSITIONS = 4, 4, 16
RUNGS = N_POSITIONS - N_DITHERS + 1
LADDER_TABLE = 10  # bytes that a column had, see `of_ladder`
_HALF = 1 << 14  # as many odd numbers below 2**15


def multipliers(n_columns):
    """A multiplier for each column, odd uint16: no two of 2**14 columns have one, or one the negative of the other.

    Dithers of two columns are the less correlated the larger the numbers are whose ratio is that of their multipliers.
    """
    x = (np.arange(n_columns, dtype=np.int64) + 0x1A2B) % _HALF
    for shift, factor in ((7, 0x1D4D), (5, 0x2F6B), (6, 0x3A35)):
        x = (x ^ x >> shift) * factor % _HALF
    return (2 * (x ^ x >> 7) + 1).astype(np.uint16)


def table_of(positions, multiplier):
    """The decode table, uint8 (columns, 18), of positions (columns, 16)."""
    halves = np.ascontiguousarray(multiplier, dtype="<u2").view(np.uint8).reshape(-1, 2)
    return np.concatenate([positions, halves], axis=1).astype(np.uint8)


def by_code(values):
    """Positions, (columns, 16), that are values of every code, (columns, 4), whatever the dither."""
    return np.repeat(values[:, :N_CODES], N_DITHERS, axis=1)


def table_by_code(values):
    """The decode table of such positions."""
    return table_of(by_code(values), np.ones(len(values)))


def positions_of(table):
    """Position of code c of dither t at 4 c + t, uint8 (columns, 16)."""
    return table[:, :N_POSITIONS]


def multipliers_of(table):
    """Multipliers uint16 (columns,) of a decode table."""
    return np.ascontiguousarray(table[:, N_POSITIONS:]).view("<u2").reshape(-1).astype(np.uint16)


def have_dither(positions):
    """Whether columns of positions (columns, 16) have dither: the first code then stands for several."""
    return (positions[:, 1:N_DITHERS] != positions[:, :1]).any(axis=1)


def rungs_of(positions, n_dithers):
    """Means of so many neighbouring positions, above the first of them, uint8 (columns, 17 - n_dithers)."""
    windows = np.lib.stride_tricks.sliding_window_view(positions.astype(np.int64), n_dithers, axis=1)
    rungs = windows.sum(axis=2) // n_dithers
    return (rungs - rungs[:, :1]).astype(np.uint8)


def mean_positions(table):
    """Mean position of every code over the dithers, rounded, uint8 (columns, 4)."""
    return np.rint(positions_of(table).reshape(-1, N_CODES, N_DITHERS).mean(axis=2)).astype(np.uint8)


def of_ladder(table):
    """The decode table of one as files had it up to format 9, where a code was a level and a dither an offset from it.

    A column had 10 bytes: positions of the 4 codes with dither 0, offsets of the 4 dithers, and its multiplier.
    """
    positions = (table[:, :N_CODES, None] + table[:, None, N_CODES : 2 * N_CODES]).reshape(len(table), N_POSITIONS)
    return np.ascontiguousarray(np.concatenate([positions, table[:, 2 * N_CODES :]], axis=1))


def is_table(table):
    """Whether an array (columns, 18) is a decode table of columns."""
    positions = positions_of(table).astype(np.int64)
    has_dither = have_dither(positions)
    own, plain = positions[has_dither], positions[~has_dither]
    rises = positions[:, N_DITHERS:] - positions[:, :-N_DITHERS]
    return bool(
        (rises >= 0).all()
        and (rises[has_dither] % N_DITHERS == 0).all()
        and (own[:, :N_DITHERS].sum(axis=1) % N_DITHERS == 0).all()
        and (own.min(axis=1, initial=255) == 0).all()
        and (plain == by_code(plain[:, ::N_DITHERS])).all()
        and (multipliers_of(table) % 2 == 1).all()
    )
