from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "format/tile.h" nogil:
    enum:
        ZML_TILE_ROWS
        ZML_PLANE_ROWS
        ZML_GROUP_COLUMNS
        ZML_LINE
        ZML_FLOAT_WIDTH
    size_t zml_padded_columns(size_t n_columns)
    size_t zml_tile_bytes(size_t padded_columns, int width)
    size_t zml_table_codes(int width)

cdef extern from "passes/vector.h" nogil:
    ctypedef struct zml_step:
        size_t n
        const float *keep
        const float *step
        float batch_weight
        float table_weight
    ctypedef struct zml_batch:
        const int32_t *sums
        size_t stride
        int n_planes
        float scale
        float total
        const float *centre
        const float *gradient
    int zml_grid_planes(int bits)

cdef extern from "passes/kernels.h" nogil:
    enum:
        ZML_DOT_COLUMNS
        ZML_TWO_PLANES
    ctypedef void zml_dot(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                          size_t plane_stride, int n_planes, int first, int last, int32_t *dot)
    ctypedef void zml_gradient(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                               int n_planes, int first, int last, int32_t *gradient, size_t gradient_stride,
                               const uint8_t *ahead)
    ctypedef void zml_dot_float(const float *tile, size_t columns, const float *model, int first, int last, double *dot)
    ctypedef void zml_gradient_float(const float *tile, size_t columns, const float *residual, int first, int last,
                                     double *gradient)
    ctypedef float zml_largest(const float *values, size_t n)
    ctypedef float zml_quantize(const float *values, size_t n, size_t first, float top, int bits, uint64_t key,
                                int8_t *planes, size_t plane_stride, const float *centre, double *centre_sum)
    ctypedef void zml_round(float *values, const float *unit, size_t n, size_t first, int bits, uint64_t key)
    ctypedef void zml_add_products(const int32_t *sums, int n_planes, int first, int last, double scale, double shift,
                                   double *product)
    ctypedef void zml_add_sums(const int32_t *sums, size_t stride, int n_planes, size_t n, float scale, double *total)
    ctypedef float zml_saga_rows(const double *product, const float *weights, const float *table_residual, int count,
                                 int end, int bits, uint64_t key, int8_t *planes, float *left, float *total)
    ctypedef float zml_sgd_rows(const double *product, const float *weights, const float *targets, int count, int end,
                                int8_t *planes, float *total)
    ctypedef void zml_batch_gradient(const zml_batch *batch, size_t n, float *gradient)
    ctypedef void zml_batch_gradient_float(const double *sums, const float *centre, size_t n, float total,
                                           float *gradient)
    ctypedef float zml_saga_step(const zml_step *rule, const zml_batch *batch, const float *mean, float *drift,
                                 float *model)
    ctypedef float zml_sgd_step(const zml_step *rule, const zml_batch *batch, float *model, float *total)
    ctypedef void zml_fold(size_t n, const double *penalty_gradient, double *sum, float *moved, float *total)
    ctypedef float zml_shrink(size_t n, const float *threshold, const float *anchor, float *offset)
    ctypedef struct zml_kernels:
        const char *name
        const void *encoding
        const void *matmul
        zml_dot *dot[9]
        zml_gradient *gradient[9]
        zml_dot_float *dot_float
        zml_gradient_float *gradient_float
        zml_largest *largest
        zml_quantize *quantize
        zml_round *round
        zml_add_products *add_products
        zml_add_sums *add_sums
        zml_saga_rows *saga_rows
        zml_sgd_rows *sgd_rows
        zml_batch_gradient *batch_gradient
        zml_batch_gradient_float *batch_gradient_float
        zml_saga_step *saga_step
        zml_sgd_step *sgd_step
        zml_shrink *shrink
        zml_fold *fold

cdef enum:
    # A pass looks for signals, and at a mapped file, after about so many values, a few milliseconds.
    LOOK_VALUES = 1 << 25

# The kernels that a pass which starts now runs with.
cdef const zml_kernels *active_kernels() noexcept nogil
# Those of a name that runs here; ValueError for another.
cdef const zml_kernels *kernels_named(str name) except NULL

# ValueError where something does not hold: for sizes, which the C code trusts.
cdef int require(bint holds, str what) except -1
cdef int poll_in_time(size_t *left, size_t values) except -1 nogil
cdef int require_rows(const int64_t[::1] rows, size_t n) except -1

cdef class Tiles:
    # What a pass needs to know of a tiled matrix: pointers and sizes, kept alive by the arrays beside them.
    cdef const uint8_t[:, ::1] codes
    cdef const uint8_t[::1] table
    cdef readonly size_t n_rows, n_columns, padded, n_tiles
    cdef readonly int width
    cdef readonly object mapping
    # What a pass does before it reads, and then every few milliseconds: signals are handled, and a mapped file that was
    # cut is noticed. `look_in_time` is called for every tile, and counts them in `left`, which is 1 at first.
    cdef int look(self) except -1
    cdef int look_in_time(self, size_t *left) except -1 nogil
    # The same, and ValueError for other tiles than there are.
    cdef int require_span(self, size_t first, size_t last) except -1
    cdef const uint8_t *tile(self, size_t index) noexcept nogil
    cdef size_t rows_before(self, size_t index) noexcept nogil
    cdef int rows_in(self, size_t index) noexcept nogil
    cdef void unpack(self, size_t index, uint8_t *codes) noexcept nogil
    # Fills zeroed tile number `tile` of those that `take_rows` makes.
    cdef void take(self, const int64_t[::1] slots, size_t tile, uint8_t *out) noexcept nogil
    # Adds how many rows of some tiles have each code, [column of the groups][code].
    cdef void count(self, const int64_t[::1] chosen, size_t first_group, size_t last_group,
                    uint64_t *counts) noexcept nogil
    cdef void count_last(self, size_t index, size_t first_group, size_t last_group, uint64_t *counts) noexcept nogil
