"""Picture: score and memory against bits."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier

from ._bit_widths import WIDTHS, cross_validate_widths
from ._plotting import axes, byte_unit, plain, style
from ._typing import Samples


class BitWidthCurveDisplay:
    """Cross-validated score against bits, with the memory of the samples and the score of full precision.

    Made by :meth:`from_estimator`, or by :meth:`from_cv_results` from what :func:`recommend_bits` found.

    Parameters
    ----------
    bits : array of shape (n_bits,)
        Widths.
    test_scores : array of shape (n_bits, n_folds)
        Scores on the test folds.
    full_scores : array of shape (n_folds,)
        Scores at full precision.
    nbytes : array of shape (n_bits,)
        Mean memory of the training samples, in bytes.
    full_nbytes : float
        The same at full precision.
    param : str, default="sample_bits"
        Name of the width.
    score_name : str, default="Score"
        Label of the score.

    Attributes
    ----------
    ax_, memory_ax_ : matplotlib Axes
        Axes of the score and of the memory.
    figure_ : matplotlib Figure
        Figure of both.
    line_, full_line_ : matplotlib Line2D
        Scores, and the line of full precision.
    band_ : matplotlib collection
        One standard deviation around the scores.
    bars_ : matplotlib BarContainer
        Memory.

    See Also
    --------
    recommend_bits : The smallest width that is good enough.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_zipml import BitWidthCurveDisplay, ZipMLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> display = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, bits=[2, 4, 8], cv=3)
    >>> display.test_scores.shape
    (3, 3)
    """

    def __init__(
        self,
        *,
        bits: ArrayLike,
        test_scores: ArrayLike,
        full_scores: ArrayLike,
        nbytes: ArrayLike,
        full_nbytes: float,
        param: str = "sample_bits",
        score_name: str = "Score",
    ) -> None:
        self.bits = np.asarray(bits)
        self.test_scores = np.asarray(test_scores)
        self.full_scores = np.asarray(full_scores)
        self.nbytes = np.asarray(nbytes)
        self.full_nbytes = full_nbytes
        self.param = param
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Samples,
        y: ArrayLike,
        *,
        param: str = "sample_bits",
        bits: Sequence[int] = WIDTHS,
        cv: object = 5,
        scoring: str | Callable | None = None,
        groups: ArrayLike | None = None,
        n_jobs: int | None = None,
        **plot_kw: Any,
    ) -> Self:
        """Cross-validate an estimator at every width and draw the scores.

        Every fold packs its training rows once, at 8 bits, and narrows them.

        Parameters
        ----------
        estimator : ZipMLRegressor, ZipMLLSSVC or Pipeline that ends in one
            What to fit.
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows. The width of a PackedMatrix stands for full precision.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        param : {"sample_bits", "model_bits", "gradient_bits"}, default="sample_bits"
            The width to vary.
        bits : sequence of int, default=(1, 2, 3, 4, 8)
            Its values.
        cv : int, splitter, iterable or None, default=None
            As in scikit-learn's ``cross_validate``.
        scoring : str, callable or None, default=None
            Scorer; None is the score of the estimator.
        groups : array-like of shape (n_samples,) or None, default=None
            Groups for the splitter.
        n_jobs : int or None, default=None
            Folds that run at the same time.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        BitWidthCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        results = cross_validate_widths(
            estimator, X, y, param=param, bits=bits, cv=cv, scoring=scoring, n_jobs=n_jobs, groups=groups
        )
        default = "Accuracy" if is_classifier(estimator) else "R²"
        name = default if scoring is None else str(getattr(scoring, "__name__", scoring)).replace("_", " ")
        return cls.from_cv_results(results, score_name=name, **plot_kw)

    @classmethod
    def from_cv_results(cls, cv_results: dict, *, score_name: str = "Score", **plot_kw: Any) -> Self:
        """Draw the scores that :func:`recommend_bits` kept.

        Parameters
        ----------
        cv_results : dict
            Its ``cv_results_``.
        score_name : str, default="Score"
            Label of the score.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        BitWidthCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        key = next(key for key in cv_results if key.startswith("param_"))
        folds = sum(key.startswith("split") for key in cv_results)
        scores = np.stack([cv_results[f"split{k}_test_score"] for k in range(folds)], axis=1)
        display = cls(
            bits=cv_results[key][:-1].astype(int),
            test_scores=scores[:-1],
            full_scores=scores[-1],
            nbytes=cv_results["mean_sample_nbytes"][:-1],
            full_nbytes=float(cv_results["mean_sample_nbytes"][-1]),
            param=key.removeprefix("param_"),
            score_name=score_name,
        )
        return display.plot(**plot_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict | None = None,
        band_kw: dict | None = None,
        full_kw: dict | None = None,
        bar_kw: dict | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to; None makes a figure.
        line_kw, band_kw, full_kw, bar_kw : dict or None, default=None
            Keywords for the line of scores (``Axes.plot``), the band around it (``Axes.fill_between``), the line of
            full precision (``Axes.axhline``) and the bars of memory (``Axes.bar``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        self.ax_ = plain(axes(self, ax))
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D
        from matplotlib.patches import Rectangle

        self.figure_ = self.ax_.figure
        order = np.argsort(self.bits)
        bits, scores = self.bits[order], self.test_scores[order]
        mean, spread = scores.mean(axis=1), scores.std(axis=1)
        line = style(Line2D, {"color": "C0", "marker": "o", "label": "test folds, mean ± std"}, line_kw)
        (self.line_,) = self.ax_.plot(bits, mean, **line)
        band = style(PolyCollection, {"color": line["color"], "alpha": 0.2, "linewidth": 0}, band_kw)
        self.band_ = self.ax_.fill_between(bits, mean - spread, mean + spread, **band)
        full = style(Line2D, {"color": "0.25", "linestyle": "--", "linewidth": 1.2, "label": "full precision"}, full_kw)
        self.full_line_ = self.ax_.axhline(self.full_scores.mean(), **full)
        self.ax_.set(xlabel=self.param, ylabel=self.score_name, xticks=bits)
        self._plot_memory(bits, self.nbytes[order], style(Rectangle, {"color": "0.88", "width": 0.55}, bar_kw))
        self.ax_.legend(loc="lower right", frameon=True, framealpha=0.9)
        return self

    def _plot_memory(self, bits, nbytes, bar):
        """Bars behind the scores, on an axis of their own."""
        self.memory_ax_ = self.ax_.twinx()
        unit, name = byte_unit(np.append(nbytes, self.full_nbytes))
        self.bars_ = self.memory_ax_.bar(bits, nbytes / unit, **bar)
        full = f"full precision {self.full_nbytes / unit:.3g}"
        self.memory_ax_.set_ylabel(f"Memory of the training samples ({name})\n{full}")
        self.memory_ax_.set_ylim(0, 1.6 * nbytes.max() / unit)
        self.memory_ax_.spines["top"].set_visible(False)
        self.ax_.set_zorder(self.memory_ax_.get_zorder() + 1)
        self.ax_.patch.set_visible(False)
