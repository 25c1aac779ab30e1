"""Rows of several packed matrices below one another, on the levels that all of them have."""

from dataclasses import replace

import numpy as np

from .._kernels import row_order as order_kernels
from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .columns import require_same_scheme, shared_errors
from .constant import frozen
from .outliers import Outliers, keys_of
from .row_order import RowOrder
from .row_store import RowStore
from .samples import Samples

SAME = ("offset", "step", "table", "grid_levels", "used")  # of matrices whose codes stand for the same values


def join_rows(parts):
    """The rows of several PackedRows, shuffled anew.

    Parameters
    ----------
    parts : list of PackedRows

    Returns
    -------
    PackedRows
    """
    first, width = parts[0], parts[0].scheme.format
    for k, part in enumerate(parts[1:], 1):
        require_same_scheme(first, part, k)
        _require_same_levels(first, part, k)
    shape = (sum(len(part) for part in parts), first.shape[1])
    store, seed = RowStore(shape[1], width, shape[0]), first.order.seed
    for part in parts:
        seed = order_kernels.mix(seed, part.order.seed ^ len(part))
        _append(part, store)
    codes, order = store.into_tiles(seed), RowOrder(shape[0], seed)
    noise = _common_noise(parts)
    # without the noise of codes their variance is not counted
    known = {} if noise.shape[1] else {"variance": frozen(_mean_variance(parts))}
    return replace(
        first,
        shape=shape,
        dtype=np.result_type(*(part.dtype for part in parts)),
        order=order,
        samples=Samples(codes, first.table, shape, width, _joined_outliers(parts, order, len(codes))),
        noise=frozen(noise),
        collision_probability=frozen(np.array([shared_errors(parts)])),
        known=known,
        target=_joined_target(parts),
        sample_weight=_joined_weights(parts),
        feature_names=_common_names(parts),
        missing_count=_added_counts(parts),
        file=None,
    )


def _require_same_levels(first, other, k):
    if other.shape[1] != first.shape[1]:
        raise ValueError(
            f"Matrix 0 has {first.shape[1]} columns and matrix {k} has {other.shape[1]}: vstack puts rows of the same "
            "columns together."
        )
    if not all(np.array_equal(getattr(first, name), getattr(other, name)) for name in SAME):
        raise ValueError(
            f"Matrix {k} has other levels than matrix 0: pack both with one fitted DoubleSamplingQuantizer (quantize), "
            "or pack their rows anew with PackedMatrix.from_chunks([one, other])."
        )


def _append(part, store):
    """Write the rows of a part, in their order, behind those of a store."""
    if not len(part):
        return
    rows, tiles = store.append(len(part)), part.tiles
    slots = part.order.slots(np.arange(len(part)), None)

    def gather(first, last):
        kernels.gather_rows(tiles, slots, rows, first, last)

    in_threads(gather, tiles.n_tiles, THREAD_TILES, None)


def _joined_outliers(parts, order, n_tiles):
    """Those of all parts, or None; order is that of all rows."""
    first, d, found = 0, parts[0].shape[1], [np.empty(0, dtype=np.uint64)]
    for part in parts:
        outliers = part.samples.outliers
        if outliers is not None:
            slots, columns, differences = outliers.decoded()
            rows = first + part.order.rows(n_jobs=None)[slots]
            found.append(keys_of(order.slots(rows, None), columns, differences, d))
        first += len(part)
    return Outliers.of_keys(np.concatenate(found), n_tiles, d)


def _common_noise(parts):
    """Mean squared error of each code, float16 (columns, codes)."""
    first = parts[0].noise
    if all(np.array_equal(first, part.noise) for part in parts):
        return first
    hits = [part.tiles.counts() for part in parts]
    total = sum(own * part.noise for own, part in zip(hits, parts, strict=True))
    return (total / np.maximum(1, sum(hits))).astype(np.float16)


def _mean_variance(parts):
    n = max(1, sum(len(part) for part in parts))
    return (sum(len(part) * part.rounding_variance.astype(np.float64) for part in parts) / n).astype(np.float32)


def _joined_target(parts):
    targets = [part.whole("target") for part in parts]
    if all(target is None for target in targets):
        return None
    first = next(target for target in targets if target is not None)
    for k, target in enumerate(targets):
        if (
            target is None
            or target.shape[1:] != first.shape[1:]
            or (target.dtype.kind == "U") != (first.dtype.kind == "U")
        ):
            raise ValueError(
                f"Matrix {k} brings {'no target' if target is None else 'a target of another kind'} along, unlike "
                "others: give all of them one with with_target, or none with with_target(None)."
            )
    return frozen(np.concatenate(targets))


def _joined_weights(parts):
    weights = [part.whole("sample_weight") for part in parts]
    without = [k for k, own in enumerate(weights) if own is None]
    if without and len(without) < len(parts):
        raise ValueError(
            f"Matrix {without[0]} brings no weights along, unlike others: give all of them some with "
            "with_sample_weight, or none with with_sample_weight(None)."
        )
    return None if without else frozen(np.concatenate(weights))


def _added_counts(parts):
    counts = [part.missing_count for part in parts]
    return None if any(count is None for count in counts) else frozen(sum(counts))


def _common_names(parts):
    names = {part.feature_names for part in parts} - {None}
    if len(names) > 1:
        raise ValueError("The matrices have other names of columns; name them alike, or join them in the same order.")
    return names.pop() if names else None
