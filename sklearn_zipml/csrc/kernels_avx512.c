/* Kernels for AVX-512 with BW, VL, VNNI and VBMI: a plane of a column group is one register.
 *
 * Decoding is one byte permute, because the table of a group's four columns fits a register too; products are
 * vpdpbusd, four bytes at a time and without saturation in between. */
#include "compiler.h"

#if ZML_HAS_X86
#include <immintrin.h>

#if defined(__clang__)
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))
#else
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,prefer-vector-width=512")))
#endif
#include "encode.h"
#include "vector_functions.h"

#define TILE_INLINE ZML_INLINE ZML_TARGET

/* How far ahead of the loop a tile is fetched; tiles come in random order, so the first lines are never there. */
enum { AHEAD = 2048 };

/* Decode table of a column group, made so that (column << index_shift | code) finds the level. */
TILE_INLINE __m512i table_of(const uint8_t *table, size_t group, int width) {
  if (width == 1) {
    int64_t levels;
    memcpy(&levels, table + 8 * group, sizeof levels);
    return _mm512_set1_epi64(levels);
  }
  if (width == 2)
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16 * group)));
  return width == 4 ? _mm512_loadu_si512(table + 64 * group) : _mm512_setzero_si512();
}

/* Bytes column << width. In a tile the column varies fastest; transposed, it is the number of the 16-byte lane. */
TILE_INLINE __m512i column_bits(int width, int transposed) {
  const int step = width == 4 ? 0x10 : 1 << width;
  const int one = 0x01010101 * step, four = 0x03020100 * step;
  return transposed ? _mm512_setr_epi32(0, 0, 0, 0, one, one, one, one, 2 * one, 2 * one, 2 * one, 2 * one, 3 * one,
                                        3 * one, 3 * one, 3 * one)
                    : _mm512_set1_epi32(four);
}

/* The line that holds a plane: zml_line_of and zml_shift_of with the plane's part taken out of loops over groups. */
TILE_INLINE const uint8_t *line_of(const uint8_t *tile, size_t group, int plane, int width) {
  if (width == 1)
    return tile + ZML_LINE * (group / 2);
  return tile + (size_t)(32 * width) * group + ZML_LINE * (plane * width / 8);
}

/* Levels of a plane out of the line that holds it. */
TILE_INLINE __m512i levels_of(__m512i line, size_t group, int plane, __m512i table, int width, int transposed) {
  if (width == 8)
    return line;
  const int shift = width == 1 ? (int)(group % 2) * 4 + plane : plane * width % 8;
  const __m512i shifted = _mm512_srlv_epi16(line, _mm512_set1_epi16((short)shift));
  const __m512i mask = _mm512_set1_epi8((char)((1 << width) - 1));
  const __m512i index = _mm512_ternarylogic_epi32(shifted, mask, column_bits(width, transposed), 0xea); /* & then | */
  return width == 4 ? _mm512_permutexvar_epi8(index, table) : _mm512_shuffle_epi8(table, index);
}

/* Adds the products of `count` planes of a column group to the rows' sums: lane i of an accumulator is row i. `fetch`
 * says whether lines further on are to be fetched. */
TILE_INLINE void dot_group(const uint8_t *tile, const uint8_t *table, size_t group, const int8_t *planes,
                           size_t plane_stride, int first, __m512i *high, __m512i *low, int fetch, int width,
                           int n_planes, int count) {
  const __m512i levels = table_of(table, group, width);
  int32_t four, more = 0;
  memcpy(&four, planes + group * ZML_GROUP_COLUMNS, sizeof four);
  if (n_planes > 1)
    memcpy(&more, planes + plane_stride + group * ZML_GROUP_COLUMNS, sizeof more);
  const __m512i m = _mm512_set1_epi32(four), m2 = _mm512_set1_epi32(more);
  for (int p = 0; p < count; p++) {
    const uint8_t *line = line_of(tile, group, first + p, width);
    if (fetch && (p == 0 || width == 8 || (width == 4 && p == 2)))
      ZML_PREFETCH(line + AHEAD);
    const __m512i g = levels_of(_mm512_loadu_si512(line), group, first + p, levels, width, 0);
    high[p] = _mm512_dpbusd_epi32(high[p], g, m);
    if (n_planes > 1)
      low[p] = _mm512_dpbusd_epi32(low[p], g, m2);
  }
}

