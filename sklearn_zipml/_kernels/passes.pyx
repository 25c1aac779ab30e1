"""Passes over tiled data at full precision: products with rows, sums over rows, anchors; with the GIL released.

All vectors of columns live in code space: z = step * coefficient, so that a prediction is sum_j g_ij z_j with g the
stored grid position, and the gradient of column j is sum_i r_i (g_ij - centre_j). Vectors of rows are in slot order.
"""

import numpy as np

cimport cython
from libc.math cimport isfinite

from sklearn_zipml._kernels.active cimport (
    ZML_DOT_COLUMNS, active_kernels, zml_digits, zml_grid_digits, zml_kernels, zml_rounding, zml_row_products,
    zml_samples,
)
from sklearn_zipml._kernels.checks cimport require
from sklearn_zipml._kernels.tiles cimport (
    ZML_FLOAT_WIDTH, ZML_GROUP_COLUMNS, ZML_PLANE_ROWS, ZML_TILE_ROWS, Tiles, int8_t, int32_t, int64_t, uint8_t,
    zml_outliers, zml_seeds_of,
)

cdef extern from "format/tile.h" nogil:
    void zml_unpack_group(const uint8_t *tile, size_t group, int width, uint8_t *codes)

cdef extern from "passes/outliers.h" nogil:
    ctypedef struct zml_batch_outliers:
        const zml_outliers *outliers
        size_t tile
        size_t first_column
        size_t columns
        int first
        int last
    void zml_add_outlier_products(const zml_batch_outliers *b, const zml_digits *vector, double scale, double *products)
    void zml_add_outlier_row_sums(const zml_outliers *o, size_t tile, const double *weights, double *sums)

cdef extern from "passes/row_norms.h" nogil:
    void zml_add_squares_of_bytes(const uint8_t *tile, size_t padded_columns, const float *centre, const float *unit,
                                  float *sums)
    void zml_add_squares_of_floats(const float *tile, size_t padded_columns, const float *centre, const float *unit,
                                   float *sums)

cdef enum:
    TILE = ZML_TILE_ROWS
    GROUP = ZML_GROUP_COLUMNS
    # A sum over rows is made and used in blocks of so many columns, which stay in the first-level cache meanwhile.
    BLOCK = 256
    # Sums by code are made in blocks of columns whose sums stay in the second-level cache.
    COUNTER_BYTES = 1 << 17


cdef class Rows:
    """What an epoch knows of the rows, in slot order: targets (targets, slots) and weights (empty: all one)."""

    def __init__(self, const float[:, ::1] targets, const float[::1] weights):
        self.targets, self.weights, self.weighted = targets, weights, weights.shape[0] > 0


