"""Files of rows: which ones a path stands for, and how each is opened."""

import re
from glob import glob
from os import PathLike
from os.path import commonpath
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from .._parameters import is_integer
from .csv_header import first_line, has_header
from .genotypes import BedFile
from .tables import index_columns, kind_of_type

BUFFER_BYTES = 1 << 16
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".feather": "ipc", ".arrow": "ipc", ".ipc": "ipc", ".csv": "csv"}
COMPRESSED = (".gz", ".bz2")
NULL = "__HIVE_DEFAULT_PARTITION__"


class File(NamedTuple):
    """A file, and the folder below which the names of folders tell values of columns."""

    path: Path
    base: Path


def files_of(data):
    """The files that a path, a pattern or a list of them stands for; None if the data is none of these."""
    if isinstance(data, str | PathLike):
        return _expanded(Path(data))
    if not (isinstance(data, list | tuple) and data and all(isinstance(item, str | PathLike) for item in data)):
        return None
    paths = [Path(item) for item in data]
    if all(path.is_file() for path in paths):
        base = Path(commonpath([path.absolute().parent for path in paths]))
        return [File(path, base) for path in paths]
    return [file for path in paths for file in _expanded(path)]


def _expanded(path):
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
        found = [file for file in inside if format_of(file) is not None]
        if not found:
            raise _unknown(path)
        return [File(file, path) for file in found]
    if path.exists():
        return [File(path, path.parent)]
    plain = [part for part in path.parts if not re.search(r"[*?[]", part)]
    if len(plain) == len(path.parts):
        raise FileNotFoundError(f"No such file or folder: {str(path)!r}")
    found = sorted(Path(name) for name in glob(str(path), recursive=True))
    if not found:
        raise FileNotFoundError(f"No file matches {path}")
    first = next(i for i, part in enumerate(path.parts) if part not in plain)
    base = Path(*path.parts[:first])
    return [File(file.path, base) for match in found for file in _expanded(match)]


def _is_hidden(path):
    """Whether it is what tools leave behind, in the way of pyarrow's datasets."""
    return any(part.startswith((".", "_")) for part in path.parts)


def format_of(path):
    """The format of a file by its name: "npy", "npz", "bed", "parquet", "ipc", "csv", or None."""
    suffix = path.suffixes[-2] if path.suffix in COMPRESSED and len(path.suffixes) > 1 else path.suffix
    return path.suffix[1:] if path.suffix in (".npy", ".npz", ".bed") else FORMATS.get(suffix.lower())


def _unknown(path):
    return ValueError(
        f"Cannot tell what {path} holds: files end in .npy, .npz, .bed, {', '.join(FORMATS)} (or .csv.gz). Open HDF5 "
        "and Zarr arrays with their own libraries and pass the array."
    )


def open_files(files, pick):
    """What can be read of some files of one kind and one schema: memory maps, or TableFiles.

    Parameters
    ----------
    files : list of File
    pick : Columns
    """
    formats = {}
    for file in files:
        format = format_of(file.path)
        if format is None:
            raise _unknown(file.path)
        formats.setdefault(format, file.path)
    if len(formats) > 1:
        found = ", ".join(map(str, formats.values()))
        raise ValueError(f"The files are of several kinds, such as {found}: name those to read, as in 'folder/*.csv'.")
    format = next(iter(formats))
    for name, value in (("header", pick.header), ("delimiter", pick.delimiter)):
        if value is not None and format != "csv":
            raise ValueError(f"{name}={value!r} is for CSV files, which {files[0].path} is not; leave it out.")
    if format in ("npy", "npz"):
        return _open_arrays(files)
    if format == "bed":
        return [_open_genotypes(files, pick)]
    constants = _constants(files)
    tables = [
        TableFile(file.path, format, own, pick.header, pick.delimiter)
        for file, own in zip(files, constants, strict=True)
    ]
    pick.split(tables[0].labels, tables[0].index, tables[0].where)
    for table in tables[1:]:
        _check_schema(table, tables[0], pick)
        table.labels, table.index = tables[0].labels, tables[0].index  # and their order
    return tables


