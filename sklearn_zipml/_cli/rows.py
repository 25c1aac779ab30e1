"""Rows that a command is given: files of tables and arrays, or a packed file."""

from .._packed_matrix import PackedMatrix
from .._sources.files import files_of
from .._sources.source import open_source
from .._storage.file_reader import is_packed_file


def source_of(options, columns=None, target=None):
    """A Source of the files that the options name."""
    return open_source(
        options.source,
        getattr(options, "y", None),
        _weight_of(options),
        target=target,
        columns=columns,
        header=options.header,
        delimiter=options.delimiter,
        missing=getattr(options, "missing", None) == "mean",
    )


def target_of(options):
    """One name for one column, a list for more, None for none."""
    names = None if options.target is None else names_of(options.target, options)
    return names[0] if names is not None and len(names) == 1 else names


def _weight_of(options):
    """The column of the weights, or None."""
    weight = getattr(options, "weight", None)
    return None if weight is None else names_of([weight], options)[0]


def have_names(options):
    """Whether the columns of the files have names: those of arrays have none."""
    kinds = {file.path.suffix for file in files_of(options.source)}
    return options.header is not False and bool(kinds - {".npy", ".npz"})


def names_of(texts, options):
    """Names of columns; those of an array, and of a CSV file without names, are numbers."""
    if have_names(options):
        return texts
    for text in texts:
        if not text.isdigit():
            raise ValueError(f"Columns of a file without names are numbered from 0; {text!r} is not a number.")
    return [int(text) for text in texts]


def chunks_to_predict(options, columns):
    """(rows, target or None) pairs, arrays or a PackedMatrix, of the columns of a model, in its order.

    Parameters
    ----------
    options : parsed arguments
    columns : list of str or None, of the model
    """
    if len(options.source) == 1 and is_packed_file(options.source[0]):
        return _of_packed(PackedMatrix.load(options.source[0]), options, columns)
    return _of_tables(options, columns)


def _of_packed(packed, options, columns):
    for name in ("target", "y", "header", "delimiter"):
        if getattr(options, name, None) is not None:
            raise ValueError(f"--{name} is for files of rows; {options.source[0]} is packed, and has its own target.")
    names = None if packed.feature_names is None else list(packed.feature_names)
    if columns is not None and names is not None and names != columns:
        raise ValueError(f"{options.source[0]} has the columns {names[:5]} ..., and the model {columns[:5]} ...")
    yield packed, packed.target


def _of_tables(options, columns):
    picked = columns if have_names(options) else None
    target = target_of(options) if getattr(options, "target", None) is not None else None
    for chunk in source_of(options, picked, target).chunks():
        yield chunk.X, chunk.y
