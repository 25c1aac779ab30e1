"""The command line: pack, info, fit and bench.

Exit codes: 0 for success, 1 for data that cannot be used (one line on stderr says why), 2 for wrong arguments, 130 when
interrupted. With --json, stdout is one JSON object.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from ._packed_matrix import PackedMatrix, readable_bytes
from ._progress import progress
from ._scheme import PLACEMENTS, SAMPLINGS
from ._sources.files import files_of
from ._sources.source import open_source
from ._storage.packed_rows import rows_of
from ._version import __version__

PACKING = {"bits": 4, "sampling": "compensated", "levels": "optimal", "draws": 2}


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Those of the process, if None.

    Returns
    -------
    int
        Exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        result = options.run(options)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"{options.prog}: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(result) if options.json else _table(result))
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m sklearn_zipml", description="Pack data into few bits a value and train linear models on it."
    )
    parser.add_argument("--version", action="version", version=f"sklearn_zipml {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    pack = _command(commands, "pack", _pack, "pack a table or an array into a file")
    pack.add_argument(
        "source", nargs="+", help=".npy, .parquet, .feather, .arrow or .csv files, a folder of them, or a pattern"
    )
    pack.add_argument("-o", "--output", required=True, help="file to write; replaced if it exists")
    pack.add_argument("--target", action="append", help="column that is the target (name; number in .npy); repeatable")
    pack.add_argument("--columns", help="columns to pack, separated by commas; default: all but the target")
    pack.add_argument(
        "--header", action=argparse.BooleanOptionalAction, help="CSV files begin with names of columns, or do not"
    )
    pack.add_argument("--bits", type=int, help="bits a value, 1 to 8 (default 4)")
    pack.add_argument("--sampling", choices=SAMPLINGS, help="default: compensated")
    pack.add_argument("--levels", choices=PLACEMENTS, help="default: optimal")
    pack.add_argument("--draws", type=int, help="draws of a value with --sampling double (default 2)")
    pack.add_argument(
        "--append", action="store_true", help="add rows to the output file, on the levels it has, with its settings"
    )
    pack.add_argument("--jobs", type=int, default=-1, help="threads (default: all cores)")
    pack.add_argument("--no-progress", action="store_true", help="no progress bar")
    _seed(pack)

    info = _command(commands, "info", _info, "tell what a packed file holds")
    info.add_argument("file")
    info.add_argument("--verify", action="store_true", help="check the checksums of all rows too")

    fit = _command(commands, "fit", _fit, "train on a packed file")
    fit.add_argument("file")
    fit.add_argument("--task", choices=("regression", "classification"), help="default: by the kind of the target")
    fit.add_argument("--bits", type=int, help="train on fewer bits than the file has")
    fit.add_argument("--alpha", type=float, default=1e-4, help="ridge penalty of a regression (default 1e-4)")
    fit.add_argument("--C", type=float, default=1.0, help="weight of the loss of a classification (default 1)")
    fit.add_argument("--max-iter", type=int, default=100)
    fit.add_argument("--tol", type=float, default=1e-4)
    fit.add_argument("-o", "--output", help="JSON file for the coefficients")
    _seed(fit)

    bench = _command(commands, "bench", _bench, "time packing and training on generated data")
    bench.add_argument("--rows", type=int, default=200_000)
    bench.add_argument("--columns", type=int, default=100)
    bench.add_argument("--bits", type=int, nargs="+", default=[2, 4, 8])
    bench.add_argument("--jobs", type=int, default=-1, help="threads that pack (default: all cores)")
    _seed(bench)
    return parser


def _command(commands, name, run, what):
    parser = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run, prog=f"sklearn_zipml {name}")
    return parser


def _seed(parser):
    parser.add_argument("--seed", type=int, help="makes the result reproducible")


def _pack(options):
    given = {name: getattr(options, name) for name in PACKING if getattr(options, name) is not None}
    if options.append:
        _check_settings(options.output, given)
    source = open_source(options.source, target=_target(options), columns=_columns(options), header=options.header)
    start = time.perf_counter()
    with progress(source, not (options.json or options.no_progress), passes=1 if options.append else 2):
        if options.append:
            packed = PackedMatrix.append(options.output, source, random_state=options.seed, n_jobs=options.jobs)
        else:
            names = ("sample_bits", "sampling", "levels", "n_draws")
            settings = dict(zip(names, (PACKING | given).values(), strict=True))
            packed = PackedMatrix.from_chunks(source, **settings, random_state=options.seed, n_jobs=options.jobs)
            packed.save(options.output)
    return _described(packed, options.output) | {"seconds": round(time.perf_counter() - start, 3)}


def _check_settings(path, given):
    """Refuse settings of packing that are not those of the file that rows are appended to."""
    packed = PackedMatrix.load(path)
    own = {"bits": packed.sample_bits, "sampling": packed.sampling, "levels": packed.levels}
    own["draws"] = max(2, packed.n_draws)  # what stands for one draw in the settings of packing
    for name, value in given.items():
        if value != own[name]:
            raise ValueError(
                f"--{name} {value} does not go with --append: {path} has --{name} {own[name]}, which new rows get too. "
                f"Leave --{name} out, or pack all rows into another file."
            )


def _target(options):
    """One name for one column, a list for more."""
    names = None if options.target is None else _names(options.target, options)
    return names[0] if names is not None and len(names) == 1 else names


def _columns(options):
    return None if options.columns is None else _names(options.columns.split(","), options)


def _names(texts, options):
    """Names of columns; those of an array, and of a CSV file without names, are numbers."""
    if options.header is not False and any(file.path.suffix != ".npy" for file in files_of(options.source)):
        return texts
    for text in texts:
        if not text.isdigit():
            raise ValueError(f"Columns of a file without names are numbered from 0; {text!r} is not a number.")
    return [int(text) for text in texts]


def _info(options):
    return _described(PackedMatrix.load(options.file, verify=options.verify), options.file)


def _described(packed, path):
    n, d = packed.shape
    target = packed.target
    return {
        "file": os.fspath(path),
        "bytes": os.path.getsize(path),
        "rows": n,
        "columns": d,
        "bits": packed.sample_bits,
        "sampling": packed.sampling,
        "levels": packed.levels,
        "draws": packed.n_draws,
        "dtype": packed.dtype.name,
        "times smaller than float32": round(4 * n * d / os.path.getsize(path), 2),
        "target": None if target is None else f"{target.dtype}, shape {target.shape}",
        "parts": len(rows_of(packed).order.parts),
        "feature names": None if packed.feature_names is None else list(packed.feature_names),
    }


def _fit(options):
    from ._estimators.classifier import ZipMLLSSVC
    from ._estimators.regressor import ZipMLRegressor

    packed = PackedMatrix.load(options.file)
    if packed.target is None:
        raise ValueError(f"{options.file!r} holds no target; pack it with --target.")
    task = options.task or ("regression" if packed.target.dtype.kind == "f" else "classification")
    settings = {
        "sample_bits": packed.sample_bits if options.bits is None else options.bits,
        "max_iter": options.max_iter,
        "tol": options.tol,
        "random_state": options.seed,
    }
    if task == "regression":
        model = ZipMLRegressor(alpha=options.alpha, **settings)
    else:
        model = ZipMLLSSVC(C=options.C, **settings)
    start = time.perf_counter()
    model.fit(packed)
    seconds = time.perf_counter() - start
    if options.output:
        _write_model(model, task, packed, options.output)
    measure = "R² on the packed rows" if task == "regression" else "accuracy on the packed rows"
    return {
        "file": options.file,
        "task": task,
        "bits": model.sample_bits_,
        "epochs": model.n_iter_,
        "seconds": round(seconds, 3),
        measure: round(model.score(packed, packed.target), 6),
        "model": options.output,
    }


def _write_model(model, task, packed, path):
    """Coefficients in units of the columns, as JSON."""
    content = {
        "model": type(model).__name__,
        "version": __version__,
        "task": task,
        "feature_names": packed.feature_names,
        "coef": model.coef_.tolist(),
        "intercept": np.asarray(model.intercept_).tolist(),
        "classes": model.classes_.tolist() if task == "classification" else None,
    }
    Path(path).write_text(json.dumps(content))


def _bench(options):
    from ._estimators.regressor import ZipMLRegressor

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
        result[f"{bits} bits"] = {
            "bytes": packed.nbytes,
            "packing seconds": round(between - start, 3),
            "packed values a second": round(X.size / (between - start)),
            "fit seconds": round(end - between, 3),
            "epochs": model.n_iter_,
            "R²": round(model.score(X, y), 5),
        }
    return result


def _table(result, indent=""):
    """Lines of names and values."""
    width = max(map(len, result), default=0)
    lines = []
    for name, value in result.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", _table(value, indent + "  ")]
        elif value is not None:
            lines.append(f"{indent}{name:<{width}}  {_shown(name, value)}")
    return "\n".join(lines)


def _shown(name, value):
    if name == "bytes":
        return f"{value} ({readable_bytes(value)})"
    if isinstance(value, list):
        return ", ".join(map(str, value[:10])) + (f", ... ({len(value)} in all)" if len(value) > 10 else "")
    return f"{value:,}" if isinstance(value, int) and value >= 10000 else str(value)
