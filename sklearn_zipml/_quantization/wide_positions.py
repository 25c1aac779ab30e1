"""Packed rows as an array of numbers, read a block at a time: what is packed again out of them, with no copy of all."""

import numpy as np

from .._kernels.tiles import TILE_ROWS
from .._storage.blocks import block_rows


class WidePositions:
    """Grid positions of PackedRows, those of outliers among them, float32, which holds them exactly; in slot order.

    Parameters
    ----------
    packed : PackedRows; what was taken out of others and has not been copied yet is read where it is
    """

    dtype = np.dtype(np.float32)

    def __init__(self, packed):
        self.shape, self._samples = packed.shape, packed.samples

    def __getitem__(self, slots):
        """Those of a slice of slots that begins with a tile."""
        first, last, _ = slots.indices(self.shape[0])
        out = np.empty((last - first, self.shape[1]), dtype=self.dtype)
        at, size = 0, block_rows(self.shape[1], self.dtype) // TILE_ROWS
        for tiles, begin, end in self._samples.pieces(first // TILE_ROWS, -(-last // TILE_ROWS), size):
            block = tiles.positions(begin, end)[: len(out) - at]
            out[at : at + len(block)] = block
            at += len(block)
        return out

    def of_tiles(self, chosen):
        """Those of some tiles, an ascending array."""
        return np.concatenate([self[t * TILE_ROWS : (t + 1) * TILE_ROWS] for t in chosen.tolist()])
