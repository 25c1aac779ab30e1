"""The commands pack and info."""

import os
import shutil
import time
from pathlib import Path

from .._kernels.tiles import TILE_ROWS, tile_bytes
from .._packed_matrix import PackedMatrix
from .._scheme import Scheme
from .._sources.progress import progress_bar
from .._storage.packed_rows import rows_of
from .rows import names_of, source_of, target_of

PACKING = {
    "bits": 4,
    "sampling": "auto",
    "levels": "optimal",
    "draws": 2,
    "outliers": "auto",
    "missing": "error",
}
# What they are called in the package.
SCHEME_PARAMETERS = {
    "bits": "sample_bits",
    "sampling": "sampling",
    "levels": "levels",
    "draws": "n_draws",
    "outliers": "outliers",
}
PARAMETERS = SCHEME_PARAMETERS | {"missing": "missing"}
GENOTYPE_BITS = 2
# A table of levels and statistics, a column at most; and what a file has besides.
BYTES_BY_COLUMN, BYTES_BY_FILE = 4096, 1 << 16


def pack(options):
    """Pack files into one."""
    given = {name: getattr(options, name) for name in PACKING if getattr(options, name) is not None}
    _check_output(options.output)
    if options.append:
        _check_settings(options.output, given)
    columns = None if options.columns is None else names_of(options.columns.split(","), options)
    source = source_of(options, columns, target_of(options))
    defaults = PACKING if source.genotypes is None else PACKING | {"bits": GENOTYPE_BITS}
    _check_space(options, source, defaults | given)
    start = time.perf_counter()
    with progress_bar(source, not (options.json or options.no_progress), passes=1 if options.append else 2):
        if options.append:
            packed = PackedMatrix.append(options.output, source, random_state=options.seed, n_jobs=options.jobs)
        else:
            settings = _parameters(defaults | given, PARAMETERS)
            packed = PackedMatrix.from_chunks(source, **settings, random_state=options.seed, n_jobs=options.jobs)
            packed.save(options.output)
    return described(packed, options.output) | {"seconds": round(time.perf_counter() - start, 3)}


def _parameters(settings, names):
    """Settings by other names."""
    return {parameter: settings[name] for name, parameter in names.items()}


def info(options):
    """What a packed file holds."""
    return described(PackedMatrix.load(options.file, verify=options.verify), options.file)


def described(packed, path):
    """A packed file, as it is told."""
    n, d = packed.shape
    target, size = packed.target, os.path.getsize(path)
    outliers = rows_of(packed).tiles.outliers
    return {
        "file": os.fspath(path),
        "bytes": size,
        "rows": n,
        "columns": d,
        "bits": packed.sample_bits,
        "sampling": packed.sampling,
        "levels": packed.levels,
        "draws": packed.n_draws,
        "outliers": 0 if outliers is None else len(outliers),
        "dtype": packed.dtype.name,
        "times_smaller_than_float32": round(4 * n * d / size, 2),
        "target": None if target is None else f"{target.dtype}, shape {target.shape}",
        "weights": None if packed.sample_weight is None else f"float64, shape {packed.sample_weight.shape}",
        "missing": None if packed.missing_count is None else int(packed.missing_count.sum()),
        "parts": len(rows_of(packed).order.parts),
        "feature_names": None if packed.feature_names is None else list(packed.feature_names),
    }


def _check_output(path):
    """Refuse a place that cannot be written to, before anything is read."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; -o names the file to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} for {path}: make it, or name another with -o.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"The folder {path.parent} cannot be written to: name another for {path} with -o.")


def _check_space(options, source, settings):
    """Refuse a disk that is too small, where the number of rows is known."""
    if source.n_rows is None or not source.repeatable:
        return
    path, n_columns, n_rows = options.output, _columns_of(source), source.n_rows
    if options.append:  # beside what there is, all of it is written anew
        before = rows_of(PackedMatrix.load(path))
        n_rows, scheme = n_rows + len(before), before.scheme
    else:
        scheme = Scheme.checked("PackedMatrix.from_chunks", **_parameters(settings, SCHEME_PARAMETERS))
        scheme = scheme if source.genotypes is None else scheme.undithered
    # of all columns that a tile has, the seeds of rows among them
    size = -(-n_rows // TILE_ROWS) * tile_bytes(n_columns, scheme.format)
    needed = size + n_columns * BYTES_BY_COLUMN + BYTES_BY_FILE
    free = shutil.disk_usage(Path(path).parent).free
    if needed > free:
        raise OSError(
            f"{path} will take about {needed:,} bytes, and the disk has {free:,}: free some, name another place with "
            "-o, or take fewer --bits."
        )


def _columns_of(source):
    """Number of columns; none of a source without rows."""
    if source.genotypes is not None:
        return source.genotypes.n_columns
    first = next(iter(source.chunks()), None)
    return 0 if first is None else first.X.shape[1]


def _check_settings(path, given):
    """Refuse settings of packing that are not those of the file that rows are appended to."""
    packed = PackedMatrix.load(path)
    own = {"bits": packed.sample_bits, "sampling": packed.sampling, "levels": packed.levels}
    own |= {"missing": "error", "outliers": "auto"}  # what new rows get
    own["draws"] = max(2, packed.n_draws)  # what stands for one draw in the settings of packing
    for name, value in given.items():
        if value != own[name] and (name, value) != ("sampling", "auto"):
            raise ValueError(
                f"--{name} {value} does not go with --append: {path} has --{name} {own[name]}, which new rows get too. "
                f"Leave --{name} out, or pack all rows into another file."
            )
