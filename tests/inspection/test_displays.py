"""The displays, drawn without a screen."""

import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_zipml import (
    BitWidthCurveDisplay,
    ConvergenceDisplay,
    DoubleSamplingQuantizer,
    LevelsDisplay,
    ZipMLLSSVC,
    ZipMLRegressor,
    recommend_bits,
)
from sklearn_zipml._storage.packed_rows import rows_of

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def close_figures():
    """Every test draws its own; drawing is what shows that labels and limits work."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def data(n=300, d=6):
    """A linear target with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    return X, X @ np.arange(1.0, d + 1) + rng.normal(size=n)


# Score and memory against bits


def test_bit_width_curve():
    """What is drawn are the mean scores, their spread, the memory, and full precision."""
    X, y = data()
    display = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, bits=[8, 1, 4], cv=3)
    assert display.test_scores.shape == (3, 3) and display.full_scores.shape == (3,)
    order = [1, 2, 0]
    (line,), (band,) = display.lines_, display.fill_between_
    mean, std = display.test_scores.mean(axis=1)[order], display.test_scores.std(axis=1)[order]
    assert_array_equal(line.get_xdata(), [1, 4, 8])
    assert_allclose(line.get_ydata(), mean)
    edges = band.get_paths()[0].vertices
    for x, low, high in zip([1, 4, 8], mean - std, mean + std, strict=True):
        assert_allclose([edges[edges[:, 0] == x, 1].min(), edges[edges[:, 0] == x, 1].max()], [low, high])
    assert_allclose(display.full_line_.get_ydata(), display.full_scores.mean())
    heights = [bar.get_height() for bar in display.bars_]
    assert_allclose(np.array(heights) * 1024, display.nbytes[order])
    assert heights == sorted(heights)
    assert "KiB" in display.memory_ax_.get_ylabel()
    assert f"full precision {display.full_nbytes / 1024:.3g}" in display.memory_ax_.get_ylabel()
    assert display.full_nbytes >= 200 * 6 * 4
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("sample_bits", "R²")
    assert display.ax_.get_xscale() == "linear" and list(display.ax_.get_xticks()) == [1, 4, 8]
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["test folds, mean ± std", "full precision", "estimate from the fit"]
    assert_allclose(display.estimate_lines_[0].get_ydata(), display.full_scores.mean() - display.rounding_loss[order])


def test_bars_of_memory_stay_below_the_scores():
    """And the legend above them, whatever the range of the scores."""
    X, y = data()
    display = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, bits=[1, 2, 8], cv=3)
    to_axes = display.ax_.transAxes.inverted()
    heights = [to_axes.transform(bar.get_window_extent().p1)[1] for bar in display.bars_]
    low, high = to_axes.transform(display.ax_.transData.transform([[1, v] for v in display.ax_.dataLim.intervaly]))
    assert max(heights) < low[1] < high[1] < 0.9


@pytest.mark.parametrize("param", ["model_bits", "gradient_bits"])
def test_bit_width_curve_of_other_widths(param):
    """They do not change the memory of the samples, which is not drawn unless asked for."""
    X, y = data()
    display = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, param=param, bits=[2, 8], cv=3)
    assert display.memory_ax_ is None and display.bars_ is None
    assert len(display.figure_.axes) == 1 and display.ax_.get_xlabel() == param
    display.plot(memory=True)
    assert display.bars_[0].get_height() == display.bars_[1].get_height() > 0


@pytest.mark.parametrize("sampling, width", [("double", 8), ("compensated", 4)])
def test_bit_width_curve_tries_what_is_possible(sampling, width):
    """Without bits: at least two for two draws, and no more than a packed matrix has."""
    X, y = data()
    packed = DoubleSamplingQuantizer(width, sampling=sampling, random_state=0).fit_transform(X)
    model = ZipMLRegressor(sampling=sampling, random_state=0)
    display = BitWidthCurveDisplay.from_estimator(model, packed, y, cv=2)
    assert list(display.bits) == ([2, 3, 4] if sampling == "double" else [1, 2, 3])


