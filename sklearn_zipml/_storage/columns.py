"""Some of the columns of packed rows, and columns of several side by side: codes move, nothing is decoded."""

from dataclasses import replace

import numpy as np

from .._kernels import tiles as kernels
from .._kernels.threads import THREAD_TILES, in_threads
from .constant import frozen
from .dithered_columns import copy_seeds, may_have_dither, of_one_kind
from .grid import padded_table
from .outliers import side_by_side
from .samples import Samples
from .take import scattered
from .targets import BY_ROW
from .tiles import aligned_tiles

BY_COLUMN = ("grid_levels", "used", "offset", "step", "noise")


def take_columns(packed, columns):
    """Some of the columns of PackedRows.

    Parameters
    ----------
    packed : PackedRows
    columns : int64 array (at least one column,), which may repeat

    Returns
    -------
    PackedRows
    """
    names = packed.feature_names
    return _with_columns(
        packed,
        [(packed, packed.samples, columns)],
        collision_probability=packed.collision_probability,
        **{name: packed.whole(name) for name in BY_ROW},
        feature_names=None if names is None else tuple(names[j] for j in columns),
    )


def join_columns(parts):
    """The columns of several PackedRows side by side, in rows of the first one's order inside.

    Parameters
    ----------
    parts : list of PackedRows

    Returns
    -------
    PackedRows
    """
    first, one_width = parts[0], len({part.sample_bits for part in parts}) == 1
    are_few_bits = one_width and all(may_have_dither(part.scheme) for part in parts)
    for k, part in enumerate(parts[1:], 1):
        if not are_few_bits:
            require_same_scheme(first, part, k)
        if len(part) != len(first):
            raise ValueError(
                f"Matrix 0 has {len(first)} rows and matrix {k} has {len(part)}: hstack puts columns of the same rows "
                "together; take the same rows of all."
            )
    parts = [replace(part, samples=_in_order(part, first.order), order=first.order) for part in parts]
    if are_few_bits:
        parts = of_one_kind(parts)
    first = parts[0]
    names = [part.feature_names for part in parts]
    return _with_columns(
        first,
        [(part, part.samples, np.arange(part.shape[1])) for part in parts],
        collision_probability=frozen(np.array([shared_errors(parts)])),
        **{name: _common(parts, name) for name in BY_ROW},
        feature_names=None if None in names else tuple(name for own in names for name in own),
        dtype=np.result_type(*(part.dtype for part in parts)),
    )


def require_same_scheme(first, other, k):
    """Refuse matrices whose codes mean different things."""
    for name in ("sample_bits", "sampling", "levels", "n_draws"):
        meant = "meant_sampling" if name == "sampling" else name
        one, another = (getattr(part.scheme, meant) for part in (first, other))
        if one != another:
            fix = "requantize the wider one" if name == "sample_bits" else "pack both with the same settings"
            raise ValueError(
                f"Matrix 0 has {name}={one!r} and matrix {k} has {name}={another!r}: {fix}, or join what "
                "numpy.asarray decodes of them."
            )


def shared_errors(parts):
    """The collision probability of rows made of several: that of the part whose rows share the most errors."""
    noisy = [part for part in parts if part.rounding_variance.any()]
    return max((float(part.collision_probability[0]) for part in noisy), default=0.0)


def _in_order(part, order):
    """The Samples of a part, its rows in the slots of an order."""
    if part.order.parts == order.parts and _same_list(part.order.listed, order.listed):
        return part.samples
    codes, outliers = scattered(part.tiles, part.order.slots(order.rows(n_jobs=None), None))
    return Samples(codes, part.table, part.shape, part.scheme.format, outliers)


def _same_list(one, other):
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _common(parts, name):
    """What is along by row that there is, or that all agree on; by its name in BY_ROW."""
    there = [(k, part.whole(name)) for k, part in enumerate(parts) if getattr(part, name) is not None]
    for k, array in there[1:]:
        if not np.array_equal(array, there[0][1]):
            what = {"target": "targets", "sample_weight": "weights"}[name]
            raise ValueError(
                f"Matrices {there[0][0]} and {k} bring different {what} along: drop one, with with_{name}(None)."
            )
    return there[0][1] if there else None


def _with_columns(packed, sources, **changes):
    """PackedRows like `packed` whose columns are those of sources: (PackedRows, their Samples, columns) each."""
    d, width = sum(len(columns) for _, _, columns in sources), packed.scheme.format
    shape = (len(packed), d)
    codes = aligned_tiles(*shape, width)
    at, apart = 0, []
    for _, samples, columns in sources:
        columns = np.ascontiguousarray(columns, dtype=np.int64)
        _copy_columns(samples, columns, at, codes)
        apart.append((samples.outliers, columns, at))
        at += len(columns)
    if packed.scheme.is_dithered:
        copy_seeds(sources[0][1], codes)
    table = frozen(padded_table(np.concatenate([part.table[columns] for part, _, columns in sources]), packed.scheme))
    joined = {
        name: frozen(np.concatenate([getattr(part, name)[columns] for part, _, columns in sources]))
        for name in BY_COLUMN
    }
    known = set.intersection(*(set(part.known) for part, _, _ in sources))
    return replace(
        packed,
        shape=shape,
        samples=Samples(codes, table, shape, width, side_by_side(apart, len(codes), d)),
        table=table,
        **joined,
        known={name: frozen(np.concatenate([p.known[name][c] for p, _, c in sources])) for name in known},
        missing_count=_joined_counts(sources),
        file=None,
        **changes,
    )


def _joined_counts(sources):
    """Values that were missing, if that is known of all."""
    counts = [None if part.missing_count is None else part.missing_count[columns] for part, _, columns in sources]
    return None if any(count is None for count in counts) else frozen(np.concatenate(counts))


def _copy_columns(samples, columns, at, codes):
    """Write columns of Samples to those from `at` on of tiles."""

    def copy(first, last):
        start = first
        for tiles, begin, end in samples.pieces(first, last, THREAD_TILES):
            kernels.take_columns(tiles, columns, at, codes[start : start + end - begin], begin, end)
            start += end - begin

    in_threads(copy, len(codes), THREAD_TILES, None)
