"""Packed matrices out of others: rows and columns taken, put side by side and below one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from .._parameters import is_integer
from .._storage.columns import join_columns
from .._storage.rows import join_rows


class PackedJoins:
    """The part of PackedMatrix that makes it out of others."""

    __slots__ = ()

    def take(self, indices, axis: int = 0, out: None = None, mode: str = "raise") -> Self | np.ndarray:
        """Take rows or columns, packed, as ``numpy.take`` does.

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
            A single row or column, for an integer, is decoded.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> packed.take([5, 2], axis=0).shape, packed.take([5, 2], axis=1).shape
        ((2, 16), (1000, 2))
        """
        is_plain = out is None and isinstance(mode, str) and mode == "raise"
        if not is_integer(axis) or axis not in (0, 1) or not is_plain:
            raise ValueError(f"take of a PackedMatrix knows axis=0 and 1 only, got {axis=}, {out=}, {mode=}.")
        return self[indices] if axis == 0 else self[:, indices]

    @classmethod
    def hstack(cls, matrices: Sequence[Self]) -> Self:
        """Put the columns of packed matrices side by side; ``numpy.hstack`` of packed matrices is the same.

        Parameters
        ----------
        matrices : sequence of PackedMatrix
            Of the same rows, ``sample_bits``, ``sampling``, ``levels`` and ``n_draws``.

        Returns
        -------
        PackedMatrix
            With the target that they have, and the names of the columns if all have names.

        Raises
        ------
        ValueError
            For none, and for matrices that do not go together.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=2, random_state=0).fit_transform(X)
        >>> PackedMatrix.hstack([packed[:, :4], packed[:, 4:]]) == packed
        True
        """
        return cls._of(join_columns(_rows_of_all(matrices, "hstack")))

    @classmethod
    def vstack(cls, matrices: Sequence[Self]) -> Self:
        """Put the rows of packed matrices below one another; ``numpy.vstack`` of packed matrices is the same.

        They are shuffled anew inside. Rows count as different ones: repeat rows by taking them, ``packed[[0, 0, 1]]``.

        Parameters
        ----------
        matrices : sequence of PackedMatrix
            Of the same columns and levels, as one quantizer gives them.

        Returns
        -------
        PackedMatrix
            With their targets, if all have one.

        Raises
        ------
        ValueError
            For none, and for matrices that do not go together.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, PackedMatrix
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=2, random_state=0).fit_transform(X)
        >>> PackedMatrix.vstack([packed[:300], packed[300:]]) == packed
        True
        """
        return cls._of(join_rows(_rows_of_all(matrices, "vstack")))

    def __array_function__(self, func, types, args, kwargs):
        """Joins of packed matrices alone stay packed; NumPy does anything else, on what it decodes."""
        if func in JOINS and not kwargs.keys() - {"axis", "tup", "arrays"}:
            matrices = args[0] if args else kwargs.get("tup", kwargs.get("arrays"))
            axis = args[1] if len(args) > 1 else kwargs.get("axis", 0)
            if len(args) <= 2 and _are_packed(matrices) and axis in (0, 1, -1, -2):
                across = func is np.hstack or (func is np.concatenate and axis in (1, -1))
                return type(self).hstack(matrices) if across else type(self).vstack(matrices)
        return np.empty(0).__array_function__(func, (), args, kwargs)


JOINS = (np.hstack, np.vstack, np.concatenate)


def _are_packed(matrices):
    return isinstance(matrices, list | tuple) and all(isinstance(matrix, PackedJoins) for matrix in matrices)


def _rows_of_all(matrices, what):
    if not isinstance(matrices, Iterable) or getattr(matrices, "ndim", 1) == 0:
        raise TypeError(f"matrices={matrices!r} of PackedMatrix.{what} must be a list of packed matrices.")
    matrices = list(matrices)
    if not matrices:
        raise ValueError(f"PackedMatrix.{what} needs at least one matrix, got matrices without any.")
    for k, matrix in enumerate(matrices):
        if not isinstance(matrix, PackedJoins):
            raise ValueError(
                f"PackedMatrix.{what} joins packed matrices, but matrix {k} is of type {type(matrix).__name__}: pack "
                "it, or decode the others with numpy.asarray."
            )
    return [matrix.__zipml_rows__() for matrix in matrices]
