#include "encoding/requantize_plan.h"

#include <math.h>
#include <string.h>

#include "format/levels.h"
#include "format/tile.h"

enum { POSITIONS = 256 };

/* What one draw does to every code: the level below it, steps to the next one (0 at the last), threshold of going up,
 * in 1/65536. */
typedef struct {
  int index[POSITIONS], position[POSITIONS], gap[POSITIONS], threshold[POSITIONS];
} Rounding;

static int least(int a, int b) { return a < b ? a : b; }

/* The levels there are. */
static int levels_of(const zml_plan *plan, const zml_old_column *old, uint8_t *levels) {
  const int stride = 1 + plan->pairs;
  for (int k = 0; k < old->used; k++)
    levels[k] = old->table ? old->table[stride * k] : old->levels ? old->levels[k] : (uint8_t)(stride * k);
  return old->used;
}

/* `count` of them, evenly spread, in place. */
static int spread(uint8_t *levels, int used, int count) {
  if (count >= used)
    return used;
  const double step = (double)(used - 1) / (count - 1);
  for (int k = 0; k < count; k++)
    levels[k] = levels[k < count - 1 ? (int)rint(k * step) : used - 1];
  return count;
}

/* Grid positions of both draws of every code. */
static void positions_of(const zml_plan *plan, const zml_old_column *old, const uint8_t *levels, int used,
                         uint8_t (*positions)[POSITIONS]) {
  const uint8_t *table = old->table;
  for (int k = 0, below = 0; k < plan->n_codes; k++) {
    if (!plan->pairs)
      positions[0][k] = positions[1][k] = table ? table[k] : (uint8_t)k;
    else if (table) {
      const int last = plan->n_codes - 2;
      positions[0][k] = table[least(k & ~1, last)];
      positions[1][k] = table[least(k + (k & 1), last)];
    } else {
      while (below + 1 < used && levels[below + 1] <= k)
        below++;
      positions[0][k] = levels[below];
      positions[1][k] = levels[levels[below] == k ? below : least(below + 1, used - 1)];
    }
  }
}

/* Those of n candidates that draws stand on, and the ends, in place: between two of them costs are linear in the place
 * of a level, so that optimal levels are found without the others. All, if too few are left. */
static int occupied(const double *weight, int n, int n_levels, uint8_t *candidates) {
  uint8_t left[POSITIONS];
  int count = 0;
  for (int k = 0; k < n; k++) {
    left[count] = candidates[k];
    count += weight[candidates[k]] > 0 || k == 0 || k == n - 1;
  }
  if (count <= n_levels)
    return n;
  memcpy(candidates, left, (size_t)count);
  return count;
}

/* Levels out of `n` candidates, by the moments of the draws below each; they are whole numbers of halves. */
static void choose_levels(const zml_plan *plan, const zml_old_column *old, const uint8_t (*positions)[POSITIONS],
                          uint8_t *candidates, int n, const zml_new_column *made) {
  double weight[POSITIONS] = {0}, candidate[POSITIONS], below[3][POSITIONS];
  uint8_t chosen[POSITIONS];
  for (int draw = 0; draw < 2; draw++)
    for (int k = 0; k < plan->n_codes; k++)
      weight[positions[draw][k]] += 0.5 * (double)old->counts[k];
  n = occupied(weight, n, plan->n_levels, candidates);
  double count = 0, sum = 0, square = 0;
  for (int k = 0, position = 0; k < n; k++) {
    for (; position < candidates[k]; position++) {
      count += weight[position];
      sum += weight[position] * position;
      square += weight[position] * position * position;
    }
    candidate[k] = candidates[k];
    below[0][k] = count;
    below[1][k] = sum;
    below[2][k] = square;
  }
  const int used = plan->search(candidate, below[0], below[1], below[2], n, plan->n_levels, chosen);
  for (int k = 0; k < plan->n_levels; k++)
    made->levels[k] = candidates[chosen[least(k, used - 1)]];
  *made->used = (uint16_t)used;
}

