"""A slow, plain twin of the compiled kernels, drawing the same random numbers.

It follows the definitions (doc/internals.rst; rng.h, tile.h, vector.h) element by element in NumPy, with the same types
and order of operations, so that results compare exactly. Nothing here imports the package.
"""

import numpy as np

F32 = np.float32
TILE, PLANE_ROWS, GROUP, LINE = 64, 16, 4, 64
FRACTION = 256
FOLD = 16


# Random bits


def mix32(x):
    """Finalizer of MurmurHash3."""
    with np.errstate(over="ignore"):
        x = np.asarray(x, dtype=np.uint32)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        return x ^ (x >> np.uint32(16))


def mix64(x):
    """Finalizer of SplitMix64."""
    with np.errstate(over="ignore"):
        x = _u64(x) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def mix(seed, counter):
    """A seed derived from another, a Python int."""
    return int(mix64(int(seed) ^ int(mix64(counter))))


def column_key(column):
    """Key of a column, uint32."""
    return (mix64(column) >> np.uint64(32)).astype(np.uint32)


def draw(key, column):
    """The 32 random bits of column key `column` under the 64-bit key `key`; arrays broadcast."""
    key = _u64(key)
    with np.errstate(over="ignore"):
        x = (key & np.uint64(0xFFFFFFFF)).astype(np.uint32) ^ np.asarray(column, dtype=np.uint32)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = x ^ (key >> np.uint64(32)).astype(np.uint32)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        return x ^ (x >> np.uint32(16))


def lane_draws(key, n, first=0):
    """The draws of components first..first+n-1 of a vector, uint32: progressions of 16 lanes."""
    j, lane = np.arange(first, first + n, dtype=np.uint32) // np.uint32(16), np.arange(first, first + n) % 16
    with np.errstate(over="ignore"):
        return draw(key, lane) + j * (draw(key, lane + 16) | np.uint32(1))


def _u64(x):
    return np.asarray(x % (1 << 64) if isinstance(x, int) else x).astype(np.uint64)


# Order of the rows


def row_order(n, seed):
    """Row that each slot holds: six Feistel rounds on the smallest square grid, walked until inside."""
    side = int(np.ceil(np.sqrt(n)))
    side += side * side < n
    side -= (side - 1) ** 2 >= n

    def forward(x):
        left, right = x // side, x % side
        for k in range(6):
            key = (seed + k * 0x632BE59BD9B4E019) % (1 << 64)
            with np.errstate(over="ignore"):
                bits = mix64(np.uint64(key) + right.astype(np.uint64)) >> np.uint64(32)
            jump = ((bits * np.uint64(side)) >> np.uint64(32)).astype(np.int64)
            left, right = right, (left + jump) % side
        return left * side + right

    image = forward(np.arange(n, dtype=np.int64))
    while (image >= n).any():
        image[image >= n] = forward(image[image >= n])
    return image


# Encoding


def coordinates(X, grid):
    """Fixed-point grid coordinates, int64, in the arithmetic of the grid's block type."""
    real = grid.dtype
    scale = np.where(grid.used > 1, FRACTION / grid.step, 0.0).astype(real)
    top = grid.levels[np.arange(len(grid.used)), grid.used - 1].astype(real) * real(FRACTION)
    t = (X.astype(real) - grid.offset.astype(real)) * scale
    return np.rint(np.clip(t, real(0), top)).astype(np.int64)


def intervals(t, grid):
    """Index of the lower level, its position, and the gap to the next one, of every coordinate."""
    index = np.zeros(t.shape, dtype=np.int64)
    low, gap = np.zeros(t.shape, dtype=np.int64), np.zeros(t.shape, dtype=np.int64)
    for j, used in enumerate(grid.used):
        levels = grid.levels[j, :used].astype(np.int64)
        if used > 1:
            index[:, j] = np.clip(np.searchsorted(levels * FRACTION, t[:, j], side="right") - 1, 0, used - 2)
            low[:, j] = levels[index[:, j]]
            gap[:, j] = levels[index[:, j] + 1] - low[:, j]
    return index, low, gap


