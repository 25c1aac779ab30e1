"""Mean, deviation and rounding variance of packed columns: of all rows, of some, or weighted.

Everything is in grid steps. The rounding variance D_j is the mean squared error of the stored values, for the rows
that were encoded together; for subsets and weights it is the mean of E[error² | code], which the container keeps.
"""

import numpy as np

from .._kernels import passes
from .._kernels import tiles as kernels
from .._kernels.dither import as_bytes
from .._kernels.threads import THREAD_TILES, in_threads
from .._underflow import underflow_is_zero

ERROR_UNITS = 1 << 14  # squared errors are summed in such parts of a squared step
COLUMNS_AT_ONCE = 1 << 12  # of 8 bits: what is kept of one by code takes 2 KB


def from_moments(moments, n_rows, collision_probability, table):
    """Statistics out of what the encoder gathered over n_rows rows, parts of PackedRows.

    table is uint8 (columns, codes), what the codes stand for, or about so.
    """
    n = max(1, n_rows)
    mean = (moments.sum.astype(np.float64) + moments.beyond) / n
    deviation = np.sqrt(np.maximum(0, (moments.square.astype(np.float64) + moments.beyond_square) / n - mean**2))
    variance = moments.variance / n / ERROR_UNITS
    noise = _noise_by_code(moments, variance, table[: len(mean)]) if moments.noise.size else np.zeros((len(mean), 0))
    single = {"mean": mean, "deviation": deviation, "variance": variance}
    return {name: array.astype(np.float32) for name, array in single.items()} | {
        "noise": noise.astype(np.float16),
        "coincidence": np.array([collision_probability]),
    }


def without_errors(grid):
    """The same of rows that stand on their levels; their mean and deviation are counted when they are asked for."""
    d, codes = len(grid.used), grid.scheme.noise_codes if grid.scheme.is_compensated else 0
    return {
        "variance": np.zeros(d, dtype=np.float32),
        "noise": np.zeros((d, codes), dtype=np.float16),
        "coincidence": np.zeros(1),
    }


def of_encoded(moments, counts, collision_probability, grid, tiles):
    """Statistics of rows in some tiles (an array of them) that an encoder has packed, parts of PackedRows.

    counts are the numbers of rows, and of those among them that were integers on their levels, of which moments tell
    nothing.
    """
    n_rows, n_integers = counts
    if n_integers == n_rows:
        return without_errors(grid)
    if n_integers:
        moments = counted(moments, grid, tiles, n_rows)
    return from_moments(moments, n_rows, collision_probability, grid.code_levels)


def counted(moments, grid, codes, n_rows):
    """Moments that know the errors of all rows, and positions of some: with those of all rows, which are in tiles."""
    d, scheme = len(grid.used), grid.scheme
    tiles = kernels.Tiles(codes, grid.decode_table.reshape(-1), n_rows, d, scheme.format)
    if scheme.width == 8:
        moments.sum[:], moments.square[:] = sum(in_threads(tiles.sums, tiles.n_tiles, THREAD_TILES, None))
        return moments
    hits = sum(in_threads(tiles.counts, tiles.n_tiles, THREAD_TILES, None)).astype(np.uint64)
    positions = grid.code_levels.astype(np.uint64)  # no column has dither where some are packed as integers
    moments.sum[:], moments.square[:] = (hits * positions).sum(axis=1), (hits * positions**2).sum(axis=1)
    if moments.hits.size:
        moments.tallied[:] += hits - moments.hits  # the others, which have no error
        moments.hits[:] = hits
    return moments


def _noise_by_code(moments, variance, table):
    """E[error² | code], (columns, codes): of the rows that were tallied, scaled so that all rows have their variance.

    A code that none of those has gets what evenly spread values would have between its neighbours, at distances a and
    b: (a³ + b³) / (a + b) / 6.
    """
    noise = moments.noise / np.maximum(1, moments.tallied) / ERROR_UNITS
    gaps = np.diff(table.astype(np.float64), axis=1, prepend=table[:, :1], append=table[:, -1:])
    below, above = gaps[:, :-1], gaps[:, 1:]
    even = (below**3 + above**3) / np.maximum(1, below + above) / 6
    noise = np.where((moments.tallied == 0) & (moments.hits > 0), even, noise)
    left_out = (moments.tallied != moments.hits).any(axis=1)
    total = (moments.hits * noise).sum(axis=1)
    scale = variance * moments.hits.sum(axis=1) / np.where(total > 0, total, 1)
    return np.where(left_out, scale, 1.0)[:, None] * noise


def joined(packed, n, hits, other, more, other_hits):
    """Statistics of n packed rows and `more` others, parts of PackedRows; hits: how often each code occurs."""
    total = n + more
    parts = packed.parts()
    first = {name: parts[name].astype(np.float64) for name in other}
    # rows of one part share errors with equal ones, not with rows of the other part: their draws differ
    collision_probability = ((n / total) ** 2 * first["coincidence"]) + ((more / total) ** 2 * other["coincidence"])
    mean = (n * first["mean"] + more * other["mean"]) / total
    # deviations about the common mean: sums of squares about zero would cancel
    square = [
        count * (part["deviation"].astype(np.float64) ** 2 + (part["mean"] - mean) ** 2)
        for count, part in ((n, first), (more, other))
    ]
    variance = (n * first["variance"] + more * other["variance"]) / total
    noise = (hits * first["noise"] + other_hits * other["noise"]) / np.maximum(1, hits + other_hits)
    single = {"mean": mean, "deviation": np.sqrt(sum(square) / total), "variance": variance}
    return {name: array.astype(np.float32) for name, array in single.items()} | {
        "noise": noise.astype(np.float16),
        "coincidence": collision_probability,
    }


