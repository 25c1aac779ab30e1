/* Fewer bits out of packed codes; part of encode-inl.h.
 *
 * A block of tiles goes by a column group at a time, so that a column's tables stay in registers. Random bytes decide
 * whether a code goes up, those below its threshold. Thresholds have 16 bits: in each block the upper byte of a code's
 * is raised by one with the probability that the lower one says, which leaves the probability of going up what it is
 * and needs no second byte for a row. */

/* Bytes [column][plane] of four columns' words to [plane][column], or back. */
#ifndef swap_bytes
ZML_TARGET_INLINE void swap_bytes(const uint32_t (*from)[WORDS], uint32_t (*to)[WORDS]) {
  ZML_WORDS(l) {
    const uint32_t even = (from[0][l] & 0x00ff00ff) | (from[1][l] & 0x00ff00ff) << 8;
    const uint32_t odd = (from[0][l] >> 8 & 0x00ff00ff) | (from[1][l] & 0xff00ff00);
    const uint32_t even2 = (from[2][l] & 0x00ff00ff) | (from[3][l] & 0x00ff00ff) << 8;
    const uint32_t odd2 = (from[2][l] >> 8 & 0x00ff00ff) | (from[3][l] & 0xff00ff00);
    to[0][l] = (even & 0xffff) | even2 << 16;
    to[1][l] = (odd & 0xffff) | odd2 << 16;
    to[2][l] = even >> 16 | (even2 & 0xffff0000);
    to[3][l] = odd >> 16 | (odd2 & 0xffff0000);
  }
}
#endif

/* Rows of a container have a number each, which their draws are keyed by: few codes make many equal rows, and keyed by
 * content those would share their noise. */
ZML_TARGET_INLINE void byte_keys(uint64_t seed, uint64_t number, ByteKeys *keys) {
  for (uint64_t l = 0; l < WORDS; l++) {
    const uint64_t key = zml_mix64(zml_mix64(seed) ^ zml_mix64(number * WORDS + l));
    keys->word[l] = (uint32_t)key;
    keys->multiplier[l] = (uint32_t)(key >> 32) | 1;
  }
}

ZML_TARGET_INLINE void start_block(const zml_requantization *plan, uint64_t first, size_t n_tiles,
                                   RequantizeBlock *block) {
  block->n_tiles = n_tiles;
  for (size_t t = 0; t < n_tiles; t++)
    byte_keys(plan->seed, first + t, &block->rows[t]);
  for (uint64_t k = 0; k < 4; k++)
    byte_keys(plan->seed, ~(first / REQUANTIZE_TILES * 4 + k), &block->codes[k]);
}

#ifndef requantize_column
ZML_TARGET_INLINE void draw_bytes(const ByteKeys *keys, uint32_t column_key, uint32_t *bytes) {
  ZML_WORDS(l)
  bytes[l] = zml_byte_draw(keys->word[l], keys->multiplier[l], column_key);
}

/* What a byte has to be below for a code to go up, in this block. */
ZML_TARGET_INLINE void block_thresholds(const RequantizeBlock *block, const uint8_t *threshold, int draw, size_t j,
                                        uint8_t *out) {
  for (int k = 0; k < 4; k++) {
    uint32_t words[WORDS];
    const uint8_t *bytes = (const uint8_t *)words;
    draw_bytes(&block->codes[k], zml_draw_key((uint32_t)j, 2 + (uint32_t)draw), words);
    for (int i = 0; i < ZML_TILE_ROWS; i++)
      out[64 * k + i] = (uint8_t)(threshold[64 * k + i] + (bytes[i] < threshold[256 + 64 * k + i]));
  }
}

ZML_TARGET_INLINE void lookup(const uint8_t *table, const uint8_t *codes, int bytes, uint8_t *found) {
  if (bytes)
    lookup_256(table, codes, found);
  else
    lookup_16(table, codes, found);
}

/* Column j of a block of tiles, in place; from and to are whether codes are bytes, pairs whether there is a second
 * draw. */
