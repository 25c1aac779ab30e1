"""What a key selects of a two-dimensional array, by NumPy's rules."""

import numbers

import numpy as np

PAIRS = 1 << 22  # values decoded at a time to pick some of them


def split_key(key, shape):
    """The keys of rows and of columns.

    Parameters
    ----------
    key : what stands in brackets
    shape : tuple (rows, columns)

    Returns
    -------
    pair of slices, ints and integer arrays; a mask is the integers of its true places

    Raises
    ------
    IndexError
        As NumPy does, and for keys that make another number of dimensions than NumPy's of two.
    """
    keys = [part for own in (key if isinstance(key, tuple) else (key,)) for part in _parts(own)]
    masks = [part for part in keys if isinstance(part, np.ndarray) and part.dtype == bool]
    counts = [part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1 for part in keys]
    gaps = [i for i, part in enumerate(keys) if part is Ellipsis]
    used = sum(counts) - len(gaps)
    if len(gaps) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if used > 2:
        raise IndexError(f"too many indices: PackedMatrix has 2 dimensions, but {used} were given")
    where = gaps[0] if gaps else len(keys)
    keys[where : where + 1] = [slice(None)] * (2 - used)
    if any(mask.ndim == 2 for mask in masks):
        return _places(keys[0], shape)
    return tuple(_axis_key(part, n, axis) for axis, (part, n) in enumerate(zip(keys, shape, strict=True)))


def _parts(key):
    """The key as it is or as an array."""
    if key is None:
        raise IndexError("a PackedMatrix has two dimensions and takes no numpy.newaxis: use numpy.asarray(packed)[...]")
    if isinstance(key, bool | np.bool_) or (isinstance(key, np.ndarray) and key.ndim == 0 and key.dtype.kind == "b"):
        raise IndexError("a PackedMatrix has two dimensions, and one boolean would add another")
    if key is Ellipsis or isinstance(key, slice | numbers.Integral):
        return [key]
    array = np.asarray(key)
    if array.size == 0 and array.dtype.kind == "f":  # an empty list
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise IndexError(
            "rows and columns of a PackedMatrix are selected by slices, integers, arrays of integers and masks, got "
            f"{key!r}"
        )
    return [array if array.ndim else int(array)]


def _places(mask, shape):
    """The true places of a mask of both dimensions."""
    for axis in range(2):
        _check_mask(mask.shape[axis], shape[axis], axis)
    return tuple(np.nonzero(mask))


def _check_mask(size, n, axis):
    if size != n:
        raise IndexError(
            f"boolean index did not match indexed array along axis {axis}; size of axis is {n} but size of "
            f"corresponding boolean axis is {size}"
        )


def _axis_key(key, n, axis):
    """A slice as it is, else integers counted from the front."""
    if isinstance(key, slice):
        return key
    if isinstance(key, np.ndarray) and key.dtype == bool:
        _check_mask(len(key), n, axis)
        return np.flatnonzero(key).astype(np.int64)
    indices = np.asarray(key)
    outside = indices[(indices < -n) | (indices >= n)]  # before the cast, which could wrap around
    if outside.size:
        raise IndexError(f"index {outside.flat[0]} is out of bounds for axis {axis} with size {n}")
    indices = indices.astype(np.int64)
    indices = np.where(indices < 0, indices + n, indices)
    return indices if indices.ndim else int(indices)


def is_whole(key, n):
    """Whether the key of an axis of n selects all of it in order."""
    return isinstance(key, slice) and key.indices(n) == (0, n, 1)


def indices_of(key, n):
    """The key of an axis of n as integers."""
    return np.arange(*key.indices(n), dtype=np.int64) if isinstance(key, slice) else np.asarray(key)


def pairs(matrix, rows, columns):
    """Values at rows and columns that go together, of the shape that both have when broadcast.

    Parameters
    ----------
    matrix : PackedMatrix
    rows, columns : int or int64 array, counted from the front

    Returns
    -------
    array, or a number for two numbers
    """
    try:
        rows, columns = np.broadcast_arrays(rows, columns)
    except ValueError:
        raise IndexError(
            "shape mismatch: indexing arrays could not be broadcast together with shapes "
            f"{np.shape(rows)} {np.shape(columns)}; numpy.ix_ selects a block"
        ) from None
    out = np.empty(rows.size, dtype=matrix.dtype)
    flat_rows, flat_columns = rows.reshape(-1), columns.reshape(-1)
    step = max(1, PAIRS // max(1, matrix.shape[1]))
    for first in range(0, rows.size, step):
        some = slice(first, first + step)
        own_rows, i = np.unique(flat_rows[some], return_inverse=True)
        own_columns, j = np.unique(flat_columns[some], return_inverse=True)
        out[some] = np.asarray(matrix[own_rows, :][:, own_columns])[i, j]
    return out.reshape(rows.shape)[()]
