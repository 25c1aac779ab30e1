"""Codes with known dither as codes of 8 bits, for requantizing, which goes from codes alone."""

from dataclasses import replace

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.dither import bytes_of
from .._storage.constant import frozen
from .._storage.outliers import Outliers
from .._storage.samples import Samples


def as_bytes(packed):
    """PackedRows with known dither as those of 8 bits whose every value is the same."""
    d = packed.shape[1]
    scheme = packed.scheme.with_bits(8)
    codes = bytes_of(packed.tiles, 0, packed.tiles.n_tiles)
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


def _places(slots, columns):
    """Where codes of 8 bits of some slots and columns are: tiles and bytes."""
    tiles, rows = np.divmod(slots, kernels.TILE_ROWS)
    groups, own = np.divmod(columns, 4)
    planes, rows = np.divmod(rows, 16)
    return tiles, kernels.LINE * (4 * groups + planes) + 4 * rows + own
