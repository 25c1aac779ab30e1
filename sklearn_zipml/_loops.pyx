"""The passes over tiled data: dot products, gradients and the epochs of the solvers, with the GIL released.

All vectors of columns live in code space: z = step * coefficient, so that a prediction is sum_j g_ij z_j with g the
stored grid position, and the gradient of column j is sum_i r_i (g_ij - centre_j). Vectors of rows are in slot order.
"""

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite

from sklearn_zipml._kernels cimport (
    ZML_DOT_COLUMNS, ZML_PLANE_ROWS, Tiles, active_kernels, int8_t, int32_t, int64_t, uint8_t, uint64_t,
    zml_grid_planes, zml_kernels, zml_step,
)

cdef extern from "rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)

cdef enum:
    TILE = 64
    # A pass looks for signals, and folds float32 sums into double ones, every so many tiles.
    FOLD_TILES = 16


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

    cdef bint load(self, const float *values, float largest, int bits, uint64_t key) noexcept nogil:
        """Quantize `values`, whose largest magnitude is given; False if they are not finite."""
        cdef size_t j
        cdef double total = 0
        if self.packed:
            self.n_planes = zml_grid_planes(bits)
            self.scale = self.kernels.quantize(values, self.n, largest, bits, key, &self.planes[0, 0], self.n,
                                               &self.centre[0], &self.centre_sum)
            return isfinite(self.scale)
        for j in range(self.n):
            self.values[j] = values[j]
        if bits:
            self.kernels.round(&self.values[0], NULL, self.n, bits, key)
        for j in range(self.n):
            total += <double> self.centre[j] * self.values[j]
        self.scale, self.centre_sum = 1, total
        return isfinite(total)

    cdef void dot(self, Tiles tiles, size_t t, int first, int last, double *out) noexcept nogil:
        """Centred products of the rows of planes first..last-1 of a tile with the vector."""
        cdef int32_t[2][TILE] sums
        cdef size_t column, count, codes = tiles.table.shape[0] // self.n if self.n else 0
        cdef const uint8_t *tile = tiles.tile(t)
        cdef int i, start = first * ZML_PLANE_ROWS, stop = last * ZML_PLANE_ROWS
        if not self.packed:
            self.kernels.dot_float(<const float *> tile, self.n, &self.values[0], first, last, out)
            for i in range(start, stop):
                out[i] -= self.centre_sum
            return
        for i in range(start, stop):
            out[i] = -self.centre_sum
        column = 0
        while column < self.n:
            count = min(<size_t> ZML_DOT_COLUMNS, self.n - column)
            self.kernels.dot[tiles.width](tile + column * TILE // 8 * tiles.width,
                                          &tiles.table[column * codes] if codes else NULL, count,
                                          &self.planes[0, column], self.n, self.n_planes, first, last, &sums[0][0])
            if self.n_planes == 2:
                for i in range(start, stop):
                    out[i] += 256 * <double> sums[0][i] + sums[1][i]
            else:
                for i in range(start, stop):
                    out[i] += sums[0][i]
            column += count
        for i in range(start, stop):
            out[i] *= self.scale


