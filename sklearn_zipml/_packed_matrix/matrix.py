"""Step 3: the container of packed samples."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._kernels import tiles as kernels
from .._kernels.mapped import require_whole
from .._scheme import Scheme
from .._state import check_format
from .._storage.blocks import is_foreign
from .._storage.duplicates import of_subset
from .._storage.indexing import indices_of, is_whole, pairs, split_key
from .._storage.mapped_file import nameless, received
from .._storage.row_order import RowOrder
from .._storage.take import Selection, take
from .._storage.valid_parts import InvalidParts, checked_parts
from .._underflow import underflow_is_zero

if TYPE_CHECKING:
    from .._typing import Levels, RandomState, Sampling

FORMAT = 4
ROWS_AT_ONCE = 4096  # that an iterator decodes
_KIND = ("shape", "dtype", "sample_bits", "sampling", "levels", "n_draws")
_ARRAYS = (
    "codes",
    "table",
    "grid_levels",
    "used",
    "offset",
    "step",
    "mean",
    "deviation",
    "variance",
    "noise",
    "coincidence",
)
# Made when asked for, of rows that were taken: a fold is narrowed, or predicted on, more often than trained on.
_STATISTICS = ("mean", "deviation", "variance")
_COUNTED = tuple("_" + name for name in _STATISTICS)
_TILES = ("_codes", "_tiles")


class PackedMatrix:
    """Matrix of shape (n_samples, n_features) whose values are codes of 1 to 8 bits, in tiles of 64 rows.

    Made by :class:`DoubleSamplingQuantizer` (``fit_transform`` or ``quantize``), by :meth:`from_chunks` out of data
    larger than memory, or by :meth:`load` from a file; immutable. It behaves like a two-dimensional array where
    scikit-learn needs one: ``shape``, ``dtype``, ``len``, row indexing by slice, integer array and mask (packed
    again), ``numpy.asarray`` (decoded). Estimators of this package train on it as it is; any other scikit-learn
    estimator decodes it.

    A value of column j is ``offset_[j] + step_[j] * g`` with g an integer from 0 to 255, the grid position of its
    code. Rows are shuffled once inside; row i of the container is row i of the matrix it was made from. Rows that are
    taken out of it are copied when they are first used, and keep it alive until then.

    Attributes
    ----------
    shape : tuple (n_samples, n_features)
    dtype : dtype of the decoded array, float32 or float64
    sample_bits : int, bits asked for; a code takes 1, 2, 4 or 8 (see ``nbytes``)
    sampling : {"double", "compensated", "naive", "nearest"}
    levels : {"optimal", "uniform"}
    n_draws : int, independent draws that a code holds: 1, or with ``sampling="double"`` 2 or more
    nbytes : int, memory of everything the container holds, in bytes
    target : array of shape (n_samples,) or (n_samples, n_targets), or None
        Targets taken along, in the order of rows; estimators train on them when ``fit`` is given none.
    feature_names : tuple of str, or None
        Names of the columns, where the source had names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_zipml import DoubleSamplingQuantizer
    >>> X = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
    >>> packed = DoubleSamplingQuantizer(sample_bits=2, random_state=0).fit_transform(X)
    >>> packed.shape, packed[:10].shape, np.asarray(packed).dtype
    ((1000, 16), (10, 16), dtype('float32'))
    """

    shape: tuple[int, int]
    dtype: np.dtype
    sample_bits: int
    sampling: str
    levels: str
    n_draws: int
    ndim = 2
    __hash__ = None
    __slots__ = (
        *("_" + name for name in _ARRAYS),
        "_file",
        "_order",
        "_selection",
        "_tiles",
        "dtype",
        "feature_names",
        "levels",
        "n_draws",
        "sample_bits",
        "sampling",
        "shape",
        "_target",
    )

    def __init__(self, **parts):
        self._build(**_checked(parts))

    @classmethod
    def _of(cls, **parts):
        """A container of parts that this package has just made, which are neither checked nor copied."""
        packed = cls.__new__(cls)
        packed._build(**parts)
        return packed

    def _build(
        self,
        *,
        shape,
        dtype,
        sample_bits,
        sampling,
        levels,
        row_seed,
        row_list=None,
        selection=None,
        n_draws,
        target=None,
        feature_names=None,
        file=None,
        **arrays,
    ):
        values = {
            "shape": tuple(int(n) for n in shape),
            "dtype": np.dtype(dtype),
            "sample_bits": int(sample_bits),
            "sampling": str(sampling),
            "levels": str(levels),
            "n_draws": int(n_draws),
            "_order": RowOrder(shape[0], row_seed, None if row_list is None else _frozen(row_list)),
            "_selection": selection,
            "_file": file,
            "_target": None if target is None else _frozen(target).view(),
            "feature_names": None if feature_names is None else tuple(str(name) for name in feature_names),
        }
        codes = arrays.pop("codes") if selection is None else None
        for name in _ARRAYS:
            if name in arrays or name not in ("codes", *_STATISTICS):
                values["_" + name] = _frozen(arrays.pop(name))
        if arrays:
            raise TypeError(f"PackedMatrix has no parts {sorted(arrays)}")
        self._keep(values)
        if selection is None:
            self._keep(self._tiled(codes))

    def _keep(self, values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _tiled(self, codes):
        """The attributes that hold the codes."""
        codes = _frozen(codes)
        return {"_codes": codes, "_tiles": self._tiles_of(codes, len(self))}

    def _tiles_of(self, codes, n_rows):
        return kernels.Tiles(codes, self._table.reshape(-1), n_rows, self.shape[1], self._width)

    def _pieces(self, first, last, at_once):
        """Tiles first..last-1, so many at a time if the rows were taken and have not been copied yet."""
        selection = self._selection
        if selection is None:
            yield self._tiles, first, last
            return
        for start in range(first, last, at_once):
            some = selection.between(start, min(last, start + at_once))
            codes = some.copy(n_jobs=1)
            yield self._tiles_of(codes, len(some.slots)), 0, len(codes)

    def __setattr__(self, name, value):
        raise AttributeError(f"PackedMatrix is immutable: cannot set {name!r}")

    __delattr__ = None

    def __getattr__(self, name):
        if name in _TILES:
            selection = self._selection
            if selection is not None:  # unless another thread has just been here
                self._keep(self._tiled(selection.copy()) | {"_selection": None})
            return object.__getattribute__(self, name)
        if name not in _COUNTED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        from .._storage.statistics import subset_statistics

        self._keep({"_" + part: _frozen(array) for part, array in subset_statistics(self).items()})
        return getattr(self, name)

    def _parts(self):
        require_whole(self._codes)
        parts = {name: getattr(self, "_" + name) for name in _ARRAYS}
        for name in (*_KIND, "target", "feature_names"):
            parts[name] = getattr(self, name)
        return parts | {"row_seed": self._order.parts, "row_list": self._order.listed}

    def __reduce__(self):
        if self._file is not None and not self._file.is_there():
            self._keep({name: nameless(getattr(self, name)) for name in ("_codes", "_target")} | {"_file": None})
        arguments = FORMAT, self._parts()
        return _restore, arguments if self._file is None else (*arguments, tuple(self._file))

    # For skops, which knows no __reduce__: plain arrays, numbers and strings

    def __getstate__(self):
        parts = self._parts() | {"dtype": str(self.dtype), "format": FORMAT}
        # a mapped file is read: what is mapped would be saved as the name of a file
        return {name: np.asarray(part) if isinstance(part, np.ndarray) else part for name, part in parts.items()}

    def __setstate__(self, state):
        if hasattr(self, "shape"):
            raise AttributeError("PackedMatrix is immutable: its state is set once.")
        parts = dict(state)
        check_format("PackedMatrix", parts.pop("format", None), FORMAT)
        self._build(**_checked(parts, fresh=True))

    @property
    def _width(self):
        return self._scheme.width

    @property
    def _scheme(self):
        return Scheme(self.sample_bits, self.sampling, self.levels, self.n_draws)

    # What numpy and scikit-learn ask of an array

    @property
    def target(self) -> np.ndarray | None:
        """Targets taken along, in the order of rows, (n_samples,) or (n_samples, n_targets); or None.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> PackedMatrix.from_chunks(np.eye(3), np.arange(3.0), random_state=0).target
        array([0., 1., 2.])
        """
        if self._target is not None:
            require_whole(self._target)
        return self._target

    @property
    def nbytes(self) -> int:
        """Memory of everything the container holds: tiles, level tables, per-column statistics, target; in bytes.

        Rows that were taken out of another container may add 4 bytes each, for their order.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> X.nbytes // packed.nbytes, X.nbytes // packed.requantize(2, random_state=0).nbytes
        (7, 26)
        """
        parts = [getattr(self, "_" + name) for name in _ARRAYS]
        return sum(getattr(part, "nbytes", 0) for part in (*parts, self.target, self._order.listed))

    @property
    @underflow_is_zero
    def rounding_variance(self) -> np.ndarray:
        """Mean squared rounding error of each column, float64 (n_features,), in squared units of X.

        The diagonal by which the second moments of the stored rows exceed those of the rows themselves, and which
        ``sampling="compensated"`` and ``"double"`` subtract (with the Rao-Blackwell form of ZipML's double sampling it
        is that of the mean of all draws). Zero where nothing is compensated: "naive" and "nearest".

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=4, random_state=0).fit_transform(X)
        >>> error = np.asarray(packed) - X
        >>> bool(np.allclose(packed.rounding_variance, (error**2).mean(axis=0), rtol=1e-3))
        True
        """
        with np.errstate(over="ignore"):
            return self._variance.astype(np.float64) * self._step**2

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        size, ratio = readable_bytes(self.nbytes), self.size * 4 / max(1, self.nbytes)
        draws = f"n_draws={self.n_draws}, " if self.n_draws > 2 else ""
        return (
            f"PackedMatrix(shape={self.shape}, sample_bits={self.sample_bits}, sampling={self.sampling!r}, {draws}"
            f"levels={self.levels!r}, dtype={self.dtype}, {size}, {ratio:.1f}x smaller than float32)"
        )

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("A PackedMatrix cannot be decoded without a copy; use numpy.asarray(packed).")
        return self._decoded(slice(None), self.dtype if dtype is None else dtype)

    # Under array_api_dispatch scikit-learn asks for these three

    device = "cpu"

    def __array_namespace__(self, *, api_version: str | None = None):
        """The namespace that scikit-learn sees in NumPy arrays: rows are taken, and decoded, by NumPy."""
        from sklearn.utils._array_api import get_namespace

        return get_namespace(np.empty(0))[0]

    def take(self, indices, axis: int = 0, out: None = None, mode: str = "raise") -> PackedMatrix | np.ndarray:
        """Rows, packed, or columns, decoded, as ``numpy.take`` does.

        Parameters
        ----------
        indices : int or array of int
            Rows or columns.
        axis : {0, 1}, default=0
            0 takes rows, 1 columns.
        out, mode : None and "raise"
            As ``numpy.take`` passes them.

        Returns
        -------
        PackedMatrix or array

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> packed.take([5, 2], axis=0).shape
        (2, 16)
        """
        if axis not in (0, 1) or out is not None or mode != "raise":
            raise ValueError(f"take of a PackedMatrix knows axis=0 and 1 only, got {axis=}, {out=}, {mode=}.")
        return self[indices] if axis == 0 else self[:, indices]

    def __iter__(self):
        for first in range(0, len(self), ROWS_AT_ONCE):
            yield from np.asarray(self[first : first + ROWS_AT_ONCE])

    def __eq__(self, other: object) -> bool:
        """Whether other is a PackedMatrix of the same values, bit for bit, kind and dtype."""
        if not isinstance(other, PackedMatrix):
            return NotImplemented
        if any(getattr(self, name) != getattr(other, name) for name in _KIND):
            return False
        if not all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("_offset", "_step", "_table")
        ):
            return False
        step = 4096
        return all(
            np.array_equal(self[i : i + step]._positions_by_row(), other[i : i + step]._positions_by_row())
            for i in range(0, len(self), step)
        )

    def __getitem__(self, key):
        """What NumPy gives for the key: rows packed, for a slice, an integer array or a mask; else decoded values."""
        rows, columns = split_key(key, self.shape)
        if not isinstance(rows, slice) and not isinstance(columns, slice):
            return pairs(self, rows, columns)
        if isinstance(rows, int):
            return self._take(np.array([rows]))._decode(slice(None), self.dtype)[0, columns]
        if isinstance(rows, np.ndarray) and rows.ndim > 1:
            raise IndexError(
                f"rows of a PackedMatrix are selected by one dimension of integers, got {rows.ndim}; decode them: "
                "numpy.asarray(packed)[...]"
            )
        picked = self if is_whole(rows, len(self)) else self._take(indices_of(rows, len(self)))
        if is_whole(columns, self.shape[1]):
            return picked
        columns = indices_of(columns, self.shape[1])
        decoded = picked._decoded(columns.reshape(-1), self.dtype)
        return decoded.reshape(len(picked), *columns.shape)

    # Decoding

    _low = 0

    @property
    def _high(self):
        """Highest grid position of each column; the lowest is 0."""
        if self._width < 8:
            return self._table[: self.shape[1]].max(axis=1, initial=0)
        if self._grid_levels.shape[1]:
            return self._grid_levels[:, -1]
        return ((self._used - 1) * self.n_draws).astype(np.uint8)

    def _positions(self, first, last):
        """Grid positions of the rows in tiles first..last-1, in slot order."""
        return self._tiles.positions(first, last)

    def _positions_by_row(self):
        return self._order.to_rows(self._positions(0, self._tiles.n_tiles).T).T

    def _decoded(self, columns, dtype):
        """Some columns, decoded for whoever asks; packed again as if exact, they are recognised."""
        from .._storage.decoded_rows import remember

        values = self._decode(columns, dtype)
        remember(self, columns, values)
        return values

    @underflow_is_zero
    def _decode(self, columns, dtype):
        offset, step = self._offset[columns], self._step[columns]
        out = np.empty((len(self), len(offset)), dtype=dtype)
        chunk = max(1, (1 << 22) // max(1, self.shape[1] * 64))
        for first in range(0, self._tiles.n_tiles, chunk):
            positions = self._positions(first, min(first + chunk, self._tiles.n_tiles))[:, columns]
            rows = self._order.rows(first * kernels.TILE_ROWS, (first + chunk) * kernels.TILE_ROWS)
            out[rows] = positions * step + offset
        return out

    # Rows

    def _take(self, rows):
        taken, order = take(self, rows)
        selected = isinstance(taken, Selection)
        parts = {name: getattr(self, "_" + name) for name in _ARRAYS if name not in ("codes", *_STATISTICS)}
        parts |= {name: getattr(self, name) for name in (*_KIND, "feature_names")}
        parts |= {"selection" if selected else "codes": taken, "shape": (len(rows), self.shape[1])}
        parts |= {"row_seed": order.parts, "row_list": order.listed}
        parts["target"] = None if self.target is None else self.target[rows]
        if not self._noise.shape[1]:  # the same for every code
            parts["variance"] = self._variance
        coincidence = self._coincidence if selected else [of_subset(float(self._coincidence[0]), rows)]
        parts["coincidence"] = np.array(coincidence)
        return PackedMatrix._of(**parts)

    @classmethod
    def from_chunks(
        cls,
        source: object,
        y: ArrayLike | None = None,
        *,
        target: object = None,
        columns: list | None = None,
        header: bool | None = None,
        sample_bits: int = 4,
        sampling: Sampling = "compensated",
        levels: Levels = "optimal",
        n_draws: int = 2,
        quantizer: object = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> PackedMatrix:
        """Pack data that does not fit in memory, a chunk of rows at a time.

        A source that can be read twice is read twice: for the range of the columns and a sample of rows that places
        the levels, and for packing. The result is then the one of packing all rows at once, to the bit, however they
        are divided into chunks. The rows are shuffled across all chunks, in packed form, so data sorted by target
        train as any other. Memory is that of the packed rows and two chunks.

        A source that can be read once only (a generator, a reader of pandas) gets the levels of its first rows, 8192
        or fewer, unless a fitted quantizer brings them; a warning names columns that leave the range of those levels.

        Parameters
        ----------
        source : array, data frame, path, Arrow data, iterable or callable
            - A two-dimensional array or memory map; an array of HDF5 or Zarr, or anything with ``shape``, ``dtype``
              and slices of rows.
            - The path of a ``.npy`` file, or (with pyarrow) of a ``.parquet``, ``.feather``, ``.arrow`` or ``.csv``
              file; a folder of them, a pattern (``"2024-*.parquet"``), or a list of paths. The files have to have the
              same columns; folders named like ``year=2024`` add a column. Columns of strings, dictionaries and times
              are refused, and the index of a data frame is left out with a warning.
            - A pyarrow table, dataset or Parquet file; a pandas or polars data frame.
            - A PackedMatrix, whose rounding errors add to the new ones, and whose target and names come along; to round
              it to fewer bits, ``requantize`` is the shorter way.
            - An iterable of chunks, each one of the above or a pair of it and its target, or a callable that returns
              such an iterable and can be called twice.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            Target that is not in the source, to take along.
        target : str, int, list or None, default=None
            Column or columns of the source that are the target, by name or, in arrays, by index.
        columns : list or None, default=None
            Columns of the source to pack, by name or index; None for all but the target.
        header : bool or None, default=None
            Whether CSV files begin with names. Columns without names are numbered from 0. None takes the first line for
            names, and is an error where it looks like a row of numbers.
        sample_bits : int from 1 to 8, default=4
            Bits stored for each value.
        sampling : {"compensated", "double", "naive", "nearest"}, default="compensated"
            See :class:`DoubleSamplingQuantizer`.
        levels : {"optimal", "uniform"}, default="optimal"
            See :class:`DoubleSamplingQuantizer`.
        n_draws : int from 2 to 255, default=2
            Draws of ``sampling="double"``, see :class:`DoubleSamplingQuantizer`.
        quantizer : DoubleSamplingQuantizer or None, default=None
            Fitted, by ``fit`` or ``partial_fit``: pack on its levels with its settings, in one pass.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding and the order of rows inside.
        n_jobs : int or None, default=None
            Threads that pack, see :class:`DoubleSamplingQuantizer`. The result does not depend on it.

        Returns
        -------
        PackedMatrix
            With ``target`` and ``feature_names``, where the source has them.

        Raises
        ------
        ValueError
            For values that are not finite, columns that are not numbers, chunks that disagree, or no rows.
        TypeError
            For a source that cannot be read in chunks.
        ImportError
            If the source needs pyarrow and it is missing.

        Warns
        -----
        UserWarning
            When values of a source read once lie outside the range of the levels; when the index of a data frame is
            left out; when names of columns are missing where the quantizer has some.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> def chunks():
        ...     rng = np.random.default_rng(0)
        ...     for _ in range(10):
        ...         X = rng.normal(size=(500, 8))
        ...         yield X, X.sum(axis=1)
        >>> packed = PackedMatrix.from_chunks(chunks, sample_bits=2, random_state=0)
        >>> packed.shape, packed.target.shape
        ((5000, 8), (5000,))
        """
        from .._quantization.streaming import pack_chunks
        from .._sources.source import open_source

        source = open_source(source, y, target=target, columns=columns, header=header)
        scheme = None
        if quantizer is None:
            kind = {"sample_bits": sample_bits, "sampling": sampling, "levels": levels, "n_draws": n_draws}
            scheme = Scheme.checked("PackedMatrix.from_chunks", **kind)
        return pack_chunks(source, scheme, quantizer, random_state, n_jobs)

    # Files

    def save(self, path: str | PathLike) -> None:
        """Write the matrix to a file, with its target and names; the format is told in doc/file_format.rst.

        The file is written beside its place under another name, flushed to the disk and renamed: whatever happens,
        there is the old file or the new one. A process that is killed leaves ``.<name>-*.tmp`` behind.

        Parameters
        ----------
        path : str or path-like
            Replaced if it exists.

        Returns
        -------
        None

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If there are no rows or no columns.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> path.stat().st_size > packed.nbytes
        True
        >>> folder.cleanup()
        """
        from .._storage.file_writer import save

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike, *, mmap: bool = True, verify: bool | None = None) -> PackedMatrix:
        """Open a file that ``save`` wrote. Nothing in it is executed.

        Parameters
        ----------
        path : str or path-like
            The file.
        mmap : bool, default=True
            Map the file into memory instead of reading it: training starts at once, and the system drops pages when it
            needs the memory. The file may be replaced (``save``, ``append``) meanwhile, but not cut or written over:
            whatever reads the rows of a file that was cut ends in a ValueError, or, if it was reading them at that
            moment, in the death of the process by SIGBUS.
        verify : bool or None, default=None
            Whether the checksums of tiles and target are checked, which reads them whole; None for where they are
            read anyway (``mmap=False``). Header, metadata, levels and statistics are always checked.

        Returns
        -------
        PackedMatrix

        Raises
        ------
        ValueError
            For a file that is damaged, cut off, of another kind, or of a newer format.
        OSError
            If it cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> mapped = PackedMatrix.load(path)
        >>> bool(np.array_equal(mapped, packed))
        True
        >>> del mapped  # Windows deletes no file that is mapped
        >>> folder.cleanup()
        """
        from .._storage.file_reader import load

        return load(path, mmap, verify)

    @classmethod
    def append(
        cls,
        path: str | PathLike,
        source: object,
        y: ArrayLike | None = None,
        *,
        target: object = None,
        columns: list | None = None,
        header: bool | None = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> PackedMatrix:
        """Add rows to a file, on the levels it has.

        The new rows are shuffled among themselves and come behind the old ones. The file is written anew and renamed,
        as by ``save``: a crash leaves the old file, and processes that have it mapped keep what they have. Memory is
        that of the new rows.

        Parameters
        ----------
        path : str or path-like
            A file that ``save`` wrote.
        source : array, data frame, path, Arrow data, iterable or callable
            The new rows, as for :meth:`from_chunks`; read once.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            Their target, if it is not in the source; they must have one if the file has.
        target : str, int, list or None, default=None
            Column or columns of the source that are the target.
        columns : list or None, default=None
            Columns of the source to pack; None for all but the target.
        header : bool or None, default=None
            Whether CSV files begin with names, as for :meth:`from_chunks`.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding and the order of the new rows.
        n_jobs : int or None, default=None
            Threads that pack.

        Returns
        -------
        PackedMatrix
            The file, memory-mapped.

        Raises
        ------
        ValueError
            If the file cannot be read, or the rows do not go with it: their columns, names, or target.

        Warns
        -----
        UserWarning
            When values lie outside the range of the file's levels, and went to its ends; when either the file or the
            source has no names of columns.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name, "rows.zq")
        >>> packed.save(path)
        >>> longer = PackedMatrix.append(path, X[:500], random_state=1)
        >>> longer.shape
        (1500, 16)
        >>> del longer  # Windows deletes no file that is mapped
        >>> folder.cleanup()
        """
        from sklearn.utils import check_random_state

        from .._quantization.append import append
        from .._seeds import draw_seed
        from .._sources.source import open_source

        source = open_source(source, y, target=target, columns=columns, header=header)
        append(path, source, draw_seed(check_random_state(random_state)), n_jobs)
        return cls.load(path)

    # Target

    def with_target(self, y: ArrayLike | None) -> PackedMatrix:
        """The same rows, not copied, with targets to take along.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None
            Numbers or strings; None for no target.

        Returns
        -------
        PackedMatrix

        Raises
        ------
        ValueError
            If y has another number of rows, or is of Python objects.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> from sklearn_zipml import ZipMLRegressor
        >>> packed = packed.with_target(X.sum(axis=1))
        >>> model = ZipMLRegressor(random_state=0).fit(packed)
        >>> model.coef_.shape
        (16,)
        """
        return self._with(target=None if y is None else _owned(check_target(y, len(self))))

    def _with(self, **parts):
        """The same rows, not copied, with other parts."""
        return PackedMatrix._of(**(self._parts() | parts), file=self._file)

    def requantize(self, sample_bits: int, *, random_state: RandomState = None) -> PackedMatrix:
        """Round to fewer bits; unbiased rounding of an unbiased value stays unbiased.

        Codes of more than two draws (``n_draws``) cannot be narrowed.

        Parameters
        ----------
        sample_bits : int
            Bits for each value, at most the container's own.
        random_state : int, RandomState instance or None, default=None
            Decides the rounding.

        Returns
        -------
        PackedMatrix
            A new container; this one stays as it is.

        Raises
        ------
        ValueError
            If sample_bits is larger than the container's or too small for its sampling, and for more than two draws.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> narrow = packed.requantize(4, random_state=0)
        >>> narrow.sample_bits, packed.sample_bits
        (4, 8)
        """
        from sklearn.utils import check_random_state

        from .._quantization.requantize import requantize
        from .._seeds import draw_seed

        return requantize(self, sample_bits, draw_seed(check_random_state(random_state)))


def _frozen(array):
    """A read-only view; a fresh array where there is nothing, whose strides survive pickling for joblib to hash."""
    if array.size == 0:
        array = np.frombuffer(b"", dtype=array.dtype).reshape(array.shape)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _owned(array):
    """A copy that nobody can change, but for its owner's flags."""
    array = np.array(array)
    array.flags.writeable = False
    return array