def test_bit_width_curve_spread_and_sign():
    """Error bars, no spread, and scores whose sign scikit-learn has turned."""
    X, y = data()
    display = BitWidthCurveDisplay.from_estimator(
        ZipMLRegressor(random_state=0),
        X,
        y,
        bits=[2, 8],
        cv=3,
        scoring="neg_mean_squared_error",
        negate_score=True,
        std_display_style="errorbar",
        errorbar_kw={"capsize": 7, "c": "green"},
    )
    assert display.lines_ is None and display.fill_between_ is None
    line, caps, _ = display.errorbar_[0].lines
    assert line.get_color() == "green" and len(caps) == 2
    assert_allclose(line.get_ydata(), -display.test_scores.mean(axis=1))
    assert display.full_line_.get_ydata()[0] > 0
    assert display.ax_.get_ylabel() == "Mean squared error" and display.estimate_lines_ is None  # that is of R²
    display.plot(std_display_style=None, score_name="loss")
    assert display.fill_between_ is None and display.errorbar_ is None and len(display.lines_) == 1
    assert display.ax_.get_ylabel() == "loss"
    assert display.plot().ax_.get_ylabel() == "Negative mean squared error"
    with pytest.raises(ValueError, match=r"std_display_style must be.*'band'"):
        display.plot(std_display_style="band")


def test_bit_width_curve_of_a_recommendation():
    """The evidence draws without another fit, and agrees with from_estimator."""
    X, y = data()
    found = recommend_bits(X, y, cv=3)
    display = BitWidthCurveDisplay.from_cv_results(found.cv_results_)
    other = BitWidthCurveDisplay.from_estimator(ZipMLRegressor(random_state=0), X, y, cv=3)
    assert_array_equal(display.test_scores, other.test_scores)
    assert_array_equal(display.nbytes, other.nbytes)


def test_bit_width_curve_styles_and_axes():
    """Keywords win over defaults, by any alias; the axes may be given."""
    X, y = data()
    _, ax = plt.subplots()
    display = BitWidthCurveDisplay.from_estimator(
        make_pipeline(StandardScaler(), ZipMLLSSVC(random_state=0)),
        X,
        y > 0,
        param="zipmllssvc__model_bits",
        bits=[2, 8],
        cv=2,
        scoring="balanced_accuracy",
        ax=ax,
        line_kw={"c": "red", "ls": ":"},
        memory=True,
        fill_between_kw={"alpha": 0.5},
        full_kw={"lw": 3},
        bar_kw={"width": 0.1},
    )
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert display.lines_[0].get_color() == "red" and display.lines_[0].get_linestyle() == ":"
    assert display.fill_between_[0].get_alpha() == 0.5 and display.full_line_.get_linewidth() == 3
    assert display.bars_[0].get_width() == pytest.approx(0.1)
    assert ax.get_ylabel() == "Balanced accuracy" and ax.get_xlabel() == "model_bits"


# Levels


@pytest.mark.parametrize("sampling, count", [("compensated", 8), ("double", 4)])
def test_levels(sampling, count):
    """Levels are those of the quantizer; optimal ones cost less."""
    X = pd.DataFrame(np.random.default_rng(0).lognormal(size=(1000, 2)), columns=["a", "b"])
    quantizer = DoubleSamplingQuantizer(3, sampling=sampling, random_state=0)
    display = LevelsDisplay.from_estimator(quantizer, X, column="b")
    assert {kind: len(levels) for kind, levels in display.levels.items()} == {"optimal": count, "uniform": count}
    assert_array_equal(display.levels["optimal"], quantizer.fit(X).levels_[1])
    assert_array_equal([path[0, 0] for path in display.lines_["optimal"].get_segments()], quantizer.levels_[1])
    assert 0 < display.variances_["optimal"] < display.variances_["uniform"]
    assert display.ax_.get_xlabel() == "b"
    assert sum(bar.get_height() for bar in display.bars_) == 1000


