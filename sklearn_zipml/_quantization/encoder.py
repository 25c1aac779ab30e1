"""Step 2: rows -> levels -> stochastically rounded codes -> packed tiles, a block of rows at a time."""

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import in_threads
from .._packed_matrix import PackedMatrix
from .._storage import duplicates
from .._storage.blocks import block_rows, row_block
from .._storage.row_order import RowOrder
from .._storage.statistics import from_moments
from .._storage.tiles import aligned_tiles, code_width, turn_rows
from .._underflow import underflow_is_zero
from .levels import draws_of, find_grid
from .row_sample import sample_size, sampled_rows


def pack(X, sample_bits, sampling, levels, seed, *, rows=None, column_names=None, n_jobs=None, n_draws=2):
    """Quantize the rows of X.

    Parameters
    ----------
    X : array of shape (n_samples, n_features) of a real dtype; read in blocks, never copied whole
    sample_bits, sampling, levels, n_draws : see DoubleSamplingQuantizer
    seed : int, 64 bits: decides every draw and the order of the rows
    rows : int array or None, the rows of X to pack
    column_names : sequence of str or None, for warnings
    n_jobs : int or None, threads; the result does not depend on it

    Returns
    -------
    PackedMatrix
    """
    n = X.shape[0] if rows is None else len(rows)
    sample = sampled_rows(n, sample_size(X.shape[1]), kernels.mix(seed, 3))
    if rows is not None:
        sample = rows[sample]
    grid = find_grid(X, sample_bits, sampling, levels, sample, rows, column_names, n_jobs, n_draws)
    return pack_on_grid(X, grid, sample_bits, sampling, levels, seed, rows=rows, n_jobs=n_jobs)


@underflow_is_zero
def pack_on_grid(X, grid, sample_bits, sampling, levels, seed, *, rows=None, n_jobs=None):
    """Quantize the rows of X on given levels; values outside the grid's range go to its ends. See `pack`."""
    n, d = (X.shape[0] if rows is None else len(rows)), X.shape[1]
    width = code_width(sample_bits)
    order = RowOrder(n, kernels.mix(seed, 1))
    encoder = encoder_of(grid, sampling, width, seed)
    codes = aligned_tiles(n, d, width)
    by_code = keeps_noise(sampling, width)

    def encode(first, last):
        moments, work = kernels.Moments(d, width, by_code), encoder.workspace()
        size = block_rows(d, grid.dtype)
        for start in range(first, last, size):
            stop = min(last, start + size)
            block = row_block(X, slice(start, stop) if rows is None else rows[start:stop], grid.dtype)
            encoder.encode(block, codes, moments, order.slots(np.arange(start, stop)), start, work)
        return moments

    total = kernels.Moments(d, width, by_code)
    for moments in in_threads(encode, n, block_rows(d, grid.dtype), n_jobs):
        total.add(moments)
    turn_rows(codes, d, width, n_jobs)
    sample = sampled_rows(n, duplicates.sample_size(d), kernels.mix(seed, 4))
    coincidence = duplicates.of_rows(X, sample if rows is None else rows[sample], encoder, grid.dtype)
    return assemble(
        grid,
        codes,
        from_moments(total, n, coincidence, decode_table(grid, sample_bits, sampling)),
        (n, d),
        decoded_dtype(X.dtype),
        sample_bits,
        sampling,
        levels,
        order.seed,
    )


def encoder_of(grid, sampling, width, seed):
    """What rounds to the levels of a grid; seed is that of packing."""
    n_draws = draws_of(sampling, grid.n_draws)
    columns = (grid.levels, grid.used, grid.top, grid.offset, grid.scale)
    return kernels.Encoder(*columns, sampling, width, kernels.mix(seed, 2), n_draws)


def keeps_noise(sampling, width):
    """Whether the container keeps the squared error of every code, for the statistics of subsets and weights."""
    return sampling in ("compensated", "double") and width < 8


def assemble(grid, codes, statistics, shape, dtype, sample_bits, sampling, levels, row_seed, **along):
    """A PackedMatrix out of its parts; along: row_list, target and feature_names."""
    stored = grid.levels if 4 < sample_bits < 8 else np.zeros((shape[1], 0), dtype=np.uint8)
    return PackedMatrix._of(
        shape=shape,
        dtype=dtype,
        sample_bits=sample_bits,
        sampling=sampling,
        levels=levels,
        n_draws=draws_of(sampling, grid.n_draws),
        row_seed=row_seed,
        codes=codes,
        table=decode_table(grid, sample_bits, sampling),
        grid_levels=stored,
        used=grid.used,
        offset=grid.offset,
        step=grid.step,
        **statistics,
        **along,
    )


def decode_table(grid, sample_bits, sampling):
    """Grid position of every code, uint8 (padded columns, codes); codes of a byte are positions themselves."""
    width, d = code_width(sample_bits), len(grid.levels)
    padded = kernels.padded_columns(d)
    table = np.zeros((padded, 0 if width == 8 else 1 << width), dtype=np.uint8)
    table[:d] = kernels.code_positions(grid.levels, draws_of(sampling, grid.n_draws), table.shape[1])
    return table


def decoded_dtype(dtype):
    """What rows of a dtype are decoded to."""
    return np.float32 if dtype.type is np.float32 else np.float64
