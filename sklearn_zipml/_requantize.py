"""Fewer bits out of packed codes: levels chosen among the levels there are, then unbiased rounding again."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from . import _kernels
from ._coincidence import of_narrowed
from ._encoder import assemble, decode_table, keeps_noise
from ._levels import Grid, n_levels
from ._statistics import code_noise, column_levels, pair_levels
from ._threads import THREAD_TILES, in_threads
from ._tiles import aligned_tiles, code_width

SAMPLE_ROWS = 8192  # whose codes place the levels


def requantize(packed, sample_bits, seed, n_jobs=None):
    """See PackedMatrix.requantize."""
    check_narrower(packed, sample_bits)
    if sample_bits == packed.sample_bits:
        return packed
    n, d = packed.shape
    width = code_width(sample_bits)
    draws = _draws(packed)
    weights = _sample_weights(packed)
    grid = _narrower_grid(packed, sample_bits, *draws, weights)
    steps = [_rounding(grid, positions, packed.sampling) for positions in draws[: 1 + (packed.sampling == "double")]]
    tables = _tables(packed, grid, sample_bits, steps)
    codes = aligned_tiles(n, d, width)
    # rows that were taken, and of which nothing has been asked, are narrowed as they are taken
    before, selection = packed._variance, packed._selection
    source, slots = (packed._tiles, None) if selection is None else (selection.source, selection.slots)

    def narrow(first, last):
        return _kernels.narrow_tiles(source, codes, width, _kernels.mix(seed, 2), *tables, first, last, slots)

    sums = sum(in_threads(narrow, len(codes), THREAD_TILES, n_jobs))
    statistics = _statistics(packed, grid, sample_bits, sums, draws, steps, weights)
    shared = of_narrowed(float(packed._coincidence[0]), before, statistics["variance"])
    statistics["coincidence"] = np.array([shared])
    kind = (sample_bits, packed.sampling, packed.levels)
    along = {"target": packed.target, "feature_names": packed.feature_names, "row_list": packed._order.listed}
    return assemble(grid, codes, statistics, packed.shape, packed.dtype, *kind, packed._order.parts, **along)


def check_narrower(packed, sample_bits):
    """Raise the error of a width that the container cannot be narrowed to."""
    if sample_bits > packed.sample_bits:
        raise ValueError(
            f"sample_bits={sample_bits} is more than the {packed.sample_bits} bits the PackedMatrix stores: "
            f"quantize the original data with DoubleSamplingQuantizer(sample_bits={sample_bits}), or ask for at most "
            f"{packed.sample_bits} bits."
        )
    if (1 << sample_bits) <= packed.n_draws:
        raise ValueError(f"sample_bits={sample_bits} is too small for sampling={packed.sampling!r}.")
    if packed.n_draws > 2 and sample_bits < packed.sample_bits:
        raise ValueError(
            f"A PackedMatrix of n_draws={packed.n_draws} cannot be narrowed from {packed.sample_bits} to {sample_bits} "
            f"bits: at most two draws can. Quantize the original data to {sample_bits} bits, or with n_draws=2."
        )


def _draws(packed):
    """Grid positions of both draws of every code."""
    if packed.sampling == "double":
        lower, upper = pair_levels(packed)
    elif packed._width == 8:
        lower = upper = np.tile(np.arange(256, dtype=np.uint8), (packed.shape[1], 1))
    else:
        lower = upper = packed._table[: packed.shape[1]]
    return np.ascontiguousarray(lower), np.ascontiguousarray(upper)


def _sample_weights(packed):
    """How many rows have each code, float64 (columns, codes), of all rows or of tiles evenly spread among many."""
    rows, selection = len(packed), packed._selection
    if rows <= SAMPLE_ROWS:
        return packed._tiles.counts()
    chosen = np.linspace(0, rows // _kernels.TILE_ROWS - 1, SAMPLE_ROWS // _kernels.TILE_ROWS).astype(int)
    codes = packed._codes[chosen] if selection is None else selection.of_tiles(chosen).copy()
    return packed._tiles_of(codes, SAMPLE_ROWS).counts()


def _narrower_grid(packed, sample_bits, lower, upper, weights):
    """Levels for fewer bits, a subset of the levels there are; offset and step stay."""
    count, candidates = n_levels(sample_bits, packed.n_draws), column_levels(packed)
    if packed.levels == "uniform":
        chosen = [np.rint(np.linspace(0, len(own) - 1, min(count, len(own)))).astype(int) for own in candidates]
        candidates = [own[some] for own, some in zip(candidates, chosen, strict=True)]
    candidates = [np.ascontiguousarray(own) for own in candidates]
    levels, used = _kernels.optimal_level_sets(candidates, _moments_below(weights, lower, upper), count)
    return Grid(packed._offset, packed._step, levels, used, np.float64)


def _moments_below(weights, lower, upper):
    """Count, sum and sum of squares of the draws below each grid position, (3, columns, 256)."""
    d = len(weights)
    start = np.arange(d)[:, None] * 256
    histogram = np.zeros(d * 256)
    for positions in (lower, upper):
        histogram += np.bincount((start + positions).ravel(), (weights / 2).ravel(), minlength=d * 256)
    moments = np.zeros((3, d, 256))
    for power, sums in enumerate(moments):
        np.cumsum((histogram.reshape(d, 256) * np.arange(256.0) ** power)[:, :-1], axis=1, out=sums[:, 1:])
    return moments


@dataclass(frozen=True)
class _Rounding:
    """What one draw does to every code, arrays (columns, codes).

    Attributes
    ----------
    index, position : the level below it
    gap : steps to the next level, 0 at the last
    odds : of going up, in 1/65536
    """

    index: np.ndarray
    position: np.ndarray
    gap: np.ndarray
    odds: np.ndarray


def _rounding(grid, positions, sampling):
    """How codes at these grid positions are rounded to the levels of a grid."""
    d, count = grid.levels.shape
    marks = np.zeros((d, 256), dtype=np.uint8)
    np.put_along_axis(marks, grid.levels.astype(np.intp), 1, axis=1)
    below = np.cumsum(marks, axis=1, dtype=np.uint8) - 1
    index = np.take_along_axis(below, positions.astype(np.intp), axis=1).astype(np.intp)
    position = np.take_along_axis(grid.levels, index, axis=1).astype(np.int64)
    gap = np.take_along_axis(grid.levels, np.minimum(index + 1, count - 1), axis=1) - position
    above = positions - position
    if sampling == "nearest":
        up = (2 * above >= gap) & (gap > 0)
        index, position = index + up, position + up * gap
        return _Rounding(index, position, np.zeros_like(gap), np.zeros_like(gap))
    odds = (131072 * above + gap) // np.maximum(2 * gap, 1)
    return _Rounding(index, position, gap, odds)


def _tables(packed, grid, sample_bits, steps):
    """Tables of zml_narrowing: base, rise, rise2, odds, odds2, before, after, far."""
    d, codes = steps[0].index.shape
    padded, wide, pairs = _kernels.padded_columns(d), code_width(sample_bits) == 8, len(steps) == 2

    def table(values):
        out = np.zeros((padded, 256), dtype=np.uint8)
        out[:d, :codes] = values
        return out

    def odds(step):
        return np.ascontiguousarray(np.stack([table(step.odds >> 8), table(step.odds & 255)], axis=1))

    # a byte holds the position, for a pair of draws the mean of theirs; levels of pairs are an even number of steps
    base = sum(step.position if wide else step.index for step in steps) // (len(steps) if wide else 1)
    rises = [table(step.gap // len(steps) if wide else step.gap > 0) for step in steps]
    before = packed._table[:d] if packed._width < 8 else np.arange(256)[None]
    after = None if wide else _codes_to_positions(packed, grid, sample_bits)
    far = np.zeros(padded, dtype=np.uint8)
    far[:d] = np.max([step.gap.max(axis=1) for step in steps], axis=0) > 127
    return (
        *(table(base), rises[0], rises[1] if pairs else None),
        *(odds(steps[0]), odds(steps[1]) if pairs else None),
        *(table(before), after, far),
    )


def _codes_to_positions(packed, grid, sample_bits):
    """The decode table, for 16 codes of every column."""
    table = decode_table(grid, sample_bits, packed.sampling)
    out = np.zeros((len(table), 16), dtype=np.uint8)
    out[:, : table.shape[1]] = table
    return out


def _statistics(packed, grid, sample_bits, sums, draws, steps, weights):
    """Parts of a PackedMatrix: the noise drawn now and the noise that the codes carried add up."""
    n = max(1, len(packed))
    mean = sums[0] / n
    deviation = np.sqrt(np.maximum(0, sums[1] / n - mean**2))
    variance, noise = np.zeros(len(mean)), np.zeros((len(mean), 0))
    if packed.sampling in ("compensated", "double"):
        variance = sums[2] / n + packed._variance
    if keeps_noise(packed.sampling, code_width(sample_bits)):
        noise = _noise_of_codes(packed, grid, sample_bits, draws, steps, weights)
    single = {"mean": mean, "deviation": deviation, "variance": variance}
    return {name: array.astype(np.float32) for name, array in single.items()} | {"noise": noise.astype(np.float16)}


def _noise_of_codes(packed, grid, sample_bits, draws, steps, weights):
    """E[error² | code] of the narrowed codes, (columns, codes), expected over draws from the weights of old codes.

    Codes too rare for the weights count a little, so that every new code has a value.
    """
    d, count = len(weights), 1 << code_width(sample_bits)
    weights = weights + 1e-3
    old = sum(positions.astype(np.float64) for positions in draws[: len(steps)]) / len(steps)
    carried = code_noise(packed)
    hits, noise = np.zeros(d * count), np.zeros(d * count)
    column = np.arange(d)[:, None] * count
    for ups in product((0, 1), repeat=len(steps)):
        chance, code, new = weights, column, 0.0
        for step, up in zip(steps, ups, strict=True):
            odds = step.odds / 65536
            chance = chance * (odds if up else 1 - odds)
            code, new = code + step.index + up * (step.gap > 0), new + (step.position + up * step.gap) / len(steps)
        inside = code - column < count  # beyond the last level the chance is nothing
        where = np.where(inside, code, column).ravel()
        chance = np.where(inside, chance, 0.0)
        hits += np.bincount(where, chance.ravel(), minlength=d * count)
        noise += np.bincount(where, (chance * ((new - old) ** 2 + carried)).ravel(), minlength=d * count)
    return (noise / np.maximum(hits, 1e-300)).reshape(d, count)