def test_level_variance_is_that_of_rounding():
    """Measured on draws."""
    X = np.random.default_rng(0).normal(size=(20_000, 1))
    quantizer = DoubleSamplingQuantizer(2, random_state=0)
    display = LevelsDisplay.from_estimator(quantizer, X, bins=10, hist_kw={"color": "black"}, level_kw={"lw": 4})
    drawn = np.asarray(quantizer.fit_transform(X))
    assert display.variances_["optimal"] == pytest.approx(np.mean((drawn - X) ** 2) / X.var(), rel=0.05)
    assert len(display.bars_) == 10 and display.lines_["uniform"].get_linewidth() == [4]
    assert display.bars_[0].get_facecolor() == (0, 0, 0, 1)
    percents = [text.get_text().split(" adds ")[1] for text in display.ax_.get_legend().get_texts()]
    told = [f"{100 * display.variances_[kind]:.0f}% of the variance" for kind in ("optimal", "uniform")]
    assert percents == [f"{told[0]}, {len(display.outliers_['optimal'])} kept apart", told[1]]


def test_outliers_beside_the_levels():
    """Are those that packing keeps apart, as dots beyond the levels; none where none are."""
    X = np.random.default_rng(0).standard_t(3, size=(20_000, 1))
    quantizer = DoubleSamplingQuantizer(2, random_state=0)
    display = LevelsDisplay.from_estimator(quantizer, X)
    kept = display.outliers_["optimal"]
    packed = rows_of(quantizer.fit_transform(X))
    slots, _, _ = packed.samples.outliers.decoded()
    apart = X[packed.order.rows()[slots], 0]
    assert np.isin(apart, kept).all()
    # the others are what a code of their row's dither stands for
    rest, levels = kept[~np.isin(kept, apart)], display.levels["optimal"]
    assert len(rest) < 10
    assert ((rest >= levels[0]) & (rest <= levels[-1])).all()
    assert 0 < len(kept) <= len(X) / 288
    assert_array_equal(display.points_["optimal"].get_xdata(), kept)
    assert display.outliers_.keys() == display.points_.keys() == {"optimal"}
    none = LevelsDisplay.from_estimator(DoubleSamplingQuantizer(2, outliers="none"), X)
    assert none.outliers_ == none.points_ == {}
    assert "apart" not in "".join(text.get_text() for text in none.ax_.get_legend().get_texts())


def test_levels_of_values():
    """A column alone has the levels that it has among others, and is drawn where one says."""
    values = np.random.default_rng(0).lognormal(size=500)
    _, ax = plt.subplots()
    display = LevelsDisplay.from_values(values, 2, name="price", ax=ax)
    stored = display.levels["optimal"]
    assert_allclose(np.unique(stored), DoubleSamplingQuantizer(2).fit(values[:, None]).levels_[0], rtol=1e-12)
    assert_array_equal([path[0, 0] for path in display.lines_["optimal"].get_segments()], stored)
    plain = LevelsDisplay.from_values(values, 2, sampling="compensated")
    assert plain.variances_["optimal"] > 1.3 * display.variances_["optimal"]
    assert (plain.dithers, display.dithers) == ({"optimal": 1, "uniform": 1}, {"optimal": 4, "uniform": 1})
    assert display.ax_ is ax and display.figure_ is ax.figure and ax.get_xlabel() == display.name == "price"
    assert len(LevelsDisplay.from_values(values, 3, sampling="double").levels["uniform"]) == 4
    with pytest.raises(ValueError, match=r"shape \(n_samples,\), got the shape \(500, 1\)"):
        LevelsDisplay.from_values(values[:, None])


