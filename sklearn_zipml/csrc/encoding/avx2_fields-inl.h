/* Codes to fields in AVX2, and the ends of rows of fields; part of avx2.c and of avx512.c. */

/* Fields of pairs of codes, and of pairs of these, by sums of products with powers of two. */
#define join_fields join_fields
ZML_TARGET_INLINE void join_fields(const uint8_t *codes, size_t n, int width, uint8_t *to) {
  const __m256i pairs = _mm256_set1_epi16((short)(1 | 256 << width)),
                fours = _mm256_set1_epi32(1 | 0x10000 << 2 * width);
  const __m256i *from = (const __m256i *)codes;
  if (width == 1) {
    for (size_t k = 0; k < n / 32; k++) {
      const int bits = _mm256_movemask_epi8(_mm256_slli_epi16(_mm256_load_si256(from + k), 7));
      memcpy(to + 4 * k, &bits, sizeof bits);
    }
    return;
  }
  const size_t registers = 8 / (size_t)width;
  for (size_t k = 0; k < n / 32; k += registers, to += 32) {
    __m256i x[4];
    for (size_t r = 0; r < registers; r++)
      x[r] = _mm256_maddubs_epi16(_mm256_load_si256(from + k + r), pairs);
    if (width == 4) {
      x[0] = _mm256_permute4x64_epi64(_mm256_packus_epi16(x[0], x[1]), 0xd8);
    } else {
      for (size_t r = 0; r < registers; r++)
        x[r] = _mm256_madd_epi16(x[r], fours);
      x[0] = _mm256_packus_epi16(_mm256_packus_epi32(x[0], x[1]), _mm256_packus_epi32(x[2], x[3]));
      x[0] = _mm256_permutevar8x32_epi32(x[0], _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
    _mm256_storeu_si256((__m256i *)to, x[0]);
  }
}

/* 16 bytes of each row from `start` on, those behind the last of `n_bytes` zero, and of that one what `mask` has. */
ZML_TARGET ZML_APART void copy_ends(const uint8_t *const *rows, size_t start, size_t n_bytes, uint8_t mask,
                                    uint8_t (*to)[16]) {
  memset(to, 0, 16 * ZML_TILE_ROWS);
  for (size_t i = 0; i < ZML_TILE_ROWS; i++)
    if (rows[i] && start < n_bytes) {
      const size_t count = n_bytes - start < 16 ? n_bytes - start : 16;
      memcpy(to[i], rows[i] + start, count);
      if (start + count == n_bytes)
        to[i][count - 1] &= mask;
    }
}