ZML_TARGET_INLINE void requantize_column(const zml_requantization *plan, size_t j, const RequantizeBlock *block,
                                         int from, int to, int pairs, uint32_t (*words)[ZML_GROUP_COLUMNS][WORDS],
                                         RequantizeSums *sums) {
  uint8_t threshold[2][256], limit[ZML_TILE_ROWS], rise[ZML_TILE_ROWS], before[ZML_TILE_ROWS], fewer[ZML_TILE_ROWS],
      after[ZML_TILE_ROWS];
  for (int draw = 0; draw <= pairs; draw++)
    block_thresholds(block, (draw ? plan->threshold2 : plan->threshold) + 512 * j, draw, j, threshold[draw]);
  uint32_t random[WORDS];
  const uint8_t *bytes = (const uint8_t *)random;
  memset(rise, 1, sizeof rise);
  for (size_t t = 0; t < block->n_tiles; t++) {
    uint8_t *codes = (uint8_t *)words[t][0];
    lookup(plan->base + 256 * j, codes, from, fewer);
    for (int draw = 0; draw <= pairs; draw++) {
      draw_bytes(&block->rows[t], zml_draw_key((uint32_t)j, (uint32_t)draw), random);
      lookup(threshold[draw], codes, from, limit);
      if (to)
        lookup((draw ? plan->rise2 : plan->rise) + 256 * j, codes, from, rise);
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        fewer[i] = (uint8_t)(fewer[i] + (bytes[i] < limit[i]) * rise[i]);
    }
    if (from)
      memcpy(before, codes, sizeof before);
    else
      lookup(plan->before + ZML_MAX_CODES * j, codes, 0, before);
    if (to)
      memcpy(after, fewer, sizeof after);
    else
      lookup(plan->after + ZML_MAX_CODES * j, fewer, 0, after);
    memcpy(codes, fewer, sizeof fewer);
    uint32_t sum = 0, square = 0, error = 0;
    for (int i = 0; i < ZML_TILE_ROWS; i++) {
      const int32_t now = after[i], moved = now - before[i];
      sum += (uint32_t)now;
      square += (uint32_t)(now * now);
      error += (uint32_t)(moved * moved);
    }
    sums->sum += sum;
    sums->square += square;
    sums->error += error;
  }
}
#endif

/* Codes of a column group, [tile][column], a byte each. */
ZML_TARGET_INLINE void split_group(const uint8_t *source, size_t size, size_t group, int width, size_t n_tiles,
                                   uint32_t (*codes)[ZML_GROUP_COLUMNS][WORDS]) {
  const uint32_t mask = 0x01010101u * ((1u << width) - 1);
  for (size_t t = 0; t < n_tiles; t++) {
    ZML_ALIGNED uint32_t planes[PLANES][WORDS];
    ZML_PLANES(p) {
      const int shift = zml_shift_of(group, p, width);
      memcpy(planes[p], source + t * size + ZML_LINE * zml_line_of(group, p, width), ZML_LINE);
      if (width < 8)
        ZML_WORDS(l)
      planes[p][l] = planes[p][l] >> shift & mask;
    }
    swap_bytes((const uint32_t (*)[WORDS])planes, codes[t]);
  }
}

/* The inverse: planes that share a line are joined while their bytes are neighbours, then a line's bytes are brought
 * together. */
#ifndef join_planes
ZML_TARGET_INLINE void join_planes(const uint32_t (*codes)[WORDS], int width, uint32_t (*lines)[WORDS]) {
  ZML_WORDS(l) {
    uint32_t of[ZML_GROUP_COLUMNS];
    for (int c = 0; c < ZML_GROUP_COLUMNS; c++) {
      of[c] = codes[c][l] | codes[c][l] >> (8 - width);
      if (width < 4)
        of[c] |= of[c] >> (16 - 2 * width);
    }
    const uint32_t a = (of[0] & 0x00ff00ff) | (of[1] & 0x00ff00ff) << 8;
    const uint32_t b = (of[2] & 0x00ff00ff) | (of[3] & 0x00ff00ff) << 8;
    lines[0][l] = (a & 0xffff) | b << 16;
    lines[1][l] = a >> 16 | (b & 0xffff0000);
  }
}
#endif

