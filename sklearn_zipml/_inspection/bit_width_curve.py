"""Picture: score and memory against bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier

from .._packed_matrix import Samples
from .._parameters import check_parameters
from .bit_widths import Steps, cross_validate_widths
from .plotting import axes, byte_unit, plain, style

# Name of the score that `rounding_loss_` is a part of
R2 = "R²"
# Parts of the height of the axes: bars of memory, room above them, and room for a legend of one line and of two
BARS, GAP, LEGEND, TALL_LEGEND = 0.24, 0.05, 0.12, 0.18


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
        Name of the score.
    rounding_loss : array of shape (n_bits,) or None, default=None
        Mean estimate of the R² lost, ``rounding_loss_`` of the fits.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the score.
    memory_ax_ : matplotlib Axes or None
        Axes of the memory, None without it.
    figure_ : matplotlib Figure
        Figure of both.
    lines_ : list of matplotlib Line2D or None
        The line of scores; None with error bars.
    full_line_ : matplotlib Line2D
        The line of full precision.
    fill_between_ : list of matplotlib collections or None
        One standard deviation around the scores, as a band.
    errorbar_ : list of matplotlib ErrorbarContainer or None
        The same as error bars.
    bars_ : matplotlib BarContainer or None
        Memory, None without it.
    estimate_lines_ : list of matplotlib Line2D or None
        Full precision less the estimated loss, where the score is R² and the loss is known; else None.

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
        rounding_loss: ArrayLike | None = None,
    ) -> None:
        check_parameters(
            {"score_name": [str], "param": [str]}, {"score_name": score_name, "param": param}, "BitWidthCurveDisplay"
        )
        self.bits = np.asarray(bits)
        self.test_scores = np.asarray(test_scores)
        self.full_scores = np.asarray(full_scores)
        self.nbytes = np.asarray(nbytes)
        self.full_nbytes = full_nbytes
        self.param = param
        self.score_name = score_name
        self.rounding_loss = None if rounding_loss is None else np.asarray(rounding_loss)

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Samples,
        y: ArrayLike | None = None,
        *,
        param: str = "sample_bits",
        bits: Sequence[int] | None = None,
        cv: object = 5,
        scoring: str | Callable | None = None,
        groups: ArrayLike | None = None,
        n_jobs: int | None = None,
        **plot_kw: Any,
    ) -> Self:
        """Cross-validate an estimator at every width and draw the scores.

        Every fold packs its training rows once, at 8 bits, and requantizes them.

        Parameters
        ----------
        estimator : ZipMLRegressor, ZipMLLSSVC, ZipMLLogisticRegression or Pipeline that ends in one
            What to fit.
        X : array-like, data frame or PackedMatrix of shape (n_samples, n_features)
            Rows. The width of a PackedMatrix stands for full precision.
        y : array-like of shape (n_samples,) or (n_samples, n_targets), or None, default=None
            Targets. May be left out if X is a PackedMatrix with a target.
        param : {"sample_bits", "model_bits", "gradient_bits"}, default="sample_bits"
            The width to vary.
        bits : sequence of int or None, default=None
            Its values; full precision is added to them. None tries 1, 2, 3, 4 and 8, as far as they are possible.
        cv : int, cross-validation generator, iterable or None, default=5
            Folds, as in :func:`sklearn.model_selection.cross_validate`.
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
        TypeError
            If the estimator is none of those above.
        ValueError
            If a width is not allowed, or there is no target.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import BitWidthCurveDisplay, ZipMLRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = ZipMLRegressor(random_state=0)
        >>> display = BitWidthCurveDisplay.from_estimator(model, X, y, param="model_bits", bits=[2, 8])
        >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
        ('model_bits', 'R²')
        """
        results = cross_validate_widths(
            Steps(estimator, param, X), X, y, bits=bits, cv=cv, scoring=scoring, n_jobs=n_jobs, groups=groups
        )
        if scoring is None:
            name = "accuracy" if is_classifier(estimator) else R2
        else:
            name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "Score")
        return cls.from_cv_results(results, score_name=name, **plot_kw)

    @classmethod
    def from_cv_results(cls, cv_results: dict, *, score_name: str = "Score", **plot_kw: Any) -> Self:
        """Draw the scores that :func:`recommend_bits` kept.

        Parameters
        ----------
        cv_results : dict
            Its ``cv_results_``.
        score_name : str, default="Score"
            Name of the score.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        BitWidthCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn_zipml import BitWidthCurveDisplay, recommend_bits
        >>> recommendation = recommend_bits(*load_diabetes(return_X_y=True))
        >>> display = BitWidthCurveDisplay.from_cv_results(recommendation.cv_results_, score_name="R²")
        >>> [int(bits) for bits in display.bits]
        [1, 2, 3, 4, 8]
        """
        known = [key for key in cv_results if isinstance(key, str)] if isinstance(cv_results, dict) else []
        key = next((key for key in known if key.startswith("param_")), "param_sample_bits")
        folds = sum(name.startswith("split") for name in known)
        missing = [name for name in (key, "split0_test_score", "mean_sample_nbytes") if name not in known]
        if missing:
            raise ValueError(
                f"cv_results must be the dict cv_results_ of what recommend_bits returns; got "
                f"{type(cv_results).__name__} without {missing[0]!r}."
            )
        scores = np.stack([cv_results[f"split{k}_test_score"] for k in range(folds)], axis=1)
        display = cls(
            bits=cv_results[key][:-1].astype(int),
            test_scores=scores[:-1],
            full_scores=scores[-1],
            nbytes=cv_results["mean_sample_nbytes"][:-1],
            full_nbytes=float(cv_results["mean_sample_nbytes"][-1]),
            param=key.removeprefix("param_"),
            score_name=score_name,
            rounding_loss=cv_results["mean_rounding_loss"][:-1] if "mean_rounding_loss" in known else None,
        )
        return display.plot(**plot_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        memory: bool | None = None,
        negate_score: bool = False,
        score_name: str | None = None,
        std_display_style: Literal["fill_between", "errorbar"] | None = "fill_between",
        line_kw: dict | None = None,
        fill_between_kw: dict | None = None,
        errorbar_kw: dict | None = None,
        full_kw: dict | None = None,
        bar_kw: dict | None = None,
    ) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to; None makes a figure.
        memory : bool or None, default=None
            Whether to draw the memory of the training samples, as bars on a second axis. None draws it for
            ``sample_bits``; other widths do not change it. Leave it out of the second of two displays that share axes.
        negate_score : bool, default=False
            Whether to draw the negated score, for scorers such as "neg_mean_squared_error".
        score_name : str or None, default=None
            Label of the axis; None makes one of the name of the score.
        std_display_style : {"fill_between", "errorbar"} or None, default="fill_between"
            How to draw one standard deviation over the test folds; None leaves it out.
        line_kw, fill_between_kw, errorbar_kw : dict or None, default=None
            Keywords for the line of scores (``Axes.plot``), the band around it (``Axes.fill_between``), and the line
            with error bars (``Axes.errorbar``).
        full_kw, bar_kw : dict or None, default=None
            Keywords for the line of full precision (``Axes.axhline``) and the bars of memory (``Axes.bar``).

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            For another std_display_style.
        """
        if std_display_style not in ("fill_between", "errorbar", None):
            raise ValueError(
                f"std_display_style must be 'fill_between', 'errorbar' or None, got {std_display_style!r}."
            )
        self.ax_ = plain(axes(self, ax))
        self.figure_ = self.ax_.figure
        self.lines_ = self.fill_between_ = self.errorbar_ = self.memory_ax_ = self.bars_ = None
        order, sign = np.argsort(self.bits), -1 if negate_score else 1
        bits, scores = self.bits[order], sign * self.test_scores[order]
        if std_display_style == "errorbar":
            self._plot_errorbar(bits, scores, errorbar_kw)
        else:
            self._plot_line(bits, scores, line_kw, fill_between_kw, std_display_style)
        self._plot_full(sign * self.full_scores.mean(), full_kw)
        self._plot_estimate(bits, order, sign)
        label = score_label(self.score_name, negate_score) if score_name is None else score_name
        self.ax_.set(xlabel=self.param, ylabel=label, xscale="linear", xticks=bits)
        if self.param == "sample_bits" if memory is None else memory:
            self._plot_memory(bits, self.nbytes[order], bar_kw)
            self.ax_.legend(loc="upper center", ncols=2, frameon=False)
        else:
            self.ax_.legend(loc="best", frameon=True, framealpha=0.9)
        return self

    def _plot_line(self, bits, scores, line_kw, fill_between_kw, band):
        """Means, and a band around them."""
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D

        mean, spread = scores.mean(axis=1), scores.std(axis=1)
        line = style(Line2D, {"color": "C0", "marker": "o", "label": scores_label(band)}, line_kw)
        self.lines_ = self.ax_.plot(bits, mean, **line)
        if band:
            fill = {"color": self.lines_[0].get_color(), "alpha": 0.2, "linewidth": 0}
            fill = style(PolyCollection, fill, fill_between_kw)
            self.fill_between_ = [self.ax_.fill_between(bits, mean - spread, mean + spread, **fill)]

    def _plot_errorbar(self, bits, scores, errorbar_kw):
        """Means with error bars."""
        from matplotlib.lines import Line2D

        keywords = {"color": "C0", "marker": "o", "capsize": 3, "label": scores_label(True)}
        keywords = style(Line2D, keywords, errorbar_kw)
        self.errorbar_ = [self.ax_.errorbar(bits, scores.mean(axis=1), scores.std(axis=1), **keywords)]

    def _plot_full(self, score, full_kw):
        """Full precision."""
        from matplotlib.lines import Line2D

        full = {"color": "0.25", "linestyle": "--", "linewidth": 1.2, "label": "full precision"}
        self.full_line_ = self.ax_.axhline(score, **style(Line2D, full, full_kw))

    def _plot_estimate(self, bits, order, sign):
        """What the fits themselves say that scores will be: full precision less their estimated loss."""
        self.estimate_lines_ = None
        if self.score_name == R2 and self.param == "sample_bits" and self.rounding_loss is not None:
            estimate = sign * (self.full_scores.mean() - self.rounding_loss[order])
            line = {
                "color": "0.25",
                "linestyle": ":",
                "marker": "x",
                "linewidth": 1.2,
                "label": "estimate from the fit",
            }
            self.estimate_lines_ = self.ax_.plot(bits, estimate, **line)

    def _plot_memory(self, bits, nbytes, bar_kw):
        """Bars below the scores, on an axis of their own; the score's axis makes room for them and for the legend."""
        from matplotlib.patches import Rectangle
        from matplotlib.ticker import MaxNLocator

        unit, name = byte_unit(np.append(nbytes, self.full_nbytes))
        sizes = nbytes / unit
        self.memory_ax_ = self.ax_.twinx()
        self.bars_ = self.memory_ax_.bar(bits, sizes, **style(Rectangle, {"color": "0.8", "width": 0.55}, bar_kw))
        self.memory_ax_.set(
            ylabel=f"Memory of the training samples ({name}),\nfull precision {self.full_nbytes / unit:.3g}",
            ylim=(0, sizes.max() / BARS),
            yticks=[tick for tick in MaxNLocator(3).tick_values(0, sizes.max()) if tick <= 1.2 * sizes.max()],
        )
        self.memory_ax_.spines["top"].set_visible(False)
        low, high = self.ax_.dataLim.intervaly
        span = max(high - low, 1e-3 * max(1, abs(high)))
        legend = LEGEND if self.estimate_lines_ is None else TALL_LEGEND
        height = span / (1 - BARS - GAP - legend)
        self.ax_.set_ylim(high - span - (BARS + GAP) * height, high + legend * height)
        self.ax_.set_zorder(self.memory_ax_.get_zorder() + 1)
        self.ax_.patch.set_visible(False)


def scores_label(spread):
    """What the line of scores is called in the legend."""
    return "test folds, mean ± std" if spread else "test folds, mean"


def score_label(name, negate):
    """Label of an axis for the name of a scorer, as scikit-learn's displays make it."""
    words = name.replace("_", " ")
    if words.startswith("neg "):
        words = words[4:] if negate else f"negative {words[4:]}"
    elif negate:
        words = f"negative {words}"
    return words[:1].upper() + words[1:]
