"""Mini-batches of an epoch: how many rows they have, the order of the tiles, and threads that are worth it."""

import numpy as np

from .._kernels import epochs as epoch_kernels
from .._kernels import row_order as order_kernels
from .._kernels import tiles as kernels

MIN_STEPS = 32
# Tiles are shuffled in runs of at most so many bytes, and in at least so many runs.
RUN_BYTES = 1 << 20
MIN_RUNS = 256
# Rows of a mini-batch, and when large ones need no more epochs.
SMALL_BATCH, LARGE_BATCH = 16, 64
LARGE_BATCH_ROWS, LARGE_BATCH_BITS = 2048, 8
# Starting threads for an epoch of fewer values costs more than they save.
THREADED_VALUES = 1 << 24


def batch_size_of(problem, options):
    """Rows of a mini-batch."""
    if options.batch_size != "auto":
        return options.batch_size
    fewest = min(bits or LARGE_BATCH_BITS for bits in (options.model_bits, options.gradient_bits))
    large = options.solver == "saga" and problem.n >= LARGE_BATCH_ROWS and fewest >= LARGE_BATCH_BITS
    return LARGE_BATCH if large else SMALL_BATCH


def n_batches(problem, batch_size):
    """Number of batches of an epoch."""
    full, rest = divmod(problem.n, kernels.TILE_ROWS)
    return full * -(-kernels.TILE_ROWS // batch_size) + -(-rest // batch_size)


def tile_order(tiles, batches, seed, epoch):
    """Tiles in the order of an epoch, every one as often as the others.

    Many small tiles are shuffled in runs, which memory delivers faster; the rows themselves were shuffled when packed.
    """
    n = tiles.n_tiles
    run = max(1, min(RUN_BYTES // max(1, kernels.tile_bytes(tiles.n_columns, tiles.width)), n // MIN_RUNS))
    runs = -(-n // run)
    keys = (order_kernels.mix(seed, epoch << 16 | k << 1) for k in range(sweeps(batches)))
    order = np.concatenate([order_kernels.permutation(runs, key, 0, runs) for key in keys])
    tiles = (order[:, None] * run + np.arange(run)).reshape(-1)
    return tiles[tiles < n]


def batches_of(quadratic, tiles, batch_size, seed, epoch, centre=None):
    """The Batches of an epoch of either solver, over the problem's tiles or other draws of them, with their centre."""
    problem = quadratic.problem
    count = n_batches(problem, batch_size)
    order = tile_order(problem.tiles, count, seed, epoch)
    weight, loss = count / problem.n, quadratic.loss.name
    centre = quadratic.centre if centre is None else centre
    return epoch_kernels.Batches(tiles, quadratic.rows, order, batch_size, centre, weight, loss)


def sweeps(batches):
    """Times an epoch visits every row: few rows several times, for an epoch is at least 32 steps."""
    return -(-MIN_STEPS // batches)


def worthwhile_threads(problem, batches):
    """Threads that the epochs of a fit are worth."""
    small = problem.n * problem.tiles.padded < THREADED_VALUES
    few = sweeps(batches) > 1  # a team must not meet a tile twice in a row
    return 1 if small or few else problem.threads


def pass_bytes(tiles):
    """Bytes that a pass over all tiles reads, the seeds of rows among them."""
    seeds = kernels.SEED_BYTES if tiles.format == kernels.DITHERED else 0
    return tiles.n_tiles * (kernels.tile_bytes(tiles.n_columns, tiles.width) + seeds)
