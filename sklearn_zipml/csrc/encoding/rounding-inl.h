/* Codes of one column at a time: every coordinate goes to one of the levels around it; part of encode-inl.h. */

/* 16 random bits for each row of a tile, of one draw of a column. */
ZML_TARGET_INLINE void draws_of(const Batch *batch, size_t tile, size_t column, uint32_t draw, uint16_t *bits) {
  const Keys *keys = &batch->keys[tile];
  const uint32_t key = draw < 2 ? batch->book->draw_keys[draw][column] : zml_draw_key((uint32_t)column, draw);
  const uint16_t *words = keys->word[2 + draw % 2];
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    bits[i] = zml_row_draw(keys->word[0][KEY_PLACE(i)], keys->word[1][KEY_PLACE(i)], words[KEY_PLACE(i)], key);
}

/* 1 with probability above / gap, decided by 16 random bits, the lowest one set, so that the probability is
 * rounded to nearest. */
ZML_TARGET_INLINE void goes_up(const uint16_t *bits, const uint16_t *above, const uint8_t *gap, uint8_t *up) {
  uint16_t share[ZML_TILE_ROWS];
  /* apart from the comparison: compilers make shorter vectors of both together */
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    share[i] = (uint16_t)((uint32_t)(bits[i] | 1) * (uint32_t)(uint16_t)(gap[i] << 8) >> 16); /* a product of words */
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    up[i] = share[i] < above[i];
}

/* The level below each coordinate and the gap above it, of one column; `few` levels are up to 16 and have numbers. */
ZML_TARGET_INLINE void levels_below(const zml_codebook *book, size_t j, int few, const uint8_t *cell, uint8_t *index,
                                    uint8_t *below, uint8_t *gap) {
  if (few) {
    lookup_256(book->interval + 256 * j, cell, index);
    lookup_16(book->levels + ZML_MAX_CODES * j, index, below);
    lookup_16(book->gaps + ZML_MAX_CODES * j, index, gap);
  } else {
    lookup_256(book->below + 256 * j, cell, below);
    lookup_256(book->gap + 256 * j, cell, gap);
  }
}

/* Adds the positions of a tile's codes and their squares to the sums of a column. */
ZML_TARGET_INLINE void add_positions(const zml_codebook *book, size_t j, int few, const uint8_t *code,
                                     zml_lanes *lanes) {
  ZML_ALIGNED uint8_t position[ZML_TILE_ROWS];
  if (few)
    lookup_16(book->positions + ZML_MAX_CODES * j, code, position);
  else
    memcpy(position, code, sizeof position);
  int32_t sum = 0, square = 0;
  for (int i = 0; i < ZML_TILE_ROWS; i++) {
    sum += position[i];
    square += position[i] * (position[i] - 128);
  }
  lanes->sum[0] += sum;
  lanes->square[0] += square;
}

#ifndef sum_of_squares
ZML_TARGET_INLINE uint64_t sum_of_squares(const int16_t *error) {
  uint64_t sum = 0;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    sum += (uint32_t)(error[i] * error[i]);
  return sum;
}
#endif

/* Adds the squared errors of a tile to those of a column, and where they are wanted to those of few codes. */
ZML_TARGET_INLINE void add_errors(const Batch *batch, size_t j, int few, const uint8_t *code, const int16_t *error) {
  batch->work->lanes[j].noise[0] += sum_of_squares(error);
  if (few && batch->tally)
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      batch->work->tallies[ZML_MAX_CODES * j + code[i]] += ZML_HIT + (uint32_t)(error[i] * error[i]);
}

/* Where the values of one column stand: what is below them, see levels_below, and how far they are above that. */
ZML_TARGET_INLINE void place_values(const Batch *batch, size_t tile, size_t j, int few, uint8_t *index, uint8_t *below,
                                    uint8_t *gap, uint16_t *above) {
  const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
  const int shift = j % 2 ? 16 : 0;
  ZML_ALIGNED uint8_t cell[ZML_TILE_ROWS];
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    cell[i] = (uint8_t)(pair[i] >> (shift + 8));
  levels_below(batch->book, j, few, cell, index, below, gap);
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    above[i] = (uint16_t)((pair[i] >> shift) - ((uint32_t)below[i] << 8));
}

#ifndef add_hits
/* Counts the codes of a column, which are below `end`; in what order they stand does not matter. */
ZML_TARGET_INLINE void add_hits(const uint8_t (*codes)[ZML_TILE_ROWS], size_t n_tiles, int end, uint64_t *to) {
  uint32_t hits[4][ZML_MAX_CODES] = {{0}};
  for (size_t tile = 0; tile < n_tiles; tile++) {
    const uint8_t *code = codes[tile];
#pragma GCC unroll 16 /* four counts in turn: one would wait for itself */
    for (int i = 0; i < ZML_TILE_ROWS; i += 4) {
      hits[0][code[i]]++;
      hits[1][code[i + 1]]++;
      hits[2][code[i + 2]]++;
      hits[3][code[i + 3]]++;
    }
  }
  for (int k = 0; k < end; k++)
    to[k] += hits[0][k] + hits[1][k] + hits[2][k] + hits[3][k];
}
#endif

