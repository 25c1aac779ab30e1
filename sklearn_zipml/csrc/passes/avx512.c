/* Kernels for AVX-512 with BW, VL, VNNI and VBMI: a plane of a column group is one register.
 *
 * Decoding is one byte permute, because the table of a group's four columns fits a register too; products are
 * vpdpbusd, four bytes at a time and without saturation in between. */
#include "format/compiler.h"

#if ZML_HAS_AVX512
#include <immintrin.h>

#if defined(__clang__)
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))
#else
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,prefer-vector-width=512")))
#endif
#include "encoding/encode.h"
#include "format/decode_avx512-inl.h"
#include "format/widen_avx512-inl.h"
#include "passes/vector-inl.h"
#include "products/matmul.h"

/* Keeps a compiler from reading what is used twice from memory twice. */
ZML_TARGET_INLINE __m512i read_once(__m512i v) {
  ZML_KEEP(v);
  return v;
}

/* How far ahead of the loop a tile is fetched; tiles come in random order, so the first lines are never there. */
enum { AHEAD = 2048 };

/* Adds the products of `count` planes of a column group to the rows' sums by the first and the second digit: lane i of
 * an accumulator is row i. `fetch` says whether lines further on are to be fetched. */
ZML_TARGET_INLINE void dot_group(const zml_samples *x, size_t group, const zml_digits *vector, __m512i *high,
                                 __m512i *low, int fetch, int width, int count) {
  const __m512i levels = table_of(x->table, group, width);
  int32_t four, more = 0;
  memcpy(&four, vector->digits + group * ZML_GROUP_COLUMNS, sizeof four);
  if (vector->n_digits > 1)
    memcpy(&more, vector->digits + vector->stride + group * ZML_GROUP_COLUMNS, sizeof more);
  const __m512i m = _mm512_set1_epi32(four), m2 = _mm512_set1_epi32(more);
  for (int p = 0; p < count; p++) {
    const uint8_t *line = line_of(x->tile, group, x->first + p, width);
    if (fetch && (p == 0 || width == 8 || (width == 4 && p == 2)))
      ZML_PREFETCH(line + AHEAD);
    const __m512i g = levels_of(_mm512_loadu_si512(line), group, x->first + p, levels, width);
    high[p] = _mm512_dpbusd_epi32(high[p], g, m);
    if (vector->n_digits > 1)
      low[p] = _mm512_dpbusd_epi32(low[p], g, m2);
  }
}

/* With few planes consecutive groups take turns among accumulators of their own, for one sum would wait for itself. */
ZML_TARGET_INLINE int turns_of(int count) { return count >= 3 ? 2 : 4; }

/* The sums of all turns; they are left in the first. */
ZML_TARGET_INLINE void add_turns(__m512i sums[4][4], int count) {
  for (int p = 0; p < count; p++)
    for (int u = 1; u < turns_of(count); u++)
      sums[0][p] = _mm512_add_epi32(sums[0][p], sums[u][p]);
}

ZML_TARGET_INLINE void dot_planes(const zml_samples *x, const zml_digits *vector, int32_t *out, int width, int count) {
  const int turns = turns_of(count), n_digits = vector->n_digits;
  __m512i high[4][4], low[4][4];
  for (int u = 0; u < turns; u++)
    for (int p = 0; p < count; p++)
      high[u][p] = low[u][p] = _mm512_setzero_si512();
  for (size_t start = 0; start < x->columns / ZML_GROUP_COLUMNS; start += (size_t)turns)
    for (int u = 0; u < turns; u++)
      dot_group(x, start + (size_t)u, vector, high[u], low[u], !zml_is_streamed(width, count), width, count);
  add_turns(high, count);
  if (n_digits > 1)
    add_turns(low, count);
  for (int p = 0; p < count; p++) {
    _mm512_storeu_si512(out + (x->first + p) * ZML_PLANE_ROWS, high[0][p]);
    if (n_digits > 1)
      _mm512_storeu_si512(out + ZML_TILE_ROWS + (x->first + p) * ZML_PLANE_ROWS, low[0][p]);
  }
}

/* For sums over rows, lines of two column groups become two of 8 columns x 8 rows, four rows of a column side by side:
 * 16-byte lanes 0 and 2 hold the columns of the first group, 1 and 3 those of the second one; 2 and 3 rows 4 to 7.
 * Bytes 64 * group + 4 * row + column, of `half` the rows, say where they come from. */