def _open_genotypes(files, pick):
    """One BedFile, its columns picked."""
    if len(files) > 1:
        raise ValueError(
            f"{len(files)} .bed files, such as {files[0].path}: pack each by itself, and put variants of the same "
            "samples side by side with PackedMatrix.hstack."
        )
    bed = BedFile(files[0].path)
    if pick.targets:
        raise ValueError(f"target={pick.target!r}: the columns of {bed.path} are genotypes; give phenotypes as y.")
    if pick.weights:
        raise ValueError(f"sample_weight={pick.weight!r}: the columns of {bed.path} are genotypes; give an array.")
    if pick.columns is not None:
        by_number = all(is_integer(column) for column in pick.columns)
        features, _ = pick.split(range(len(bed.labels)) if by_number else bed.labels)
        place = {label: j for j, label in enumerate(bed.labels)}
        bed.variants = np.array(features if by_number else [place[label] for label in features])
    return bed


def _open_arrays(files):
    arrays = [_open_array(file.path) for file in files]
    for file, array in zip(files, arrays, strict=True):
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{file.path} has shape {array.shape} and {files[0].path} {arrays[0].shape}: the files differ in their "
                "columns."
            )
    return arrays


def _open_array(path):
    """The rows of a .npy file, mapped, or of a .npz file: its array X, or its only one of two dimensions."""
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if path.suffix == ".npy":
        return found
    with found:
        rows = [name for name in found.files if name == "X"] or [k for k in found.files if found[k].ndim == 2]
        if len(rows) != 1 or set(found.files) - {*rows, "y"}:
            raise ValueError(
                f"{path} holds {', '.join(map(repr, found.files))}: a .npz file holds the rows as 'X', or as its only "
                "array of two dimensions, and besides them no more than a target 'y'."
            )
        return found[rows[0]]


def targets_beside(files):
    """The target 'y' of .npz files, one after another; None if none has one."""
    own = []
    for file in files:
        if file.path.suffix == ".npz":
            with np.load(file.path, allow_pickle=False) as found:
                own += [found["y"]] if "y" in found.files else []
    if own and len(own) < len(files):
        raise ValueError(f"{len(own)} of {len(files)} files hold a target 'y': give it to all, or to none.")
    return np.concatenate(own) if own else None


def _constants(files):
    """Values of columns that the names of folders tell, as in ``year=2024/``: a dict for each file."""
    found = [dict(_told(file.path.absolute().relative_to(file.base.absolute()).parent)) for file in files]
    for name in {name for own in found for name in own}:
        values = [own[name] for own in found if own.get(name) is not None]
        convert = next(kind for kind in (int, float, str) if all(_converts(kind, value) for value in values))
        for own in found:
            if own.get(name) is not None:
                own[name] = convert(own[name])
    return found


def _told(folders):
    for folder in folders.parts:
        name, equals, value = folder.partition("=")
        if equals:
            yield unquote(name), None if value == NULL else unquote(value)


def _converts(kind, text):
    try:
        kind(text)
    except ValueError:
        return False
    return True