@cython.final
cdef class Vector:
    """A model-sized vector on its way into the kernels: fixed-point digits for codes, floats for float tiles."""

    cdef const zml_kernels *kernels
    cdef size_t n
    cdef bint packed
    cdef int8_t[:, ::1] digits
    cdef float[::1] values
    cdef const float[::1] centre
    cdef int n_digits
    cdef double scale, centre_sum

    def __init__(self, Tiles tiles, const float[::1] centre=None):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != ZML_FLOAT_WIDTH
        require(centre is None or <size_t> centre.shape[0] >= self.n, "columns without a centre")
        self.centre = np.zeros(self.n, dtype=np.float32) if centre is None else centre
        self.digits = np.zeros((2, self.n), dtype=np.int8)
        self.values = np.zeros(self.n, dtype=np.float32)

    cdef float largest(self, const float *values) noexcept nogil:
        """Largest magnitude, infinite if a value is not finite."""
        return self.kernels.largest(values, self.n)

    cdef bint load(self, const float *values, float largest, int bits) noexcept nogil:
        """Take `values`, whose largest magnitude is given, at 8 bits, or 16 if bits is 0; False if not finite."""
        cdef size_t j
        cdef double total = 0
        cdef zml_rounding rounding
        cdef zml_digits digits
        if self.packed:
            self.n_digits = zml_grid_digits(bits)
            rounding.top, rounding.bits, rounding.first, rounding.key = largest, bits, 0, 0
            digits.digits, digits.stride, digits.n_digits = &self.digits[0, 0], self.n, self.n_digits
            self.scale = self.kernels.quantize(values, self.n, &rounding, &digits, &self.centre[0], &self.centre_sum)
            return isfinite(self.scale)
        for j in range(self.n):
            self.values[j] = values[j]
            total += <double> self.centre[j] * self.values[j]
        self.scale, self.centre_sum = 1, total
        return isfinite(total)

    cdef void dot(self, Tiles tiles, size_t t, int first, int last, double *out) noexcept nogil:
        """Centred products of the rows of planes first..last-1 of a tile with the vector."""
        cdef int32_t[2][TILE] sums
        cdef size_t column = 0, codes = tiles.table.shape[0] // self.n if self.n else 0
        cdef const uint8_t *tile = tiles.tile(t)
        cdef zml_samples x
        cdef zml_digits digits
        cdef zml_batch_outliers outliers
        cdef int i
        cdef double shift = self.centre_sum
        if not self.packed:
            self.kernels.dot_float(<const float *> tile, self.n, &self.values[0], first, last, out)
            for i in range(first * ZML_PLANE_ROWS, last * ZML_PLANE_ROWS):
                out[i] -= shift
            return
        for i in range(first * ZML_PLANE_ROWS, last * ZML_PLANE_ROWS):
            out[i] = 0
        x.first, x.last, x.ahead, x.seeds = first, last, NULL, zml_seeds_of(tile, tiles.padded, tiles.format)
        digits.stride, digits.n_digits = self.n, self.n_digits
        while column < self.n:
            x.tile = tile + column * TILE // 8 * tiles.width
            x.table = &tiles.table[column * codes] if codes else NULL
            x.columns = min(<size_t> ZML_DOT_COLUMNS, self.n - column)
            digits.digits = &self.digits[0, column]
            self.kernels.dot[tiles.format](&x, &digits, &sums[0][0])
            self.kernels.add_products(&sums[0][0], self.n_digits, first, last, self.scale, shift, out)
            shift = 0
            if tiles.apart.starts != NULL:
                outliers.outliers, outliers.tile, outliers.first, outliers.last = &tiles.apart, t, first, last
                outliers.first_column, outliers.columns = column, x.columns
                zml_add_outlier_products(&outliers, &digits, self.scale, out)
            column += x.columns


