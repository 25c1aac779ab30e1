"""Picture: the loss of a fit against epochs and against the bytes that it read."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from ._plotting import byte_unit, plain, style


class ConvergenceDisplay:
    """Loss on the training samples against epochs, and against the bytes of samples read until then.

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
    axes_ : array of two matplotlib Axes
        Against epochs, and against bytes.
    figure_ : matplotlib Figure
        Figure of both.
    lines_ : list of two matplotlib Line2D
        One in each.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import ConvergenceDisplay, ZipMLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> axes = None
    >>> for bits in (2, 8, None):
    ...     model = ZipMLRegressor(bits, random_state=0).fit(X, y)
    ...     axes = ConvergenceDisplay.from_estimator(model, axes=axes).axes_
    >>> len(axes[0].lines)
    3
    """

    def __init__(self, *, losses: ArrayLike, nbytes: ArrayLike, name: str | None = None) -> None:
        self.losses = np.asarray(losses, dtype=float)
        self.nbytes = np.asarray(nbytes, dtype=float)
        self.name = name

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, name: str | None = None, **plot_kw: Any) -> Self:
        """Draw the convergence of a fitted estimator.

        Parameters
        ----------
        estimator : fitted ZipMLRegressor, ZipMLLSSVC or Pipeline that ends in one
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
        """
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(model, "loss_curve_")
        if name is None:
            name = "float32" if model.sample_bits_ is None else f"{model.sample_bits_} bits"
        return cls(losses=model.loss_curve_, nbytes=model.bytes_read_curve_, name=name).plot(**plot_kw)

    def plot(self, axes: Any = None, **line_kw: Any) -> Self:
        """Draw.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes or None, default=None
            Where to, for instance the ``axes_`` of another display; None makes a figure.
        **line_kw
            Keywords of both lines (``Axes.plot``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        check_matplotlib_support("ConvergenceDisplay.plot")
        import matplotlib.pyplot as plt
        from matplotlib.lines import Line2D

        if axes is None:
            axes = plt.subplots(1, 2, sharey=True, figsize=(9, 3.8), layout="constrained")[1]
        self.axes_ = np.asarray(axes, dtype=object)
        if self.axes_.shape != (2,):
            raise ValueError(f"axes must be two matplotlib Axes, got an array of shape {self.axes_.shape}.")
        self.figure_ = self.axes_[0].figure
        line = style(Line2D, {"marker": ".", "label": self.name}, line_kw)
        # megabytes always: lines of several displays share the axis
        unit, unit_name = byte_unit([1 << 20])
        self.lines_ = []
        xs, labels = (np.arange(len(self.losses)), self.nbytes / unit), ("Epochs", f"Samples read ({unit_name})")
        for ax, x, label in zip(self.axes_, xs, labels, strict=True):
            self.lines_ += plain(ax).plot(x, self.losses, **line)
            ax.set(xlabel=label, yscale="log" if np.all(self.losses > 0) else "symlog")
            ax.grid(alpha=0.25)
        self.axes_[1].set_xscale("log")
        self.axes_[0].set_ylabel("Objective on the training samples")
        if self.name is not None:
            self.axes_[1].legend(frameon=False)
        return self
