"""Fewer bits out of packed codes: levels chosen among the levels there are, then unbiased rounding again."""

import numpy as np

from . import _kernels, _loops
from ._coincidence import of_narrowed
from ._encoder import assemble, keeps_noise
from ._levels import Grid, n_levels
from ._packed_matrix import aligned_tiles, code_width
from ._statistics import code_noise, column_levels, from_moments, pair_levels


def requantize(packed, sample_bits, seed):
    """See PackedMatrix.requantize."""
    check_narrower(packed, sample_bits)
    if sample_bits == packed.sample_bits:
        return packed
    n, d = packed.shape
    width = code_width(sample_bits)
    lower, upper = _draws(packed)
    grid = _narrower_grid(packed, sample_bits, lower, upper)
    encoder = _kernels.Encoder(
        grid.levels, grid.used, grid.top, grid.offset, grid.scale, packed.sampling, width, _kernels.mix(seed, 2)
    )
    codes = aligned_tiles(n, d, width)
    moments = _kernels.Moments(d, width, keeps_noise(packed.sampling, width))
    prior = code_noise(packed)
    encoder.narrow(packed._tiles, lower, upper, np.rint(prior * 65536).astype(np.uint32), codes, moments)
    statistics = from_moments(moments, n, 0.0)
    shared = of_narrowed(float(packed._coincidence[0]), packed._variance, statistics["variance"])
    statistics["coincidence"] = np.array([shared])
    kind = (sample_bits, packed.sampling, packed.levels)
    along = {"target": packed.target, "feature_names": packed.feature_names}
    return assemble(grid, codes, statistics, packed.shape, packed.dtype, *kind, packed._order.parts, **along)


def check_narrower(packed, sample_bits):
    """Raise the error of a width that the container cannot be narrowed to."""
    if sample_bits > packed.sample_bits:
        raise ValueError(
            f"sample_bits={sample_bits} is more than the {packed.sample_bits} bits the PackedMatrix stores: "
            f"quantize the original data with DoubleSamplingQuantizer(sample_bits={sample_bits}), or ask for at most "
            f"{packed.sample_bits} bits."
        )
    if sample_bits < (2 if packed.sampling == "double" else 1):
        raise ValueError(f"sample_bits={sample_bits} is too small for sampling={packed.sampling!r}.")


def _draws(packed):
    """Grid positions of both draws of every code."""
    if packed.sampling == "double":
        lower, upper = pair_levels(packed)
    elif packed._tiles.width == 8:
        lower = upper = np.tile(np.arange(256, dtype=np.uint8), (packed.shape[1], 1))
    else:
        lower = upper = packed._table[: packed.shape[1]]
    return np.ascontiguousarray(lower), np.ascontiguousarray(upper)


def _narrower_grid(packed, sample_bits, lower, upper):
    """Levels for fewer bits, a subset of the levels there are; offset and step stay."""
    count = n_levels(sample_bits, packed.sampling)
    weights = _loops.code_weights(packed._tiles, np.ones(len(packed)))
    levels = np.zeros((packed.shape[1], count), dtype=np.uint8)
    used = np.ones(packed.shape[1], dtype=np.uint16)
    for j, positions in enumerate(column_levels(packed)):
        if packed.levels == "uniform" and len(positions) > count:
            chosen = np.rint(np.linspace(0, len(positions) - 1, count)).astype(int)
        else:
            chosen = _kernels.optimal_levels(*_cumulative(positions, weights[j], lower[j], upper[j]), count)
        used[j] = len(chosen)
        levels[j] = positions[chosen[np.minimum(np.arange(count), len(chosen) - 1)]]
    return Grid(packed._offset, packed._step, levels, used, np.float64)


def _cumulative(positions, weights, lower, upper):
    """Positions, and moments of the values below each of them."""
    histogram = np.zeros(256)
    np.add.at(histogram, lower, weights / 2)
    np.add.at(histogram, upper, weights / 2)
    grid = np.arange(256.0)
    sums = [np.concatenate(([0.0], np.cumsum(histogram * grid**p)))[positions] for p in (0, 1, 2)]
    return positions.astype(np.float64), *sums
