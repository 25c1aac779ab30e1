from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "format/tile.h" nogil:
    enum:
        ZML_TILE_ROWS
        ZML_PLANE_ROWS
        ZML_GROUP_COLUMNS
        ZML_LINE
        ZML_FLOAT_WIDTH
        ZML_DITHERED
        ZML_SEED_COLUMNS
        ZML_DITHER_TABLE
    int zml_bits_of(int width)
    size_t zml_noise_codes(int width)
    size_t zml_padded_columns(size_t n_columns)
    size_t zml_tile_columns(size_t n_columns, int width)
    size_t zml_tile_bytes(size_t padded_columns, int width)
    size_t zml_table_codes(int width)

cdef extern from "format/dither.h" nogil:
    enum:
        ZML_SEED_BYTES
        ZML_RUNGS
        ZML_PARITY_RUNGS
    const uint8_t *zml_seeds_of(const uint8_t *tile, size_t padded_columns, int width)
    void zml_row_seeds(const uint8_t *codes, int first, int last, uint32_t *seeds)
    uint8_t zml_dithered_position(const uint8_t *group_table, size_t c, unsigned code, uint32_t seed)

cdef extern from "format/outliers.h" nogil:
    enum:
        ZML_OUTLIER_COLUMNS
    ctypedef struct zml_outliers:
        const uint32_t *starts
        const uint32_t *entries
        size_t n_blocks
    ctypedef struct zml_outlier_span:
        uint32_t first
        uint32_t last
    zml_outlier_span zml_outliers_in(const zml_outliers *o, size_t tile, size_t block, int first, int last)
    size_t zml_outlier_column(uint32_t entry)
    size_t zml_outlier_row(uint32_t entry)
    int32_t zml_outlier_difference(uint32_t entry)

cdef class Tiles:
    # What a pass needs to know of a tiled matrix: pointers and sizes, kept alive by the arrays beside them.
    cdef const uint8_t[:, ::1] codes
    cdef const uint8_t[::1] table
    cdef readonly size_t n_rows, n_columns, padded, n_tiles
    cdef readonly int width, format  # bits of a code, and what the kernels call it: another one with known dither
    # Positions in some columns, from a multiple of 16 on, of codes with known dither, as a tile of bytes has them.
    cdef void widen(self, size_t index, size_t first, size_t columns, uint8_t *out) noexcept nogil
    cdef readonly object mapping
    # Values that lie apart: arrays, or None, and pointers to these.
    cdef readonly object outliers
    cdef zml_outliers apart
    cdef const uint32_t[::1] starts, entries
    # What a pass does before it reads, and then every few milliseconds: signals are handled, and a mapped file that was
    # cut is noticed. `look_in_time` is called for every tile, and counts them in `left`, which is 1 at first.
    cdef int look(self) except -1
    cdef int look_in_time(self, size_t *left) except -1 nogil
    # The same, and ValueError for other tiles than there are.
    cdef int require_span(self, size_t first, size_t last) except -1
    cdef int point_to(self, outliers) except -1
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
