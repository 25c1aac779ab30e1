/* Compares the products with many vectors of every instruction set that runs here with sums in plain C.
 *
 * tests/stress/neon_check.sh runs it under emulation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "products/passes.h"
#include "products/row_gram.h"
#include "format/rng.h"

enum { ROWS = 64 * 9 + 5, TILES = 10, MOST_COLUMNS = 560, MOST_VECTORS = 21 };

static uint64_t counter;
static int failures;

static void fill(void *bytes, size_t n) {
  for (size_t k = 0; k < n; k++)
    ((uint8_t *)bytes)[k] = (uint8_t)(zml_mix64(counter++) >> 56);
}

static void *room(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!memory)
    exit(2);
  return memory;
}

static void expect(int right, const char *name, const char *what, int width, size_t columns) {
  if (right)
    return;
  printf("%s is wrong: %s of width %d, %zu columns\n", name, what, width, columns);
  failures++;
}

/* Grid positions [row][column] by the definition of the format; 255 and 0 are frequent. */
static void make_tiles(zml_tiled *x, uint8_t *positions) {
  const size_t bytes = zml_tile_bytes(x->padded, x->width);
  uint8_t *codes = room(TILES * bytes), *table = room(x->padded * ZML_DITHER_TABLE), group[64 * 4];
  fill(codes, TILES * bytes);
  fill(table, x->padded * ZML_DITHER_TABLE);
  for (size_t k = 0; k < x->padded * ZML_DITHER_TABLE; k += 3)
    table[k] = table[k] & 1 ? 255 : 0;
  for (size_t t = 0; t < TILES; t++)
    for (size_t g = 0; g < x->padded / 4; g++) {
      if (x->width == ZML_DITHERED) {
        uint32_t seeds[ZML_TILE_ROWS];
        zml_row_seeds(zml_seeds_of(codes + t * bytes, x->padded, x->width), 0, 4, seeds);
        zml_dithered_group(codes + t * bytes, table, g, seeds, group);
      } else {
        zml_unpack_group(codes + t * bytes, g, x->width, group);
      }
      for (size_t k = 0; k < 64 * 4; k++) {
        const size_t column = 4 * g + k % 4;
        positions[(64 * t + k / 4) * x->padded + column] =
            x->width == 8 || x->width == ZML_DITHERED ? group[k] : table[(column << x->width) + group[k]];
      }
    }
  x->codes = codes, x->table = table;
}

/* Outliers in one of 16 places, and in every row of column 0, where their sums do not fit 32 bits; `whole` are the
 * positions with them. */
static zml_outliers make_outliers(const zml_tiled *x, const uint8_t *positions, int32_t *whole) {
  const size_t n_blocks = zml_outlier_blocks(x->padded);
  uint32_t *starts = room((TILES * n_blocks + 1) * sizeof *starts);
  uint32_t *entries = room(TILES * 64 * x->padded * sizeof *entries), n = 0;
  for (size_t t = 0; t < TILES; t++)
    for (size_t block = 0; block < n_blocks; block++) {
      const size_t first = block * ZML_OUTLIER_COLUMNS;
      starts[t * n_blocks + block] = n;
      for (size_t plane = 0; plane < 4; plane++)
        for (size_t j = first; j < x->padded && j < first + ZML_OUTLIER_COLUMNS; j++)
          for (size_t i = 0; i < ZML_PLANE_ROWS; i++) {
            const size_t row = 64 * t + ZML_PLANE_ROWS * plane + i, at = row * x->padded + j;
            const uint64_t random = zml_mix64(counter++);
            const int32_t difference = j == 0 ? ZML_MOST_DIFFERENCE : (int16_t)(random >> 48);
            whole[at] = positions[at];
            if (row >= ROWS || (j > 0 && random % 16) || difference == INT16_MIN)
              continue;
            whole[at] += difference;
            entries[n++] =
                (uint32_t)(plane << ZML_OUTLIER_PLANE_SHIFT | (j - first) << 4 | i) << 16 | (uint16_t)difference;
          }
    }
  starts[TILES * n_blocks] = n;
  return (zml_outliers){starts, entries, n_blocks};
}

