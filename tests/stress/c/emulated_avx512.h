/* AVX-512 in plain C, for machines without it: SIMDe, and the intrinsics that it lacks. Stands in for immintrin.h. */
#ifndef ZML_EMULATED_AVX512_H
#define ZML_EMULATED_AVX512_H

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <limits.h>
#include <math.h>
#include <simde/x86/avx512.h>
#include <stdlib.h>
#include <string.h>

/* Elements of registers, read and written as arrays. */
#define LANES(type, name, count, value)                                                                                \
  type name[count];                                                                                                    \
  memcpy(name, &(value), sizeof name)
#define REGISTER(kind, array)                                                                                          \
  kind made;                                                                                                           \
  memcpy(&made, array, sizeof made);                                                                                   \
  return made

typedef simde__mmask8 __mmask8;
typedef simde__mmask16 __mmask16;
typedef simde__mmask32 __mmask32;
typedef simde__mmask64 __mmask64;

/* A conversion, element by element. */
#define CONVERSION(name, from_kind, from, to_kind, to, count, expression)                                              \
  static inline to_kind emulated_##name(from_kind a) {                                                                 \
    LANES(from, in, count, a);                                                                                         \
    to out[sizeof(to_kind) / sizeof(to)] = {0};                                                                        \
    for (int k = 0; k < count; k++) {                                                                                  \
      const from x = in[k];                                                                                            \
      out[k] = (to)(expression);                                                                                       \
    }                                                                                                                  \
    REGISTER(to_kind, out);                                                                                            \
  }

static inline int32_t emulated_int(double rounded) {
  return rounded >= -2147483648.0 && rounded < 2147483648.0 ? (int32_t)rounded : INT32_MIN;
}

CONVERSION(cvtepi32_epi64, __m256i, int32_t, __m512i, int64_t, 8, x)
CONVERSION(cvtepi32_epi8, __m512i, int32_t, __m128i, int8_t, 16, x)
CONVERSION(cvtepi64_epi8, __m512i, int64_t, __m128i, int8_t, 8, x)
CONVERSION(cvtepi32_pd, __m256i, int32_t, __m512d, double, 8, x)
CONVERSION(cvtepi32_ps, __m512i, int32_t, __m512, float, 16, x)
CONVERSION(cvtpd_ps, __m512d, double, __m256, float, 8, x)
CONVERSION(cvtps_pd, __m256, float, __m512d, double, 8, x)
CONVERSION(cvtpd_epi32, __m512d, double, __m256i, int32_t, 8, emulated_int(rint(x)))
CONVERSION(cvtps_epi32, __m512, float, __m512i, int32_t, 16, emulated_int(rintf(x)))
CONVERSION(cvttps_epi32, __m512, float, __m512i, int32_t, 16, emulated_int(truncf(x)))
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_cvtepi64_epi8 emulated_cvtepi64_epi8
#define _mm512_cvtepi32_pd emulated_cvtepi32_pd
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtpd_ps emulated_cvtpd_ps
#define _mm512_cvtps_pd emulated_cvtps_pd
#define _mm512_cvtpd_epi32 emulated_cvtpd_epi32
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_cvttps_epi32 emulated_cvttps_epi32
#undef _mm512_cvtepi32_epi64
#define _mm512_cvtepi32_epi64 emulated_cvtepi32_epi64

/* A comparison, element by element: bits of a mask. */
#define COMPARISON(name, kind, type, count, mask, expression)                                                          \
  static inline mask name(kind a, kind b) {                                                                            \
    LANES(type, left, count, a);                                                                                       \
    LANES(type, right, count, b);                                                                                      \
    mask out = 0;                                                                                                      \
    for (int k = 0; k < count; k++) {                                                                                  \
      const type x = left[k], y = right[k];                                                                            \
      out |= (mask)((mask)(expression) << k);                                                                          \
    }                                                                                                                  \
    return out;                                                                                                        \
  }

COMPARISON(_mm512_cmpeq_epi16_mask, __m512i, uint16_t, 32, __mmask32, x == y)
COMPARISON(_mm512_cmplt_epu16_mask, __m512i, uint16_t, 32, __mmask32, x < y)
COMPARISON(_mm512_cmplt_epi64_mask, __m512i, int64_t, 8, __mmask8, x < y)
COMPARISON(emulated_less_pd, __m512d, double, 8, __mmask8, x < y)
static inline __mmask8 _mm512_mask_cmp_pd_mask(__mmask8 m, __m512d a, __m512d b, int how) {
  if (how != _CMP_LT_OQ)
    abort();
  return m & emulated_less_pd(a, b);
}

