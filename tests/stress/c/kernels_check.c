/* Compares every table of kernels that runs here with the portable one, bit for bit, on random tiles and vectors.
 *
 * For machines without Python, above all emulated ones: tests/stress/neon_check.sh runs it under qemu. The tests in
 * tests/kernels/test_kernels.py do more. Prints the names it compared and how long each took; exits with 1 on a
 * difference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatch.h"
#include "encoding/encode.h"
#include "format/levels.h"
#include "format/rows.h"
#include "format/rng.h"
#include "format/tile.h"

enum { COLUMNS = 208 };

static uint64_t counter;
static int failures;

static void fill(void *bytes, size_t n) {
  for (size_t k = 0; k < n; k++)
    ((uint8_t *)bytes)[k] = (uint8_t)(zml_mix64(counter++) >> 56);
}

static void fill_floats(float *values, size_t n) {
  for (size_t k = 0; k < n; k++)
    values[k] = (float)(int32_t)zml_mix32((uint32_t)counter++) * 0x1p-31f;
}

static void expect_same(const char *name, const char *what, int detail, const void *a, const void *b, size_t n) {
  if (memcmp(a, b, n) == 0)
    return;
  printf("%s differs from portable: %s %d\n", name, what, detail);
  failures++;
}

static void check_tiles(const zml_kernels *kernels, int width, int n_digits, int first, int last) {
  static uint8_t tile[COLUMNS * 64], table[COLUMNS * ZML_DITHER_TABLE];
  static int8_t model[2 * COLUMNS], residual[2 * 64];
  static int32_t found[2][2 * COLUMNS], dots[2][2 * 64];
  fill(tile, sizeof tile);
  fill(table, sizeof table);
  fill(model, sizeof model);
  fill(residual, sizeof residual);
  memset(dots, 0, sizeof dots);
  memset(found, 0, sizeof found);
  const zml_kernels *both[2] = {kernels, &zml_portable};
  const zml_samples x = {tile, table, COLUMNS, first, last, tile, tile + sizeof tile - 2 * ZML_LINE};
  const zml_digits vector = {model, COLUMNS, n_digits};
  for (int k = 0; k < 2; k++) {
    both[k]->dot[width](&x, &vector, dots[k]);
    both[k]->gradient[width](&x, residual, n_digits, found[k], COLUMNS);
  }
  expect_same(kernels->name, "dot of width", width, dots[0], dots[1], sizeof dots[0]);
  expect_same(kernels->name, "gradient of width", width, found[0], found[1], sizeof found[0]);
}

static void check_vectors(const zml_kernels *kernels, int bits) {
  static float v[6][COLUMNS], moved[2][COLUMNS], model[2][COLUMNS], rounded[2][COLUMNS], tile[COLUMNS * 64];
  static int8_t digits[2][2 * COLUMNS];
  static double dots[2][64], sums[2][COLUMNS], float_dots[2][64], float_sums[2][COLUMNS];
  float scale[2], top[2];
  double centre_sum[2];
  for (int k = 0; k < 6; k++)
    fill_floats(v[k], COLUMNS);
  fill_floats(tile, COLUMNS * 64);
  memset(digits, 0, sizeof digits);
  const zml_kernels *both[2] = {kernels, &zml_portable};
  static int8_t rows[2][2 * 64];
  static int32_t integers[2 * COLUMNS];
  static float table_residual[2][64];
  double product[64];
  float total[2];
  for (int i = 0; i < 2 * COLUMNS; i++)
    integers[i] = (int32_t)zml_mix32((uint32_t)counter++) >> 12;
  for (int i = 0; i < 64; i++)
    product[i] = v[2][i];
  const zml_step rule = {COLUMNS, v[0], v[1], 0.37f, 0.011f};
  const zml_row_products products = {product, v[0], 61, 64};
  const zml_batch batch = {integers, COLUMNS, 2, 1e-6f, 0.7f, v[2], NULL};
  memset(rows, 0, sizeof rows);
  memset(dots, 0, sizeof dots);
  memset(sums, 0, sizeof sums);
  for (int k = 0; k < 2; k++) {
    const zml_kernels *use = both[k];
    const zml_rounding rounding = {use->largest(v[2], COLUMNS), bits, 0, 7};
    const zml_digits to = {digits[k], COLUMNS, zml_grid_digits(bits)};
    scale[k] = use->quantize(v[2], COLUMNS, &rounding, &to, v[3], &centre_sum[k]);
    memcpy(rounded[k], v[2], sizeof v[2]);
    use->round(rounded[k], v[1], COLUMNS, 0, bits, 7);
    memcpy(moved[k], v[4], sizeof v[4]);
    memcpy(model[k], v[5], sizeof v[5]);
    top[k] = use->saga_step(&rule, &batch, v[3], moved[k], model[k]);
    top[k] += use->sgd_step(&rule, &batch, model[k], moved[k]);
    top[k] += use->shrink(COLUMNS, v[1], v[3], model[k]);
    scale[k] += use->saga_rows(&products, v[1], bits, 7, rows[k], table_residual[k], &total[k]);
    use->add_products(integers, 2, 0, 4, 0.3, 17.5, dots[k]);
    use->add_sums(integers, 64, 2, 64, 0.3f, sums[k]);
    use->fold(64, product, sums[k], table_residual[k], rounded[k]);
    use->dot_float(tile, COLUMNS, v[0], 0, 4, float_dots[k]);
    use->gradient_float(tile, COLUMNS, v[0], 0, 4, float_sums[k]);
  }
  expect_same(kernels->name, "scale at bits", bits, &scale[0], &scale[1], sizeof *scale);
  expect_same(kernels->name, "centre sum at bits", bits, &centre_sum[0], &centre_sum[1], sizeof *centre_sum);
  expect_same(kernels->name, "digits at bits", bits, digits[0], digits[1], sizeof digits[0]);
  expect_same(kernels->name, "rounded at bits", bits, rounded[0], rounded[1], sizeof rounded[0]);
  expect_same(kernels->name, "model at bits", bits, model[0], model[1], sizeof model[0]);
  expect_same(kernels->name, "drift at bits", bits, moved[0], moved[1], sizeof moved[0]);
  expect_same(kernels->name, "largest at bits", bits, &top[0], &top[1], sizeof *top);
  expect_same(kernels->name, "rows' digits at bits", bits, rows[0], rows[1], sizeof rows[0]);
  expect_same(kernels->name, "rows' total at bits", bits, &total[0], &total[1], sizeof *total);
  expect_same(kernels->name, "folded table_residual at bits", bits, table_residual[0], table_residual[1],
              sizeof table_residual[0]);
  expect_same(kernels->name, "products at bits", bits, dots[0], dots[1], sizeof dots[0]);
  expect_same(kernels->name, "sums at bits", bits, sums[0], sums[1], sizeof sums[0]);
  expect_same(kernels->name, "float dot at bits", bits, float_dots[0], float_dots[1], sizeof float_dots[0]);
  expect_same(kernels->name, "float gradient at bits", bits, float_sums[0], float_sums[1], sizeof float_sums[0]);
}

/* 255 * -128 * 65536 columns: the largest sum that a contract allows. */
static void check_bounds(const zml_kernels *kernels) {
  uint8_t *tile = malloc((size_t)ZML_DOT_COLUMNS * 64);
  int8_t *model = malloc(ZML_DOT_COLUMNS);
  int32_t dots[64];
  if (!tile || !model)
    exit(2);
  memset(tile, 255, (size_t)ZML_DOT_COLUMNS * 64);
  memset(model, -128, ZML_DOT_COLUMNS);
  const zml_samples x = {tile, NULL, ZML_DOT_COLUMNS, 0, 4, NULL, NULL};
  const zml_digits vector = {model, ZML_DOT_COLUMNS, 1};
  kernels->dot[8](&x, &vector, dots);
  for (int i = 0; i < 64; i++)
    if (dots[i] != 255 * -128 * ZML_DOT_COLUMNS)
      failures++;
  free(tile);
  free(model);
}