@cython.final
cdef class TileSum:
    """Weights of a tile's rows at 16 bits, and the sums over rows that they give, by blocks of columns."""

    cdef const zml_kernels *kernels
    cdef size_t n, codes
    cdef bint packed
    cdef int8_t[2][TILE] digits
    cdef float[TILE] values
    cdef double[TILE] kept  # what the weights were rounded to
    cdef int32_t[2][BLOCK] sums
    cdef double[BLOCK] float_sums
    cdef float scale, total

    def __init__(self, Tiles tiles):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != ZML_FLOAT_WIDTH
        self.codes = tiles.table.shape[0] // self.n if self.n else 0

    cdef bint load(self, const double *weights, int rows) noexcept nogil:
        """Take the weights of the tile's rows, to nearest; False if they are not finite."""
        cdef float[TILE] none
        cdef double[TILE] padded
        cdef double total = 0
        cdef zml_row_products products
        cdef int i
        for i in range(TILE):
            none[i] = 0
            padded[i] = weights[i] if i < rows else 0
        if self.packed:
            products.products, products.weights, products.count, products.end = padded, NULL, rows, TILE
            self.scale = self.kernels.sgd_rows(&products, none, &self.digits[0][0], &self.total)
            total = self.scale
            for i in range(TILE):
                self.kept[i] = total * (256 * <int32_t> self.digits[0][i] + self.digits[1][i])
            return isfinite(self.scale)
        for i in range(TILE):
            self.values[i] = <float> padded[i]
            self.kept[i] = self.values[i]
            total += self.values[i]
        self.total = <float> total
        return isfinite(total)

    cdef void add(self, Tiles tiles, size_t t, double *out) noexcept nogil:
        """Add the sums of all columns, not centred."""
        cdef size_t j, column
        cdef zml_samples x
        column, x.first, x.last, x.ahead = 0, 0, 4, NULL
        x.seeds = zml_seeds_of(tiles.tile(t), tiles.padded, tiles.format)
        while column < self.n:
            x.columns = min(<size_t> BLOCK, self.n - column)
            x.tile = tiles.tile(t) + column * TILE // 8 * tiles.width
            x.table = &tiles.table[column * self.codes] if self.codes else NULL
            if self.packed:
                self.kernels.gradient[tiles.format](&x, &self.digits[0][0], 2, &self.sums[0][0], BLOCK)
                self.kernels.add_sums(&self.sums[0][0], BLOCK, 2, x.columns, self.scale, out + column)
            else:
                self.kernels.gradient_float(<const float *> x.tile, x.columns, &self.values[0], 0, 4,
                                            &self.float_sums[0])
                for j in range(x.columns):
                    out[column + j] += self.float_sums[j]
            column += BLOCK
        if tiles.apart.starts != NULL:
            zml_add_outlier_row_sums(&tiles.apart, t, self.kept, out)


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
    cdef size_t left = 1
    tiles.require_span(first, last)
    require(<size_t> z.shape[0] <= n, "more values than columns")
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
                tiles.look_in_time(&left)
                vector.dot(tiles, t, 0, 4, part)
                for i in range(TILE):
                    view[(t - first) * TILE + i] += part[i]
    return out


cdef inline double value_of(Vector vector, size_t j) noexcept nogil:
    """What the kernels take component j of a loaded vector for."""
    if vector.packed and vector.n_digits == 1:
        return vector.scale * vector.digits[0, j]
    if vector.packed:
        return vector.scale * (256 * <int32_t> vector.digits[0, j] + vector.digits[1, j])
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
    cdef size_t left = 1
    tiles.require_span(first, last)
    require(<size_t> weights.shape[0] >= tiles.rows_before(last) - tiles.rows_before(first), "rows without a weight")
    if n == 0:
        return out
    with nogil:
        for t in range(first, last):
            tiles.look_in_time(&left)
            rows = tiles.rows_in(t)
            for i in range(rows):
                rest[i] = weights[(t - first) * TILE + i]
            for _limb in range(limbs):
                sums.load(rest, rows)
                for i in range(rows):
                    rest[i] -= sums.kept[i]
                sums.add(tiles, t, &view[0])
    return out


def row_norms(Tiles tiles, const float[::1] centre, const float[::1] unit, size_t first, size_t last):
    """Squared norms of the rows (g_ij - centre_j) * unit_j of tiles first..last-1 of bytes or floats, float32.

    centre and unit have an element for every padded column. Outliers count as what their codes stand for.
    """
    cdef size_t t
    out = np.zeros((last - first) * TILE, dtype=np.float32)
    cdef float[::1] view = out
    cdef size_t left = 1
    if tiles.width < 8:
        raise ValueError("codes are not grid positions")
    tiles.require_span(first, last)
    require(<size_t> min(centre.shape[0], unit.shape[0]) >= tiles.padded, "columns without a centre or a unit")
    if tiles.padded == 0 or last <= first:
        return out
    with nogil:
        for t in range(first, last):
            tiles.look_in_time(&left)
            if tiles.width == ZML_FLOAT_WIDTH:
                zml_add_squares_of_floats(<const float *> tiles.tile(t), tiles.padded, &centre[0], &unit[0],
                                          &view[(t - first) * TILE])
            else:
                zml_add_squares_of_bytes(tiles.tile(t), tiles.padded, &centre[0], &unit[0], &view[(t - first) * TILE])
    return out


