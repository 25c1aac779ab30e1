"""The container of packed samples, a face over packed rows."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .._state import check_format
from .._storage.columns import take_columns
from .._storage.constant import kept
from .._storage.decode import decode, decode_for_others, positions_by_row
from .._storage.indexing import indices_of, is_whole, pairs, split_key
from .._storage.mapped_file import received
from .._storage.packed_rows import ARRAYS, PackedRows
from .._storage.take import take
from .._storage.valid_parts import SCHEME_PARTS, InvalidParts, checked_parts
from .._typing import Outliers, RandomState
from .._underflow import underflow_is_zero
from .beside import PackedBeside
from .codes import PackedCodes
from .files import PackedFiles
from .joins import PackedJoins

FORMAT = 5
ROWS_AT_ONCE = 4096  # that an iterator decodes, and that are compared


class PackedMatrix(PackedFiles, PackedCodes, PackedJoins, PackedBeside):
    """Matrix of shape (n_samples, n_features) whose values are codes of 1 to 8 bits, in tiles of 64 rows.

    Made by :class:`DoubleSamplingQuantizer` (``fit_transform`` or ``quantize``), by :meth:`from_chunks` out of data
    larger than memory, by :meth:`from_codes` out of codes that exist, or by :meth:`load` from a file; immutable. It
    behaves like a two-dimensional array where scikit-learn needs one: ``shape``, ``dtype``, ``len``, rows and columns
    by slice, integer array and mask (packed again), ``numpy.hstack`` and ``vstack`` (packed), ``numpy.asarray``
    (decoded). Estimators of this package train on it as it is; any other scikit-learn estimator decodes it.

    A value of column j is ``offset_[j] + step_[j] * g`` with g an integer from 0 to 255, the grid position of its
    code. Rows are shuffled once inside; row i of the container is row i of the matrix it was made from. Rows that are
    taken out of it are copied when they are first used, and keep it alive until then.

    Attributes
    ----------
    shape : tuple (n_samples, n_features)
    dtype : dtype of the decoded array, float32 or float64
    sample_bits : int, bits asked for; a code takes 1, 2, 4 or 8 (see ``nbytes``)
    sampling : {"compensated", "dithered", "double", "naive", "nearest", "joined"}
        "joined": columns of 2 bits whose rows were packed apart, "dithered", put side by side. They are what they were,
        and a value takes 4 bits, 2 of them for its dither.
    levels : {"optimal", "uniform"}
    n_draws : int, independent draws that a code holds: 1, or with ``sampling="double"`` 2 or more
    nbytes : int, memory of everything the container holds, in bytes
    target : array of shape (n_samples,) or (n_samples, n_targets), or None
        Targets taken along, in the order of rows; estimators train on them when ``fit`` is given none.
    sample_weight : array of shape (n_samples,) or None
        Weights taken along, in the order of rows; estimators train with them when ``fit`` is given none.
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
    feature_names: tuple[str, ...] | None
    ndim = 2
    __hash__ = None
    __slots__ = ("_rows", "dtype", "feature_names", "shape", *SCHEME_PARTS)

    def __init__(self, **parts):
        self._show(PackedRows.of_parts(_checked(parts)))

    @classmethod
    def _of(cls, rows):
        """That of PackedRows that this package has made, which are neither checked nor copied."""
        packed = cls.__new__(cls)
        packed._show(rows)
        return packed

    def _show(self, rows):
        values = {name: getattr(rows.scheme, name) for name in SCHEME_PARTS}
        values |= {"_rows": rows, "dtype": rows.dtype, "feature_names": rows.feature_names, "shape": rows.shape}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __zipml_rows__(self):
        """The PackedRows that are shown, for the rest of this package."""
        return self._rows

    def __getattr__(self, name):
        """A part of the rows by its name in files behind an underscore, as scripts for earlier versions read it."""
        if name[:1] == "_" and name[1:] in ARRAYS and hasattr(self, "_rows"):
            return self._rows.parts()[name[1:]]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name, value):
        raise AttributeError(f"PackedMatrix is immutable: cannot set {name!r}")

    __delattr__ = None

    # Pickles

    def __reduce__(self):
        rows = self._rows
        if rows.file is not None and not rows.file.is_there():
            rows = rows.without_file()
            object.__setattr__(self, "_rows", rows)
        arguments = FORMAT, rows.parts()
        return _restore, arguments if rows.file is None else (*arguments, tuple(rows.file))

    # For skops, which knows no __reduce__: plain arrays, numbers and strings

    def __getstate__(self):
        parts = self._rows.parts() | {"dtype": str(self.dtype), "format": FORMAT}
        # a mapped file is read: what is mapped would be saved as the name of a file
        return {name: np.asarray(part) if isinstance(part, np.ndarray) else part for name, part in parts.items()}

    def __setstate__(self, state):
        if hasattr(self, "shape"):
            raise AttributeError("PackedMatrix is immutable: its state is set once.")
        parts = dict(state)
        check_format("PackedMatrix", parts.pop("format", None), FORMAT)
        self._show(PackedRows.of_parts(_checked(parts, fresh=True)))

    # What numpy and scikit-learn ask of an array

    @property
    def nbytes(self) -> int:
        """Memory of everything the container holds: tiles, level tables, statistics, target, weights; in bytes.

        Rows that were taken out of another container may add 4 bytes each, for their order.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 152))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> X.nbytes // packed.nbytes, X.nbytes // packed.requantize(2, random_state=0).nbytes
        (7, 23)
        """
        return self._rows.nbytes

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
            return self._rows.rounding_variance.astype(np.float64) * self._rows.step**2

    @property
    def missing_count(self) -> np.ndarray | None:
        """Values of each column that were missing, int64 (n_features,); None unless packed with ``missing="mean"``.

        Not known of rows that were taken out of others.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> X = np.array([[0.0, np.nan], [1.0, 2.0], [np.nan, np.nan], [4.0, 3.0]])
        >>> PackedMatrix.from_chunks(X, missing="mean", random_state=0).missing_count
        array([1, 2])
        """
        return self._rows.missing_count

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
        return decode_for_others(self._rows, slice(None), self.dtype if dtype is None else dtype)

    # Under array_api_dispatch scikit-learn asks for these three

    device = "cpu"

    def __array_namespace__(self, *, api_version: str | None = None):
        """The namespace that scikit-learn sees in NumPy arrays: rows are taken, and decoded, by NumPy."""
        from sklearn.utils._array_api import get_namespace

        return get_namespace(np.empty(0))[0]

    def __iter__(self):
        for first in range(0, len(self), ROWS_AT_ONCE):
            yield from np.asarray(self[first : first + ROWS_AT_ONCE])

    def __eq__(self, other: object) -> bool:
        """Whether other is a PackedMatrix of the same values, bit for bit, kind and dtype."""
        if not isinstance(other, PackedMatrix):
            return NotImplemented
        if any(getattr(self, name) != getattr(other, name) for name in ("shape", "dtype", *SCHEME_PARTS)):
            return False
        mine, others = self._rows, other._rows
        if not all(np.array_equal(getattr(mine, name), getattr(others, name)) for name in ("offset", "step", "table")):
            return False
        return all(
            np.array_equal(*(positions_by_row(take(rows, np.arange(first, last))) for rows in (mine, others)))
            for first, last in ((k, min(k + ROWS_AT_ONCE, len(self))) for k in range(0, len(self), ROWS_AT_ONCE))
        )

    def __getitem__(self, key):
        """What NumPy gives for the key: packed, for rows and columns by slice, integer array or mask; else decoded."""
        rows, columns = split_key(key, self.shape)
        if not isinstance(rows, slice) and not isinstance(columns, slice):
            return pairs(self, rows, columns)
        if isinstance(rows, int):
            return decode(take(self._rows, np.array([rows])), slice(None), self.dtype)[0, columns]
        if isinstance(rows, np.ndarray) and rows.ndim > 1:
            raise IndexError(
                f"rows of a PackedMatrix are selected by one dimension of integers, got {rows.ndim}; decode them: "
                "numpy.asarray(packed)[...]"
            )
        picked = self if is_whole(rows, len(self)) else PackedMatrix._of(take(self._rows, indices_of(rows, len(self))))
        if is_whole(columns, self.shape[1]):
            return picked
        columns = indices_of(columns, self.shape[1])
        if columns.ndim == 1 and len(columns):
            return PackedMatrix._of(take_columns(picked._rows, columns))
        decoded = decode_for_others(picked._rows, columns.reshape(-1), self.dtype)
        return decoded.reshape(len(picked), *columns.shape)

    # Rows that are made of these

    def requantize(
        self,
        sample_bits: int,
        *,
        sampling: Literal["auto", "compensated", "dithered"] = "auto",
        outliers: Outliers = "auto",
        random_state: RandomState = None,
    ) -> PackedMatrix:
        """Round to fewer bits; unbiased rounding of an unbiased value stays unbiased.

        Codes of more than two draws (``n_draws``) cannot be requantized.

        Parameters
        ----------
        sample_bits : int
            Bits for each value, at most the container's own.
        sampling : {"auto", "compensated", "dithered"}, default="auto"
            How "compensated" and "dithered" codes are rounded to 2 or 3 bits of optimal levels: "auto" is "dithered".
            At other widths, and of other samplings, codes stay what they are.
        outliers : {"auto", "none"}, default="auto"
            Whether the levels may leave out a few values, which are kept apart as they are: where 8 bits become at most
            4. See :class:`.DoubleSamplingQuantizer`. Outliers that there are stay in any case.
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
        from .._parameters import check_parameters
        from .._quantization.requantize import requantize
        from .._scheme import CONSTRAINTS, NARROWED
        from .._seeds import seed_of

        allowed = {"sampling": NARROWED, "outliers": CONSTRAINTS["outliers"]}
        check_parameters(allowed, {"sampling": sampling, "outliers": outliers}, "PackedMatrix.requantize")
        seed = seed_of(random_state, "PackedMatrix.requantize")
        rows = requantize(self._rows, sample_bits, seed, outliers=outliers, sampling=sampling)
        return self if rows is self._rows else PackedMatrix._of(rows)


Samples: TypeAlias = ArrayLike | PackedMatrix


def matrix_of(rows):
    """The PackedMatrix of PackedRows that this package has made."""
    return PackedMatrix._of(rows)


def _checked(parts, fresh=False):
    """Parts that may come from anywhere, checked and kept."""
    try:
        return kept(checked_parts(parts), fresh)
    except InvalidParts as error:
        raise ValueError(f"These are not the parts of a PackedMatrix: {error}.") from None


def _restore(version, parts, file=None):
    check_format("PackedMatrix", version, FORMAT)
    return PackedMatrix._of(PackedRows.of_parts(_checked(parts, fresh=True), received(parts, file)))


def readable_bytes(n_bytes):
    """A number of bytes with its unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024 or unit == "GiB":
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