/* Levels at every 16th (8-bit codes: every) grid position; 150 rows, so that the last tile is not full. */
enum { ROWS = 150, PADDED = (COLUMNS + 15) / 16 * 16 };

static void check_encoder(const zml_kernels *kernels, zml_sampling sampling, int width, int dithered) {
  static uint8_t interval[PADDED * 256], below[PADDED * 256], gap[PADDED * 256], levels[PADDED * 16], gaps[PADDED * 16];
  static uint8_t first_rung[PADDED];
  static uint32_t multipliers[2][PADDED / 2], draw_keys[2][PADDED], coordinates[ZML_BLOCK_TILES * PADDED / 2 * 64];
  static float values[ROWS * COLUMNS], offset[PADDED], scale[PADDED], top[PADDED];
  static zml_lanes lanes[2][PADDED];
  static uint64_t tallies[2][PADDED * 16], counts[2][PADDED * 256];
  static uint8_t rows[2][192 * PADDED], tiles[2][192 * PADDED], back[2][192 * PADDED];
  static uint64_t sums[2][2][PADDED];
  static uint8_t taken[2][64 * PADDED], columns[2][64 * PADDED], chosen[40];
  static uint8_t coded[2][ROWS * PADDED];
  static uint32_t halves[2][COLUMNS];
  fill(multipliers, sizeof multipliers);
  fill(draw_keys, sizeof draw_keys);
  fill_floats(values, ROWS * COLUMNS);
  for (int j = 0; j < PADDED; j++) {
    offset[j] = -1;
    scale[j] = j < COLUMNS ? 120.0f * ZML_GRID_FRACTION : 0;
    top[j] = j < COLUMNS ? (dithered ? 224.0f : 240.0f) * ZML_GRID_FRACTION : 0;
    first_rung[j] = j < COLUMNS && j % 5 ? 8 : 0;
    for (int k = 0; k < 256; k++) {
      interval[j * 256 + k] = (uint8_t)(k / 16 < 14 - dithered ? k / 16 : 14 - dithered);
      /* levels of pairs are an even number of steps apart */
      below[j * 256 + k] = (uint8_t)(sampling == ZML_DOUBLE ? (k < 238 ? k : 238) & ~1 : k < 239 ? k : 239);
      gap[j * 256 + k] = sampling == ZML_DOUBLE ? 2 : 1;
    }
    for (int k = 0; k < 16; k++) {
      levels[j * 16 + k] = (uint8_t)(16 * k);
      gaps[j * 16 + k] = 16;
    }
  }
  const zml_codebook book = {.n_columns = COLUMNS,
                             .sampling = sampling,
                             .width = width,
                             .every_position = sampling != ZML_DOUBLE,
                             .seed = 5,
                             .multipliers = {multipliers[0], multipliers[1]},
                             .draw_keys = {draw_keys[0], draw_keys[1]},
                             .levels = levels,
                             .gaps = gaps,
                             .interval = interval,
                             .positions = levels,
                             .first_rung = dithered ? first_rung : NULL,
                             .below = below,
                             .gap = gap};
  const zml_affine_f32 affine = {offset, scale, top};
  const size_t size = zml_row_bytes(PADDED, width);
  memset(lanes, 0, sizeof lanes);
  memset(tallies, 0, sizeof tallies);
  memset(rows, 0, sizeof rows);
  memset(counts, 0, sizeof counts);
  memset(back, 0, sizeof back);
  memset(tiles, 0, sizeof tiles);
  memset(taken, 0, sizeof taken);
  memset(columns, 0, sizeof columns);
  memset(sums, 0, sizeof sums);
  const zml_kernels *both[2] = {kernels, &zml_portable};
  uint64_t totals[2][4] = {{0}};
  for (int k = 0; k < 2; k++) {
    const zml_workspace work = {coordinates, lanes[k], tallies[k], NULL};
    uint8_t *row[ROWS];
    for (size_t i = 0; i < ROWS; i++)
      row[i] = rows[k] + i * size;
    both[k]->encoding->encode_f32(values, COLUMNS, 1, ROWS, &book, &affine, &work, width < 8, row);
    for (size_t t = 0; t < 3; t++) {
      both[k]->encoding->tile_of_rows(rows[k] + t * 64 * size, width, PADDED, tiles[k] + t * 64 * size);
      both[k]->encoding->rows_of_tile(tiles[k] + t * 64 * size, width, PADDED, back[k] + t * 64 * size);
    }
    for (int i = 0; i < 40; i++)
      chosen[i] = (uint8_t)(i * 64 / 40);
    both[k]->encoding->take_rows(tiles[k], width, PADDED, chosen, 40, 0, taken[k]);
    both[k]->encoding->take_rows(tiles[k] + 64 * size, width, PADDED, chosen + 7, 24, 40, taken[k]);
    const int64_t picked[5] = {COLUMNS - 1, 0, 7, 7, 2};
    both[k]->encoding->take_columns(tiles[k], width, picked, 5, 3, columns[k]);
    static uint16_t low[PADDED], top[PADDED];
    static uint8_t missing[PADDED];
    for (size_t i = 0; i < ROWS; i++)
      row[i] = coded[k] + i * size;
    memset(top, 7, sizeof top);
    const zml_integers map = {.n_columns = COLUMNS,
                              .width = width,
                              .stride = 1,
                              .is_signed = 1,
                              .has_missing = 1,
                              .low = low,
                              .top = top,
                              .missing = 3,
                              .missing_code = missing,
                              .after_missing = missing,
                              .pair = 1 + width % 3};
    both[k]->encoding->encode_u16((const uint16_t *)values, COLUMNS, 64, &map, row);
    both[k]->encoding->encode_u8((const uint8_t *)values, COLUMNS, 64, &map, row + 64);
    if (width < 8)
      both[k]->encoding->encode_fields((const uint8_t *)values, COLUMNS, 20, COLUMNS - 1, width, 1, row + 128);
    both[k]->encoding->encode_pairs((const uint8_t *)values, COLUMNS, ROWS - 148, &map, row + 148);
    both[k]->encoding->widen_f16((const uint16_t *)values, COLUMNS - 3, halves[k]);
    const uint8_t *const tile[3] = {tiles[k], tiles[k] + 64 * size, tiles[k] + 128 * size};
    both[k]->encoding->count_tiles(tile, 3, width, 0, PADDED / 4, counts[k]);
    if (width == 8)
      both[k]->encoding->sum_bytes(tiles[k], 3, PADDED, sums[k][0], sums[k][1]);
    for (int j = 0; j < COLUMNS; j++)
      for (int l = 0; l < 16; l++) {
        totals[k][0] += (uint64_t)(lanes[k][j].sum[l] * (j + 1));
        totals[k][1] += (uint64_t)(int64_t)(lanes[k][j].square[l] * (j + 1));
        totals[k][2] += l < 8 ? lanes[k][j].noise[l] * (uint64_t)(j + 1) : 0;
        totals[k][3] += lanes[k][j].hits[l] * (uint64_t)((j + 1) * (l + 1));
      }
  }
  expect_same(kernels->name, "rows of width", width, rows[0], rows[1], sizeof rows[0]);
  expect_same(kernels->name, "rows of codes of width", width, coded[0], coded[1], sizeof coded[0]);
  expect_same(kernels->name, "halves beside width", width, halves[0], halves[1], sizeof halves[0]);
  expect_same(kernels->name, "tiles of width", width, tiles[0], tiles[1], sizeof tiles[0]);
  expect_same(kernels->name, "rows out of tiles of width", width, back[0], rows[1], sizeof rows[1]);
  expect_same(kernels->name, "taken rows of width", width, taken[0], taken[1], sizeof taken[0]);
  expect_same(kernels->name, "taken columns of width", width, columns[0], columns[1], sizeof columns[0]);
  expect_same(kernels->name, "counts of width", width, counts[0], counts[1], sizeof counts[0]);
  expect_same(kernels->name, "sums of bytes of width", width, sums[0], sums[1], sizeof sums[0]);
  expect_same(kernels->name, "tallies of width", width, tallies[0], tallies[1], sizeof tallies[0]);
  expect_same(kernels->name, "sums of width", width, totals[0], totals[1], sizeof totals[0]);
}