cdef class Batch:
    """Row weights of a batch on their way into the gradient kernels, and the gradient that comes out."""

    cdef const zml_kernels *kernels
    cdef size_t n
    cdef bint packed
    cdef int8_t[2][TILE] planes
    cdef float[TILE] values
    cdef int32_t[:, ::1] sums
    cdef double[::1] float_sums
    cdef float[::1] gradient
    cdef int n_planes
    cdef float scale, total

    def __init__(self, Tiles tiles):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != 32
        self.sums = np.zeros((2, self.n), dtype=np.int32)
        self.float_sums = np.zeros(self.n)
        self.gradient = np.zeros(self.n, dtype=np.float32)

    cdef bint load(self, const float *weights, int start, int count, int end, int bits, uint64_t key) noexcept nogil:
        """Quantize weights of rows start..start+count-1, zero those up to end; False if they are not finite.

        Afterwards `values` holds what the planes stand for. start and end are multiples of 16.
        """
        cdef int i, stop = start + count
        cdef int32_t total = 0
        cdef double float_total = 0
        cdef float top
        for i in range(count):
            self.values[start + i] = weights[i]
        for i in range(stop, end):
            self.values[i] = 0
        if self.packed:
            self.n_planes = zml_grid_planes(bits)
            top = self.kernels.largest(&self.values[start], end - start)
            self.scale = self.kernels.quantize(&self.values[start], end - start, top, bits, key, &self.planes[0][start],
                                               TILE, NULL, NULL)
            for i in range(stop, end):  # one bit knows no zero
                self.planes[0][i] = self.planes[1][i] = 0
            if self.n_planes == 2:
                for i in range(start, end):
                    total += 256 * <int32_t> self.planes[0][i] + self.planes[1][i]
                    self.values[i] = self.scale * <float> (256 * <int32_t> self.planes[0][i] + self.planes[1][i])
            else:
                for i in range(start, end):
                    total += self.planes[0][i]
                    self.values[i] = self.scale * <float> self.planes[0][i]
            self.total = self.scale * <float> total
            return isfinite(self.scale)
        if bits:
            self.kernels.round(&self.values[start], NULL, end - start, bits, key)
            for i in range(stop, end):
                self.values[i] = 0
        for i in range(start, stop):
            float_total += self.values[i]
        self.total = <float> float_total
        return isfinite(float_total)

    cdef void reduce(self, Tiles tiles, size_t t, int first, int last) noexcept nogil:
        """Integer sums over the rows of planes first..last-1 of a tile."""
        cdef const uint8_t *tile = tiles.tile(t)
        if self.packed:
            self.kernels.gradient[tiles.width](tile, &tiles.table[0] if tiles.table.shape[0] else NULL, self.n,
                                               &self.planes[0][0], self.n_planes, first, last, &self.sums[0, 0],
                                               self.n)
        else:
            self.kernels.gradient_float(<const float *> tile, self.n, &self.values[0], first, last,
                                        &self.float_sums[0])

    cdef void centred(self, const float *centre) noexcept nogil:
        """Turn the sums into the centred float32 gradient."""
        if self.packed:
            self.kernels.batch_gradient(&self.sums[0, 0], self.n, self.n_planes, centre, self.n, self.scale, self.total,
                                        &self.gradient[0])
        else:
            self.kernels.batch_gradient_float(&self.float_sums[0], centre, self.n, self.total, &self.gradient[0])

    cdef double sum_of(self, size_t j) noexcept nogil:
        """Uncentred sum of column j, in double."""
        if not self.packed:
            return self.float_sums[j]
        if self.n_planes == 2:
            return self.scale * <double> (256 * self.sums[0, j] + self.sums[1, j])
        return self.scale * <double> self.sums[0, j]


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
            vector.load(&limb_values[0], vector.largest(&limb_values[0]), 0, 0)
            for j in range(n):
                rest[j] -= value_of(vector, j)
            for t in range(first, last):
                if t % FOLD_TILES == 0:
                    with gil:
                        PyErr_CheckSignals()
                vector.dot(tiles, t, 0, 4, part)
                for i in range(TILE):
                    view[(t - first) * TILE + i] += part[i]
    return out


cdef inline double value_of(Vector vector, size_t j) noexcept nogil:
    """What the kernels take component j of a loaded vector of 16 bits for."""
    if vector.packed:
        return vector.scale * (256 * <int32_t> vector.planes[0, j] + vector.planes[1, j])
    return vector.values[j]


def row_sums(Tiles tiles, const double[::1] weights, size_t first, size_t last, int limbs=1):
    """sum_i weights_i g_ij over the rows of tiles first..last-1; weights in slot order from tile `first` on.

    Weights are taken as `limbs` 16-bit fixed-point vectors a tile.
    """
    cdef size_t t, j, n = tiles.padded
    cdef int i, _limb, rows
    out = np.zeros(n)
    cdef double[::1] view = out
    cdef double[TILE] rest
    cdef float[TILE] limb_values
    cdef Batch batch = Batch(tiles)
    if n == 0:
        return out
    with nogil:
        for t in range(first, last):
            if t % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
            rows = tiles.rows_in(t)
            for i in range(rows):
                rest[i] = weights[(t - first) * TILE + i]
            for _limb in range(limbs):
                for i in range(rows):
                    limb_values[i] = <float> rest[i]
                batch.load(limb_values, 0, rows, TILE, 0, 0)
                for i in range(rows):
                    rest[i] -= batch.values[i]
                batch.reduce(tiles, t, 0, 4)
                for j in range(n):
                    view[j] += batch.sum_of(j)
    return out


