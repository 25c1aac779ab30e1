"""Packed matrices out of codes that exist already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, Options, StrOptions

from .._storage.constant import owned
from .._storage.targets import check_target
from .._typing import RandomState

CODES = {
    "bits": [Options(Integral, {1, 2, 4}), None],
    "bitorder": [StrOptions({"big", "little"})],
    "n_features": [Interval(Integral, 1, None, closed="left"), None],
    "missing_code": [Integral, None],
}


class PackedCodes:
    """The part of PackedMatrix that makes it out of codes."""

    __slots__ = ()

    @classmethod
    def from_codes(
        cls,
        codes: ArrayLike,
        *,
        bits: int | None = None,
        bitorder: str = "big",
        n_features: int | None = None,
        values: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        missing_code: int | None = None,
        y: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
        sample_bits: int | None = None,
        random_state: RandomState = None,
        n_jobs: int | None = None,
    ) -> Self:
        """Pack data that are codes already, exactly: nothing is rounded, nothing is drawn.

        Parameters
        ----------
        codes : array-like or memory map of integers, of shape (n_samples, n_features)
            One code a value; or, with ``bits``, rows of bytes that hold several, of shape (n_samples, n_bytes).
        bits : {1, 2, 4} or None, default=None
            Bits of a code inside the bytes of ``codes`` (uint8). 1 is what ``numpy.packbits`` makes; int8 is taken for
            the "binary" embeddings of sentence-transformers, the same less 128. None: one integer a value.
        bitorder : {"big", "little"}, default="big"
            Whether the first code of a byte is in its highest or its lowest bits.
        n_features : int or None, default=None
            Number of columns, where the last byte of a row is not full.
        values : array-like of shape (n_codes,) or (n_features, n_codes), or None, default=None
            What codes 0, 1, ... stand for, in all columns or in each. Whole steps of a grid of 255 at most.
        scale : float or array-like of shape (n_features,), or None, default=None
            A code stands for ``offset + scale * code``, if there are no ``values``; None is 1.
        offset : float or array-like of shape (n_features,), or None, default=None
            None is 0. Of a zero point z it is ``-scale * z``.
        missing_code : int or None, default=None
            The code of a missing value, which becomes the mean of its column: at 1 to 4 bits a level of its own, to
            half of 1/254 of the range, at 5 to 8 bits the nearest level. Counted in ``missing_count``. Codes have to
            stand for values in equal steps.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            Targets to take along.
        feature_names : sequence of str or None, default=None
            Names of the columns.
        sample_bits : int from 1 to 8, or None, default=None
            Width to store; None for the fewest of 1, 2, 4 and 8 bits that hold the codes.
        random_state : int, RandomState instance or None, default=None
            Decides the order of rows inside.
        n_jobs : int or None, default=None
            Threads that pack, see :class:`DoubleSamplingQuantizer`. The result does not depend on it.

        Returns
        -------
        PackedMatrix
            Of ``rounding_variance`` zero.

        Raises
        ------
        ValueError
            For codes that are no integers, values that are not on a grid, and codes that ``sample_bits`` cannot hold.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> embeddings = np.random.default_rng(0).normal(size=(1000, 128))
        >>> bits = np.packbits(embeddings > 0, axis=1)
        >>> packed = PackedMatrix.from_codes(bits, bits=1, values=[-1, 1], random_state=0)
        >>> packed.shape, packed.sample_bits
        ((1000, 128), 1)
        >>> bool(np.array_equal(packed, np.where(embeddings > 0, 1, -1)))
        True
        """
        from .._kernels.threads import check_n_jobs
        from .._parameters import check_parameters
        from .._quantization.codes import Codes, Places, pack_codes
        from .._scheme import CONSTRAINTS
        from .._seeds import seed_of

        if values is not None and not (scale is None and offset is None):
            raise ValueError("Give values, or scale and offset, not both.")
        constraints = CODES | {"sample_bits": [*CONSTRAINTS["sample_bits"], None]}
        settings = {"bits": bits, "bitorder": bitorder, "n_features": n_features, "missing_code": missing_code}
        check_parameters(constraints, settings | {"sample_bits": sample_bits}, "PackedMatrix.from_codes")
        check_n_jobs(n_jobs, "PackedMatrix.from_codes")
        values, scale, offset = (
            None if value is None else _numbers(value, name)
            for name, value in (("values", values), ("scale", scale), ("offset", offset))
        )
        names = None if feature_names is None else _names(feature_names)
        seed = seed_of(random_state, "PackedMatrix.from_codes")
        given = Codes.checked(codes, bits, bitorder, n_features)
        if values is None:
            places = partial(
                Places.of_scale, scale=1.0 if scale is None else scale, offset=0.0 if offset is None else offset
            )
        else:
            places = partial(Places.of_values, values=values)
        if names is not None and len(names) != given.n_columns:
            raise ValueError(f"feature_names has {len(names)} names for {given.n_columns} columns.")
        target = None if y is None else owned(check_target(y, len(given.array)))
        rows = pack_codes(given, places, sample_bits, seed, missing_code=missing_code, n_jobs=n_jobs).named(names)
        return cls._of(replace(rows, target=target))


def _numbers(given, name):
    """What is given as numbers, float64."""
    try:
        if np.ma.is_masked(given) or np.iscomplexobj(given):
            raise TypeError("they are masked or complex")
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name}={given!r} of PackedMatrix.from_codes must be real numbers: {error}") from None


def _names(given):
    """Names of columns as a list."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str) and getattr(given, "ndim", 1) == 1
    names = list(given) if is_list else [None]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"feature_names={given!r} of PackedMatrix.from_codes must be a list of strings, or None.")
    return names