/* With known dither: the rungs that values are rounded to, by number, and the draws that decided. */
ZML_TARGET_INLINE void round_to_rungs(const Batch *batch, size_t tile, size_t j, uint8_t *rung, uint16_t *bits) {
  ZML_ALIGNED uint8_t below[ZML_TILE_ROWS], gap[ZML_TILE_ROWS], up[ZML_TILE_ROWS];
  uint16_t above[ZML_TILE_ROWS];
  place_values(batch, tile, j, 1, rung, below, gap, above);
  draws_of(batch, tile, j, 0, bits);
  goes_up(bits, above, gap, up);
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    rung[i] += up[i];
}

/* Errors of positions that codes stand for, which are `base` above those of values. */
ZML_TARGET_INLINE void errors_of_positions(const Batch *batch, size_t tile, size_t j, int32_t base,
                                           const uint8_t *position, int16_t *error) {
  const uint32_t *pair = pairs_of(batch, tile) + j / 2 * ZML_TILE_ROWS;
  const int shift = j % 2 ? 16 : 0;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    error[i] = (int16_t)((position[i] - base) * 128 - (int32_t)(((pair[i] >> shift & 0xffff) + 1) >> 1));
}

/* Codes of one column of all tiles of a batch, and what is learnt from them; `few` levels are up to 16. */
ZML_TARGET_INLINE void round_any_column_as(const Batch *batch, size_t j, zml_sampling sampling, int few,
                                           uint8_t (*codes)[ZML_TILE_ROWS]) {
  const zml_codebook *book = batch->book;
  const int n_draws = sampling == ZML_DRAWS ? (int)book->n_draws : sampling == ZML_DOUBLE ? 2 : 1;
  zml_lanes *lanes = batch->work->lanes + j;
  for (size_t tile = 0; tile < batch->n_tiles; tile++) {
    ZML_ALIGNED uint8_t index[ZML_TILE_ROWS], below[ZML_TILE_ROWS], gap[ZML_TILE_ROWS], up[ZML_TILE_ROWS],
        up2[ZML_TILE_ROWS], code[ZML_TILE_ROWS];
    uint16_t above[ZML_TILE_ROWS], bits[ZML_TILE_ROWS];
    int16_t error[ZML_TILE_ROWS];
    place_values(batch, tile, j, few, index, below, gap, above);
    if (sampling == ZML_NEAREST)
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        up[i] = above[i] >= gap[i] << 7;
    else {
      draws_of(batch, tile, j, 0, bits);
      goes_up(bits, above, gap, up);
    }
    for (int draw = 1; draw < n_draws; draw++) {
      draws_of(batch, tile, j, (uint32_t)draw, bits);
      goes_up(bits, above, gap, up2);
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        up[i] += up2[i];
    }
    /* levels of several draws are a multiple of their number apart */
    for (int i = 0; i < ZML_TILE_ROWS; i++) {
      const int rise = up[i] * gap[i] / n_draws;
      error[i] = (int16_t)(rise * 128 - ((above[i] + 1) >> 1));
      code[i] = (uint8_t)(few ? n_draws * index[i] + up[i] : below[i] + rise);
    }
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      codes[tile][CODE_PLACE(i)] = code[i];
    const int noisy = sampling != ZML_NAIVE && sampling != ZML_NEAREST;
    if (!few || !noisy) /* else they follow from the hits */
      add_positions(book, j, few, code, lanes);
    if (noisy)
      add_errors(batch, j, few, code, error);
  }
  if (few)
    add_hits((const uint8_t (*)[ZML_TILE_ROWS])codes, batch->n_tiles, 1 << book->width, lanes->hits);
}
#ifndef round_column_as
#define round_column_as round_any_column_as
#endif

#define ROUND_AS(sampling)                                                                                             \
  if (batch->book->width < 8)                                                                                          \
    round_column_as(batch, j, sampling, 1, codes);                                                                     \
  else                                                                                                                 \
    round_column_as(batch, j, sampling, 0, codes);                                                                     \
  break;

ZML_TARGET static void round_column(const Batch *batch, size_t j, uint8_t (*codes)[ZML_TILE_ROWS]) {
  switch (batch->book->sampling) {
  case ZML_NAIVE:
    ROUND_AS(ZML_NAIVE)
  case ZML_NEAREST:
    ROUND_AS(ZML_NEAREST)
  case ZML_DOUBLE:
    ROUND_AS(ZML_DOUBLE)
  case ZML_COMPENSATED:
    ROUND_AS(ZML_COMPENSATED)
  case ZML_DRAWS:
    if (batch->book->width < 8)
      round_any_column_as(batch, j, ZML_DRAWS, 1, codes);
    else
      round_any_column_as(batch, j, ZML_DRAWS, 0, codes);
    break;
  }
}
