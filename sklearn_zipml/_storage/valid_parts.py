"""What the parts of a PackedMatrix have to be: one gate for files, pickles, other states and the constructor.

Passes trust the sizes of a container, so nothing becomes one that has not been here, but for what this package has just
made itself. Codes are not looked at: whatever their bits are, they stand for levels.
"""

import numpy as np

from .._kernels import tiles as kernels
from .._parameters import is_integer
from .._scheme import PLACEMENTS, STORED_SAMPLINGS, Scheme, draws_of
from . import dither, stored_dither
from .outliers import ARRAYS as OUTLIER_ARRAYS
from .outliers import MOST_DIFFERENCE, n_blocks, of_parts

DTYPES = ("float32", "float64")
SCHEME_PARTS = ("sample_bits", "sampling", "levels", "n_draws")
KIND = ("shape", "dtype", *SCHEME_PARTS, "row_seed")
ALONG = ("row_list", "target", "sample_weight", "feature_names", "missing_count", *OUTLIER_ARRAYS)
MOST = 1 << 62  # of anything that is counted
HIGHEST_CODE_POINT = 0x10FFFF


class InvalidParts(ValueError):
    """What is wrong with them: "its ..."."""


def checked_parts(parts):
    """The parts of a PackedMatrix, those that say what kind it is as plain Python values.

    Parameters
    ----------
    parts : dict, see `PackedRows.parts`

    Returns
    -------
    dict

    Raises
    ------
    InvalidParts
    """
    kind = checked_kind(parts)
    table = parts.get("table")
    is_ladder = isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] == dither.LADDER_TABLE
    expected = array_kinds(kind, of_ladder=is_ladder)
    unknown = sorted(set(map(str, parts)) - {*KIND, *ALONG, *expected})
    if unknown:
        raise InvalidParts(f"it has parts that no PackedMatrix has: {', '.join(unknown)}")
    arrays = {name: _array(name, parts.get(name), *which) for name, which in expected.items()}
    along = {
        "row_list": _row_list(parts.get("row_list"), kind["row_seed"]),
        "target": _target(parts.get("target"), kind["shape"][0]),
        "sample_weight": _sample_weight(parts.get("sample_weight"), kind["shape"][0]),
        "feature_names": _feature_names(parts.get("feature_names"), kind["shape"][1]),
        "missing_count": _missing_count(parts.get("missing_count"), kind["shape"]),
    } | _outliers(parts, kind)
    if is_ladder and scheme_of(kind).is_dithered:
        arrays["table"] = dither.of_ladder(arrays["table"])
    _check_values(kind, arrays, along["outlier_starts"] is not None)
    return kind | arrays | along


def checked_kind(parts):
    """The parts that say what kind of matrix it is, checked; n_draws may be missing, for there was none at first."""
    for name in KIND:
        if name not in parts and name != "n_draws":
            raise InvalidParts(f"its {name} is missing")
    shape, n_draws = parts["shape"], parts.get("n_draws")
    if not isinstance(shape, (list, tuple)) or len(shape) != 2:
        raise InvalidParts("its shape is not two numbers")
    n, d = _integer(shape[0], 0, MOST, "shape[0]"), _integer(shape[1], 1, MOST, "shape[1]")
    for name, known in (("dtype", DTYPES), ("sampling", STORED_SAMPLINGS), ("levels", PLACEMENTS)):
        if not isinstance(parts[name], (str, np.dtype)) or str(parts[name]) not in known:
            raise InvalidParts(f"its {name} is none of {', '.join(known)}")
    sampling = str(parts["sampling"])
    n_draws = draws_of(sampling) if n_draws is None else _integer(n_draws, 1, 256, "n_draws")
    if (n_draws > 1) != (draws_of(sampling) > 1):
        raise InvalidParts(f"its n_draws={n_draws} is not one that its sampling={sampling!r} has")
    if sampling == "joined" and (parts["sample_bits"] != 2 or str(parts["levels"]) != "optimal"):
        raise InvalidParts("its columns with known dither that were joined are not of 2 bits with optimal levels")
    return {
        "shape": (n, d),
        "dtype": np.dtype(str(parts["dtype"])),
        "sample_bits": _integer(parts["sample_bits"], n_draws.bit_length(), 9, "sample_bits"),
        "sampling": sampling,
        "levels": str(parts["levels"]),
        "n_draws": n_draws,
        "row_seed": _row_parts(parts["row_seed"], n),
    }