/* Levels of a column, without known dither and with it. */
static void check_levels(const zml_kernels *kernels) {
  enum { VALUES = 500 };
  static float drawn[VALUES];
  static double values[VALUES], spare[VALUES];
  const zml_kernels *both[2] = {kernels, &zml_portable};
  fill_floats(drawn, VALUES);
  for (int i = 0; i < VALUES; i++)
    values[i] = drawn[i] * drawn[i] * drawn[i];
  for (int n_levels = 4; n_levels <= 8; n_levels += 4)
    for (int way = 0; way < 4; way++) {
      uint8_t levels[2][256] = {{0}}, positions[2][16] = {{0}};
      int found[2][2];
      double told[2][3];
      for (int k = 0; k < 2; k++) {
        const zml_column_sample sample = {.values = values,
                                          .n = VALUES,
                                          .low = -1,
                                          .high = 1,
                                          .spare = way & 1 ? spare : NULL,
                                          .positions = way & 2 ? positions[k] : NULL};
        found[k][0] =
            both[k]->encoding->column_levels(&sample, n_levels, 255, 1, levels[k], &found[k][1], &told[k][2], told[k]);
      }
      expect_same(kernels->name, "levels of few", n_levels, levels[0], levels[1], sizeof levels[0]);
      expect_same(kernels->name, "numbers of few", n_levels, found[0], found[1], sizeof found[0]);
      expect_same(kernels->name, "ranges of few", n_levels, told[0], told[1], sizeof told[0]);
      expect_same(kernels->name, "positions of few", n_levels, positions[0], positions[1], sizeof positions[0]);
    }
}

