"""The kernels of a given name, called on arrays: for tests, which compare every instruction set with the portable C."""

import numpy as np

from sklearn_zipml._kernels.active cimport (
    kernels_named, zml_batch, zml_digits, zml_grid_digits, zml_kernels, zml_rounding, zml_row_products, zml_samples,
    zml_step,
)
from sklearn_zipml._kernels.tiles cimport ZML_LINE, ZML_TILE_ROWS, int8_t, int32_t, uint8_t, uint64_t


cdef void take_samples(zml_samples *x, const uint8_t[::1] tile, const uint8_t[::1] table, size_t columns, int first,
                       int last):
    # through a pointer: a traced build shows its tracer what functions return, and takes bytes in it for a string
    x.tile, x.table, x.columns = &tile[0], &table[0] if table.shape[0] else NULL, columns
    x.first, x.last, x.ahead = first, last, &tile[0]
    x.seeds = &tile[tile.shape[0] - 2 * ZML_LINE] if tile.shape[0] >= 2 * ZML_LINE else NULL


def dot(str name, int width, const uint8_t[::1] tile, const uint8_t[::1] table, const int8_t[:, ::1] digits, int first,
        int last):
    """Products of rows with a vector of digits, int32 (digits, 64)."""
    cdef const zml_kernels *kernels = kernels_named(name)
    cdef zml_samples x
    cdef zml_digits vector
    take_samples(&x, tile, table, digits.shape[1], first, last)
    out = np.zeros((digits.shape[0], ZML_TILE_ROWS), dtype=np.int32)
    cdef int32_t[:, ::1] view = out
    vector.digits, vector.stride = <int8_t *> &digits[0, 0], digits.shape[1]  # which are only read
    vector.n_digits = <int> digits.shape[0]
    kernels.dot[width](&x, &vector, &view[0, 0])
    return out


def gradient(str name, int width, const uint8_t[::1] tile, const uint8_t[::1] table, const int8_t[:, ::1] digits,
             int first, int last, size_t columns):
    """Sums over rows, with digits (digits, 64) of row weights, int32 (digits, columns)."""
    cdef const zml_kernels *kernels = kernels_named(name)
    cdef zml_samples x
    take_samples(&x, tile, table, columns, first, last)
    out = np.zeros((digits.shape[0], columns), dtype=np.int32)
    cdef int32_t[:, ::1] view = out
    kernels.gradient[width](&x, &digits[0, 0], <int> digits.shape[0], &view[0, 0], columns)
    return out


def dot_float(str name, const float[:, ::1] tile, const float[::1] model, int first, int last):
    """Products of the rows of a float tile, (columns, 64)."""
    out = np.zeros(ZML_TILE_ROWS)
    cdef double[::1] view = out
    kernels_named(name).dot_float(&tile[0, 0], tile.shape[0], &model[0], first, last, &view[0])
    return out


def gradient_float(str name, const float[:, ::1] tile, const float[::1] residual, int first, int last):
    """Sums over the rows of a float tile."""
    out = np.zeros(tile.shape[0])
    cdef double[::1] view = out
    kernels_named(name).gradient_float(&tile[0, 0], tile.shape[0], &residual[0], first, last, &view[0])
    return out


def largest(str name, const float[::1] values):
    """Largest magnitude."""
    return kernels_named(name).largest(&values[0], values.shape[0])


def quantize(str name, const float[::1] values, int bits, uint64_t key, const float[::1] centre=None, size_t first=0):
    """Scale, digits and sum of centre * fixed-point value (0 without a centre)."""
    cdef const zml_kernels *kernels = kernels_named(name)
    cdef size_t n = values.shape[0]
    cdef double centre_sum = 0
    cdef zml_rounding rounding
    cdef zml_digits to
    digits = np.zeros((zml_grid_digits(bits), n), dtype=np.int8)
    cdef int8_t[:, ::1] view = digits
    rounding.top, rounding.bits, rounding.first, rounding.key = kernels.largest(&values[0], n), bits, first, key
    to.digits, to.stride, to.n_digits = &view[0, 0], n, <int> view.shape[0]
    scale = kernels.quantize(&values[0], n, &rounding, &to, NULL if centre is None else &centre[0], &centre_sum)
    return scale, digits, centre_sum


def round_values(str name, const float[::1] values, const float[::1] unit, int bits, uint64_t key, size_t first=0):
    """Values rounded to the grid."""
    out = np.array(values)
    cdef float[::1] view = out
    kernels_named(name).round(&view[0], NULL if unit is None else &unit[0], view.shape[0], first, bits, key)
    return out


cdef zml_batch batch_of(const int32_t[:, ::1] sums, const float[::1] centre, float scale, float total):
    cdef zml_batch batch
    batch.sums, batch.stride, batch.n_digits = &sums[0, 0], sums.shape[1], <int> sums.shape[0]
    batch.scale, batch.total, batch.centre, batch.gradient = scale, total, &centre[0], NULL
    return batch