ZML_TARGET_INLINE __m512i transposition(int half) {
  const __m512i column =
      _mm512_setr_epi32(0x0c080400, 0x0d090501, 0x0e0a0602, 0x0f0b0703, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512i lane = _mm512_setr_epi64(0, 0, 0x4040404040404040, 0x4040404040404040, 0x1010101010101010,
                                         0x1010101010101010, 0x5050505050505050, 0x5050505050505050);
  return _mm512_add_epi8(_mm512_add_epi8(_mm512_shuffle_i32x4(column, column, 0), lane),
                         _mm512_set1_epi8((char)(half ? 0x20 : 0)));
}

typedef struct {
  __m512i half[2];
} Halves;

/* 16 residuals as they meet with these. */
ZML_TARGET_INLINE Halves residuals_of(const int8_t *rows) {
  const __m512i four = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)rows));
  const Halves r = {
      {_mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), four),
       _mm512_permutexvar_epi32(_mm512_setr_epi32(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3), four)}};
  return r;
}

/* What sums over the rows of up to four planes work with: the rows' residuals by the first and the second digit. */
typedef struct {
  __m512i transpose[2];
  Halves high[4], low[4];
} Residuals;

ZML_TARGET_INLINE Residuals residuals_of_planes(const int8_t *digits, int first, int n_digits, int count) {
  Residuals r = {.transpose = {transposition(0), transposition(1)}};
  for (int p = 0; p < count; p++) {
    const int8_t *row = digits + (first + p) * ZML_PLANE_ROWS;
    r.high[p] = residuals_of(row);
    if (n_digits > 1)
      r.low[p] = residuals_of(row + ZML_TILE_ROWS);
  }
  return r;
}

/* Bytes column << width of these, and which of two 64-byte tables it is in with 4 bits. */
ZML_TARGET_INLINE __m512i transposed_columns(int width) {
  const int step = width == 4 ? 0x10 : 1 << width, one = 0x01010101 * step;
  const int next = width == 4 ? 0x40404040 : width == 1 ? 0x08080808 : 0;
  return _mm512_setr_epi32(0, one, 2 * one, 3 * one, next, next + one, next + 2 * one, next + 3 * one, 0, one, 2 * one,
                           3 * one, next, next + one, next + 2 * one, next + 3 * one);
}

/* Decode tables of the two column groups of a pair. */
typedef struct {
  __m512i table[2];
} Tables;

ZML_TARGET_INLINE Tables tables_of(const uint8_t *table, size_t pair, int width) {
  Tables t;
  t.table[0] = t.table[1] = _mm512_setzero_si512();
  if (width == 1)
    t.table[0] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + 16 * pair)));
  else if (width == 2)
    t.table[0] = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(table + 32 * pair)));
  else if (width == 4) {
    t.table[0] = read_once(_mm512_loadu_si512(table + 128 * pair));
    t.table[1] = read_once(_mm512_loadu_si512(table + 128 * pair + 64));
  }
  return t;
}

/* Lines of both groups that hold a plane, transposed. */
ZML_TARGET_INLINE Halves halves_of(const uint8_t *tile, size_t pair, int plane, const __m512i transpose[2], int width) {
  const __m512i one = read_once(_mm512_loadu_si512(line_of(tile, 2 * pair, plane, width)));
  const __m512i other =
      width == 1 ? _mm512_srli_epi16(one, 4) : read_once(_mm512_loadu_si512(line_of(tile, 2 * pair + 1, plane, width)));
  const Halves h = {
      {_mm512_permutex2var_epi8(one, transpose[0], other), _mm512_permutex2var_epi8(one, transpose[1], other)}};
  return h;
}

/* Partial sums over the rows of `count` planes for 16 columns, what sums_of takes, by the first and the second digit.
 */