/* With few planes consecutive groups take turns among accumulators of their own, for one sum would wait for itself. */
ZML_INLINE int turns_of(int count) { return count >= 3 ? 2 : 4; }

/* The sums of all turns; they are left in the first. */
TILE_INLINE void add_turns(__m512i sums[4][4], int count) {
  for (int p = 0; p < count; p++)
    for (int u = 1; u < turns_of(count); u++)
      sums[0][p] = _mm512_add_epi32(sums[0][p], sums[u][p]);
}

TILE_INLINE void dot_planes(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                            size_t plane_stride, int first, int32_t *out, int width, int n_planes, int count) {
  const int turns = turns_of(count);
  __m512i high[4][4], low[4][4];
  for (int u = 0; u < turns; u++)
    for (int p = 0; p < count; p++)
      high[u][p] = low[u][p] = _mm512_setzero_si512();
  for (size_t start = 0; start < columns / ZML_GROUP_COLUMNS; start += (size_t)turns)
    for (int u = 0; u < turns; u++)
      dot_group(tile, table, start + (size_t)u, planes, plane_stride, first, high[u], low[u],
                !zml_is_streamed(width, count), width, n_planes, count);
  add_turns(high, count);
  if (n_planes > 1)
    add_turns(low, count);
  for (int p = 0; p < count; p++) {
    _mm512_storeu_si512(out + (first + p) * ZML_PLANE_ROWS, high[0][p]);
    if (n_planes > 1)
      _mm512_storeu_si512(out + ZML_TILE_ROWS + (first + p) * ZML_PLANE_ROWS, low[0][p]);
  }
}

/* Sums of 16 columns out of four registers that hold 4 partial sums for each of 4 columns. */
TILE_INLINE __m512i sums_of(const __m512i *part) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(part[0], part[1]), _mm512_unpackhi_epi32(part[0], part[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(part[2], part[3]), _mm512_unpackhi_epi32(part[2], part[3]));
  return _mm512_permutexvar_epi32(order, _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)));
}

/* 16 x 4 -> 4 x 16: byte 16 * column + row comes from 4 * row + column. */
TILE_INLINE __m512i transposition(void) {
  const __m512i by_row =
      _mm512_setr_epi32(0x0c080400, 0x1c181410, 0x2c282420, 0x3c383430, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_add_epi8(_mm512_shuffle_i32x4(by_row, by_row, 0),
                         _mm512_setr_epi32(0, 0, 0, 0, 0x01010101, 0x01010101, 0x01010101, 0x01010101, 0x02020202,
                                           0x02020202, 0x02020202, 0x02020202, 0x03030303, 0x03030303, 0x03030303,
                                           0x03030303));
}

/* 16 residuals for every column of a group. */
TILE_INLINE __m512i residuals_of(const int8_t *rows) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)rows));
}

/* Sums over the rows of `count` planes for 16 columns; those of the second plane of residuals are in `low`. */
TILE_INLINE __m512i sums_of_16(const uint8_t *tile, const uint8_t *table, size_t block, const __m512i *r,
                               const __m512i *r2, __m512i transpose, int first, __m512i *low_sums, int width,
                               int n_planes, int count) {
  __m512i high[4], low[4];
  for (int u = 0; u < 4; u++) {
    const size_t group = 4 * block + (size_t)u;
    const __m512i levels = table_of(table, group, width);
    high[u] = low[u] = _mm512_setzero_si512();
    __m512i line = levels;
    for (int p = 0; p < count; p++) {
      if (p == 0 || width == 8 || (width == 4 && p % 2 == first % 2)) /* else still the line of the plane before */
        line = _mm512_permutexvar_epi8(transpose, _mm512_loadu_si512(line_of(tile, group, first + p, width)));
      const __m512i g = levels_of(line, group, first + p, levels, width, 1);
      high[u] = _mm512_dpbusd_epi32(high[u], g, r[p]);
      if (n_planes > 1)
        low[u] = _mm512_dpbusd_epi32(low[u], g, r2[p]);
    }
  }
  if (n_planes > 1)
    *low_sums = sums_of(low);
  return sums_of(high);
}