static void round_codes(const zml_plan *plan, const uint8_t *levels, int used, const uint8_t *positions,
                        Rounding *rounding) {
  int below[POSITIONS];
  for (int k = 0, index = 0; k < POSITIONS; k++) {
    while (index + 1 < used && levels[index + 1] <= k)
      index++;
    below[k] = index;
  }
  for (int k = 0; k < plan->n_codes; k++) {
    int index = below[positions[k]], threshold = 0;
    int gap = levels[least(index + 1, used - 1)] - levels[index];
    const int above = positions[k] - levels[index];
    if (plan->nearest) {
      index += gap && 2 * above >= gap;
      gap = 0;
    } else if (gap)
      threshold = (131072 * above + gap) / (2 * gap);
    rounding->index[k] = index;
    rounding->position[k] = levels[index];
    rounding->gap[k] = gap;
    rounding->threshold[k] = threshold;
  }
}

/* A byte holds the position, for two draws the mean of theirs; their levels are an even number of steps apart. */
static void fill_tables(const zml_plan *plan, const Rounding *roundings, const zml_new_column *made) {
  const int bytes = plan->n_new_codes == POSITIONS, draws = 1 + plan->pairs;
  int base[POSITIONS] = {0}, far = 0;
  for (int draw = 0; draw < draws; draw++) {
    const Rounding *of = roundings + draw;
    uint8_t *rise = made->rise[draw], *threshold = made->threshold[draw];
    for (int k = 0; k < plan->n_codes; k++) {
      base[k] += bytes ? of->position[k] : of->index[k];
      far |= of->gap[k] > 127;
    }
    for (int k = 0; k < plan->n_codes; k++)
      rise[k] = (uint8_t)(bytes ? of->gap[k] / draws : of->gap[k] > 0);
    for (int k = 0; k < plan->n_codes; k++)
      threshold[k] = (uint8_t)(of->threshold[k] >> 8);
    for (int k = 0; k < plan->n_codes; k++)
      threshold[POSITIONS + k] = (uint8_t)of->threshold[k];
  }
  uint8_t *to = made->base;
  for (int k = 0; k < plan->n_codes; k++)
    to[k] = (uint8_t)(bytes ? base[k] / draws : base[k]);
  *made->far = (uint8_t)far;
  for (int code = 0; code < plan->n_new_codes && !bytes; code++) { /* those beyond the last level repeat it */
    const int at = least(code, draws * (plan->n_levels - 1)), index = at / draws, up = at % draws;
    const int gap = up ? made->levels[index + 1] - made->levels[index] : 0;
    made->after[code] = (uint8_t)(made->levels[index] + gap / draws * up);
  }
}

/* Expected over draws from the counts of the old codes; those too rare for these count a little, so that every new code
 * has a value. */
static void expect_noise(const zml_plan *plan, const zml_old_column *old, const uint8_t (*positions)[POSITIONS],
                         const Rounding *roundings, double *noise) {
  enum { MOST_CODES = ZML_MAX_CODES };
  const int draws = 1 + plan->pairs;
  const double share = 1.0 / draws;
  double hits[MOST_CODES] = {0}, errors[MOST_CODES] = {0};
  for (int ups = 0; ups < 1 << draws; ups++) {
    double chance[POSITIONS], moved[POSITIONS] = {0};
    int code[POSITIONS] = {0};
    for (int k = 0; k < plan->n_codes; k++)
      chance[k] = (double)old->counts[k] + 1e-3;
    for (int draw = 0; draw < draws; draw++) {
      const Rounding *of = roundings + draw;
      const int up = ups >> (draws - 1 - draw) & 1;
      const double sign = up ? 1 : -1, none = up ? 0 : 1;
      for (int k = 0; k < plan->n_codes; k++) {
        chance[k] *= none + sign * (of->threshold[k] / 65536.0);
        code[k] += of->index[k] + (of->gap[k] > 0) * up;
        moved[k] += (of->position[k] + of->gap[k] * up - positions[draw][k]) * share;
      }
    }
    for (int k = 0; k < plan->n_codes; k++)
      moved[k] = chance[k] * (moved[k] * moved[k] + old->carried[k]);
    for (int k = 0; k < plan->n_codes;) { /* codes do not decrease but for the last ones, which repeat others */
      const int now = code[k];
      double own_hits = 0, own_errors = 0;
      for (; k < plan->n_codes && code[k] == now; k++) {
        own_hits += chance[k];
        own_errors += moved[k];
      }
      if (now >= plan->n_new_codes) /* beyond the last level, for which the chance is nothing */
        continue;
      hits[now] += own_hits;
      errors[now] += own_errors;
    }
  }
  for (int code = 0; code < plan->n_new_codes; code++)
    noise[code] = errors[code] / (hits[code] > 1e-300 ? hits[code] : 1e-300);
}

