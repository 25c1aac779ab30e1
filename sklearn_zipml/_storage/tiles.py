"""The memory of packed tiles."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads


def aligned_tiles(n_rows, n_columns, width, *, zeroed=True):
    """Tiles, uint8 (tiles, bytes of a tile), that start on a 64-byte line; zeroed, unless every byte will be written.

    Memory that the process has used before is zeroed by one thread, which costs as much as to fill it by two.
    """
    n_tiles, size = -(-n_rows // kernels.TILE_ROWS), kernels.tile_bytes(n_columns, width)
    if zeroed:
        return kernels.aligned_zeros(n_tiles * size).reshape(n_tiles, size)
    raw = np.empty(n_tiles * size + kernels.LINE, dtype=np.uint8)
    start = -raw.ctypes.data % kernels.LINE
    return raw[start : start + n_tiles * size].reshape(n_tiles, size)


def turn_rows(tiles, n_columns, width, n_jobs):
    """Make tiles, in place, of the packed rows that an array (tiles, bytes of a tile) holds."""

    def turn(first, last):
        kernels.rows_to_tiles(tiles[first:last], n_columns, width)

    in_threads(turn, len(tiles), THREAD_TILES, n_jobs)