def row_norms(Tiles tiles, const double[::1] centre, const double[::1] unit):
    """Squared norms of the rows (g_ij - centre_j) * unit_j, float32 in slot order."""
    cdef size_t t, j, d = tiles.n_columns
    cdef int i
    out = np.zeros(tiles.n_tiles * TILE, dtype=np.float32)
    cdef float[::1] view = out
    cdef float delta
    cdef float[::1] shift = np.asarray(centre, dtype=np.float32), scale = np.asarray(unit, dtype=np.float32)
    cdef const float *values
    for t in range(tiles.n_tiles):
        if t % FOLD_TILES == 0:
            PyErr_CheckSignals()
        if tiles.width == 32:
            values = <const float *> tiles.tile(t)
            for j in range(d):
                for i in range(TILE):
                    delta = (values[j * TILE + i] - shift[j]) * scale[j]
                    view[t * TILE + i] += delta * delta
        else:
            block = (tiles.positions(t, t + 1).astype(np.float32) - shift) * scale
            out[t * TILE : t * TILE + len(block)] = np.einsum("ij,ij->i", block, block)
    out[tiles.n_rows :] = 0
    return out


def code_weights(Tiles tiles, const double[::1] weights):
    """Summed weights of the rows that have each code, float64 (columns, codes); weights in slot order."""
    cdef size_t t, j, d = tiles.n_columns
    cdef int i, rows
    cdef uint8_t[:, ::1] codes = np.empty((TILE, max(1, tiles.padded)), dtype=np.uint8)
    out = np.zeros((d, 1 << tiles.width))
    cdef double[:, ::1] view = out
    with nogil:
        for t in range(tiles.n_tiles):
            if t % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
            rows = tiles.rows_in(t)
            tiles.unpack(t, &codes[0, 0])
            for j in range(d):
                for i in range(rows):
                    view[j, codes[i, j]] += weights[t * TILE + i]
    return out


cdef class Rows:
    """What an epoch knows of the rows, in slot order: targets (targets, slots) and weights (empty: all one)."""

    cdef const float[:, ::1] targets
    cdef const float[::1] weights
    cdef bint weighted

    def __init__(self, const float[:, ::1] targets, const float[::1] weights):
        self.targets, self.weights, self.weighted = targets, weights, weights.shape[0] > 0

    cdef inline float weight(self, size_t slot) noexcept nogil:
        return self.weights[slot] if self.weighted else 1


def anchor_pass(Tiles tiles, Rows rows, int target, double[::1] anchor, const float[::1] centre,
                float[:, ::1] residual, float[:, ::1] lag, int limbs=1):
    """Residuals of an anchor, at full precision, and half their weighted sum of squares.

    anchor (float64, one target's z) is rounded in place to the grid of `limbs` 16-bit fixed-point vectors, so that its
    products are exact. The weighted lag of the table, weight * (residual - table), follows the residual.
    """
    cdef size_t t, slot, j, n = tiles.padded
    cdef int i
    cdef double loss = 0, exact
    cdef float fresh, change
    cdef double[TILE] high, low
    cdef double[::1] rest = np.array(anchor)
    cdef float[::1] values = np.asarray(anchor, dtype=np.float32)
    cdef Vector first = Vector(tiles, centre), second = Vector(tiles, centre)
    if not first.load(&values[0], first.largest(&values[0]), 0, 0):
        return float("nan")
    for j in range(n):
        anchor[j] = value_of(first, j)
        values[j] = <float> (rest[j] - anchor[j])
    if limbs > 1:
        second.load(&values[0], second.largest(&values[0]), 0, 0)
        for j in range(n):
            anchor[j] += value_of(second, j)
    for i in range(TILE):
        low[i] = 0
    with nogil:
        for t in range(tiles.n_tiles):
            if t % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
            first.dot(tiles, t, 0, 4, high)
            if limbs > 1:
                second.dot(tiles, t, 0, 4, low)
            for i in range(tiles.rows_in(t)):
                slot = t * TILE + i
                exact = high[i] + low[i] - rows.targets[target, slot]
                fresh = <float> exact
                change = fresh - residual[target, slot]
                residual[target, slot] = fresh
                lag[target, slot] += rows.weight(slot) * change
                loss += rows.weight(slot) * exact * exact
    return loss / 2


