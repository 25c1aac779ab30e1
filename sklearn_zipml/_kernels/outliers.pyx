"""What outliers add to second moments, and what their codes stand for; the other passes add them themselves."""

import numpy as np

from sklearn_zipml._kernels.checks cimport require
from sklearn_zipml._kernels.active cimport active_kernels, zml_widen
from sklearn_zipml._kernels.tiles cimport (
    ZML_GROUP_COLUMNS, ZML_LINE, ZML_OUTLIER_COLUMNS, ZML_PLANE_ROWS, ZML_TILE_ROWS, Tiles, int32_t, int64_t, uint8_t,
    uint32_t, zml_outlier_column, zml_outlier_row, zml_outlier_span, zml_outliers, zml_outliers_in, zml_table_codes,
    zml_dithered_position, zml_row_seeds, zml_seeds_of,
)

cdef extern from "format/tile.h" nogil:
    size_t zml_line_of(size_t group, int plane, int width)
    int zml_shift_of(size_t group, int plane, int width)

cdef extern from "products/passes.h" nogil:
    ctypedef struct zml_tiled:
        const uint8_t *codes
        const uint8_t *table
        size_t n_rows
        size_t padded
        int width
        zml_widen *widen

cdef extern from "products/outliers.h" nogil:
    void zml_add_outlier_gradient(const zml_outliers *o, size_t tile, const int32_t *of_rows, int64_t *sums)
    void zml_code_positions(const zml_tiled *x, size_t tile, size_t first, size_t count, size_t n_rows,
                            int32_t *positions)
    void zml_add_outlier_moments(const zml_outliers *o, size_t tile, size_t first, size_t n_columns,
                                 const int32_t *others, size_t n_others, const int32_t *weights, int64_t *sums)
    void zml_add_differences(const zml_outliers *o, size_t tile, size_t first, size_t count, int32_t *positions)


def bases(Tiles tiles):
    """Grid positions that the codes of the outliers stand for, uint8, in their order."""
    cdef const uint8_t[::1] table = tiles.table
    cdef size_t codes = zml_table_codes(tiles.format), tile, block, j, row, group
    cdef const uint8_t *line
    cdef const uint8_t *seed_codes
    cdef uint32_t[ZML_TILE_ROWS] seeds
    cdef zml_outlier_span span
    cdef uint32_t e
    cdef uint8_t code
    out = np.zeros(tiles.entries.shape[0] if tiles.apart.starts != NULL else 0, dtype=np.uint8)
    cdef uint8_t[::1] view = out
    cdef size_t left = 1
    if tiles.apart.starts == NULL:
        return out
    with nogil:
        for tile in range(tiles.n_tiles):
            tiles.look_in_time(&left)
            seed_codes = zml_seeds_of(tiles.tile(tile), tiles.padded, tiles.format)
            if seed_codes != NULL:
                zml_row_seeds(seed_codes, 0, 4, seeds)
            for block in range(tiles.apart.n_blocks):
                span = zml_outliers_in(&tiles.apart, tile, block, 0, 4)
                for e in range(span.first, span.last):
                    j = block * ZML_OUTLIER_COLUMNS + zml_outlier_column(tiles.entries[e])
                    row, group = zml_outlier_row(tiles.entries[e]), j // ZML_GROUP_COLUMNS
                    line = tiles.tile(tile) + ZML_LINE * zml_line_of(group, <int> (row // ZML_PLANE_ROWS), tiles.width)
                    code = line[row % ZML_PLANE_ROWS * ZML_GROUP_COLUMNS + j % ZML_GROUP_COLUMNS]
                    code = code >> zml_shift_of(group, <int> (row // ZML_PLANE_ROWS), tiles.width)
                    code = code & ((1 << tiles.width) - 1)
                    if seed_codes == NULL:
                        view[e] = table[j * codes + code] if codes else code
                        continue
                    view[e] = zml_dithered_position(&table[group * ZML_GROUP_COLUMNS * codes], j % ZML_GROUP_COLUMNS,
                                                    code, seeds[row])
    return out


def add_gram(Tiles tiles, tuple span, tuple columns, tuple others, const int32_t[::1] weights, sums, totals, lock):
    """Add what outliers have to the sums of `matmul.add_gram`; see there.

    A product of positions is one of codes' positions c and differences s: (c + s)(c' + s') - c c' is half of
    s (2 c' + s') + s' (2 c + s), one part for the outliers of either block.
    """
    cdef zml_tiled x
    cdef size_t t, first = span[0], last = span[1]
    cdef size_t start = columns[0], n = columns[1], other = others[0], m = others[1], d = tiles.n_columns
    cdef bint alike = start == other
    if tiles.apart.starts == NULL:
        return
    tiles.require_span(first, last)
    require(start + n <= tiles.padded and other + m <= tiles.padded, "columns that there are not")
    require(weights.shape[0] == 0 or <size_t> weights.shape[0] >= last * ZML_TILE_ROWS, "rows without a weight")
    x.codes, x.n_rows, x.padded, x.width = tiles.tile(0), tiles.n_rows, tiles.padded, tiles.format
    x.widen = active_kernels().widen
    x.table = &tiles.table[0] if tiles.table.shape[0] else NULL
    cdef const int32_t *weight = NULL
    cdef int32_t[::1] of_columns = np.zeros(ZML_TILE_ROWS * n, dtype=np.int32)
    cdef int32_t[::1] of_others = np.zeros(ZML_TILE_ROWS * m, dtype=np.int32)
    cdef int32_t[::1] ones = np.ones(ZML_TILE_ROWS, dtype=np.int32)
    products, turned = np.zeros((n, m), dtype=np.int64), np.zeros((m, n), dtype=np.int64)
    positions = np.zeros(tiles.padded, dtype=np.int64)
    cdef int64_t[:, ::1] products_view = products, turned_view = turned
    cdef int64_t[::1] positions_view = positions
    cdef size_t left = 1
    with nogil:
        for t in range(first, last):
            tiles.look_in_time(&left)
            if tiles.starts[t * tiles.apart.n_blocks] == tiles.starts[(t + 1) * tiles.apart.n_blocks]:
                continue
            weight = &weights[t * ZML_TILE_ROWS] if weights.shape[0] else NULL
            twice(&x, &tiles.apart, t, other, m, tiles.rows_in(t), &of_others[0])
            zml_add_outlier_moments(&tiles.apart, t, start, n, &of_others[0], m, weight, &products_view[0, 0])
            if alike:
                zml_add_outlier_gradient(&tiles.apart, t, weight if weight != NULL else &ones[0], &positions_view[0])
            else:
                twice(&x, &tiles.apart, t, start, n, tiles.rows_in(t), &of_columns[0])
                zml_add_outlier_moments(&tiles.apart, t, other, m, &of_columns[0], n, weight, &turned_view[0, 0])
    products += (products.copy() if alike else turned).T
    with lock:
        own = sums[start : min(start + n, d), other : min(other + m, d)]
        own += products[: own.shape[0], : own.shape[1]] // 2
        if alike:
            totals[start : min(start + n, d)] += positions[start : min(start + n, d)]


cdef void twice(const zml_tiled *x, const zml_outliers *o, size_t tile, size_t first, size_t count, size_t n_rows,
                int32_t *out) noexcept nogil:
    """Positions of a tile's rows, those of the codes and the whole ones added up."""
    cdef size_t k
    zml_code_positions(x, tile, first, count, n_rows, out)
    for k in range(n_rows * count):
        out[k] *= 2
    zml_add_differences(o, tile, first, count, out)