/* Summed variance of rounding codes to levels; positions beyond these are not rounded. */
static double noise_of(const zml_old_column *old, const uint8_t *positions, int n_codes, const uint8_t *levels,
                       int used) {
  double noise = 0;
  for (int k = 0, index = 0; k < n_codes; k++) {
    if (positions[k] < levels[0] || positions[k] > levels[used - 1])
      continue;
    while (index + 1 < used && levels[index + 1] <= positions[k])
      index++;
    const double above = positions[k] - levels[index], gap = levels[least(index + 1, used - 1)] - levels[index];
    noise += (double)old->counts[k] * above * (gap > 0 ? gap - above : 0);
  }
  return noise;
}

/* The shortest run of codes, first..last, that leaves at most `few` rows out. */
static void shortest_run(const zml_old_column *old, const uint8_t *positions, int n_codes, double few, int *first,
                         int *last) {
  double total = 0, inside = 0;
  for (int k = 0; k < n_codes; k++)
    total += (double)old->counts[k];
  int shortest = POSITIONS;
  for (int a = 0, end = 0; a < n_codes; a++) {
    for (; end < n_codes && inside < total - few; end++)
      inside += (double)old->counts[end];
    if (inside < total - few)
      return;
    if (positions[end - 1] - positions[a] < shortest)
      shortest = positions[end - 1] - positions[a], *first = a, *last = end - 1;
    inside -= (double)old->counts[a];
  }
}

/* Sum of squared deviations of positions, those beyond a range being at its ends. */
static double spread_of(const zml_old_column *old, const uint8_t *positions, int n_codes, int low, int high) {
  double count = 0, sum = 0, square = 0;
  for (int k = 0; k < n_codes; k++) {
    const double position = positions[k] < low ? low : positions[k] > high ? high : positions[k];
    count += (double)old->counts[k];
    sum += (double)old->counts[k] * position;
    square += (double)old->counts[k] * position * position;
  }
  return count > 0 ? square - sum * sum / count : 0;
}

/* Chooses levels anew that leave outliers out, if that pays. */
static void leave_outliers(const zml_plan *plan, const zml_old_column *old, const uint8_t (*positions)[POSITIONS],
                           const uint8_t *candidates, int n, const zml_new_column *made) {
  const uint8_t *own = positions[0];
  const double noise = noise_of(old, own, plan->n_codes, made->levels, *made->used);
  double total = 0;
  int first = 0, last = plan->n_codes - 1;
  for (int k = 0; k < plan->n_codes; k++)
    total += (double)old->counts[k];
  if (floor(total * ZML_OUTLIER_SHARE) < 1)
    return;
  shortest_run(old, own, plan->n_codes, floor(total * ZML_OUTLIER_SHARE), &first, &last);
  uint8_t inside[POSITIONS], levels[POSITIONS];
  uint16_t used;
  int count = 0;
  for (int k = 0; k < n; k++)
    if (candidates[k] >= own[first] && candidates[k] <= own[last])
      inside[count++] = candidates[k];
  if (count < 2 || count == n || inside[0] != own[first] || inside[count - 1] != own[last] ||
      noise <= ZML_LEAST_NOISE * spread_of(old, own, plan->n_codes, own[first], own[last]))
    return;
  const zml_new_column fewer = {.levels = levels, .used = &used};
  choose_levels(plan, old, positions, inside, count, &fewer);
  if (noise_of(old, own, plan->n_codes, levels, used) > ZML_MOST_LEFT * noise)
    return;
  memcpy(made->levels, levels, (size_t)plan->n_levels);
  *made->used = used;
}

