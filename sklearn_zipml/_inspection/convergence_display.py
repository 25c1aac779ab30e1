"""Picture: the loss of a fit against epochs and against the bytes that it read."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .._parameters import check_parameters
from .plotting import axes, byte_unit, plain, style


class ConvergenceDisplay:
    """Loss on the training samples against epochs, or against the bytes of samples read until then.

    Several displays may share axes, one line each. The loss has a logarithmic axis where all of it is positive and it
    falls by more than a factor of 10.

    Parameters
    ----------
    losses : array of shape (n_epochs + 1,)
        Objective before the first and after every epoch.
    nbytes : array of shape (n_epochs + 1,)
        Bytes of samples read until then.
    name : str or None, default=None
        Label of the line.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes.
    figure_ : matplotlib Figure
        Its figure.
    line_ : matplotlib Line2D
        The line.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import ConvergenceDisplay, ZipMLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ax = None
    >>> for bits in (2, 8, None):
    ...     model = ZipMLRegressor(bits, random_state=0).fit(X, y)
    ...     ax = ConvergenceDisplay.from_estimator(model, ax=ax, x="bytes").ax_
    >>> len(ax.lines)
    3
    """

    def __init__(self, *, losses: ArrayLike, nbytes: ArrayLike, name: str | None = None) -> None:
        check_parameters({"name": [str, None]}, {"name": name}, "ConvergenceDisplay")
        self.losses = np.asarray(losses, dtype=float)
        self.nbytes = np.asarray(nbytes, dtype=float)
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, name: str | None = None, **plot_kw: Any) -> Self:
        """Draw the convergence of a fitted estimator.

        Parameters
        ----------
        estimator : fitted ZipMLRegressor, ZipMLLSSVC, ZipMLLogisticRegression or Pipeline that ends in one
            What was fitted.
        name : str or None, default=None
            Label of the line; None names the bits of the samples.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        ConvergenceDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import ConvergenceDisplay, ZipMLRegressor
        >>> model = ZipMLRegressor(random_state=0).fit(*load_diabetes(return_X_y=True))
        >>> display = ConvergenceDisplay.from_estimator(model, line_kw={"color": "black"})
        >>> display.line_.get_label()
        '4 bits'
        """
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(model, "loss_curve_")
        if name is None:
            name = "float32" if model.sample_bits_ is None else f"{model.sample_bits_} bits"
        return cls(losses=model.loss_curve_, nbytes=model.bytes_read_curve_, name=name).plot(**plot_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        x: Literal["epochs", "bytes"] = "epochs",
        optimum: float | None = None,
        line_kw: dict | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to, for instance the ``ax_`` of another display; None makes a figure.
        x : {"epochs", "bytes"}, default="epochs"
            What the loss is drawn against. Bytes are those of the samples as they are stored, and have a logarithmic
            axis.
        optimum : float or None, default=None
            Smallest possible loss. With it the excess over it is drawn, where it is positive.
        line_kw : dict or None, default=None
            Keywords of the line (``Axes.plot``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            For another x.
        """
        if x not in ("epochs", "bytes"):
            raise ValueError(f"x must be 'epochs' or 'bytes', got {x!r}.")
        self.ax_ = plain(axes(self, ax))
        from matplotlib.lines import Line2D

        self.figure_ = self.ax_.figure
        losses, label = self.losses, "Objective on the training samples"
        if optimum is not None:
            losses, label = losses - optimum, f"{label}, excess over the optimum"
            losses = np.where(losses > 0, losses, np.nan)
        # mebibytes always: lines of several displays share the axis
        unit, unit_name = byte_unit([1 << 20])
        places = np.arange(len(losses)) if x == "epochs" else self.nbytes / unit
        (self.line_,) = self.ax_.plot(places, losses, **style(Line2D, {"marker": ".", "label": self.name}, line_kw))
        self.ax_.set(xlabel="Epochs" if x == "epochs" else f"Samples read ({unit_name})", ylabel=label)
        self._scale(x)
        if self.line_.get_label() and not self.line_.get_label().startswith("_"):
            self.ax_.legend(frameon=False)
        return self

    def _scale(self, x):
        """Scales that suit all lines there are."""
        from matplotlib.ticker import MaxNLocator

        low, high = self.ax_.dataLim.intervaly
        self.ax_.set_yscale("log" if low > 0 and high > 10 * low else "linear")
        if x == "bytes":
            self.ax_.set_xscale("log")
        else:
            self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.ax_.grid(alpha=0.25)
