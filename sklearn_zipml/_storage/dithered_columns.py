"""Columns of 2 or 3 bits that are to stand side by side, with known dither or without: of one kind, without any loss.

Rows that were packed together have the same seeds, and columns without dither need none. Seeds of rows that were packed
apart differ, and a tile has room for those of one. Then a code is of 4 bits: 2 of the code and 2 of the dither, which
are numbered by position, so that the columns are like any of 16 levels: "joined". Codes of 3 bits have theirs always.
"""

from dataclasses import replace

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.dither import take_seeds
from .._kernels.requantize import Requantizer
from .._kernels.threads import THREAD_TILES, in_threads
from .._scheme import DITHERED_BITS
from . import dither
from .constant import frozen
from .grid import padded_table
from .samples import Samples
from .tiles import aligned_tiles
from .undithered import position_codes

THREAD_COLUMNS = 256


def may_have_dither(scheme):
    """Whether codes are of few bits whose errors are told apart by code, of levels that are placed by the values."""
    is_one = scheme.sampling in ("compensated", "dithered", "joined")
    return is_one and scheme.sample_bits in DITHERED_BITS and not scheme.has_uniform_levels


def of_one_kind(parts):
    """PackedRows of `may_have_dither`, one width, and rows in the same slots, as they can stand side by side."""
    if not any(part.scheme.knows_dithers for part in parts):
        return parts
    dithered = [part for part in parts if part.scheme.has_dither]
    if parts[0].sample_bits == 3:
        return [replace(part, scheme=dithered[0].scheme) for part in parts]
    if any(part.scheme.is_joined for part in parts) or not all(_have_same_seeds(dithered[0], p) for p in dithered[1:]):
        return [as_joined(part) for part in parts]
    return [part if part.scheme.is_dithered else _beside(part, dithered[0]) for part in parts]


def copy_seeds(samples, codes):
    """Write the rows' seeds of Samples with known dither to tiles."""

    def copy(first, last):
        start = first
        for tiles, begin, end in samples.pieces(first, last, THREAD_TILES):
            take_seeds(tiles, codes[start : start + end - begin], begin, end)
            start += end - begin

    in_threads(copy, len(codes), THREAD_TILES, None)


def _have_same_seeds(one, other):
    one, other = (part.codes[:, -kernels.SEED_BYTES :] for part in (one, other))
    return np.array_equal(one, other)


def _beside(packed, dithered):
    """Codes without dither, with the seeds of others and one position each."""
    n, d = packed.shape
    scheme = replace(packed.scheme, sampling="dithered")
    codes = aligned_tiles(n, d, scheme.format)
    own = packed.codes[:, : codes.shape[1] - kernels.SEED_BYTES]
    codes[:, : own.shape[1]] = own
    copy_seeds(dithered.samples, codes)
    table = frozen(padded_table(dither.table_by_code(packed.table[:d]), scheme))
    samples = Samples(codes, table, packed.shape, scheme.format, packed.samples.outliers)
    return replace(packed, scheme=scheme, samples=samples, table=table)


def as_joined(packed):
    """Codes of 2 bits, with known dither or without, as those of 4 bits whose every value is the same."""
    if packed.scheme.is_joined:
        return packed
    d = packed.shape[1]
    scheme = replace(packed.scheme, sampling="joined")
    positions = dither.positions_of(packed.table[:d]) if packed.scheme.is_dithered else packed.table[:d]
    levels, used, rank = _ranked(positions)
    codes = _numbered(packed, scheme, levels, used)
    own_table = np.repeat(levels[:, -1:], scheme.table_codes, axis=1)
    own_table[:, : levels.shape[1]] = levels
    table = frozen(padded_table(own_table, scheme))
    return replace(
        packed,
        scheme=scheme,
        samples=Samples(codes, table, packed.shape, scheme.format, packed.samples.outliers),
        table=table,
        used=frozen(used),
        noise=frozen(_noise(packed, rank, scheme.noise_codes)),
        file=None,
    )


def _ranked(positions):
    """Distinct ones of each row of positions, ascending, the last repeated; how many; and the rank of each position."""
    order = np.argsort(positions, axis=1, kind="stable")
    ascending = np.take_along_axis(positions, order, axis=1)
    is_new = np.diff(ascending.astype(np.int16), axis=1, prepend=-1) > 0
    ranks, rows = np.cumsum(is_new, axis=1) - 1, np.arange(len(positions))[:, None]
    levels = np.repeat(ascending[:, -1:], positions.shape[1], axis=1)
    levels[rows, ranks] = ascending
    rank = np.empty_like(ranks)
    np.put_along_axis(rank, order, ranks, axis=1)
    return levels, (ranks[:, -1] + 1).astype(np.uint16), rank


def _numbered(packed, scheme, levels, used):
    """Tiles of the numbers of positions among levels."""
    n, d = packed.shape
    codes, bytes_now = aligned_tiles(n, d, scheme.format), position_codes(packed)
    source = kernels.Tiles(bytes_now, np.empty(0, dtype=np.uint8), n, d, 8)
    old = used, levels, np.zeros((d, 256))
    kernel = Requantizer(source, None, source, np.arange(0), old, scheme)
    in_threads(kernel.plan, d, THREAD_COLUMNS, None)
    # every position is a level, so none is drawn
    in_threads(lambda first, last: kernel.requantize(codes, 0, first, last), len(codes), THREAD_TILES, None)
    return codes


def _noise(packed, rank, n_codes):
    """E[error² | code] of codes that are numbers of positions, (columns, codes): a mean over those of one position."""
    hits = packed.tiles.counts() + 1e-9  # a mean of what never occurs is one, too
    noise = packed.noise.astype(np.float64)
    dithers = rank.shape[1] // noise.shape[1]
    total, weight = np.zeros((len(rank), n_codes)), np.zeros((len(rank), n_codes))
    column = np.broadcast_to(np.arange(len(rank))[:, None], rank.shape)
    np.add.at(weight, (column, rank), np.repeat(hits, dithers, axis=1))
    np.add.at(total, (column, rank), np.repeat(hits * noise, dithers, axis=1))
    return (total / np.where(weight > 0, weight, 1)).astype(np.float16)
