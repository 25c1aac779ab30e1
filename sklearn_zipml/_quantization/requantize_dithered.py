"""Codes of 2 bits with known dither out of wider ones: positions of the wide ones are rounded to rungs of their own.

Dithers reach beyond the first and the last rung, so the grid is a new one. It is chosen and the rows are encoded as if
positions were values; the key of a row, and with it its seed, comes from what it holds and where it stands.
"""

from dataclasses import replace

import numpy as np

from .._kernels import columns as column_kernels
from .._scheme import MAX_STEPS
from .._storage import dither, stored_dither
from .._storage.grid import Grid
from .._storage.outliers import MOST_DIFFERENCE, parts_of_found
from .._storage.packed_rows import PackedRows
from .._storage.statistics import code_noise, of_encoded
from .._storage.targets import BY_ROW
from .._storage.tiles import aligned_tiles, turn_rows
from .._underflow import underflow_is_zero
from .carried_noise import CarriedNoise
from .encoder import RowEncoder
from .levels import search_levels, with_dither
from .wide_positions import WidePositions


class DitheredRequantizing:
    """What makes the codes of PackedRows 2 or 3 bits with known dither.

    Parameters
    ----------
    packed : PackedRows, at least one
    scheme : Scheme, that of the packed rows with fewer bits, and what is done with outliers
    sample_tiles : int array, tiles whose rows place the levels
    n_jobs : int or None
    """

    @underflow_is_zero
    def __init__(self, packed, scheme, sample_tiles, n_jobs):
        self.packed, self.n_jobs = packed, n_jobs
        self.positions = WidePositions(packed)
        self.sample = self.positions.of_tiles(sample_tiles)
        self.grid = self._levels(scheme)

    def _levels(self, scheme):
        """The Grid of new levels, whose unit is a step of the old one.

        More outliers can be told in columns that have none; what is apart already stays so.
        """
        packed, d = self.packed, self.packed.shape[1]
        low, high = np.zeros(d), packed.top.astype(np.float64)
        farthest = np.maximum(packed.high - high, -packed.low)
        # one more step, for the rounding of differences
        high = np.maximum(high, farthest * (MAX_STEPS / (MOST_DIFFERENCE - 1)))
        apart = farthest > 0
        kinds = (np.flatnonzero(~apart), scheme.keeps_outliers), (np.flatnonzero(apart), False)
        found = [self._placed(some, low[some], high[some], scheme, watching) for some, watching in kinds]
        back = np.argsort(np.concatenate([some for some, _ in kinds]))
        levels, used, top, _, reach, positions = (np.concatenate(a)[back] for a in zip(*found, strict=True))
        constant = low == high
        used[constant], top[constant] = 1, 0
        step = np.where(constant, 1.0, (reach[:, 1] - reach[:, 0]) / np.maximum(top, 1))
        watched = apart | (reach[:, 0] > low) | (reach[:, 1] < high)
        grid = Grid(scheme, reach[:, 0], step, levels, used, np.float32, watched=watched if watched.any() else None)
        return with_dither(grid, positions).settled()

    def _placed(self, columns, low, high, scheme, with_outliers):
        """What `search_levels` finds for an array of columns, of their ranges."""
        sample = np.clip(np.ascontiguousarray(self.sample.T[columns]), low[:, None], high[:, None], dtype=np.float32)
        how = column_kernels.DITHERED | column_kernels.OF_POSITIONS | column_kernels.WITH_OUTLIERS * with_outliers
        return search_levels(sample, low, high, scheme.n_levels, scheme, self.n_jobs, how)

    @underflow_is_zero
    def __call__(self, seed):
        """The rows, rounded by the draws of a seed."""
        packed, grid, (n, d) = self.packed, self.grid, self.packed.shape
        codes = aligned_tiles(n, d, grid.scheme.format)
        encoder = RowEncoder(grid, seed, self.n_jobs)
        # equal rows are drawn anew, as they are without dither
        encoder.encode(self.positions, codes, lambda slots: slots, by_place=True)
        turn_rows(codes, d, grid.scheme.format, self.n_jobs)
        statistics = of_encoded(encoder.moments, (n, encoder.n_integers), 0.0, grid, codes)
        own = replace(grid, offset=packed.offset + packed.step * grid.offset, step=packed.step * grid.step)
        carried = CarriedNoise(own)
        carried.add_all(packed, self._carried_by_code(encoder.moments.hits))
        statistics = carried.joined(statistics, n, encoder.moments.hits)
        along = {name: getattr(packed, name) for name in (*BY_ROW, "feature_names")}
        along |= {"row_list": packed.order.listed} | parts_of_found(encoder.found, len(codes), d)
        return PackedRows.of_grid(own, codes, statistics, packed.shape, packed.dtype, packed.order.parts, **along)

    def _carried_by_code(self, hits):
        """Sums of the variances that old codes stood for, by new code, (columns, codes), in squared old steps.

        Bytes stand for one variance each; of fewer bits the chances of old codes to become new ones divide it.
        """
        noise = code_noise(self.packed)
        if self.packed.scheme.width == 8:
            return hits * noise[:, :1]
        places = self.packed.table[: self.packed.shape[1]].astype(np.float64)
        counts = self.packed.tiles.counts()
        chances = code_chances(self.grid, (places - self.grid.offset[:, None]) / self.grid.step[:, None])
        found = np.einsum("jk,jkc->jc", counts * noise, chances)
        expected = np.einsum("jk,jkc->jc", counts, chances)
        return hits * found / np.where(expected > 0, expected, 1)


def code_chances(grid, coordinates):
    """Chances of coordinates (columns, places) to be rounded to each code, (columns, places, codes)."""
    last, numbers = grid.used.astype(np.int64) - 1, np.arange(grid.levels.shape[1])
    levels = grid.levels.astype(np.float64)
    below = (levels[:, None, :] <= coordinates[:, :, None]) & (numbers <= last[:, None])[:, None, :]
    state = np.clip(below.sum(axis=2) - 1, 0, np.maximum(0, last - 1)[:, None])
    above = np.minimum(state + 1, last[:, None])
    low, high = (np.take_along_axis(levels, index, axis=1) for index in (state, above))
    share = np.clip((coordinates - low) / np.where(high > low, high - low, 1), 0, 1)[:, :, None]
    of_state = [_codes_of_states(grid.scheme, has_dither) for has_dither in (False, True)]
    codes = np.where(grid.has_dither[:, None, None], of_state[1], of_state[0])
    column = np.arange(len(levels))[:, None]
    return (1 - share) * codes[column, state] + share * codes[column, above]


def _codes_of_states(scheme, has_dither):
    """Chances of each code in a state, (states, codes), see csrc/format/dither.h."""
    n_codes, n_states = scheme.noise_codes, dither.RUNGS if scheme.is_dithered else stored_dither.RUNGS
    states, dithers = np.arange(n_states)[:, None], np.arange(scheme.n_dithers)
    if not has_dither:
        codes = np.minimum(states, n_codes - 1)
    elif scheme.is_dithered:
        codes = (states + 3 - dithers) // dither.N_DITHERS
    else:
        codes = states + (states + dithers) % 2
    return (codes[:, :, None] == np.arange(n_codes)).mean(axis=1)