/* Positions beyond the levels are kept apart, and their codes those of the nearest levels. */
static int to_ends(const zml_plan *plan, const zml_new_column *made, uint8_t *positions) {
  int farthest = 0;
  *made->first = made->levels[0], *made->last = made->levels[*made->used - 1];
  for (int k = 0; k < plan->n_codes; k++) {
    const int position = positions[k];
    positions[k] = position < *made->first ? *made->first : position > *made->last ? *made->last : (uint8_t)position;
    const int distance = position < positions[k] ? positions[k] - position : position - positions[k];
    farthest = distance > farthest ? distance : farthest;
  }
  return farthest;
}

size_t zml_find_beyond(const zml_ended_tiles *of, size_t *tile, uint64_t *found, size_t room) {
  enum { LANES = ZML_LINE / ZML_GROUP_COLUMNS };
  const size_t groups = of->padded_columns / ZML_GROUP_COLUMNS;
  size_t n = 0;
  for (; *tile < of->n_tiles && n + of->padded_columns * ZML_TILE_ROWS <= room; ++*tile)
    for (size_t group = 0; group < groups; group++) {
      uint8_t low[ZML_LINE], size[ZML_LINE];
      for (size_t k = 0; k < ZML_LINE; k++) {
        low[k] = of->first[group * ZML_GROUP_COLUMNS + k % ZML_GROUP_COLUMNS];
        size[k] = (uint8_t)(of->last[group * ZML_GROUP_COLUMNS + k % ZML_GROUP_COLUMNS] - low[k]);
      }
      for (size_t plane = 0; plane < 4; plane++) {
        const uint8_t *line = of->tiles + ((*tile * groups + group) * 4 + plane) * ZML_LINE;
        uint8_t any = 0;
        for (size_t k = 0; k < ZML_LINE; k++)
          any |= (uint8_t)((uint8_t)(line[k] - low[k]) > size[k] ? 1 : 0);
        for (size_t k = 0; any && k < ZML_LINE; k++) {
          const size_t row = *tile * ZML_TILE_ROWS + plane * LANES + k / ZML_GROUP_COLUMNS;
          found[n] = row << 40 | (group * ZML_GROUP_COLUMNS + k % ZML_GROUP_COLUMNS) << 8 | line[k];
          n += (uint8_t)(line[k] - low[k]) > size[k] && row < of->n_rows;
        }
      }
    }
  return n;
}

void zml_plan_column(const zml_plan *plan, const zml_old_column *old, const zml_new_column *made) {
  uint8_t levels[POSITIONS], candidates[POSITIONS], positions[2][POSITIONS];
  Rounding roundings[2];
  const int used = levels_of(plan, old, levels);
  positions_of(plan, old, levels, used, positions);
  const int n = plan->uniform ? spread(levels, used, plan->n_levels) : used;
  memcpy(candidates, levels, sizeof candidates);
  choose_levels(plan, old, (const uint8_t (*)[POSITIONS])positions, levels, n, made);
  if (plan->outliers && !old->has_outliers)
    leave_outliers(plan, old, (const uint8_t (*)[POSITIONS])positions, candidates, n, made);
  const int farthest = to_ends(plan, made, positions[0]);
  for (int draw = 0; draw <= plan->pairs; draw++)
    round_codes(plan, made->levels, *made->used, positions[draw], &roundings[draw]);
  fill_tables(plan, roundings, made);
  *made->far |= farthest > 127;
  if (made->noise)
    expect_noise(plan, old, (const uint8_t (*)[POSITIONS])positions, roundings, made->noise);
}
