/* Fewer bits out of packed codes; part of encode_functions.h. */

/* Bytes [column][plane] of four columns' words to [plane][column], or back. */
STEP void swap_bytes(const uint32_t (*from)[WORDS], uint32_t (*to)[WORDS]) {
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

enum { BLOCK_TILES = 8 }; /* tiles that a column's tables are used for in a row */

/* Rows of a container have a number each, which their draws are keyed by: few codes make many equal rows, and keyed by
 * content those would share their noise. */
STEP void draw_lanes(const zml_lane_keys *keys, uint32_t key, uint32_t *random) {
  ZML_WORDS(l)
  random[l] = zml_draw((uint64_t)keys->high[l] << 32 | keys->low[l], key);
}

STEP void lookup(const uint8_t *table, const uint32_t *codes, int bytes, uint32_t *found) {
  if (bytes)
    lookup_256(table, (const uint8_t *)codes, (uint8_t *)found);
  else
    lookup_16(table, (const uint8_t *)codes, (uint8_t *)found);
}

/* Bytes that are 1 where a 16-bit random number, given by its bytes, is below the odds of a code. */
STEP void below_odds(const uint32_t *codes, const uint8_t *odds, const uint32_t *upper, const uint32_t *lower, int from,
                     uint32_t *up) {
  ZML_ALIGNED uint32_t high[WORDS], low[WORDS];
  lookup(odds, codes, from, high);
  lookup(odds + 256, codes, from, low);
  const uint8_t *h = (const uint8_t *)high, *w = (const uint8_t *)low, *u = (const uint8_t *)upper,
                *v = (const uint8_t *)lower;
  uint8_t *out = (uint8_t *)up;
  for (int i = 0; i < ZML_TILE_ROWS; i++)
    out[i] = (u[i] < h[i]) | ((u[i] == h[i]) & (v[i] < w[i]));
}

STEP uint64_t sum_of(const uint32_t *lane) {
  uint64_t sum = 0;
  for (int l = 0; l < WORDS; l++)
    sum += lane[l];
  return sum;
}

STEP void add_moments(const uint32_t *before, const uint32_t *after, zml_narrowing_sums *sums) {
  ZML_PLANES(p)
  ZML_WORDS(l) {
    const uint32_t now = after[l] >> 8 * p & 255, difference = now - (before[l] >> 8 * p & 255);
    sums->sum[l] += now;
    sums->square[l] += now * (now - 128);
    sums->error[l] += difference * difference;
  }
}

#ifndef narrow_column
/* One column of a tile; from and to are whether codes are bytes, pairs whether there is a second draw. */
STEP void narrow_column(const zml_narrowing *plan, size_t j, const uint32_t *column_keys, const zml_lane_keys *keys,
                        const uint32_t *codes, int from, int to, int pairs, uint32_t *narrowed,
                        zml_narrowing_sums *sums) {
  ZML_ALIGNED uint32_t upper[WORDS], lower[WORDS], up[WORDS], rise[WORDS], before[WORDS], after[WORDS];
  lookup(plan->base + 256 * j, codes, from, narrowed);
  for (int draw = 0; draw <= pairs; draw++) {
    draw_lanes(keys, column_keys[2 * draw], upper);
    draw_lanes(keys, column_keys[2 * draw + 1], lower);
    below_odds(codes, (draw ? plan->odds2 : plan->odds) + 512 * j, upper, lower, from, up);
    if (to) {
      uint8_t *bytes = (uint8_t *)up;
      const uint8_t *steps = (const uint8_t *)rise;
      lookup((draw ? plan->rise2 : plan->rise) + 256 * j, codes, from, rise);
      for (int i = 0; i < ZML_TILE_ROWS; i++)
        bytes[i] = (uint8_t)(bytes[i] * steps[i]);
    }
    ZML_WORDS(l)
    narrowed[l] += up[l];
  }
  if (!from)
    lookup(plan->before + 256 * j, codes, 0, before);
  if (!to)
    lookup(plan->after + ZML_MAX_CODES * j, narrowed, 0, after);
  add_moments(from ? codes : before, to ? narrowed : after, sums);
}
#endif

STEP void narrow_group(const uint8_t *source, uint8_t *tile, size_t group, const zml_narrowing *plan,
                       const uint32_t (*column_keys)[4], const zml_lane_keys *keys, int from, int to, int pairs,
                       zml_narrowing_sums *sums) {
  ZML_ALIGNED uint32_t planes[PLANES][WORDS], codes[ZML_GROUP_COLUMNS][WORDS], narrowed[ZML_GROUP_COLUMNS][WORDS];
  const uint32_t mask = 0x01010101u * ((1u << plan->from) - 1);
  ZML_PLANES(p) {
    const int shift = zml_shift_of(group, p, plan->from);
    memcpy(planes[p], source + ZML_LINE * zml_line_of(group, p, plan->from), ZML_LINE);
    ZML_WORDS(l)
    planes[p][l] = planes[p][l] >> shift & mask;
  }
  swap_bytes(planes, codes);
  for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
    narrow_column(plan, group * ZML_GROUP_COLUMNS + c, column_keys[c], keys, codes[c], from, to, pairs, narrowed[c],
                  sums + c);
  swap_bytes(narrowed, planes);
  ZML_PLANES(p) {
    const int shift = zml_shift_of(group, p, plan->to);
    uint8_t *line = tile + ZML_LINE * zml_line_of(group, p, plan->to);
    if (shift) {
      memcpy(narrowed, line, ZML_LINE);
      ZML_WORDS(l)
      planes[p][l] = planes[p][l] << shift | narrowed[0][l];
    }
    memcpy(line, planes[p], ZML_LINE);
  }
}

STEP void narrow_as(const uint8_t *source, uint8_t *tiles, size_t n_tiles, uint64_t ordinal, const zml_narrowing *plan,
                    uint64_t *sum, uint64_t *square, uint64_t *error, int from, int to, int pairs) {
  const size_t size = zml_tile_bytes(plan->padded, plan->from), new_size = zml_tile_bytes(plan->padded, plan->to);
  zml_lane_keys keys[BLOCK_TILES];
  for (size_t first = 0; first < n_tiles; first += BLOCK_TILES) {
    const size_t count = n_tiles - first < BLOCK_TILES ? n_tiles - first : BLOCK_TILES;
    for (size_t t = 0; t < count; t++)
      for (uint64_t l = 0; l < WORDS; l++) {
        const uint64_t key = zml_mix64(zml_mix64(plan->seed) ^ zml_mix64((ordinal + first + t) * WORDS + l));
        keys[t].low[l] = (uint32_t)key;
        keys[t].high[l] = (uint32_t)(key >> 32);
      }
    for (size_t group = 0; group < plan->padded / ZML_GROUP_COLUMNS; group++) {
      uint32_t column_keys[ZML_GROUP_COLUMNS][4];
      zml_narrowing_sums sums[ZML_GROUP_COLUMNS];
      memset(sums, 0, sizeof sums);
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++)
        for (size_t k = 0; k < 4; k++)
          column_keys[c][k] = zml_column_key(4 * (group * ZML_GROUP_COLUMNS + c) + k);
      for (size_t t = first; t < first + count; t++) {
        /* the same of the next tiles: a column's lines are a tile apart, which no processor expects */
        const uint8_t *ahead = source + (t + BLOCK_TILES) * size + ZML_LINE * zml_line_of(group, 0, plan->from);
        for (size_t k = 0; t + BLOCK_TILES < n_tiles && k < (from ? PLANES * ZML_LINE : 2 * ZML_LINE); k += ZML_LINE)
          ZML_PREFETCH_FAR(ahead + k);
        narrow_group(source + t * size, tiles + t * new_size, group, plan, column_keys, &keys[t - first], from, to,
                     pairs, sums);
      }
      for (size_t c = 0; c < ZML_GROUP_COLUMNS; c++) {
        const size_t j = group * ZML_GROUP_COLUMNS + c;
        if (j >= plan->n_columns)
          break;
        uint64_t squares = 0; /* less 128 times the positions */
        for (int l = 0; l < WORDS; l++)
          squares += (uint64_t)(int64_t)(int32_t)sums[c].square[l];
        sum[j] += sum_of(sums[c].sum);
        square[j] += squares + 128 * sum_of(sums[c].sum);
        error[j] += sum_of(sums[c].error);
      }
    }
  }
}

#define NARROW_AS(from, to, pairs) narrow_as(source, tiles, n_tiles, ordinal, plan, sum, square, error, from, to, pairs)

ZML_TARGET static void narrow(const uint8_t *source, uint8_t *tiles, size_t n_tiles, uint64_t ordinal,
                              const zml_narrowing *plan, uint64_t *sum, uint64_t *square, uint64_t *error) {
  if (plan->odds2) {
    if (plan->from < 8)
      NARROW_AS(0, 0, 1);
    else if (plan->to < 8)
      NARROW_AS(1, 0, 1);
    else
      NARROW_AS(1, 1, 1);
  } else {
    if (plan->from < 8)
      NARROW_AS(0, 0, 0);
    else if (plan->to < 8)
      NARROW_AS(1, 0, 0);
    else
      NARROW_AS(1, 1, 0);
  }
}
