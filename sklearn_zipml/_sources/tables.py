"""Tables as chunks of numbers: Arrow data and files through pyarrow, data frames by what they can do."""

from pathlib import Path

import numpy as np

BATCH_BYTES = 1 << 25
BUFFER_BYTES = 1 << 16
FORMATS = {".parquet": "parquet", ".pq": "parquet", ".feather": "ipc", ".arrow": "ipc", ".ipc": "ipc", ".csv": "csv"}


def is_arrow(data):
    """Whether data is a pyarrow table, record batch, dataset or Parquet file."""
    return isinstance(data, ParquetFiles) or (
        type(data).__module__.split(".")[0] == "pyarrow"
        and (
            hasattr(data, "schema")
            and (hasattr(data, "to_batches") or hasattr(data, "column") or _is_parquet_file(data))
        )
    )


def is_frame(data):
    """Whether data is a pandas or polars data frame, or one that can do the same."""
    return hasattr(data, "columns") and hasattr(data, "to_numpy") and hasattr(data, "__getitem__")


def known_rows(data):
    """Rows of an Arrow dataset or Parquet file, where their metadata tell; else None."""
    if isinstance(data, ParquetFiles):
        return data.n_rows
    if _is_parquet_file(data):
        return data.metadata.num_rows
    in_metadata = getattr(getattr(data, "format", None), "default_extname", "csv") != "csv"
    return data.count_rows() if in_metadata else None


def _is_parquet_file(data):
    return hasattr(data, "iter_batches")


class ParquetFiles:
    """Parquet files read a page at a time; a pyarrow dataset of them holds whole row groups, gigabytes of wide data.

    Parameters
    ----------
    dataset : pyarrow dataset of Parquet files
    """

    def __init__(self, dataset):
        self.paths, self.schema = dataset.files, dataset.schema
        self.n_rows = dataset.count_rows()

    def iter_batches(self, batch_size, columns):
        """Record batches of all files."""
        from pyarrow.parquet import ParquetFile

        for path in self.paths:
            with ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
                yield from file.iter_batches(batch_size=batch_size, columns=columns)


def open_dataset(path, pick):
    """The files of a path, or of a folder of files of one kind, as a pyarrow dataset or ParquetFiles."""
    format = _format_of(path)
    dataset = _pyarrow_dataset(path).dataset(str(path), format=format)
    pick.split(dataset.schema.names)
    return ParquetFiles(dataset) if format == "parquet" else dataset


def _pyarrow_dataset(path):
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(f"Reading {path} needs pyarrow: pip install 'sklearn_zipml[arrow]'") from error
    return pyarrow.dataset


def _format_of(path):
    if not path.exists():
        raise FileNotFoundError(f"No such file or folder: {path}")
    files = [path] if path.is_file() else sorted(file for file in Path(path).rglob("*") if file.suffix in FORMATS)
    for file in files:
        suffix = file.suffixes[-2] if file.suffix in (".gz", ".bz2") and len(file.suffixes) > 1 else file.suffix
        if suffix.lower() in FORMATS:
            return FORMATS[suffix.lower()]
    raise ValueError(
        f"Cannot tell what {path} holds: files end in .npy, {', '.join(FORMATS)} (or .csv.gz). Open HDF5 and Zarr "
        "arrays with their own libraries and pass the array."
    )


def read_arrow(data, pick):
    """Chunks (X, y, names) of Arrow data, only the columns asked for being read."""
    schema = data.schema_arrow if hasattr(data, "schema_arrow") else data.schema
    features, targets = pick.split(schema.names)
    for name in features:
        _check_type(name, schema.field(name).type)
    for batch in _batches(data, schema, [*features, *targets]):
        if batch.num_rows:
            yield _numbers(batch, features), _target_of(batch, targets, pick.single), tuple(features)


def _batches(data, schema, names):
    rows = max(64, BATCH_BYTES // (8 * max(1, len(names))))
    if _is_parquet_file(data):
        return data.iter_batches(batch_size=rows, columns=names)
    if hasattr(data, "to_table"):  # a dataset; the default read-ahead holds dozens of batches
        return data.to_batches(columns=names, batch_size=rows, batch_readahead=2, fragment_readahead=1)
    selected = data.select(names)
    return selected.to_batches(max_chunksize=rows) if hasattr(data, "to_batches") else [selected]


def _check_type(name, kind):
    import pyarrow.types as types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind):
        fix = "encode it with OneHotEncoder, OrdinalEncoder or TargetEncoder of scikit-learn"
    else:
        fix = "cast it to a float type"
    raise ValueError(f"Column {name!r} is of type {kind}, which is not a number: {fix}, or leave it out of `columns`.")


def _numbers(batch, features):
    """The features of a batch, float32 if that holds them all, in column order."""
    columns = [batch.column(name) for name in features]
    for name, column in zip(features, columns, strict=True):
        _refuse_nulls(name, column)
    exact = all(np.can_cast(column.type.to_pandas_dtype(), np.float32, casting="safe") for column in columns)
    out = np.empty((len(features), batch.num_rows), dtype=np.float32 if exact else np.float64)
    for row, column in zip(out, columns, strict=True):
        row[:] = column.to_numpy(zero_copy_only=False)
    return out.T


def _refuse_nulls(name, column):
    if column.null_count:
        raise ValueError(
            f"Column {name!r} holds {column.null_count} null(s): fill them, for example with SimpleImputer of "
            "scikit-learn, or drop those rows."
        )


def _target_of(batch, targets, single):
    values = []
    for name in targets:
        column = batch.column(name)
        _refuse_nulls(name, column)
        if hasattr(column.type, "value_type") and hasattr(column.type, "index_type"):
            column = column.cast(column.type.value_type)
        value = column.to_numpy(zero_copy_only=False)
        values.append(value.astype(np.str_) if value.dtype == object else value)
    return None if not values else values[0] if single else np.stack(values, axis=1)


def read_frame(frame, pick):
    """One chunk (X, y, names) of a data frame."""
    columns = list(frame.columns)
    features, targets = pick.split(columns)
    X = frame[features].to_numpy()
    if X.dtype.kind not in "biuf":  # mixed extension types, one by one
        X = np.stack([_frame_column(name, frame[name]) for name in features], axis=1)
    yield X, _frame_target(frame, targets, pick.single), tuple(features)


def _frame_column(name, series):
    values = np.asarray(series.to_numpy())
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"Column {name!r} is of type {series.dtype}, which is not a number without missing values: encode it (for "
            "example with OneHotEncoder of scikit-learn), cast it, or leave it out of `columns`."
        )
    return values.astype(np.float64)


def _frame_target(frame, targets, single):
    if not targets:
        return None
    y = np.asarray(frame[targets[0]].to_numpy() if single else frame[targets].to_numpy())
    return y.astype(np.str_) if y.dtype == object and all(isinstance(value, str) for value in y.ravel()) else y
