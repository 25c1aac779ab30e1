"""The levels of packed columns: positions on a grid of at most 255 equal steps, and what codes stand for.

Position g of a column stands for the value offset + step * g.
"""

from dataclasses import dataclass, replace

import numpy as np

from .._kernels import encoder as encoder_kernels
from .._kernels import tiles as kernels
from .._scheme import Scheme


@dataclass(frozen=True)
class Grid:
    """Levels of all columns.

    Attributes
    ----------
    scheme : Scheme that they were placed for
    offset, step : float64 (columns,), in units of X
    levels : uint8 (columns, n_levels), grid positions; unused ones repeat the last
    used : uint16 (columns,), number of levels in use; 1 for a constant column
    dtype : block type whose arithmetic is safe for this range
    missing : float64 (columns,), what missing values are replaced by, or None where there must be none
    watched : bool (columns,), whose values beyond the levels are kept apart; or None for no column
    """

    scheme: Scheme
    offset: np.ndarray
    step: np.ndarray
    levels: np.ndarray
    used: np.ndarray
    dtype: type
    missing: np.ndarray | None = None
    watched: np.ndarray | None = None

    def watching_all(self):
        """The same for rows that it was found without: values beyond the levels of any column are kept apart."""
        return replace(self, watched=self.used > 1) if self.scheme.keeps_outliers else self

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
        """The levels of every column in units of X, a list of float64 arrays."""
        columns = zip(self.offset, self.step, self.levels, self.used, strict=True)
        return [offset + step * levels[:used] for offset, step, levels, used in columns]

    @property
    def decode_table(self):
        """Grid position of every code, uint8 (padded columns, codes); codes of a byte are positions themselves."""
        d = len(self.levels)
        table = np.zeros((kernels.padded_columns(d), self.scheme.table_codes), dtype=np.uint8)
        table[:d] = encoder_kernels.code_positions(self.levels, self.scheme.n_draws, table.shape[1])
        return table

    @property
    def stored_levels(self):
        """The levels, if a container of them has to keep them; else none."""
        return self.levels if self.scheme.stores_levels else self.levels[:, :0]


def column_levels(packed):
    """Grid positions of the levels of every column of PackedRows, a list of uint8 arrays."""
    scheme = packed.scheme
    stride = scheme.stride
    if scheme.width < 8:
        return [row[: stride * used : stride] for row, used in zip(packed.table, packed.used, strict=False)]
    if not scheme.stores_levels:  # every grid position is a level
        return [np.arange(used, dtype=np.uint8) * np.uint8(stride) for used in packed.used]
    return [row[:used] for row, used in zip(packed.grid_levels, packed.used, strict=True)]


def grid_of(packed):
    """The levels of PackedRows as a Grid."""
    scheme = packed.scheme
    levels = np.zeros((packed.shape[1], scheme.n_levels), dtype=np.uint8)
    for row, own in zip(levels, column_levels(packed), strict=True):
        row[: len(own)] = own
        row[len(own) :] = own[-1]
    return Grid(scheme, packed.offset, packed.step, levels, packed.used, np.float64)
