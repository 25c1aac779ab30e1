"""Tables by which an encoder finds codes: what they stand for, and the levels around a coordinate."""

import numpy as np

from sklearn_zipml._kernels.encoding cimport ZML_MAX_CODES
from sklearn_zipml._kernels.tiles cimport uint8_t, uint16_t

NO_TABLE = np.zeros((1, 1), dtype=np.uint8)


def code_positions(levels, size_t n_draws, size_t n_codes):
    """Grid positions that codes stand for, uint8 (columns, n_codes): code k * n_draws + u is level k with u of the
    draws at the next one; levels are multiples of n_draws, and codes beyond the last level repeat it."""
    lower, up = np.divmod(np.minimum(np.arange(n_codes), n_draws * (levels.shape[1] - 1)), n_draws)
    wide = levels.astype(np.int16)
    return (wide[:, lower] + (wide[:, lower + (up > 0)] - wide[:, lower]) // n_draws * up).astype(np.uint8)


def code_tables(levels, size_t padded, size_t n_draws):
    """Levels, the gaps above them and the positions that codes stand for, uint8 (padded columns, 16) each."""
    d, count = levels.shape
    few, positions = (np.zeros((padded, ZML_MAX_CODES), dtype=np.uint8) for _ in range(2))
    gaps = np.ones((padded, ZML_MAX_CODES), dtype=np.uint8)
    few[:d, :count], few[:d, count:] = levels, levels[:, -1:]
    gaps[:, :-1] = np.maximum(1, np.diff(few, axis=1))
    positions[:d] = code_positions(levels, n_draws, ZML_MAX_CODES)
    return few, gaps, positions


def cells(const uint8_t[:, ::1] levels, const uint16_t[::1] n_levels, size_t padded, int width):
    """For the grid coordinates from k to k + 1, uint8 (padded columns, 256): the interval of levels that holds them,
    or with 8 bits the level below and the gap to the next one."""
    shape = (padded, 256)
    interval = np.zeros(shape, dtype=np.uint8) if width < 8 else NO_TABLE
    below = np.zeros(shape, dtype=np.uint8) if width == 8 else NO_TABLE
    gap = np.ones(shape, dtype=np.uint8) if width == 8 else NO_TABLE
    cdef uint8_t[:, ::1] interval_view = interval, below_view = below, gap_view = gap
    cdef Py_ssize_t j
    cdef int k, index
    with nogil:
        for j in range(n_levels.shape[0]):
            index = 0
            for k in range(256):
                while index + 2 < n_levels[j] and levels[j, index + 1] <= k:
                    index += 1
                if width < 8:
                    interval_view[j, k] = <uint8_t> index
                elif n_levels[j] > 1:
                    below_view[j, k] = levels[j, index]
                    gap_view[j, k] = levels[j, index + 1] - levels[j, index]
    return interval, below, gap
