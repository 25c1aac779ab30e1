"""More rows for a packed file, on the levels it has."""

from dataclasses import replace

import numpy as np

from .._feature_names import of_file
from .._kernels import tiles as kernels
from .._kernels.threads import check_n_jobs
from .._seeds import Stream
from .._storage.file_reader import load
from .._storage.file_writer import write
from .._storage.grid import grid_of
from .._storage.outliers import Outliers, keys_found, keys_of, parts_of
from .._storage.statistics import joined
from .._storage.targets import check_row_weights, check_target
from .._underflow import underflow_is_zero
from .streaming import Packer


@underflow_is_zero
def append(path, source, seed, n_jobs=None):
    """Write the file at `path` anew with the rows of a source behind its own; see PackedMatrix.append."""
    check_n_jobs(n_jobs, "PackedMatrix.append")
    old = load(path)
    n, d = old.shape
    full, rest = divmod(n, kernels.TILE_ROWS)
    packer = Packer(
        replace(grid_of(old), scheme=replace(old.scheme, outliers="auto")),
        seed,
        old.dtype,
        source.n_rows or 0,
        n_jobs,
        True,
    )
    packer.encoder.integers = None  # whose positions are not known of themselves
    # the new rows begin where the last tile of the old ones ends
    if rest:
        kernels.tiles_to_rows(old.codes[full:], d, old.scheme.format, packer.store.append(rest))
    source.expected = of_file(old.feature_names)
    packer.extend(source.chunks())
    more = packer.store.n_rows - rest
    if more == 0:
        raise ValueError("The source has no rows: there is nothing to append.")
    packer.warn_outside(old.feature_names)
    target = _joined_target(old.whole("target"), packer.targets, more)
    weights = _joined_weights(old.whole("sample_weight"), packer.weights, more)
    order = old.order.followed_by(more, Stream.ROW_ORDER.of(seed))
    tiles = packer.store.into_tiles(order.parts[-1][1], rest, n_jobs)
    hits = old.tiles.counts() if old.noise.shape[1] else np.zeros((d, 0))
    new = packer.statistics(more, None)
    parts = old.parts() | joined(old, n, hits, new, more, packer.encoder.moments.hits)
    # and none of the new ones is missing
    parts |= {"shape": (n + more, d), "row_seed": order.parts, "target": target, "sample_weight": weights}
    keys = keys_found(packer.encoder.found, d, lambda rows: order.slots(rows - rest + n))
    parts |= parts_of(_joined_outliers(old, keys, full + len(tiles)))
    write(parts, [old.codes[:full], tiles], path)


def _joined_outliers(old, keys, n_tiles):
    """Those of the old rows and of new ones, see `Outliers.of_keys`; or None."""
    d = old.shape[1]
    if old.samples.outliers is not None:
        keys = np.concatenate([keys, keys_of(*old.samples.outliers.decoded(), d)])
    return Outliers.of_keys(keys, n_tiles, d)


def _joined_target(old, targets, n_rows):
    """The targets of old and new rows."""
    if not _are_both(old, targets, "a target"):
        return None
    new = check_target(np.concatenate(targets), n_rows)
    if new.shape[1:] != old.shape[1:] or (new.dtype.kind == "U") != (old.dtype.kind == "U"):
        raise ValueError(
            f"The new targets, {new.dtype} of shape {new.shape}, do not go with those of the file, {old.dtype} "
            f"of shape {old.shape}."
        )
    return np.concatenate([old, new])


def _joined_weights(old, weights, n_rows):
    """The weights of old and new rows."""
    if not _are_both(old, weights, "weights"):
        return None
    return np.concatenate([old, check_row_weights(np.concatenate(weights), n_rows)])


def _are_both(old, new, what):
    """Whether the file and the new rows bring something along; an error if only one does."""
    if (old is None) != (not new):
        without = "the file has" if old is None else "the new rows have"
        raise ValueError(f"The file and the new rows must both have {what} or none, but {without} none.")
    return old is not None