/* Part of memory: what the mask leaves out is neither read nor written. */
#define MASKED_MEMORY(suffix, kind, type, count, mask)                                                                 \
  static inline kind _mm512_maskz_loadu_##suffix(mask m, const void *from) {                                           \
    type out[count] = {0};                                                                                             \
    for (int k = 0; k < count; k++)                                                                                    \
      if (m >> k & 1)                                                                                                  \
        memcpy(out + k, (const type *)from + k, sizeof *out);                                                          \
    REGISTER(kind, out);                                                                                               \
  }                                                                                                                    \
  static inline void _mm512_mask_storeu_##suffix(void *to, mask m, kind value) {                                       \
    LANES(type, in, count, value);                                                                                     \
    for (int k = 0; k < count; k++)                                                                                    \
      if (m >> k & 1)                                                                                                  \
        memcpy((type *)to + k, in + k, sizeof *in);                                                                    \
  }

MASKED_MEMORY(epi64, __m512i, int64_t, 8, __mmask8)
MASKED_MEMORY(pd, __m512d, double, 8, __mmask8)
MASKED_MEMORY(ps, __m512, float, 16, __mmask16)

static inline __m512i _mm512_mask_sub_epi16(__m512i src, __mmask32 m, __m512i a, __m512i b) {
  LANES(uint16_t, out, 32, src);
  LANES(uint16_t, x, 32, a);
  LANES(uint16_t, y, 32, b);
  for (int k = 0; k < 32; k++)
    if (m >> k & 1)
      out[k] = (uint16_t)(x[k] - y[k]);
  REGISTER(__m512i, out);
}

static inline __m512i _mm512_mulhi_epu16(__m512i a, __m512i b) {
  LANES(uint16_t, x, 32, a);
  LANES(uint16_t, y, 32, b);
  for (int k = 0; k < 32; k++)
    x[k] = (uint16_t)((uint32_t)x[k] * y[k] >> 16);
  REGISTER(__m512i, x);
}

static inline __m512i emulated_madd_epi16(__m512i a, __m512i b) {
  LANES(int16_t, x, 32, a);
  LANES(int16_t, y, 32, b);
  int32_t out[16];
  for (int k = 0; k < 16; k++)
    out[k] = (int32_t)((uint32_t)(x[2 * k] * y[2 * k]) + (uint32_t)(x[2 * k + 1] * y[2 * k + 1]));
  REGISTER(__m512i, out);
}
#undef _mm512_madd_epi16 /* of four arguments in some versions */
#define _mm512_madd_epi16 emulated_madd_epi16

/* The sum of all elements. */
#define SUM(name, type, count)                                                                                         \
  static inline type name(__m512i a) {                                                                                 \
    LANES(u##type, x, count, a);                                                                                       \
    u##type sum = 0;                                                                                                   \
    for (int k = 0; k < count; k++)                                                                                    \
      sum += x[k];                                                                                                     \
    return (type)sum;                                                                                                  \
  }

SUM(_mm512_reduce_add_epi32, int32_t, 16)
SUM(_mm512_reduce_add_epi64, int64_t, 8)

static inline int32_t _mm512_reduce_max_epi32(__m512i a) {
  LANES(int32_t, x, 16, a);
  int32_t most = x[0];
  for (int k = 1; k < 16; k++)
    most = x[k] > most ? x[k] : most;
  return most;
}

static inline __m512i _mm512_shuffle_i64x2(__m512i a, __m512i b, int which) {
  LANES(uint64_t, x, 8, a);
  LANES(uint64_t, y, 8, b);
  uint64_t out[8];
  for (int lane = 0; lane < 4; lane++)
    memcpy(out + 2 * lane, (lane < 2 ? x : y) + 2 * (which >> 2 * lane & 3), 16);
  REGISTER(__m512i, out);
}

static inline __m512i _mm512_sra_epi32(__m512i a, __m128i count) {
  LANES(int32_t, x, 16, a);
  LANES(uint64_t, shift, 2, count);
  for (int k = 0; k < 16; k++)
    x[k] >>= shift[0] > 31 ? 31 : shift[0];
  REGISTER(__m512i, x);
}

static inline void _mm512_stream_si512(void *to, __m512i value) { memcpy(to, &value, sizeof value); }

/* Bit i of a result is the parity of what byte 7 - i of the matrix and the byte have in common, and bit i of `bits`. */
static inline __m512i _mm512_gf2p8affine_epi64_epi8(__m512i bytes, __m512i matrices, int bits) {
  LANES(uint8_t, x, 64, bytes);
  LANES(uint8_t, rows, 64, matrices);
  for (int k = 0; k < 64; k++) {
    unsigned out = 0;
    for (int i = 0; i < 8; i++)
      out |= (unsigned)(__builtin_parity(rows[k / 8 * 8 + 7 - i] & x[k]) ^ (bits >> i & 1)) << i;
    x[k] = (uint8_t)out;
  }
  REGISTER(__m512i, x);
}

#endif