class TableFile:
    """A Parquet, Arrow or CSV file.

    Parameters
    ----------
    path : Path
    format : {"parquet", "ipc", "csv"}
    constants : dict of columns that are not in the file and have one value; those that are in it are ignored
    header : bool or None, whether the first line of a CSV file has names
    delimiter : str or None, between its values; None for a comma

    Attributes
    ----------
    schema : pyarrow schema of all columns
    labels : list of str, or range for columns without names
    index : list of labels, of columns that are the index of a data frame
    n_rows : int or None
    where : str, for messages
    """

    def __init__(self, path, format, constants, header, delimiter=None):
        self.path, self.where = path, f" in {path}"
        dataset = _dataset_module(path)
        import pyarrow

        try:
            if format == "csv":
                format = self._csv_format(header, delimiter or ",")
            if format == "parquet":
                self._open_parquet()
            else:
                self._dataset = dataset.dataset(str(path), format=format)
                self.n_rows = self._dataset.count_rows() if format == "ipc" else None
                self.schema = self._dataset.schema
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{path} cannot be read: {_told_by(error)}") from None
        self._constants = {
            name: pyarrow.scalar(value) for name, value in constants.items() if name not in self.schema.names
        }
        for name, value in self._constants.items():
            self.schema = self.schema.append(pyarrow.field(name, value.type))
        self.index = index_columns(self.schema)
        self.labels = list(self.schema.names) if self._named else range(len(self.schema.names))

    _dataset, _named = None, True

    def _csv_format(self, header, delimiter):
        from pyarrow.csv import ParseOptions, ReadOptions
        from pyarrow.dataset import CsvFileFormat

        line = first_line(self.path, delimiter)
        self._named = has_header(line, self.path, header)
        names = None if self._named else [str(j) for j in range(len(line))]
        parse = ParseOptions(delimiter=delimiter)
        return CsvFileFormat(parse_options=parse, read_options=ReadOptions(column_names=names))

    def _open_parquet(self):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(self.path) as file:
            self.schema, self.n_rows = file.schema_arrow, file.metadata.num_rows

    def iter_batches(self, batch_size, columns):
        """Record batches of some columns, a few rows at a time."""
        import pyarrow

        stored = [name for name in columns if name not in self._constants]
        try:
            for batch in self._stored_batches(batch_size, stored):
                told = {name: pyarrow.repeat(value, batch.num_rows) for name, value in self._constants.items()}
                arrays = [told[name] if name in told else batch.column(name) for name in columns]
                yield pyarrow.RecordBatch.from_arrays(arrays, names=list(columns))
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{self.path} cannot be read: {_told_by(error, self.schema.names)}") from None

    def _stored_batches(self, rows, names):
        if self._dataset is not None:  # the default read-ahead holds dozens of batches
            yield from self._dataset.to_batches(columns=names, batch_size=rows, batch_readahead=2, fragment_readahead=1)
            return
        from pyarrow.parquet import ParquetFile

        # a page at a time; a dataset holds whole row groups, gigabytes of wide data
        with ParquetFile(self.path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=rows, columns=names)


def _told_by(error, names=()):
    """What an error of pyarrow says, in one line, with the name of the column that it numbers."""
    text = " ".join(str(error).split())
    number = re.search(r"column #(\d+)", text)
    if number and int(number[1]) < len(names):
        text = f"column {names[int(number[1])]!r}: {text}"
    return text


def _dataset_module(path):
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(f"Reading {path} needs pyarrow: pip install 'sklearn_zipml[arrow]'") from error
    return pyarrow.dataset


def _check_schema(table, first, pick):
    """Refuse a file whose columns are not those of the first one."""
    features, targets = pick.split(first.labels, first.index)
    used = [*features, *targets, *pick.weights]
    for label in used:
        if label not in table.labels:
            raise ValueError(f"{table.path} has no column {label!r}, which {first.path} has.")
        kinds = [str(own.schema.field(str(label)).type) for own in (first, table)]
        if kind_of_type(table.schema.field(str(label)).type) != kind_of_type(first.schema.field(str(label)).type):
            raise ValueError(
                f"Column {label!r} is of type {kinds[0]} in {first.path} and of type {kinds[1]} in {table.path}."
            )
    for label in table.labels:
        if pick.columns is None and label not in [*used, *first.labels, *table.index]:
            raise ValueError(
                f"{table.path} has a column {label!r}, which {first.path} has not: name the columns to pack in "
                "`columns`, or leave that file out."
            )
