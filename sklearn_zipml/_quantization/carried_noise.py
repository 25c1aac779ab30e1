"""Rounding errors that rows brought along: rows of a PackedMatrix are packed again, and theirs add to the new ones."""

import numpy as np

from .._kernels import tiles as kernels
from .._storage import dither
from .._storage.duplicates import of_sums
from .._storage.packed_rows import rows_of
from .._storage.statistics import code_noise

HIGHEST_NOISE = float(np.finfo(np.float16).max)
MOST_STEPS = 1e12  # of the new grid in one of the old grid: beyond, there is nothing but noise


class CarriedNoise:
    """Sums over rows of the variances that their codes stood for, by column and by new code.

    Parameters
    ----------
    grid : Grid, of the new codes; of those of a byte only the sums by column are wanted
    """

    def __init__(self, grid):
        self.grid, self.width, self.by_code = grid, grid.scheme.format, grid.scheme.has_noise_by_code
        d = len(grid.used)
        self.total, self.of_codes = np.zeros(d), np.zeros((d, grid.scheme.noise_codes if self.by_code else 0))
        self.shared = 0.0

    def add(self, packed, columns, rows):
        """Take rows into account.

        Parameters
        ----------
        packed : PackedMatrix, the rows as they came
        columns : int array, those that were packed again
        rows : uint8 (rows, bytes of a row), the rows as they are packed now
        """
        packed = rows_of(packed)
        if len(rows) < len(packed):  # more than were expected, which will be an error
            return
        if not len(packed) or not packed.rounding_variance[columns].any():
            return
        scale = self._scale(packed.step[columns])
        self.shared += len(packed) * float(packed.collision_probability[0])
        if not self.by_code:
            self.total += len(packed) * scale * packed.rounding_variance[columns]
            return
        now = _codes(_tiles(rows, len(columns), self.width), len(rows), len(columns), self.width)
        before = packed.order.to_rows(_codes(packed.codes, *packed.shape, packed.scheme.format).T)
        noise = code_noise(packed)
        for k, j in enumerate(columns):
            of_rows = noise[j][before[j]] * scale[k]
            self.of_codes[k] += np.bincount(now[:, k], of_rows, self.of_codes.shape[1])
            self.total[k] += of_rows.sum()

    def add_all(self, packed, of_codes):
        """The same of rows all of whose columns were packed again, of which these sums are known in squared old steps.

        packed is PackedRows, of_codes (columns, new codes).
        """
        scale = self._scale(packed.step)
        self.shared += len(packed) * float(packed.collision_probability[0])
        self.total += len(packed) * scale * packed.rounding_variance
        self.of_codes += scale[:, None] * of_codes

    def _scale(self, step):
        """Squared new steps for one of these old ones; constant columns have no steps to count in."""
        ratio = np.minimum(step / self.grid.step, MOST_STEPS)
        return np.where(self.grid.used > 1, ratio**2, 0.0)

    def joined(self, statistics, n_rows, hits):
        """Statistics of n_rows rows, parts of PackedRows, made of statistics that know of the new errors only.

        hits, (columns, codes), are the rows of each new code.
        """
        if not self.total.any():
            return statistics
        new, carried = statistics["variance"].astype(np.float64), self.total / n_rows
        noise = statistics["noise"].astype(np.float64)
        if self.by_code:
            noise = np.minimum(noise + self.of_codes / np.maximum(1, hits), HIGHEST_NOISE)
        collision_probability = of_sums((self.shared / n_rows, carried), (float(statistics["coincidence"][0]), new))
        return statistics | {
            "variance": (new + carried).astype(np.float32),
            "noise": noise.astype(np.float16),
            "coincidence": np.array([collision_probability]),
        }


def _codes(tiles, n_rows, n_columns, width):
    """The codes that tiles hold, uint8 (rows, columns), in slot order."""
    codes = np.arange(0 if width == 8 else 1 << width, dtype=np.uint8)
    if width == kernels.DITHERED:
        codes = dither.table_by_code(codes[None, : dither.N_CODES])[0]
    table = np.tile(codes, kernels.tile_columns(n_columns, width))
    return kernels.Tiles(tiles, table, n_rows, n_columns, width).positions(0, len(tiles))


def _tiles(rows, n_columns, width):
    """Packed rows, made into tiles of their own."""
    n_tiles = -(-len(rows) // kernels.TILE_ROWS)
    padded = np.zeros((n_tiles * kernels.TILE_ROWS, rows.shape[1]), dtype=np.uint8)
    padded[: len(rows)] = rows
    tiles = padded.reshape(n_tiles, -1)
    kernels.rows_to_tiles(tiles, n_columns, width)
    return tiles
