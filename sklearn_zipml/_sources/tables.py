"""Tables as chunks of numbers: Arrow data and files through pyarrow, data frames by what they can do."""

from numbers import Real

import numpy as np

from .._storage.blocks import block_dtype, is_narrow

BATCH_BYTES = 1 << 25


def _rows_at_once(columns):
    """Rows of so many columns that make a batch."""
    return max(64, BATCH_BYTES // (8 * max(1, len(columns))))


def is_arrow(data):
    """Whether data is a pyarrow table, record batch, dataset, Parquet file or opened TableFile."""
    if not hasattr(data, "schema"):
        return False
    is_pyarrow = type(data).__module__.split(".")[0] == "pyarrow"
    return hasattr(data, "iter_batches") or (is_pyarrow and (hasattr(data, "to_batches") or hasattr(data, "column")))


def is_csv_dataset(data):
    """Whether data is a pyarrow dataset of CSV files."""
    return getattr(getattr(data, "format", None), "default_extname", None) == "csv"


def is_frame(data):
    """Whether data is a pandas or polars data frame, or one that can do the same."""
    return hasattr(data, "columns") and hasattr(data, "to_numpy") and hasattr(data, "__getitem__")


def is_lazy_frame(data):
    """Whether data is a lazy frame of polars, which gives its rows in batches."""
    return hasattr(data, "collect_schema") and hasattr(data, "collect")


def batches_of_lazy_frame(data):
    """Frames of some rows each of a lazy frame, in order."""
    if not hasattr(data, "collect_batches"):
        raise TypeError("This version of polars gives no batches of a LazyFrame: upgrade polars, or collect() it.")
    yield from data.collect_batches(chunk_size=_rows_at_once(data.collect_schema().names()))


def known_rows(data):
    """Rows of an Arrow dataset or Parquet file, where their metadata tell; else None."""
    if hasattr(data, "n_rows"):
        return data.n_rows
    if hasattr(data, "metadata"):
        return data.metadata.num_rows
    return data.count_rows() if hasattr(data, "count_rows") and not is_csv_dataset(data) else None


def read_arrow(data, pick):
    """Chunks (X, y, weights, labels) of Arrow data, only the columns asked for being read."""
    schema = data.schema_arrow if hasattr(data, "schema_arrow") else data.schema
    where, labels = getattr(data, "where", ""), getattr(data, "labels", schema.names)
    features, targets = pick.split(labels, getattr(data, "index", index_columns(schema)), where)
    names, own, weights = ([str(label) for label in labels] for labels in (features, targets, pick.weights))
    for name in names if pick.transform is None else ():
        _check_type(name, schema.field(name).type, where)
    for batch in _batches(data, schema, [*names, *own, *weights]):
        if not batch.num_rows:
            continue
        beside = _target_of(batch, own, pick.single, where), _target_of(batch, weights, True, where)
        if pick.transform is None:
            yield _numbers(batch, names, where, pick.missing), *beside, tuple(features)
        else:
            X, made = pick.transformed(_pandas_of(batch, names))
            yield X, *beside, made


def _pandas_of(batch, names):
    """Columns of a batch as transformers take them."""
    try:
        return batch.select(names).to_pandas()
    except ImportError as error:
        raise ImportError("A transform of tables needs pandas: pip install pandas") from error


def index_columns(schema):
    """Names of columns that are the index of a pandas frame, which has a name or none."""
    own = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name in own or name == ""]


def _batches(data, schema, names):
    rows = _rows_at_once(names)
    if hasattr(data, "iter_batches"):
        return data.iter_batches(batch_size=rows, columns=names)
    if hasattr(data, "to_table"):  # a dataset; the default read-ahead holds dozens of batches
        return data.to_batches(columns=names, batch_size=rows, batch_readahead=2, fragment_readahead=1)
    selected = data.select(names)
    return selected.to_batches(max_chunksize=rows) if hasattr(data, "to_batches") else [selected]


