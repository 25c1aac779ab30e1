/* Products with many vectors with AVX-512 VNNI: bytes, four terms at a time, unsigned by signed and without saturation
 * in between. Positions that act as vectors lose 128, which makes them signed. */
#include "format/compiler.h"

#if ZML_HAS_AVX512
#if defined(__clang__)
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi")))
#else
#define ZML_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512vbmi,prefer-vector-width=512")))
#endif
#include "format/decode_avx512-inl.h"
#include "products/matmul.h"
enum { VALUE_BYTES = 1, UNIT = 4, SHIFT = 0 };
#include "products/vectors-inl.h"

/* A plane holds units of columns as it is: [row][4 columns]. */
ZML_TARGET_INLINE void panels_of_rows(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                      size_t stride, int width) {
  for (size_t group = 0; group < 4 * n_panels; group++) {
    const __m512i levels = table_of(table, group, width);
    for (int plane = 0; plane < 4; plane++) {
      const __m512i line = _mm512_loadu_si512(line_of(tile, group, plane, width));
      _mm512_storeu_si512(out + (size_t)plane * stride + 64 * group, levels_of(line, group, plane, levels, width));
    }
  }
}

/* Units of rows of a plane's four columns: each 128-bit lane, 4 rows by 4 columns, turned. */
ZML_TARGET_INLINE __m512i row_quads(const uint8_t *tile, const uint8_t *table, size_t group, int plane, int width) {
  const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i line = _mm512_loadu_si512(line_of(tile, group, plane, width));
  return _mm512_shuffle_epi8(levels_of(line, group, plane, table_of(table, group, width), width), turn);
}

/* Four groups' lanes, [group][4 rows], become four units of 16 columns. */
ZML_TARGET_INLINE void store_units(uint8_t *out, const __m512i *group) {
  const __m512i ab_low = _mm512_shuffle_i32x4(group[0], group[1], 0x44);  /* a0 a1 b0 b1 */
  const __m512i ab_high = _mm512_shuffle_i32x4(group[0], group[1], 0xee); /* a2 a3 b2 b3 */
  const __m512i cd_low = _mm512_shuffle_i32x4(group[2], group[3], 0x44);
  const __m512i cd_high = _mm512_shuffle_i32x4(group[2], group[3], 0xee);
  _mm512_storeu_si512(out, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
  _mm512_storeu_si512(out + 64, _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
  _mm512_storeu_si512(out + 128, _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
  _mm512_storeu_si512(out + 192, _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd));
}

ZML_TARGET_INLINE void panels_of_columns(const uint8_t *tile, const uint8_t *table, size_t n_panels, uint8_t *out,
                                         size_t stride, int width) {
  for (size_t panel = 0; panel < n_panels; panel++)
    for (int plane = 0; plane < 4; plane++) {
      __m512i group[4];
      for (size_t k = 0; k < 4; k++)
        group[k] = row_quads(tile, table, 4 * panel + k, plane, width);
      store_units(out + panel * stride + 256 * plane, group);
    }
}

/* sums += 2^scale * 16 sums, or = if fresh */
ZML_TARGET_INLINE void add_sixteen(int64_t *sums, __m512i sixteen, int scale, int fresh) {
  const __m128i shift = _mm_cvtsi32_si128(scale);
  const __m512i low = _mm512_sll_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sixteen)), shift);
  const __m512i high = _mm512_sll_epi64(_mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sixteen, 1)), shift);
  const __m512i none = _mm512_setzero_si512();
  _mm512_storeu_si512(sums, _mm512_add_epi64(fresh ? none : _mm512_loadu_si512(sums), low));
  _mm512_storeu_si512(sums + 8, _mm512_add_epi64(fresh ? none : _mm512_loadu_si512(sums + 8), high));
}

/* A sum in a register of its own: compilers copy them otherwise, twice for every product. */
ZML_TARGET_INLINE __m512i in_place(__m512i sum) {
  ZML_KEEP(sum);
  return sum;
}

/* `n_vectors` vectors, 4 or 8, by `n_panels` panels, 1 or 2. A product takes 4 or 5 cycles, so 8 sums at least are
 * on their way where two are begun in a cycle. */
ZML_TARGET_INLINE void multiply_block(const uint8_t *panel, const uint8_t *vectors, size_t depth,
                                      const zml_panel_sums *to, int n_panels, int n_vectors) {
  __m512i sum[2][8];
  for (int p = 0; p < n_panels; p++)
    for (int v = 0; v < n_vectors; v++)
      sum[p][v] = _mm512_setzero_si512();
  for (size_t k = 0; k < ZML_PANEL * depth; k += 64) {
    __m512i g[2];
    for (int p = 0; p < n_panels; p++)
      g[p] = _mm512_loadu_si512(panel + (size_t)p * ZML_PANEL * depth + k);
    for (int v = 0; v < n_vectors; v++) {
      int32_t four;
      memcpy(&four, vectors + k + 4 * v, sizeof four);
      const __m512i factors = _mm512_set1_epi32(four);
      for (int p = 0; p < n_panels; p++)
        sum[p][v] = in_place(_mm512_dpbusd_epi32(sum[p][v], g[p], factors));
    }
  }
  _Pragma("GCC unroll 8") for (int v = 0; v < n_vectors; v++) {
    add_sixteen(to->sums[v], sum[0][v], to->scale, to->fresh);
    if (n_panels > 1)
      add_sixteen(to->sums[to->stride + (size_t)v], sum[1][v], to->scale, to->fresh);
  }
}

/* All vectors by `n_panels` panels from number `p` on. */
ZML_TARGET_INLINE void multiply_panels(const zml_factors *f, const zml_panel_sums *to, size_t p, int n_panels) {
  const uint8_t *panel = f->panels + p * ZML_PANEL * f->depth;
  for (size_t v = 0; v < f->n_vectors; v += 8) {
    const uint8_t *vectors = f->vectors + v / ZML_PANEL * ZML_PANEL * f->depth + 4 * (v % ZML_PANEL);
    const zml_panel_sums here = {to->sums + p * to->stride + v, to->stride, to->scale, to->fresh};
    if (v + 8 <= f->n_vectors)
      multiply_block(panel, vectors, f->depth, &here, n_panels, 8);
    else
      multiply_block(panel, vectors, f->depth, &here, n_panels, 4);
  }
}

ZML_TARGET static void multiply(const zml_factors *factors, const zml_panel_sums *sums) {
  const zml_factors f = *factors;
  const zml_panel_sums to = *sums;
  size_t p = 0;
  for (; p + 2 <= f.n_panels; p += 2)
    multiply_panels(&f, &to, p, 2);
  if (p < f.n_panels)
    multiply_panels(&f, &to, p, 1);
}

#include "products/widths-inl.h"

const zml_matmul zml_matmul_avx512 = {
    .own_shift = 128,
    .depth = ZML_BYTE_DEPTH,
    ZML_MATMUL_PANELS,
    ZML_MATMUL_VECTORS,
};
#endif
