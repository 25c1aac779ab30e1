/* Rounding to 3 bits with known dither; part of encode-inl.h. States are pairs of neighbouring positions, of which the
 * dither says one, and their rungs, the means, are what values are rounded to, see format/dither.h. The dither is the
 * bit of a draw that does not decide where the value goes. */

#ifndef round_parity_column

/* What is learnt from the rows of a tile; those that are not there have code 0. */
ZML_TARGET_INLINE void add_parity(const Batch *batch, size_t tile, size_t j, uint8_t *code, int16_t *error) {
  const size_t left = batch->n_rows - tile * ZML_TILE_ROWS;
  for (size_t i = left; i < ZML_TILE_ROWS; i++)
    code[i] = 0, error[i] = 0;
  add_errors(batch, j, 1, code, error);
}

/* Codes of one column of all tiles of a batch, and what is learnt from them, as round_any_column_as. */
ZML_TARGET static void round_parity_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  zml_lanes *lanes = batch->work->lanes + j;
  const int32_t base = book->first_rung[j];
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    ZML_ALIGNED uint8_t rung[ZML_TILE_ROWS], code[ZML_TILE_ROWS], position[ZML_TILE_ROWS];
    uint16_t bits[ZML_TILE_ROWS];
    int16_t error[ZML_TILE_ROWS];
    round_to_rungs(batch, tile, j, rung, bits);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      code[i] = (uint8_t)(rung[i] + ((rung[i] ^ bits[i]) & 1));
    lookup_16(book->positions + ZML_MAX_CODES * j, code, position);
    errors_of_positions(batch, tile, j, base, position, error);
    add_parity(batch, tile, j, code, error);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      codes[tile][CODE_PLACE(i)] = code[i];
  }
  add_hits((const uint8_t (*)[ZML_TILE_ROWS])codes, batch->n_tiles, ZML_MAX_CODES, lanes->hits);
}

#endif
