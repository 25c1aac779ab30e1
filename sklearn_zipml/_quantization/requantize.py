"""Fewer bits out of packed codes: levels chosen among the levels there are, then unbiased rounding again."""

from dataclasses import replace
from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import Interval

from .._kernels import tiles as kernels
from .._kernels.requantize import Requantizer
from .._kernels.threads import THREAD_TILES, in_threads
from .._parameters import check_parameters
from .._seeds import Stream
from .._storage.duplicates import of_requantized
from .._storage.grid import Grid
from .._storage.outliers import Outliers, keys_of, parts_of
from .._storage.packed_rows import PackedRows
from .._storage.statistics import code_noise
from .._storage.targets import BY_ROW
from .._storage.tiles import aligned_tiles
from .._storage.undithered import as_bytes
from .._underflow import underflow_is_zero
from .levels import THREAD_COLUMNS
from .requantize_dithered import DitheredRequantizing

SAMPLE_ROWS = 8192  # whose codes place the levels


def requantize(packed, sample_bits, seed, n_jobs=None, outliers="auto", sampling="auto"):
    """See PackedMatrix.requantize; PackedRows, these if they have so many bits."""
    return requantizer(packed, sample_bits, n_jobs, outliers, sampling)(seed)


def requantizer(packed, sample_bits, n_jobs=None, outliers="auto", sampling="auto"):
    """The same as a function of the seed, for draws made again and again: levels and thresholds do not depend on it."""
    check_bits(packed, sample_bits)
    if sample_bits == packed.sample_bits:
        return lambda seed: packed
    scheme = replace(packed.scheme.narrowed(sample_bits, sampling), outliers=outliers)
    if scheme.has_dither and len(packed):
        made = DitheredRequantizing(packed, scheme, _sample_tiles(len(packed)), n_jobs)
        if made.grid.scheme.has_dither:
            return made
    if packed.scheme.knows_dithers:
        packed = as_bytes(packed)
    return Requantizing(packed, scheme.undithered, n_jobs)


