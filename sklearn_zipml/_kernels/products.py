"""Products of the rows of tiles with many vectors at once, and sums over rows with many weights: as matrix products."""

import numpy as np

from . import matmul
from . import tiles as kernels
from .threads import THREAD_TILES, in_threads

# From so many vectors on, passes of all at once are faster than one after the other.
MANY = 4
# Bytes of fixed-point numbers that products take at once; more are a second pass over what the first leaves.
MOST_BYTES = 4
# Vectors that go by while a decoded block of rows stays in the caches.
VECTORS_AT_ONCE = 128
# Sums of 64 bits hold so many rows, whatever the weights.
EXACT_TILES = (1 << 24) // kernels.TILE_ROWS
# and sums of positions up to this, by weights of 31 bits.
MOST_POSITIONS = 1 << 32
# Float rows are copied to float64 so many at a time.
FLOAT_TILES = 16


def exact_tiles(tiles):
    """Tiles whose sums of positions times weights hold, whatever these are."""
    outliers = tiles.outliers
    if outliers is None or outliers.sizes()[0] + 255 * tiles.n_rows < MOST_POSITIONS:
        return EXACT_TILES
    return MOST_POSITIONS // (1 << 15) // kernels.TILE_ROWS


def products_many(tiles, vectors, first=0, last=None, *, n_bytes=4, threads=1):
    """sum_j g_ij z_j of the rows of tiles first..last-1 for every vector z.

    Parameters
    ----------
    tiles : Tiles
    vectors : float64 (vectors, n_columns)
    first, last : int
    n_bytes : 1 to 8, of the fixed-point numbers that the components become: 4 are 30 bits of the largest one
    threads : int; nothing depends on it, nor on the kernels

    Returns
    -------
    float64 (vectors, rows), in slot order, 64 rows a tile
    """
    last = tiles.n_tiles if last is None else last
    vectors = np.ascontiguousarray(vectors, dtype=np.float64)
    if tiles.width == kernels.FLOAT_WIDTH:
        return _float_products(tiles, vectors, first, last)
    if n_bytes > MOST_BYTES:
        some = fixed_point(vectors, MOST_BYTES)
        out = products_many(tiles, some, first, last, threads=threads)
        out += products_many(tiles, vectors - some, first, last, n_bytes=n_bytes - MOST_BYTES, threads=threads)
        return out
    out = np.zeros((len(vectors), max(0, last - first) * kernels.TILE_ROWS))
    for start in range(0, len(vectors), VECTORS_AT_ONCE):
        some = matmul.Vectors(tiles, vectors[start : start + VECTORS_AT_ONCE], n_bytes)

        def share(begin, end, some=some, start=start):
            part = out[start : start + some.n_vectors, begin * kernels.TILE_ROWS : end * kernels.TILE_ROWS]
            some.multiply(tiles, first + begin, first + end, part)

        in_threads(share, max(0, last - first), THREAD_TILES, threads)
    return out


def gradients_many(tiles, weights, first=0, last=None, *, n_bytes=4, threads=1):
    """sum_i r_i g_ij over the rows of tiles first..last-1 for every row of weights r, and sum_i r_i.

    Parameters
    ----------
    tiles : Tiles
    weights : floats (vectors, rows), in slot order from tile `first` on; those of rows that are not there are not read
    first, last : int
    n_bytes : 1 to 8, of the fixed-point numbers that the weights become: 2 are 15 bits of the largest one
    threads : int; nothing depends on it, nor on the kernels

    Returns
    -------
    sums : float64 (vectors, n_columns)
    totals : float64 (vectors,), of the weights as they were rounded: sums - totals * centre are centred to rounding
    """
    last = tiles.n_tiles if last is None else last
    n = max(0, min(tiles.n_rows, last * kernels.TILE_ROWS) - first * kernels.TILE_ROWS)
    if weights.shape[1] < n:
        raise ValueError(f"weights of {weights.shape[1]} rows do not fit the {n} rows of tiles {first} to {last}")
    sums, totals = np.zeros((len(weights), tiles.n_columns)), np.zeros(len(weights))
    for start in range(0, len(weights), VECTORS_AT_ONCE):
        few = slice(start, start + VECTORS_AT_ONCE)
        some = np.asarray(weights[few, :n], dtype=np.float64)
        if some.strides[1:] != (some.itemsize,):
            some = np.ascontiguousarray(some)
        sums[few], totals[few] = _gradients_of_few(tiles, some, (first, last), n_bytes, threads)
    return sums, totals


def _gradients_of_few(tiles, weights, span, n_bytes, threads):
    """See `gradients_many`; weights are float64 and contiguous rows."""
    first, last = span
    if tiles.width == kernels.FLOAT_WIDTH:
        sums = np.zeros((len(weights), tiles.n_columns))
        for start, block in _float_blocks(tiles, first, last):
            some = weights[:, start : start + block.shape[1]]
            sums += some @ block[:, : some.shape[1]].T
        return sums, weights.sum(axis=1)
    if n_bytes > MOST_BYTES:
        some = fixed_point(weights, MOST_BYTES)
        sums, totals = _gradients_of_few(tiles, some, span, MOST_BYTES, threads)
        more = _gradients_of_few(tiles, weights - some, span, n_bytes - MOST_BYTES, threads)
        return sums + more[0], totals + more[1]
    scales, inverses = matmul.fixed_point_scales(weights, n_bytes)
    sums, totals = np.zeros((len(weights), tiles.n_columns)), np.zeros(len(weights))
    at_once = exact_tiles(tiles)
    for begin in range(first, last, at_once):
        end = min(last, begin + at_once)
        found = _integer_sums(tiles, weights, inverses, n_bytes, (first, begin, end), threads)
        sums += found[0] * scales[:, None]
        totals += found[1] * scales
    return sums, totals


def fixed_point(vectors, n_bytes):
    """What the products take vectors (vectors, components) for at n_bytes <= 4; not a number if they are not finite."""
    scales, inverses = matmul.fixed_point_scales(vectors, n_bytes)
    with np.errstate(invalid="ignore"):
        return np.rint(vectors * inverses[:, None]) * scales[:, None]


def _float_products(tiles, vectors, first, last):
    out = np.zeros((len(vectors), max(0, last - first) * kernels.TILE_ROWS))
    for start, block in _float_blocks(tiles, first, last):
        out[:, start : start + block.shape[1]] = vectors @ block
    return out


def _integer_sums(tiles, weights, inverses, n_bytes, span, threads):
    """Exact sums over tiles begin..end-1 of weights that are given from tile `first` on."""
    first, begin, end = span

    def share(start, stop):
        rows = weights[:, (begin - first + start) * kernels.TILE_ROWS :]
        return matmul.gradient_sums(tiles, rows, inverses, n_bytes, begin + start, begin + stop)

    parts = in_threads(share, end - begin, THREAD_TILES, threads)
    return tuple(sum(part) for part in zip(*parts, strict=True))


def _float_blocks(tiles, first, last):
    """Where they start, and float64 (n_columns, rows) blocks of the rows of float tiles."""
    for start in range(first, last, FLOAT_TILES):
        block = tiles.floats[start : min(start + FLOAT_TILES, last), : tiles.n_columns]
        rows = block.transpose(1, 0, 2).reshape(tiles.n_columns, -1).astype(np.float64)
        yield (start - first) * kernels.TILE_ROWS, rows
