from libc.stdint cimport int8_t, int32_t, uint8_t, uint32_t, uint64_t

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
        int n_digits
        float scale
        float total
        const float *centre
        const float *gradient
    ctypedef struct zml_digits:
        int8_t *digits
        size_t stride
        int n_digits
    ctypedef struct zml_rounding:
        float top
        int bits
        size_t first
        uint64_t key
    ctypedef struct zml_row_products:
        const double *products
        const float *weights
        int count
        int end
    int zml_grid_digits(int bits)

cdef extern from "passes/kernels.h" nogil:
    enum:
        ZML_DOT_COLUMNS
        ZML_TWO_DIGITS
    ctypedef struct zml_samples:
        const uint8_t *tile
        const uint8_t *table
        size_t columns
        int first
        int last
        const uint8_t *ahead
        const uint8_t *seeds
    ctypedef void zml_widen(const uint8_t *tile, const uint8_t *table, size_t columns, int first, int last,
                            const uint32_t *seeds, uint8_t *out)
    ctypedef void zml_dot(const zml_samples *x, const zml_digits *vector, int32_t *dot)
    ctypedef void zml_gradient(const zml_samples *x, const int8_t *rows, int n_digits, int32_t *gradient,
                               size_t gradient_stride)
    ctypedef void zml_dot_float(const float *tile, size_t columns, const float *model, int first, int last, double *dot)
    ctypedef void zml_gradient_float(const float *tile, size_t columns, const float *residual, int first, int last,
                                     double *gradient)
    ctypedef float zml_largest(const float *values, size_t n)
    ctypedef float zml_quantize(const float *values, size_t n, const zml_rounding *rounding, const zml_digits *to,
                                const float *centre, double *centre_sum)
    ctypedef void zml_round(float *values, const float *unit, size_t n, size_t first, int bits, uint64_t key)
    ctypedef void zml_add_products(const int32_t *sums, int n_digits, int first, int last, double scale, double shift,
                                   double *product)
    ctypedef void zml_add_sums(const int32_t *sums, size_t stride, int n_digits, size_t n, float scale, double *total)
    ctypedef float zml_saga_rows(const zml_row_products *rows, const float *table_residual, int bits, uint64_t key,
                                 int8_t *digits, float *left, float *total)
    ctypedef float zml_sgd_rows(const zml_row_products *rows, const float *targets, int8_t *digits, float *total)
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
        zml_widen *widen
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

# The kernels that a pass which starts now runs with.
cdef const zml_kernels *active_kernels() noexcept nogil
# Those of a name that runs here; ValueError for another.
cdef const zml_kernels *kernels_named(str name) except NULL