class Requantizing:
    """What makes the codes of PackedRows fewer: levels, a subset of those there are, and thresholds; the grid stays.

    Parameters
    ----------
    packed : PackedRows
    scheme : Scheme, that of the packed rows with fewer bits, and what is done with outliers
    n_jobs : int or None
    """

    @underflow_is_zero
    def __init__(self, packed, scheme, n_jobs):
        self.packed, self.scheme, self.n_jobs = packed, scheme, n_jobs
        # of rows that were taken this may have to be counted, which copies them
        self.rounding_variance, self.outliers = packed.rounding_variance, packed.samples.outliers
        selection, chosen = packed.samples.selection, _sample_tiles(len(packed))
        # rows that were taken, and of which nothing has been asked, are requantized as they are taken
        if selection is None:
            source, slots, sample = packed.tiles, None, packed.tiles
        else:
            source, slots = selection.source, selection.slots
            sample = selection.of_tiles(chosen)
            sample, chosen = packed.samples.tiles_of(sample.copy(n_jobs), len(sample.slots)), np.arange(len(chosen))
        old = packed.used, packed.grid_levels, code_noise(packed)
        # more outliers can be told from codes that are positions, in columns that have none
        self.is_watching = scheme.keeps_outliers and packed.scheme.width == 8 and scheme.width < 8
        watched = None
        if self.is_watching:
            watched = np.ones(packed.shape[1], dtype=bool)
            watched[[] if self.outliers is None else self.outliers.decoded()[1]] = False
        self.kernel = Requantizer(source, slots, sample, chosen, old, scheme, watched)
        in_threads(self.kernel.plan, packed.shape[1], THREAD_COLUMNS, n_jobs)

    @underflow_is_zero
    def __call__(self, seed):
        """The rows, rounded by the draws of a seed."""
        packed, key, d = self.packed, Stream.ROUNDING.of(seed), self.packed.shape[1]
        codes = aligned_tiles(*packed.shape, self.scheme.width)

        def work(first, last):
            return self.kernel.requantize(codes, key, first, last)

        parts = in_threads(work, len(codes), THREAD_TILES, self.n_jobs)
        sums = sum(sums.astype(np.float64) for sums, _ in parts)
        found = zip(*(found for _, found in parts), strict=True)
        slots, columns, positions = (np.concatenate(arrays) for arrays in found)
        # positions begin anew at the first level
        first, last = (ends[:d].astype(np.int64) for ends in (self.kernel.first, self.kernel.last))
        first, last = (first, last) if self.is_watching else (np.zeros_like(first), last)
        differences = positions - np.where(positions < first[columns], first[columns], last[columns])
        sums[2] -= np.bincount(columns, differences.astype(np.float64) ** 2, d)
        # slots without a row went from position 0 to the first level
        sums -= (len(codes) * kernels.TILE_ROWS - len(packed)) * np.stack([first, first**2, first**2])
        outliers = self._outliers((slots, columns, differences), len(codes))
        statistics = self._statistics(sums, outliers, first)
        levels = (self.kernel.levels - first[:, None]).astype(np.uint8), self.kernel.used
        grid = Grid(self.scheme, packed.offset + first * packed.step, packed.step, *levels, np.float64)
        along = {name: getattr(packed, name) for name in (*BY_ROW, "feature_names")}
        along |= {"row_list": packed.order.listed}
        along |= parts_of(outliers)
        return PackedRows.of_grid(grid, codes, statistics, packed.shape, packed.dtype, packed.order.parts, **along)

    def _outliers(self, found, n_tiles):
        """Those that were found now, and those that the rows had: of these columns first and last level stay."""
        d = self.packed.shape[1]
        keys = [keys_of(*found, d)]
        if self.outliers is not None:
            keys.append(keys_of(*self.outliers.decoded(), d))
        return Outliers.of_keys(np.concatenate(keys), n_tiles, d)

    def _statistics(self, sums, outliers, first):
        """Parts of PackedRows: the noise drawn now and the noise that the codes carried add up.

        sums are of positions as they were, of which `first` become 0.
        """
        n = max(1, len(self.packed))
        mean = sums[0] / n - first
        square = sums[1] / n - 2 * first * mean - first**2  # of positions less first
        if outliers is not None:
            top = self.kernel.levels[np.arange(len(first)), self.kernel.used - 1] - first
            beyond = outliers.moments(top)
            mean, square = mean + beyond[0] / n, square + beyond[1] / n
        deviation = np.sqrt(np.maximum(0, square - mean**2))
        variance = np.zeros(len(mean))
        if self.scheme.is_compensated:
            variance = sums[2] / n + self.rounding_variance
        single = {"mean": mean, "deviation": deviation, "variance": variance}
        single = {name: array.astype(np.float32) for name, array in single.items()}
        before = float(self.packed.collision_probability[0])
        shared = of_requantized(before, self.rounding_variance, single["variance"])
        return single | {"noise": self.kernel.noise.astype(np.float16), "coincidence": np.array([shared])}


def check_bits(packed, sample_bits):
    """Raise the error of a width that packed rows cannot be requantized to."""
    bits = {"sample_bits": [Interval(Integral, 1, None, closed="left")]}
    check_parameters(bits, {"sample_bits": sample_bits}, "PackedMatrix.requantize")
    if sample_bits > packed.sample_bits:
        raise ValueError(
            f"sample_bits={sample_bits} is more than the {packed.sample_bits} bits the PackedMatrix stores: "
            f"quantize the original data with DoubleSamplingQuantizer(sample_bits={sample_bits}), or ask for at most "
            f"{packed.sample_bits} bits."
        )
    if (1 << sample_bits) <= packed.scheme.n_draws:
        raise ValueError(f"sample_bits={sample_bits} is too small for sampling={packed.scheme.sampling!r}.")
    n_draws = packed.scheme.n_draws
    if n_draws > 2 and sample_bits < packed.sample_bits:
        raise ValueError(
            f"A PackedMatrix of n_draws={n_draws} cannot be requantized from {packed.sample_bits} to {sample_bits} "
            f"bits: at most two draws can. Quantize the original data to {sample_bits} bits, or with n_draws=2."
        )


def _sample_tiles(n_rows):
    """All tiles, or whole ones evenly spread among many."""
    if n_rows > SAMPLE_ROWS:
        return np.linspace(0, n_rows // kernels.TILE_ROWS - 1, SAMPLE_ROWS // kernels.TILE_ROWS).astype(np.int64)
    return np.arange(-(-n_rows // kernels.TILE_ROWS))
