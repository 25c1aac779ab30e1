# The kernels that encode, in the table of which `active` has one for each instruction set.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "encoding/encode.h" nogil:
    enum:
        ZML_MAX_CODES
        ZML_FOLD_TILES
        ZML_BLOCK_TILES
    ctypedef enum zml_sampling:
        ZML_NAIVE
        ZML_NEAREST
        ZML_DOUBLE
        ZML_COMPENSATED
        ZML_DRAWS
    ctypedef struct zml_lanes:
        pass
    ctypedef struct zml_codebook:
        size_t n_columns
        zml_sampling sampling
        uint32_t n_draws
        int width
        int every_position
        int by_place
        uint64_t seed
        uint64_t place
        const uint32_t *multipliers[2]
        const uint32_t *draw_keys[2]
        const uint8_t *levels
        const uint8_t *gaps
        const uint8_t *interval
        const uint8_t *positions
        const uint8_t *below
        const uint8_t *gap
        const uint16_t *multiplier
        const uint8_t *first_rung
        const uint8_t *watched
    ctypedef struct zml_affine_f32:
        const float *offset
        const float *scale
        const float *top
    ctypedef struct zml_affine_f64:
        const double *offset
        const double *scale
        const double *top
    ctypedef struct zml_moments:
        uint64_t *sum
        uint64_t *square
        uint64_t *variance
        uint64_t *hits
        uint64_t *noise
        uint64_t *tallied
        int64_t *beyond
        int64_t *beyond_square
    ctypedef struct zml_workspace:
        uint32_t *coordinates
        zml_lanes *lanes
        uint64_t *tallies
        uint64_t *contents
    ctypedef int zml_range_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                               size_t n_columns, float *low, float *high)
    ctypedef int zml_range_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                               size_t n_columns, double *low, double *high)
    ctypedef void zml_range_u8(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns,
                               uint8_t sign, uint8_t *low, uint8_t *high)
    ctypedef void zml_range_u16(const uint16_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns,
                                uint16_t sign, uint16_t *low, uint16_t *high)
    ctypedef int zml_optimal_levels(const double *position, const double *count, const double *sum,
                                    const double *square, int n_positions, int n_levels, uint8_t *chosen)
    ctypedef struct zml_column_sample:
        const double *values
        size_t n
        double low
        double high
        double *spare
        uint8_t *positions
        int are_positions
    ctypedef int zml_column_levels(const zml_column_sample *sample, int n_levels, int max_steps, int stride,
                                   uint8_t *levels, int *top, double *deviation, double *range)
    ctypedef void zml_gather_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                 const int64_t *rows, size_t n_rows, float *out, size_t stride)
    ctypedef void zml_gather_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_columns,
                                 const int64_t *rows, size_t n_rows, double *out, size_t stride)
    ctypedef void zml_encode_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                 const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                                 int tally, uint8_t **rows)
    ctypedef void zml_encode_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                 const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                                 int tally, uint8_t **rows)
    enum:
        ZML_FOUND_AT_ONCE
    ctypedef size_t zml_find_ends(const zml_codebook *book, const zml_workspace *work, size_t n_rows, size_t *pair,
                                  uint64_t *found, size_t room)
    ctypedef struct zml_outlier_map:
        const double *offset
        const double *inverse
        const uint8_t *top
        const uint16_t *used
        uint64_t seed
        size_t n_blocks
        int width
        const zml_codebook *dithered
    ctypedef struct zml_found:
        const uint64_t *found
        size_t n
        const uint64_t *contents
        const int64_t *slots
    ctypedef void zml_contents_f32(const float *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                   const zml_codebook *book, const zml_affine_f32 *affine, const zml_workspace *work,
                                   uint64_t *contents)
    ctypedef void zml_contents_f64(const double *block, ptrdiff_t row_stride, ptrdiff_t column_stride, size_t n_rows,
                                   const zml_codebook *book, const zml_affine_f64 *affine, const zml_workspace *work,
                                   uint64_t *contents)
    ctypedef void zml_tile_of_rows(const uint8_t *rows, int width, size_t padded_columns, uint8_t *tile)
    ctypedef void zml_rows_of_tile(const uint8_t *tile, int width, size_t padded_columns, uint8_t *rows)
    ctypedef void zml_sum_bytes(
        const uint8_t *tiles, size_t n_tiles, size_t padded_columns, uint64_t *sum, uint64_t *square)
    ctypedef void zml_take_rows(
        const uint8_t *tile, int width, size_t padded_columns, const uint8_t *rows, int count, int at, uint8_t *out)
    ctypedef void zml_take_columns(
        const uint8_t *tile, int width, const int64_t *columns, size_t count, size_t at, uint8_t *out)
    ctypedef struct zml_integers:
        size_t n_columns
        int width
        int stride
        int is_signed
        int has_missing
        const void *low
        const void *top
        uint32_t missing
        const uint8_t *missing_code
        const uint8_t *after_missing
        int pair
    ctypedef void zml_encode_u8(
        const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map, uint8_t **rows)
    ctypedef void zml_encode_u16(
        const uint16_t *block, ptrdiff_t row_stride, size_t n_rows, const zml_integers *map, uint8_t **rows)
    enum:
        ZML_FIELD_COLUMNS
    ctypedef void zml_fields_of_u8(const uint8_t *row, const zml_integers *map, uint8_t *to)
    ctypedef void zml_fields_of_u16(const uint16_t *row, const zml_integers *map, uint8_t *to)
    ctypedef void zml_encode_fields(const uint8_t *block, ptrdiff_t row_stride, size_t n_rows, size_t n_columns,
                                    int width, int high_first, uint8_t **rows)
    ctypedef void zml_widen_f16(const uint16_t *values, size_t n, uint32_t *to)
    ctypedef void zml_count_tiles(const uint8_t *const *tiles, size_t n_tiles, int width, size_t first_group,
                                  size_t last_group, uint64_t *counts)
    ctypedef struct zml_fields:
        size_t n_columns
        int width
        int high_first
    ctypedef void zml_tile_of_fields(const uint8_t **rows, const uint8_t **following, const zml_fields *fields,
                                     uint8_t *tile)
    ctypedef void zml_permute(uint64_t n, uint64_t seed, uint64_t first, size_t count, int64_t *image)
    ctypedef void zml_permute_back(uint64_t n, uint64_t seed, const int64_t *image, size_t count, int64_t *source)
    ctypedef struct zml_encoding:
        zml_range_f32 *range_f32
        zml_range_f64 *range_f64
        zml_range_u8 *range_u8
        zml_range_u16 *range_u16
        zml_optimal_levels *optimal_levels
        zml_column_levels *column_levels
        zml_gather_f32 *gather_f32
        zml_gather_f64 *gather_f64
        zml_encode_f32 *encode_f32
        zml_encode_f64 *encode_f64
        zml_find_ends *find_ends
        zml_contents_f32 *contents_f32
        zml_contents_f64 *contents_f64
        zml_tile_of_rows *tile_of_rows
        zml_rows_of_tile *rows_of_tile
        zml_take_rows *take_rows
        zml_take_columns *take_columns
        zml_encode_u8 *encode_u8
        zml_encode_u8 *encode_pairs
        zml_encode_u16 *encode_u16
        zml_fields_of_u8 *fields_of_u8
        zml_fields_of_u16 *fields_of_u16
        zml_encode_fields *encode_fields
        zml_widen_f16 *widen_f16
        zml_count_tiles *count_tiles
        zml_sum_bytes *sum_bytes
        zml_tile_of_fields *tile_of_fields
        zml_permute *permute
        zml_permute_back *permute_back
