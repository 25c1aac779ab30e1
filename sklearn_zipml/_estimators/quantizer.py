"""The transformer that packs."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._kernels.threads import N_JOBS
from .._packed_matrix import PackedMatrix, Samples, matrix_of
from .._quantization.column_sketch import ColumnSketch
from .._quantization.encoder import pack_on_grid
from .._quantization.levels import find_grid
from .._quantization.requantize import requantize
from .._quantization.row_sample import sample_size, sampled_rows
from .._scheme import CONSTRAINTS, MISSING, Scheme, check_draws
from .._seeds import Stream, draw_seed
from .._state import StableState
from .._storage.blocks import filled
from .._storage.decoded_rows import warn_of_decoded
from .._storage.grid import grid_of
from .._storage.packed_rows import rows_of
from .._typing import Levels, Outliers, RandomState, Sampling
from .callbacks import CallbackSupportMixin, FitTask
from .doc_link import DocumentationLink
from .guard import CheckedParameters, all_or_nothing
from .packed_output import PackedOutput
from .validation import check_samples


class DoubleSamplingQuantizer(
    StableState,
    CheckedParameters,
    DocumentationLink,
    PackedOutput,
    OneToOneFeatureMixin,
    CallbackSupportMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Round training rows stochastically to a few levels per column and pack them.

    ``fit_transform`` and ``quantize`` give a :class:`PackedMatrix`. ``transform`` passes rows through as they are:
    quantization is for training rows, and predicting on rounded rows adds noise that no training removes. So
    ``fit(X).transform(X)`` differs from ``fit_transform(X)`` by design, as with scikit-learn's TargetEncoder.

    Rounding is unbiased: between neighbouring levels lo <= a <= hi a draw is hi with probability
    (a - lo) / (hi - lo) (ZipML, arXiv:1611.05402, section 2). Draws are keyed by the content of a row, so a row gets
    the same codes in whatever order, subset or chunk it comes; equal rows get equal codes.

    Parameters
    ----------
    sample_bits : int from 1 to 8, default=4
        Bits stored for each value. 3 bits take the room of 4, and 5 to 7 that of 8.
    sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
        "compensated": one draw among 2**sample_bits levels, and the second moment of its error, which estimators
        subtract. "double": the paper's two independent draws, among 2**(sample_bits - 1) levels, packed as one code.
        Both are unbiased. "dithered": the first, but 16 bits of a row of 2 bits, or a fourth bit of 3, tell of its
        rounding to optimal levels: half the variance. "auto": that where it gains. "naive": one draw. "nearest": none.
    levels : {"optimal", "uniform"}, default="optimal"
        Levels of each column: placed to minimise the rounding variance, or evenly spaced over the range. A column
        with no more distinct values than levels is stored without loss if they are whole steps of a 255-step grid.
    n_draws : int from 2 to 255, default=2
        Independent draws of each value with ``sampling="double"``. A code holds a level and how many of the draws went
        up from it (ZipML, section 2), so there are ``(2**sample_bits - 1) // n_draws + 1`` levels: fewer than with two
        draws, and less noise between them. More than two are for studies, and cannot be requantized.
    outliers : {"auto", "none"}, default="auto"
        "auto" lets levels leave out a column's outliers, at most 1 in 256 values (1 in 144 where rows are few), where
        that takes 15 % off a rounding variance that matters: levels are denser then. Outliers are kept apart, at 32
        bits each, rounded without bias to the column's grid, continued. For one compensated draw and
        ``levels="optimal"``, in columns that miss no values and are no lattices. "none" makes levels reach all values.
    missing : {"error", "mean"}, default="error"
        What NaN is. "mean": a missing value, which takes a level of its own where the mean of the column is, to half of
        1/254 of the range, and so adds nothing to the second moments about it; ``transform`` replaces it likewise, and
        ``missing_count`` of the packed rows counts them. Needs 3 levels or more. As SimpleImputer, while packing.
    quantize_unseen : bool, default=False
        Whether ``transform`` packs too, as ``quantize`` does: for studies where data of inference is quantized as well.
    n_jobs : int or None, default=None
        Threads that pack. None means as many as scikit-learn's own compiled loops take (OpenMP's; ``threadpoolctl``
        limits them), unless in a ``joblib.parallel_config`` context; -1 all processors. The result is the same.
    random_state : int, RandomState instance or None, default=None
        Decides the rounding and the order of rows inside the container.

    Attributes
    ----------
    offset_ : float64 array of shape (n_features,)
        A stored value of column j is ``offset_[j] + step_[j] * g``, g an integer from 0 to 255.
    step_ : float64 array of shape (n_features,)
        That step.
    levels_ : list of float64 arrays
        Levels of every column, in units of X.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : array of shape (n_features,)
        Names of features, when X has string names.

    Raises
    ------
    ValueError
        For infinite values, NaN unless ``missing="mean"``, or a width too small for the draws.

    Warns
    -----
    UserWarning
        When outliers make one grid step larger than the standard deviation of a column.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_zipml import DoubleSamplingQuantizer, ZipMLRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2000, 16))
    >>> y = X @ rng.normal(size=16)
    >>> packed = DoubleSamplingQuantizer(4, random_state=0).fit_transform(X)
    >>> packed.shape, packed.sample_bits
    ((2000, 16), 4)
    >>> model = make_pipeline(DoubleSamplingQuantizer(4, random_state=0), ZipMLRegressor(random_state=0))
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    """

    _parameter_constraints: dict = {
        **CONSTRAINTS,
        **MISSING,
        "quantize_unseen": ["boolean"],
        "n_jobs": N_JOBS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        sample_bits: int = 4,
        *,
        sampling: Sampling = "auto",
        levels: Levels = "optimal",
        n_draws: int = 2,
        outliers: Outliers = "auto",
        missing: str = "error",
        quantize_unseen: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.sample_bits = sample_bits
        self.sampling = sampling
        self.levels = levels
        self.n_draws = n_draws
        self.outliers = outliers
        self.missing = missing
        self.quantize_unseen = quantize_unseen
        self.n_jobs = n_jobs
        self.random_state = random_state

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Samples, y: object = None) -> Self:
        """Find the range and the levels of every column.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Training rows, any real dtype, finite.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        with FitTask(self, X, y):
            self._fit(X)
        return self

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Samples, y: object = None) -> Self:
        """Take more rows into account, for data that comes in chunks.

        After any division of rows into chunks the levels are those that ``fit`` finds for all of them. The quantizer
        keeps the range of the columns and a sample of at most 8192 rows. It begins anew after ``fit``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            The next rows, any real dtype, finite.
        y : object, default=None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a PackedMatrix, whose levels are given.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 4))
        >>> quantizer = DoubleSamplingQuantizer(2, random_state=0)
        >>> for start in range(0, 1000, 100):
        ...     quantizer = quantizer.partial_fit(X[start : start + 100])
        >>> whole = DoubleSamplingQuantizer(2, random_state=0).fit(X)
        >>> bool(np.array_equal(quantizer.levels_, whole.levels_))
        True
        """
        check_draws(self.sample_bits, self.sampling, self.n_draws)
        if isinstance(X, PackedMatrix):
            raise ValueError(
                "partial_fit finds levels for rows that are not packed yet; requantize a PackedMatrix with its method "
                "requantize, or with fit_transform."
            )
        first = getattr(self, "_sketch", None) is None
        X = check_samples(self, X, reset=first, allow_nan=self.missing == "mean")
        warn_of_decoded(X)
        seed = draw_seed(check_random_state(self.random_state)) if first else self._seed
        sketch = ColumnSketch(X.shape[1], seed, missing=self.missing == "mean") if first else self._sketch.copy()
        sketch.update(X, column_names=getattr(self, "feature_names_in_", None))
        self._seed, self._sketch = seed, sketch
        self._set_grid(sketch.find_grid(self._scheme(), getattr(self, "feature_names_in_", None)))
        return self

    @all_or_nothing
    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Samples, y: object = None) -> PackedMatrix:
        """Find the levels and pack the rows.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Training rows. A PackedMatrix is requantized to sample_bits.
        y : None
            Ignored.

        Returns
        -------
        PackedMatrix of shape (n_samples, n_features)
            With the names of the columns, if X has some. It stays packed if ``set_output`` asks for a data frame: one
            of rounded values would be taken for exact.
        """
        with FitTask(self, X, y):
            X = self._fit(X)
            return self._pack(X)

    def quantize(self, X: Samples) -> PackedMatrix:
        """Pack rows on the levels found by ``fit``.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows; values outside the range of the levels are outliers, or go to its ends if none are kept.

        Returns
        -------
        PackedMatrix of shape (n_samples, n_features)

        Raises
        ------
        NotFittedError
            Before ``fit``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 4))
        >>> quantizer = DoubleSamplingQuantizer(2, random_state=0).fit(X)
        >>> quantizer.quantize(X[:300]).shape
        (300, 4)
        """
        check_is_fitted(self)
        X = check_samples(self, X, reset=False, allow_nan=self._fills())
        if not isinstance(X, PackedMatrix):
            warn_of_decoded(X)
        return self._pack(X, is_unseen=True)

    def transform(self, X: Samples) -> PackedMatrix | np.ndarray:
        """Pass rows through as they are, or pack them with ``quantize_unseen=True``.

        Parameters
        ----------
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array, data frame or PackedMatrix of shape (n_samples, n_features)
            An array, or the data frame that ``set_output`` asks for; what is packed stays packed. The next step of a
            pipeline is told the names of the columns in any case.
        """
        check_is_fitted(self)
        rows = check_samples(self, X, reset=False, allow_nan=self._fills())
        if self.quantize_unseen:
            return self._pack(rows, is_unseen=True)
        if self._fills() and not isinstance(rows, PackedMatrix) and rows.dtype.kind == "f":
            rows = filled(rows, self._grid.missing)[0]
        return rows if isinstance(rows, PackedMatrix) else self._passed_on(rows, X)

    def inverse_transform(self, X: Samples) -> np.ndarray:
        """Decode packed rows; rows that are not packed stay as they are.

        Parameters
        ----------
        X : PackedMatrix or array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        array of shape (n_samples, n_features)

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> X = np.random.default_rng(0).normal(size=(1000, 4))
        >>> quantizer = DoubleSamplingQuantizer(2, random_state=0)
        >>> packed = quantizer.fit_transform(X)
        >>> np.unique(quantizer.inverse_transform(packed)[:, 0]).size
        15
        """
        check_is_fitted(self)
        return np.asarray(check_samples(self, X, reset=False, allow_nan=self._fills()))

    def _fit(self, X):
        check_draws(self.sample_bits, self.sampling, self.n_draws)
        X = check_samples(self, X, reset=True)
        self._seed = draw_seed(check_random_state(self.random_state))
        self._sketch = None
        if isinstance(X, PackedMatrix):
            X = self._requantized(X)
            grid = grid_of(rows_of(X))
        else:
            warn_of_decoded(X)
            rows = sampled_rows(len(X), sample_size(X.shape[1]), Stream.LEVELS_SAMPLE.of(self._seed))
            names = getattr(self, "feature_names_in_", None)
            grid = find_grid(X, self._scheme(), rows, None, names, self.n_jobs, self.missing == "mean")
        self._set_grid(grid)
        return X

    def _fills(self):
        """Whether missing values are replaced: packed rows that it was fitted to have none."""
        return self._grid.missing is not None

    def _scheme(self):
        return Scheme.of(self.sample_bits, self.sampling, self.levels, self.n_draws, self.outliers)

    def _set_grid(self, grid):
        self._grid = grid
        # packed matrices share the grid's
        self.offset_, self.step_ = grid.decoded_offset.copy(), grid.step.copy()

    @property
    def levels_(self) -> list[np.ndarray]:
        """Levels of every column, in units of X, those of all dithers; made when asked for: with 8 bits they are 2 KB.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import DoubleSamplingQuantizer
        >>> quantizer = DoubleSamplingQuantizer(2, random_state=0).fit(np.linspace(0, 3, 100)[:, np.newaxis])
        >>> quantizer.levels_[0].size
        16
        """
        if getattr(self, "_grid", None) is None:
            raise AttributeError("This DoubleSamplingQuantizer is not fitted yet, and has no levels_.")
        return self._grid.values

    def __zipml_packing__(self):
        """The levels and the seed that rows are packed with, for `PackedMatrix.from_chunks`."""
        return self._grid, self._seed

    def _pack(self, X, is_unseen=False):
        if isinstance(X, PackedMatrix):
            return self._requantized(X)
        rows = pack_on_grid(X, self._grid, self._seed, n_jobs=self.n_jobs, is_unseen=is_unseen)
        return matrix_of(rows.named(self._names_out()))

    def _requantized(self, X):
        rows = requantize(rows_of(X), self.sample_bits, self._seed, self.n_jobs, self.outliers, self.sampling)
        return X if rows is rows_of(X) else matrix_of(rows)

    def _names_out(self):
        """Names of packed columns: those of fit, or those that a frame would have."""
        wants_frame = self._wanted_output() != "default"
        return self.get_feature_names_out() if wants_frame else getattr(self, "feature_names_in_", None)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = isinstance(self.missing, str) and self.missing == "mean"  # not checked yet
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        # fit_transform packs, transform passes through: their outputs differ, and nothing else is random
        tags.non_deterministic = not self.quantize_unseen
        return tags