ZML_TARGET_INLINE void join_group_as(const uint32_t (*codes)[ZML_GROUP_COLUMNS][WORDS], size_t size, size_t group,
                                     int width, size_t n_tiles, uint8_t *tiles) {
  for (size_t t = 0; t < n_tiles; t++) {
    uint8_t *line = tiles + t * size + ZML_LINE * zml_line_of(group, 0, width);
    ZML_ALIGNED uint32_t lines[PLANES][WORDS];
    if (width == 8)
      swap_bytes(codes[t], lines);
    else
      join_planes(codes[t], width, lines);
    if (width == 1) { /* two groups share a line */
      const int shift = zml_shift_of(group, 0, 1);
      ZML_ALIGNED uint32_t other[WORDS];
      memcpy(other, line, sizeof other);
      ZML_WORDS(l)
      lines[0][l] = (lines[0][l] & 0x0f0f0f0f) << shift | other[l];
      memcpy(line, lines[0], ZML_LINE);
    } else
      for (int k = 0; k < width / 2; k++)
        store_line(line + k * ZML_LINE, lines[k]);
  }
}

ZML_TARGET_INLINE void join_group(const uint32_t (*codes)[ZML_GROUP_COLUMNS][WORDS], size_t size, size_t group,
                                  int width, size_t n_tiles, uint8_t *tiles) {
  switch (width) {
  case 1:
    join_group_as(codes, size, group, 1, n_tiles, tiles);
    break;
  case 2:
    join_group_as(codes, size, group, 2, n_tiles, tiles);
    break;
  case 4:
    join_group_as(codes, size, group, 4, n_tiles, tiles);
    break;
  default:
    join_group_as(codes, size, group, 8, n_tiles, tiles);
  }
}

ZML_TARGET_INLINE void requantize_as(const zml_requantization *plan, const zml_requantized_tiles *tiles,
                                     const zml_requantized_sums *sums, int from, int to, int pairs) {
  const uint8_t *source = tiles->source;
  const size_t n_tiles = tiles->n_tiles;
  const size_t size = zml_tile_bytes(plan->padded, plan->from), new_size = zml_tile_bytes(plan->padded, plan->to);
  const size_t groups = plan->padded / ZML_GROUP_COLUMNS;
  for (size_t first = 0, count; first < n_tiles; first += count) {
    RequantizeBlock block;
    count = REQUANTIZE_TILES - (tiles->ordinal + first) % REQUANTIZE_TILES;
    count = count < n_tiles - first ? count : n_tiles - first;
    start_block(plan, tiles->ordinal + first, count, &block);
    for (size_t group = 0; group < groups; group++) {
      ZML_ALIGNED uint32_t codes[REQUANTIZE_TILES][ZML_GROUP_COLUMNS][WORDS];
      split_group(source + first * size, size, group, from ? 8 : plan->from, count, codes);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const size_t j = group * ZML_GROUP_COLUMNS + c;
        RequantizeSums added = {0, 0, 0};
        /* a group's lines are a tile apart, which no processor expects; all at once they would wait for each other */
        if (group + AHEAD_GROUPS < groups && (from || c < 2))
          for (size_t t = first; t < first + count; t++)
            ZML_PREFETCH_FAR(source + t * size +
                             ZML_LINE * (zml_line_of(group + AHEAD_GROUPS, 0, from ? 8 : plan->from) + c));
        requantize_column(plan, j, &block, from, to, pairs, (uint32_t (*)[ZML_GROUP_COLUMNS][WORDS])(codes[0] + c),
                          &added);
        if (j >= plan->n_columns)
          continue;
        sums->sum[j] += added.sum;
        sums->square[j] += added.square;
        sums->error[j] += added.error;
      }
      join_group((const uint32_t (*)[ZML_GROUP_COLUMNS][WORDS])codes, new_size, group, plan->to, count,
                 tiles->made + first * new_size);
    }
  }
  lines_stored();
}

ZML_TARGET static void requantize(const zml_requantization *plan, const zml_requantized_tiles *tiles,
                                  const zml_requantized_sums *sums) {
  if (plan->threshold2) {
    if (plan->from < 8)
      requantize_as(plan, tiles, sums, 0, 0, 1);
    else if (plan->to < 8)
      requantize_as(plan, tiles, sums, 1, 0, 1);
    else
      requantize_as(plan, tiles, sums, 1, 1, 1);
  } else {
    if (plan->from < 8)
      requantize_as(plan, tiles, sums, 0, 0, 0);
    else if (plan->to < 8)
      requantize_as(plan, tiles, sums, 1, 0, 0);
    else
      requantize_as(plan, tiles, sums, 1, 1, 0);
  }
}