/* Tiles of fields against rows of them, by the portable kernels, that become tiles; three rows are missing. */
static void check_fields(const zml_kernels *kernels, int width, int high_first, size_t n_columns) {
  enum { MOST_BYTES = 150, SIZE = MOST_BYTES + 2 };
  static uint8_t source[64][MOST_BYTES], packed[64 * SIZE], expected[64 * SIZE], found[64 * SIZE];
  const zml_fields fields = {n_columns, width, high_first};
  const size_t padded = zml_padded_columns(n_columns), size = zml_row_bytes(padded, width);
  const uint8_t *rows[64], *none[64] = {NULL};
  fill(source, sizeof source);
  memset(packed, 0, sizeof packed);
  for (size_t i = 0; i < 64; i++) {
    uint8_t *row = packed + i * size;
    rows[i] = i < 61 ? source[i] : NULL;
    if (rows[i])
      zml_portable.encoding->encode_fields(source[i], MOST_BYTES, 1, n_columns, width, high_first, &row);
  }
  zml_portable.encoding->tile_of_rows(packed, width, padded, expected);
  kernels->encoding->tile_of_fields(rows, high_first ? rows : none, &fields, found);
  expect_same(kernels->name, "tiles of fields of width", width, expected, found, 64 * size);
}

static void check_order(const zml_kernels *kernels, uint64_t n) {
  enum { MOST = 75 };
  const size_t count = n < MOST ? (size_t)n : MOST;
  int64_t rows[2][MOST] = {{0}}, back[MOST], slots[MOST];
  const zml_kernels *both[2] = {kernels, &zml_portable};
  for (int k = 0; k < 2; k++)
    both[k]->encoding->permute(n, 77, n - count, count, rows[k]);
  kernels->encoding->permute_back(n, 77, rows[0], count, back);
  for (size_t k = 0; k < count; k++)
    slots[k] = (int64_t)(n - count + k);
  expect_same(kernels->name, "order of rows", 0, rows[0], rows[1], sizeof rows[0]);
  expect_same(kernels->name, "slots of rows", 0, back, slots, count * sizeof *slots);
}

