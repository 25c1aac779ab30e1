"""What the codes of outliers stand for; passes add what outliers have beyond that themselves."""

import numpy as np

from sklearn_zipml._kernels.tiles cimport (
    ZML_GROUP_COLUMNS, ZML_LINE, ZML_OUTLIER_COLUMNS, ZML_PLANE_ROWS, ZML_TILE_ROWS, Tiles, uint8_t, uint32_t,
    zml_outlier_column, zml_outlier_row, zml_outlier_span, zml_outliers_in, zml_table_codes,
    zml_dithered_position, zml_row_seeds, zml_seeds_of,
)

cdef extern from "format/tile.h" nogil:
    size_t zml_line_of(size_t group, int plane, int width)
    int zml_shift_of(size_t group, int plane, int width)


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