def code_weights(Tiles tiles, const double[::1] weights, size_t column=0, size_t end=-1):
    """Summed weights of the rows that have each code, float64 (columns, codes); weights in slot order.

    Of the columns column..end-1, column being a multiple of GROUP.
    """
    end = min(end, tiles.n_columns)
    require(column % GROUP == 0 and column <= end, "columns that begin within a group, or end before")
    cdef size_t t, group, d = end - column, start = column // GROUP, first = start, last
    cdef size_t groups = start + (d + GROUP - 1) // GROUP
    cdef size_t block = 1 + COUNTER_BYTES // (8 * GROUP << tiles.width)
    cdef int i, k, rows, count, n_codes = 1 << tiles.width
    cdef uint8_t[TILE * GROUP] codes
    out = np.zeros((d, n_codes))
    cdef double[:, ::1] view = out
    cdef double *sums
    cdef double weight
    cdef size_t left = 1
    require(tiles.width < 32 and <size_t> weights.shape[0] >= tiles.n_rows, "rows without a weight")
    with nogil:
        while first < groups:
            last = min(groups, first + block)
            for t in range(tiles.n_tiles):
                tiles.look_in_time(&left)
                rows = tiles.rows_in(t)
                for group in range(first, last):
                    zml_unpack_group(tiles.tile(t), group, tiles.width, codes)
                    sums = &view[(group - start) * GROUP, 0]
                    count = <int> min(<size_t> GROUP, end - group * GROUP)
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


cdef class Move:
    """A move of one target's z and its image p, what it adds to the products with the rows.

    values (float64, padded columns) are rounded in place to the 16-bit fixed-point vector that the kernels multiply
    with. finite tells whether they all were finite.
    """

    cdef Vector vector
    cdef readonly bint finite

    def __init__(self, Tiles tiles, double[::1] values, const float[::1] centre):
        cdef size_t j, n = tiles.padded
        require(<size_t> values.shape[0] == n, "a move of other columns")
        cdef float[::1] part = np.asarray(values, dtype=np.float32)
        self.vector = Vector(tiles, centre)
        self.finite = n == 0 or self.vector.load(&part[0], self.vector.largest(&part[0]), 0)
        if n and self.finite:
            for j in range(n):
                values[j] = value_of(self.vector, j)

    def add(self, Tiles tiles, Rows rows, const int64_t[::1] bounds, size_t first, size_t last, int limbs,
            double[:, ::1] sums, double[::1] totals):
        """Add up sum_i w_i p_i g_ij, (parts, padded columns), and sum_i w_i p_i, by parts first..last-1.

        Part k has tiles bounds[k]..bounds[k + 1]-1. w p is taken as `limbs` 16-bit fixed-point vectors a tile.
        """
        cdef size_t t, part
        cdef int i, count, _limb
        cdef double[TILE] values
        cdef TileSum tile_sum = TileSum(tiles)
        cdef size_t left = 1, end = bounds[last] if first < last < <size_t> bounds.shape[0] else 0
        require(self.vector.n == tiles.padded, "a move of other columns")
        require(rows.holds(tiles.n_rows), "rows without a weight")
        require(first <= last < <size_t> bounds.shape[0] and end <= tiles.n_tiles, "tiles that there are not")
        require(<size_t> min(sums.shape[0], totals.shape[0]) >= last and <size_t> sums.shape[1] >= tiles.padded,
                "no room for the sums")
        if tiles.padded == 0:
            return
        with nogil:
            for part in range(first, last):
                for t in range(<size_t> bounds[part], <size_t> bounds[part + 1]):
                    tiles.look_in_time(&left)
                    count = tiles.rows_in(t)
                    self.vector.dot(tiles, t, 0, 4, values)
                    for i in range(count):
                        values[i] *= rows.weight(t * TILE + i)
                    for _limb in range(limbs):
                        tile_sum.load(values, count)
                        for i in range(count):
                            values[i] -= tile_sum.kept[i]
                        tile_sum.add(tiles, t, &sums[part, 0])
                        totals[part] += tile_sum.total
