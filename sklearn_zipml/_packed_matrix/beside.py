"""What packed rows take along, each its own: targets and weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._storage.constant import owned
from .._storage.targets import check_row_weights, check_target


class PackedBeside:
    """The part of PackedMatrix that holds targets and weights."""

    __slots__ = ()

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
        return self.__zipml_rows__().whole("target")

    @property
    def sample_weight(self) -> np.ndarray | None:
        """Weights taken along, in the order of rows, float64 (n_samples,); or None.

        ``fit`` and ``partial_fit`` take them where they are given no ``sample_weight``, so that rows that are taken in
        cross-validation and searches keep theirs. ``score`` does not: pass ``sample_weight=packed.sample_weight``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import PackedMatrix
        >>> PackedMatrix.from_chunks(np.eye(3), sample_weight=[1, 2, 0.5], random_state=0)[1:].sample_weight
        array([2. , 0.5])
        """
        return self.__zipml_rows__().whole("sample_weight")

    def with_target(self, y: ArrayLike | None) -> Self:
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
        target = None if y is None else owned(check_target(y, len(self)))
        return type(self)._of(replace(self.__zipml_rows__(), target=target))

    def with_sample_weight(self, sample_weight: ArrayLike | None) -> Self:
        """The same rows, not copied, with weights to take along.

        Parameters
        ----------
        sample_weight : array-like of shape (n_samples,), or None
            Finite numbers, 0 or more; None for no weights.

        Returns
        -------
        PackedMatrix

        Raises
        ------
        ValueError
            If there are not as many weights as rows, or they are no such numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> packed = DoubleSamplingQuantizer(sample_bits=8, random_state=0).fit_transform(X)
        >>> y, weights = X.sum(axis=1), np.arange(1000) % 3
        >>> own = ZipMLRegressor(random_state=0).fit(packed.with_sample_weight(weights), y)
        >>> given = ZipMLRegressor(random_state=0).fit(packed, y, sample_weight=weights)
        >>> bool(np.array_equal(own.coef_, given.coef_))
        True
        """
        weights = None if sample_weight is None else owned(check_row_weights(sample_weight, len(self)))
        return type(self)._of(replace(self.__zipml_rows__(), sample_weight=weights))