def batch_gradient(str name, const int32_t[:, ::1] sums, const float[::1] centre, float scale, float total):
    """Centred gradient of integer sums (digits, columns)."""
    out = np.zeros(sums.shape[1], dtype=np.float32)
    cdef float[::1] view = out
    cdef zml_batch batch = batch_of(sums, centre, scale, total)
    kernels_named(name).batch_gradient(&batch, sums.shape[1], &view[0])
    return out


def batch_gradient_float(str name, const double[::1] sums, const float[::1] centre, float total):
    """Centred gradient of double sums."""
    out = np.zeros(sums.shape[0], dtype=np.float32)
    cdef float[::1] view = out
    kernels_named(name).batch_gradient_float(&sums[0], &centre[0], sums.shape[0], total, &view[0])
    return out


def add_products(str name, const int32_t[:, ::1] sums, int first, int last, double scale, double shift):
    """Products of the rows of some planes, in 64 zeros."""
    out = np.zeros(ZML_TILE_ROWS)
    cdef double[::1] view = out
    kernels_named(name).add_products(&sums[0, 0], <int> sums.shape[0], first, last, scale, shift, &view[0])
    return out


def add_sums(str name, const int32_t[:, ::1] sums, float scale, const double[::1] start):
    """`start` plus the columns' sums."""
    out = np.array(start)
    cdef double[::1] view = out
    kernels_named(name).add_sums(&sums[0, 0], sums.shape[1], <int> sums.shape[0], sums.shape[1], scale, &view[0])
    return out


cdef zml_row_products products_of(const double[::1] products, const float[::1] weights, int count, int end):
    cdef zml_row_products rows
    rows.products, rows.weights = &products[0], NULL if weights is None else &weights[0]
    rows.count, rows.end = count, end
    return rows


def saga_rows(str name, const double[::1] products, const float[::1] weights, const float[::1] table_residual,
              int count, int end, int bits, uint64_t key):
    """Scale, digits, total and table residuals after a batch's quantization."""
    cdef zml_row_products rows = products_of(products, weights, count, end)
    cdef float total = 0
    digits, left = np.zeros((2, ZML_TILE_ROWS), dtype=np.int8), np.array(table_residual)
    cdef int8_t[:, ::1] digits_view = digits
    cdef float[::1] left_view = left
    scale = kernels_named(name).saga_rows(&rows, &table_residual[0], bits, key, &digits_view[0, 0], &left_view[0],
                                          &total)
    return scale, digits, total, left


def sgd_rows(str name, const double[::1] products, const float[::1] weights, const float[::1] targets, int count,
             int end):
    """Scale, digits and total of a batch's residuals."""
    cdef zml_row_products rows = products_of(products, weights, count, end)
    cdef float total = 0
    digits = np.zeros((2, ZML_TILE_ROWS), dtype=np.int8)
    cdef int8_t[:, ::1] view = digits
    scale = kernels_named(name).sgd_rows(&rows, &targets[0], &view[0, 0], &total)
    return scale, digits, total


def fold(str name, const double[::1] penalty_gradient, const double[::1] start, const float[::1] moved):
    """Sum, what is left of `moved`, and the single-precision total."""
    cdef size_t n = start.shape[0]
    out, left, total = np.array(start), np.array(moved), np.zeros(n, dtype=np.float32)
    cdef double[::1] out_view = out
    cdef float[::1] left_view = left, total_view = total
    kernels_named(name).fold(n, &penalty_gradient[0], &out_view[0], &left_view[0], &total_view[0])
    return out, left, total


def step(str name, str solver, const float[:, ::1] vectors, float batch_weight, float table_weight,
         const int32_t[:, ::1] sums=None):
    """Model, moved vector (drift or total) and largest magnitude after a step.

    vectors are keep, step, gradient (with integer sums: centre), mean, drift or total, model.
    """
    cdef const zml_kernels *kernels = kernels_named(name)
    cdef zml_step rule
    cdef zml_batch batch
    cdef float top
    moved, model = np.array(vectors[4]), np.array(vectors[5])
    cdef float[::1] moved_view = moved, model_view = model
    rule.n, rule.keep, rule.step = vectors.shape[1], &vectors[0, 0], &vectors[1, 0]
    rule.batch_weight, rule.table_weight = batch_weight, table_weight
    if sums is None:
        batch.n_digits, batch.gradient = 0, &vectors[2, 0]
    else:
        batch = batch_of(sums, vectors[2], 0.1, 0.7)
    if solver == "saga":
        top = kernels.saga_step(&rule, &batch, &vectors[3, 0], &moved_view[0], &model_view[0])
    else:
        top = kernels.sgd_step(&rule, &batch, &model_view[0], &moved_view[0])
    return model, moved, top


def shrink(str name, const float[:, ::1] vectors):
    """Offset and its largest magnitude after the proximal step of l1; vectors are threshold, anchor, offset."""
    offset = np.array(vectors[2])
    cdef float[::1] view = offset
    cdef float top = kernels_named(name).shrink(vectors.shape[1], &vectors[0, 0], &vectors[1, 0], &view[0])
    return offset, top
