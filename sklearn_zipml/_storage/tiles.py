"""The memory of packed tiles."""

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads


def aligned_tiles(n_rows, n_columns, width):
    """Zeroed uint8 tiles, (tiles, bytes of a tile), that start on a 64-byte line."""
    n_tiles, size = -(-n_rows // kernels.TILE_ROWS), kernels.tile_bytes(n_columns, width)
    return kernels.aligned_zeros(n_tiles * size).reshape(n_tiles, size)


def turn_rows(tiles, n_columns, width, n_jobs):
    """Make tiles, in place, of the packed rows that an array (tiles, bytes of a tile) holds."""

    def turn(first, last):
        kernels.rows_to_tiles(tiles[first:last], n_columns, width)

    in_threads(turn, len(tiles), THREAD_TILES, n_jobs)