def fill_table(Tiles tiles, Rows rows, int target, float[:, ::1] residual, float[:, ::1] lag):
    """Set the table to the residuals, rounded to 16 bits a tile, and return its exact uncentred gradient sum.

    Returns (sum_i weight_i table_i g_ij in float64, sum_i weight_i table_i).
    """
    cdef size_t t, slot, j, n = tiles.padded
    cdef int i, count
    cdef double total = 0
    cdef float[TILE] values
    cdef Batch batch = Batch(tiles)
    out = np.zeros(n)
    cdef double[::1] view = out
    with nogil:
        for t in range(tiles.n_tiles):
            if t % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
            count = tiles.rows_in(t)
            for i in range(count):
                slot = t * TILE + i
                values[i] = rows.weight(slot) * residual[target, slot]
            batch.load(values, 0, count, TILE, 0, 0)
            for i in range(count):
                lag[target, t * TILE + i] = values[i] - batch.values[i]
            batch.reduce(tiles, t, 0, 4)
            for j in range(n):
                view[j] += batch.sum_of(j)
            total += batch.total
    return out, total


cdef class Shrinkage:
    """The proximal step of an l1 penalty: thresholds, and what offsets are relative to, (targets, padded columns)."""

    cdef const float[:, ::1] threshold, anchor

    def __init__(self, const float[:, ::1] threshold, const float[:, ::1] anchor):
        self.threshold, self.anchor = threshold, anchor

    cdef inline float apply(self, const zml_kernels *kernels, size_t k, size_t n, float *offset) noexcept nogil:
        """Shrink the offset of a target and return its largest magnitude."""
        return kernels.shrink(n, &self.threshold[k, 0], &self.anchor[k, 0], offset)


cdef zml_step make_rule(const float[::1] keep, const float[::1] step, double batch_weight, double table_weight):
    cdef zml_step rule
    rule.n, rule.keep, rule.step = keep.shape[0], &keep[0], &step[0]
    rule.batch_weight, rule.table_weight = <float> batch_weight, <float> table_weight
    return rule


def saga_epoch(Tiles tiles, Rows rows, const int64_t[::1] order, int batch_rows, const float[::1] centre,
               const float[::1] keep, const float[::1] step, double batch_weight, double table_weight, int model_bits,
               int gradient_bits, uint64_t seed, float[:, ::1] lag, const double[:, ::1] pull, double[:, ::1] mean,
               float[:, ::1] offset, Shrinkage l1=None):
    """One epoch of anchored SAGA over the tiles in `order`; False if it ran out of the finite numbers.

    offset (targets, columns) is z - anchor and moves; mean is the mean gradient of the table, kept in double; pull is
    the gradient of l2 penalty and compensation at the anchor; l1 shrinks z after every step. model_bits and
    gradient_bits 0 mean 16, to nearest.
    """
    cdef size_t n_targets = offset.shape[0], n = tiles.padded, position, t, j, k, slot
    cdef int piece, first, last, start, count, i, planes = batch_rows // ZML_PLANE_ROWS, pieces = (3 + planes) // planes
    cdef uint64_t counter = 0
    cdef bint shrinks = l1 is not None
    cdef double[TILE] product
    cdef float[TILE] change
    cdef float[:, ::1] drift = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[:, ::1] total = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[::1] largest = np.empty(n_targets, dtype=np.float32)
    cdef Vector model = Vector(tiles, centre)
    cdef Batch batch = Batch(tiles)
    cdef zml_step rule = make_rule(keep, step, batch_weight, table_weight)
    with nogil:
        for k in range(n_targets):
            largest[k] = model.largest(&offset[k, 0])
        for position in range(<size_t> order.shape[0]):
            if position % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
                for k in range(n_targets):
                    for j in range(n):
                        mean[k, j] += drift[k, j]
                        drift[k, j] = 0
                        total[k, j] = <float> (mean[k, j] + pull[k, j])
            t = order[position]
            for piece in range(pieces):
                first, last = piece * planes, min(4, (piece + 1) * planes)
                start = first * ZML_PLANE_ROWS
                count = min(batch_rows, tiles.rows_in(t) - start)
                if count <= 0:
                    break
                for k in range(n_targets):
                    counter += 1
                    if not model.load(&offset[k, 0], largest[k], model_bits, zml_mix64(seed + 2 * counter)):
                        with gil:
                            return False
                    model.dot(tiles, t, first, last, product)
                    for i in range(count):
                        slot = t * TILE + start + i
                        change[i] = lag[k, slot] + rows.weight(slot) * <float> product[start + i]
                    if not batch.load(change, start, count, last * ZML_PLANE_ROWS, gradient_bits,
                                      zml_mix64(seed + 2 * counter + 1)):
                        with gil:
                            return False
                    # the table follows the quantized change, so that its mean gradient stays exact
                    for i in range(count):
                        lag[k, t * TILE + start + i] -= batch.values[start + i]
                    batch.reduce(tiles, t, first, last)
                    batch.centred(&centre[0])
                    largest[k] = model.kernels.saga_step(&rule, &batch.gradient[0], &total[k, 0], &drift[k, 0],
                                                         &offset[k, 0])
                    if shrinks:
                        largest[k] = l1.apply(model.kernels, k, n, &offset[k, 0])
        for k in range(n_targets):
            for j in range(n):
                mean[k, j] += drift[k, j]
    return True


