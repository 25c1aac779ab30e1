"""The command bench."""

import time

import numpy as np

from .._packed_matrix import PackedMatrix


def bench(options):
    """Time packing and training on generated data."""
    from .._estimators.regressor import ZipMLRegressor

    rng = np.random.default_rng(options.seed)
    X = rng.standard_normal((options.rows, options.columns), dtype=np.float32)
    y = X @ rng.standard_normal(options.columns) + rng.standard_normal(options.rows)
    result = {"rows": options.rows, "columns": options.columns}
    for bits in options.bits:
        start = time.perf_counter()
        packed = PackedMatrix.from_chunks(X, y, sample_bits=bits, random_state=options.seed, n_jobs=options.jobs)
        between = time.perf_counter()
        model = ZipMLRegressor(bits, random_state=options.seed).fit(packed)
        end = time.perf_counter()
        result[f"bits_{bits}"] = {
            "bytes": packed.nbytes,
            "packing_seconds": round(between - start, 3),
            "packed_values_per_second": round(X.size / (between - start)),
            "fit_seconds": round(end - between, 3),
            "epochs": model.n_iter_,
            "r2": round(model.score(X, y), 5),
        }
    return result