def row_contents(t):
    """Content of rows: two sums of signed 16-bit products modulo 2**32."""
    keys = column_key(np.arange(t.shape[1])).astype(np.int64)
    content = np.zeros(len(t), dtype=np.uint64)
    for k in range(2):
        odd = (keys >> 16 * k & 0xFFFF | 1).astype(np.uint16).view(np.int16).astype(np.int64)
        total = ((t.astype(np.uint16).view(np.int16).astype(np.int64)) * odd).sum(axis=1) % (1 << 32)
        content |= total.astype(np.uint64) << np.uint64(32 * k)
    return content


def row_keys(t, seed):
    """Keys of rows, from their content."""
    return mix64(row_contents(t) ^ mix64(seed))


def row_draws(keys, n_columns, number):
    """The 16 random bits of draw `number` of every row key and column, int64 (rows, columns)."""
    column = (np.arange(n_columns) + (number + 1) * 0x9E3779B9) % (1 << 32)
    mask = mix32(column.astype(np.uint32)).astype(np.int64)
    a, b, c = (
        ((keys >> np.uint64(16 * k)) & np.uint64(0xFFFF)).astype(np.int64)[:, None] for k in (0, 1, 2 + number % 2)
    )
    product = (a ^ mask & 0xFFFF) * (b ^ mask >> 16)
    return (product ^ product >> 16 ^ c) & 0xFFFF


