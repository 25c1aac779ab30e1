"""Speed of one SAGA epoch on packed tiles of random codes: G values/s by kernels, bits, batch and columns.

python benchmarks/bench_epochs.py [--values 2e9] [--kernels avx512,avx2] [--bits 2,4,8] [--batch 64,16] [--threads 2]
"""

import argparse
import time

import numpy as np

from sklearn_zipml._kernels import active as active_kernels
from sklearn_zipml._kernels import epochs as epoch_kernels
from sklearn_zipml._kernels import passes
from sklearn_zipml._kernels import tiles as kernels
from sklearn_zipml._solvers.batches import tile_order
from sklearn_zipml._storage.tiles import aligned_tiles

PLANES = {"8-bit": 8, "16-bit": 0}  # model and gradient: one plane, or the default of two


def random_tiles(n_values, d, bits):
    """Tiles of random bytes with random sorted levels."""
    rng = np.random.default_rng(0)
    n_tiles = max(1, int(n_values) // (64 * d))
    codes = aligned_tiles(64 * n_tiles, d, bits)
    flat = codes.reshape(-1)
    chunk = rng.integers(0, 256, 1 << 22, dtype=np.uint8)
    for start in range(0, flat.size, chunk.size):
        flat[start : start + chunk.size] = chunk[: flat.size - start]
    per_column = 1 << bits if bits < 8 else 0
    table = np.sort(rng.integers(0, 256, (d, per_column), dtype=np.uint8), axis=1).reshape(-1)
    return kernels.Tiles(codes, table, 64 * n_tiles, d, bits)


def seconds_of_epoch(tiles, batch, bits, repeats, threads=1):
    """Best time of one epoch; the steps are tiny, so that the model stays where it is."""
    rng = np.random.default_rng(1)
    d, slots = tiles.padded, 64 * tiles.n_tiles
    rows = passes.Rows(np.zeros((1, slots), dtype=np.float32), np.zeros(0, dtype=np.float32))
    order = tile_order(tiles, tiles.n_tiles, 1, 1)
    centre, keep = np.full(d, 127.5, dtype=np.float32), np.full(d, 1, dtype=np.float32)
    step, offset = np.full(d, 1e-12, dtype=np.float32), rng.normal(size=(1, d)).astype(np.float32)
    table_residual, penalty_gradient, mean = np.zeros((1, slots), dtype=np.float32), np.zeros((1, d)), np.zeros((1, d))
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        epoch_kernels.saga_epoch(
            epoch_kernels.Batches(tiles, rows, order, batch, centre, batch / slots),
            epoch_kernels.Steps(keep, step, bits, bits, 7),
            table_residual,
            penalty_gradient,
            mean,
            offset,
            epoch_kernels.Team(d, batch, threads),
        )
        best = min(best, time.perf_counter() - start)
    return best


def main():
    """Print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=float, default=2e9)
    parser.add_argument("--kernels", default=None)
    parser.add_argument("--bits", default="2,4,8")
    parser.add_argument("--batch", default="64,16")
    parser.add_argument("--columns", default="128,1024,8192")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    names = options.kernels.split(",") if options.kernels else [active_kernels.kernel_name()]
    for bits in map(int, options.bits.split(",")):
        for d in map(int, options.columns.split(",")):
            tiles = random_tiles(options.values, d, bits)
            n_values = 64 * tiles.n_tiles * d
            for name in names:
                if options.kernels:
                    active_kernels.use_kernels(name)
                for batch in map(int, options.batch.split(",")):
                    rates = {
                        label: n_values / seconds_of_epoch(tiles, batch, planes, options.repeats, options.threads) / 1e9
                        for label, planes in PLANES.items()
                    }
                    speeds = ", ".join(f"{label} model {rate:6.2f}" for label, rate in rates.items())
                    print(f"{name:8s} {bits} bits, {d:5d} columns, batch {batch}: {speeds} G values/s", flush=True)


if __name__ == "__main__":
    main()