static void check_gram(const char *name, const zml_matmul *by, const zml_tiled *x, const int32_t *positions,
                       const zml_block_pair *pair) {
  const size_t bytes = pair->n_columns * pair->n_others * sizeof(int64_t);
  uint8_t *work = room(zml_gram_bytes(by, pair));
  int64_t *sums = room(bytes), *totals = room(bytes), total_weight = 0;
  int32_t weights[ROWS];
  int right = 1;
  for (size_t i = 0; i < ROWS; i++) {
    const int32_t random = (int32_t)(zml_mix64(counter++) >> 33);
    weights[i] = !pair->weighted ? 1 : i % 3 ? random % zml_most_of(ZML_WEIGHT_BYTES) : zml_most_of(ZML_WEIGHT_BYTES);
    total_weight += weights[i];
  }
  memset(sums, 0, bytes);
  memset(totals, 0, bytes);
  zml_begin_gram(by, pair, work);
  zml_add_gram(by, x, 0, 3, pair, pair->weighted ? weights : NULL, work);
  zml_add_gram(by, x, 3, TILES, pair, pair->weighted ? weights + 3 * 64 : NULL, work);
  const zml_gram_sums to = {sums, totals, pair->n_others, pair->n_columns, pair->n_others};
  zml_write_gram(by, pair, work, total_weight, &to);
  for (size_t j = 0; j < pair->n_columns; j++) {
    int64_t total = 0;
    for (size_t i = 0; i < ROWS; i++)
      total += (int64_t)weights[i] * positions[i * x->padded + pair->first + j];
    right &= totals[j] == total;
    for (size_t k = 0; k < (pair->first == pair->other ? j + 1 : pair->n_others); k++) {
      int64_t sum = 0;
      for (size_t i = 0; i < ROWS; i++)
        sum += (int64_t)weights[i] * positions[i * x->padded + pair->first + j] *
               positions[i * x->padded + pair->other + k];
      right &= sums[j * pair->n_others + k] == sum;
    }
  }
  static const char *const what[] = {"gram", "weighted gram", "gram with outliers", "weighted gram with outliers"};
  expect(right, name, what[2 * pair->has_outliers + pair->weighted], x->width, x->padded);
  free(work), free(sums), free(totals);
}

static void check_dot(const char *name, const zml_matmul *by, const zml_tiled *x, const uint8_t *positions,
                      size_t n_vectors, int n_bytes) {
  const int32_t most = zml_most_of(n_bytes);
  int32_t *vectors = room(n_vectors * x->padded * sizeof *vectors);
  int64_t totals[MOST_VECTORS] = {0};
  double scale[MOST_VECTORS];
  double *out = room(n_vectors * TILES * 64 * sizeof *out);
  uint8_t *packed = room(zml_vector_bytes(by, n_vectors, x->padded, n_bytes)),
          *work = room(zml_dot_bytes(by, n_vectors));
  fill(vectors, n_vectors * x->padded * sizeof *vectors);
  for (size_t v = 0; v < n_vectors; v++) {
    scale[v] = 1;
    for (size_t j = 0; j < x->padded; j++) {
      vectors[v * x->padded + j] = v == 0 ? -most : v == 1 ? most : vectors[v * x->padded + j] % (most + 1);
      totals[v] += vectors[v * x->padded + j];
    }
  }
  zml_pack_vectors(by, vectors, x->padded, n_vectors, x->padded, n_bytes, packed);
  const zml_vectors all = {packed, n_vectors, n_bytes, totals, scale};
  int right = 1;
  zml_dot_many(by, x, 0, TILES, &all, work, out, TILES * 64);
  for (size_t v = 0; v < n_vectors; v++)
    for (size_t i = 0; i < TILES * 64; i++) {
      int64_t sum = 0;
      for (size_t j = 0; j < x->padded; j++)
        sum += (int64_t)positions[i * x->padded + j] * vectors[v * x->padded + j];
      right &= out[v * TILES * 64 + i] == (double)sum;
    }
  expect(right, name, "dot", x->width, x->padded);
  free(vectors), free(out), free(packed), free(work);
}

static void check_gradient(const char *name, const zml_matmul *by, const zml_tiled *x, const uint8_t *positions,
                           size_t n_vectors, int n_bytes) {
  const int32_t most = zml_most_of(n_bytes);
  const size_t n_panels = x->padded / ZML_PANEL, padded = zml_padded_vectors(n_vectors);
  double *values = room(n_vectors * ROWS * sizeof *values), inverse[MOST_VECTORS];
  int64_t totals[MOST_VECTORS] = {0}, (*sums)[ZML_PANEL] = room(n_panels * padded * sizeof *sums);
  int64_t *found = room(n_vectors * x->padded * sizeof *found);
  uint8_t *work = room(zml_gradient_bytes(by, n_vectors, n_bytes));
  for (size_t v = 0; v < n_vectors; v++) {
    inverse[v] = 2;
    for (size_t i = 0; i < ROWS; i++) {
      const int32_t random = (int32_t)(zml_mix64(counter++) >> 33);
      values[v * ROWS + i] = 0.5 * (v == 0 ? -most : v == 1 ? most : random % (most + 1));
    }
  }
  memset(sums, 0, n_panels * padded * sizeof *sums);
  const zml_rounded rows = {values, ROWS, n_vectors, n_bytes, inverse};
  zml_add_gradient(by, x, 0, TILES, &rows, work, sums, totals);
  zml_write_gradient(by, n_vectors, x->padded, (const int64_t (*)[ZML_PANEL])sums, totals, found);
  int right = 1;
  for (size_t v = 0; v < n_vectors; v++) {
    int64_t total = 0;
    for (size_t i = 0; i < ROWS; i++)
      total += (int64_t)(2 * values[v * ROWS + i]);
    right &= total == totals[v];
    for (size_t j = 0; j < x->padded; j++) {
      int64_t sum = 0;
      for (size_t i = 0; i < ROWS; i++)
        sum += positions[i * x->padded + j] * (int64_t)(2 * values[v * ROWS + i]);
      right &= found[v * x->padded + j] == sum;
    }
  }
  expect(right, name, "gradient", x->width, x->padded);
  free(values), free(sums), free(found), free(work);
}