def array_kinds(kind, of_ladder=False):
    """The dtype and shape of every array that a container of a checked kind has, or had with `dither.of_ladder`."""
    n, d = kind["shape"]
    scheme = scheme_of(kind)
    padded = kernels.tile_columns(d, scheme.format)
    table_codes = dither.LADDER_TABLE if of_ladder and scheme.is_dithered else scheme.table_codes
    return {
        "codes": ("u1", (-(-n // kernels.TILE_ROWS), padded * kernels.TILE_ROWS * scheme.width // 8)),
        "table": ("u1", (padded, table_codes)),
        "grid_levels": ("u1", (d, scheme.n_levels if scheme.stores_levels else 0)),
        "used": ("u2", (d,)),
        "offset": ("f8", (d,)),
        "step": ("f8", (d,)),
        "mean": ("f4", (d,)),
        "deviation": ("f4", (d,)),
        "variance": ("f4", (d,)),
        "noise": ("f2", (d, scheme.noise_codes if scheme.is_compensated else 0)),
        "coincidence": ("f8", (1,)),
    }


def outlier_kinds(kind, n_outliers):
    """The same of those that it has if it has outliers."""
    n_tiles = -(-kind["shape"][0] // kernels.TILE_ROWS)
    sizes = n_tiles * n_blocks(kind["shape"][1]) + 1, n_outliers
    return {name: ("u4", (size,)) for name, size in zip(OUTLIER_ARRAYS, sizes, strict=True)}


def scheme_of(kind):
    """The Scheme of a checked kind."""
    return Scheme(*(kind[name] for name in SCHEME_PARTS))


def list_dtype(n_rows):
    """Of a list of so many rows."""
    return "i4" if n_rows < 1 << 31 else "i8"


def _integer(value, least, end, what):
    """The value as an int from least to end - 1."""
    if not is_integer(value) or not least <= value < end:
        raise InvalidParts(f"its {what} is {value!r}, and no integer from {least} to {end - 1}")
    return int(value)


def _row_parts(parts, n_rows):
    """Pairs of rows and seed that add up to all rows."""
    if not isinstance(parts, (list, tuple)):
        parts = [(n_rows, parts)]
    if not parts or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in parts):
        raise InvalidParts("its row_seed is not a list of parts")
    least = 1 if len(parts) > 1 else 0
    pairs = tuple(
        (_integer(rows, least, MOST, "row_seed"), _integer(seed, 0, 1 << 64, "row_seed")) for rows, seed in parts
    )
    if sum(rows for rows, _ in pairs) != n_rows:
        raise InvalidParts("its row_seed is of another number of rows")
    return pairs


def _array(name, array, dtype, shape):
    """The array, C-contiguous, if it is of that dtype and shape."""
    if not isinstance(array, np.ndarray):
        raise InvalidParts(f"its {name} is missing, or no array")
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        found, needed = f"{array.dtype} and shape {array.shape}", f"{np.dtype(dtype)} and {shape}"
        raise InvalidParts(f"its {name} is of {found} where {needed} are needed")
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _row_list(rows, parts):
    """An order of the rows of the first part, or None."""
    if rows is None:
        return None
    n = parts[0][0]
    rows = _array("row_list", rows, list_dtype(n), (n,))
    seen = np.zeros(n, dtype=bool)
    if not n or (rows.min() >= 0 and rows.max() < n):
        seen[rows] = True
    if not seen.all():
        raise InvalidParts("its row_list is not an order of the rows")
    return rows


def _target(target, n_rows):
    """Numbers, booleans or text, a row for each row, or None."""
    if target is None:
        return None
    if not isinstance(target, np.ndarray) or target.dtype.kind not in "biufU" or not target.dtype.isnative:
        raise InvalidParts("its target is not of numbers, booleans or text")
    if target.ndim not in (1, 2) or len(target) != n_rows:
        raise InvalidParts(f"its target of shape {target.shape} does not fit {n_rows} rows")
    if target.dtype.kind == "U" and not is_text(target):
        raise InvalidParts("its target is not text")
    return target


def _sample_weight(weights, n_rows):
    """A weight of each row, or None; their values are looked at when a fit takes them, as those of a target are."""
    return None if weights is None else _array("sample_weight", weights, "f8", (n_rows,))


def _feature_names(names, n_columns):
    if names is None:
        return None
    if isinstance(names, np.ndarray) and names.dtype.kind == "U" and is_text(names):
        names = names.tolist()
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise InvalidParts("its feature_names are not text")
    if len(names) != n_columns:
        raise InvalidParts(f"its {len(names)} feature_names do not fit {n_columns} columns")
    return tuple(map(str, names))


def _missing_count(count, shape):
    """Values that were missing of every column, or None."""
    if count is None:
        return None
    count = _array("missing_count", count, "i8", shape[1:])
    if count.min(initial=0) < 0 or count.max(initial=0) > shape[0]:
        raise InvalidParts("its columns miss more values than they have rows")
    return count


def _outliers(parts, kind):
    """The arrays of outliers, or None for each."""
    found = {name: parts.get(name) for name in OUTLIER_ARRAYS}
    if all(array is None for array in found.values()):
        return found
    entries = found["outlier_entries"]
    size = entries.size if isinstance(entries, np.ndarray) else 0
    kinds = outlier_kinds(kind, max(1, size))
    given = sorted(kinds, key=lambda name: found[name] is None)  # an error names what there is, before what lacks
    arrays = {name: _array(name, found[name], *kinds[name]) for name in given}
    if not scheme_of(kind).may_keep_outliers:
        raise InvalidParts(f"it has outliers, which its sampling={kind['sampling']!r} has not")
    starts, places = arrays["outlier_starts"].astype(np.int64), (arrays["outlier_entries"] >> 16).astype(np.int64)
    if starts[0] or starts[-1] != size or (np.diff(starts) < 0).any():
        raise InvalidParts("its outlier_starts are no places of its outliers")
    within = np.ones(size, dtype=bool)
    within[starts[:-1][starts[:-1] < size]] = False  # the first of a block
    if (places >> 15).any() or not (np.diff(places, prepend=-1)[within] > 0).all():
        raise InvalidParts("its outlier_entries are not in order")
    slots, columns, differences = of_parts(arrays, kind["shape"][1]).decoded()
    if (slots >= kind["shape"][0]).any() or (columns >= kind["shape"][1]).any() or not differences.all():
        raise InvalidParts("its outliers are of rows or columns that it has not, or no outliers")
    return arrays


def is_text(array):
    """Whether the words of an array of text are code points."""
    if array.dtype.itemsize == 0:
        return True
    words = np.ascontiguousarray(array).reshape(-1).view(np.uint32)
    return bool((words <= HIGHEST_CODE_POINT).all())


def _check_values(kind, arrays, has_outliers):
    """Refuse numbers that no packing makes, for what comes after does not expect them."""
    d, stride = kind["shape"][1], kind["n_draws"]
    mean, coincidence = arrays["mean"], arrays["coincidence"][0]
    wrong = [
        name for name in ("offset", "step", "deviation", "variance", "noise") if not np.isfinite(arrays[name]).all()
    ]
    wrong += [name for name in ("deviation", "variance", "noise") if not (arrays[name] >= 0).all()]
    wrong += ["step"] if not (arrays["step"] > 0).all() else []
    least, most = (-MOST_DIFFERENCE, 255 + MOST_DIFFERENCE) if has_outliers else (0, 255)
    wrong += ["mean"] if not ((mean >= least) & (mean <= most)).all() else []
    if wrong:
        raise InvalidParts(f"the {wrong[0]} of its columns has values that no packing makes")
    if not 0 <= coincidence <= 1:
        raise InvalidParts("its coincidence is no probability")
    used = arrays["used"].astype(np.int64)
    if not ((used >= 1) & (used <= scheme_of(kind).n_positions) & ((used - 1) * stride <= 255)).all():
        raise InvalidParts("the used levels of its columns are numbers that no packing makes")
    if scheme_of(kind).is_dithered:
        if not dither.is_table(arrays["table"]):
            raise InvalidParts("its table is none of codes with known dither")
        return
    if scheme_of(kind).stores_dither and not stored_dither.is_table(arrays["table"][:d], used):
        raise InvalidParts("its table is none of codes with known dither")
    levels = arrays["grid_levels"] if arrays["grid_levels"].shape[1] else arrays["table"][:d]
    if levels.shape[1] and (np.diff(levels.astype(np.int16), axis=1) < 0).any():
        raise InvalidParts("the levels of its columns, grid_levels or table, do not ascend")