def code_noise(packed):
    """Rounding variance that each code stands for, (columns, codes), in squared steps."""
    codes = 1 << packed.scheme.width
    d = packed.shape[1]
    if packed.noise.shape[1]:
        return packed.noise.astype(np.float64)
    return np.broadcast_to(packed.rounding_variance.astype(np.float64)[:, None], (d, codes))


def weighted(packed, weights=None):
    """Mean, deviation and rounding variance over rows with weights (slot order), float64 in grid steps."""
    if packed.scheme.width == 8:
        return _weighted_bytes(packed, weights)
    if weights is None:
        counts = sum(in_threads(packed.tiles.counts, packed.tiles.n_tiles, THREAD_TILES, None))
    else:
        counts = passes.code_weights(packed.tiles, weights)
    total = max(counts[0].sum(), np.finfo(float).tiny) if len(counts) else 1.0
    share = counts / total
    if packed.scheme.is_dithered:
        mean, square = _dithered(packed, weights, total)
    else:
        positions = packed.table[: packed.shape[1]].astype(np.float64)
        mean = (share * positions).sum(axis=1)
        square = (share * (positions - mean[:, None]) ** 2).sum(axis=1)
    mean, deviation = _with_outliers(packed, mean, square, weights, total)
    if not packed.noise.shape[1]:
        return mean, deviation, packed.rounding_variance.astype(np.float64)
    return mean, deviation, (share * code_noise(packed)).sum(axis=1)


def _dithered(packed, weights, total):
    """Mean position and mean square about it of codes with known dither, which have several positions."""

    def sums(first, last):
        tiles = as_bytes(packed.tiles, first, last)
        if weights is None:
            return tiles.sums(0, tiles.n_tiles).astype(np.float64)
        of_rows = np.ascontiguousarray(weights[first * kernels.TILE_ROWS :][: tiles.n_rows], dtype=np.float64)
        found = passes.code_weights(tiles, of_rows)
        return np.stack([found @ np.arange(256.0), found @ np.arange(256.0) ** 2])

    mean, square = sum(in_threads(sums, packed.tiles.n_tiles, THREAD_TILES, None)) / total
    return mean, np.maximum(0, square - mean**2)


def _weighted_bytes(packed, weights):
    """The same of codes of 8 bits, some columns at a time: they have 256 codes each."""
    d, positions = packed.shape[1], np.arange(256.0)
    weights = np.ones(len(packed)) if weights is None else weights
    mean, square, total = np.empty(d), np.empty(d), 1.0
    for first in range(0, d, COLUMNS_AT_ONCE):
        some = slice(first, first + COLUMNS_AT_ONCE)
        share = passes.code_weights(packed.tiles, weights, first, first + COLUMNS_AT_ONCE)
        total = max(share[0].sum(), np.finfo(float).tiny)
        share /= total
        mean[some] = (share * positions).sum(axis=1)
        square[some] = (share * (positions - mean[some, None]) ** 2).sum(axis=1)
    mean, deviation = _with_outliers(packed, mean, square, weights, total)
    return mean, deviation, packed.rounding_variance.astype(np.float64)


def _with_outliers(packed, mean, square, weights, total):
    """Mean and deviation of positions out of those of what codes stand for, and the mean square about their mean."""
    outliers = packed.tiles.outliers
    if outliers is None:
        return mean, np.sqrt(square)
    slots, columns, differences = outliers.decoded()
    shares = np.ones(len(slots)) if weights is None else np.asarray(weights, dtype=np.float64)[slots]
    about, differences = packed.outlier_bases - mean[columns], differences.astype(np.float64)
    moved = np.bincount(columns, shares * differences, len(mean)) / total
    more = np.bincount(columns, shares * differences * (2 * about + differences), len(mean)) / total
    return mean + moved, np.sqrt(np.maximum(0, square + more - moved**2))


def _of_bytes(packed):
    """Mean and deviation over all rows of 8 bits, whose codes are grid positions."""
    tiles = packed.tiles
    total, square = sum(in_threads(tiles.sums, tiles.n_tiles, THREAD_TILES, None)) / max(1, len(packed))
    return _with_outliers(packed, total, np.maximum(0, square - total**2), None, max(1, len(packed)))


@underflow_is_zero
def subset_statistics(packed):
    """Statistics of the rows that there are, parts of PackedRows, for those that were taken out of others.

    Without the noise of codes their rounding variance is that of the others, and is left out.
    """
    if packed.scheme.width == 8:
        mean, deviation = _of_bytes(packed)
        return {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}
    mean, deviation, variance = weighted(packed)
    found = {"mean": mean, "deviation": deviation} | ({"variance": variance} if packed.noise.shape[1] else {})
    return {name: array.astype(np.float32) for name, array in found.items()}