TILE_INLINE void gradient_planes(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                                 int first, int32_t *out, size_t out_stride, const uint8_t *ahead, int width,
                                 int n_planes, int count) {
  const __m512i transpose = transposition();
  __m512i r[4], r2[4], low = _mm512_setzero_si512();
  for (int p = 0; p < count; p++) {
    const int8_t *row = planes + (first + p) * ZML_PLANE_ROWS;
    r[p] = residuals_of(row);
    r2[p] = n_planes > 1 ? residuals_of(row + ZML_TILE_ROWS) : r[p];
  }
  for (size_t block = 0; block < columns / 16; block++) {
    fetch_ahead(ahead, block, width, count);
    const __m512i sums = sums_of_16(tile, table, block, r, r2, transpose, first, &low, width, n_planes, count);
    _mm512_storeu_si512(out + 16 * block, sums);
    if (n_planes > 1)
      _mm512_storeu_si512(out + out_stride + 16 * block, low);
  }
}

TILE_INLINE void dot(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,
                     size_t plane_stride, int first, int last, int32_t *out, int width, int n_planes) {
  switch (last - first) {
  case 1:
    dot_planes(tile, table, columns, planes, plane_stride, first, out, width, n_planes, 1);
    break;
  case 2:
    dot_planes(tile, table, columns, planes, plane_stride, first, out, width, n_planes, 2);
    break;
  case 3:
    dot_planes(tile, table, columns, planes, plane_stride, first, out, width, n_planes, 3);
    break;
  case 4:
    dot_planes(tile, table, columns, planes, plane_stride, 0, out, width, n_planes, 4);
    break;
  }
}

TILE_INLINE void gradient(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes, int first,
                          int last, int32_t *out, size_t out_stride, const uint8_t *ahead, int width, int n_planes) {
  switch (last - first) {
  case 1:
    gradient_planes(tile, table, columns, planes, first, out, out_stride, ahead, width, n_planes, 1);
    break;
  case 2:
    gradient_planes(tile, table, columns, planes, first, out, out_stride, ahead, width, n_planes, 2);
    break;
  case 3:
    gradient_planes(tile, table, columns, planes, first, out, out_stride, ahead, width, n_planes, 3);
    break;
  case 4:
    gradient_planes(tile, table, columns, planes, 0, out, out_stride, ahead, width, n_planes, 4);
    break;
  }
}

#define DEFINE(width)                                                                                                  \
  ZML_TARGET static void dot_##width(const uint8_t *tile, const uint8_t *table, size_t columns, const int8_t *planes,  \
                                     size_t plane_stride, int n_planes, int first, int last, int32_t *out) {           \
    if (n_planes == 1)                                                                                                 \
      dot(tile, table, columns, planes, plane_stride, first, last, out, width, 1);                                     \
    else                                                                                                               \
      dot(tile, table, columns, planes, plane_stride, first, last, out, width, 2);                                     \
  }                                                                                                                    \
  ZML_TARGET static void gradient_##width(const uint8_t *tile, const uint8_t *table, size_t columns,                   \
                                          const int8_t *planes, int n_planes, int first, int last, int32_t *out,       \
                                          size_t out_stride, const uint8_t *ahead) {                                   \
    if (n_planes == 1)                                                                                                 \
      gradient(tile, table, columns, planes, first, last, out, out_stride, ahead, width, 1);                           \
    else                                                                                                               \
      gradient(tile, table, columns, planes, first, last, out, out_stride, ahead, width, 2);                           \
  }
DEFINE(1)
DEFINE(2)
DEFINE(4)
DEFINE(8)

#include "blocks_avx512.h"

const zml_kernels zml_avx512 = {
    .name = "avx512",
    .encoding = &zml_encoding_avx512,
    .dot = {[1] = dot_1, [2] = dot_2, [4] = dot_4, [8] = dot_8},
    .gradient = {[1] = gradient_1, [2] = gradient_2, [4] = gradient_4, [8] = gradient_8},
    .saga_rows = rows,
    .move = {[1] = move_1, [2] = move_2, [4] = move_4, [8] = move_8},
    .multiply = {[1] = multiply_1, [2] = multiply_2, [4] = multiply_4, [8] = multiply_8},
    ZML_VECTOR_FUNCTIONS,
};
#endif