def sgd_epoch(Tiles tiles, Rows rows, const int64_t[::1] order, int batch_rows, const float[::1] centre,
              const float[::1] keep, const float[::1] step, double batch_weight, int model_bits, int gradient_bits,
              uint64_t seed, const float[::1] unit, float[:, ::1] model_values, double[:, ::1] average,
              Shrinkage l1=None):
    """One epoch of mini-batch SGD; `average` gets the mean of its iterates. False if it ran out of the finite numbers.

    gradient_bits rounds the gradient vector, scaled by `unit` to the solver's scaled columns; l1 shrinks the model
    before every step.
    """
    cdef size_t n_targets = model_values.shape[0], n = tiles.padded, position, t, j, k, slot, steps = 0
    cdef int piece, first, last, start, count, i, planes = batch_rows // ZML_PLANE_ROWS, pieces = (3 + planes) // planes
    cdef uint64_t counter = 0
    cdef bint shrinks = l1 is not None
    cdef double[TILE] product
    cdef float[TILE] residual
    cdef float[:, ::1] total = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[::1] largest = np.empty(n_targets, dtype=np.float32)
    cdef Vector model = Vector(tiles, centre)
    cdef Batch batch = Batch(tiles)
    cdef zml_step rule = make_rule(keep, step, batch_weight, 0)
    average[:, :] = 0
    with nogil:
        for k in range(n_targets):
            largest[k] = model.largest(&model_values[k, 0])
        for position in range(<size_t> order.shape[0]):
            if position % FOLD_TILES == 0:
                with gil:
                    PyErr_CheckSignals()
                for k in range(n_targets):
                    for j in range(n):
                        average[k, j] += total[k, j]
                        total[k, j] = 0
            t = order[position]
            for piece in range(pieces):
                first, last = piece * planes, min(4, (piece + 1) * planes)
                start = first * ZML_PLANE_ROWS
                count = min(batch_rows, tiles.rows_in(t) - start)
                if count <= 0:
                    break
                steps += 1
                for k in range(n_targets):
                    counter += 1
                    if shrinks:
                        largest[k] = l1.apply(model.kernels, k, n, &model_values[k, 0])
                    if not model.load(&model_values[k, 0], largest[k], model_bits,
                                      zml_mix64(seed + 2 * counter)):
                        with gil:
                            return False
                    model.dot(tiles, t, first, last, product)
                    for i in range(count):
                        slot = t * TILE + start + i
                        residual[i] = rows.weight(slot) * <float> (product[start + i] - rows.targets[k, slot])
                    if not batch.load(residual, start, count, last * ZML_PLANE_ROWS, 0, 0):
                        with gil:
                            return False
                    batch.reduce(tiles, t, first, last)
                    batch.centred(&centre[0])
                    if gradient_bits:
                        model.kernels.round(&batch.gradient[0], &unit[0], n, gradient_bits,
                                            zml_mix64(seed + 2 * counter + 1))
                    largest[k] = model.kernels.sgd_step(&rule, &batch.gradient[0], &model_values[k, 0], &total[k, 0])
        for k in range(n_targets):
            for j in range(n):
                average[k, j] = (average[k, j] + total[k, j]) / steps
    return True