ZML_TARGET_INLINE void parts_of_16(const zml_samples *x, size_t block, const Residuals *r, __m512i *high, __m512i *low,
                                   int width, int n_digits, int count) {
  const __m512i columns = transposed_columns(width);
  for (int u = 0; u < 2; u++) {
    const size_t pair = 2 * block + (size_t)u;
    const Tables levels = tables_of(x->table, pair, width);
    high[u] = _mm512_setzero_si512();
    if (n_digits > 1)
      low[u] = _mm512_setzero_si512();
    Halves lines;
    for (int p = 0; p < count; p++) {
      const int plane = x->first + p;
      if (p == 0 || width == 8 || (width == 4 && plane % 2 == 0)) /* else still the lines of the plane before */
        lines = halves_of(x->tile, pair, plane, r->transpose, width);
      for (int k = 0; k < 2; k++) {
        __m512i g = lines.half[k];
        if (width < 8) {
          const __m512i index = index_of(g, shift_of(0, plane, width), columns, width);
          g = width == 4 ? _mm512_permutex2var_epi8(levels.table[0], index, levels.table[1])
                         : _mm512_shuffle_epi8(levels.table[0], index);
        }
        high[u] = _mm512_dpbusd_epi32(high[u], g, r->high[p].half[k]);
        if (n_digits > 1)
          low[u] = _mm512_dpbusd_epi32(low[u], g, r->low[p].half[k]);
      }
    }
  }
}

/* Sums of 16 columns out of the partial ones. */
ZML_TARGET_INLINE __m512i sums_of(const __m512i part[2]) {
  return _mm512_add_epi32(_mm512_shuffle_i64x2(part[0], part[1], 0x44), _mm512_shuffle_i64x2(part[0], part[1], 0xee));
}

ZML_TARGET_INLINE void gradient_planes(const zml_samples *x, const int8_t *digits, int32_t *out, size_t out_stride,
                                       int width, int n_digits, int count) {
  const Residuals r = residuals_of_planes(digits, x->first, n_digits, count);
  __m512i high[2], low[2];
  for (size_t block = 0; block < x->columns / 16; block++) {
    fetch_ahead(x->ahead, block, width, count);
    parts_of_16(x, block, &r, high, low, width, n_digits, count);
    _mm512_storeu_si512(out + 16 * block, sums_of(high));
    if (n_digits > 1)
      _mm512_storeu_si512(out + out_stride + 16 * block, sums_of(low));
  }
}

/* The same samples, if they are of all planes, whose numbers are constants then. */
ZML_TARGET_INLINE zml_samples whole(const zml_samples *x) {
  const zml_samples all = {x->tile, x->table, x->columns, 0, 4, x->ahead, x->seeds};
  return all;
}

ZML_TARGET_INLINE void dot(const zml_samples *x, const int8_t *digits, size_t stride, int32_t *out, int width,
                           int n_digits) {
  const zml_digits vector = {(int8_t *)digits, stride, n_digits};
  const zml_samples all = whole(x);
  switch (x->last - x->first) {
  case 1:
    dot_planes(x, &vector, out, width, 1);
    break;
  case 2:
    dot_planes(x, &vector, out, width, 2);
    break;
  case 3:
    dot_planes(x, &vector, out, width, 3);
    break;
  case 4:
    dot_planes(&all, &vector, out, width, 4);
    break;
  }
}

ZML_TARGET_INLINE void gradient(const zml_samples *x, const int8_t *digits, int32_t *out, size_t out_stride, int width,
                                int n_digits) {
  const zml_samples all = whole(x);
  switch (x->last - x->first) {
  case 1:
    gradient_planes(x, digits, out, out_stride, width, n_digits, 1);
    break;
  case 2:
    gradient_planes(x, digits, out, out_stride, width, n_digits, 2);
    break;
  case 3:
    gradient_planes(x, digits, out, out_stride, width, n_digits, 3);
    break;
  case 4:
    gradient_planes(&all, digits, out, out_stride, width, n_digits, 4);
    break;
  }
}

#include "passes/widths-inl.h"

#include "passes/avx512_blocks-inl.h"

const zml_kernels zml_avx512 = {
    .name = "avx512",
    .encoding = &zml_encoding_avx512,
    .matmul = &zml_matmul_avx512,
    ZML_WIDTHS,
    .saga_rows = rows,
    .sweep = {[4] = sweep_4, [8] = sweep_8},
    .move = {[1] = move_1, [2] = move_2, [4] = move_4, [8] = move_8},
    .multiply = {[1] = multiply_1, [2] = multiply_2, [4] = multiply_4, [8] = multiply_8},
    ZML_VECTOR_FUNCTIONS,
};
#endif
