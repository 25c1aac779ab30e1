"""Values out of codes."""

import numpy as np

from .._kernels.tiles import TILE_ROWS
from .._underflow import underflow_is_zero
from .decoded_rows import remember

AT_ONCE = 1 << 22  # values


@underflow_is_zero
def decode(packed, columns, dtype):
    """Some columns (an index array or a slice) of PackedRows, in the order of rows."""
    offset, step = packed.offset[columns], packed.step[columns]
    out = np.empty((len(packed), len(offset)), dtype=dtype)
    tiles, chunk = packed.tiles, max(1, AT_ONCE // max(1, packed.shape[1] * TILE_ROWS))
    for first in range(0, tiles.n_tiles, chunk):
        positions = tiles.positions(first, min(first + chunk, tiles.n_tiles))[:, columns]
        rows = packed.order.rows(first * TILE_ROWS, (first + chunk) * TILE_ROWS)
        out[rows] = positions * step + offset
    return out


def decode_for_others(packed, columns, dtype):
    """The same for whoever asks; packed again as if exact, they are recognised."""
    values = decode(packed, columns, dtype)
    remember(packed, columns, values)
    return values


def positions_by_row(packed):
    """Grid positions, uint8 (rows, columns), in the order of rows."""
    return packed.order.to_rows(packed.tiles.positions(0, packed.tiles.n_tiles).T).T
