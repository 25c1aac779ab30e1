"""Rows of some tiles, in the tiles of others."""

from . import _kernels
from ._threads import THREAD_TILES, in_threads


def fill_tiles(source, slots, tiles):
    """Fill tiles with rows of others.

    Parameters
    ----------
    source : Tiles
    slots : int64, slot of the source whose row each slot of the tiles gets
    tiles : uint8 (n_tiles, bytes of a tile), zeroed
    """

    def gather(first, last):
        _kernels.gather_rows(source, slots, tiles, first, last)

    def finish(first, last):
        _kernels.rows_to_tiles(tiles[first:last], source.n_columns, source.width)

    in_threads(gather, source.n_tiles, THREAD_TILES, None)
    in_threads(finish, len(tiles), THREAD_TILES, None)
