"""Passes over tiled data at full precision: products with rows, sums over rows, anchors; with the GIL released.

All vectors of columns live in code space: z = step * coefficient, so that a prediction is sum_j g_ij z_j with g the
stored grid position, and the gradient of column j is sum_i r_i (g_ij - centre_j). Vectors of rows are in slot order.
"""

import numpy as np

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite

from sklearn_zipml._kernels cimport (
    ZML_DOT_COLUMNS, ZML_PLANE_ROWS, Tiles, active_kernels, int8_t, int32_t, uint8_t, zml_grid_planes, zml_kernels,
)

cdef extern from "tile.h" nogil:
    void zml_unpack_group(const uint8_t *tile, size_t group, int width, uint8_t *codes)

cdef extern from "row_norms.h" nogil:
    void zml_add_squares_of_bytes(const uint8_t *tile, size_t padded_columns, const float *centre, const float *unit,
                                  float *sums)
    void zml_add_squares_of_floats(const float *tile, size_t padded_columns, const float *centre, const float *unit,
                                   float *sums)

cdef enum:
    TILE = 64
    GROUP = 4
    # A sum over rows is made and used in blocks of so many columns, which stay in the first-level cache meanwhile.
    BLOCK = 256
    # Sums by code are made in blocks of columns whose sums stay in the second-level cache.
    COUNTER_BYTES = 1 << 17
    # A pass looks for signals after about so many values, a few milliseconds.
    SIGNAL_VALUES = 1 << 25