/* Of tiles with themselves and with others; three columns are padding. */
static void check_rows(const char *name, const zml_matmul *by, const zml_tiled *x, const uint8_t *positions) {
  const zml_row_pair pairs[] = {{7, 3, 7, 3, x->padded - 3, x->padded}, {7, 3, 0, 5, x->padded - 3, x->padded}};
  double *sums = room(ROWS * ROWS * sizeof *sums);
  int right = 1;
  for (int k = 0; k < 2; k++) {
    const zml_row_pair *pair = &pairs[k];
    const size_t n_rows = ROWS - 64 * pair->first, n_others = k ? 64 * pair->n_others : n_rows;
    uint8_t *work = room(zml_row_gram_bytes(by, pair));
    memset(work, 0, zml_row_gram_bytes(by, pair));
    const size_t half = by->depth < x->padded ? by->depth : x->padded;
    zml_add_row_gram(by, x, pair, 0, half, work);
    zml_add_row_gram(by, x, pair, half, x->padded, work);
    zml_write_row_gram(by, pair, work, &(zml_row_sums){sums, ROWS, n_rows, n_others});
    for (size_t i = 0; i < n_rows; i++)
      for (size_t l = 0; l < (k ? n_others : i + 1); l++) {
        int64_t sum = 0;
        for (size_t j = 0; j < pair->n_columns; j++)
          sum += (int64_t)positions[(64 * pair->first + i) * x->padded + j] *
                 positions[(64 * pair->other + l) * x->padded + j];
        right &= sums[i * ROWS + l] == (double)sum;
      }
    free(work);
  }
  expect(right, name, "products of rows", x->width, x->padded);
  free(sums);
}

static void check_grams(const char *name, const zml_matmul *by, zml_tiled *x, const uint8_t *positions) {
  const size_t n = (size_t)TILES * 64 * x->padded;
  int32_t *plain = room(n * sizeof *plain), *whole = room(n * sizeof *whole);
  const zml_outliers outliers = make_outliers(x, positions, whole);
  for (size_t k = 0; k < n; k++)
    plain[k] = positions[k];
  for (int way = 0; way < 4; way++) {
    const int weighted = way & 1, has_outliers = way >> 1;
    const zml_block_pair own = {0, x->padded, 0, x->padded, weighted, has_outliers};
    const zml_block_pair two = {x->padded - 16, 16, 0, x->padded - 16, weighted, has_outliers};
    x->outliers = has_outliers ? &outliers : NULL;
    check_gram(name, by, x, has_outliers ? whole : plain, &own);
    if (x->padded > 16)
      check_gram(name, by, x, has_outliers ? whole : plain, &two);
  }
  x->outliers = NULL;
  free((void *)outliers.starts), free((void *)outliers.entries), free(plain), free(whole);
}

static void check(const zml_kernels *kernels) {
  static const int widths[] = {1, 2, ZML_DITHERED, 4, 8};
  const char *name = kernels->name;
  const zml_matmul *by = kernels->matmul;
  const size_t columns[] = {16, 32, 48, MOST_COLUMNS};
  uint8_t *positions = room((size_t)TILES * 64 * MOST_COLUMNS);
  for (int w = 0; w < 5; w++)
    for (int k = 0; k < 4; k++) {
      zml_tiled x = {NULL, NULL, ROWS, columns[k], widths[w], kernels->widen, NULL};
      make_tiles(&x, positions);
      check_grams(name, by, &x, positions);
      for (int n_bytes = 1; n_bytes <= 4; n_bytes++)
        for (size_t n = 2; n <= MOST_VECTORS; n += k == 3 ? 19 : 5) {
          check_dot(name, by, &x, positions, n, n_bytes);
          check_gradient(name, by, &x, positions, n, n_bytes);
        }
      check_rows(name, by, &x, positions);
      free((void *)x.codes), free((void *)x.table);
    }
  free(positions);
  printf("%s: products with many vectors compared\n", name);
}

int main(void) {
  const zml_kernels *kernels;
  for (int k = 0; (kernels = zml_available_kernels(k)); k++)
    check(kernels);
  printf(failures ? "%d differences\n" : "no differences\n", failures);
  return failures != 0;
}
