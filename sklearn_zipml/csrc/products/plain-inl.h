/* Panels and products in plain C, which compilers vectorize: values of 16 bits, one term after the other. */
#include "format/decode_portable-inl.h"
#include "products/matmul.h"

/* Positions of all 64 rows of a column group, [row][column]. */
ZML_TARGET_INLINE void decode_group(const uint8_t *tile, const uint8_t *table, size_t group, int width,
                                    uint8_t *levels) {
  const Levels of_group = levels_of(table, group, width);
  for (int plane = 0; plane < 4; plane++)
    decode(tile, &of_group, group, plane, width, levels + PLANE * plane);
}

ZML_TARGET_INLINE void panels_of_columns(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                         size_t stride, int width) {
  uint8_t levels[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
  for (size_t group = 0; group < 4 * n_panels; group++) {
    int16_t *panel = (int16_t *)(out + group / 4 * stride) + group % 4 * ZML_GROUP_COLUMNS;
    decode_group(tile, table, group, width, levels);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
        panel[ZML_PANEL * i + c] = levels[ZML_GROUP_COLUMNS * i + c];
  }
}

ZML_TARGET_INLINE void panels_of_rows(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                      size_t stride, int width) {
  uint8_t levels[ZML_TILE_ROWS * ZML_GROUP_COLUMNS];
  for (size_t group = 0; group < 4 * n_panels; group++) {
    decode_group(tile, table, group, width, levels);
    for (int plane = 0; plane < 4; plane++) {
      int16_t *panel = (int16_t *)(out + (size_t)plane * stride) + group * ZML_GROUP_COLUMNS * ZML_PANEL;
      for (int c = 0; c < ZML_GROUP_COLUMNS; c++)
        for (int i = 0; i < ZML_PLANE_ROWS; i++)
          panel[ZML_PANEL * c + i] = levels[PLANE * plane + ZML_GROUP_COLUMNS * i + c];
    }
  }
}

/* Four vectors by one panel. */
ZML_TARGET_INLINE void multiply_four(const int16_t *panel, const int16_t *vectors, size_t depth, int scale, int fresh,
                                     int64_t (*sums)[ZML_PANEL]) {
  int32_t sum[ZML_VECTORS_AT_ONCE][ZML_PANEL] = {{0}};
  for (size_t k = 0; k < depth; k++, panel += ZML_PANEL, vectors += ZML_PANEL)
    for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
      for (int lane = 0; lane < ZML_PANEL; lane++)
        sum[v][lane] += (int32_t)panel[lane] * vectors[v];
  for (int v = 0; v < ZML_VECTORS_AT_ONCE; v++)
    for (int lane = 0; lane < ZML_PANEL; lane++)
      sums[v][lane] = (fresh ? 0 : sums[v][lane]) + (int64_t)sum[v][lane] * ((int64_t)1 << scale);
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *to) {
  const zml_factors f = *factors;
  for (size_t v = 0; v < f.n_vectors; v += ZML_VECTORS_AT_ONCE)
    for (size_t p = 0; p < f.n_panels; p++)
      multiply_four((const int16_t *)(const void *)f.panels + p * f.depth * ZML_PANEL,
                    (const int16_t *)(const void *)f.vectors + v / ZML_PANEL * ZML_PANEL * f.depth + v % ZML_PANEL,
                    f.depth, to->scale, to->fresh, to->sums + p * to->stride + v);
}

#include "products/widths-inl.h"