cdef size_t tiles_between_signals(Tiles tiles) noexcept nogil:
    return max(<size_t> 1, <size_t> SIGNAL_VALUES // (TILE * max(<size_t> 1, tiles.padded)))


cdef class Rows:
    """What an epoch knows of the rows, in slot order: targets (targets, slots) and weights (empty: all one)."""

    def __init__(self, const float[:, ::1] targets, const float[::1] weights):
        self.targets, self.weights, self.weighted = targets, weights, weights.shape[0] > 0


@cython.final
cdef class Vector:
    """A model-sized vector on its way into the kernels: fixed-point planes for codes, floats for float tiles."""

    cdef const zml_kernels *kernels
    cdef size_t n
    cdef bint packed
    cdef int8_t[:, ::1] planes
    cdef float[::1] values
    cdef const float[::1] centre
    cdef int n_planes
    cdef double scale, centre_sum

    def __init__(self, Tiles tiles, const float[::1] centre=None):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != 32
        self.centre = np.zeros(self.n, dtype=np.float32) if centre is None else centre
        self.planes = np.zeros((2, self.n), dtype=np.int8)
        self.values = np.zeros(self.n, dtype=np.float32)

    cdef float largest(self, const float *values) noexcept nogil:
        """Largest magnitude, infinite if a value is not finite."""
        return self.kernels.largest(values, self.n)

    cdef bint load(self, const float *values, float largest, int bits) noexcept nogil:
        """Take `values`, whose largest magnitude is given, at 8 bits, or 16 if bits is 0; False if not finite."""
        cdef size_t j
        cdef double total = 0
        if self.packed:
            self.n_planes = zml_grid_planes(bits)
            self.scale = self.kernels.quantize(values, self.n, 0, largest, bits, 0, &self.planes[0, 0], self.n,
                                               &self.centre[0], &self.centre_sum)
            return isfinite(self.scale)
        for j in range(self.n):
            self.values[j] = values[j]
            total += <double> self.centre[j] * self.values[j]
        self.scale, self.centre_sum = 1, total
        return isfinite(total)

    cdef void dot(self, Tiles tiles, size_t t, int first, int last, double *out) noexcept nogil:
        """Centred products of the rows of planes first..last-1 of a tile with the vector."""
        cdef int32_t[2][TILE] sums
        cdef size_t column = 0, count, codes = tiles.table.shape[0] // self.n if self.n else 0
        cdef const uint8_t *tile = tiles.tile(t)
        cdef int i
        cdef double shift = self.centre_sum
        if not self.packed:
            self.kernels.dot_float(<const float *> tile, self.n, &self.values[0], first, last, out)
            for i in range(first * ZML_PLANE_ROWS, last * ZML_PLANE_ROWS):
                out[i] -= shift
            return
        for i in range(first * ZML_PLANE_ROWS, last * ZML_PLANE_ROWS):
            out[i] = 0
        while column < self.n:
            count = min(<size_t> ZML_DOT_COLUMNS, self.n - column)
            self.kernels.dot[tiles.width](tile + column * TILE // 8 * tiles.width,
                                          &tiles.table[column * codes] if codes else NULL, count,
                                          &self.planes[0, column], self.n, self.n_planes, first, last, &sums[0][0])
            self.kernels.add_products(&sums[0][0], self.n_planes, first, last, self.scale, shift, out)
            shift = 0
            column += count


@cython.final
cdef class TileSum:
    """Weights of a tile's rows at 16 bits, and the sums over rows that they give, by blocks of columns."""

    cdef const zml_kernels *kernels
    cdef size_t n, codes
    cdef bint packed
    cdef int8_t[2][TILE] planes
    cdef float[TILE] values
    cdef int32_t[2][BLOCK] sums
    cdef double[BLOCK] float_sums
    cdef float scale, total

    def __init__(self, Tiles tiles):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != 32
        self.codes = tiles.table.shape[0] // self.n if self.n else 0

    cdef bint load(self, const double *weights, int rows) noexcept nogil:
        """Take the weights of the tile's rows, to nearest; False if they are not finite."""
        cdef float[TILE] none
        cdef double[TILE] padded
        cdef double total = 0
        cdef int i
        for i in range(TILE):
            none[i] = 0
            padded[i] = weights[i] if i < rows else 0
        if self.packed:
            self.scale = self.kernels.sgd_rows(padded, NULL, none, rows, TILE, &self.planes[0][0], &self.total)
            return isfinite(self.scale)
        for i in range(TILE):
            self.values[i] = <float> padded[i]
            total += self.values[i]
        self.total = <float> total
        return isfinite(total)

    cdef float kept(self, int i) noexcept nogil:
        """What row i's weight was rounded to."""
        if not self.packed:
            return self.values[i]
        return self.scale * <float> (256 * <int32_t> self.planes[0][i] + self.planes[1][i])

    cdef void add(self, Tiles tiles, size_t t, double *out) noexcept nogil:
        """Add the sums of all columns, not centred."""
        cdef size_t j, column, count
        cdef const uint8_t *block
        column = 0
        while column < self.n:
            count = min(<size_t> BLOCK, self.n - column)
            block = tiles.tile(t) + column * TILE // 8 * tiles.width
            if self.packed:
                self.kernels.gradient[tiles.width](block, &tiles.table[column * self.codes] if self.codes else NULL,
                                                   count, &self.planes[0][0], 2, 0, 4, &self.sums[0][0], BLOCK, NULL)
                self.kernels.add_sums(&self.sums[0][0], BLOCK, 2, count, self.scale, out + column)
            else:
                self.kernels.gradient_float(<const float *> block, count, &self.values[0], 0, 4, &self.float_sums[0])
                for j in range(count):
                    out[column + j] += self.float_sums[j]
            column += BLOCK


def products(Tiles tiles, const double[::1] z, size_t first, size_t last, int limbs=2):
    """sum_j g_ij z_j of the rows of tiles first..last-1, float64 in slot order.

    z is taken as a sum of `limbs` 16-bit fixed-point vectors: 2 give about 31 bits of its largest component.
    """
    cdef size_t t, j, n = tiles.padded
    cdef int i, _limb
    out = np.zeros((last - first) * TILE)
    cdef double[::1] view = out
    cdef double[TILE] part
    cdef double[::1] rest = np.zeros(n)
    cdef float[::1] limb_values = np.zeros(n, dtype=np.float32)
    cdef Vector vector = Vector(tiles)
    if n == 0 or last <= first:
        return out
    rest[: z.shape[0]] = z
    for _limb in range(limbs):
        with nogil:
            for j in range(n):
                limb_values[j] = <float> rest[j]
            vector.load(&limb_values[0], vector.largest(&limb_values[0]), 0)
            for j in range(n):
                rest[j] -= value_of(vector, j)
            for t in range(first, last):
                if t % tiles_between_signals(tiles) == 0:
                    with gil:
                        PyErr_CheckSignals()
                vector.dot(tiles, t, 0, 4, part)
                for i in range(TILE):
                    view[(t - first) * TILE + i] += part[i]
    return out


cdef inline double value_of(Vector vector, size_t j) noexcept nogil:
    """What the kernels take component j of a loaded vector for."""
    if vector.packed and vector.n_planes == 1:
        return vector.scale * vector.planes[0, j]
    if vector.packed:
        return vector.scale * (256 * <int32_t> vector.planes[0, j] + vector.planes[1, j])
    return vector.values[j]


def row_sums(Tiles tiles, const double[::1] weights, size_t first, size_t last, int limbs=1):
    """sum_i weights_i g_ij over the rows of tiles first..last-1; weights in slot order from tile `first` on.

    Weights are taken as `limbs` 16-bit fixed-point vectors a tile.
    """
    cdef size_t t, n = tiles.padded
    cdef int i, _limb, rows
    out = np.zeros(n)
    cdef double[::1] view = out
    cdef double[TILE] rest
    cdef TileSum sums = TileSum(tiles)
    if n == 0:
        return out
    with nogil:
        for t in range(first, last):
            if t % tiles_between_signals(tiles) == 0:
                with gil:
                    PyErr_CheckSignals()
            rows = tiles.rows_in(t)
            for i in range(rows):
                rest[i] = weights[(t - first) * TILE + i]
            for _limb in range(limbs):
                sums.load(rest, rows)
                for i in range(rows):
                    rest[i] -= sums.kept(i)
                sums.add(tiles, t, &view[0])
    return out


def curvature(Tiles tiles, const double[::1] z, const float[::1] centre, const double[::1] weights, size_t first,
              size_t last):
    """sum_i w_i p_i g_ij over the rows of tiles first..last-1 with p = sum_j (g_ij - centre_j) z_j, and sum_i w_i p_i.

    z and, a tile at a time, w p are taken as 16-bit fixed-point vectors. weights are in slot order from tile `first`
    on, empty for ones.
    """
    cdef size_t t, j, n = tiles.padded
    cdef int i, rows
    cdef double total = 0
    cdef double[TILE] part
    cdef float[::1] values = np.zeros(n, dtype=np.float32)
    cdef bint weighted = weights.shape[0] > 0
    cdef Vector vector = Vector(tiles, centre)
    cdef TileSum sums = TileSum(tiles)
    out = np.zeros(n)
    cdef double[::1] view = out
    if n == 0 or last <= first:
        return out, total
    with nogil:
        for j in range(<size_t> z.shape[0]):
            values[j] = <float> z[j]
        vector.load(&values[0], vector.largest(&values[0]), 0)
        for t in range(first, last):
            if t % tiles_between_signals(tiles) == 0:
                with gil:
                    PyErr_CheckSignals()
            rows = tiles.rows_in(t)
            vector.dot(tiles, t, 0, 4, part)
            if weighted:
                for i in range(rows):
                    part[i] *= weights[(t - first) * TILE + i]
            sums.load(part, rows)
            sums.add(tiles, t, &view[0])
            total += sums.total
    return out, total


def row_norms(Tiles tiles, const float[::1] centre, const float[::1] unit):
    """Squared norms of the rows (g_ij - centre_j) * unit_j of tiles of bytes or floats, float32 in slot order.

    centre and unit have an element for every padded column.
    """
    cdef size_t t
    out = np.zeros(tiles.n_tiles * TILE, dtype=np.float32)
    cdef float[::1] view = out
    if tiles.width < 8:
        raise ValueError("codes are not grid positions")
    if tiles.padded == 0:
        return out
    with nogil:
        for t in range(tiles.n_tiles):
            if t % tiles_between_signals(tiles) == 0:
                with gil:
                    PyErr_CheckSignals()
            if tiles.width == 32:
                zml_add_squares_of_floats(<const float *> tiles.tile(t), tiles.padded, &centre[0], &unit[0],
                                          &view[t * TILE])
            else:
                zml_add_squares_of_bytes(tiles.tile(t), tiles.padded, &centre[0], &unit[0], &view[t * TILE])
    out[tiles.n_rows :] = 0
    return out


def code_weights(Tiles tiles, const double[::1] weights):
    """Summed weights of the rows that have each code, float64 (columns, codes); weights in slot order."""
    cdef size_t t, group, first = 0, last, d = tiles.n_columns, groups = (d + GROUP - 1) // GROUP
    cdef size_t block = 1 + COUNTER_BYTES // (8 * GROUP << tiles.width)
    cdef int i, k, rows, count, n_codes = 1 << tiles.width
    cdef uint8_t[TILE * GROUP] codes
    out = np.zeros((d, n_codes))
    cdef double[:, ::1] view = out
    cdef double *sums
    cdef double weight
    with nogil:
        while first < groups:
            last = min(groups, first + block)
            for t in range(tiles.n_tiles):
                if t % tiles_between_signals(tiles) == 0:
                    with gil:
                        PyErr_CheckSignals()
                rows = tiles.rows_in(t)
                for group in range(first, last):
                    zml_unpack_group(tiles.tile(t), group, tiles.width, codes)
                    sums, count = &view[group * GROUP, 0], <int> min(<size_t> GROUP, d - group * GROUP)
                    if count < GROUP:
                        for i in range(rows):
                            for k in range(count):
                                sums[k * n_codes + codes[GROUP * i + k]] += weights[t * TILE + i]
                        continue
                    for i in range(rows):
                        weight = weights[t * TILE + i]
                        sums[codes[GROUP * i]] += weight
                        sums[n_codes + codes[GROUP * i + 1]] += weight
                        sums[2 * n_codes + codes[GROUP * i + 2]] += weight
                        sums[3 * n_codes + codes[GROUP * i + 3]] += weight
            first = last
    return out


cdef class Anchor:
    """A model rounded to what the kernels multiply with exactly.

    values (float64, one target's z) are rounded in place to a fixed-point vector of 16 bits, or to its sum with one of
    8 or 16 bits for the rest (bits 24 and 32). finite tells whether they all were finite.
    """

    cdef Vector first, second
    cdef int bits
    cdef readonly bint finite

    def __init__(self, Tiles tiles, double[::1] values, const float[::1] centre, int bits):
        cdef size_t j, n = tiles.padded
        cdef double[::1] rest = np.array(values)
        cdef float[::1] part = np.asarray(values, dtype=np.float32)
        self.first, self.second, self.bits = Vector(tiles, centre), Vector(tiles, centre), bits
        self.finite = n == 0 or self.first.load(&part[0], self.first.largest(&part[0]), 0)
        if n == 0 or not self.finite:
            return
        for j in range(n):
            values[j] = value_of(self.first, j)
            part[j] = <float> (rest[j] - values[j])
        if bits > 16:
            self.second.load(&part[0], self.second.largest(&part[0]), 8 if bits == 24 and self.second.packed else 0)
            for j in range(n):
                values[j] += value_of(self.second, j)

    def residuals(self, Tiles tiles, Rows rows, int target, float[:, ::1] residual, float[:, ::1] lag, size_t start,
                  size_t stop, double[::1] losses):
        """Residuals of the rows of tiles start..stop-1, and half their weighted sums of squares in losses, by tile.

        The weighted lag of the table, weight * (residual - table), follows the residual.
        """
        cdef size_t t, slot
        cdef int i
        cdef double loss, exact
        cdef float fresh, change
        cdef double[TILE] high, low
        for i in range(TILE):
            low[i] = 0
        with nogil:
            for t in range(start, stop):
                if t % tiles_between_signals(tiles) == 0:
                    with gil:
                        PyErr_CheckSignals()
                self.first.dot(tiles, t, 0, 4, high)
                if self.bits > 16:
                    self.second.dot(tiles, t, 0, 4, low)
                loss = 0
                for i in range(tiles.rows_in(t)):
                    slot = t * TILE + i
                    exact = high[i] + low[i] - rows.targets[target, slot]
                    fresh = <float> exact
                    change = fresh - residual[target, slot]
                    residual[target, slot] = fresh
                    lag[target, slot] += rows.weight(slot) * change
                    loss += rows.weight(slot) * exact * exact
                losses[t] = loss / 2


def fill_table(Tiles tiles, Rows rows, int target, float[:, ::1] residual, float[:, ::1] lag):
    """Set the table to the residuals, rounded to 16 bits a tile, and return its exact uncentred gradient sum.

    Returns (sum_i weight_i table_i g_ij in float64, sum_i weight_i table_i).
    """
    cdef size_t t, slot, n = tiles.padded
    cdef int i, count
    cdef double total = 0
    cdef double[TILE] values
    cdef TileSum sums = TileSum(tiles)
    out = np.zeros(n)
    cdef double[::1] view = out
    if n == 0:
        return out, total
    with nogil:
        for t in range(tiles.n_tiles):
            if t % tiles_between_signals(tiles) == 0:
                with gil:
                    PyErr_CheckSignals()
            count = tiles.rows_in(t)
            for i in range(count):
                slot = t * TILE + i
                values[i] = rows.weight(slot) * residual[target, slot]
            sums.load(values, count)
            for i in range(count):
                lag[target, t * TILE + i] = <float> values[i] - sums.kept(i)
            sums.add(tiles, t, &view[0])
            total += sums.total
    return out, total
