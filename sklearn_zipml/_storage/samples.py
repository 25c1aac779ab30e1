"""The codes of packed rows as tiles; those of rows that were taken out of others are copied when they are asked for."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .constant import frozen
from .tiles import aligned_tiles


class Selection:
    """Distinct rows of some tiles that keep their order, to be copied when they are asked for.

    Attributes
    ----------
    source : Tiles
    slots : int64, their slots in the source, ascending
    """

    __slots__ = ("slots", "source")

    def __init__(self, source, slots):
        self.source, self.slots = source, slots

    def copy(self, n_jobs=None):
        """The rows as tiles, uint8 (n_tiles, bytes of a tile)."""
        tiles = aligned_tiles(len(self.slots), self.source.n_columns, self.source.format)

        def fill(first, last):
            kernels.take_rows(self.source, self.slots, tiles, first, last)

        in_threads(fill, len(tiles), THREAD_TILES, n_jobs)
        return tiles

    @property
    def outliers(self):
        """The outliers among them, or None."""
        return None if self.source.outliers is None else self.source.outliers.taken(self.slots)

    def of_tiles(self, tiles):
        """The rows that some of these tiles would hold, given as an ascending array; all but the last one full."""
        slots = (tiles[:, None] * kernels.TILE_ROWS + np.arange(kernels.TILE_ROWS)).reshape(-1)
        return Selection(self.source, self.slots[slots[slots < len(self.slots)]])

    def between(self, first, last):
        """The rows of tiles first..last-1."""
        return Selection(self.source, self.slots[first * kernels.TILE_ROWS : last * kernels.TILE_ROWS])


class Samples:
    """Codes of rows, as tiles that the passes read.

    Parameters
    ----------
    codes : uint8 array (tiles, bytes of a tile), or Selection
    table : uint8 array, decode table [column][code], empty for codes of a byte
    shape : tuple (rows, columns)
    width : int, bits of a code, or kernels.DITHERED
    outliers : Outliers or None; those of a Selection are its own

    Attributes
    ----------
    selection : Selection of which nothing has been copied yet, or None
    """

    def __init__(self, codes, table, shape, width, outliers=None):
        self._table, self._shape, self._width = table, shape, width
        self.selection = codes if isinstance(codes, Selection) else None
        self._tiled = None if self.selection is not None else self._tiled_from(codes, outliers)

    def _tiled_from(self, codes, outliers):
        codes = frozen(codes)
        return codes, self.tiles_of(codes, self._shape[0], outliers)

    def _copied(self):
        if self._tiled is None:
            selection = self.selection
            if selection is not None:  # unless another thread has just been here
                self._tiled = self._tiled_from(selection.copy(), selection.outliers)
                self.selection = None  # which keeps all the rows alive that these were taken from
        return self._tiled

    @property
    def codes(self):
        """The codes, read-only uint8 (tiles, bytes of a tile)."""
        return self._copied()[0]

    @property
    def tiles(self):
        """The same for the passes."""
        return self._copied()[1]

    @property
    def outliers(self):
        """Values that no level reaches, Outliers or None."""
        selection = self.selection
        return self.tiles.outliers if selection is None else selection.outliers

    def tiles_of(self, codes, n_rows, outliers=None):
        """Codes of other rows of the same columns, for the passes."""
        return kernels.Tiles(codes, self._table.reshape(-1), n_rows, self._shape[1], self._width, outliers)

    def pieces(self, first, last, at_once):
        """Tiles first..last-1, so many at a time if the rows were taken and have not been copied yet."""
        selection = self.selection
        if selection is None:
            yield self.tiles, first, last
            return
        for start in range(first, last, at_once):
            some = selection.between(start, min(last, start + at_once))
            codes = some.copy(n_jobs=1)
            yield self.tiles_of(codes, len(some.slots), some.outliers), 0, len(codes)
