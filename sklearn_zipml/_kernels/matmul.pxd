from sklearn_zipml._kernels.active cimport zml_widen
from sklearn_zipml._kernels.tiles cimport Tiles, int32_t, uint8_t, zml_outliers

cdef extern from "products/matmul.h" nogil:
    enum:
        ZML_PANEL
        ZML_FEW_POSITIONS
    ctypedef double zml_magnitude(const double *values, size_t n)
    ctypedef void zml_round_values(const double *values, size_t n, double inverse, int32_t *out)
    ctypedef struct zml_matmul:
        size_t depth
        const zml_matmul *few
        zml_magnitude *magnitude
        zml_round_values *round

cdef extern from "products/passes.h" nogil:
    ctypedef struct zml_tiled:
        const uint8_t *codes
        const uint8_t *table
        size_t n_rows
        size_t padded
        int width
        zml_widen *widen
        zml_outliers *outliers

cdef const zml_matmul *active_products() noexcept nogil
cdef const zml_matmul *products_with_each_other(Tiles tiles) except NULL
cdef zml_tiled tiled(Tiles tiles) except *
