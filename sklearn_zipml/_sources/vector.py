"""A number, or a text, for each row out of a file: targets and weights that lie beside the rows."""

from pathlib import Path

import numpy as np

from .files import TableFile, format_of

ROWS = 1 << 16


def vector_of(path):
    """The values of a .npy file, or of a table: of its column, or of its columns side by side.

    Raises
    ------
    ValueError
        For a file of another kind.
    """
    given, path = path, Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {str(given)!r}")
    format = format_of(path)
    if format == "npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if format in (None, "npz"):
        raise ValueError(f"{path} is none of the files that hold a value for each row: .npy, .parquet, .feather, .csv.")
    table = TableFile(path, format, {}, None)
    names = [label for label in table.schema.names if label not in table.index]
    batches = list(table.iter_batches(ROWS, names))
    columns = [
        np.concatenate([batch.column(name).to_numpy(zero_copy_only=False) for batch in batches]) for name in names
    ]
    columns = [column.astype(np.str_) if column.dtype == object else column for column in columns]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
