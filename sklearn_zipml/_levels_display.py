"""Picture: the histogram of a column and the levels that it is rounded to."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from ._plotting import axes, plain, style
from ._quantizer import DoubleSamplingQuantizer

STRIPS = {"optimal": (1.04, "C1"), "uniform": (1.15, "C2")}


class LevelsDisplay:
    """Histogram of a column with its levels, optimal and uniform, and what rounding to them costs.

    Parameters
    ----------
    values : array of shape (n_samples,)
        The column.
    levels : dict
        Levels by kind, "optimal" and "uniform".
    name : str, default="Value"
        Name of the column.

    Attributes
    ----------
    variances_ : dict
        By kind, the mean variance of stochastic rounding, (hi - a) (a - lo) between the levels lo <= a <= hi, as a part
        of the variance of the column (ZipML, arXiv:1611.05402, section 2).
    ax_ : matplotlib Axes
        Axes.
    figure_ : matplotlib Figure
        Its figure.
    bars_ : matplotlib BarContainer
        The histogram.
    marks_ : dict of matplotlib LineCollection
        Levels by kind.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_zipml import DoubleSamplingQuantizer, LevelsDisplay
    >>> X = np.random.default_rng(0).lognormal(size=(1000, 3))
    >>> display = LevelsDisplay.from_estimator(DoubleSamplingQuantizer(3), X, column=1)
    >>> display.variances_["optimal"] < display.variances_["uniform"]
    True
    """

    def __init__(self, *, values: ArrayLike, levels: dict, name: str = "Value") -> None:
        self.values = np.asarray(values, dtype=float)
        self.levels = {kind: np.asarray(places, dtype=float) for kind, places in levels.items()}
        self.name = name

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
            If there is no such column.
        ImportError
            Without matplotlib.
        """
        fitted = {kind: clone(estimator).set_params(levels=kind).fit(X) for kind in STRIPS}
        quantizer = fitted["optimal"]
        names = list(quantizer.get_feature_names_out())
        j = names.index(column) if column in names else column
        if not isinstance(j, (int, np.integer)) or not 0 <= j < len(names):
            raise ValueError(f"column={column!r} is not a column of X, which has {len(names)}: {names[:5]}.")
        values = np.asarray(quantizer.transform(X))[:, j]
        levels = {kind: other.levels_[j] for kind, other in fitted.items()}
        return cls(values=values, levels=levels, name=names[j]).plot(**plot_kw)

    def plot(self, ax: Any = None, *, bins: int = 60, level_kw: dict | None = None, **hist_kw: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to; None makes a figure.
        bins : int, default=60
            Of the histogram.
        level_kw : dict or None, default=None
            Keywords of the levels (``Axes.vlines``).
        **hist_kw
            Keywords of the histogram (``Axes.hist``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        self.ax_ = plain(axes(self, ax))
        from matplotlib.collections import LineCollection
        from matplotlib.patches import Patch

        self.figure_ = self.ax_.figure
        hist = style(Patch, {"color": "C0", "alpha": 0.35}, hist_kw)
        counts, _, self.bars_ = self.ax_.hist(self.values, bins=bins, **hist)
        self.variances_, self.marks_ = {}, {}
        for kind, places in self.levels.items():
            self.variances_[kind] = rounding_variance(self.values, places)
            bottom, color = STRIPS[kind]
            label = f"{kind}: rounding adds {self.variances_[kind]:.2g} of the variance"
            mark = style(LineCollection, {"color": color, "linewidth": 1.6, "label": label}, level_kw or {})
            low, high = bottom * counts.max(), (bottom + 0.08) * counts.max()
            self.marks_[kind] = self.ax_.vlines(places, low, high, **mark)
        self.ax_.vlines(self.levels["optimal"], 0, counts.max(), color=STRIPS["optimal"][1], lw=0.6, alpha=0.5)
        self.ax_.set(xlabel=self.name, ylabel="Rows", ylim=(0, 1.5 * counts.max()))
        self.ax_.legend(loc="upper right", frameon=False)
        return self


def rounding_variance(values, levels):
    """Mean of (hi - a) (a - lo) over values a between neighbouring levels, as a part of their variance."""
    if len(levels) < 2 or np.ptp(values) == 0:
        return 0.0
    above = np.clip(np.searchsorted(levels, values), 1, len(levels) - 1)
    inside = np.clip(values, levels[0], levels[-1])
    return float(np.mean((levels[above] - inside) * (inside - levels[above - 1])) / values.var())