def kind_of_type(kind):
    """What values of an Arrow type are: "number", "text" or something else."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return kind_of_type(kind.value_type)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return "number"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else str(kind)


def _check_type(name, kind, where):
    import pyarrow.types as types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return
    if types.is_dictionary(kind) or types.is_string(kind) or types.is_large_string(kind):
        fix = "encode it with OneHotEncoder, OrdinalEncoder or TargetEncoder of scikit-learn"
    else:
        fix = "cast it to a float type"
    raise ValueError(
        f"Column {name!r} is of type {kind}{where}, which is not a number: {fix}, or leave it out of `columns`."
    )


def _numbers(batch, features, where, missing):
    """The features of a batch, in column order: as narrow integers, or float32, if those hold them all."""
    columns = [batch.column(name) for name in features]
    if missing:
        columns = [_with_nan(column) for column in columns]
    for name, column in zip(features, columns, strict=True):
        _refuse_nulls(name, column, where)
    dtype = np.result_type(*(column.type.to_pandas_dtype() for column in columns))
    out = np.empty((len(features), batch.num_rows), dtype=dtype if is_narrow(dtype) else block_dtype(dtype))
    for row, column in zip(out, columns, strict=True):
        row[:] = column.to_numpy(zero_copy_only=False)
    return out.T


def _with_nan(column):
    """A column of numbers with NaN in place of nulls, as floats that hold them."""
    if not column.null_count:
        return column
    dtype = block_dtype(np.dtype(column.type.to_pandas_dtype()))
    return column.cast("float32" if dtype is np.float32 else "float64", safe=False).fill_null(float("nan"))


def _refuse_nulls(name, column, where):
    if column.null_count:
        raise ValueError(
            f"Column {name!r} holds {column.null_count} null(s){where}: fill them, for example with SimpleImputer of "
            "scikit-learn, or drop those rows."
        )


def _target_of(batch, targets, single, where):
    values = []
    for name in targets:
        column = batch.column(name)
        if hasattr(column.type, "value_type") and hasattr(column.type, "index_type"):
            column = column.cast(column.type.value_type)
        if kind_of_type(column.type) == "number" and column.null_count:
            column = column.cast("float64", safe=False).fill_null(float("nan"))
        else:
            _refuse_nulls(name, column, where)
        value = column.to_numpy(zero_copy_only=False)
        values.append(value.astype(np.str_) if value.dtype == object else value)
    return None if not values else values[0] if single else np.stack(values, axis=1)


def read_frame(frame, pick):
    """Chunks (X, y, weights, names) of a data frame: one, or what a transformer makes of some rows at a time."""
    columns = list(frame.columns)
    features, targets = pick.split(columns)
    if pick.transform is not None:
        rows = _rows_at_once(features)
        for start in range(0, len(frame), rows):
            part = frame[start : start + rows]
            X, made = pick.transformed(part[features])
            yield X, *_beside(part, targets, pick), made
        return
    X = frame[features].to_numpy()
    if X.dtype.kind not in "biuf":  # mixed extension types, one by one
        X = np.stack([_frame_column(name, frame[name], pick.missing) for name in features], axis=1)
    yield X, *_beside(frame, targets, pick), tuple(features)


def _frame_column(name, series, missing):
    values = np.asarray(series.to_numpy())
    if missing and values.dtype.kind == "O":  # None, or NA of pandas
        absent = np.array([value is None or type(value).__name__ == "NAType" for value in values])
        known = values[~absent]
        if all(isinstance(value, Real | np.bool_) for value in known):
            values = np.full(len(values), np.nan)
            values[~absent] = known
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"Column {name!r} is of type {series.dtype}, which is not a number without missing values: encode it (for "
            "example with OneHotEncoder of scikit-learn), cast it, or leave it out of `columns`."
        )
    return values if is_narrow(values.dtype) else values.astype(np.float64)


def _beside(frame, targets, pick):
    """Target and weights of a data frame."""
    return _frame_target(frame, targets, pick.single), _frame_target(frame, pick.weights, True)


def _frame_target(frame, targets, single):
    if not targets:
        return None
    y = np.asarray(frame[targets[0]].to_numpy() if single else frame[targets].to_numpy())
    return y.astype(np.str_) if y.dtype == object and all(isinstance(value, str) for value in y.ravel()) else y