def encode(X, grid, sampling, seed):
    """Codes (indices of levels; for "double", of all draws) and stored grid positions of the rows of X, int64."""
    t = coordinates(X, grid)
    index, low, gap = intervals(t, grid)
    above = t - low * FRACTION
    if sampling == "nearest":
        up = (2 * above >= gap * FRACTION) & (gap > 0)
        return index + up, low + up * gap
    keys = row_keys(t, mix(seed, 2))

    def goes_up(number):
        return (row_draws(keys, t.shape[1], number) | 1) * gap < above * (65536 // FRACTION)

    n_draws = grid.scheme.n_draws if sampling == "double" else 1
    ups = sum(goes_up(number).astype(np.int64) for number in range(n_draws))
    return n_draws * index + ups, low + ups * gap // n_draws


def dithers(X, grid, seed):
    """The dither of every value, int64 (rows, columns): upper bits of a product of the row's seed and the column."""
    seeds = (row_keys(coordinates(X, grid), mix(seed, 2)) >> np.uint64(48)).astype(np.int64)
    return (seeds[:, None] * grid.multiplier.astype(np.int64) & 0xFFFF) >> 14


def encode_dithered(X, grid, seed):
    """Codes of 2 bits and grid positions of the rows of X, int64, outliers as what their codes stand for.

    Of the four neighbouring positions of a state one has the number of the dither, by which it is stored.
    """
    states, _ = encode(X, grid, "compensated", seed)
    dither = dithers(X, grid, seed)
    places = next_of(states, dither, 4)
    return decoded(X, grid, np.where(grid.positions.any(axis=1), places // 4, states), places)


def encode_in_turns(X, grid, seed):
    """Codes of 3 bits and dither, and grid positions, of the rows of X, int64, as `encode_dithered`.

    The lowest bit of a draw, which does not decide where values go, says which of two neighbouring positions is taken.
    """
    states, _ = encode(X, grid, "compensated", seed)
    keys = row_keys(coordinates(X, grid), mix(seed, 2))
    places = next_of(states, row_draws(keys, X.shape[1], 0) & 1, 2)
    return decoded(X, grid, np.where(grid.positions.any(axis=1), places, states), places)


def next_of(states, dither, count):
    """The first number from a state on that is the dither modulo `count`."""
    return states + (dither - states) % count


def decoded(X, grid, codes, places):
    """Codes and positions: those of places where a column has dither, else levels."""
    has_dither, column = grid.positions.any(axis=1), np.arange(X.shape[1])
    own = grid.positions.astype(np.int64)[column, places % 16]
    return codes, np.where(has_dither, own, grid.levels[column, codes % grid.levels.shape[1]])


def first_rung(grid):
    """What the first rung, the mean of the first positions, is above the lowest one, in steps."""
    return grid.positions[:, : grid.scheme.n_dithers].mean(axis=1)


def outliers_dithered(X, grid, seed):
    """The differences of values beyond the levels from what their codes stand for, int64 (rows, columns)."""
    encoded = encode_in_turns if grid.scheme.stores_dither else encode_dithered
    _, positions = encoded(X, grid, seed)
    return outliers(X, grid, seed, positions - first_rung(grid))


def outliers(X, grid, seed, ends=None):
    """Steps from the levels that the rows of X go to, to what they are beyond them, int64 (rows, columns)."""
    t, x = coordinates(X, grid), X.astype(grid.dtype).astype(np.float64)
    top = grid.top.astype(np.int64)
    steps = (x - grid.offset) * (np.where(grid.used > 1, FRACTION / grid.step, 0.0) / FRACTION)
    beyond = np.where(steps < 0, steps, steps - top) if ends is None else steps - ends
    with np.errstate(over="ignore"):
        column = np.arange(1, X.shape[1] + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    key = mix64(mix(seed, 2) ^ 0x6F75746C69657273)
    bits = mix64(row_contents(t)[:, None] ^ key ^ column) >> np.uint64(11)
    difference = np.clip(np.floor(beyond + bits.astype(np.float64) * 2.0**-53), -32767, 32767).astype(np.int64)
    watched = np.zeros(X.shape[1], dtype=bool) if grid.watched is None else grid.watched
    found = watched & ((t == 0) | (t == top * FRACTION)) & ((steps < -(2.0**-36)) | (steps > top + 2.0**-36))
    return np.where(found, difference, 0)


def squared_errors(X, grid, positions):
    """Mean squared distance of the positions from the coordinates, in squared steps, (columns,)."""
    return ((positions - coordinates(X, grid) / FRACTION) ** 2).mean(axis=0)


# Layout


def padded(n_columns):
    """Columns that a tile holds."""
    return -(-n_columns // 16) * 16


def place(row, column, width):
    """Byte and shift of an element inside its tile."""
    unit = column // GROUP * 4 + row // PLANE_ROWS  # planes of 16 rows x 4 columns, one after the other
    per_line = 8 // width
    return LINE * (unit // per_line) + row % PLANE_ROWS * GROUP + column % GROUP, unit % per_line * width


def tiles(codes, width):
    """Tiles of a matrix of codes in slot order, uint8 (tiles, bytes)."""
    n, d = codes.shape
    out = np.zeros((-(-n // TILE), padded(d) * TILE * width // 8), dtype=np.uint8)
    row, column = np.divmod(np.arange(n * d), d)
    byte, shift = place(row % TILE, column, width)
    np.bitwise_or.at(out, (row // TILE, byte), (codes.ravel() << shift).astype(np.uint8))
    return out


# Vectors in fixed point


def grid_steps(bits):
    """Largest magnitude of a grid of so many bits."""
    return 32512 if bits == 0 else 1 if bits == 1 else min((1 << (bits - 1)) - 1, 32512)


def _fraction(bits):
    """Bits of the fraction that stochastic rounding sees."""
    return 29 if bits <= 1 else 31 - min(bits, 16)


def _to_grid(scaled, bits, key, first):
    """Integers on the grid; scaled is a float32 number of steps, times 2**fraction unless bits is 0."""
    if bits == 0:
        return np.rint(scaled).astype(np.int64)
    fixed, random = np.trunc(scaled).astype(np.int64), lane_draws(key, len(scaled), first).astype(np.int64)
    if bits == 1:
        return np.where(random >> 2 < fixed + (1 << 29), 1, -1)
    return (fixed + (random >> (32 - _fraction(bits)))) >> _fraction(bits)


def _scale(top, bits):
    """The step of a grid up to `top`, and what makes a value the argument of _to_grid, or 0."""
    top, steps = F32(top), F32(grid_steps(bits))
    scale, most = top * (F32(1) / steps), steps
    if bits:
        most = steps * F32(2 ** _fraction(bits)) * F32(1 - 2**-22)
    with np.errstate(over="ignore"):
        inverse = most / top if scale > 0 else F32(0)
    return scale, inverse if np.isfinite(inverse) else F32(0)


def quantize(values, bits, key, first=0, reach=None):
    """Integers and the float32 scale that stand for a float32 vector, on a grid up to `reach` or its largest."""
    scale, inverse = _scale(np.abs(values).max(initial=0) if reach is None else reach, bits)
    if not inverse > 0:
        return np.zeros(len(values), dtype=np.int64), F32(0)
    return _to_grid(values * inverse, bits, key, first), scale


def planes(q, bits):
    """The signed bytes of a fixed-point vector, (planes, n)."""
    if 1 <= bits <= 8:
        return q[None]
    high = (q + 128) >> 8
    return np.stack([high, q - 256 * high])


def round_floats(values, unit, bits, key, first=0):
    """The same rounding for a float32 vector, every component in its own unit."""
    unit = np.ones(len(values), dtype=F32) if unit is None else unit
    scale, inverse = _scale(np.abs(values * unit).max(initial=0), bits)
    if not inverse > 0:
        return np.zeros_like(values)
    q = _to_grid(values * unit * inverse, bits, key, first).astype(F32)
    return np.where(unit > 0, q * scale / np.where(unit > 0, unit, F32(1)), F32(0))


def _centre_sum(centre, q, bits):
    """Sum of centre * q in 16 interleaved lanes: double, or with one plane float32 within 1024 columns."""
    sums, one_plane = np.zeros(16), 1 <= bits <= 8
    for start in range(0, len(q), 1024):
        block = slice(start, start + 1024)
        part = np.zeros(16, dtype=F32) if one_plane else sums
        for c, integers in zip(centre[block].reshape(-1, 16), q[block].reshape(-1, 16), strict=True):
            part = part + c.astype(part.dtype) * integers.astype(part.dtype)
        sums = sums + part.astype(float) if one_plane else part
    return _tree(sums)


def _tree(s):
    s = s[:8] + s[8:]
    s = s[:4] + s[4:]
    return (s[0] + s[2]) + (s[1] + s[3])


def blocks(columns):
    """First and last column of every block, and the part of a sum over columns that it belongs to."""
    size = 1024 if columns > 4096 else 512
    count = -(-columns // size)
    parts = min(count, 8)
    return [(b * size, min(columns, b * size + size), ((b + 1) * parts - 1) // count) for b in range(count)]


def grids_last(width, batch_size, columns, bits):
    """Whether a block's grid is kept from batch to batch."""
    pays = batch_size <= PLANE_ROWS if width == 4 else width == 8 and batch_size == TILE and columns > 4096
    return pays and bits == 8


def _reach(values, reaches, first):
    """What the grid of a block reaches to; `reaches`, by its first column, are what they did before."""
    top = F32(np.abs(values).max())
    reach = reaches.get(first, F32(0))
    if not (F32(0.75) * reach <= top <= reach):
        reach = reaches[first] = top * F32(1.125)
    return reach


def _dot(rows, values, centre, bits, key, reaches=None):
    """Centred products of rows with a float32 vector, double; rows are integers or float32."""
    parts = {}
    for first, last, part in blocks(len(values)):
        block = slice(first, last)
        reach = None if reaches is None else _reach(values[block], reaches, first)
        product = _dot_of_block(rows[:, block], values[block], centre[block], bits, key, first, reach)
        parts[part] = parts.get(part, 0.0) + product
    return sum(parts.values())


def _dot_of_block(rows, values, centre, bits, key, first, reach):
    if rows.dtype == F32:
        vector = round_floats(values, None, bits, key, first) if bits else values
        shift, out = 0.0, np.zeros(len(rows))
        for j in range(len(vector)):
            shift = shift + float(centre[j]) * float(vector[j])
            out = out + rows[:, j].astype(float) * float(vector[j])
        return out - shift
    q, scale = quantize(values, bits, key, first, reach)
    return ((rows @ q).astype(float) - _centre_sum(centre, q, bits)) * float(scale)


def _batch(rows, values, centre, start, bits, key):
    """What a batch's float32 vector becomes, and its centred gradient, float32; start is the first row in its tile."""
    if rows.dtype == F32:
        kept = round_floats(values, None, bits, key) if bits else values
        total = 0.0
        for value in kept:
            total = total + float(value)
        sums = np.zeros((16, rows.shape[1]))
        for i in range(len(kept)):
            sums[(start + i) % 16] += rows[i].astype(float) * float(kept[i])
        return kept, (_tree(sums) - centre.astype(float) * float(F32(total))).astype(F32)
    q, scale = quantize(values, bits, key)
    total = scale * F32(q.sum())
    return scale * q.astype(F32), (q @ rows).astype(F32) * scale - centre * total


def _batches(order, n_rows, batch_size):
    """First slot and number of rows of every batch, and whether it opens a fold."""
    size = -(-batch_size // PLANE_ROWS) * PLANE_ROWS
    for position, t in enumerate(order):
        for start in range(0, TILE, size):
            count = min(batch_size, TILE - start, n_rows - (int(t) * TILE + start))
            if count > 0:
                yield int(t) * TILE + start, count, start == 0 and position % FOLD == 0


def shrink(threshold, anchor, offset):
    """The proximal step of l1: anchor + offset moves towards zero by threshold, to -anchor within it."""
    value = anchor + offset
    return np.where(value > threshold, offset - threshold, np.where(value < -threshold, offset + threshold, -anchor))


def saga_epoch(
    rows,
    n_rows,
    weights,
    order,
    batch_size,
    centre,
    keep,
    step,
    batch_weight,
    table_weight,
    bits,
    seed,
    table_residual,
    penalty_gradient,
    mean,
    offset,
    threshold=None,
    anchor=None,
    lasts=False,
):
    """One epoch of anchored SAGA (doc/internals.rst). Returns the new table_residual, mean and offset, (targets, ...).

    lasts says whether grids of the model do (grids_last).
    """
    reaches = [{} if lasts else None for _ in offset]
    table_residual, mean, offset = table_residual.copy(), mean.copy(), offset.copy()
    rows = rows if rows.dtype == F32 else rows.astype(np.int64)
    drift, total = np.zeros_like(offset), np.zeros_like(offset)
    counter = 0
    for slot, count, fold in _batches(order, n_rows, batch_size):
        if fold:
            mean += drift
            drift[:] = 0
            total = (mean + penalty_gradient).astype(F32)
        batch = slice(slot, slot + count)
        for k in range(len(offset)):
            counter += 1
            product = _dot(rows[batch], offset[k], centre, bits[0], mix64(seed + 2 * counter), reaches[k]).astype(F32)
            change = table_residual[k, batch] + weights[batch] * product
            kept, gradient = _batch(rows[batch], change, centre, slot % TILE, bits[1], mix64(seed + 2 * counter + 1))
            table_residual[k, batch] -= kept
            direction = F32(batch_weight) * gradient + drift[k] + total[k]
            offset[k] = keep * offset[k] - step * direction
            drift[k] += F32(table_weight) * gradient
            if threshold is not None:
                offset[k] = shrink(threshold[k], anchor[k], offset[k])
    return table_residual, mean + drift, offset


def sgd_epoch(
    rows,
    n_rows,
    targets,
    weights,
    order,
    batch_size,
    centre,
    keep,
    step,
    batch_weight,
    bits,
    seed,
    unit,
    model,
    threshold=None,
):
    """One epoch of mini-batch SGD. Returns the last iterate and the mean of all, (targets, columns)."""
    model = model.copy()
    rows = rows if rows.dtype == F32 else rows.astype(np.int64)
    average, total = np.zeros(model.shape), np.zeros_like(model)
    counter = steps = 0
    for slot, count, fold in _batches(order, n_rows, batch_size):
        if fold:
            average += total
            total[:] = 0
        batch = slice(slot, slot + count)
        steps += 1
        for k in range(len(model)):
            counter += 1
            if threshold is not None:
                model[k] = shrink(threshold[k], np.zeros_like(model[k]), model[k])
            product = _dot(rows[batch], model[k], centre, bits[0], mix64(seed + 2 * counter))
            residual = weights[batch] * (product - targets[k, batch].astype(float)).astype(F32)
            _, gradient = _batch(rows[batch], residual, centre, slot % TILE, 0, 0)
            if bits[1]:
                own = mix64(seed + 2 * counter + 1)
                gradient = np.concatenate(
                    [round_floats(gradient[a:b], unit[a:b], bits[1], own, a) for a, b, _ in blocks(len(unit))]
                )
            model[k] = keep * model[k] - step * (F32(batch_weight) * gradient)
            total[k] += model[k]
    return model, (average + total) / steps
