"""What is learnt of columns before their rows are encoded: samples, ranges and levels."""

import numpy as np

from sklearn_zipml._kernels.active cimport active_kernels
from sklearn_zipml._kernels.checks cimport real, require, require_rows, require_strides
from sklearn_zipml._kernels.encoding cimport ZML_MAX_CODES, zml_column_sample, zml_encoding
from sklearn_zipml._kernels.tiles cimport ZML_PARITY_RUNGS, ZML_RUNGS, int64_t, uint8_t, uint16_t
from sklearn_zipml._kernels.workers cimport poll_in_time

cdef enum:
    # Values that placing the levels of a column is like.
    COLUMN_VALUES = 1 << 18

# How levels are chosen, see `column_levels`.
cpdef enum:
    WITH_OUTLIERS = 1
    DITHERED = 2
    OF_POSITIONS = 4


def optimal_levels(const double[::1] position, const double[::1] count, const double[::1] sums,
                   const double[::1] squares, int n_levels):
    """Indices of the positions that are the variance-optimal levels; moments are of the values below each position."""
    cdef Py_ssize_t moments = min(count.shape[0], sums.shape[0], squares.shape[0])
    cdef int n = <int> min(position.shape[0], moments)
    require(1 <= n <= 256 and n == position.shape[0] and 1 <= n_levels <= 256, "positions or levels do not fit")
    chosen = np.empty(max(n, 1), dtype=np.uint8)
    cdef uint8_t[::1] out = chosen
    cdef int used
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    with nogil:
        used = encoding.optimal_levels(&position[0], &count[0], &sums[0], &squares[0], n, n_levels, &out[0])
    return chosen[:used]


def column_levels(const real[:, :] samples, const double[::1] low, const double[::1] high, int n_levels,
                  int max_steps, int stride, int how=0):
    """Levels of many columns from samples of their values, [column][sample], the values of a column contiguous.

    Returns levels (columns, n_levels), how many of them are used, top grid positions, standard deviations in grid
    steps (infinite where the column is stored without loss), and the range that levels reach to, (columns, 2): low
    and high, or less where, WITH_OUTLIERS, a few values are better kept apart. If DITHERED, codes may have known
    dither: there are 13 levels, 15 of n_levels = 8, rungs where that pays, and last the positions that codes
    and dithers stand for, from the lowest one on, uint8 (columns, 16), 0 elsewhere.
    `how` is a sum of these and of OF_POSITIONS, for values that are positions of another grid.
    """
    cdef bint with_outliers = how & WITH_OUTLIERS, dithered = how & DITHERED
    cdef Py_ssize_t d = samples.shape[0], j
    cdef size_t m = samples.shape[1], i
    cdef int top_j
    require(low.shape[0] == d and high.shape[0] == d, "ranges are of another number of columns")
    require(1 <= n_levels <= 256 and 1 <= stride <= 255 and 1 <= max_steps <= 255, "levels do not fit a grid")
    require(not dithered or (n_levels in (4, 8) and stride == 1), "no dither of so many levels")
    require(m <= 1 or samples.strides[1] == sizeof(real), "values of a column are not contiguous")
    cdef int room = n_levels if not dithered else ZML_PARITY_RUNGS if n_levels == 8 else ZML_RUNGS
    levels, positions = np.zeros((d, room), dtype=np.uint8), np.zeros((d, ZML_MAX_CODES), dtype=np.uint8)
    cdef uint8_t[:, ::1] positions_view = positions
    used = np.ones(d, dtype=np.uint16)
    top = np.zeros(d, dtype=np.uint8)
    deviation = np.full(d, np.inf)
    cdef uint8_t[:, ::1] levels_view = levels
    cdef uint16_t[::1] used_view = used
    cdef uint8_t[::1] top_view = top
    reach = np.stack([low, high], axis=1)
    cdef double[:, ::1] reach_view = reach
    cdef double[2] bounds
    cdef double[::1] deviation_view = deviation, column = np.empty(max(m, <size_t> 1))
    cdef double[::1] spare = np.empty(max(m, <size_t> 1) if with_outliers else 1)
    cdef uint8_t[256] chosen
    cdef int k, count
    cdef size_t seen = 0
    cdef const real *values
    cdef zml_column_sample sample
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    sample.values, sample.n, sample.spare = &column[0], m, &spare[0] if with_outliers else NULL
    sample.positions, sample.are_positions = NULL, how & OF_POSITIONS
    with nogil:
        for j in range(d):
            if not low[j] < high[j]:
                continue
            poll_in_time(&seen, COLUMN_VALUES + m)
            values = &samples[j, 0] if m else NULL
            for i in range(m):
                column[i] = values[i]
            sample.low, sample.high = low[j], high[j]
            if dithered:
                sample.positions = &positions_view[j, 0]
            count = encoding.column_levels(&sample, n_levels, max_steps, stride, chosen, &top_j, &deviation_view[j],
                                           bounds)
            reach_view[j, 0], reach_view[j, 1] = bounds[0], bounds[1]
            for k in range(room):
                levels_view[j, k] = chosen[k if k < count else count - 1]
            used_view[j] = count
            top_view[j] = top_j
    return (levels, used, top, deviation, reach, positions) if dithered else (levels, used, top, deviation, reach)


def gather_columns(const real[:, :] block, const int64_t[::1] rows, real[:, :] out, size_t first):
    """out[:, first : first + len(rows)] = block[rows].T

    The elements of the block's rows or those of its columns have to be contiguous, and those of out's rows.
    """
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    cdef ptrdiff_t row_stride = block.strides[0] // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t column_stride = block.strides[1] // <ptrdiff_t> sizeof(real)
    cdef size_t stride = out.strides[0] // <ptrdiff_t> sizeof(real), last = first + rows.shape[0]
    require(out.shape[0] >= block.shape[1] and last >= first and <size_t> out.shape[1] >= last, "no room for the rows")
    require_strides[real](block)
    require_rows(rows, block.shape[0])
    if rows.shape[0] and block.shape[1]:
        with nogil:
            if real is float:
                encoding.gather_f32(&block[0, 0], row_stride, column_stride, block.shape[1], &rows[0], rows.shape[0],
                                    &out[0, first], stride)
            else:
                encoding.gather_f64(&block[0, 0], row_stride, column_stride, block.shape[1], &rows[0], rows.shape[0],
                                    &out[0, first], stride)


def block_range(const real[:, :] block, real[::1] low, real[::1] high):
    """Lower `low` and raise `high` to the range of a block's columns; True if all its values are finite.

    The elements of rows or those of columns have to be contiguous.
    """
    cdef int bad = 0
    cdef const zml_encoding *encoding = <const zml_encoding *> active_kernels().encoding
    cdef ptrdiff_t rows = block.strides[0] // <ptrdiff_t> sizeof(real)
    cdef ptrdiff_t columns = block.strides[1] // <ptrdiff_t> sizeof(real)
    require(low.shape[0] >= block.shape[1] and high.shape[0] >= block.shape[1], "ranges are of fewer columns")
    require_strides[real](block)
    if block.shape[0] and block.shape[1]:
        with nogil:
            if real is float:
                bad = encoding.range_f32(&block[0, 0], rows, columns, block.shape[0], block.shape[1], &low[0], &high[0])
            else:
                bad = encoding.range_f64(&block[0, 0], rows, columns, block.shape[0], block.shape[1], &low[0], &high[0])
    return not bad
