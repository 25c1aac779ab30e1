/* What keys the draws of rows. Part of encode-inl.h. */

/* Where row i stands among the key's words. */
#ifndef KEY_PLACE
#define KEY_PLACE(i) (i)
#endif
/* Where its code stands in what round_column_as gives to join_codes. */
#ifndef CODE_PLACE
#define CODE_PLACE(i) (i)
#endif

ZML_TARGET_INLINE uint64_t whole_content(const Content *content, size_t i) {
  return (uint64_t)content->sum[1][i] << 32 | content->sum[0][i];
}

/* A row's draws are keyed by its content, so that it gets the same codes wherever it stands. */
ZML_TARGET_INLINE void keys_of_rows(const Content *content, uint64_t seed, Keys *keys) {
  const uint64_t mixed = zml_mix64(seed);
  for (size_t i = 0; i < ZML_TILE_ROWS; i++) {
    const uint64_t key = zml_mix64(whole_content(content, i) ^ mixed);
    for (int k = 0; k < 4; k++)
      keys->word[k][KEY_PLACE(i)] = (uint16_t)(key >> 16 * k);
  }
}

/* Makes rows of the same content different ones. */
ZML_TARGET_INLINE void add_places(uint64_t place, Content *content) {
  for (size_t i = 0; i < ZML_TILE_ROWS; i++) {
    const uint64_t mixed = zml_mix64(place + i);
    content->sum[0][i] += (uint32_t)mixed;
    content->sum[1][i] += (uint32_t)(mixed >> 32);
  }
}
