"""The passes over tiled data: dot products, gradients and the epochs of the solvers, with the GIL released.

All vectors of columns live in code space: z = step * coefficient, so that a prediction is sum_j g_ij z_j with g the
stored grid position, and the gradient of column j is sum_i r_i (g_ij - centre_j). Vectors of rows are in slot order.
"""

import numpy as np

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite

from sklearn_zipml._kernels cimport (
    ZML_DOT_COLUMNS, ZML_PLANE_ROWS, Tiles, active_kernels, int8_t, int32_t, int64_t, uint8_t, uint64_t, zml_batch,
    zml_grid_planes, zml_kernels, zml_step,
)

cdef extern from "rng.h" nogil:
    uint64_t zml_mix64(uint64_t x)

cdef extern from "compiler.h" nogil:
    void ZML_PREFETCH(const void *address)

cdef enum:
    TILE = 64
    # An epoch folds float32 sums into double ones every so many tiles.
    FOLD_TILES = 16
    # A gradient is made and used in blocks of so many columns, which stay in the first-level cache meanwhile.
    BLOCK = 256
    # A pass looks for signals after about so many values, a few milliseconds.
    SIGNAL_VALUES = 1 << 25


cdef size_t tiles_between_signals(Tiles tiles) noexcept nogil:
    return max(<size_t> 1, <size_t> SIGNAL_VALUES // (TILE * max(<size_t> 1, tiles.padded)))


cdef class Rows:
    """What an epoch knows of the rows, in slot order: targets (targets, slots) and weights (empty: all one)."""

    cdef const float[:, ::1] targets
    cdef const float[::1] weights
    cdef bint weighted

    def __init__(self, const float[:, ::1] targets, const float[::1] weights):
        self.targets, self.weights, self.weighted = targets, weights, weights.shape[0] > 0

    cdef inline float weight(self, size_t slot) noexcept nogil:
        return self.weights[slot] if self.weighted else 1

    cdef inline const float *weights_from(self, size_t slot) noexcept nogil:
        """Weights from a slot on, NULL if all are one."""
        return &self.weights[slot] if self.weighted else NULL


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
cdef class Batch:
    """Row weights of a batch on their way into the gradient kernels, and the gradient that comes out, by blocks."""

    cdef const zml_kernels *kernels
    cdef size_t n, codes
    cdef bint packed
    cdef int8_t[2][TILE] planes
    cdef float[TILE] values
    cdef int32_t[2][BLOCK] sums
    cdef double[BLOCK] float_sums
    cdef float[BLOCK] gradient
    cdef const float[::1] centre
    cdef zml_batch view

    def __init__(self, Tiles tiles, const float[::1] centre=None):
        self.kernels = active_kernels()
        self.n, self.packed = tiles.padded, tiles.width != 32
        self.codes = tiles.table.shape[0] // self.n if self.n else 0
        self.centre = np.zeros(self.n, dtype=np.float32) if centre is None else centre
        self.view.sums, self.view.stride, self.view.gradient = &self.sums[0][0], BLOCK, &self.gradient[0]
        self.view.n_planes = 0

    cdef bint load_saga(self, Rows rows, size_t slot, const double *product, float *lag, int start, int count, int end,
                        int bits, uint64_t key) noexcept nogil:
        """Quantize the changes lag + weight * product of rows start..start+count-1 of a tile; take them off the lag.

        product and lag are those of row `start`, which is in `slot`; the rows up to `end` get zeros. False if a change
        is not finite.
        """
        cdef int i
        cdef double total = 0
        if self.packed:
            self.view.n_planes = zml_grid_planes(bits)
            self.view.scale = self.kernels.saga_rows(product, rows.weights_from(slot), lag, count, end - start, bits,
                                                     key, &self.planes[0][start], &self.view.total)
            return isfinite(self.view.scale)
        for i in range(end - start):
            self.values[start + i] = lag[i] + rows.weight(slot + i) * <float> product[i] if i < count else 0
        if bits:
            self.kernels.round(&self.values[start], NULL, end - start, bits, key)
        for i in range(count):  # one bit knows no zero
            lag[i] -= self.values[start + i]
            total += self.values[start + i]
        for i in range(count, end - start):
            self.values[start + i] = 0
        self.view.total = <float> total
        return isfinite(total)

    cdef bint load_sgd(self, const float *weights, const double *product, const float *targets, int start, int count,
                       int end) noexcept nogil:
        """Take weight * (product - target), to nearest; as above. weights may be NULL."""
        cdef int i
        cdef float residual
        cdef double total = 0
        if self.packed:
            self.view.n_planes = 2
            self.view.scale = self.kernels.sgd_rows(product, weights, targets, count, end - start,
                                                    &self.planes[0][start], &self.view.total)
            return isfinite(self.view.scale)
        for i in range(end - start):
            residual = <float> (product[i] - targets[i]) if i < count else 0
            self.values[start + i] = weights[i] * residual if weights != NULL else residual
            total += self.values[start + i]
        self.view.total = <float> total
        return isfinite(total)

    cdef bint load_tile(self, const double *weights, int rows) noexcept nogil:
        """Take the weights of a whole tile's rows, to nearest."""
        cdef float[TILE] none
        cdef double[TILE] padded
        cdef int i
        for i in range(TILE):
            none[i] = 0
            padded[i] = weights[i] if i < rows else 0
        return self.load_sgd(NULL, padded, none, 0, rows, TILE)

    cdef float kept(self, int i) noexcept nogil:
        """What row i's weight was rounded to."""
        if not self.packed:
            return self.values[i]
        if self.view.n_planes == 2:
            return self.view.scale * <float> (256 * <int32_t> self.planes[0][i] + self.planes[1][i])
        return self.view.scale * <float> self.planes[0][i]

    cdef void reduce(self, Tiles tiles, size_t t, int first, int last, size_t column, size_t count,
                     const uint8_t *ahead) noexcept nogil:
        """Sums of columns column..column+count-1, a block, over the rows of planes first..last-1 of a tile.

        The same share of the tile at `ahead` (NULL for none) is fetched meanwhile.
        """
        cdef size_t offset = column * TILE // 8 * tiles.width
        self.view.centre = &self.centre[column]
        if self.packed:
            if ahead != NULL:
                ahead += (first * self.n * TILE // 8 * tiles.width + (last - first) * offset) // 4
            self.kernels.gradient[tiles.width](tiles.tile(t) + offset,
                                               &tiles.table[column * self.codes] if self.codes else NULL, count,
                                               &self.planes[0][0], self.view.n_planes, first, last, &self.sums[0][0],
                                               BLOCK, ahead)
        else:
            self.kernels.gradient_float(<const float *> (tiles.tile(t) + offset), count, &self.values[0], first, last,
                                        &self.float_sums[0])
            self.kernels.batch_gradient_float(&self.float_sums[0], self.view.centre, count, self.view.total,
                                              &self.gradient[0])

    cdef void store(self, float *out, size_t count) noexcept nogil:
        """The block's centred gradient."""
        cdef size_t j
        if self.packed:
            self.kernels.batch_gradient(&self.view, count, out)
        else:
            for j in range(count):
                out[j] = self.gradient[j]

    cdef void add_to(self, double *out, size_t count) noexcept nogil:
        """Add the block's uncentred sums, in double."""
        cdef size_t j
        if self.packed:
            self.kernels.add_sums(&self.sums[0][0], BLOCK, self.view.n_planes, count, self.view.scale, out)
        else:
            for j in range(count):
                out[j] += self.float_sums[j]

    cdef void add_tile(self, Tiles tiles, size_t t, double *out) noexcept nogil:
        """Add the uncentred sums of all columns over a tile's rows."""
        cdef size_t column, count
        column = 0
        while column < self.n:
            count = min(<size_t> BLOCK, self.n - column)
            self.reduce(tiles, t, 0, 4, column, count, NULL)
            self.add_to(out + column, count)
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
            vector.load(&limb_values[0], vector.largest(&limb_values[0]), 0, 0)
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
    """What the kernels take component j of a loaded vector of 16 bits for."""
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
    cdef Batch batch = Batch(tiles)
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
                batch.load_tile(rest, rows)
                for i in range(rows):
                    rest[i] -= batch.kept(i)
                batch.add_tile(tiles, t, &view[0])
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
            if t % tiles_between_signals(tiles) == 0:
                with gil:
                    PyErr_CheckSignals()
            rows = tiles.rows_in(t)
            tiles.unpack(t, &codes[0, 0])
            for j in range(d):
                for i in range(rows):
                    view[j, codes[i, j]] += weights[t * TILE + i]
    return out


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
            if t % tiles_between_signals(tiles) == 0:
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
    cdef size_t t, slot, n = tiles.padded
    cdef int i, count
    cdef double total = 0
    cdef double[TILE] values
    cdef Batch batch = Batch(tiles)
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
            batch.load_tile(values, count)
            for i in range(count):
                lag[target, t * TILE + i] = <float> values[i] - batch.kept(i)
            batch.add_tile(tiles, t, &view[0])
            total += batch.view.total
    return out, total


cdef class Shrinkage:
    """The proximal step of an l1 penalty: thresholds, and what offsets are relative to, (targets, padded columns)."""

    cdef const float[:, ::1] threshold, anchor

    def __init__(self, const float[:, ::1] threshold, const float[:, ::1] anchor):
        self.threshold, self.anchor = threshold, anchor

    cdef inline float apply(self, const zml_kernels *kernels, size_t k, size_t n, float *offset) noexcept nogil:
        """Shrink the offset of a target and return its largest magnitude."""
        return kernels.shrink(n, &self.threshold[k, 0], &self.anchor[k, 0], offset)


cdef class Steps:
    """One step size made into per-column factors, handed out by blocks."""

    cdef zml_step rule
    cdef const float[::1] keep, step

    def __init__(self, const float[::1] keep, const float[::1] step, double batch_weight, double table_weight):
        self.keep, self.step = keep, step
        self.rule.batch_weight, self.rule.table_weight = <float> batch_weight, <float> table_weight

    cdef const zml_step *block(self, size_t column, size_t count) noexcept nogil:
        self.rule.n, self.rule.keep, self.rule.step = count, &self.keep[column], &self.step[column]
        return &self.rule


def saga_epoch(Tiles tiles, Rows rows, const int64_t[::1] order, int batch_rows, const float[::1] centre,
               const float[::1] keep, const float[::1] step, double batch_weight, double table_weight, int model_bits,
               int gradient_bits, uint64_t seed, float[:, ::1] lag, const double[:, ::1] pull, double[:, ::1] mean,
               float[:, ::1] offset, Shrinkage l1=None):
    """One epoch of anchored SAGA over the tiles in `order`; False if it ran out of the finite numbers.

    offset (targets, columns) is z - anchor and moves; mean is the mean gradient of the table, kept in double; pull is
    the gradient of l2 penalty and compensation at the anchor; l1 shrinks z after every step. model_bits and
    gradient_bits 0 mean 16, to nearest.
    """
    cdef size_t n_targets = offset.shape[0], n = tiles.padded, position, t, column, k, slot, size, tiles_left = 0
    cdef size_t n_tiles = order.shape[0]
    cdef int piece, first, last, start, count, planes = batch_rows // ZML_PLANE_ROWS, pieces = (3 + planes) // planes
    cdef uint64_t counter = 0
    cdef bint shrinks = l1 is not None
    cdef double[TILE] product
    cdef float[:, ::1] drift = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[:, ::1] total = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[::1] largest = np.empty(n_targets, dtype=np.float32)
    cdef Vector model = Vector(tiles, centre)
    cdef Batch batch = Batch(tiles, centre)
    cdef Steps steps = Steps(keep, step, batch_weight, table_weight)
    cdef const uint8_t *ahead
    with nogil:
        for k in range(n_targets):
            largest[k] = model.largest(&offset[k, 0])
        for position in range(n_tiles):
            if tiles_left == 0:
                tiles_left = tiles_between_signals(tiles)
                with gil:
                    PyErr_CheckSignals()
            tiles_left -= 1
            if position % FOLD_TILES == 0:
                for k in range(n_targets):
                    model.kernels.fold(n, &pull[k, 0], &mean[k, 0], &drift[k, 0], &total[k, 0])
            t = order[position]
            ahead = prefetch_rows(tiles, order, position, rows, lag)
            for piece in range(pieces):
                first, last = piece * planes, min(4, (piece + 1) * planes)
                start = first * ZML_PLANE_ROWS
                slot = t * TILE + start
                count = min(batch_rows, tiles.rows_in(t) - start)
                if count <= 0:
                    break
                for k in range(n_targets):
                    counter += 1
                    if not model.load(&offset[k, 0], largest[k], model_bits, zml_mix64(seed + 2 * counter)):
                        with gil:
                            return False
                    model.dot(tiles, t, first, last, product)
                    # the table follows the quantized change, so that its mean gradient stays exact
                    if not batch.load_saga(rows, slot, &product[start], &lag[k, slot], start, count,
                                           last * ZML_PLANE_ROWS, gradient_bits, zml_mix64(seed + 2 * counter + 1)):
                        with gil:
                            return False
                    largest[k] = 0
                    column = 0
                    while column < n:
                        size = min(<size_t> BLOCK, n - column)
                        batch.reduce(tiles, t, first, last, column, size, ahead if k == 0 else NULL)
                        largest[k] = max(largest[k], model.kernels.saga_step(
                            steps.block(column, size), &batch.view, &total[k, column], &drift[k, column],
                            &offset[k, column]))
                        column += BLOCK
                    if shrinks:
                        largest[k] = l1.apply(model.kernels, k, n, &offset[k, 0])
        for k in range(n_targets):
            model.kernels.fold(n, NULL, &mean[k, 0], &drift[k, 0], NULL)
    return True


cdef const uint8_t *prefetch_rows(Tiles tiles, const int64_t[::1] order, size_t position, Rows rows,
                                  const float[:, ::1] state) noexcept nogil:
    """The tile after `position`, NULL if there is none; what `rows` and `state` hold of its rows is fetched."""
    cdef size_t k, slot
    cdef int i
    if position + 1 >= <size_t> order.shape[0]:
        return NULL
    slot = order[position + 1] * TILE
    for k in range(<size_t> state.shape[0]):
        for i in range(0, TILE, 16):
            ZML_PREFETCH(&state[k, slot + i])
    if rows.weighted:
        for i in range(0, TILE, 16):
            ZML_PREFETCH(&rows.weights[slot + i])
    return tiles.tile(order[position + 1])


def sgd_epoch(Tiles tiles, Rows rows, const int64_t[::1] order, int batch_rows, const float[::1] centre,
              const float[::1] keep, const float[::1] step, double batch_weight, int model_bits, int gradient_bits,
              uint64_t seed, const float[::1] unit, float[:, ::1] model_values, double[:, ::1] average,
              Shrinkage l1=None):
    """One epoch of mini-batch SGD; `average` gets the mean of its iterates. False if it ran out of the finite numbers.

    gradient_bits rounds the gradient vector, scaled by `unit` to the solver's scaled columns; l1 shrinks the model
    before every step.
    """
    cdef size_t n_targets = model_values.shape[0], n = tiles.padded, position, t, column, k, slot, size, steps_made = 0
    cdef size_t j, n_tiles = order.shape[0], tiles_left = 0
    cdef int piece, first, last, start, count, planes = batch_rows // ZML_PLANE_ROWS, pieces = (3 + planes) // planes
    cdef uint64_t counter = 0
    cdef bint shrinks = l1 is not None
    cdef double[TILE] product
    cdef float[:, ::1] total = np.zeros((n_targets, n), dtype=np.float32)
    cdef float[::1] largest = np.empty(n_targets, dtype=np.float32)
    cdef float[::1] gradient = np.zeros(n, dtype=np.float32)
    cdef Vector model = Vector(tiles, centre)
    cdef Batch batch = Batch(tiles, centre)
    cdef zml_batch whole
    cdef Steps steps = Steps(keep, step, batch_weight, 0)
    cdef const uint8_t *ahead
    whole.n_planes, whole.gradient = 0, &gradient[0]
    average[:, :] = 0
    with nogil:
        for k in range(n_targets):
            largest[k] = model.largest(&model_values[k, 0])
        for position in range(n_tiles):
            if tiles_left == 0:
                tiles_left = tiles_between_signals(tiles)
                with gil:
                    PyErr_CheckSignals()
            tiles_left -= 1
            if position % FOLD_TILES == 0:
                for k in range(n_targets):
                    model.kernels.fold(n, NULL, &average[k, 0], &total[k, 0], NULL)
            t = order[position]
            ahead = prefetch_rows(tiles, order, position, rows, rows.targets)
            for piece in range(pieces):
                first, last = piece * planes, min(4, (piece + 1) * planes)
                start = first * ZML_PLANE_ROWS
                slot = t * TILE + start
                count = min(batch_rows, tiles.rows_in(t) - start)
                if count <= 0:
                    break
                steps_made += 1
                for k in range(n_targets):
                    counter += 1
                    if shrinks:
                        largest[k] = l1.apply(model.kernels, k, n, &model_values[k, 0])
                    if not model.load(&model_values[k, 0], largest[k], model_bits,
                                      zml_mix64(seed + 2 * counter)):
                        with gil:
                            return False
                    model.dot(tiles, t, first, last, product)
                    if not batch.load_sgd(rows.weights_from(slot), &product[start], &rows.targets[k, slot], start,
                                          count, last * ZML_PLANE_ROWS):
                        with gil:
                            return False
                    largest[k] = 0
                    column = 0
                    while column < n:
                        size = min(<size_t> BLOCK, n - column)
                        batch.reduce(tiles, t, first, last, column, size, ahead if k == 0 else NULL)
                        if gradient_bits:
                            batch.store(&gradient[column], size)
                        else:
                            largest[k] = max(largest[k], model.kernels.sgd_step(
                                steps.block(column, size), &batch.view, &model_values[k, column], &total[k, column]))
                        column += BLOCK
                    if gradient_bits:
                        model.kernels.round(&gradient[0], &unit[0], n, gradient_bits, zml_mix64(seed + 2 * counter + 1))
                        largest[k] = model.kernels.sgd_step(steps.block(0, n), &whole, &model_values[k, 0],
                                                            &total[k, 0])
        for k in range(n_targets):
            for j in range(n):
                average[k, j] = (average[k, j] + total[k, j]) / steps_made
    return True
