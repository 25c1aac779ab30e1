"""Picture: the histogram of a column and the levels that it is rounded to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from .._estimators.quantizer import DoubleSamplingQuantizer
from .._packed_matrix import PackedMatrix
from .._parameters import is_integer
from .plotting import axes, plain, style

if TYPE_CHECKING:
    from .._typing import Sampling

KINDS = ("optimal", "uniform")
COLORS = ("C0", "C1", "C2")
STRIP, GAP = 0.08, 0.04  # height of a row of levels and the room below it, in parts of the highest bar


class LevelsDisplay:
    """Histogram of a column with its levels, optimal and uniform, and what rounding to them costs.

    Parameters
    ----------
    values : array of shape (n_samples,)
        The column.
    levels : dict of arrays of shape (n_levels,)
        Levels in ascending order, by what they are called, for example "optimal" and "uniform". Those of the first
        entry are drawn through the histogram, too. Values that lie beyond the first and the last are outliers, which
        are kept apart as they are (``outliers="auto"``), and drawn as dots in the row of levels.
    name : str, default="Value"
        Name of the column.
    dithers : dict of int, or None, default=None
        By kind, how many dithers the levels are of in turn, if it is more than one (``sampling="dithered"``): a row has
        every fourth of the 16 at 2 bits, or every other one at 3, and what is rounded to are the means of as many
        neighbours.

    Attributes
    ----------
    variances_ : dict of float
        By kind, the mean variance of stochastic rounding, (hi - a) (a - lo) between the levels lo <= a <= hi, as a part
        of the variance of the column (ZipML, arXiv:1611.05402, section 2); with known dither that of its states.
    ax_ : matplotlib Axes
        Axes.
    figure_ : matplotlib Figure
        Its figure.
    bars_ : matplotlib BarContainer
        The histogram.
    lines_ : dict of matplotlib LineCollection
        Levels by kind.
    outliers_ : dict of arrays
        Values that are kept apart by kind, where there are some.
    points_ : dict of matplotlib Line2D
        Their dots.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_zipml import DoubleSamplingQuantizer, LevelsDisplay
    >>> X = np.random.default_rng(0).lognormal(size=(1000, 3))
    >>> display = LevelsDisplay.from_estimator(DoubleSamplingQuantizer(3), X, column=1)
    >>> display.variances_["optimal"] < display.variances_["uniform"]
    True
    """

    def __init__(
        self,
        *,
        values: ArrayLike,
        levels: dict,
        name: str = "Value",
        dithers: dict | None = None,
    ) -> None:
        self.values = np.asarray(values, dtype=float)
        self.levels = {kind: np.asarray(places, dtype=float) for kind, places in levels.items()}
        self.name, self.dithers = name, dict(dithers or {})

    @classmethod
    def from_estimator(
        cls, estimator: DoubleSamplingQuantizer, X: ArrayLike, *, column: int | str = 0, **plot_kw: Any
    ) -> Self:
        """Fit both kinds of levels with the settings of a quantizer and draw them.

        Parameters
        ----------
        estimator : DoubleSamplingQuantizer
            Its ``sample_bits`` and ``sampling`` decide how many levels there are; it is not changed.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        column : int or str, default=0
            Number of the column, or its name in a data frame.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        LevelsDisplay

        Raises
        ------
        ValueError
            If there is no such column, or X is a PackedMatrix.
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import DoubleSamplingQuantizer, LevelsDisplay
        >>> X = load_diabetes(as_frame=True).data
        >>> display = LevelsDisplay.from_estimator(DoubleSamplingQuantizer(2), X, column="bmi")
        >>> display.ax_.get_xlabel()
        'bmi'
        """
        if isinstance(X, PackedMatrix):
            raise ValueError(
                f"X is a PackedMatrix, whose levels are given ({X.levels}); pass the rows that it was made from."
            )
        if not isinstance(estimator, DoubleSamplingQuantizer):
            raise TypeError(f"estimator={estimator!r} must be a DoubleSamplingQuantizer.")
        fitted = {kind: clone(estimator).set_params(levels=kind).fit(X) for kind in KINDS}
        quantizer = fitted["optimal"]
        names = list(quantizer.get_feature_names_out())
        j = names.index(column) if isinstance(column, str) and column in names else column
        if not is_integer(j) or not 0 <= j < len(names):
            raise ValueError(f"column={column!r} is not a column of X, which has {len(names)}: {names[:5]}.")
        values = np.asarray(quantizer.transform(X))[:, j]
        codes = {kind: other.__zipml_packing__()[0].codes_of(j) for kind, other in fitted.items()}
        levels, dithers = ({kind: own[k] for kind, own in codes.items()} for k in (0, 1))
        return cls(values=values, levels=levels, name=names[j], dithers=dithers).plot(**plot_kw)

    @classmethod
    def from_values(
        cls,
        values: ArrayLike,
        sample_bits: int = 4,
        *,
        sampling: Sampling = "auto",
        name: str = "Value",
        **plot_kw: Any,
    ) -> Self:
        """Find both kinds of levels of a single column and draw them.

        Parameters
        ----------
        values : array-like of shape (n_samples,)
            The column.
        sample_bits : int, default=4
            Bits stored for a value, from 1 to 8.
        sampling : {"auto", "compensated", "dithered", "double", "naive", "nearest"}, default="auto"
            How values are rounded; "double" has half the levels.
        name : str, default="Value"
            Name of the column.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        LevelsDisplay

        Raises
        ------
        ValueError
            If values is not one-dimensional, or not finite.
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_zipml import LevelsDisplay
        >>> display = LevelsDisplay.from_values(np.random.default_rng(0).normal(size=1000), 2)
        >>> len(display.levels["optimal"])
        16
        """
        values = np.asarray(values)
        if values.ndim != 1:
            raise ValueError(f"values must be a column of shape (n_samples,), got the shape {values.shape}.")
        quantizer = DoubleSamplingQuantizer(sample_bits, sampling=sampling, random_state=0)
        display = cls.from_estimator(quantizer, values[:, np.newaxis], **plot_kw)
        display.name = name
        display.ax_.set_xlabel(name)
        return display

    def plot(
        self, ax: Any = None, *, bins: Any = 60, hist_kw: dict | None = None, level_kw: dict | None = None
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to; None makes a figure.
        bins : int, str or sequence, default=60
            Bins of the histogram, as for ``Axes.hist``.
        hist_kw : dict or None, default=None
            Keywords of the histogram (``Axes.hist``).
        level_kw : dict or None, default=None
            Keywords of the levels (``Axes.vlines``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        self.ax_ = plain(axes(self, ax))
        from matplotlib.patches import Patch

        self.figure_ = self.ax_.figure
        hist = style(Patch, {"color": "0.8"}, hist_kw)
        counts, _, self.bars_ = self.ax_.hist(self.values, bins=bins, **hist)
        self.variances_, self.lines_, self.outliers_, self.points_ = {}, {}, {}, {}
        for row, kind in enumerate(self.levels):
            self._plot_levels(row, kind, counts.max(), level_kw)
        rows = len(self.levels) * (STRIP + GAP) + STRIP * (len(self.levels) + 1)  # of levels and of the legend
        self.ax_.set(xlabel=self.name, ylabel="Rows", ylim=(0, (1 + rows) * counts.max()))
        self.ax_.legend(loc="upper center", frameon=False)
        return self

    def _plot_levels(self, row, kind, top, level_kw):
        """A row of marks above the histogram, and for the first row faint lines through it."""
        from matplotlib.collections import LineCollection

        places, color = self.levels[kind], COLORS[row % len(COLORS)]
        stored = stored_values(places, self.dithers.get(kind, 1))
        self.variances_[kind], rungs = rounding_variance(self.values, stored), stored.mean(axis=1)
        slack = 1e-9 * np.ptp(rungs)  # rungs are means, rounded
        outside = self.values[(self.values < rungs[0] - slack) | (self.values > rungs[-1] + slack)]
        label = f"{kind}: rounding adds {percent(self.variances_[kind])} of the variance"
        label += f", {len(outside)} kept apart" if len(outside) else ""
        mark = style(LineCollection, {"color": color, "linewidth": 2, "label": label}, level_kw)
        low = 1 + GAP + row * (STRIP + GAP)
        self.lines_[kind] = self.ax_.vlines(places, low * top, (low + STRIP) * top, **mark)
        if len(outside):
            self.outliers_[kind] = outside
            height = np.full(len(outside), (low + STRIP / 2) * top)
            (self.points_[kind],) = self.ax_.plot(outside, height, ".", color=color, markersize=3)
        if row == 0:
            self.ax_.vlines(places, 0, low * top, color=color, linewidth=0.8, alpha=0.6)


def percent(part):
    """A part of a whole with two digits that count, such as 0.083%, 4.1% and 120%."""
    return f"{100 * part:.0f}%" if part >= 0.1 else f"{100 * part:.2g}%"


def stored_values(levels, n_dithers=1):
    """What values are rounded to, float64 (states, dithers): as many neighbours as there are dithers.

    Without dither a state is a level (doc/user_guide/mathematics, Known dither).
    """
    return np.lib.stride_tricks.sliding_window_view(np.asarray(levels), n_dithers)


def rounding_variance(values, stored):
    """Mean variance of rounding values between neighbouring states, as a part of that of the values.

    At the mean of a state E[q²] is the mean square, and between two it is linear: (hi - a) (a - lo) between levels.
    """
    if len(stored) < 2 or np.ptp(values) == 0:
        return 0.0
    size = np.abs(values).max()  # squares of large values would overflow
    values, stored = values / size, stored / size
    rungs, squares = stored.mean(axis=1), (stored**2).mean(axis=1)
    inside = np.clip(values, rungs[0], rungs[-1])
    return float(np.mean(np.interp(inside, rungs, squares) - inside**2) / values.var())