def _kept(parts, fresh=False):
    """Checked parts whose arrays nobody else can change: copied where somebody could, unless they are fresh."""
    kept = dict(parts)
    for name, part in parts.items():
        if isinstance(part, np.ndarray) and not _is_constant(part):
            kept[name] = part if fresh and part.flags.owndata else part.copy()
            kept[name].flags.writeable = False  # of itself, so that no view of it can be made writeable
    return kept


def _is_constant(array):
    """Whether neither an array nor what it is a view of can be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    while isinstance(array, memoryview):  # a read-only one may be of what can be written to
        array = array.obj
    try:
        return array is None or memoryview(array).readonly
    except TypeError:
        return False


def _checked(parts, fresh=False):
    """Parts that may come from anywhere, checked and kept."""
    try:
        return _kept(checked_parts(parts), fresh)
    except InvalidParts as error:
        raise ValueError(f"These are not the parts of a PackedMatrix: {error}.") from None


def _restore(version, parts, file=None):
    check_format("PackedMatrix", version, FORMAT)
    return PackedMatrix._of(**_checked(parts, fresh=True), file=received(parts, file))


def check_target(y, n_rows):
    """Targets as an array that can be kept in a file: numbers, booleans or strings, a row for each row."""
    if np.ma.is_masked(y):
        raise ValueError("The target is a masked array with masked values: fill them, or leave those rows out.")
    y = np.asarray(y)
    if y.dtype.kind == "O" and all(isinstance(value, str) for value in y.ravel()):
        y = y.astype(np.str_)
    if is_foreign(y.dtype):
        y = y.astype(np.float32)
    if y.dtype.kind not in "biufU":
        raise ValueError(f"The target has dtype {y.dtype}; it must be of numbers, booleans or strings.")
    if y.ndim not in (1, 2) or len(y) != n_rows:
        raise ValueError(f"The target has shape {y.shape}, which does not fit {n_rows} rows.")
    return y


def readable_bytes(n_bytes):
    """A number of bytes with its unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024 or unit == "GiB":
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
