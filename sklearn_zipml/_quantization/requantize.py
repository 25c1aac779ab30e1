"""Fewer bits out of packed codes: levels chosen among the levels there are, then unbiased rounding again."""

from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from .._kernels import tiles as kernels
from .._kernels.requantize import Narrowing
from .._kernels.threads import THREAD_TILES, in_threads
from .._seeds import Stream
from .._storage.duplicates import of_narrowed
from .._storage.grid import Grid
from .._storage.statistics import code_noise
from .._storage.tiles import aligned_tiles
from .._underflow import underflow_is_zero
from .encoder import assemble
from .levels import THREAD_COLUMNS

SAMPLE_ROWS = 8192  # whose codes place the levels


def requantize(packed, sample_bits, seed, n_jobs=None):
    """See PackedMatrix.requantize."""
    return narrower(packed, sample_bits, n_jobs)(seed)


@underflow_is_zero
def narrower(packed, sample_bits, n_jobs=None):
    """The same as a function of the seed, for draws made again and again: levels and odds do not depend on it."""
    check_narrower(packed, sample_bits)
    if sample_bits == packed.sample_bits:
        return lambda seed: packed
    narrowing = _planned(packed, sample_bits, n_jobs)
    return lambda seed: _narrowed(packed, sample_bits, narrowing, seed, n_jobs)


@underflow_is_zero
def _narrowed(packed, sample_bits, narrowing, seed, n_jobs):
    n, d = packed.shape
    scheme = packed._scheme.with_bits(sample_bits)
    codes = aligned_tiles(n, d, scheme.width)

    def narrow(first, last):
        return narrowing.narrow(codes, Stream.ROUNDING.of(seed), first, last)

    sums = sum(in_threads(narrow, len(codes), THREAD_TILES, n_jobs))
    statistics = _statistics(packed, sums, narrowing.noise)
    shared = of_narrowed(float(packed._coincidence[0]), packed._variance, statistics["variance"])
    statistics["coincidence"] = np.array([shared])
    grid = Grid(scheme, packed._offset, packed._step, narrowing.levels, narrowing.used, np.float64)
    along = {"target": packed.target, "feature_names": packed.feature_names, "row_list": packed._order.listed}
    return assemble(grid, codes, statistics, packed.shape, packed.dtype, packed._order.parts, **along)


def check_narrower(packed, sample_bits):
    """Raise the error of a width that the container cannot be narrowed to."""
    bits = {"sample_bits": [Interval(Integral, 1, None, closed="left")]}
    validate_parameter_constraints(bits, {"sample_bits": sample_bits}, "PackedMatrix.requantize")
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


def _planned(packed, sample_bits, n_jobs):
    """Levels for fewer bits, a subset of the levels there are; offset and step stay."""
    _ = packed._variance  # of rows that were taken it may have to be counted first
    scheme, selection = packed._scheme.with_bits(sample_bits), packed._selection
    chosen = _sample_tiles(len(packed))
    # rows that were taken, and of which nothing has been asked, are narrowed as they are taken
    if selection is None:
        source, slots, sample = packed._tiles, None, packed._tiles
    else:
        source, slots = selection.source, selection.slots
        sample = selection.of_tiles(chosen)
        sample, chosen = packed._tiles_of(sample.copy(n_jobs), len(sample.slots)), np.arange(len(chosen))
    narrowing = Narrowing(
        source,
        slots,
        packed._used,
        packed._grid_levels,
        code_noise(packed),
        sample,
        chosen,
        scheme.width,
        scheme.n_levels,
        pairs=scheme.n_draws == 2,
        nearest=scheme.rounds_to_nearest,
        uniform=scheme.has_uniform_levels,
        with_noise=scheme.has_noise_by_code,
    )
    in_threads(narrowing.plan, packed.shape[1], THREAD_COLUMNS, n_jobs)
    return narrowing


def _sample_tiles(n_rows):
    """All tiles, or whole ones evenly spread among many."""
    if n_rows > SAMPLE_ROWS:
        return np.linspace(0, n_rows // kernels.TILE_ROWS - 1, SAMPLE_ROWS // kernels.TILE_ROWS).astype(np.int64)
    return np.arange(-(-n_rows // kernels.TILE_ROWS))


def _statistics(packed, sums, noise):
    """Parts of a PackedMatrix: the noise drawn now and the noise that the codes carried add up."""
    n = max(1, len(packed))
    mean = sums[0] / n
    deviation = np.sqrt(np.maximum(0, sums[1] / n - mean**2))
    variance = np.zeros(len(mean))
    if packed._scheme.is_compensated:
        variance = sums[2] / n + packed._variance
    single = {"mean": mean, "deviation": deviation, "variance": variance}
    return {name: array.astype(np.float32) for name, array in single.items()} | {"noise": noise.astype(np.float16)}