int main(void) {
  static const int widths[] = {1, 2, ZML_DITHERED, 4, 8}, all_bits[] = {0, 1, 2, 4, 8, 12, 16};
  const zml_kernels *kernels;
  for (int index = 0; (kernels = zml_available_kernels(index)); index++) {
    const clock_t start = clock();
    for (int repeat = 0; repeat < 20; repeat++)
      for (int w = 0; w < 5; w++)
        for (int n_digits = 1; n_digits <= 2; n_digits++)
          for (int first = 0; first < 4; first++)
            for (int last = first + 1; last <= 4; last++)
              check_tiles(kernels, widths[w], n_digits, first, last);
    for (size_t b = 0; b < sizeof all_bits / sizeof *all_bits; b++)
      check_vectors(kernels, all_bits[b]);
    check_bounds(kernels);
    for (int width = 1; width <= 4; width *= 2)
      for (size_t n_columns = 1; n_columns <= 300; n_columns += n_columns < 40 ? 1 : 13)
        for (int high_first = 0; high_first < 2; high_first++)
          check_fields(kernels, width, high_first, n_columns);
    for (uint64_t n = 1; n < (uint64_t)1 << 60; n = n * 3 + 1)
      check_order(kernels, n);
    for (int sampling = ZML_NAIVE; sampling <= ZML_COMPENSATED; sampling++) {
      check_encoder(kernels, (zml_sampling)sampling, 8, 0);
      if (sampling != ZML_DOUBLE) /* these have 16 levels, pairs of draws would need 5 bits */
        check_encoder(kernels, (zml_sampling)sampling, 4, 0);
    }
    check_encoder(kernels, ZML_COMPENSATED, 4, 1);
    check_levels(kernels);
    printf("%s: compared in %.2f s\n", kernels->name, (double)(clock() - start) / CLOCKS_PER_SEC);
  }
  printf(failures ? "%d differences\n" : "no differences\n", failures);
  return failures > 0;
}
