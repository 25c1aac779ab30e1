"""Codes with known dither as codes of 8 bits: for what goes from positions alone."""

from dataclasses import replace

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.dither import bytes_of
from .._kernels.threads import THREAD_TILES
from .constant import frozen
from .outliers import Outliers
from .samples import Samples
from .tiles import aligned_tiles


def as_bytes(packed):
    """PackedRows of codes with known dither, joined or not, as those of 8 bits whose every value is the same.

    Outliers, whose codes may be any, become those of the first and the last position.
    """
    d = packed.shape[1]
    scheme = packed.scheme.with_bits(8)
    codes = position_codes(packed)
    top, outliers = packed.top.astype(np.int64), packed.samples.outliers
    if outliers is not None:  # which are beyond the last codes there are now
        slots, columns, differences = outliers.decoded()
        values = packed.outlier_bases + differences
        ends = np.clip(values, 0, top[columns])
        codes[_places(slots, columns)] = ends
        beyond = values != ends
        apart = slots[beyond], columns[beyond], (values - ends)[beyond]
        outliers = Outliers.of_entries(*apart, len(codes), d)
    table = frozen(np.zeros((kernels.padded_columns(d), 0), dtype=np.uint8))
    return replace(
        packed,
        scheme=scheme,
        samples=Samples(codes, table, packed.shape, scheme.format, outliers),
        table=table,
        used=frozen((top + 1).astype(np.uint16)),
        noise=frozen(np.zeros((d, 0), dtype=np.float16)),
        known={"mean": packed.mean, "deviation": packed.deviation, "variance": packed.rounding_variance},
        file=None,
    )


def position_codes(packed):
    """Positions of the codes of PackedRows, without outliers, as tiles of bytes."""
    if packed.scheme.is_dithered:
        return bytes_of(packed.tiles, 0, packed.tiles.n_tiles)
    (n, d), plain = packed.shape, packed.samples.tiles_of(packed.codes, len(packed))
    codes = aligned_tiles(n, d, 8)
    rows = codes.reshape(len(codes) * kernels.TILE_ROWS, -1)

    for first in range(0, len(codes), THREAD_TILES):
        positions = plain.positions(first, min(len(codes), first + THREAD_TILES))
        some = slice(first * kernels.TILE_ROWS, (first + THREAD_TILES) * kernels.TILE_ROWS)
        rows[some][: len(positions), :d] = positions
        kernels.rows_to_tiles(rows[some], d, 8)
    return codes


def _places(slots, columns):
    """Where codes of 8 bits of some slots and columns are: tiles and bytes."""
    tiles, rows = np.divmod(slots, kernels.TILE_ROWS)
    groups, own = np.divmod(columns, 4)
    planes, rows = np.divmod(rows, 16)
    return tiles, kernels.LINE * (4 * groups + planes) + 4 * rows + own
