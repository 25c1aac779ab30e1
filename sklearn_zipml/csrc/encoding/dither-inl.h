/* Rounding with known dither; part of encode-inl.h. The states of a column are rungs, the means over the dithers of
 * what they stand for: from code c to c + 1 the dithers flip one after the other, so that state s of dither t is code
 * (s + 3 - t) / 4. A column without dither has its levels for rungs: its state is the code. */

#ifndef round_dithered_column

/* Codes and positions, above that of the first rung, of a tile of states. */
ZML_TARGET_INLINE void codes_of_states(const Batch *batch, size_t tile, size_t j, const uint8_t *state, uint8_t *code,
                                       uint8_t *position) {
  const zml_codebook *book = batch->book;
  const uint16_t *seeds = batch->keys[tile].word[3], multiplier = book->multiplier[j];
  const int rungs = book->first_rung[j] ? 1 : 4; /* a code takes, in quarters */
  ZML_ALIGNED uint8_t at[ZML_TILE_ROWS], dither[ZML_TILE_ROWS];
  uint16_t wide[ZML_TILE_ROWS];
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    wide[i] = (uint16_t)((uint16_t)(seeds[KEY_PLACE(i)] * multiplier) >> 14);
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    dither[i] = (uint8_t)wide[i];
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    code[i] = (uint8_t)((uint8_t)(rungs * state[i] + 3 - dither[i]) >> 2);
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    at[i] = (uint8_t)zml_place_of(code[i], dither[i]);
  lookup_16(book->positions + ZML_MAX_CODES * j, at, position);
}

/* What is learnt from the rows of a tile that are there. */
ZML_TARGET_INLINE void add_dithered(const Batch *batch, size_t j, size_t count, const uint8_t *code,
                                    const uint8_t *position, int16_t *error) {
  zml_lanes *lanes = batch->work->lanes + j;
  int32_t sum = 0, square = 0;
  if (count == ZML_TILE_ROWS)
    for (int i = 0; i < ZML_TILE_ROWS; i++) {
      sum += position[i];
      square += position[i] * (position[i] - 128);
    }
  else
    for (size_t i = 0; i < count; i++) {
      sum += position[i];
      square += position[i] * (position[i] - 128);
    }
  for (size_t i = count; i < ZML_TILE_ROWS; i++)
    error[i] = 0;
  lanes->sum[0] += sum;
  lanes->square[0] += square;
  add_errors(batch, j, 1, code, error);
}

/* Codes of one column of all tiles of a batch, and what is learnt from them, as round_any_column_as. */
ZML_TARGET static void round_dithered_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  zml_lanes *lanes = batch->work->lanes + j;
  const int32_t base = book->first_rung[j];
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    ZML_ALIGNED uint8_t rung[ZML_TILE_ROWS], code[ZML_TILE_ROWS], position[ZML_TILE_ROWS];
    uint16_t bits[ZML_TILE_ROWS];
    int16_t error[ZML_TILE_ROWS];
    round_to_rungs(batch, tile, j, rung, bits);
    codes_of_states(batch, tile, j, rung, code, position);
    errors_of_positions(batch, tile, j, base, position, error);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      codes[tile][CODE_PLACE(i)] = code[i];
    const size_t left = batch->n_rows - tile * ZML_TILE_ROWS;
    add_dithered(batch, j, left < ZML_TILE_ROWS ? left : ZML_TILE_ROWS, code, position, error);
  }
  add_hits((const uint8_t (*)[ZML_TILE_ROWS])codes, batch->n_tiles, 4, lanes->hits);
}

#endif

/* The codes of column k of the rows' seeds. */
ZML_TARGET static void seed_column(const Batch *batch, size_t k, uint8_t (*codes)[ZML_TILE_ROWS]) {
  for (size_t tile = 0; tile < batch->n_tiles; tile++)
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      codes[tile][CODE_PLACE(i)] = zml_seed_code(batch->keys[tile].word[3][KEY_PLACE(i)], k);
}

/* Codes of column j of `columns`: nothing is in those between the matrix's own and the seeds, which only 2 bits have.
 */
ZML_TARGET static void dithered_column(const Batch *batch, int width, size_t j, size_t columns,
                                       uint8_t (*codes)[ZML_TILE_ROWS]) {
  const int is_own = j < batch->book->n_columns;
  if (is_own && width == ZML_DITHERED)
    round_dithered_column(batch, j, codes);
  else if (is_own && batch->book->first_rung[j])
    round_parity_column(batch, j, codes);
  else if (is_own)
    round_column(batch, j, codes);
  else if (width == ZML_DITHERED && j + ZML_SEED_COLUMNS >= columns)
    seed_column(batch, j + ZML_SEED_COLUMNS - columns, codes);
  else
    memset(codes, 0, batch->n_tiles * sizeof *codes);
}
