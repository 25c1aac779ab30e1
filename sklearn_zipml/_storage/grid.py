"""The levels of packed columns: positions on a grid of at most 255 equal steps, and what codes stand for.

Position g of a column stands for the value offset + step * g.
"""

from dataclasses import dataclass, replace

import numpy as np

from .._kernels import encoder as encoder_kernels
from .._kernels import tiles as kernels
from .._kernels.code_tables import code_positions
from .._scheme import Scheme
from . import dither, stored_dither


@dataclass(frozen=True)
class Grid:
    """Levels of all columns.

    Attributes
    ----------
    scheme : Scheme that they were placed for
    offset, step : float64 (columns,), in units of X
    levels : uint8 (columns, n_levels), grid positions; unused ones repeat the last. With known dither rungs, which are
        means of what codes stand for, 13 of a column of 2 bits that has it, 15 of 3 bits
    used : uint16 (columns,), number of levels in use; 1 for a constant column
    dtype : block type whose arithmetic is safe for this range
    missing : float64 (columns,), what missing values are replaced by, or None where there must be none
    watched : bool (columns,), whose values beyond the levels are kept apart; or None for no column
    positions : uint8 (columns, 16), what codes with known dither stand for, from the lowest one on, 0 of columns that
        have none; or None where no column has
    multiplier : uint16 (columns,), what dithers are made with; or None, also where codes have theirs
    """

    scheme: Scheme
    offset: np.ndarray
    step: np.ndarray
    levels: np.ndarray
    used: np.ndarray
    dtype: type
    missing: np.ndarray | None = None
    watched: np.ndarray | None = None
    positions: np.ndarray | None = None
    multiplier: np.ndarray | None = None

    def watching_all(self):
        """The same for rows that it was found without: values beyond the levels of any column are kept apart."""
        return replace(self, watched=self.used > 1) if self.scheme.keeps_outliers else self

    def settled(self):
        """The same without known dither, and the room that seeds take, where no column has it."""
        if not self.scheme.has_dither or self.positions.any():
            return self
        scheme = self.scheme.undithered
        levels = np.ascontiguousarray(self.levels[:, : scheme.n_levels])
        return replace(self, scheme=scheme, levels=levels, positions=None, multiplier=None)

    def codes_of(self, column):
        """What codes of a column stand for, in units of X, and how many dithers take them in turn."""
        offset, step = self.decoded_offset[column], self.step[column]
        if self.positions is not None and self.positions[column].any():
            return offset + step * self.positions[column], self.scheme.n_dithers
        return offset + step * self.levels[column, : self.used[column]], 1

    @property
    def top(self):
        """Highest grid position of each column."""
        return np.ascontiguousarray(self.levels[np.arange(len(self.used)), self.used - 1])

    @property
    def scale(self):
        """Fixed-point grid coordinates per unit of X."""
        with np.errstate(divide="ignore"):
            return np.where(self.used > 1, encoder_kernels.GRID_FRACTION / self.step, 0.0)

    @property
    def values(self):
        """The levels of every column in units of X, a list of float64 arrays: with known dither those of all rows."""
        if self.scheme.has_dither:
            columns = zip(self.decoded_offset, self.step, self.dither[2], strict=True)
            return [offset + step * np.unique(positions) for offset, step, positions in columns]
        columns = zip(self.offset, self.step, self.levels, self.used, strict=True)
        return [offset + step * levels[:used] for offset, step, levels, used in columns]

    @property
    def dither(self):
        """What the encoder has to know of known dither, or None."""
        if not self.scheme.has_dither:
            return None
        table = self.decode_table[: len(self.levels)]
        return self.first_rung, self.multiplier, dither.positions_of(table) if self.scheme.is_dithered else table

    @property
    def decoded_offset(self):
        """What position 0 of a code stands for: with known dither it is below the first rung."""
        return self.offset if self.positions is None else self.offset - self.first_rung * self.step

    @property
    def first_rung(self):
        """Position of the first rung, the mean of as many as there are dithers, uint8 (columns,); 0 without dither."""
        n_dithers = self.scheme.n_dithers
        return (self.positions[:, :n_dithers].sum(axis=1, dtype=np.int64) // n_dithers).astype(np.uint8)

    @property
    def has_dither(self):
        """Whether each column has it, bool (columns,)."""
        return self.positions.any(axis=1) if self.scheme.has_dither else np.zeros(len(self.used), dtype=bool)

    @property
    def codes_used(self):
        """Number of codes in use."""
        if self.positions is None:
            return self.used
        codes = dither.N_CODES if self.scheme.is_dithered else stored_dither.N_CODES
        return np.where(self.has_dither, codes, self.used).astype(np.uint16)

    @property
    def code_levels(self):
        """Grid position of every code, or about what it is in the mean, uint8 (columns, codes)."""
        table = self.decode_table[: len(self.levels)]
        return dither.mean_positions(table) if self.scheme.is_dithered else table

    @property
    def decode_table(self):
        """Grid position of every code, uint8 (padded columns, codes); codes of a byte are positions themselves."""
        d = len(self.levels)
        if self.scheme.is_dithered:
            positions = np.where(self.has_dither[:, None], self.positions, dither.by_code(self.levels))
            return padded_table(dither.table_of(positions, self.multiplier), self.scheme)
        table = np.zeros((kernels.padded_columns(d), self.scheme.table_codes), dtype=np.uint8)
        table[:d] = code_positions(self.levels, self.scheme.n_draws, table.shape[1])
        if self.scheme.stores_dither:
            table[:d] = np.where(self.has_dither[:, None], self.positions, table[:d])
        return table

    @property
    def stored_levels(self):
        """The levels, if a container of them has to keep them; else none."""
        return self.levels if self.scheme.stores_levels else self.levels[:, :0]


def padded_table(table, scheme):
    """A decode table (columns, codes) with what fills it up."""
    padded = np.zeros((kernels.tile_columns(len(table), scheme.format), scheme.table_codes), dtype=np.uint8)
    padded[: len(table)] = table
    if scheme.is_dithered:
        padded[len(table) :, -2] = 1  # a multiplier is odd
    return padded


def column_levels(packed):
    """Grid positions of the levels of every column of PackedRows, a list of uint8 arrays."""
    scheme = packed.scheme
    stride = scheme.stride
    if scheme.is_dithered:
        return [np.unique(row) for row in dither.positions_of(packed.table[: packed.shape[1]])]
    if scheme.width < 8:
        return [row[: stride * used : stride] for row, used in zip(packed.table, packed.used, strict=False)]
    if not scheme.stores_levels:  # every grid position is a level
        return [np.arange(used, dtype=np.uint8) * np.uint8(stride) for used in packed.used]
    return [row[:used] for row, used in zip(packed.grid_levels, packed.used, strict=True)]


def grid_of(packed):
    """The levels of PackedRows as a Grid."""
    scheme = packed.scheme
    if scheme.is_dithered:
        table = packed.table[: packed.shape[1]]
        positions = dither.positions_of(table)
        plain = positions[:, np.minimum(np.arange(dither.RUNGS), dither.N_CODES - 1) * dither.N_DITHERS]
        grid = Grid(scheme, packed.offset, packed.step, plain, packed.used, np.float64)
        return _with_rungs(grid, positions, dither.have_dither(positions), dither.multipliers_of(table))
    levels = np.zeros((packed.shape[1], scheme.n_positions), dtype=np.uint8)
    for row, own in zip(levels, column_levels(packed), strict=True):
        row[: len(own)] = own
        row[len(own) :] = own[-1]
    grid = Grid(scheme, packed.offset, packed.step, levels, packed.used, np.float64)
    if not scheme.stores_dither:
        return grid
    plain = replace(grid, levels=levels[:, : stored_dither.RUNGS])
    return _with_rungs(plain, levels, packed.used > stored_dither.N_LEVELS)


def _with_rungs(grid, positions, has_dither, multiplier=None):
    """The Grid of positions (columns, 16), in place of one of levels without dither; offsets are of the lowest."""
    rungs = dither.rungs_of(positions, grid.scheme.n_dithers)
    levels = np.where(has_dither[:, None], rungs, grid.levels)
    used = np.where(has_dither, rungs.shape[1], grid.used).astype(np.uint16)
    own = np.where(has_dither[:, None], positions, np.uint8(0))
    made = replace(grid, levels=levels, used=used, positions=own, multiplier=multiplier)
    return replace(made, offset=grid.offset + made.first_rung * grid.step)