def test_levels_of_ones_own():
    """Any names, each with a row of its own; marks are above the histogram."""
    values = np.random.default_rng(0).uniform(size=100)
    display = LevelsDisplay(values=values, levels={"a": [0, 1], "b": [0, 0.5, 1], "c": [0, 0.2, 1]}).plot()
    assert list(display.lines_) == ["a", "b", "c"]
    bottoms = [marks.get_segments()[0][0, 1] for marks in display.lines_.values()]
    assert bottoms == sorted(bottoms) and bottoms[0] > max(bar.get_height() for bar in display.bars_)
    assert display.variances_["b"] < display.variances_["a"]


@pytest.mark.parametrize("column", ["z", 9, -1, 1.5])
def test_levels_of_an_unknown_column(column):
    """The message says what there is."""
    with pytest.raises(ValueError, match=r"column=.*which has 6"):
        LevelsDisplay.from_estimator(DoubleSamplingQuantizer(), data()[0], column=column)


def test_levels_of_packed_rows():
    """Are those they have: there is nothing to compare."""
    packed = DoubleSamplingQuantizer(8, random_state=0).fit_transform(data()[0])
    with pytest.raises(ValueError, match=r"PackedMatrix, whose levels are given \(optimal\)"):
        LevelsDisplay.from_estimator(DoubleSamplingQuantizer(3), packed)


# Convergence


def test_convergence():
    """Loss against epochs and bytes; displays share axes."""
    X, y = data()
    first = ZipMLRegressor(2, random_state=0).fit(X, y)
    second = make_pipeline(StandardScaler(), ZipMLRegressor(None, random_state=0)).fit(X, y)
    display = ConvergenceDisplay.from_estimator(first)
    other = ConvergenceDisplay.from_estimator(second, ax=display.ax_, line_kw={"c": "k"})
    assert_array_equal(display.line_.get_ydata(), first.loss_curve_)
    assert_array_equal(display.line_.get_xdata(), np.arange(first.n_iter_ + 1))
    assert other.figure_ is display.figure_ and other.line_.get_color() == "k"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["2 bits", "float32"]
    assert display.ax_.get_xlabel() == "Epochs"

    ax = display.ax_
    display.plot(x="bytes")
    assert display.ax_ is not ax and display.ax_.get_xscale() == "log"
    assert_array_equal(display.line_.get_ydata(), first.loss_curve_)
    assert_allclose(display.line_.get_xdata() * 2**20, first.bytes_read_curve_)
    assert display.ax_.get_xlabel() == "Samples read (MiB)"


def test_convergence_scales():
    """Logarithmic where losses fall far; excess over an optimum leaves out what is not positive."""
    near = ConvergenceDisplay(losses=[3, 2, 1.5], nbytes=[1, 2, 3]).plot()
    assert near.ax_.get_yscale() == "linear" and near.ax_.get_legend() is None
    far = ConvergenceDisplay(losses=[1e3, 1, 1e-3], nbytes=[1, 2, 3], name="far").plot(near.ax_)
    assert far.ax_ is near.ax_ and near.ax_.get_yscale() == "log"
    assert [text.get_text() for text in near.ax_.get_legend().get_texts()] == ["far"]
    excess = ConvergenceDisplay(losses=[3, 2, 1.5], nbytes=[1, 2, 3]).plot(optimum=1.5)
    assert_array_equal(excess.line_.get_ydata(), [1.5, 0.5, np.nan])
    assert "excess" in excess.ax_.get_ylabel()


def test_convergence_errors():
    """Not fitted, or another x."""
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(ZipMLRegressor())
    model = ZipMLRegressor(random_state=0).fit(*data())
    with pytest.raises(ValueError, match=r"x must be 'epochs' or 'bytes', got 'seconds'"):
        ConvergenceDisplay.from_estimator(model, x="seconds")


def test_without_matplotlib(monkeypatch):
    """Everything but plotting works, and plotting says what is missing."""
    display = ConvergenceDisplay(losses=[2, 1], nbytes=[1, 2])
    levels = LevelsDisplay(values=[0, 1], levels={"optimal": [0, 1]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for drawn in (display, levels):
        with pytest.raises(ImportError, match=r"Display.plot.* requires matplotlib"):
            drawn.plot()
